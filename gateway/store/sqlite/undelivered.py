"""What no device of a user has got yet, on SQLite."""

from __future__ import annotations

import sqlite3

from gateway.domain.model import EntryKind
from gateway.store.rows import SENDERS, SETTLED
from gateway.store.sqlite.directed import directed_read
from gateway.store.sqlite.lane import one

# Above *delivered* lie own messages and what is gone, too: so many entries are looked at, whatever they are.
_COUNT = f"""
SELECT count(*) FROM (
    SELECT e.msg_id FROM user AS u CROSS JOIN entry AS e ON e.t = u.id AND e.seq > u.delivered
    WHERE u.id = ?1 AND e.kind = {EntryKind.MESSAGE:d}
    UNION ALL
    SELECT e.msg_id FROM stay AS s CROSS JOIN entry AS e ON e.t = s.grp AND e.seq > s.delivered
    WHERE s.usr = ?1 AND s.to_seq IS NULL AND e.kind = {EntryKind.MESSAGE:d}
    LIMIT ?2) AS above
CROSS JOIN message AS m ON m.msg_id = above.msg_id AND m.shown = 1 AND m.sender <> ?1
"""
# A message that was imported has no entry: no device gets it, and only reading tells that it is known.
_AWAITS = f"""
SELECT (m.seq = 0 OR m.seq > u.delivered) AND m.flags & {SETTLED} = 0,
    m.msg_id <= coalesce((SELECT read FROM conversation WHERE usr = u.id AND opp = m.peer), 0)
        OR {directed_read("m.peer", "m.target", "m.msg_id")}
FROM message AS m CROSS JOIN user AS u ON u.id = m.target
WHERE m.msg_id = ?2 AND m.target = ?1 AND m.sender <> ?1 AND m.shown = 1 AND m.flags & {SENDERS} = 0
UNION ALL
SELECT (m.seq = 0 OR m.seq > s.delivered) AND m.flags & {SETTLED} = 0, m.msg_id <= s.read
FROM message AS m CROSS JOIN stay AS s ON s.usr = ?1 AND s.grp = m.target AND s.to_seq IS NULL
WHERE m.msg_id = ?2 AND m.peer = 0 AND m.sender <> ?1 AND m.shown = 1 AND m.msg_id >= s.from_msg
"""


def undelivered(conn: sqlite3.Connection, user_id: int, most: int) -> int:
    """Count what no device of a user has got yet, among so many entries."""
    found: int = one(conn, _COUNT, (user_id, most))[0]
    return found


def awaits(conn: sqlite3.Connection, user_id: int, msg_id: int) -> bool | None:
    """Say whether a message is neither delivered to a user nor read."""
    found = one(conn, _AWAITS, (user_id, msg_id))
    return bool(found[0] and not found[1]) if found else None
