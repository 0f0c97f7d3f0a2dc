"""Stores that have held many messages for long, made in bulk: `gateway check` finds them as if each had been sent.

Users stand in a ring, and each writes in turns to the ten after it, so that stores of any size have the same users in
the same conversations, and differ in their number of messages alone. In every turn of the ring each user sends one
message and gets one: all ids and seqs are a matter of arithmetic, and the rows of a table come in the order of its key.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.domain.model import ROW_BYTES
from scripts.benchlib.calls import FIRST_UID
from scripts.loadlib.server import Spawned

USERS = 1_000
PEERS = 10
_TEXT_BYTES = 100
_FIRST_KEY = 10**18
"""All transaction ids have the same length, so that their order as texts is that as numbers."""

_NUMBER = "CREATE TEMP TABLE number (i INTEGER PRIMARY KEY)"
_NUMBERS = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < max(:users, :turns))
INSERT INTO number SELECT i FROM n
"""
# Below, u.i is the number of a user in the ring, and r.i that of a turn of it.
_TIMELINES = """
INSERT INTO timeline (id, app, xid, kind, head, last)
SELECT :timeline + i, :app, :uid + i, 1, 2 * :turns,
    :msg_id + (:turns - 1) * :users + max(i, (i + :users - 1 - (:turns - 1) % :peers) % :users)
FROM number WHERE i < :users ORDER BY i
"""
_ACCOUNTS = """
INSERT INTO user (id, app, created_at, delivered)
SELECT :timeline + i, :app, :at, 2 * :turns FROM number WHERE i < :users ORDER BY i
"""
_BODIES = """
INSERT INTO body (id, refs, size, content, attachment, config, ext)
SELECT :body + r.i * :users + u.i, 1, length(:text), :text, '', '', ''
FROM number AS r CROSS JOIN number AS u WHERE r.i < :turns AND u.i < :users ORDER BY r.i, u.i
"""
_MESSAGES = """
INSERT INTO message (msg_id, target, peer, sender, device_sn, seq, ctype, flags, at, body, shown)
SELECT :msg_id + r.i * :users + u.i, :timeline + (u.i + 1 + r.i % :peers) % :users, :timeline + u.i, :timeline + u.i, 0,
    2 * r.i + 1 + (u.i > (u.i + 1 + r.i % :peers) % :users), 0, 0, :at, :body + r.i * :users + u.i, 1
FROM number AS r CROSS JOIN number AS u WHERE r.i < :turns AND u.i < :users ORDER BY r.i, u.i
"""
# Of the two entries that a turn adds to a timeline the one of the lower msg_id comes first.
_ENTRIES = """
INSERT INTO entry (t, seq, kind, msg_id, data)
SELECT :timeline + u.i, 2 * r.i + 1 + later.i, 1, :msg_id + r.i * :users + CASE later.i
    WHEN 0 THEN min(u.i, (u.i + :users - 1 - r.i % :peers) % :users)
    ELSE max(u.i, (u.i + :users - 1 - r.i % :peers) % :users) END, ''
FROM number AS u CROSS JOIN number AS r CROSS JOIN number AS later
WHERE u.i < :users AND r.i < :turns AND later.i < 2 ORDER BY u.i, r.i, later.i
"""
_KEYS = """
INSERT INTO dedup (key, sender, digest, first_msg_id, last_msg_id)
SELECT CAST(:key + r.i AS TEXT), :timeline + u.i, '0123456789abcdef0123456789abcdef',
    :msg_id + r.i * :users + u.i, :msg_id + r.i * :users + u.i
FROM number AS r CROSS JOIN number AS u WHERE r.i < :turns AND u.i < :users ORDER BY r.i, u.i
"""
# The newest message of a pair is of the last turn with its distance.
_CONVERSATIONS = """
WITH pair AS (
    SELECT :timeline + u.i AS sender, :timeline + (u.i + 1 + p.i) % :users AS target,
        :msg_id + (:turns - 1 - (:turns - 1 - p.i) % :peers) * :users + u.i AS last
    FROM number AS u CROSS JOIN number AS p WHERE u.i < :users AND p.i < :peers)
INSERT INTO conversation (usr, opp, last, read)
SELECT target, sender, last, last FROM pair UNION ALL SELECT sender, target, last, last FROM pair
"""
_HOUR = "INSERT INTO hour (hour, first, last) VALUES (:at / 3600000, :msg_id, :msg_id + :users * :turns - 1)"
_APP = """
UPDATE app SET stored_bytes = stored_bytes + :users * :turns * (length(:text) + :row_bytes) WHERE id = :app
"""
_NEXT_ID = """
UPDATE meta SET next_msg_id = :msg_id + :users * :turns, told_to = :msg_id + :users * :turns - 1
"""
_FILLS = (
    _NUMBERS, _TIMELINES, _ACCOUNTS, _BODIES, _MESSAGES, _ENTRIES, _KEYS, _CONVERSATIONS, _HOUR, _APP, _NEXT_ID
)  # fmt: skip

_FREE = """
SELECT (SELECT id FROM app WHERE app_id = 'demo') AS app, (SELECT max(id) + 1 FROM timeline) AS timeline,
    (SELECT coalesce(max(id), 0) + 1 FROM body) AS body, (SELECT next_msg_id FROM meta) AS msg_id,
    (SELECT created_at FROM app WHERE app_id = 'demo') AS at
"""
_INDEXES = """
SELECT name, sql FROM sqlite_master
WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('message', 'dedup', 'conversation')
"""
_ALL_DELIVERED = "UPDATE user SET delivered = (SELECT head FROM timeline AS t WHERE t.id = user.id)"
_ALL_READ = "UPDATE conversation SET read = last"


def users_of(messages: int) -> int:
    """Between how many users so many messages go."""
    return max(4 * PEERS, min(USERS, messages // PEERS))


def stuff(data: Path, messages: int) -> None:
    """Make a gateway's data in a new folder, with about so many messages, all delivered and read."""
    spawned = Spawned(data, None)
    try:
        spawned.wait_ready()
    finally:
        spawned.stop()
    users = users_of(messages)
    turns = max(PEERS, messages // users)
    with closing(_open(data)) as conn:
        # Nothing here has to outlive a crash.
        conn.execute("PRAGMA journal_mode = OFF")
        conn.execute("PRAGMA synchronous = OFF")
        conn.row_factory = sqlite3.Row
        given = {
            **conn.execute(_FREE).fetchone(),
            "users": users,
            "turns": turns,
            "peers": PEERS,
            "uid": FIRST_UID,
            "key": _FIRST_KEY,
            "text": "x" * _TEXT_BYTES,
            "row_bytes": ROW_BYTES,
        }
        # An index that is made at the end is sorted once.
        indexes = conn.execute(_INDEXES).fetchall()
        for index in indexes:
            conn.execute(f"DROP INDEX {index['name']}")
        conn.execute(_NUMBER)
        for fill in _FILLS:
            conn.execute(fill, given)
        for index in indexes:
            conn.execute(index["sql"])
        conn.execute("PRAGMA journal_mode = WAL")
    # What the kernel has still to write would be written during the rounds.
    os.sync()


def settle(data: Path) -> None:
    """Have every user of a stopped gateway hold and have read all that was sent: who comes is owed nothing."""
    with closing(_open(data)) as conn:
        conn.execute(_ALL_DELIVERED)
        conn.execute(_ALL_READ)


def _open(data: Path) -> sqlite3.Connection:
    return sqlite3.connect(data / "gateway.db", isolation_level=None)
