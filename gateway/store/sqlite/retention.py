"""Removing what is too old on SQLite, page by page, each of which is one transaction and raises floors (design §3).

Messages go in the order of their ids, oldest first. That this is exact, so that nothing younger is hidden behind a
floor, rests on ids rising in each *timeline*: on SQLite one writer draws them in the order of its commits. An engine
that promises them to rise inside a conversation only cannot walk so.
"""

from __future__ import annotations

import sqlite3
from itertools import takewhile

from gateway.domain.model import EntryKind
from gateway.store.base import Oldest, Sweeping, Swept
from gateway.store.hours import HOUR_MS
from gateway.store.removal import JOBS_MAX, Old, Raised, conversations, freed, too_many, touched
from gateway.store.rows import EXPIRED
from gateway.store.sqlite.lane import one, rows, table
from gateway.store.sqlite.newest import Newest
from gateway.store.sqlite.texts import count, release, wipe
from gateway.store.sqlite.touched import Touched

_OLDEST = """
SELECT json_group_array(json_array(msg_id, at, target, peer, sender, flags, app)) FROM (
    SELECT m.msg_id, m.at, m.target, m.peer, m.sender, m.flags, t.app FROM message AS m
    CROSS JOIN timeline AS t ON t.id = m.target
    WHERE m.msg_id > ?1 ORDER BY m.msg_id LIMIT ?2)
"""
# A floor rises to the last entry of a message that goes, and takes along what lies between such entries. What comes
# after it, be it that somebody joined a group, may be young, and stays until a message behind it goes.
_FLOORS = f"""
SELECT json_group_array(json_array(t, floor, above)) FROM (
    SELECT t.id AS t, t.floor AS floor, (
        SELECT max(e.seq) FROM entry AS e WHERE e.t = t.id AND e.seq > t.floor AND e.kind = {EntryKind.MESSAGE:d}
            AND e.seq < coalesce((
                SELECT y.seq FROM entry AS y WHERE y.t = t.id AND y.seq > t.floor
                    AND y.kind = {EntryKind.MESSAGE:d} AND y.msg_id > ?2 ORDER BY y.seq LIMIT 1), t.head + 1)) AS above
    FROM json_each(?1) AS j CROSS JOIN timeline AS t ON t.id = j.value)
WHERE above IS NOT NULL
"""
_RAISE = """
UPDATE timeline SET floor = j.floor
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[2]') AS floor FROM json_each(?)) AS j
WHERE timeline.id = j.id
"""
_ENTRIES = """
DELETE FROM entry WHERE (t, seq) IN (
    SELECT e.t, e.seq FROM json_each(?) AS j
    CROSS JOIN entry AS e ON e.t = json_extract(j.value, '$[0]') AND e.seq <= json_extract(j.value, '$[2]'))
"""
_CONVERSATIONS = """
DELETE FROM conversation WHERE last <= ?1 AND (usr, opp) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?2))
"""


def sweep(conn: sqlite3.Connection, before: int, most: int, newest: Newest) -> Swept:
    """Remove the oldest messages that were sent before a time, at most so many, and all that is about them alone.

    *Delivered*, READ and cursors stay: they may lie below a floor. What a transaction key was used for is forgotten
    with the last of its messages (design promise 5).
    """
    swept_to: int = one(conn, "SELECT swept_to FROM meta")[0]
    found = sorted(Old(*row) for row in table(conn, _OLDEST, (swept_to, most)))
    old = list(takewhile(lambda row: row.at < before, found))
    if not old:
        return Swept(swept_to, 0, more=False)
    too_old = len(old)
    floors = _floors(conn, old)
    while len(old) > 1 and too_many(floors, most):
        del old[len(old) // 2 :]
        floors = _floors(conn, old)
    last = old[-1].msg_id
    raised = rows(floors)
    conn.execute(_RAISE, (raised,))
    conn.execute(_ENTRIES, (raised,))
    release(conn, [row.msg_id for row in old])
    count(conn, freed([row.app for row in old]))
    conn.execute("DELETE FROM message WHERE msg_id <= ?", (last,))
    conn.execute("DELETE FROM imported WHERE msg_id <= ?", (last,))
    conn.execute("DELETE FROM dedup WHERE last_msg_id <= ?", (last,))
    conn.execute("DELETE FROM hour WHERE hour <= ? AND last <= ?", (before // HOUR_MS, last))
    pairs = list(conversations(old))
    newest.settle(conn, pairs, {})
    conn.execute(_CONVERSATIONS, (last, rows(pairs)))
    conn.execute("UPDATE meta SET swept_to = ?", (last,))
    return Swept(last, len(old), more=len(old) < too_old or too_old == most)


def _floors(conn: sqlite3.Connection, old: list[Old]) -> list[Raised]:
    """Find where the floors go of all timelines that hold one of these messages."""
    found = table(conn, _FLOORS, (rows(list(touched(old))), old[-1].msg_id))
    return [Raised(*row) for row in found]


def expire(conn: sqlite3.Connection, at: int, most: int, touched: Touched) -> int:
    """Wipe the texts of messages whose time has come, at most so many; return of how many."""
    due = due_ids(conn, at, most)
    touched.note_messages(conn, due)
    wipe(conn, due, EXPIRED)
    return len(due)


def due_ids(conn: sqlite3.Connection, at: int, most: int) -> list[int]:
    """Find messages whose time has come and that still have their text."""
    found = conn.execute(
        """SELECT msg_id FROM message WHERE expires_at > 0 AND expires_at <= ? AND body IS NOT NULL
        ORDER BY expires_at, msg_id LIMIT ?""",
        (at, most),
    )
    return [msg_id for (msg_id,) in found.fetchall()]


# -- when it last ran -----------------------------------------------------------------------------------


def sweeping(conn: sqlite3.Connection) -> Sweeping:
    """Read how far retention has got, when it last ran, and since when it is halted."""
    return Sweeping(*one(conn, "SELECT swept_to, swept_at, halted_at FROM meta"))


def oldest(conn: sqlite3.Connection) -> Oldest:
    """Read when the oldest message was sent and file uploaded, and the earliest time of a text that is there."""
    found = one(
        conn,
        """SELECT
        (SELECT at FROM message WHERE msg_id > (SELECT swept_to FROM meta) ORDER BY msg_id LIMIT 1),
        (SELECT expires_at FROM message WHERE expires_at > 0 AND body IS NOT NULL ORDER BY expires_at, msg_id LIMIT 1),
        (SELECT at FROM file WHERE at > 0 ORDER BY at LIMIT 1)
        """,
    )
    return Oldest(*(time or 0 for time in found))


def mark(conn: sqlite3.Connection, at: int, jobs_before: int) -> None:
    """Note that retention runs at this time; forget jobs that were begun before another and are finished."""
    conn.execute("UPDATE meta SET swept_at = ?", (at,))
    conn.execute(
        """DELETE FROM job WHERE id IN (
            SELECT id FROM job WHERE id > 0 ORDER BY id LIMIT ?) AND finished = 1 AND at < ?""",
        (JOBS_MAX, jobs_before),
    )


def halt(conn: sqlite3.Connection, at: int) -> bool:
    """Stop: nothing is removed until `resume`. False where it was stopped before."""
    return conn.execute("UPDATE meta SET halted_at = ? WHERE halted_at = 0", (at,)).rowcount > 0


def resume(conn: sqlite3.Connection, at: int) -> None:
    """Believe this time, and go on from it."""
    conn.execute("UPDATE meta SET swept_at = ?, halted_at = 0", (at,))
