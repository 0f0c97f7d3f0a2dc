"""Looking for messages in conversations on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from gateway.domain.errors import Kind
from gateway.domain.model import HistoryItem, Scope, User
from gateway.store.base import Fold, Folds, Party, Sighted, Sought, Span
from gateway.store.looking import to_folds, to_sighted
from gateway.store.rows import HIDING, NOT_SENDERS, PASSING, SENDERS, is_folded
from gateway.store.sqlite import hours
from gateway.store.sqlite.conversations import GROUP_ITEM, P2P_ITEM, standing, to_items
from gateway.store.sqlite.lane import Lanes, one, rows, snapshot
from gateway.store.sqlite.messages import SHOWN_AT

# What pages leave out of the index itself is left out here only of what was examined: else the messages that are passed
# over would be without number. ?1 is the asker, ?2 the other side, ?3 up to where the conversation is hidden.
_SEEN_P2P = f"""m.shown = 1 AND m.msg_id > ?3 AND (
    m.target = ?1 AND m.peer = ?2 AND m.flags & {SENDERS} = 0
    OR m.target = ?2 AND m.peer = ?1 AND ?1 <> ?2 AND m.flags & {NOT_SENDERS} = 0)"""
_SEEN_GROUP = f"""m.shown = 1 AND m.msg_id > ?3 AND (
    m.target = ?2 AND m.peer = 0 AND NOT (m.flags & {HIDING}
        AND EXISTS (SELECT 1 FROM hidden AS h WHERE h.msg_id = m.msg_id AND h.usr = ?1))
    OR m.target = ?1 AND m.peer = ?2
    OR m.sender = ?1 AND m.peer = ?2 AND m.peer <> m.sender AND m.target <> ?1)"""
_SEEN = {Scope.USER: _SEEN_P2P, Scope.GROUP: _SEEN_GROUP}
_BETWEEN = "msg_id BETWEEN ?4 AND ?5"
_LYING = {
    Scope.USER: f"""
    SELECT msg_id FROM message WHERE target = ?1 AND peer = ?2 AND shown = 1 AND {_BETWEEN}
    UNION ALL
    SELECT msg_id FROM message WHERE target = ?2 AND peer = ?1 AND shown = 1 AND {_BETWEEN} AND ?1 <> ?2""",
    Scope.GROUP: f"""
    SELECT msg_id FROM message WHERE target = ?2 AND peer = 0 AND shown = 1 AND {_BETWEEN}
    UNION ALL
    SELECT msg_id FROM message WHERE target = ?1 AND peer = ?2 AND shown = 1 AND {_BETWEEN}
    UNION ALL
    SELECT msg_id FROM message WHERE sender = ?1 AND peer = ?2 AND peer <> 0 AND peer <> sender AND target <> ?1
        AND shown = 1 AND {_BETWEEN}""",
}
_REPLYING = f"SELECT msg_id FROM message WHERE related = ?11 AND related > 0 AND {_BETWEEN}"


def _seek(scope: Scope, order: str, *, replies: bool) -> str:
    """Put together the SQL that examines the next messages in an order, and finds those that are sought."""
    return f"""
WITH looked AS MATERIALIZED ({_REPLYING if replies else _LYING[scope]} ORDER BY msg_id {order} LIMIT ?6)
SELECT (SELECT json_array(count(*), coalesce(min(msg_id), 0), coalesce(max(msg_id), 0)) FROM looked), (
    SELECT json_group_array(msg_id) FROM (
        SELECT m.msg_id FROM looked CROSS JOIN message AS m ON m.msg_id = looked.msg_id
        WHERE {_SEEN[scope]} AND {SHOWN_AT} BETWEEN ?8 AND ?9
            AND (?10 = '[]' OR m.ctype IN (SELECT value FROM json_each(?10)))
        ORDER BY m.msg_id {order} LIMIT ?7))
"""


_SEEK = {
    (scope, descending, replies): _seek(scope, "DESC" if descending else "ASC", replies=replies)
    for scope in Scope
    for descending in (True, False)
    for replies in (True, False)
}
_SOME = {
    scope: f"""
SELECT json_group_array({item})
FROM json_each(?4) AS j CROSS JOIN message AS m ON m.msg_id = j.value
LEFT JOIN body AS b ON b.id = m.body
WHERE {_SEEN[scope]}
"""
    for scope, item in ((Scope.USER, P2P_ITEM), (Scope.GROUP, GROUP_ITEM))
}
# Cut by size before any text is read, between messages: what is folded into one is told as a whole.
_FOLDED = f"""
WITH folds AS MATERIALIZED (
    SELECT j.key AS place, m.msg_id, m.ctype, m.body, sum(b.size) OVER places AS upto,
        dense_rank() OVER places AS number
    FROM json_each(?1) AS j
    CROSS JOIN message AS m INDEXED BY message_folded ON m.related = j.value AND {is_folded("m")}
        AND m.flags & (CASE m.sender WHEN ?3 THEN {NOT_SENDERS | PASSING} ELSE {SENDERS | PASSING} END) = 0
    CROSS JOIN body AS b ON b.id = m.body
    WINDOW places AS (ORDER BY j.key))
SELECT (SELECT min(place) FROM folds WHERE upto > ?2 AND number > 1), (
    SELECT json_group_array(json_array(place, msg_id, ctype, b.content, b.attachment))
    FROM folds CROSS JOIN body AS b ON b.id = folds.body WHERE upto <= ?2 OR number = 1)
"""


class Looking(Lanes):
    """What `SqliteStore` finds in conversations; how work gets to a connection is its own."""

    async def spans(self, from_ms: int, to_ms: int) -> list[Span]:
        """Say between which ids the messages of a span of time lie."""
        most = self._limits.look_hours_max
        return await self._read(lambda conn: hours.spans(conn, from_ms, to_ms, most))

    async def seek(self, asker: User, opposite: Party, sought: Sought) -> Sighted | Kind:
        """Find messages of a conversation."""
        return await self._read(lambda conn: seek(conn, asker, opposite, sought))

    async def some(
        self, asker: User, opposite: Party, msg_ids: Sequence[int]
    ) -> dict[int, HistoryItem] | Kind:
        """Read some messages of a conversation."""
        return await self._read(lambda conn: some(conn, asker, opposite, msg_ids))

    async def folded(self, asker: User, msg_ids: Sequence[int], bytes_max: int) -> Folds:
        """Read what was folded into messages."""
        return await self._read(lambda conn: folded(conn, asker, msg_ids, bytes_max))


def seek(conn: sqlite3.Connection, asker: User, opposite: Party, sought: Sought) -> Sighted | Kind:
    """Examine a stretch of a conversation."""
    sql = _SEEK[opposite.scope, sought.descending, sought.root > 0]
    with snapshot(conn):
        stands = standing(conn, asker, opposite)
        if isinstance(stands, Kind):
            return stands
        below = stands[0]
        # One bound from below: of two SQLite would search by one of them, and go through what the other leaves out.
        first = max(sought.first, below + 1)
        asked = (asker.id, opposite.id, below, first, sought.last, sought.scan, sought.limit)
        wanted = (sought.from_ms, sought.to_ms, rows(sorted(sought.ctypes)))
        looked, found = one(conn, sql, (*asked, *wanted, *([sought.root] if sought.root else ())))
    # Sorted, here and below, where it costs nothing: SQL promises no order to an aggregate.
    msg_ids = sorted(msgspec.json.decode(found), reverse=sought.descending)
    return to_sighted(sought, msg_ids, *msgspec.json.decode(looked))


def some(
    conn: sqlite3.Connection, asker: User, opposite: Party, msg_ids: Sequence[int]
) -> dict[int, HistoryItem] | Kind:
    """Read those of some messages that the asker may see."""
    with snapshot(conn):
        stands = standing(conn, asker, opposite)
        if isinstance(stands, Kind):
            return stands
        below, read, delivered = stands
        asked = (asker.id, opposite.id, below, rows(msg_ids))
        if opposite.scope is Scope.GROUP:
            found = one(conn, _SOME[Scope.GROUP], (*asked, None, read, delivered, opposite.xid))
        else:
            found = one(conn, _SOME[Scope.USER], (*asked, asker.xid, opposite.xid))
    return {item.msg_id: item for item in to_items(found[0])}


def folded(conn: sqlite3.Connection, asker: User, msg_ids: Sequence[int], bytes_max: int) -> Folds:
    """Read what was folded into messages, until it is too much."""
    cut, found = one(conn, _FOLDED, (rows(msg_ids), bytes_max, asker.id))
    told = [(msg_ids[place], Fold(*fold)) for place, _, *fold in sorted(msgspec.json.decode(found))]
    return to_folds(told, len(msg_ids) if cut is None else cut)
