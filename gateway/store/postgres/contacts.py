"""Who is in whose address book, and what apps keep with users, on PostgreSQL. A contact stands both ways."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.limits import Limits
from gateway.domain.model import State
from gateway.store.metadata import merged
from gateway.store.postgres.lane import Conn

# Nobody else counts or adds contacts of these two meanwhile, and neither is deleted.
_LOCK = "SELECT state FROM timeline WHERE id IN ($1, $2) ORDER BY app, xid FOR NO KEY UPDATE"
_COUNT = "SELECT greatest((SELECT count(*) FROM contact WHERE usr = $1), (SELECT count(*) FROM contact WHERE usr = $2))"
_ADD = "INSERT INTO contact (usr, contact, at) VALUES ($1, $2, $3), ($2, $1, $3) ON CONFLICT DO NOTHING"
_DROP = (
    "DELETE FROM contact WHERE (usr, contact) IN (VALUES ($1::bigint, $2::bigint), ($2::bigint, $1::bigint))"
)
_LIST = f"""
SELECT t.xid FROM contact AS c JOIN timeline AS t ON t.id = c.contact
WHERE c.usr = $1 AND t.xid > $2 AND t.state <> {State.DELETED:d} ORDER BY t.xid LIMIT $3
"""
_STANDS = f"SELECT 1 FROM timeline WHERE id = $1 AND state <> {State.DELETED:d} FOR NO KEY UPDATE"


async def add_contact(conn: Conn, user_id: int, other_id: int, at: int, most: int) -> bool:
    """Put two users into each other's address book; False where one is full. Who was deleted meanwhile has none."""
    states = await conn.fetch(_LOCK, user_id, other_id)
    if any(state == State.DELETED for (state,) in states):
        return True
    if await conn.fetchval("SELECT 1 FROM contact WHERE usr = $1 AND contact = $2", user_id, other_id):
        return True
    if await conn.fetchval(_COUNT, user_id, other_id) >= most:
        return False
    await conn.execute(_ADD, user_id, other_id, at)
    return True


async def drop_contact(conn: Conn, user_id: int, other_id: int) -> None:
    """Take two users out of each other's address book, if they are there."""
    # Whoever adds the two at this moment holds these, so that both halves stand or go together.
    await conn.fetch(_LOCK, user_id, other_id)
    await conn.execute(_DROP, user_id, other_id)


async def list_contacts(conn: Conn, user_id: int, after_xid: int, limit: int) -> list[int]:
    """List the xids of a user's contacts, by rising id."""
    return [xid for (xid,) in await conn.fetch(_LIST, user_id, after_xid, limit)]


async def find_metadata(conn: Conn, user_id: int) -> str:
    """Read what apps keep with a user, as a JSON object; of nobody an empty one."""
    return await conn.fetchval('SELECT metadata FROM "user" WHERE id = $1', user_id) or "{}"


async def set_metadata(conn: Conn, user_id: int, changes: Mapping[str, str] | None, limits: Limits) -> bool:
    """Change members of it (None: take all away); False where it would be too large."""
    if not await conn.fetchval(_STANDS, user_id):
        return True
    told = merged(await find_metadata(conn, user_id), changes, limits)
    if told is not None:
        await conn.execute('UPDATE "user" SET metadata = $2 WHERE id = $1', user_id, told)
    return told is not None
