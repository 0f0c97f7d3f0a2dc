"""Chatrooms on PostgreSQL: groups whose followers are who is connected, and of whose history a bounded end is kept."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.model import ROOM, ROW_BYTES, EntryKind
from gateway.store.postgres.heads import lock_heads
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.texts import count, release

# The newest message stays with its entry, however many recalls have come since: `newest` names it. There are never more
# of these than messages, so that what is kept stays bounded.
_FULL = f"""
SELECT id, app, floor FROM (
    SELECT t.id, t.app, t.floor AS low, least(t.head - $2::bigint, coalesce(
        (SELECT m.seq FROM newest AS n JOIN message AS m ON m.msg_id = n.msg_id WHERE n.grp = t.id), t.head) - 1
        ) AS floor
    FROM timeline AS t JOIN grp AS g ON g.id = t.id AND g.type = {ROOM}
    WHERE t.id = ANY ($1::bigint[]) AND t.head - t.floor > $2::bigint) AS full_ones
WHERE floor > low
"""
_OLD = f"SELECT msg_id FROM entry WHERE t = $1 AND seq <= $2 AND kind = {EntryKind.MESSAGE:d}"
_GONE = "DELETE FROM message WHERE msg_id = ANY ($1::bigint[]) RETURNING 1"
# Ids of one send lie side by side, and those of two sends apart, so that the next end of a send is the end of this one.
_ANSWERED = """
SELECT DISTINCT a.draft
FROM (
    SELECT msg_id, (SELECT min(last_msg_id) FROM answer WHERE last_msg_id >= msg_id) AS last
    FROM unnest($1::bigint[]) AS u (msg_id)) AS p
JOIN answer AS a ON a.last_msg_id = p.last AND a.first_msg_id <= p.msg_id
WHERE NOT EXISTS (SELECT 1 FROM message WHERE msg_id BETWEEN a.first_msg_id AND a.last_msg_id)
"""
_FORGET = """
WITH gone AS (DELETE FROM dedup WHERE draft = ANY ($1::bigint[]))
DELETE FROM answer WHERE draft = ANY ($1::bigint[])
"""
_RAISE = """
WITH gone AS (DELETE FROM entry WHERE t = $1 AND seq <= $2)
UPDATE timeline SET floor = $2 WHERE id = $1
"""


async def is_room(conn: Conn, group_id: int) -> bool:
    """Whether a group is a chatroom, which nobody has a stay in."""
    return bool(await conn.fetchval(f"SELECT 1 FROM grp WHERE id = $1 AND type = {ROOM}", group_id))


async def trim(conn: Conn, timeline_ids: Sequence[int], keep: int) -> None:
    """Let go of all but the newest `keep` entries of those timelines that are chatrooms', and raise their floors.

    With a message goes its text, and the transaction that is answered by it and by none that is left.
    """
    await lock_heads(conn, timeline_ids)
    freed: dict[int, int] = {}
    for timeline_id, app, floor in await conn.fetch(_FULL, timeline_ids, keep):
        old = [msg_id for (msg_id,) in await conn.fetch(_OLD, timeline_id, floor)]
        if old:
            await release(conn, old)
            gone = await conn.fetch(_GONE, old)
            freed[app] = freed.get(app, 0) - ROW_BYTES * len(gone)
            answered = [draft for (draft,) in await conn.fetch(_ANSWERED, old)]
            if answered:
                await conn.execute(_FORGET, answered)
        await conn.execute(_RAISE, timeline_id, floor)
    await count(conn, freed)
