"""Apps, users and groups on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.domain.drafts import Changed, Refused
from gateway.domain.errors import Kind, Problem
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
)
from gateway.store.base import Party
from gateway.store.parties import RECALL_WINDOW_MS, to_app, to_facts, to_group, to_limits
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.users import make_user, take_xid

_TAKEN = Refused(Kind.USER_EXISTS, "the name is taken")

_APP = """SELECT a.id, a.app_id, a.system, t.xid, a.registered, a.recall_window_ms, a.signing_kid,
    a.sends_per_s, a.connections_max, a.message_bytes_max, a.storage_bytes_max,
    ARRAY(SELECT k.kid FROM app_key AS k WHERE k.app = a.id ORDER BY k.kid),
    ARRAY(SELECT k.secret FROM app_key AS k WHERE k.app = a.id ORDER BY k.kid)
FROM app AS a JOIN timeline AS t ON t.id = a.system"""
_MAKE_APP = """
INSERT INTO app (app_id, system, registered, recall_window_ms, next_xid, signing_kid, created_at)
VALUES ($1, 0, $2, $3, $4, $5, $6) ON CONFLICT (app_id) DO NOTHING RETURNING id
"""
# The very same key again is an earlier try, whose connection was lost.
_ADD_KEY = """
INSERT INTO app_key (app, kid, secret, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (app, kid) DO UPDATE SET secret = excluded.secret WHERE app_key.secret = excluded.secret RETURNING 1
"""
_SET_LIMITS = """
UPDATE app SET sends_per_s = coalesce($2, sends_per_s), connections_max = coalesce($3, connections_max),
    message_bytes_max = coalesce($4, message_bytes_max), storage_bytes_max = coalesce($5, storage_bytes_max)
WHERE app_id = $1
"""
_LIMITS = f"SELECT {', '.join(AppLimits.__struct_fields__)} FROM app WHERE id = $1"
_STORED = "SELECT coalesce(sum(bytes), 0)::bigint FROM usage WHERE app = $1"
_PARTIES = "SELECT id, xid, kind FROM timeline WHERE app = $1 AND xid = ANY($2::bigint[])"
_GROUP = """
SELECT g.id, t.xid, g.name, g.description, g.avatar, g.type, o.xid, g.members, t.facts_version, g.created_at,
    g.updated_at, g.ext, g.apply_approval, g.invite_confirm, g.member_invitation, g.ban_all_until, g.history_visible,
    g.read_ack, g.announcement, g.members_max, g.disabled
FROM timeline AS t JOIN grp AS g ON g.id = t.id JOIN timeline AS o ON o.id = g.owner
WHERE t.app = $1 AND t.xid = ANY($2::bigint[]) AND g.destroyed_at IS NULL
"""
# Anybody is in a chatroom who is not kept out of it.
_FACTS = f"""
SELECT t.xid, g.id, t.facts_version, coalesce(g.owner = u.id, false),
    CASE WHEN g.type = {ROOM} THEN NOT EXISTS (SELECT 1 FROM grp_block AS k WHERE k.grp = g.id AND k.usr = u.id)
        ELSE s.id IS NOT NULL END,
    coalesce(s.admin, 0), g.type, coalesce(b.until, 0), g.ban_all_until,
    coalesce(s.trusted, 0), g.disabled
FROM timeline AS t JOIN grp AS g ON g.id = t.id AND g.destroyed_at IS NULL
LEFT JOIN timeline AS u ON u.app = $1 AND u.xid = $3
LEFT JOIN stay AS s ON s.usr = u.id AND s.grp = g.id AND s.to_seq IS NULL
LEFT JOIN ban AS b ON b.grp = g.id AND b.usr = u.id
WHERE t.app = $1 AND t.xid = ANY($2::bigint[])
"""
_MEMBERS = """
SELECT t.xid, s.joined_at FROM stay AS s JOIN timeline AS t ON t.id = s.usr
WHERE s.grp = $1 AND s.to_seq IS NULL AND t.xid > $2 ORDER BY t.xid LIMIT $3
"""
_JOINED = """
SELECT t.xid FROM stay AS s JOIN timeline AS t ON t.id = s.grp
WHERE s.usr = $1 AND s.to_seq IS NULL ORDER BY t.xid
"""


async def create_app(
    conn: Conn, app_id: str, key: tuple[str, bytes], *, registered: bool, at: int
) -> Changed | Refused:
    """Make an app, its first key, and its reserved user `system`, which takes the first id of the server's own.

    Of several who make it at once, those who come later wait here for the first one's commit.
    """
    kid, secret = key
    app = await conn.fetchval(
        _MAKE_APP, app_id, int(registered), RECALL_WINDOW_MS, GIVEN_XID_FIRST + 1, kid, at
    )
    if app is None:
        return _TAKEN
    await conn.execute(_ADD_KEY, app, kid, secret, at)
    system = await make_user(conn, app, GIVEN_XID_FIRST, at, SYSTEM_NAME)
    await conn.execute("UPDATE app SET system = $1 WHERE id = $2", system, app)
    return Changed([], GIVEN_XID_FIRST)


async def add_key(conn: Conn, app_id: str, kid: str, secret: bytes, at: int) -> App | None:
    """Add a key and sign with it from now on."""
    app = await conn.fetchval("UPDATE app SET signing_kid = $1 WHERE app_id = $2 RETURNING id", kid, app_id)
    if app is None:
        return None
    if not await conn.fetchval(_ADD_KEY, app, kid, secret, at):
        raise Problem(Kind.BAD_PARAMETER, f"the store cannot keep this: there is another key {kid}")
    return await find_app(conn, app_id)


async def set_limits(conn: Conn, app_id: str, changes: Mapping[str, int]) -> App | None:
    """Set limits of an app."""
    await conn.execute(_SET_LIMITS, app_id, *(changes.get(name) for name in AppLimits.__struct_fields__))
    return await find_app(conn, app_id)


async def find_limits(conn: Conn, app: int) -> AppLimits:
    """Look up what an app may use."""
    return to_limits(await conn.fetchrow(_LIMITS, app))


async def stored_bytes(conn: Conn, app: int) -> int:
    """Add up what an app stores."""
    stored: int = await conn.fetchval(_STORED, app)
    return stored


async def find_app(conn: Conn, app_id: str) -> App | None:
    """Find an app by name."""
    found = await conn.fetchrow(f"{_APP} WHERE a.app_id = $1", app_id)
    return _app(found) if found else None


async def list_apps(conn: Conn) -> list[App]:
    """List all apps, oldest first."""
    return [_app(row) for row in await conn.fetch(f"{_APP} ORDER BY a.id")]


def _app(row: Sequence[Any]) -> App:
    *told, kids, secrets = row
    return to_app(told, dict(zip(kids, secrets, strict=True)))


async def find_parties(conn: Conn, app: int, xids: Sequence[int]) -> list[Party | None]:
    """Find what each xid names."""
    found = {
        xid: Party(party_id, xid, Scope(kind))
        for party_id, xid, kind in await conn.fetch(_PARTIES, app, xids)
    }
    return [found.get(xid) for xid in xids]


async def register(conn: Conn, app: int, name: str, password: str, at: int) -> Changed | Refused:
    """Make a named user with an id of the server's own; the caller undoes it where the name is taken.

    Names are given in one transaction after the other, under the lock of the app's row.
    """
    xid = await take_xid(conn, app)
    if await conn.fetchval('SELECT 1 FROM "user" WHERE app = $1 AND name = $2', app, name):
        return _TAKEN
    while await make_user(conn, app, xid, at, name, password) is None:
        xid = await take_xid(conn, app)
    return Changed([], xid)


async def find_groups(conn: Conn, app: int, xids: Sequence[int]) -> dict[int, Group]:
    """Find groups that stand, by their xids."""
    return {group.xid: group for group in map(to_group, await conn.fetch(_GROUP, app, xids))}


async def find_facts(conn: Conn, app: int, group_xids: Sequence[int], user_xid: int) -> list[Facts | None]:
    """Read what judging needs, for each group named."""
    found = {xid: to_facts(row) for xid, *row in await conn.fetch(_FACTS, app, group_xids, user_xid)}
    return [found.get(xid) for xid in group_xids]


async def list_members(conn: Conn, group_id: int, after_xid: int, limit: int) -> list[Member]:
    """List members by rising id."""
    return [
        Member(xid=xid, joined_at=joined_at)
        for xid, joined_at in await conn.fetch(_MEMBERS, group_id, after_xid, limit)
    ]


async def list_joined(conn: Conn, user_id: int) -> list[int]:
    """List the xids of the groups a user is in."""
    return [xid for (xid,) in await conn.fetch(_JOINED, user_id)]
