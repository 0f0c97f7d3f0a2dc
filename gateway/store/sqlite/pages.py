"""Reading timelines on SQLite: pages of entries, and what a device needs in order to attach.

Every query answers with one row that holds one JSON array: one step of the statement, one return to Python.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from gateway.domain.model import Bearing, EntryKind, Page, Standing, Stay
from gateway.store.rows import to_entry
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
_STANDING = """
SELECT t.head, u.delivered, EXISTS (SELECT 1 FROM device WHERE usr = ?1 AND sn = ?2),
    (SELECT json_group_array(json_array(s.grp, g.xid, s.from_seq, s.delivered))
        FROM stay AS s CROSS JOIN timeline AS g ON g.id = s.grp WHERE s.usr = ?1 AND s.to_seq IS NULL)
FROM timeline AS t JOIN user AS u ON u.id = t.id WHERE t.id = ?1
"""
_BEARINGS = """
SELECT json_group_array(json_array(t.id, t.head, t.floor, coalesce(c.seq, -1)))
FROM json_each(?3) AS j CROSS JOIN timeline AS t ON t.id = j.value
LEFT JOIN cursor AS c ON c.usr = ?1 AND c.sn = ?2 AND c.t = t.id
"""


def page(conn: sqlite3.Connection, timeline_id: int, from_seq: int, limit: int, bytes_max: int) -> Page:
    """Read entries from `from_seq` on, with head and floor, in one statement: one snapshot."""
    about, found = one(conn, _PAGE, (timeline_id, from_seq, limit, bytes_max))
    head, floor = msgspec.json.decode(about) if about else (0, 0)
    # Sorted here, where it costs nothing: SQL promises no order to an aggregate.
    entries = [entry for row in sorted(msgspec.json.decode(found)) if (entry := to_entry(*row)) is not None]
    return Page(entries=entries, floor=floor, head=head)


def standing(conn: sqlite3.Connection, user_id: int, device_sn: int) -> Standing:
    """Read a user's open stays, own head and *delivered*, and whether the device is kept, in one statement."""
    head, delivered, kept, stays = one(conn, _STANDING, (user_id, device_sn))
    return Standing(head, delivered, bool(kept), [Stay(*stay) for stay in msgspec.json.decode(stays)])


def bearings(
    conn: sqlite3.Connection, user_id: int, device_sn: int, timeline_ids: Sequence[int]
) -> list[Bearing]:
    """Read heads, floors and the device's cursors of the timelines it follows, in one statement."""
    return [Bearing(*row) for row in table(conn, _BEARINGS, (user_id, device_sn, rows(timeline_ids)))]
