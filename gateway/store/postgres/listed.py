"""Whom apps list as members of chatrooms, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gateway.domain.model import Member, State
from gateway.store.postgres.heads import lock_heads
from gateway.store.postgres.lane import Conn

_ADD = f"""
INSERT INTO listed (grp, usr, at) SELECT g.id, t.id, $3 FROM timeline AS t JOIN grp AS g ON g.id = $1
WHERE t.id = ANY ($2::bigint[]) AND t.state <> {State.DELETED:d} AND g.destroyed_at IS NULL
ON CONFLICT (grp, usr) DO NOTHING
"""
_COUNT = """
SELECT count(*) FROM (SELECT usr FROM listed WHERE grp = $1 UNION SELECT * FROM unnest($2::bigint[])) AS u
"""
_DROP = "DELETE FROM listed WHERE grp = $1 AND usr = ANY ($2::bigint[]) RETURNING usr"
_LIST = """
SELECT t.xid, l.at FROM listed AS l JOIN timeline AS t ON t.id = l.usr
WHERE l.grp = $1 AND t.xid > $2 ORDER BY t.xid LIMIT $3
"""
# Of those who are named with a chatroom only those count here whom it does not list.
_COUNTS = """
WITH named AS (
    SELECT j.grp, count(*) AS n FROM unnest($2::bigint[], $3::bigint[]) AS j (grp, xid)
    CROSS JOIN LATERAL (SELECT app FROM timeline WHERE id = j.grp LIMIT 1) AS g
    CROSS JOIN LATERAL (SELECT id FROM timeline WHERE app = g.app AND xid = j.xid LIMIT 1) AS t
    WHERE (SELECT 1 FROM listed AS l WHERE l.grp = j.grp AND l.usr = t.id LIMIT 1) IS NULL GROUP BY j.grp)
SELECT j.id, (SELECT count(*) FROM listed WHERE grp = j.id) + coalesce(n.n, 0)
FROM unnest($1::bigint[]) AS j (id) LEFT JOIN named AS n ON n.grp = j.id
"""
_ROOMS = "SELECT t.xid FROM listed AS l JOIN timeline AS t ON t.id = l.grp WHERE l.usr = $1 ORDER BY t.xid"


async def list_in(conn: Conn, group_id: int, user_ids: Sequence[int], at: int, most: int) -> bool:
    """List users as members of a chatroom; False where there is no room for all of them."""
    # The chatroom does not end meanwhile, nobody else counts its list, and none of the users is deleted, whose rows go
    # with that. By one lock: of two that share one, neither could go on to a lock of its own.
    await lock_heads(conn, [group_id, *user_ids])
    if await conn.fetchval(_COUNT, group_id, user_ids) > most:
        return False
    await conn.execute(_ADD, group_id, user_ids, at)
    return True


async def unlist(conn: Conn, group_id: int, user_ids: Sequence[int]) -> set[int]:
    """List users no longer; return which of them were."""
    return {user_id for (user_id,) in await conn.fetch(_DROP, group_id, user_ids)}


async def find_listed(conn: Conn, group_id: int, after_xid: int, limit: int) -> list[Member]:
    """List who is listed, by rising id."""
    return [Member(xid=xid, joined_at=at) for xid, at in await conn.fetch(_LIST, group_id, after_xid, limit)]


async def count_listed(conn: Conn, inside: Mapping[int, Collection[int]]) -> dict[int, int]:
    """Count whom chatrooms list, and those who are named with them."""
    named = [(group_id, xid) for group_id, xids in inside.items() for xid in xids]
    return dict(
        await conn.fetch(
            _COUNTS, list(inside), [group_id for group_id, _ in named], [xid for _, xid in named]
        )
    )


async def find_listing(conn: Conn, user_id: int) -> list[int]:
    """List the chatrooms that list a user."""
    return [xid for (xid,) in await conn.fetch(_ROOMS, user_id)]
