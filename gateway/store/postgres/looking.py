"""Looking for messages in conversations on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.errors import Kind
from gateway.domain.model import HistoryItem, User
from gateway.store.base import Fold, Folds, Party, Sighted, Sought, Span
from gateway.store.looking import to_folds, to_sighted
from gateway.store.postgres import hours
from gateway.store.postgres.conversations import (
    STANDING,
    STANDING_IN_GROUP,
    STANDING_IN_ROOM,
    Question,
    ask,
    items_in_group,
    items_of_users,
    to_items,
)
from gateway.store.postgres.lane import Conn, Lanes
from gateway.store.postgres.messages import SHOWN_AT
from gateway.store.rows import HIDING, NOT_SENDERS, PASSING, SENDERS, is_folded

# What pages leave out of the index itself is left out here only of what was examined: else the messages that are passed
# over would be without number. $1 is the asker, $2 the other side.
_SEEN_OF_USERS = f"""m.shown = 1 AND m.msg_id > a.below AND (
    m.target = $1 AND m.peer = $2 AND m.flags & {SENDERS} = 0
    OR m.target = $2 AND m.peer = $1 AND $1 <> $2 AND m.flags & {NOT_SENDERS} = 0)"""
_SEEN_IN_GROUP = f"""m.shown = 1 AND m.msg_id > a.below AND (
    m.target = $2 AND m.peer = 0 AND (m.flags & {HIDING} = 0
        OR (SELECT 1 FROM hidden AS h WHERE h.msg_id = m.msg_id AND h.usr = $1 LIMIT 1) IS NULL)
    OR m.target = $1 AND m.peer = $2
    OR m.sender = $1 AND m.peer = $2 AND m.peer <> m.sender AND m.target <> $1)"""
_LYING_OF_USERS = (
    "target = $1 AND peer = $2 AND shown = 1",
    "target = $2 AND peer = $1 AND shown = 1 AND $1 <> $2",
)
_LYING_IN_GROUP = (
    "target = $2 AND peer = 0 AND shown = 1",
    "target = $1 AND peer = $2 AND shown = 1",
    "sender = $1 AND peer = $2 AND peer <> 0 AND peer <> sender AND target <> $1 AND shown = 1",
)
_REPLYING = ("related = $10 AND related > 0",)


def _seek(standing: str, columns: str, searches: Sequence[str], seen: str, order: str) -> str:
    """Put together the SQL that examines the next messages in an order, and finds those that are sought.

    `columns` are those of where the asker stands that come first.
    """
    one = f"""(SELECT msg_id FROM message WHERE {{}} AND msg_id > a.below AND msg_id BETWEEN $3 AND $4
        ORDER BY msg_id {order} LIMIT $5)"""
    lying = " UNION ALL ".join(one.format(search) for search in searches)
    if len(searches) > 1:
        lying += f" ORDER BY msg_id {order} LIMIT $5"
    return f"""
WITH a AS MATERIALIZED {standing},
looked AS MATERIALIZED (
    SELECT p.msg_id FROM a CROSS JOIN LATERAL ({lying}) AS p)
SELECT {columns} ARRAY(
    SELECT m.msg_id FROM looked AS l
    CROSS JOIN LATERAL (SELECT * FROM message WHERE msg_id = l.msg_id LIMIT 1) AS m
    WHERE {seen} AND {SHOWN_AT} BETWEEN $7::bigint AND $8::bigint
        AND (cardinality($9::bigint[]) = 0 OR m.ctype = ANY ($9))
    ORDER BY m.msg_id {order} LIMIT $6),
    (SELECT count(*) FROM looked), coalesce((SELECT min(msg_id) FROM looked), 0),
    coalesce((SELECT max(msg_id) FROM looked), 0)
FROM a
"""


def _seeking(order: str, *, replies: bool) -> Question:
    """Put together what finds messages of a conversation."""
    of_users, in_group = (_REPLYING, _REPLYING) if replies else (_LYING_OF_USERS, _LYING_IN_GROUP)
    return Question(
        _seek(STANDING, "", of_users, _SEEN_OF_USERS, order),
        _seek(STANDING_IN_GROUP, "a.*,", in_group, _SEEN_IN_GROUP, order),
        _seek(STANDING_IN_ROOM, "a.*,", in_group, _SEEN_IN_GROUP, order),
    )


def _those(seen: str) -> str:
    """Put together the SQL of a subquery that finds those of some messages that are seen."""
    return f"""(SELECT m.msg_id FROM unnest($3::bigint[]) AS j (msg_id)
        CROSS JOIN LATERAL (SELECT * FROM message WHERE msg_id = j.msg_id LIMIT 1) AS m WHERE {seen})"""


_SEEK = {
    (descending, replies): _seeking("DESC" if descending else "ASC", replies=replies)
    for descending in (True, False)
    for replies in (True, False)
}
_SOME = Question(
    items_of_users(_those(_SEEN_OF_USERS)),
    items_in_group(STANDING_IN_GROUP, _those(_SEEN_IN_GROUP)),
    items_in_group(STANDING_IN_ROOM, _those(_SEEN_IN_GROUP)),
)
# Cut by size before any text is read, between messages: what is folded into one is told as a whole.
_FOLDED = f"""
WITH folds AS MATERIALIZED (
    SELECT j.place, m.msg_id, m.ctype, m.body, sum(b.size) OVER places AS upto, dense_rank() OVER places AS number
    FROM unnest($1::bigint[]) WITH ORDINALITY AS j (related, place)
    CROSS JOIN LATERAL (SELECT * FROM message AS m WHERE related = j.related AND {is_folded("m")}
            AND flags & (CASE sender WHEN $3 THEN {NOT_SENDERS | PASSING} ELSE {SENDERS | PASSING} END) = 0
        OFFSET 0) AS m
    CROSS JOIN LATERAL (SELECT size FROM body WHERE id = m.body LIMIT 1) AS b
    WINDOW places AS (ORDER BY j.place))
SELECT (SELECT min(place) - 1 FROM folds WHERE upto > $2 AND number > 1) AS cut, f.place, f.ctype, b.content,
    b.attachment
FROM folds AS f CROSS JOIN LATERAL (SELECT content, attachment FROM body WHERE id = f.body LIMIT 1) AS b
WHERE f.upto <= $2 OR f.number = 1 ORDER BY f.place, f.msg_id
"""


class Looking(Lanes):
    """The part of the `Store` port on PostgreSQL that looks for messages in conversations."""

    async def spans(self, from_ms: int, to_ms: int) -> list[Span]:
        """Say between which ids the messages of a span of time lie."""
        most = self._limits.look_hours_max
        return await self._read(lambda conn: hours.spans(conn, from_ms, to_ms, most))

    async def seek(self, asker: User, opposite: Party, sought: Sought) -> Sighted | Kind:
        """Find messages of a conversation, in one statement."""
        question = _SEEK[sought.descending, sought.root > 0]
        asked = (asker.id, opposite.id, sought.first, sought.last, sought.scan, sought.limit)
        wanted = (sought.from_ms, sought.to_ms, sorted(sought.ctypes))
        root = [sought.root] if sought.root else []

        async def work(conn: Conn) -> Sighted | Kind:
            found = await ask(conn, question, opposite, *asked, *wanted, *root)
            if isinstance(found, Kind):
                return found
            [row], at = found
            return to_sighted(sought, *row[at:])

        return await self._read(work)

    async def some(
        self, asker: User, opposite: Party, msg_ids: Sequence[int]
    ) -> dict[int, HistoryItem] | Kind:
        """Read some messages of a conversation, in one statement."""

        async def work(conn: Conn) -> dict[int, HistoryItem] | Kind:
            found = await ask(conn, _SOME, opposite, asker.id, opposite.id, msg_ids)
            return found if isinstance(found, Kind) else {item.msg_id: item for item in to_items(*found)}

        return await self._read(work)

    async def folded(self, asker: User, msg_ids: Sequence[int], bytes_max: int) -> Folds:
        """Read what was folded into messages, until it is too much."""
        found = await self._read(lambda conn: conn.fetch(_FOLDED, msg_ids, bytes_max, asker.id))
        cut = found[0]["cut"] if found else None
        told = [(msg_ids[place - 1], Fold(*fold)) for _, place, *fold in found]
        return to_folds(told, len(msg_ids) if cut is None else cut)
