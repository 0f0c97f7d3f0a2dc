"""What no device of a user has got yet, on PostgreSQL."""

from __future__ import annotations

from gateway.domain.model import EntryKind
from gateway.store.postgres.directed import directed_read
from gateway.store.postgres.lane import Conn
from gateway.store.rows import SENDERS, SETTLED

# Above *delivered* lie own messages and what is gone, too: so many entries are looked at, whatever they are.
_COUNT = f"""
SELECT count(*) FROM (
    (SELECT e.msg_id FROM "user" AS u CROSS JOIN LATERAL (
        SELECT msg_id FROM entry WHERE t = u.id AND seq > u.delivered AND kind = {EntryKind.MESSAGE:d} LIMIT $2) AS e
    WHERE u.id = $1)
    UNION ALL
    (SELECT e.msg_id FROM stay AS s CROSS JOIN LATERAL (
        SELECT msg_id FROM entry WHERE t = s.grp AND seq > s.delivered AND kind = {EntryKind.MESSAGE:d} LIMIT $2) AS e
    WHERE s.usr = $1 AND s.to_seq IS NULL)
    LIMIT $2) AS above
CROSS JOIN LATERAL (
    SELECT 1 FROM message WHERE msg_id = above.msg_id AND shown = 1 AND sender <> $1 LIMIT 1) AS m
"""
# A message that was imported has no entry: no device gets it, and only reading tells that it is known.
_AWAITS = f"""
SELECT (m.seq = 0 OR m.seq > u.delivered) AND m.flags & {SETTLED} = 0
    AND m.msg_id > coalesce((SELECT read FROM conversation WHERE usr = u.id AND opp = m.peer), 0)
    AND NOT {directed_read("m.peer", "m.target", "m.msg_id")}
FROM message AS m JOIN "user" AS u ON u.id = m.target
WHERE m.msg_id = $2 AND m.target = $1 AND m.sender <> $1 AND m.shown = 1 AND m.flags & {SENDERS} = 0
UNION ALL
SELECT (m.seq = 0 OR m.seq > s.delivered) AND m.flags & {SETTLED} = 0 AND m.msg_id > s.read
FROM message AS m JOIN stay AS s ON s.usr = $1 AND s.grp = m.target AND s.to_seq IS NULL
WHERE m.msg_id = $2 AND m.peer = 0 AND m.sender <> $1 AND m.shown = 1 AND m.msg_id >= s.from_msg
"""


async def undelivered(conn: Conn, user_id: int, most: int) -> int:
    """Count what no device of a user has got yet, among so many entries."""
    found: int = await conn.fetchval(_COUNT, user_id, most)
    return found


async def awaits(conn: Conn, user_id: int, msg_id: int) -> bool | None:
    """Say whether a message is neither delivered to a user nor read."""
    found: bool | None = await conn.fetchval(_AWAITS, user_id, msg_id)
    return found
