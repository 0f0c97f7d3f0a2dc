"""Users on PostgreSQL: who they are, what they tell of themselves, whether they may act, and their devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.domain.drafts import Refused
from gateway.domain.errors import Kind
from gateway.domain.model import Device, Profile, Scope, State, User
from gateway.store.parties import found_users, to_user
from gateway.store.postgres.lane import Conn, OvertakenError
from gateway.store.refusals import judge_state

_USER = """SELECT u.id, t.xid, coalesce(u.name, ''), u.password, t.state, u.valid_from_ms, u.created_at
FROM timeline AS t LEFT JOIN "user" AS u ON u.id = t.id"""
_NAMED = """
SELECT u.id, t.xid, u.name, u.password, t.state, u.valid_from_ms, u.created_at
FROM unnest($2::text[]) AS j (name)
CROSS JOIN LATERAL (SELECT * FROM "user" WHERE app = $1 AND name = j.name LIMIT 1) AS u
CROSS JOIN LATERAL (SELECT xid, state FROM timeline WHERE id = u.id LIMIT 1) AS t
"""
_XIDS = "SELECT xid, id, kind, state FROM timeline WHERE app = $1 AND xid = ANY($2::bigint[])"
# What is read of locked heads stays as it is until the end of the transaction.
_LOCK = f"{_XIDS} ORDER BY xid FOR NO KEY UPDATE"
# There is no lock on who is not there: made and locked by one statement, in the order of heads.
_MAKE_AND_LOCK = f"""
WITH locked AS (
    INSERT INTO timeline (app, xid, kind)
    SELECT DISTINCT $1::bigint, xid, {Scope.USER:d} FROM unnest($2::bigint[]) AS u (xid) ORDER BY xid
    ON CONFLICT (app, xid) DO UPDATE SET kind = timeline.kind RETURNING xid, id, kind, state),
made AS (
    INSERT INTO "user" (id, app, created_at) SELECT id, $1, $3 FROM locked WHERE kind = {Scope.USER:d}
    ON CONFLICT (id) DO NOTHING)
SELECT xid, id, kind, state FROM locked
"""
_MAKE = f"""
WITH made AS (
    INSERT INTO timeline (app, xid, kind) VALUES ($1, $2, {Scope.USER:d})
    ON CONFLICT (app, xid) DO NOTHING RETURNING id)
INSERT INTO "user" (id, app, name, password, created_at) SELECT id, $1, $4, $5, $3 FROM made RETURNING id
"""
_MAKE_MANY = f"""
WITH made AS (
    INSERT INTO timeline (app, xid, kind)
    SELECT DISTINCT $1::bigint, xid, {Scope.USER:d} FROM unnest($2::bigint[]) AS u (xid) ORDER BY xid
    ON CONFLICT (app, xid) DO NOTHING RETURNING id)
INSERT INTO "user" (id, app, created_at) SELECT id, $1, $3 FROM made
"""
_XID = "SELECT next_xid FROM app WHERE id = $1 FOR NO KEY UPDATE"
# The first that nothing has, from the one given on.
_TAKE = """
UPDATE app SET next_xid = 1 + CASE WHEN EXISTS (SELECT 1 FROM timeline WHERE app = $1 AND xid = $2) THEN (
    SELECT t.xid + 1 FROM timeline AS t WHERE t.app = $1 AND t.xid >= $2
        AND NOT EXISTS (SELECT 1 FROM timeline AS n WHERE n.app = $1 AND n.xid = t.xid + 1)
    ORDER BY t.xid LIMIT 1) ELSE $2 END
WHERE id = $1 RETURNING next_xid - 1
"""
# Those of so many numbers that nothing has.
_FREE = """
SELECT n FROM generate_series($2::bigint, $2::bigint + $3::bigint - 1) AS n
WHERE (SELECT 1 FROM timeline WHERE app = $1 AND xid = n LIMIT 1) IS NULL ORDER BY n
"""
_MAKE_NAMED = f"""
WITH named AS MATERIALIZED (SELECT * FROM unnest($2::bigint[], $3::text[]) AS j (xid, name)),
made AS (
    INSERT INTO timeline (app, xid, kind) SELECT $1, xid, {Scope.USER:d} FROM named ORDER BY xid
    ON CONFLICT (app, xid) DO NOTHING RETURNING id, xid),
users AS (
    INSERT INTO "user" (id, app, name, created_at)
    SELECT m.id, $1, n.name, $4 FROM made AS m JOIN named AS n ON n.xid = m.xid RETURNING 1)
SELECT count(*) FROM users
"""
# Through the index of (app, xid): the page costs what it skips, which is why that is bounded.
_LIST = f"""
SELECT u.id, t.xid, coalesce(u.name, ''), u.password, t.state, u.valid_from_ms, u.created_at
FROM app AS a JOIN timeline AS t ON t.app = a.id JOIN "user" AS u ON u.id = t.id
WHERE a.id = $1 AND t.kind = {Scope.USER:d} AND t.state <> {State.DELETED:d} AND t.id <> a.system
ORDER BY t.xid LIMIT $2 OFFSET $3
"""
_AFTER = f"""
SELECT u.id, t.xid, coalesce(u.name, ''), u.password, t.state, u.valid_from_ms, u.created_at
FROM app AS a JOIN timeline AS t ON t.app = a.id JOIN "user" AS u ON u.id = t.id
WHERE a.id = $1 AND t.xid > $2 AND t.kind = {Scope.USER:d} AND t.state <> {State.DELETED:d} AND t.id <> a.system
ORDER BY t.xid LIMIT $3
"""
_PROFILE = 'SELECT nickname, avatar, description, public_info, private_info FROM "user" WHERE id = $1'
# Who is deleted stays nobody, also by what was under way then: the head is locked first.
_NICKNAMES = """
SELECT j.id, u.nickname FROM unnest($1::bigint[]) AS j (id)
CROSS JOIN LATERAL (SELECT nickname FROM "user" WHERE id = j.id LIMIT 1) AS u
"""
_STANDS = f"SELECT 1 FROM timeline WHERE id = $1 AND state <> {State.DELETED:d} FOR NO KEY UPDATE"
_SET_PROFILE = """
UPDATE "user" SET nickname = coalesce($2, nickname), avatar = coalesce($3, avatar),
    description = coalesce($4, description), public_info = coalesce($5, public_info),
    private_info = coalesce($6, private_info) WHERE id = $1
"""
# A whole second above every token issued before: their times are in seconds (core/tokens.py). A record that is the new
# one already was written by an earlier try, whose connection was lost: no two are alike by chance.
_CHANGE = """
UPDATE "user" SET password = $3, valid_from_ms = greatest(valid_from_ms + 1000, ($4::bigint / 1000 + 1) * 1000)
WHERE id = $1 AND ($2::text IS NULL OR password IN ($2, $3)) RETURNING valid_from_ms
"""


class RefusedError(Exception):
    """Undoes a transaction, and says whom its work is refused for."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.sentence)
        self.refused = refused


async def make_user(
    conn: Conn, app: int, xid: int, at: int, name: str | None = None, password: str = ""
) -> int | None:
    """Insert a user with its timeline and return its id; None where the xid is taken, also at this moment."""
    made: int | None = await conn.fetchval(_MAKE, app, xid, at, name, password)
    return made


async def take_xid(conn: Conn, app: int) -> int:
    """Give the next id of the server's own, skipping taken ones (design §3, xid).

    The app's row stays locked, so it goes before any head. Somebody may be about to take this very id by naming it:
    who cannot insert its row asks for another one.
    """
    first = await conn.fetchval(_XID, app)
    xid: int = await conn.fetchval(_TAKE, app, first)
    return xid


async def find_user(conn: Conn, app: int, xid: int) -> User | Kind:
    """Find a user by id; a `Kind` where there is none or a group has this id."""
    return (await find_users(conn, app, [xid])).get(xid, Kind.USER_UNKNOWN)


async def find_users(conn: Conn, app: int, xids: Sequence[int]) -> dict[int, User | Kind]:
    """Find users by their ids; a `Kind` where a group has one, and nothing where nothing has it."""
    return found_users(await conn.fetch(f"{_USER} WHERE t.app = $1 AND t.xid = ANY($2::bigint[])", app, xids))


async def make_users(conn: Conn, app: int, xids: Sequence[int], at: int) -> dict[int, User | Kind]:
    """Make users, in the order of heads, or find those that somebody else has made, also at this moment."""
    await conn.execute(_MAKE_MANY, app, xids, at)
    return await find_users(conn, app, xids)


async def find_user_named(conn: Conn, app: int, name: str) -> User | None:
    """Find a user by name."""
    found = await conn.fetchrow(f"{_USER} WHERE u.app = $1 AND u.name = $2", app, name)
    return to_user(found) if found else None


async def find_users_named(conn: Conn, app: int, names: Sequence[str]) -> dict[str, User]:
    """Find users by their names."""
    return {row[2]: to_user(row) for row in await conn.fetch(_NAMED, app, names)}


async def make_named(conn: Conn, app: int, names: Sequence[str], at: int) -> dict[str, User]:
    """Make users with names, or find those that somebody else has made by now.

    Names are given in one transaction after the other, under the lock of the app's row.
    """
    next_xid = await conn.fetchval(_XID, app)
    found = await find_users_named(conn, app, names)
    missing = [name for name in names if name not in found]
    if missing:
        xids: list[int] = []
        while len(xids) < len(missing):
            wanted = len(missing) - len(xids)
            xids += [row[0] for row in await conn.fetch(_FREE, app, next_xid, wanted)]
            next_xid += wanted
        await conn.execute("UPDATE app SET next_xid = $2 WHERE id = $1", app, next_xid)
        if await conn.fetchval(_MAKE_NAMED, app, xids, missing, at) < len(missing):
            # Somebody is about to take one of these ids by naming it.
            raise OvertakenError
        found |= await find_users_named(conn, app, missing)
    return found


async def find_named(conn: Conn, app: int, xids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """Find what ids name, users or not: (id, scope, state) by xid."""
    return _named(await conn.fetch(_XIDS, app, xids))


def _named(found: Sequence[Sequence[int]]) -> dict[int, tuple[int, int, int]]:
    return {xid: (party, kind, state) for xid, party, kind, state in found}


async def list_users(conn: Conn, app: int, offset: int, limit: int) -> list[User]:
    """List users by rising id, without the reserved one and those who are deleted."""
    return [to_user(row) for row in await conn.fetch(_LIST, app, limit, offset)]


async def list_after(conn: Conn, app: int, after_xid: int, limit: int) -> list[User]:
    """List users by rising id after the one given, without the reserved one and those who are deleted."""
    return [to_user(row) for row in await conn.fetch(_AFTER, app, after_xid, limit)]


async def find_profile(conn: Conn, user_id: int) -> Profile:
    """Read what a user tells of itself; of nobody nothing is told."""
    found = await conn.fetchrow(_PROFILE, user_id)
    return Profile(**dict(zip(Profile.__struct_fields__, found, strict=True))) if found else Profile()


async def find_nicknames(conn: Conn, user_ids: Sequence[int]) -> dict[int, str]:
    """Read what users are called among people."""
    return dict(await conn.fetch(_NICKNAMES, user_ids))


async def set_profile(conn: Conn, user_id: int, changes: Mapping[str, str]) -> None:
    """Change the members named."""
    if await conn.fetchval(_STANDS, user_id):
        await conn.execute(_SET_PROFILE, user_id, *(changes.get(name) for name in Profile.__struct_fields__))


async def set_password(conn: Conn, user_id: int, expected: str | None, record: str, at: int) -> int | None:
    """Change a password, where its record is still the one expected; return from when on tokens are good."""
    if not await conn.fetchval(_STANDS, user_id):
        return None
    valid_from_ms: int | None = await conn.fetchval(_CHANGE, user_id, expected, record, at)
    return valid_from_ms


async def set_state(
    conn: Conn, app: int, xids: Sequence[int], state: State, at: int, *, create: bool
) -> list[tuple[int, int]]:
    """Freeze or unfreeze users, all or none; return their ids and xids. Raises `RefusedError`."""
    locked = conn.fetch(_MAKE_AND_LOCK, app, xids, at) if create else conn.fetch(_LOCK, app, xids)
    found = _named(await locked)
    refused = judge_state(found, xids, create=create)
    if refused:
        raise RefusedError(refused)
    users = [(found[xid][0], xid) for xid in dict.fromkeys(xids)]
    await conn.execute(
        "UPDATE timeline SET state = $1 WHERE id = ANY($2::bigint[])",
        state,
        [user_id for user_id, _ in users],
    )
    return users


async def list_devices(conn: Conn, user_id: int) -> list[Device]:
    """List the devices kept, by number."""
    return [
        Device(device_sn=sn, platform=platform, user_agent=user_agent)
        for sn, platform, user_agent in await conn.fetch(
            "SELECT sn, platform, user_agent FROM device WHERE usr = $1 ORDER BY sn", user_id
        )
    ]


async def remove_device(conn: Conn, user_id: int, device_sn: int) -> None:
    """Forget a device and its cursors; what was ever *delivered* to the user stays.

    Whoever keeps it meanwhile waits at its row, and makes it anew with its cursors; what its connection writes is
    written before this, and goes too, or finds no device.
    """
    await conn.execute("SELECT 1 FROM attached WHERE usr = $1 AND sn = $2 FOR UPDATE", user_id, device_sn)
    if await conn.fetchval("DELETE FROM device WHERE usr = $1 AND sn = $2 RETURNING 1", user_id, device_sn):
        await conn.execute("DELETE FROM cursor WHERE usr = $1 AND sn = $2", user_id, device_sn)
