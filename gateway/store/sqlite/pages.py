"""Reading timelines on SQLite: pages of entries, and what a device needs in order to attach.

Every query answers with one row that holds one JSON array: one step of the statement, one return to Python.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from gateway.domain.model import Bearing, EntryKind, Page, Standing
from gateway.store.rows import to_entry, to_standings
from gateway.store.sqlite.lane import one, rows, table
from gateway.store.sqlite.messages import MESSAGE_JOINS, MESSAGE_JSON

# Cut by size before any text is read: a page of few large messages must not cost the reading of many.
_PAGE = f"""
SELECT
    (SELECT json_array(head, floor) FROM timeline WHERE id = ?1),
    (SELECT json_group_array(json_array(e.seq, e.kind, e.data, {MESSAGE_JSON}))
        FROM (
            SELECT * FROM (
                SELECT e.seq, e.kind, e.data, e.msg_id, row_number() OVER pages AS number,
                    sum(200 + length(e.data) + coalesce(b.size, 0)) OVER pages AS size
                FROM (SELECT * FROM entry WHERE t = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3) AS e
                LEFT JOIN message AS m ON m.msg_id = e.msg_id
                LEFT JOIN body AS b ON b.id = m.body
                WINDOW pages AS (ORDER BY e.seq ROWS UNBOUNDED PRECEDING))
            WHERE size <= ?4 OR number = 1) AS e
        LEFT JOIN message AS m ON m.msg_id = e.msg_id AND e.kind = {EntryKind.MESSAGE:d}
        {MESSAGE_JOINS})
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
SELECT json_group_array(json_array(t.id, t.head, t.floor, coalesce(c.seq, -1)))
FROM json_each(?) AS j CROSS JOIN timeline AS t ON t.id = json_extract(j.value, '$[2]')
LEFT JOIN cursor AS c ON c.usr = json_extract(j.value, '$[0]') AND c.sn = json_extract(j.value, '$[1]') AND c.t = t.id
"""


def page(conn: sqlite3.Connection, timeline_id: int, from_seq: int, limit: int, bytes_max: int) -> Page:
    """Read entries from `from_seq` on, with head and floor, in one statement: one snapshot."""
    about, found = one(conn, _PAGE, (timeline_id, from_seq, limit, bytes_max))
    head, floor = msgspec.json.decode(about) if about else (0, 0)
    # Sorted here, where it costs nothing: SQL promises no order to an aggregate.
    entries = [entry for row in sorted(msgspec.json.decode(found)) if (entry := to_entry(*row)) is not None]
    return Page(entries=entries, floor=floor, head=head)


def standings(conn: sqlite3.Connection, asked: Sequence[tuple[int, int]]) -> list[Standing]:
    """Read open stays, own head and *delivered*, and whether the device is kept, in one statement for all."""
    return to_standings(table(conn, _STANDINGS, (rows(asked),)))


def bearings(conn: sqlite3.Connection, asked: Sequence[tuple[int, int, int]]) -> list[Bearing]:
    """Read heads, floors and devices' cursors of the timelines they follow, in one statement for all."""
    return [Bearing(*row) for row in table(conn, _BEARINGS, (rows(asked),))]
