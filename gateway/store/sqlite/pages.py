"""Reading timelines on SQLite: pages of entries, and what a device needs in order to attach.

Every query answers with rows that hold a JSON array each, most with one: one step of the statement for each, and one
return to Python.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from gateway.domain.model import SAFE_MAX, Entry, EntryKind, Page
from gateway.domain.positions import Bearing, Standing
from gateway.store.rows import to_entry, to_standings
from gateway.store.sqlite.lane import rows, table
from gateway.store.sqlite.messages import MESSAGE_COLUMNS, MESSAGE_JOINS

_TIMELINE, _FIRST = "json_extract(j.value, '$[0]')", "json_extract(j.value, '$[1]')"
_WINDOW = f"(SELECT * FROM entry WHERE t = {_TIMELINE} AND seq >= {_FIRST} ORDER BY seq LIMIT ?2)"
# A page is a row: one step of the statement, one return to Python. It is cut by size before any text is read, for one
# of few large messages must not cost the reading of many; and only one that is too large is measured entry by entry.
_PAGES = f"""
SELECT j.key, t.head, t.floor,
    (SELECT json_group_array(json_array(e.seq, e.kind, e.data, {MESSAGE_COLUMNS}))
        FROM (SELECT * FROM entry WHERE t = {_TIMELINE} AND seq >= {_FIRST} AND seq <= iif(
            (SELECT sum(200 + length(e.data) + coalesce(b.size, 0)) FROM {_WINDOW} AS e
                LEFT JOIN message AS m ON m.msg_id = e.msg_id LEFT JOIN body AS b ON b.id = m.body) <= ?3,
            {SAFE_MAX},
            (SELECT max(seq) FROM (
                SELECT e.seq, row_number() OVER pages AS number,
                    sum(200 + length(e.data) + coalesce(b.size, 0)) OVER pages AS size FROM {_WINDOW} AS e
                LEFT JOIN message AS m ON m.msg_id = e.msg_id LEFT JOIN body AS b ON b.id = m.body
                WINDOW pages AS (ORDER BY e.seq ROWS UNBOUNDED PRECEDING))
                WHERE size <= ?3 OR number = 1))
            ORDER BY seq LIMIT ?2) AS e
        LEFT JOIN message AS m ON m.msg_id = e.msg_id AND e.kind = {EntryKind.MESSAGE:d}
        {MESSAGE_JOINS})
FROM json_each(?1) AS j LEFT JOIN timeline AS t ON t.id = {_TIMELINE}
"""
_STANDINGS = """
SELECT json_group_array(json_array(j.key, t.head, u.delivered, d.usr IS NOT NULL, coalesce(c.seq, -1),
    s.grp, g.xid, s.from_seq, s.delivered))
FROM json_each(?) AS j
CROSS JOIN timeline AS t ON t.id = json_extract(j.value, '$[0]') CROSS JOIN user AS u ON u.id = t.id
LEFT JOIN device AS d ON d.usr = t.id AND d.sn = json_extract(j.value, '$[1]')
LEFT JOIN cursor AS c ON c.usr = d.usr AND c.sn = d.sn AND c.t = t.id
LEFT JOIN stay AS s ON s.usr = t.id AND s.to_seq IS NULL
LEFT JOIN timeline AS g ON g.id = s.grp
"""
_BEARINGS = """
SELECT json_group_array(json_array(j.key, t.id, t.head, t.floor, coalesce(c.seq, -1)))
FROM json_each(?) AS j CROSS JOIN timeline AS t ON t.id = json_extract(j.value, '$[2]')
LEFT JOIN cursor AS c ON c.usr = json_extract(j.value, '$[0]') AND c.sn = json_extract(j.value, '$[1]') AND c.t = t.id
"""


def pages(
    conn: sqlite3.Connection, asked: Sequence[tuple[int, int]], limit: int, bytes_max: int
) -> list[Page]:
    """Read pages, each with head and floor, in one statement: one snapshot."""
    found = conn.execute(_PAGES, (rows(asked), limit, bytes_max)).fetchall()
    return [
        Page(entries=_entries(told), floor=floor or 0, head=head or 0)
        for _, head, floor, told in sorted(found)
    ]


def _entries(told: str) -> list[Entry]:
    # Sorted here, where it costs nothing: SQL promises no order to an aggregate.
    found = sorted(msgspec.json.decode(told))
    return [entry for row in found if (entry := to_entry(row[0], row[1], row[2], row[3:])) is not None]


def standings(conn: sqlite3.Connection, asked: Sequence[tuple[int, int]]) -> list[Standing]:
    """Read open stays, own head and *delivered*, and whether the device is kept, in one statement for all."""
    return to_standings(table(conn, _STANDINGS, (rows(asked),)), len(asked))


def bearings(conn: sqlite3.Connection, asked: Sequence[tuple[int, int, int]]) -> list[Bearing]:
    """Read heads, floors and devices' cursors of the timelines they follow, in one statement for all."""
    # Sorted, for SQL promises no order to an aggregate, and by it a device would be taken for another.
    return [Bearing(*row) for _, *row in sorted(table(conn, _BEARINGS, (rows(asked),)))]
