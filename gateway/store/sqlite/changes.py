"""Drafts that are no messages, one at a time in the batch's transaction: recalls and deletions themselves."""

from __future__ import annotations

import sqlite3

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
from gateway.domain.model import Deleted, Entry, EntryKind, Scope
from gateway.store.rows import RECALLED
from gateway.store.sqlite.directed import newest_directed
from gateway.store.sqlite.lane import one
from gateway.store.sqlite.members import change_members, create_group
from gateway.store.sqlite.related import folded_into
from gateway.store.sqlite.rooms import is_room, trim
from gateway.store.sqlite.texts import wipe
from gateway.store.telling import Retracted, encoded, message_unknown, not_to_be_hidden

_RECALLED = """
SELECT m.msg_id, m.target, m.sender, m.flags, tt.kind, tt.xid, st.xid,
    CASE WHEN m.peer IN (0, m.sender) THEN 0 ELSE g.xid END, g.facts_version
FROM message AS m JOIN timeline AS tt ON tt.id = m.target JOIN timeline AS st ON st.id = m.sender
LEFT JOIN timeline AS g ON g.id = CASE m.peer WHEN 0 THEN m.target ELSE m.peer END
WHERE m.msg_id = ? AND tt.app = ?
"""


def append_change(
    conn: sqlite3.Connection, draft: RecallDraft | DeleteDraft | CreateDraft | MembershipDraft, limits: Limits
) -> Answer:
    """Append one draft that is not a message and answer it."""
    match draft:
        case RecallDraft():
            return _recall(conn, draft, limits)
        case DeleteDraft():
            return _delete(conn, draft)
        case CreateDraft():
            return create_group(conn, draft, limits)
        case MembershipDraft():
            return change_members(conn, draft, limits)


def _place(
    conn: sqlite3.Connection, timeline_id: int, kind: EntryKind, msg_id: int, data: str
) -> tuple[int, Scope, int]:
    """Add one entry to a timeline; return its seq, and the scope and xid of the timeline's owner."""
    seq, scope, xid = one(
        conn, "UPDATE timeline SET head = head + 1 WHERE id = ? RETURNING head, kind, xid", (timeline_id,)
    )
    conn.execute(
        "INSERT INTO entry (t, seq, kind, msg_id, data) VALUES (?, ?, ?, ?, ?)",
        (timeline_id, seq, kind, msg_id, data),
    )
    return seq, Scope(scope), xid


def _recall(conn: sqlite3.Connection, draft: RecallDraft, limits: Limits) -> Answer:
    found = one(conn, _RECALLED, (draft.msg_id, draft.app))
    if not found:
        return message_unknown(draft.msg_id)
    message, version = Retracted(*found[:-1]), found[-1]
    if draft.judged not in (-1, version):
        return Stale()
    if message.flags & RECALLED:
        return Changed([])
    # What was folded into it goes with it, silently: whoever had it is told of the message.
    wipe(conn, [draft.msg_id, *folded_into(conn, draft.msg_id)], RECALLED)
    placed = []
    for timeline_id, fact in message.told:
        seq, scope, xid = _place(conn, timeline_id, EntryKind.RECALLED, draft.msg_id, encoded(fact))
        placed.append(Placed(timeline_id, scope, xid, Entry(seq=seq, kind=EntryKind.RECALLED, recalled=fact)))
        if scope is Scope.GROUP and seq % limits.room_history_max == 0:
            trim(conn, [timeline_id], limits.room_history_max)
    return Changed(placed)


def _delete(conn: sqlite3.Connection, draft: DeleteDraft) -> Answer:
    if draft.scope is Scope.GROUP:
        stay = one(
            conn,
            f"""SELECT s.id, s.deleted, max(t.last, {newest_directed("s.usr", "s.grp")})
            FROM stay AS s JOIN timeline AS t ON t.id = s.grp
            WHERE s.usr = ? AND s.grp = ? AND s.to_seq IS NULL""",
            (draft.user_id, draft.opposite_id),
        )
        if not stay:
            return not_to_be_hidden(draft, room=is_room(conn, draft.opposite_id))
        stay_id, deleted, last = stay
        if deleted >= last:
            return Changed([])
        conn.execute("UPDATE stay SET deleted = ? WHERE id = ?", (last, stay_id))
    else:
        moved = one(
            conn,
            "UPDATE conversation SET deleted = last WHERE usr = ? AND opp = ? AND deleted < last RETURNING last",
            (draft.user_id, draft.opposite_id),
        )
        if not moved:
            return Changed([])
        last = moved[0]
    fact = Deleted(conversation_xid=draft.opposite_xid, msg_id=last)
    seq, scope, xid = _place(conn, draft.user_id, EntryKind.DELETED, last, encoded(fact))
    return Changed([Placed(draft.user_id, scope, xid, Entry(seq=seq, kind=EntryKind.DELETED, deleted=fact))])
