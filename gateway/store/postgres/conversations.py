"""Reading conversations on PostgreSQL: history pages with computed status, and the recent list with unread counts.

Every question is one statement, so one snapshot. What must be found through an index, row by row, stands in a LATERAL
subquery or a scalar one with a LIMIT of its own, which the planner cannot turn into a join of whole tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gateway.domain.errors import Kind
from gateway.domain.model import ROOM, SAFE_MAX, HistoryItem, Message, Scope, Status, User
from gateway.store.base import History, Party, Readers, Recent, Records, Remembered
from gateway.store.postgres import hours, undelivered
from gateway.store.postgres.directed import directed_read, newest_directed
from gateway.store.postgres.lane import Conn, Lanes
from gateway.store.postgres.messages import MESSAGE, message_where
from gateway.store.postgres.stays import others_reach, place_of
from gateway.store.rows import (
    HIDING,
    NOT_SENDERS,
    NOTICE,
    SENDERS,
    SETTLED,
    UNCOUNTED,
    to_history,
    to_message,
)
from gateway.store.stays import around, at_seq

# An enum's own call costs more than all else that is done with a row's number.
_STATUSES = tuple(Status)


# Where the asker stands in a conversation: up to which message it is hidden, what of it the asker has read, and of a
# group what the asker has got, too. Who is no member has no row there.
STANDING = """(SELECT coalesce(max(deleted), 0) AS below, coalesce(max(read), 0) AS read
    FROM conversation WHERE usr = $1::bigint AND opp = $2::bigint)"""
STANDING_IN_GROUP = """(SELECT greatest(deleted, from_msg - 1) AS below, read, delivered FROM stay
    WHERE usr = $1::bigint AND grp = $2::bigint AND to_seq IS NULL)"""
STANDING_IN_ROOM = f"""(SELECT destroyed_at,
        EXISTS (SELECT 1 FROM grp_block WHERE grp = $2 AND usr = $1::bigint) AS blocked,
        0 AS below, 0 AS read, 0 AS delivered
    FROM grp WHERE id = $2::bigint AND type = {ROOM})"""


class Question(NamedTuple):
    """What is asked of a conversation, as SQL: of one of two users, of a group that one is in, and of a chatroom.

    In the rows of the latter two the columns of where the asker stands come first, and one is there in any case.
    """

    of_users: str
    of_group: str
    of_room: str


async def ask(
    conn: Conn, question: Question, opposite: Party, *asked: object
) -> tuple[list[Any], int] | Kind:
    """Ask of a conversation; return the rows, and from which column on they hold the answer."""
    if opposite.scope is Scope.USER:
        return await conn.fetch(question.of_users, *asked), 0
    found = await conn.fetch(question.of_group, *asked)
    if found:
        return found, 3
    # Anybody may look at what a chatroom keeps who is not kept out. Nobody's position is in it.
    found = await conn.fetch(question.of_room, *asked)
    if not found:
        return Kind.NOT_A_MEMBER
    destroyed_at, blocked = found[0][:2]
    if destroyed_at is not None:
        return Kind.GROUP_UNKNOWN
    return Kind.GROUP_BLOCKED if blocked else (found, 5)


def items_of_users(found: str) -> str:
    """Put together the SQL for the items of messages of two users, whose ids a subquery finds, newest first."""
    return f"""
SELECT CASE WHEN m.flags & {SETTLED} <> 0 THEN 2 WHEN m.flags & {SENDERS} <> 0 THEN 0
    WHEN m.sender = $1 AND m.target <> $1 THEN
        CASE WHEN m.msg_id <= coalesce((SELECT read FROM conversation WHERE usr = m.target AND opp = $1), 0) THEN 2
             WHEN m.seq BETWEEN 1 AND (SELECT delivered FROM "user" WHERE id = m.target) THEN 1 ELSE 0 END
    WHEN m.msg_id <= a.read THEN 2
    WHEN m.seq BETWEEN 1 AND (SELECT delivered FROM "user" WHERE id = $1) THEN 1 ELSE 0 END, {MESSAGE}
FROM {STANDING} AS a
CROSS JOIN LATERAL {found} AS p
CROSS JOIN LATERAL {message_where("m.msg_id = p.msg_id")} AS m
ORDER BY m.msg_id DESC
"""


def items_in_group(standing: str, found: str) -> str:
    """Put together the SQL for the items of messages of a group, whose ids a subquery finds, newest first.

    A stay is around a message when its own seqs enclose the message's; none delivers what was imported, which has the
    seq 0. What went to some members only is found with its receiver and with its sender, and has its status as between
    users. Where nothing is found there is one row without a message.
    """
    return f"""
SELECT a.*, m.* FROM {standing} AS a
LEFT JOIN LATERAL (
    SELECT CASE
        WHEN m.flags & {SETTLED} <> 0 THEN 2
        WHEN m.peer <> 0 THEN
            CASE WHEN CASE m.target WHEN $1 THEN m.msg_id <= a.read
                      ELSE {directed_read("$2", "m.target", "m.msg_id")} END THEN 2
                 WHEN m.seq <= (SELECT delivered FROM "user" WHERE id = m.target) THEN 1 ELSE 0 END
        WHEN m.sender = $1 THEN
            CASE WHEN {others_reach("read", "$2", "m.msg_id", place_of("m"), "$1")} THEN 2
                 WHEN {others_reach("delivered", "$2", "m.seq", at_seq("m.seq"), "$1")} THEN 1 ELSE 0 END
        ELSE CASE WHEN m.msg_id <= a.read THEN 2 WHEN m.seq BETWEEN 1 AND a.delivered THEN 1 ELSE 0 END END,
        {MESSAGE}
    FROM {found} AS p
    CROSS JOIN LATERAL {message_where("m.msg_id = p.msg_id")} AS m) AS m ON true
ORDER BY m.msg_id DESC
"""


def _newest(*searches: str) -> str:
    """Put together the SQL of the newest shown messages that several searches of the index find together."""
    one = "(SELECT msg_id FROM message WHERE {} AND msg_id > a.below AND msg_id <= $3 ORDER BY msg_id DESC LIMIT $4)"
    found = " UNION ALL ".join(one.format(search) for search in searches)
    return f"({found} ORDER BY msg_id DESC LIMIT $4)"


# The two directions of a P2P conversation. A notice lies in its receiver's history only. The reserved user `system`
# holds no conversations of its own, yet may look back at what it sent.
_OF_USERS = _newest(
    f"target = $1 AND peer = $2 AND shown = 1 AND flags & {SENDERS} = 0",
    f"target = $2 AND peer = $1 AND shown = 1 AND $1 <> $2 AND flags & {NOT_SENDERS} = 0",
)
_UNHIDDEN = f"""(flags & {HIDING} = 0
    OR (SELECT 1 FROM hidden AS h WHERE h.msg_id = message.msg_id AND h.usr = $1 LIMIT 1) IS NULL)"""
_IN_GROUP = _newest(
    f"target = $2 AND peer = 0 AND shown = 1 AND {_UNHIDDEN}",
    "target = $1 AND peer = $2 AND shown = 1",
    "sender = $1 AND peer = $2 AND peer <> 0 AND peer <> sender AND target <> $1 AND shown = 1",
)
_HISTORY = Question(
    items_of_users(_OF_USERS),
    items_in_group(STANDING_IN_GROUP, _IN_GROUP),
    items_in_group(STANDING_IN_ROOM, _IN_GROUP),
)
# Own messages lie between others' in a group, so the count looks at a bounded number of the newest.
_RECENT = f"""
WITH recent AS MATERIALIZED (
    SELECT * FROM (
        (SELECT opp AS xid_of, last, read, deleted, 0::bigint AS grp, off FROM conversation
        WHERE usr = $1 AND last > deleted AND last > off AND $5::bigint = 0 ORDER BY last DESC LIMIT $2)
        UNION ALL
        SELECT s.grp, greatest((SELECT msg_id FROM newest WHERE grp = s.grp), {newest_directed("$1", "s.grp")}),
            s.read, greatest(s.deleted, s.from_msg - 1), s.grp, s.off
        FROM stay AS s WHERE s.usr = $1 AND s.to_seq IS NULL AND ($5 = 0 OR s.grp = $5)) AS r
    WHERE last > deleted AND last > off
    ORDER BY last DESC LIMIT $2)
SELECT (SELECT xid FROM timeline WHERE id = r.xid_of),
    CASE WHEN r.grp = 0 THEN (
        SELECT count(*) FROM (SELECT 1 FROM (
            SELECT flags FROM message WHERE target = $1 AND peer = r.xid_of AND $1 <> r.xid_of AND shown = 1
                AND msg_id > greatest(r.read, r.deleted) AND flags & {SETTLED} = 0 ORDER BY msg_id DESC LIMIT $4) AS c
            WHERE flags & {UNCOUNTED | SENDERS} = 0 LIMIT $3) AS c)
    ELSE least($3, (
        SELECT CASE WHEN count(*) FILTER (WHERE flags & {UNCOUNTED} = 0) > $4 THEN $3
            ELSE count(*) FILTER (WHERE sender <> $1 AND flags & {UNCOUNTED} = 0) END FROM (
            SELECT sender, flags FROM message WHERE target = r.grp AND peer = 0 AND shown = 1
                AND msg_id > greatest(r.read, r.deleted) AND flags & {SETTLED} = 0
            ORDER BY msg_id DESC LIMIT $4 + 1) AS c) + (
        SELECT count(*) FROM (SELECT 1 FROM (
            SELECT flags FROM message WHERE target = $1 AND peer = r.grp AND shown = 1
                AND sender <> $1 AND msg_id > greatest(r.read, r.deleted) ORDER BY msg_id DESC LIMIT $4) AS c
            WHERE flags & {UNCOUNTED} = 0 LIMIT $3) AS c)) END, r.last
FROM recent AS r
WHERE (SELECT 1 FROM message WHERE target = $1 AND peer = r.xid_of AND shown = 1 AND msg_id > r.deleted
        AND flags & {SENDERS} = 0 LIMIT 1) = 1
    OR (SELECT 1 FROM message WHERE target = r.xid_of AND shown = 1 AND msg_id > r.deleted
        AND peer = CASE WHEN r.grp = 0 THEN $1 ELSE 0 END AND (r.grp <> 0 OR flags & {NOT_SENDERS} = 0) LIMIT 1) = 1
    OR (SELECT 1 FROM message WHERE sender = $1 AND peer = r.grp AND peer <> 0 AND peer <> sender
        AND shown = 1 AND msg_id > r.deleted LIMIT 1) = 1
ORDER BY r.last DESC
"""
_MESSAGE = f"""
SELECT {MESSAGE} FROM {message_where("m.msg_id = $2")} AS m JOIN timeline AS t ON t.id = m.target WHERE t.app = $1
"""
_TARGETS = """
SELECT m.msg_id, m.at, t.xid FROM message AS m JOIN timeline AS t ON t.id = m.target
WHERE m.msg_id BETWEEN $2 AND $3 AND t.app = $1
"""
_AROUND = f"s.grp = m.target AND s.usr <> m.sender AND {around('s', place_of('m'))}"
# Whatever the position, where everybody has read it.
_READ_FROM = f"(CASE WHEN m.flags & {SETTLED} <> 0 THEN 0 ELSE m.msg_id END)"
_READERS = f"""
SELECT (SELECT count(*) FROM stay AS s WHERE s.read >= {_READ_FROM} AND {_AROUND}),
    (SELECT count(*) FROM stay AS s WHERE s.read < {_READ_FROM} AND {_AROUND}),
    ARRAY(SELECT u.xid FROM stay AS s CROSS JOIN LATERAL (SELECT xid FROM timeline WHERE id = s.usr LIMIT 1) AS u
        WHERE s.read >= {_READ_FROM} AND {_AROUND} AND u.xid > $3 ORDER BY u.xid LIMIT $4),
    ARRAY(SELECT u.xid FROM stay AS s CROSS JOIN LATERAL (SELECT xid FROM timeline WHERE id = s.usr LIMIT 1) AS u
        WHERE s.read < {_READ_FROM} AND {_AROUND} ORDER BY u.xid LIMIT $5)
FROM message AS m JOIN timeline AS t ON t.id = m.target WHERE m.msg_id = $2 AND m.peer = 0 AND t.app = $1
"""
_TRANSACTION = """
SELECT d.digest, a.first_msg_id, a.last_msg_id FROM dedup AS d JOIN answer AS a ON a.draft = d.draft
WHERE d.app = $1 AND d.sender_xid = $2 AND d.key = $3
"""


class Conversations(Lanes):
    """The part of the `Store` port on PostgreSQL that reads conversations."""

    async def history(self, asker: User, opposite: Party, start: int, limit: int) -> History | Kind:
        """Page a conversation: one message further than asked tells what is next."""
        asked = (asker.id, opposite.id, start or SAFE_MAX, limit + 1)

        async def work(conn: Conn) -> History | Kind:
            found = await ask(conn, _HISTORY, opposite, *asked)
            return found if isinstance(found, Kind) else to_history(to_items(*found), limit)

        return await self._read(work)

    async def recent(self, user_id: int, group_id: int = 0) -> list[Recent]:
        """List recent conversations, whatever the number of messages (lanying.md, unread)."""
        limits = self._limits
        asked = (user_id, limits.recent_max, limits.unread_max, limits.unread_scan_max, group_id)
        return [Recent(*row) for row in await self._read(lambda conn: conn.fetch(_RECENT, *asked))]

    async def hour(
        self, app: int, from_ms: int, to_ms: int, after_msg_id: int, limit: int, bytes_max: int
    ) -> Records:
        """Page through the messages of an app that were sent in a span of time."""
        span = (from_ms, to_ms)
        return await self._read(lambda conn: hours.page(conn, app, span, after_msg_id, limit, bytes_max))

    async def message(self, app: int, msg_id: int) -> Message | None:
        """Find a message of the app."""
        found = await self._read(lambda conn: conn.fetchrow(_MESSAGE, app, msg_id))
        return to_message(found) if found else None

    async def targets(self, app: int, first_msg_id: int, last_msg_id: int) -> dict[int, tuple[int, int]]:
        """Name whom messages that lie side by side went to: their ids and times by xid."""
        found = await self._read(lambda conn: conn.fetch(_TARGETS, app, first_msg_id, last_msg_id))
        return {xid: (msg_id, at) for msg_id, at, xid in found}

    async def readers(
        self, app: int, msg_id: int, after_xid: int, limit: int, *, unread_max: int = 0
    ) -> Readers:
        """Count who has read a group's message and who has not, and list a page of either."""
        asked = (app, msg_id, after_xid, limit, unread_max)
        found = await self._read(lambda conn: conn.fetchrow(_READERS, *asked))
        return Readers(*found) if found else Readers(0, 0, [])

    async def undelivered(self, user_id: int) -> int:
        """Count what no device of a user has got yet."""
        most = self._limits.undelivered_max
        return await self._read(lambda conn: undelivered.undelivered(conn, user_id, most))

    async def awaits(self, user_id: int, msg_id: int) -> bool | None:
        """Say whether a message for a user is UNREAD."""
        return await self._read(lambda conn: undelivered.awaits(conn, user_id, msg_id))

    async def transaction(self, app: int, sender_xid: int, key: str) -> Remembered | None:
        """Look up what a transaction key was used for."""
        found = await self._read(lambda conn: conn.fetchrow(_TRANSACTION, app, sender_xid, key))
        return Remembered(*found) if found else None


def to_items(found: Sequence[Any], at: int) -> list[HistoryItem]:
    """Make the items of rows that hold status and message from column `at` on, or no message."""
    return [_item(row[at], row[at + 1 :]) for row in found if row[at + 1] is not None]


def _item(status: int, row: Sequence[Any]) -> HistoryItem:
    """Build an item of the columns of a message; what went to some members of a group lies with that group."""
    return HistoryItem(
        msg_id=row[0],
        sender_xid=row[2],
        sender_sn=row[3],
        target_xid=row[15] or row[4],
        ctype=row[5],
        content=row[6] or "",
        attachment=row[7] or "",
        config=row[8] or "",
        ext=row[9] or "",
        at=row[10],
        notice=bool(row[11] & NOTICE),
        expires_at=row[14],
        status=_STATUSES[status],
    )
