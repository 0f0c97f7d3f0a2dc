"""Locks of heads: who holds the heads of a group and of the users named decides alone what becomes of them.

All heads that a change concerns are locked by one statement, in the order of (app, xid), before anything is read that
it is judged by: each later statement sees what is committed by then. While they are held

- nobody else changes who is in the group, who is banned or blocked by it, what it allows, nor sends to it;
- nobody else changes in which groups the users are, nor appends to their timelines.
"""

from __future__ import annotations

from collections.abc import Collection

from gateway.domain.model import Scope
from gateway.store.postgres.lane import Conn

_LOCK = "SELECT 1 FROM timeline WHERE id = ANY ($1::bigint[]) ORDER BY app, xid FOR UPDATE"
_LOCK_XIDS = "SELECT 1 FROM timeline WHERE app = $1 AND xid = ANY ($2::bigint[]) ORDER BY app, xid FOR UPDATE"
# A row that is there is locked and not touched; those that come back are the new ones.
_LOCK_OR_MAKE = f"""
INSERT INTO timeline (app, xid, kind)
SELECT $1, xid, {Scope.USER:d} FROM unnest($2::bigint[]) AS u (xid) ORDER BY xid
ON CONFLICT (app, xid) DO UPDATE SET head = timeline.head WHERE false
RETURNING id
"""
_MAKE_USERS = 'INSERT INTO "user" (id, app, created_at) SELECT id, $1, $2 FROM unnest($3::bigint[]) AS u (id)'
_UNMAKE = "DELETE FROM timeline WHERE id = ANY ($1::bigint[])"


async def lock_heads(conn: Conn, timeline_ids: Collection[int]) -> None:
    """Lock the heads of timelines."""
    await conn.execute(_LOCK, list(timeline_ids))


async def lock_named(conn: Conn, app: int, xids: Collection[int], *, make: bool) -> set[int]:
    """Lock the heads of whatever these xids name; return the ids of the timelines made for those that named nobody.

    With `make` only. Nobody can be locked who is not there, and who comes to be meanwhile may come to be refused: so
    they are made first, and `keep_made` says of whom that holds.
    """
    if not make:
        await conn.execute(_LOCK_XIDS, app, list(xids))
        return set()
    return {row[0] for row in await conn.fetch(_LOCK_OR_MAKE, app, list(xids))}


async def keep_made(conn: Conn, app: int, made: Collection[int], kept: Collection[int], at: int) -> None:
    """Let those of the made be users who are kept, and the others never have been: a refusal leaves no trace."""
    users = [user_id for user_id in made if user_id in kept]
    if users:
        await conn.execute(_MAKE_USERS, app, at, users)
    if len(users) < len(made):
        await conn.execute(_UNMAKE, [user_id for user_id in made if user_id not in kept])
