"""Drafts that are no messages, one at a time in the batch's transaction: recalls and deletions themselves."""

from __future__ import annotations

import sqlite3

import msgspec

from gateway.domain.drafts import (
    Answer,
    Changed,
    CreateDraft,
    DeleteDraft,
    MembershipDraft,
    Placed,
    RecallDraft,
    Refused,
    Stale,
)
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import Deleted, Entry, EntryKind, Recalled, Scope
from gateway.store.rows import RECALLED, UNCOPIED, to_message
from gateway.store.sqlite.directed import newest_directed
from gateway.store.sqlite.lane import one
from gateway.store.sqlite.members import change_members, create_group
from gateway.store.sqlite.messages import MESSAGE_JOINS, MESSAGE_JSON
from gateway.store.sqlite.related import folded_into
from gateway.store.sqlite.rooms import is_room, trim
from gateway.store.sqlite.texts import wipe


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
    found = one(
        conn,
        f"""SELECT m.target, m.sender, m.flags, {MESSAGE_JSON}, g.facts_version FROM message AS m {MESSAGE_JOINS}
        LEFT JOIN timeline AS g ON g.id = CASE m.peer WHEN 0 THEN m.target ELSE m.peer END
        WHERE m.msg_id = ? AND tt.app = ?""",
        (draft.msg_id, draft.app),
    )
    if not found:
        return Refused(Kind.MESSAGE_UNKNOWN, f"there is no message {draft.msg_id}")
    target_id, sender_id, flags, row, version = found
    if draft.judged not in (-1, version):
        return Stale()
    if flags & RECALLED:
        return Changed([])
    # What was folded into it goes with it, silently: whoever had it is told of the message.
    wipe(conn, [draft.msg_id, *folded_into(conn, draft.msg_id)], RECALLED)
    message = to_message(msgspec.json.decode(row))
    timelines = [target_id]
    if message.scope is Scope.USER and sender_id != target_id and not flags & UNCOPIED:
        timelines.append(sender_id)
    placed = []
    for timeline_id in timelines:
        owner_xid = message.target_xid if timeline_id == target_id else message.sender_xid
        fact = Recalled(conversation_xid=message.conversation_for(owner_xid), msg_id=draft.msg_id)
        data = msgspec.json.encode(fact).decode()
        seq, scope, xid = _place(conn, timeline_id, EntryKind.RECALLED, draft.msg_id, data)
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
            if is_room(conn, draft.opposite_id):
                sentence = "conversation_id: a chatroom keeps nothing that one user could hide"
                return Refused(Kind.BAD_PARAMETER, sentence)
            return Refused(Kind.NOT_A_MEMBER, f"not a member of group {draft.opposite_xid}")
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
    data = msgspec.json.encode(fact).decode()
    seq, scope, xid = _place(conn, draft.user_id, EntryKind.DELETED, last, data)
    return Changed([Placed(draft.user_id, scope, xid, Entry(seq=seq, kind=EntryKind.DELETED, deleted=fact))])
