"""What transaction keys were used for, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.drafts import MessageDraft
from gateway.store.postgres.lane import Conn

_KEYS = """
SELECT j.n, d.digest, a.first_msg_id, a.last_msg_id
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) WITH ORDINALITY AS j (app, sender_xid, key, n)
JOIN LATERAL (SELECT digest, draft FROM dedup
    WHERE app = j.app AND sender_xid = j.sender_xid AND key = j.key LIMIT 1) AS d ON true
JOIN LATERAL (SELECT first_msg_id, last_msg_id FROM answer WHERE draft = d.draft LIMIT 1) AS a ON true
"""


async def find_keys(conn: Conn, drafts: Sequence[MessageDraft]) -> dict[int, tuple[str, int, int]]:
    """Find what the keys of drafts, by their places in the list, were used for: digest, first and last id."""
    found = await conn.fetch(
        _KEYS,
        [draft.app for draft in drafts],
        [draft.sender_xid for draft in drafts],
        [draft.key for draft in drafts],
    )
    return {n - 1: (digest, first_msg_id, last_msg_id) for n, digest, first_msg_id, last_msg_id in found}
