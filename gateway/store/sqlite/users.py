"""Users on SQLite: who they are, what they tell of themselves, whether they may act, and their devices."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from gateway.domain.drafts import Refused
from gateway.domain.errors import Kind
from gateway.domain.model import Device, Profile, Scope, State, User
from gateway.store.parties import found_users, to_user
from gateway.store.refusals import judge_state
from gateway.store.sqlite.lane import one, rows, table

_USER = """SELECT u.id, t.xid, coalesce(u.name, ''), u.password, t.state, u.valid_from_ms, u.created_at
FROM user AS u JOIN timeline AS t ON t.id = u.id"""
_USERS = """
SELECT json_group_array(
    json_array(u.id, t.xid, coalesce(u.name, ''), u.password, t.state, u.valid_from_ms, u.created_at))
FROM json_each(?2) AS j CROSS JOIN timeline AS t ON t.app = ?1 AND t.xid = j.value LEFT JOIN user AS u ON u.id = t.id
"""
_NAMED = """
SELECT json_group_array(json_array(u.id, t.xid, u.name, u.password, t.state, u.valid_from_ms, u.created_at))
FROM json_each(?2) AS j CROSS JOIN user AS u ON u.app = ?1 AND u.name = j.value CROSS JOIN timeline AS t ON t.id = u.id
"""
_XIDS = """
SELECT json_group_array(json_array(t.xid, t.id, t.kind, t.state))
FROM json_each(?2) AS j CROSS JOIN timeline AS t ON t.app = ?1 AND t.xid = j.value
"""
# Through the index of (app, xid): the page costs what it skips, which is why that is bounded.
_LIST = f"""
SELECT u.id, t.xid, coalesce(u.name, ''), u.password, t.state, u.valid_from_ms, u.created_at
FROM (
    SELECT t.id FROM app AS a JOIN timeline AS t ON t.app = a.id
    WHERE a.id = ?1 AND t.kind = {Scope.USER:d} AND t.state <> {State.DELETED:d} AND t.id <> a.system
    ORDER BY t.xid LIMIT ?2 OFFSET ?3) AS p
CROSS JOIN timeline AS t ON t.id = p.id CROSS JOIN user AS u ON u.id = t.id ORDER BY t.xid
"""
_AFTER = f"""
SELECT u.id, t.xid, coalesce(u.name, ''), u.password, t.state, u.valid_from_ms, u.created_at
FROM app AS a CROSS JOIN timeline AS t ON t.app = a.id CROSS JOIN user AS u ON u.id = t.id
WHERE a.id = ? AND t.xid > ? AND t.state <> {State.DELETED:d} AND t.id <> a.system ORDER BY t.xid LIMIT ?
"""
_PROFILE = "SELECT nickname, avatar, description, public_info, private_info FROM user WHERE id = ?"
_NICKNAMES = """
SELECT json_group_array(json_array(u.id, u.nickname)) FROM json_each(?) AS j CROSS JOIN user AS u ON u.id = j.value
"""
# Who is deleted stays nobody, also by what was under way then.
_STANDS = f"(SELECT state FROM timeline AS t WHERE t.id = user.id) <> {State.DELETED:d}"
_SET_PROFILE = f"""
UPDATE user SET nickname = coalesce(?2, nickname), avatar = coalesce(?3, avatar),
    description = coalesce(?4, description), public_info = coalesce(?5, public_info),
    private_info = coalesce(?6, private_info) WHERE id = ?1 AND {_STANDS}
"""
# A whole second above every token issued before: their times are in seconds (core/tokens.py).
_CHANGE = f"""
UPDATE user SET password = ?3, valid_from_ms = max(valid_from_ms + 1000, (?4 / 1000 + 1) * 1000)
WHERE id = ?1 AND (?2 IS NULL OR password = ?2) AND {_STANDS} RETURNING valid_from_ms
"""


def make_user(
    conn: sqlite3.Connection, app: int, xid: int, at: int, name: str | None = None, password: str = ""
) -> int:
    """Insert a user with its timeline; return its id."""
    user_id: int = one(
        conn, f"INSERT INTO timeline (app, xid, kind) VALUES (?, ?, {Scope.USER:d}) RETURNING id", (app, xid)
    )[0]
    conn.execute(
        "INSERT INTO user (id, app, name, password, created_at) VALUES (?, ?, ?, ?, ?)",
        (user_id, app, name, password, at),
    )
    return user_id


def make_users(conn: sqlite3.Connection, app: int, xids: Sequence[int], at: int) -> dict[int, User | Kind]:
    """Make users, or find those that somebody else has made by now."""
    found = find_users(conn, app, xids)
    for xid in xids:
        if xid not in found:
            found[xid] = User(id=make_user(conn, app, xid, at), xid=xid, name="", password="", created_at=at)
    return found


def next_xid(conn: sqlite3.Connection, app: int) -> int:
    """Give the next id of the server's own, skipping taken ones (design §3, xid)."""
    xid: int = one(conn, "SELECT next_xid FROM app WHERE id = ?", (app,))[0]
    while one(conn, "SELECT 1 FROM timeline WHERE app = ? AND xid = ?", (app, xid)):
        xid += 1
    conn.execute("UPDATE app SET next_xid = ? WHERE id = ?", (xid + 1, app))
    return xid


def find_user(conn: sqlite3.Connection, app: int, xid: int) -> User | Kind:
    """Find a user by id; a `Kind` where there is none or a group has this id."""
    found = one(conn, f"{_USER} WHERE t.app = ? AND t.xid = ?", (app, xid))
    if found:
        return to_user(found)
    other = one(conn, "SELECT 1 FROM timeline WHERE app = ? AND xid = ?", (app, xid))
    return Kind.BAD_PARAMETER if other else Kind.USER_UNKNOWN


def find_users(conn: sqlite3.Connection, app: int, xids: Sequence[int]) -> dict[int, User | Kind]:
    """Find users by their ids; a `Kind` where a group has one, and nothing where nothing has it."""
    return found_users(table(conn, _USERS, (app, rows(list(xids)))))


def find_user_named(conn: sqlite3.Connection, app: int, name: str) -> User | None:
    """Find a user by name."""
    found = one(conn, f"{_USER} WHERE u.app = ? AND u.name = ?", (app, name))
    return to_user(found) if found else None


def find_users_named(conn: sqlite3.Connection, app: int, names: Sequence[str]) -> dict[str, User]:
    """Find users by their names."""
    return {row[2]: to_user(row) for row in table(conn, _NAMED, (app, rows(list(names))))}


def make_named(conn: sqlite3.Connection, app: int, names: Sequence[str], at: int) -> dict[str, User]:
    """Make users with names, or find those that somebody else has made by now."""
    found = find_users_named(conn, app, names)
    for name in names:
        if name not in found:
            xid = next_xid(conn, app)
            user_id = make_user(conn, app, xid, at, name)
            found[name] = User(id=user_id, xid=xid, name=name, password="", created_at=at)
    return found


def find_named(conn: sqlite3.Connection, app: int, xids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """Find what ids name, users or not: (id, scope, state) by xid."""
    return {
        xid: (found, kind, state) for xid, found, kind, state in table(conn, _XIDS, (app, rows(list(xids))))
    }


def list_users(conn: sqlite3.Connection, app: int, offset: int, limit: int) -> list[User]:
    """List users by rising id, without the reserved one and those who are deleted."""
    return [to_user(row) for row in conn.execute(_LIST, (app, limit, offset)).fetchall()]


def list_after(conn: sqlite3.Connection, app: int, after_xid: int, limit: int) -> list[User]:
    """List users by rising id after the one given, without the reserved one and those who are deleted."""
    return [to_user(row) for row in conn.execute(_AFTER, (app, after_xid, limit)).fetchall()]


def find_profile(conn: sqlite3.Connection, user_id: int) -> Profile:
    """Read what a user tells of itself; of nobody nothing is told."""
    found = one(conn, _PROFILE, (user_id,))
    return Profile(**dict(zip(Profile.__struct_fields__, found, strict=True))) if found else Profile()


def find_nicknames(conn: sqlite3.Connection, user_ids: Sequence[int]) -> dict[int, str]:
    """Read what users are called among people."""
    return dict(table(conn, _NICKNAMES, (rows(list(user_ids)),)))


def set_profile(conn: sqlite3.Connection, user_id: int, changes: Mapping[str, str]) -> None:
    """Change the members named."""
    conn.execute(_SET_PROFILE, (user_id, *(changes.get(name) for name in Profile.__struct_fields__)))


def set_password(
    conn: sqlite3.Connection, user_id: int, expected: str | None, record: str, at: int
) -> int | None:
    """Change a password, where its record is still the one expected; return from when on tokens are good."""
    found = one(conn, _CHANGE, (user_id, expected, record, at))
    return found[0] if found else None


def set_state(
    conn: sqlite3.Connection, app: int, xids: Sequence[int], state: State, at: int, *, create: bool
) -> list[tuple[int, int]] | Refused:
    """Freeze or unfreeze users, all or none; return their ids and xids, or whom it was refused for."""
    found = find_named(conn, app, xids)
    refused = judge_state(found, xids, create=create)
    if refused:
        return refused
    users = [
        (found[xid][0] if xid in found else make_user(conn, app, xid, at), xid) for xid in dict.fromkeys(xids)
    ]
    conn.execute(
        "UPDATE timeline SET state = ? WHERE id IN (SELECT value FROM json_each(?))",
        (state, rows([user_id for user_id, _ in users])),
    )
    return users


def list_devices(conn: sqlite3.Connection, user_id: int) -> list[Device]:
    """List the devices kept, by number."""
    return [
        Device(device_sn=sn, platform=platform, user_agent=user_agent)
        for sn, platform, user_agent in conn.execute(
            "SELECT sn, platform, user_agent FROM device WHERE usr = ? ORDER BY sn", (user_id,)
        ).fetchall()
    ]


def remove_device(conn: sqlite3.Connection, user_id: int, device_sn: int) -> None:
    """Forget a device and its cursors; what was ever *delivered* to the user stays."""
    conn.execute("DELETE FROM device WHERE usr = ? AND sn = ?", (user_id, device_sn))
    conn.execute("DELETE FROM cursor WHERE usr = ? AND sn = ?", (user_id, device_sn))
