"""Texts that go: what a recall, an expiry, an erasure and retention have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.store.postgres.lane import Conn

# Whoever else lets go of one of these texts waits at its message, and finds it gone.
_HELD = """
WITH held AS MATERIALIZED (
    SELECT target, body FROM message WHERE msg_id = ANY ($1::bigint[]) ORDER BY msg_id FOR UPDATE)
SELECT t.app, h.body, count(*) FROM held AS h JOIN timeline AS t ON t.id = h.target
WHERE h.body IS NOT NULL GROUP BY t.app, h.body
"""
# From whom a message was hidden is forgotten: nobody is shown it any more.
_REFS = """
WITH forgotten AS (DELETE FROM hidden WHERE msg_id = ANY ($3::bigint[]))
UPDATE body SET refs = refs - j.n
FROM (
    SELECT b.id, u.n FROM unnest($1::bigint[], $2::bigint[]) AS u (id, n) JOIN body AS b ON b.id = u.id
    ORDER BY b.id FOR UPDATE OF b) AS j
WHERE body.id = j.id
"""
_DROP = "DELETE FROM body WHERE refs <= 0 AND id = ANY ($1::bigint[]) RETURNING id, size"
_WIPE = """
UPDATE message SET shown = 0, body = NULL, flags = flags | $2 WHERE msg_id = ANY ($1::bigint[])
"""
_COUNT = """
INSERT INTO usage (app, slot, bytes)
SELECT app, $1, bytes FROM unnest($2::bigint[], $3::bigint[]) AS j (app, bytes) ORDER BY app
ON CONFLICT (app, slot) DO UPDATE SET bytes = usage.bytes + excluded.bytes
"""

CHANGES_SLOT = 0
"""The slot of `usage` that is for what recalls, expiries, erasures and retention give back."""


async def wipe(conn: Conn, msg_ids: Sequence[int], flag: int) -> None:
    """Take the texts of messages away, and say by `flag` why. A text that others still have stays for them."""
    await release(conn, msg_ids)
    await conn.execute(_WIPE, msg_ids, flag)


async def release(conn: Conn, msg_ids: Sequence[int]) -> None:
    """Let go of the texts of messages that are about to lose them, and of what they count for with their app.

    Locks the messages, in the order of their ids.
    """
    held = await conn.fetch(_HELD, msg_ids)
    if not held:
        return
    apps = {body: app for app, body, _ in held}
    await conn.execute(_REFS, list(apps), [n for _, _, n in held], msg_ids)
    freed: dict[int, int] = {}
    for body, size in await conn.fetch(_DROP, list(apps)):
        freed[apps[body]] = freed.get(apps[body], 0) - size
    await count(conn, freed)


async def count(conn: Conn, stored: Mapping[int, int]) -> None:
    """Add to (or take from) what apps store, in bytes. The last lock of a transaction."""
    if stored:
        await conn.execute(_COUNT, CHANGES_SLOT, list(stored), list(stored.values()))
