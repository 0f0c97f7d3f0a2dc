"""A floor: plain `sqlite3` commits the rows of our sends, to disk, and nothing else.

    sqlite_commit.py FOLDER SENDS BATCH USERS TEXT_BYTES [RATE]

The tables are the gateway's own, the rows those of sends between random pairs of users, each with a transaction id,
`BATCH` of them to a transaction, and `gateway check` finds them sound. With a RATE so many batches a second are
committed. Like the gateway's, the newest messages of conversations are told late: here at the end, all at once in the
order of the table, which is the least that it can cost. What a send costs has its share of that, the time of a commit
has not. Prints 0 (it has no port), and then as JSON what a send cost and how long a commit took. The rows are made
outside of what is measured.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

# A program is started by its path: make the project's own modules importable from wherever that is.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gateway.domain.model import ROW_BYTES
from gateway.store.hours import HOUR_MS
from gateway.store.sqlite.folder import migrate
from scripts.loadlib.histogram import Histogram

# Those of the gateway's writer.
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 8000",
    "cache_size = -65536",
    "secure_delete = ON",
)
_FIRST_KEY = 123_456_789_000_000
_AT = 1_700_000_000_000
_APP = """
INSERT INTO app (id, app_id, system, registered, recall_window_ms, next_xid, signing_kid, created_at)
VALUES (1, 'floor', 1, 0, 0, 1, '', 0)
"""
# Written once for many thousands of messages: not with each batch.
_HOUR = "INSERT INTO hour (hour, first, last) VALUES (?, 1, ?)"
_WRITES = {
    "bodies": """
        INSERT INTO body (id, refs, size, content, attachment, config, ext) VALUES (?, 1, ?, ?, '', '', '')""",
    "messages": """
        INSERT INTO message (msg_id, target, peer, sender, device_sn, seq, ctype, flags, at, body, shown)
        VALUES (?, ?, ?, ?, 0, ?, 0, 0, ?, ?, 1)""",
    "entries": """
        INSERT INTO entry (t, seq, kind, msg_id, data) VALUES (?, ?, 1, ?, '')""",
    "keys": """
        INSERT INTO dedup (key, sender, digest, first_msg_id, last_msg_id) VALUES (?, ?, ?, ?, ?)""",
    "heads": """
        UPDATE timeline SET head = ?, last = ? WHERE id = ?""",
    "stored": """
        UPDATE app SET stored_bytes = stored_bytes + ? WHERE id = 1""",
    "next_id": """
        UPDATE meta SET next_msg_id = ?, last_batch = ?""",
}
"""What a batch does to each table, by what its rows are called in `_Rows`."""
_TELL = """
INSERT INTO conversation (usr, opp, last) VALUES (?, ?, ?) ON CONFLICT (usr, opp) DO UPDATE SET last = excluded.last
"""
_TOLD = "UPDATE meta SET told_to = next_msg_id - 1"


class _Rows(NamedTuple):
    """What one batch writes, a list for each statement."""

    bodies: list[tuple[int, int, str]]
    messages: list[tuple[int, ...]]
    entries: list[tuple[int, int, int]]
    keys: list[tuple[str, int, str, int, int]]
    heads: list[tuple[int, int, int]]
    stored: list[tuple[int]]
    next_id: list[tuple[int, str]]


class _Sends:
    """Draws sends, and keeps the heads that their rows need, and the newest messages of conversations."""

    def __init__(self, users: int, text_bytes: int) -> None:
        self._random = random.Random(users)
        self._users = users
        self._text = "x" * text_bytes
        self._heads = [0] * (users + 2)
        self._next = 1
        self._pairs: dict[tuple[int, int], int] = {}

    def rows(self, count: int) -> _Rows:
        """The rows of so many sends."""
        found = _Rows([], [], [], [], [], [], [])
        last: dict[int, int] = {}
        for number in range(self._next, self._next + count):
            # Timeline 1 is the app's own user.
            sender, target = self._random.sample(range(2, self._users + 2), 2)
            for party in (target, sender):
                self._heads[party] += 1
                found.entries.append((party, self._heads[party], number))
                last[party] = number
            found.bodies.append((number, len(self._text), self._text))
            found.messages.append((number, target, sender, sender, self._heads[target], _AT, number))
            found.keys.append((str(_FIRST_KEY + number), sender, "0" * 32, number, number))
            self._pairs[target, sender] = self._pairs[sender, target] = number
        self._next += count
        found.heads.extend((self._heads[party], number, party) for party, number in last.items())
        found.stored.append(((len(self._text) + ROW_BYTES) * count,))
        found.next_id.append((self._next, f"{self._next:032}"))
        return found

    def newest(self) -> list[tuple[int, int, int]]:
        """The newest messages of all conversations, in the order of their table."""
        return [(usr, opp, last) for (usr, opp), last in sorted(self._pairs.items())]


def _open(folder: Path, users: int) -> sqlite3.Connection:
    conn = sqlite3.connect(folder / "gateway.db", isolation_level=None)
    for pragma in _PRAGMAS:
        conn.execute(f"PRAGMA {pragma}")
    migrate(conn)
    conn.execute("BEGIN")
    conn.execute(_APP)
    conn.execute(_HOUR, (_AT // HOUR_MS, 2**53 - 1))
    parties = [(number, number) for number in range(1, users + 2)]
    conn.executemany("INSERT INTO timeline (id, app, xid, kind) VALUES (?, 1, ?, 1)", parties)
    conn.executemany("INSERT INTO user (id, app, created_at) VALUES (?, 1, ?)", parties)
    conn.execute("COMMIT")
    return conn


def _commit(conn: sqlite3.Connection, rows: _Rows) -> None:
    conn.execute("BEGIN IMMEDIATE")
    for name, sql in _WRITES.items():
        conn.executemany(sql, getattr(rows, name))
    conn.execute("COMMIT")


def _tell(conn: sqlite3.Connection, newest: Sequence[tuple[int, int, int]]) -> None:
    conn.execute("BEGIN IMMEDIATE")
    conn.executemany(_TELL, newest)
    conn.execute(_TOLD)
    conn.execute("COMMIT")


def _measure(folder: Path, words: Sequence[str]) -> dict[str, float]:
    sends, batch, users, text_bytes = (int(word) for word in words[:4])
    rate = float(words[4]) if len(words) > len(("sends", "batch", "users", "text_bytes")) else 0.0
    conn = _open(folder, users)
    drawn = _Sends(users, text_bytes)
    # As the gateway is measured: every user has been named, and pages of each table are there.
    _commit(conn, drawn.rows(users))
    commits = max(1, sends // batch)
    latency = Histogram()
    cpu_s = took_s = 0.0
    start = time.monotonic()
    for number in range(commits):
        rows = drawn.rows(batch)
        if rate:
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
        cpu, clock = time.process_time(), time.monotonic()
        _commit(conn, rows)
        ended = time.monotonic()
        cpu_s += time.process_time() - cpu
        took_s += ended - clock
        latency.add(int((ended - clock) * 1e6))
    newest = drawn.newest()
    cpu, clock = time.process_time(), time.monotonic()
    _tell(conn, newest)
    cpu_s += time.process_time() - cpu
    took_s += time.monotonic() - clock
    conn.close()
    return {
        "cpu_us": cpu_s / (commits * batch) * 1e6,
        "per_s": commits * batch / took_s,
        "commits_per_s": commits / took_s,
        "p50_ms": latency.quantile_ms(0.50),
        "p99_ms": latency.quantile_ms(0.99),
    }


if __name__ == "__main__":
    print(0, flush=True)
    print(msgspec.json.encode(_measure(Path(sys.argv[1]), sys.argv[2:])).decode())
