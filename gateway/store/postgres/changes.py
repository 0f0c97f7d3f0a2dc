"""Drafts that are no messages, each in a transaction of its own: recalls and deletions themselves."""

from __future__ import annotations

from gateway.domain.drafts import (
    Answer,
    Changed,
    CreateDraft,
    DeleteDraft,
    MembershipDraft,
    Placed,
    RecallDraft,
    Stale,
)
from gateway.domain.limits import Limits
from gateway.domain.model import Deleted, Entry, EntryKind, Recalled, Scope
from gateway.store.postgres.directed import newest_directed
from gateway.store.postgres.heads import lock_heads
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.members import change_members, create_group
from gateway.store.postgres.rooms import is_room, trim
from gateway.store.postgres.texts import wipe
from gateway.store.rows import RECALLED, is_folded
from gateway.store.telling import Retracted, encoded, message_unknown, not_to_be_hidden

# Whoever locks the message first recalls it; the next finds it recalled.
_RECALLED = """
SELECT CASE m.peer WHEN 0 THEN m.target ELSE m.peer END, m.msg_id, m.target, m.sender, m.flags, tt.kind, tt.xid,
    st.xid, CASE WHEN m.peer IN (0, m.sender) THEN 0 ELSE g.xid END
FROM message AS m JOIN timeline AS tt ON tt.id = m.target JOIN timeline AS st ON st.id = m.sender
LEFT JOIN timeline AS g ON g.id = m.peer
WHERE m.msg_id = $1 AND tt.app = $2 FOR UPDATE OF m
"""
_FOLDED = f"""
SELECT f.msg_id FROM message AS f WHERE f.related = $1 AND {is_folded("f")}
ORDER BY f.msg_id FOR UPDATE
"""
_PLACE = """
WITH moved AS (UPDATE timeline SET head = head + 1 WHERE id = $1 RETURNING id, head, kind, xid),
written AS (INSERT INTO entry (t, seq, kind, msg_id, data) SELECT id, head, $2, $3, $4 FROM moved)
SELECT head, kind, xid FROM moved
"""
_STAY = f"""
SELECT s.id, s.deleted,
    greatest((SELECT n.msg_id FROM newest AS n WHERE n.grp = s.grp), {newest_directed("s.usr", "s.grp")})
FROM stay AS s WHERE s.usr = $1 AND s.grp = $2 AND s.to_seq IS NULL
"""
_HIDE = """
UPDATE conversation SET deleted = last WHERE usr = $1 AND opp = $2 AND deleted < last RETURNING last
"""


async def append_change(
    conn: Conn, draft: RecallDraft | DeleteDraft | CreateDraft | MembershipDraft, limits: Limits
) -> Answer:
    """Append one draft that is not a message and answer it."""
    match draft:
        case RecallDraft():
            return await _recall(conn, draft, limits)
        case DeleteDraft():
            return await _delete(conn, draft)
        case CreateDraft():
            return await create_group(conn, draft, limits)
        case MembershipDraft():
            return await change_members(conn, draft, limits)


async def _place(
    conn: Conn, timeline_id: int, kind: EntryKind, msg_id: int, fact: Recalled | Deleted
) -> tuple[int, Scope, int]:
    """Add one entry to a timeline; return its seq, and the scope and xid of the timeline's owner."""
    seq, scope, xid = await conn.fetchrow(_PLACE, timeline_id, kind, msg_id, encoded(fact))
    return seq, Scope(scope), xid


async def _recall(conn: Conn, draft: RecallDraft, limits: Limits) -> Answer:
    found = await conn.fetchrow(_RECALLED, draft.msg_id, draft.app)
    if not found:
        return message_unknown(draft.msg_id)
    judged_by, message = found[0], Retracted(*found[1:])
    # What was folded into it goes with it, silently: whoever had it is told of the message. It is locked before the
    # heads, as a recall of its own locks it.
    await conn.execute(_FOLDED, draft.msg_id)
    told = message.told
    await lock_heads(conn, {judged_by, *(timeline_id for timeline_id, _ in told)})
    version = await conn.fetchval("SELECT facts_version FROM timeline WHERE id = $1", judged_by)
    if draft.judged not in (-1, version):
        return Stale()
    if message.flags & RECALLED:
        return Changed([])
    # Read again: with the heads locked nothing more is folded into it.
    folded = [msg_id for (msg_id,) in await conn.fetch(_FOLDED, draft.msg_id)]
    await wipe(conn, [draft.msg_id, *folded], RECALLED)
    placed = []
    for timeline_id, fact in told:
        seq, scope, xid = await _place(conn, timeline_id, EntryKind.RECALLED, draft.msg_id, fact)
        placed.append(Placed(timeline_id, scope, xid, Entry(seq=seq, kind=EntryKind.RECALLED, recalled=fact)))
        if scope is Scope.GROUP and seq % limits.room_history_max == 0:
            await trim(conn, [timeline_id], limits.room_history_max)
    return Changed(placed)


async def _delete(conn: Conn, draft: DeleteDraft) -> Answer:
    await lock_heads(conn, [draft.user_id])
    if draft.scope is Scope.GROUP:
        stay = await conn.fetchrow(_STAY, draft.user_id, draft.opposite_id)
        if not stay:
            return not_to_be_hidden(draft, room=await is_room(conn, draft.opposite_id))
        stay_id, deleted, last = stay
        if deleted >= last:
            return Changed([])
        await conn.execute("UPDATE stay SET deleted = $2 WHERE id = $1", stay_id, last)
    else:
        last = await conn.fetchval(_HIDE, draft.user_id, draft.opposite_id)
        if last is None:
            return Changed([])
    fact = Deleted(conversation_xid=draft.opposite_xid, msg_id=last)
    seq, scope, xid = await _place(conn, draft.user_id, EntryKind.DELETED, last, fact)
    return Changed([Placed(draft.user_id, scope, xid, Entry(seq=seq, kind=EntryKind.DELETED, deleted=fact))])
