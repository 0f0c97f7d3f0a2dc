"""The messages of an hour on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from gateway.domain.model import ROOM
from gateway.store.base import Records, Span
from gateway.store.hours import HOUR_MS, to_records, to_spans
from gateway.store.rows import IMPORTED
from gateway.store.sqlite.lane import one
from gateway.store.sqlite.messages import MESSAGE_COLUMNS, MESSAGE_JOINS

_AHEAD = 0xFFF
"""How many ids further `last` is than it need be, at the most."""

_COVER = """
INSERT INTO hour (hour, first, last) VALUES (?, ?, ?)
ON CONFLICT (hour) DO UPDATE SET last = max(last, excluded.last)
"""
_SPAN = f"FROM hour WHERE hour BETWEEN ?2 / {HOUR_MS} AND (?3 - 1) / {HOUR_MS}"
# Whatever lies in between is looked at, of whichever app and hour, so much of it at a time: a page is as much work
# however little it finds. It is cut by size before any text is read.
_PAGE = f"""
WITH looked AS MATERIALIZED (
    SELECT * FROM message WHERE msg_id > ?4 AND msg_id >= (SELECT min(first) {_SPAN})
        AND msg_id <= (SELECT max(last) {_SPAN}) ORDER BY msg_id LIMIT ?5),
found AS MATERIALIZED (
    SELECT msg_id, row_number() OVER pages AS number, sum(200 + b.size) OVER pages AS size
    FROM looked CROSS JOIN timeline AS t ON t.id = looked.target CROSS JOIN body AS b ON b.id = looked.body
    WHERE at >= ?2 AND at < ?3 AND shown = 1 AND flags & {IMPORTED} = 0 AND t.app = ?1
        AND NOT EXISTS (SELECT 1 FROM grp AS g WHERE g.id = looked.target AND g.type = {ROOM})
    WINDOW pages AS (ORDER BY msg_id ROWS UNBOUNDED PRECEDING))
SELECT (SELECT json_array(count(*), coalesce(max(msg_id), 0)) FROM looked), (SELECT count(*) FROM found), (
    SELECT json_group_array(json_array({MESSAGE_COLUMNS}, coalesce(su.name, ''), coalesce(tu.name, '')))
    FROM found CROSS JOIN message AS m ON m.msg_id = found.msg_id {MESSAGE_JOINS}
    LEFT JOIN user AS su ON su.id = m.sender LEFT JOIN user AS tu ON tu.id = m.target
    WHERE found.size <= ?6 OR found.number = 1)
"""
_SPANS = f"""
SELECT count(*), min(first), max(last), (SELECT min(msg_id) FROM imported), (SELECT max(msg_id) FROM imported)
FROM (SELECT first, last FROM hour WHERE hour BETWEEN ?1 / {HOUR_MS} AND ?2 / {HOUR_MS} LIMIT ?3 + 1)
"""


def cover(conn: sqlite3.Connection, hours: Iterable[int], first: int, last: int) -> None:
    """Note that messages with these ids, the newest there are, are of these hours."""
    conn.executemany(_COVER, [(hour, first, last | _AHEAD) for hour in hours])


def page(
    conn: sqlite3.Connection, app: int, span: tuple[int, int], after_msg_id: int, limit: int, bytes_max: int
) -> Records:
    """Read a page of the messages that were sent in a span of time."""
    looked, found, told = one(conn, _PAGE, (app, *span, after_msg_id, limit, bytes_max))
    # Sorted here, where it costs nothing: SQL promises no order to an aggregate.
    count, upto = msgspec.json.decode(looked)
    return to_records(count, upto, limit, found, sorted(msgspec.json.decode(told)))


def spans(conn: sqlite3.Connection, from_ms: int, to_ms: int, hours_max: int) -> list[Span]:
    """Say between which ids all messages lie that show a time of a span, of at most so many hours."""
    count, first, last, *imported = one(conn, _SPANS, (from_ms, to_ms, hours_max))
    return to_spans(count, hours_max, (first, last), (imported[0], imported[1]))
