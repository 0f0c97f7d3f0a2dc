"""Messages that append to another one, replace or answer it, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.drafts import MessageDraft
from gateway.store.postgres.lane import Conn
from gateway.store.related import Mark
from gateway.store.rows import is_folded

_RELATED = f"""
SELECT m.msg_id, m.target, m.peer, m.sender, m.ctype, m.flags, m.expires_at,
    (SELECT count(*) FROM (SELECT 1 FROM message AS f
        WHERE f.related = m.msg_id AND {is_folded("f")} LIMIT $2) AS few)
FROM message AS m WHERE m.msg_id = $1
"""
_MARK = """
UPDATE message SET related = j.related, expires_at = j.expires_at, shown = j.shown::integer
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[]) AS j (id, related, expires_at, shown)
WHERE message.msg_id = j.id
"""


async def find_related(conn: Conn, draft: MessageDraft, related_max: int) -> dict[int, list[int]]:
    """Find the message that a draft relates to, as `Related` takes it."""
    found = await conn.fetchrow(_RELATED, draft.related, related_max) if draft.related else None
    return {found[0]: list(found[1:])} if found else {}


async def mark(conn: Conn, marks: Sequence[Mark]) -> None:
    """Write what messages have beside what all have, once they stand."""
    if marks:
        await conn.execute(_MARK, *zip(*marks, strict=True))
