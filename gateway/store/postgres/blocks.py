"""Who has blocked whom, on PostgreSQL. A block stands between two users both ways, whoever set it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.domain.drafts import Refused
from gateway.domain.errors import Kind
from gateway.domain.model import State
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.users import find_named
from gateway.store.refusals import Pair, judge_parties

_BETWEEN = """
SELECT DISTINCT a, b FROM unnest($1::bigint[], $2::bigint[]) AS j (a, b)
WHERE EXISTS (SELECT 1 FROM block AS k WHERE k.usr = j.a AND k.blocked = j.b)
    OR EXISTS (SELECT 1 FROM block AS k WHERE k.usr = j.b AND k.blocked = j.a)
"""
# Nobody else counts or adds blocks of this user meanwhile, and neither of the two is deleted.
_LOCK = "SELECT state FROM timeline WHERE id IN ($1, $2) ORDER BY app, xid FOR NO KEY UPDATE"
_BLOCK = """
INSERT INTO block (usr, blocked, at) SELECT $1, $2, $3
WHERE (SELECT count(*) FROM block WHERE usr = $1) < $4
    OR EXISTS (SELECT 1 FROM block WHERE usr = $1 AND blocked = $2)
ON CONFLICT (usr, blocked) DO UPDATE SET at = block.at RETURNING true
"""
_LIST = f"""
SELECT t.xid FROM block AS k JOIN timeline AS t ON t.id = k.blocked
WHERE k.usr = $1 AND t.xid > $2 AND t.state <> {State.DELETED:d} ORDER BY t.xid LIMIT $3
"""


async def blocked_pairs(conn: Conn, pairs: Iterable[Pair]) -> set[Pair]:
    """Which of these pairs of users have a block between them, set by either."""
    asked = list(pairs)
    return {(a, b) for a, b in await conn.fetch(_BETWEEN, [a for a, _ in asked], [b for _, b in asked])}


async def unreachable(
    conn: Conn,
    app: int,
    sender_xid: int,
    target_xids: Sequence[int],
    *,
    create: bool,
    blocks: bool,
    frozen: bool,
) -> Refused | dict[int, Kind]:
    """Judge as a batch judges a message to users, target by target."""
    found = await find_named(conn, app, [sender_xid, *target_xids])
    judged = judge_parties(found, sender_xid, target_xids, create=create, frozen=frozen)
    if isinstance(judged, Refused):
        return judged
    whys, pairs = judged
    blocked = await blocked_pairs(conn, pairs.values()) if blocks else set()
    return whys | {xid: Kind.BLOCKED for xid, pair in pairs.items() if pair in blocked}


async def block(conn: Conn, user_id: int, blocked_id: int, at: int, most: int) -> bool:
    """Block a user; False where `most` are blocked already. Who was deleted meanwhile has and gets none."""
    states = await conn.fetch(_LOCK, user_id, blocked_id)
    if any(state == State.DELETED for (state,) in states):
        return True
    return bool(await conn.fetchval(_BLOCK, user_id, blocked_id, at, most))


async def unblock(conn: Conn, user_id: int, blocked_id: int) -> None:
    """Take a block back, if there is one."""
    await conn.execute("DELETE FROM block WHERE usr = $1 AND blocked = $2", user_id, blocked_id)


async def list_blocked(conn: Conn, user_id: int, after_xid: int, limit: int) -> list[int]:
    """List the xids of those whom a user has blocked, by rising id."""
    return [xid for (xid,) in await conn.fetch(_LIST, user_id, after_xid, limit)]
