"""Removing what is too old on PostgreSQL, page by page, each of which is one transaction and raises floors (design §3).

Messages go in the order of their ids, oldest first. In each *timeline* ids rise in the order of its entries, for they
are drawn while its head is locked: what goes of a timeline is the beginning of it, and nothing younger is hidden behind
its floor. Between timelines ids do not rise: a transaction under way may have drawn a lower id than one that is
committed, and a page that passed it by would never come back. But a page takes only what was sent days ago, and no
transaction lives for days: `statement_timeout_ms` ends each. Were one to (a node whose clock is days ahead and not
found out), its message would stay, with all that is about it: what a page removes it has seen.

Of all nodes one page is under way at a time: it holds the row of `meta`, and who finds it held leaves the work to who
holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from gateway.domain.model import EntryKind
from gateway.store.base import Oldest, Sweeping, Swept
from gateway.store.hours import HOUR_MS
from gateway.store.postgres.heads import lock_heads
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.texts import count, release, wipe
from gateway.store.removal import JOBS_MAX, Old, Raised, conversations, freed, too_many, touched
from gateway.store.rows import EXPIRED

_TURN = "SELECT swept_to FROM meta WHERE one = 1 FOR UPDATE SKIP LOCKED"
_OLDEST = """
SELECT m.msg_id, m.at, m.target, m.peer, m.sender, m.flags, t.app
FROM message AS m JOIN timeline AS t ON t.id = m.target
WHERE m.msg_id > $1 ORDER BY m.msg_id LIMIT $2
"""
# In the order of their ids and before the heads, as a recall locks them; only those that go.
_MESSAGES = "SELECT 1 FROM message WHERE msg_id = ANY ($1::bigint[]) ORDER BY msg_id FOR UPDATE"
# A floor rises to the last entry of a message that goes, and takes along what lies between such entries. What comes
# after it, be it that somebody joined a group, may be young, and stays until a message behind it goes.
_FLOORS = f"""
SELECT t.id, t.floor, (
    SELECT e.seq FROM entry AS e WHERE e.t = t.id AND e.seq > t.floor AND e.kind = {EntryKind.MESSAGE:d}
        AND e.seq < coalesce((
            SELECT y.seq FROM entry AS y WHERE y.t = t.id AND y.seq > t.floor
                AND y.kind = {EntryKind.MESSAGE:d} AND y.msg_id > j.last ORDER BY y.seq LIMIT 1), t.head + 1)
    ORDER BY e.seq DESC LIMIT 1) AS above
FROM unnest($1::bigint[], $2::bigint[]) AS j (t, last) JOIN timeline AS t ON t.id = j.t
"""
_RAISE = """
WITH gone AS (
    DELETE FROM entry AS e USING unnest($1::bigint[], $2::bigint[]) AS j (t, above)
    WHERE e.t = j.t AND e.seq <= j.above)
UPDATE timeline SET floor = j.above FROM unnest($1::bigint[], $2::bigint[]) AS j (t, above) WHERE timeline.id = j.t
"""
_GONE = """
WITH gone AS (DELETE FROM message WHERE msg_id = ANY ($1::bigint[]) RETURNING target),
forgotten AS (DELETE FROM imported WHERE msg_id = ANY ($1::bigint[]))
SELECT t.app FROM gone JOIN timeline AS t ON t.id = gone.target
"""
_CONVERSATIONS = """
DELETE FROM conversation WHERE (usr, opp) IN (
    SELECT c.usr, c.opp FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS j (usr, opp, last)
    JOIN conversation AS c ON c.usr = j.usr AND c.opp = j.opp WHERE c.last <= j.last
    ORDER BY c.usr, c.opp FOR UPDATE OF c)
"""
# A key is forgotten with the last of its messages (design promise 5): those of one draft lie side by side.
_ANSWERED = """
WITH gone AS (
    DELETE FROM answer AS a WHERE a.last_msg_id <= $1 AND NOT EXISTS (
        SELECT 1 FROM message AS m
        WHERE m.msg_id BETWEEN a.first_msg_id AND a.last_msg_id AND NOT m.msg_id = ANY ($2::bigint[]))
    RETURNING a.draft)
DELETE FROM dedup USING gone WHERE dedup.draft = gone.draft
"""


async def sweep(conn: Conn, before: int, most: int) -> Swept:
    """Remove the oldest messages that were sent before a time, at most so many, and all that is about them alone.

    *Delivered*, READ and cursors stay: they may lie below a floor. Where another node is at it, nothing is done.
    """
    swept_to = await conn.fetchval(_TURN)
    if swept_to is None:
        return Swept(0, 0, more=False)
    found = [Old(*row) for row in await conn.fetch(_OLDEST, swept_to, most)]
    old = list(takewhile(lambda row: row.at < before, found))
    if not old:
        return Swept(swept_to, 0, more=False)
    too_old = len(old)
    await conn.execute(_MESSAGES, [row.msg_id for row in old])
    await lock_heads(conn, touched(old))
    floors = await _floors(conn, old)
    while len(old) > 1 and too_many(floors, most):
        del old[len(old) // 2 :]
        floors = await _floors(conn, old)
    last = old[-1].msg_id
    await conn.execute(_RAISE, [raised.timeline_id for raised in floors], [raised.above for raised in floors])
    removed = await _remove(conn, old)
    await conn.execute("DELETE FROM hour WHERE hour <= $1 AND last <= $2", before // HOUR_MS, last)
    await conn.execute("UPDATE meta SET swept_to = $1", last)
    return Swept(last, removed, more=len(old) < too_old or too_old == most)


async def _floors(conn: Conn, old: Sequence[Old]) -> list[Raised]:
    """Find where the floors go of all timelines that hold one of these messages; their heads are locked."""
    newest = touched(old)
    found = await conn.fetch(_FLOORS, list(newest), list(newest.values()))
    return [Raised(*row) for row in found if row[2] is not None]


async def _remove(conn: Conn, old: Sequence[Old]) -> int:
    """Remove messages with their texts, what tells of their conversations alone, and the keys they answer.

    Returns how many were there: a chatroom may have let go of some meanwhile.
    """
    ids = [row.msg_id for row in old]
    newest = conversations(old)
    users, opposites = [pair[0] for pair in newest], [pair[1] for pair in newest]
    await conn.execute(_CONVERSATIONS, users, opposites, list(newest.values()))
    await conn.execute(_ANSWERED, ids[-1], ids)
    await release(conn, ids)
    apps = [row[0] for row in await conn.fetch(_GONE, ids)]
    await count(conn, freed(apps))
    return len(apps)


_DUE = """
SELECT msg_id FROM message WHERE expires_at > 0 AND expires_at <= $1 AND body IS NOT NULL
ORDER BY expires_at, msg_id LIMIT $2
"""


async def due_ids(conn: Conn, at: int, most: int) -> list[int]:
    """Find messages whose time has come and that still have their text."""
    return [row[0] for row in await conn.fetch(_DUE, at, most)]


async def expire(conn: Conn, at: int, most: int) -> int:
    """Wipe the texts of messages whose time has come, at most so many; return of how many.

    Where another node is at it, nothing is done.
    """
    if await conn.fetchval(_TURN) is None:
        return 0
    due = await due_ids(conn, at, most)
    if due:
        await wipe(conn, due, EXPIRED)
    return len(due)


# -- when it last ran -----------------------------------------------------------------------------------


async def sweeping(conn: Conn) -> Sweeping:
    """Read how far retention has got, when it last ran, and since when it is halted."""
    return Sweeping(*await conn.fetchrow("SELECT swept_to, swept_at, halted_at FROM meta"))


async def oldest(conn: Conn) -> Oldest:
    """Read when the oldest message was sent and file uploaded, and the earliest time of a text that is there."""
    found = await conn.fetchrow(
        """SELECT
        (SELECT at FROM message WHERE msg_id > (SELECT swept_to FROM meta) ORDER BY msg_id LIMIT 1),
        (SELECT expires_at FROM message WHERE expires_at > 0 AND body IS NOT NULL ORDER BY expires_at, msg_id LIMIT 1),
        (SELECT at FROM file WHERE at > 0 ORDER BY at LIMIT 1)
        """
    )
    return Oldest(*(time or 0 for time in found))


async def mark(conn: Conn, at: int, jobs_before: int) -> None:
    """Note that retention runs at this time; forget jobs that were begun before another and are finished."""
    await conn.execute("UPDATE meta SET swept_at = $1", at)
    await conn.execute(
        """DELETE FROM job WHERE id IN (
            SELECT id FROM (SELECT * FROM job ORDER BY id LIMIT $1) AS first WHERE finished = 1 AND at < $2)""",
        JOBS_MAX,
        jobs_before,
    )


async def halt(conn: Conn, at: int) -> bool:
    """Stop: nothing is removed until `resume`. False where it was stopped before."""
    halted = await conn.fetchval("UPDATE meta SET halted_at = $1 WHERE halted_at = 0 RETURNING 1", at)
    return halted is not None


async def resume(conn: Conn, at: int) -> None:
    """Believe this time, and go on from it."""
    await conn.execute("UPDATE meta SET swept_at = $1, halted_at = 0", at)
