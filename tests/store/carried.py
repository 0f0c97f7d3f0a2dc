"""Carries a store from SQLite into a database of PostgreSQL, row by row, so that tests find the same ids in both."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg

from gateway.store.sqlite.newest import BEHIND

_SAME = (
    "app_key",
    "alias",
    "credential",
    "hour",
    "user",
    "grp",
    "stay",
    "device",
    "cursor",
    "body",
    "message",
    "entry",
    "block",
    "ban",
    "grp_block",
    "request",
    "job",
    "file",
    "hidden",
    "imported",
)
"""Tables that hold the same columns in both."""

CONVERSATIONS = f"""
SELECT usr, opp, max(last) AS last, max(read) AS read, max(deleted) AS deleted, max(off) AS off FROM (
    SELECT usr, opp, last, read, deleted, off FROM conversation
    UNION ALL SELECT usr, opp, last, 0, 0, 0 FROM ({BEHIND}))
GROUP BY usr, opp"""
"""The rows of conversations, as they are where nothing is told late."""

_OTHER = {
    "conversation": CONVERSATIONS,
    "app": """SELECT id, app_id, system, registered, recall_window_ms, next_xid, signing_kid, created_at, sends_per_s,
        connections_max, message_bytes_max, storage_bytes_max FROM app""",
    "usage": "SELECT id AS app, 0 AS slot, stored_bytes AS bytes FROM app",
    "timeline": "SELECT id, app, xid, kind, head, floor, facts_version, state FROM timeline",
    "newest": "SELECT id AS grp, last AS msg_id FROM timeline WHERE kind = 2 AND last > 0",
    "dedup": """SELECT t.app, t.xid AS sender_xid, d.key, d.digest, d.first_msg_id AS draft
        FROM dedup AS d JOIN timeline AS t ON t.id = d.sender""",
    "answer": "SELECT first_msg_id AS draft, first_msg_id, last_msg_id FROM dedup",
}
"""Tables that differ, and what their rows are there."""

DRAFTS = 100
"""Numbers below this one may have been given to drafts."""


async def carry(path: Path, url: str) -> None:
    """Fill the tables, which are empty, and set the counters to where they are in the file of a store."""
    conn: Any = await asyncpg.connect(url)
    with closing(sqlite3.connect(path)) as source:
        for table, query in {**_OTHER, **{table: f'SELECT * FROM "{table}"' for table in _SAME}}.items():
            found = source.execute(query)
            columns = [column[0] for column in found.description]
            await conn.copy_records_to_table(table, records=found.fetchall(), columns=columns)
        [(next_msg_id, swept_to)] = source.execute("SELECT next_msg_id, swept_to FROM meta").fetchall()
        await conn.execute(f"ALTER SEQUENCE msg_id RESTART WITH {next_msg_id}")
        await conn.execute(f"ALTER SEQUENCE draft_id RESTART WITH {DRAFTS}")
        await conn.execute("UPDATE meta SET swept_to = $1", swept_to)
    await conn.close()
