"""The messages of an hour on PostgreSQL."""

from __future__ import annotations

from gateway.domain.model import ROOM
from gateway.store.base import Records, Span
from gateway.store.hours import HOUR_MS, to_records, to_spans
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.messages import MESSAGE, message_where
from gateway.store.postgres.schema import MSG_ID_BLOCK
from gateway.store.rows import IMPORTED

AHEAD = MSG_ID_BLOCK * 1024 - 1
"""How many ids further `last` is than it need be, at the most: those of so many batches."""


def covering(hours: str) -> str:
    """Put together the SQL that notes between which ids messages lie, of a query of hours with first and last ids.

    Mostly it is noted already, by whoever: then no row is written or locked.
    """
    return f"""
    INSERT INTO hour (hour, first, last) SELECT n.hour, n.first, n.last | {AHEAD} FROM ({hours}) AS n
    WHERE NOT EXISTS (SELECT 1 FROM hour AS h WHERE h.hour = n.hour AND h.first <= n.first AND h.last >= n.last)
    ORDER BY n.hour
    ON CONFLICT (hour) DO UPDATE
        SET first = least(hour.first, excluded.first), last = greatest(hour.last, excluded.last)
    """


_COVER = covering(f"SELECT $1::bigint / {HOUR_MS} AS hour, $2::bigint AS first, $3::bigint AS last")
# Whatever lies in between is looked at, of whichever app and hour, so much of it at a time: a page is as much work
# however little it finds. It is cut by size before any text is read.
_SPAN = f"FROM hour WHERE hour BETWEEN $2::bigint / {HOUR_MS} AND ($3::bigint - 1) / {HOUR_MS}"
_PAGE = f"""
WITH looked AS MATERIALIZED (
    SELECT * FROM message WHERE msg_id > $4 AND msg_id >= (SELECT min(first) {_SPAN})
        AND msg_id <= (SELECT max(last) {_SPAN}) ORDER BY msg_id LIMIT $5),
found AS MATERIALIZED (
    SELECT m.msg_id, row_number() OVER pages AS number, sum(200 + b.size) OVER pages AS size
    FROM looked AS m
    CROSS JOIN LATERAL (SELECT app FROM timeline WHERE id = m.target LIMIT 1) AS t
    CROSS JOIN LATERAL (SELECT size FROM body WHERE id = m.body LIMIT 1) AS b
    WHERE m.at >= $2 AND m.at < $3 AND m.shown = 1 AND m.flags & {IMPORTED} = 0 AND t.app = $1
        AND (SELECT type FROM grp WHERE id = m.target LIMIT 1) IS DISTINCT FROM {ROOM}
    WINDOW pages AS (ORDER BY m.msg_id ROWS UNBOUNDED PRECEDING))
SELECT l.looked, l.upto, l.found, m.*
FROM (SELECT (SELECT count(*) FROM looked) AS looked, (SELECT coalesce(max(msg_id), 0) FROM looked) AS upto,
    (SELECT count(*) FROM found) AS found) AS l
LEFT JOIN LATERAL (
    SELECT {MESSAGE}, coalesce(su.name, ''), coalesce(tu.name, '')
    FROM found AS f CROSS JOIN LATERAL {message_where("m.msg_id = f.msg_id")} AS m
    LEFT JOIN LATERAL (SELECT name FROM "user" WHERE id = m.sender LIMIT 1) AS su ON true
    LEFT JOIN LATERAL (SELECT name FROM "user" WHERE id = m.target LIMIT 1) AS tu ON true
    WHERE f.size <= $6 OR f.number = 1) AS m ON true
ORDER BY m.msg_id
"""
_SPANS = f"""
SELECT count(*), min(first), max(last), (SELECT min(msg_id) FROM imported WHERE msg_id > 0),
    (SELECT max(msg_id) FROM imported WHERE msg_id > 0)
FROM (SELECT first, last FROM hour WHERE hour BETWEEN $1::bigint / {HOUR_MS} AND $2::bigint / {HOUR_MS}
    LIMIT $3::bigint + 1) AS h
"""


async def cover(conn: Conn, at: int, first: int, last: int) -> None:
    """Note that messages with these ids were sent at this time."""
    await conn.execute(_COVER, at, first, last)


async def page(
    conn: Conn, app: int, span: tuple[int, int], after_msg_id: int, limit: int, bytes_max: int
) -> Records:
    """Read a page of the messages that were sent in a span of time."""
    rows = await conn.fetch(_PAGE, app, *span, after_msg_id, limit, bytes_max)
    looked, upto, found = rows[0][:3]
    return to_records(looked, upto, limit, found, [row[3:] for row in rows if row[3] is not None])


async def spans(conn: Conn, from_ms: int, to_ms: int, hours_max: int) -> list[Span]:
    """Say between which ids all messages lie that show a time of a span, of at most so many hours."""
    count, first, last, *imported = await conn.fetchrow(_SPANS, from_ms, to_ms, hours_max)
    return to_spans(count, hours_max, (first, last), (imported[0], imported[1]))
