"""Messages that append to another one, replace or answer it, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.domain.drafts import MessageDraft
from gateway.store.related import Mark
from gateway.store.rows import is_folded
from gateway.store.sqlite.lane import rows, table

_RELATED = f"""
SELECT json_group_array(json_array(m.msg_id, m.target, m.peer, m.sender, m.ctype, m.flags, m.expires_at,
    (SELECT count(*) FROM (SELECT 1 FROM message AS f
        WHERE f.related = m.msg_id AND {is_folded("f")} LIMIT ?2))))
FROM json_each(?1) AS j CROSS JOIN message AS m ON m.msg_id = j.value
"""
_FOLDED = f"""
SELECT json_group_array(f.msg_id) FROM message AS f WHERE f.related = ? AND {is_folded("f")}
"""
# Plain messages are inserted without these columns, so that no other send pays for them.
_MARK = """
UPDATE message SET related = j.related, expires_at = j.expires_at, shown = j.shown
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS related,
             json_extract(value, '$[2]') AS expires_at, json_extract(value, '$[3]') AS shown FROM json_each(?)) AS j
WHERE message.msg_id = j.id
"""


def find_related(
    conn: sqlite3.Connection, drafts: Sequence[MessageDraft], related_max: int
) -> dict[int, list[int]]:
    """Find the messages that drafts relate to, as `Related` takes them."""
    named = {draft.related for draft in drafts if draft.related}
    if not named:
        return {}
    return {row[0]: row[1:] for row in table(conn, _RELATED, (rows(list(named)), related_max))}


def mark(conn: sqlite3.Connection, marks: Sequence[Mark]) -> None:
    """Write what messages have beside what all have, once they stand."""
    if marks:
        conn.execute(_MARK, (rows(marks),))


def folded_into(conn: sqlite3.Connection, msg_id: int) -> list[int]:
    """Find the messages that append to this one or replace it."""
    found: list[int] = table(conn, _FOLDED, (msg_id,))
    return found
