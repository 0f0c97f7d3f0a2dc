"""The laws of timelines: every seq from the floor to the head has its entry, and every entry what it tells of."""

from __future__ import annotations

from gateway.domain.model import ROOM, EntryKind, Scope
from gateway.store.laws import DENSE_LAW, trimmed, who
from gateway.store.rows import IMPORTED, RECALLED, SENDERS, UNCOPIED, is_folded

_USER = int(Scope.USER)
_MESSAGE, _RECALLED = int(EntryKind.MESSAGE), int(EntryKind.RECALLED)
_MEMBERSHIP, _DELETED = int(EntryKind.MEMBERSHIP), int(EntryKind.DELETED)

# What is folded into a message that is recalled goes silently with it.
_SILENT = f"""({is_folded("m")} AND (m.related <= (SELECT swept_to FROM meta)
    OR EXISTS (SELECT 1 FROM message AS b WHERE b.msg_id = m.related AND b.flags & {RECALLED} <> 0)))"""


ENTRY_LAWS: tuple[str, ...] = (
    DENSE_LAW,
    """
    SELECT 'there are ' || count(*) || ' entries of timeline ' || e.t || ', which does not exist' FROM entry AS e
    WHERE NOT EXISTS (SELECT 1 FROM timeline AS t WHERE t.id = e.t) GROUP BY e.t
    """,
    f"""
    SELECT 'the entry at seq ' || e.seq || ' of ' || {who("e.t")} || CASE
        WHEN e.kind IN ({_MESSAGE}, {_RECALLED}) THEN ' names message ' || e.msg_id || ', which does not exist'
        ELSE ' is of the unknown kind ' || e.kind END
    FROM entry AS e LEFT JOIN message AS m ON m.msg_id = e.msg_id
    WHERE CASE WHEN e.kind = {_MESSAGE} THEN m.msg_id IS NULL
        WHEN e.kind = {_RECALLED} THEN m.msg_id IS NULL AND e.msg_id > (SELECT swept_to FROM meta)
            AND NOT {trimmed("e.t", "e.msg_id")}
        ELSE e.kind NOT IN ({_MEMBERSHIP}, {_DELETED}) END
    """,
    # A message's entry stands with its receiver at the message's seq, or is its sender's copy.
    f"""
    SELECT 'the entry at seq ' || e.seq || ' of ' || {who("e.t")} || ' holds message ' || e.msg_id
        || ', which does not belong there'
    FROM entry AS e JOIN message AS m ON m.msg_id = e.msg_id
    WHERE e.kind = {_MESSAGE} AND NOT (m.flags & {IMPORTED} = 0 AND CASE WHEN m.target = e.t THEN m.seq = e.seq
        ELSE m.sender = e.t AND m.peer <> 0 AND m.flags & {UNCOPIED} = 0 END)
    """,
    f"""
    SELECT 'message ' || m.msg_id || ' has no entry at seq ' || m.seq || ' of its receiver, ' || {who("m.target")}
    FROM message AS m JOIN timeline AS t ON t.id = m.target
    LEFT JOIN entry AS e ON e.t = m.target AND e.seq = m.seq
    WHERE m.seq > t.floor AND (e.kind IS DISTINCT FROM {_MESSAGE} OR e.msg_id <> m.msg_id)
    """,
    # What a chatroom no longer shows, it does not keep either.
    f"""
    SELECT 'message ' || m.msg_id || ' lies at seq ' || m.seq || ' of the chatroom ' || t.xid
        || ', not above its floor ' || t.floor
    FROM message AS m JOIN timeline AS t ON t.id = m.target AND t.floor >= m.seq
    JOIN grp AS g ON g.id = t.id AND g.type = {ROOM}
    """,
    # A copy's seq is stored nowhere else, so copies are counted per sender first, and looked for one by one
    # only where the counts differ.
    f"""
    WITH owed AS (
        SELECT sender, count(*) AS n FROM message
        WHERE peer <> 0 AND target <> sender AND flags & {UNCOPIED | IMPORTED} = 0 GROUP BY sender),
    held AS (
        SELECT e.t AS sender, count(*) AS n FROM entry AS e JOIN message AS m ON m.msg_id = e.msg_id
        WHERE e.kind = {_MESSAGE} AND m.sender = e.t AND m.target <> e.t GROUP BY e.t),
    short AS MATERIALIZED (
        SELECT o.sender FROM owed AS o JOIN timeline AS t ON t.id = o.sender AND t.floor = 0
        LEFT JOIN held AS h ON h.sender = o.sender WHERE o.n <> coalesce(h.n, 0)),
    copies AS MATERIALIZED (
        SELECT e.msg_id AS msg_id, e.t AS t, count(*) AS n FROM entry AS e
        WHERE e.kind = {_MESSAGE} AND e.t IN (SELECT sender FROM short) GROUP BY e.t, e.msg_id)
    SELECT 'message ' || m.msg_id || ' has ' || coalesce(c.n::text, 'no')
        || CASE c.n WHEN 1 THEN ' entry' ELSE ' entries' END
        || ' in the timeline of its sender, ' || {who("m.sender")}
    FROM message AS m LEFT JOIN copies AS c ON c.msg_id = m.msg_id AND c.t = m.sender
    WHERE m.sender IN (SELECT sender FROM short) AND m.peer <> 0 AND m.target <> m.sender
        AND m.flags & {UNCOPIED | IMPORTED} = 0 AND c.n IS DISTINCT FROM 1
    """,
    # Ids rise with seq inside a conversation. Here they do so in the whole timeline, which needs no sorting to
    # see.
    f"""
    WITH suspect AS MATERIALIZED (
        SELECT DISTINCT t FROM (
            SELECT t, msg_id, lag(msg_id) OVER (PARTITION BY t ORDER BY seq) AS before FROM entry
            WHERE kind = {_MESSAGE}) AS b WHERE msg_id <= before)
    SELECT 'message ' || msg_id || ' at seq ' || seq || ' of ' || {who("t")} || ' follows message ' || before
        || ' of the same conversation: ids must rise'
    FROM (
        SELECT e.t AS t, e.seq AS seq, e.msg_id AS msg_id, lag(e.msg_id) OVER (
            PARTITION BY e.t, CASE WHEN m.target = e.t OR m.peer <> m.sender THEN m.peer ELSE m.target END
            ORDER BY e.seq) AS before
        FROM suspect AS s JOIN entry AS e ON e.t = s.t JOIN message AS m ON m.msg_id = e.msg_id
        WHERE e.kind = {_MESSAGE}) AS b
    WHERE msg_id <= before
    """,
    f"""
    SELECT 'the entry at seq ' || e.seq || ' of ' || {who("e.t")} || ' recalls message ' || e.msg_id
        || ', which is not recalled'
    FROM entry AS e JOIN message AS m ON m.msg_id = e.msg_id
    WHERE e.kind = {_RECALLED} AND m.flags & {RECALLED} = 0
    """,
    f"""
    SELECT 'message ' || m.msg_id || ' is recalled, but the timeline of ' || {who("m.target")} || ' does not say so'
    FROM message AS m JOIN timeline AS t ON t.id = m.target
    WHERE m.flags & {RECALLED} <> 0 AND t.floor = 0 AND NOT {_SILENT} AND m.flags & {SENDERS} = 0
        AND NOT EXISTS (
            SELECT 1 FROM entry AS e WHERE e.kind = {_RECALLED} AND e.t = m.target AND e.msg_id = m.msg_id)
    UNION ALL
    SELECT 'message ' || m.msg_id || ' is recalled, but the timeline of ' || {who("m.sender")} || ' does not say so'
    FROM message AS m JOIN timeline AS t ON t.id = m.sender
    WHERE m.flags & {RECALLED} <> 0 AND t.floor = 0 AND NOT {_SILENT}
        AND m.peer <> 0 AND m.target <> m.sender AND m.flags & {UNCOPIED} = 0
        AND NOT EXISTS (
            SELECT 1 FROM entry AS e WHERE e.kind = {_RECALLED} AND e.t = m.sender AND e.msg_id = m.msg_id)
    """,
    f"""
    SELECT 'the reserved user system of app ' || a.app_id || ' has entries' FROM app AS a
    JOIN timeline AS t ON t.id = a.system WHERE t.head > 0 OR t.kind <> {_USER}
    """,
)
