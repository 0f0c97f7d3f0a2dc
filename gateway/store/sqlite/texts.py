"""Texts that go: what a recall, an expiry, an erasure and retention have in common."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.store.sqlite.lane import rows, table

_HELD = """
SELECT json_group_array(json_array(app, body, n)) FROM (
    SELECT t.app AS app, m.body AS body, count(*) AS n FROM json_each(?) AS j
    CROSS JOIN message AS m ON m.msg_id = j.value CROSS JOIN timeline AS t ON t.id = m.target
    WHERE m.body IS NOT NULL GROUP BY m.body)
"""
_REFS = """
UPDATE body SET refs = refs - j.n
FROM (SELECT json_extract(value, '$[1]') AS id, json_extract(value, '$[2]') AS n FROM json_each(?)) AS j
WHERE body.id = j.id
"""
_DROP = """
DELETE FROM body WHERE refs <= 0 AND id IN (SELECT json_extract(value, '$[1]') FROM json_each(?)) RETURNING id, size
"""


def wipe(conn: sqlite3.Connection, msg_ids: Sequence[int], flag: int) -> None:
    """Take the texts of messages away, and say by `flag` why. A text that others still have stays for them."""
    named = rows(list(msg_ids))
    release(conn, msg_ids)
    conn.execute(
        f"""UPDATE message SET shown = 0, body = NULL, flags = flags | {flag:d}
        WHERE msg_id IN (SELECT value FROM json_each(?))""",
        (named,),
    )


def release(conn: sqlite3.Connection, msg_ids: Sequence[int]) -> None:
    """Let go of the texts of messages that are about to lose them, and of what they count for with their app.

    From whom they were hidden is forgotten: nobody is shown them any more.
    """
    held = table(conn, _HELD, (rows(list(msg_ids)),))
    if not held:
        return
    conn.execute(
        "DELETE FROM hidden WHERE msg_id IN (SELECT value FROM json_each(?))", (rows(list(msg_ids)),)
    )
    named = rows(held)
    conn.execute(_REFS, (named,))
    apps = {body: app for app, body, _ in held}
    freed: dict[int, int] = {}
    for body, size in conn.execute(_DROP, (named,)).fetchall():
        freed[apps[body]] = freed.get(apps[body], 0) + size
    count(conn, {app: -size for app, size in freed.items()})


def count(conn: sqlite3.Connection, stored: dict[int, int]) -> None:
    """Add to (or take from) what apps store, in bytes."""
    for app, size in stored.items():
        conn.execute("UPDATE app SET stored_bytes = stored_bytes + ? WHERE id = ?", (size, app))
