"""Reading timelines on PostgreSQL: pages of entries, what a device needs in order to attach, and ids for no message."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.model import EntryKind, Page
from gateway.domain.positions import Bearing, Standing
from gateway.store.postgres.lane import Conn, Lanes
from gateway.store.postgres.messages import MESSAGE, message_where
from gateway.store.postgres.schema import MSG_ID_BLOCK
from gateway.store.rows import to_entry, to_standings

# Cut by size before any text is read: a long one lies apart from its row and is fetched only when it is sent. A
# timeline without entries in the page is one row, whose seq is NULL.
_PAGES = f"""
SELECT j.place, t.head, t.floor, p.*
FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS j (t, first, place)
LEFT JOIN LATERAL (SELECT head, floor FROM timeline WHERE id = j.t LIMIT 1) AS t ON true
LEFT JOIN LATERAL (
    SELECT m.seq_at, m.entry_kind, m.data, {MESSAGE} FROM (
        SELECT e.seq AS seq_at, e.kind AS entry_kind, e.data, m.*, row_number() OVER pages AS number,
            sum(200 + octet_length(e.data) + coalesce(m.size, 0)) OVER pages AS upto
        FROM (SELECT * FROM entry WHERE t = j.t AND seq >= j.first ORDER BY seq LIMIT $3) AS e
        LEFT JOIN LATERAL {message_where(f"m.msg_id = e.msg_id AND e.kind = {EntryKind.MESSAGE:d}")} AS m ON true
        WINDOW pages AS (ORDER BY e.seq ROWS UNBOUNDED PRECEDING)) AS m
    WHERE m.upto <= $4 OR m.number = 1) AS p ON true
ORDER BY j.place, p.seq_at
"""
_STANDINGS = """
SELECT j.place - 1, t.head, u.delivered, d.usr IS NOT NULL,
    coalesce((SELECT seq FROM cursor WHERE usr = t.id AND sn = j.sn AND t = t.id), -1),
    s.grp, (SELECT xid FROM timeline WHERE id = s.grp), s.from_seq, s.delivered
FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS j (usr, sn, place)
CROSS JOIN LATERAL (SELECT id, head FROM timeline WHERE id = j.usr LIMIT 1) AS t
CROSS JOIN LATERAL (SELECT delivered FROM "user" WHERE id = t.id LIMIT 1) AS u
LEFT JOIN LATERAL (SELECT usr FROM device WHERE usr = t.id AND sn = j.sn LIMIT 1) AS d ON true
LEFT JOIN LATERAL (
    SELECT grp, from_seq, delivered FROM stay WHERE usr = t.id AND to_seq IS NULL OFFSET 0) AS s ON true
ORDER BY j.place, s.grp
"""
_BEARINGS = """
SELECT t.id, t.head, t.floor, coalesce((SELECT seq FROM cursor WHERE usr = j.usr AND sn = j.sn AND t = t.id), -1)
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS j (usr, sn, id, place)
CROSS JOIN LATERAL (SELECT id, head, floor FROM timeline WHERE id = j.id LIMIT 1) AS t
ORDER BY j.place
"""


class Pages(Lanes):
    """The part of the `Store` port on PostgreSQL that reads timelines."""

    async def pages(self, asked: Sequence[tuple[int, int]], limit: int, bytes_max: int) -> list[Page]:
        """Read entries of timelines, with head and floor, in one statement: one snapshot."""
        timelines, firsts = [timeline_id for timeline_id, _ in asked], [first for _, first in asked]
        found = await self._look(lambda conn: conn.fetch(_PAGES, timelines, firsts, limit, bytes_max))
        told: dict[int, Page] = {}
        for row in found:
            page = told.get(row[0])
            if page is None:
                page = told[row[0]] = Page(entries=[], floor=row[2] or 0, head=row[1] or 0)
            if row[3] is not None and (entry := to_entry(row[3], row[4], row[5], row[6:])) is not None:
                page.entries.append(entry)
        return list(told.values())

    async def standings(self, asked: Sequence[tuple[int, int]]) -> list[Standing]:
        """Attach, first query: one statement."""
        users, sns = [user_id for user_id, _ in asked], [device_sn for _, device_sn in asked]
        found = await self._look(lambda conn: conn.fetch(_STANDINGS, users, sns))
        return to_standings(found, len(asked))

    async def bearings(self, asked: Sequence[tuple[int, int, int]]) -> list[Bearing]:
        """Attach, second query: one statement."""
        users, sns, timelines = zip(*asked, strict=True) if asked else ((), (), ())
        found = await self._look(lambda conn: conn.fetch(_BEARINGS, users, sns, timelines))
        return [Bearing(*row) for row in found]

    async def reserve(self, count: int) -> int:
        """Take whole blocks of message ids, one behind the other."""
        blocks = -(-count // MSG_ID_BLOCK)

        async def work(conn: Conn) -> int:
            while True:
                drawn = await conn.fetch("SELECT nextval('msg_id') FROM generate_series(1, $1::int)", blocks)
                first: int = drawn[0][0]
                # Somebody else may have drawn a block between them.
                if drawn[-1][0] == first + (blocks - 1) * MSG_ID_BLOCK:
                    return first

        return await self._write(work)
