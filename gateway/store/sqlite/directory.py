"""Apps, users and groups on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.domain.model import (
    GIVEN_XID_FIRST,
    ROOM,
    SYSTEM_NAME,
    App,
    AppLimits,
    Facts,
    Group,
    Member,
    Scope,
    User,
)
from gateway.store.base import Party, Remembered
from gateway.store.parties import RECALL_WINDOW_MS, to_app, to_facts, to_group, to_limits
from gateway.store.sqlite.lane import one, rows, table
from gateway.store.sqlite.users import find_user_named, make_user, next_xid

_APP = """SELECT a.id, a.app_id, a.system, t.xid, a.registered, a.recall_window_ms, a.signing_kid,
    a.sends_per_s, a.connections_max, a.message_bytes_max, a.storage_bytes_max
FROM app AS a JOIN timeline AS t ON t.id = a.system"""
_PARTIES = """
SELECT json_group_array(json_array(t.id, t.xid, t.kind)) FROM json_each(?2) AS j
CROSS JOIN timeline AS t ON t.app = ?1 AND t.xid = j.value
"""
_GROUP = """
SELECT g.id, t.xid, g.name, g.description, g.avatar, g.type, o.xid, g.members, t.facts_version, g.created_at,
    g.updated_at, g.ext, g.apply_approval, g.invite_confirm, g.member_invitation, g.ban_all_until, g.history_visible,
    g.read_ack, g.announcement, g.members_max, g.disabled
FROM timeline AS t JOIN grp AS g ON g.id = t.id JOIN timeline AS o ON o.id = g.owner
"""
# Anybody is in a chatroom who is not kept out of it.
_FACTS = f"""
SELECT json_group_array(json_array(t.xid, g.id, t.facts_version, g.owner = u.id,
    CASE WHEN g.type = {ROOM} THEN NOT EXISTS (SELECT 1 FROM grp_block AS k WHERE k.grp = g.id AND k.usr = u.id)
        ELSE s.id IS NOT NULL END,
    coalesce(s.admin, 0), g.type, coalesce(b.until, 0), g.ban_all_until,
    coalesce(s.trusted, 0), g.disabled))
FROM json_each(?3) AS j CROSS JOIN timeline AS t ON t.app = ?1 AND t.xid = j.value
CROSS JOIN grp AS g ON g.id = t.id AND g.destroyed_at IS NULL
LEFT JOIN timeline AS u ON u.app = ?1 AND u.xid = ?2
LEFT JOIN stay AS s ON s.usr = u.id AND s.grp = g.id AND s.to_seq IS NULL
LEFT JOIN ban AS b ON b.grp = g.id AND b.usr = u.id
"""


def create_app(
    conn: sqlite3.Connection, app_id: str, key: tuple[str, bytes], *, registered: bool, at: int
) -> App | None:
    """Make an app, its first key, and its reserved user `system`, which takes the first id of the server's own."""
    if one(conn, "SELECT 1 FROM app WHERE app_id = ?", (app_id,)):
        return None
    kid, secret = key
    app = one(
        conn,
        """INSERT INTO app (app_id, system, registered, recall_window_ms, next_xid, signing_kid, created_at)
        VALUES (?, 0, ?, ?, ?, ?, ?) RETURNING id""",
        (app_id, registered, RECALL_WINDOW_MS, GIVEN_XID_FIRST, kid, at),
    )[0]
    conn.execute(
        "INSERT INTO app_key (app, kid, secret, created_at) VALUES (?, ?, ?, ?)", (app, kid, secret, at)
    )
    system = make_user(conn, app, next_xid(conn, app), at, SYSTEM_NAME)
    conn.execute("UPDATE app SET system = ? WHERE id = ?", (system, app))
    return find_app(conn, app_id)


def add_key(conn: sqlite3.Connection, app_id: str, kid: str, secret: bytes, at: int) -> App | None:
    """Add a key and sign with it from now on."""
    moved = one(conn, "UPDATE app SET signing_kid = ? WHERE app_id = ? RETURNING id", (kid, app_id))
    if not moved:
        return None
    conn.execute(
        "INSERT INTO app_key (app, kid, secret, created_at) VALUES (?, ?, ?, ?)", (moved[0], kid, secret, at)
    )
    return find_app(conn, app_id)


def set_limits(conn: sqlite3.Connection, app_id: str, changes: Mapping[str, int]) -> App | None:
    """Set limits of an app."""
    conn.execute(
        """UPDATE app SET sends_per_s = coalesce(?, sends_per_s), connections_max = coalesce(?, connections_max),
            message_bytes_max = coalesce(?, message_bytes_max),
            storage_bytes_max = coalesce(?, storage_bytes_max) WHERE app_id = ?""",
        (*(changes.get(name) for name in AppLimits.__struct_fields__), app_id),
    )
    return find_app(conn, app_id)


def find_limits(conn: sqlite3.Connection, app: int) -> AppLimits:
    """Look up what an app may use."""
    return to_limits(
        one(conn, f"SELECT {', '.join(AppLimits.__struct_fields__)} FROM app WHERE id = ?", (app,))
    )


def stored_bytes(conn: sqlite3.Connection, app: int) -> int:
    """Look up what an app stores."""
    found: int = one(conn, "SELECT stored_bytes FROM app WHERE id = ?", (app,))[0]
    return found


def find_app(conn: sqlite3.Connection, app_id: str) -> App | None:
    """Find an app by name."""
    found = one(conn, f"{_APP} WHERE a.app_id = ?", (app_id,))
    return _app(conn, found) if found else None


def list_apps(conn: sqlite3.Connection) -> list[App]:
    """List all apps, oldest first."""
    return [_app(conn, row) for row in conn.execute(f"{_APP} ORDER BY a.id").fetchall()]


def _app(conn: sqlite3.Connection, row: tuple[Any, ...]) -> App:
    keys = dict(conn.execute("SELECT kid, secret FROM app_key WHERE app = ?", (row[0],)).fetchall())
    return to_app(row, keys)


def find_party(conn: sqlite3.Connection, app: int, xid: int) -> Party | None:
    """Find what an xid names."""
    found = one(conn, "SELECT id, xid, kind FROM timeline WHERE app = ? AND xid = ?", (app, xid))
    return Party(found[0], found[1], Scope(found[2])) if found else None


def find_parties(conn: sqlite3.Connection, app: int, xids: Sequence[int]) -> list[Party | None]:
    """Find what each xid names."""
    found = {
        xid: Party(party_id, xid, Scope(kind))
        for party_id, xid, kind in table(conn, _PARTIES, (app, rows(list(xids))))
    }
    return [found.get(xid) for xid in xids]


def register(conn: sqlite3.Connection, app: int, name: str, password: str, at: int) -> User | None:
    """Make a named user with an id of the server's own; None where the name is taken."""
    if find_user_named(conn, app, name):
        return None
    xid = next_xid(conn, app)
    return User(
        id=make_user(conn, app, xid, at, name, password), xid=xid, name=name, password=password, created_at=at
    )


def find_group(conn: sqlite3.Connection, app: int, xid: int) -> Group | None:
    """Find a group that stands."""
    found = one(conn, f"{_GROUP} WHERE t.app = ? AND t.xid = ? AND g.destroyed_at IS NULL", (app, xid))
    return to_group(found) if found else None


def find_groups(conn: sqlite3.Connection, app: int, xids: Sequence[int]) -> dict[int, Group]:
    """Find groups that stand, by their xids."""
    found = conn.execute(
        f"""{_GROUP} WHERE t.app = ? AND t.xid IN (SELECT value FROM json_each(?))
        AND g.destroyed_at IS NULL""",
        (app, rows(xids)),
    ).fetchall()
    return {group.xid: group for group in map(to_group, found)}


def find_facts(
    conn: sqlite3.Connection, app: int, group_xids: Sequence[int], user_xid: int
) -> list[Facts | None]:
    """Read what judging needs, for each group named."""
    found = {xid: to_facts(row) for xid, *row in table(conn, _FACTS, (app, user_xid, rows(group_xids)))}
    return [found.get(xid) for xid in group_xids]


def list_members(conn: sqlite3.Connection, group_id: int, after_xid: int, limit: int) -> list[Member]:
    """List members by rising id."""
    return [
        Member(xid=xid, joined_at=joined_at)
        for xid, joined_at in conn.execute(
            """SELECT t.xid, s.joined_at FROM stay AS s JOIN timeline AS t ON t.id = s.usr
            WHERE s.grp = ? AND s.to_seq IS NULL AND t.xid > ? ORDER BY t.xid LIMIT ?""",
            (group_id, after_xid, limit),
        ).fetchall()
    ]


def list_joined(conn: sqlite3.Connection, user_id: int) -> list[int]:
    """List the xids of the groups a user is in."""
    return [
        xid
        for (xid,) in conn.execute(
            """SELECT t.xid FROM stay AS s JOIN timeline AS t ON t.id = s.grp
            WHERE s.usr = ? AND s.to_seq IS NULL ORDER BY t.xid""",
            (user_id,),
        ).fetchall()
    ]


def find_transaction(conn: sqlite3.Connection, app: int, sender_xid: int, key: str) -> Remembered | None:
    """Look up what a transaction key was used for."""
    found = one(
        conn,
        """SELECT d.digest, d.first_msg_id, d.last_msg_id FROM timeline AS t JOIN dedup AS d ON d.sender = t.id
        WHERE t.app = ? AND t.xid = ? AND d.key = ?""",
        (app, sender_xid, key),
    )
    return Remembered(*found) if found else None
