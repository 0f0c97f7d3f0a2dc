"""Who is in whose address book, and what apps keep with users, on SQLite. A contact stands both ways."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from gateway.domain.limits import Limits
from gateway.domain.model import State
from gateway.store.metadata import merged
from gateway.store.sqlite.lane import one

_STANDS = f"SELECT count(*) FROM timeline WHERE id IN (?, ?) AND state <> {State.DELETED:d}"
_COUNT = (
    "SELECT max((SELECT count(*) FROM contact WHERE usr = ?1), (SELECT count(*) FROM contact WHERE usr = ?2))"
)
_LIST = f"""
SELECT t.xid FROM contact AS c JOIN timeline AS t ON t.id = c.contact
WHERE c.usr = ? AND t.xid > ? AND t.state <> {State.DELETED:d} ORDER BY t.xid LIMIT ?
"""


def add_contact(conn: sqlite3.Connection, user_id: int, other_id: int, at: int, most: int) -> bool:
    """Put two users into each other's address book; False where one is full. Who was deleted meanwhile has none."""
    if one(conn, _STANDS, (user_id, other_id))[0] < 2:  # noqa: PLR2004 - both of them
        return True
    if one(conn, "SELECT 1 FROM contact WHERE usr = ? AND contact = ?", (user_id, other_id)):
        return True
    if one(conn, _COUNT, (user_id, other_id))[0] >= most:
        return False
    conn.execute(
        "INSERT INTO contact (usr, contact, at) VALUES (?1, ?2, ?3), (?2, ?1, ?3)", (user_id, other_id, at)
    )
    return True


def drop_contact(conn: sqlite3.Connection, user_id: int, other_id: int) -> None:
    """Take two users out of each other's address book, if they are there."""
    conn.execute(
        "DELETE FROM contact WHERE (usr, contact) IN (VALUES (?1, ?2), (?2, ?1))", (user_id, other_id)
    )


def list_contacts(conn: sqlite3.Connection, user_id: int, after_xid: int, limit: int) -> list[int]:
    """List the xids of a user's contacts, by rising id."""
    return [xid for (xid,) in conn.execute(_LIST, (user_id, after_xid, limit)).fetchall()]


def find_metadata(conn: sqlite3.Connection, user_id: int) -> str:
    """Read what apps keep with a user, as a JSON object; of nobody an empty one."""
    found = one(conn, "SELECT metadata FROM user WHERE id = ?", (user_id,))
    return found[0] if found else "{}"


def set_metadata(
    conn: sqlite3.Connection, user_id: int, changes: Mapping[str, str] | None, limits: Limits
) -> bool:
    """Change members of it (None: take all away); False where it would be too large."""
    told = merged(find_metadata(conn, user_id), changes, limits)
    if told is None:
        return False
    conn.execute(
        f"""UPDATE user SET metadata = ? WHERE id = ?
            AND (SELECT state FROM timeline AS t WHERE t.id = user.id) <> {State.DELETED:d}""",
        (told, user_id),
    )
    return True
