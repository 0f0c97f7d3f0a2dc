"""Whom apps list as members of chatrooms, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.domain.model import Member, State
from gateway.store.sqlite.lane import one, rows

_ADD = f"""
INSERT INTO listed (grp, usr, at) SELECT g.id, t.id, ?3 FROM json_each(?2) AS j
CROSS JOIN timeline AS t ON t.id = j.value AND t.state <> {State.DELETED:d}
CROSS JOIN grp AS g ON g.id = ?1 AND g.destroyed_at IS NULL WHERE true ON CONFLICT (grp, usr) DO NOTHING
"""
_COUNT = """
SELECT count(*) FROM (SELECT usr FROM listed WHERE grp = ?1 UNION SELECT value FROM json_each(?2))
"""
_DROP = "DELETE FROM listed WHERE grp = ? AND usr IN (SELECT value FROM json_each(?)) RETURNING usr"
_LIST = """
SELECT t.xid, l.at FROM listed AS l JOIN timeline AS t ON t.id = l.usr
WHERE l.grp = ? AND t.xid > ? ORDER BY t.xid LIMIT ?
"""
_ROOMS = "SELECT t.xid FROM listed AS l JOIN timeline AS t ON t.id = l.grp WHERE l.usr = ? ORDER BY t.xid"


def list_in(conn: sqlite3.Connection, group_id: int, user_ids: Sequence[int], at: int, most: int) -> bool:
    """List users as members of a chatroom; False where there is no room for all of them."""
    named = rows(list(user_ids))
    if one(conn, _COUNT, (group_id, named))[0] > most:
        return False
    conn.execute(_ADD, (group_id, named, at))
    return True


def unlist(conn: sqlite3.Connection, group_id: int, user_ids: Sequence[int]) -> set[int]:
    """List users no longer; return which of them were."""
    return {user_id for (user_id,) in conn.execute(_DROP, (group_id, rows(list(user_ids)))).fetchall()}


def find_listed(conn: sqlite3.Connection, group_id: int, after_xid: int, limit: int) -> list[Member]:
    """List who is listed, by rising id."""
    return [
        Member(xid=xid, joined_at=at)
        for xid, at in conn.execute(_LIST, (group_id, after_xid, limit)).fetchall()
    ]


def find_listing(conn: sqlite3.Connection, user_id: int) -> list[int]:
    """List the chatrooms that list a user."""
    return [xid for (xid,) in conn.execute(_ROOMS, (user_id,)).fetchall()]
