"""Makes and changes the tables at start: one node does, the others wait for it on one row."""

from __future__ import annotations

import secrets
from typing import Any

import asyncpg

from gateway.store.errors import StoreError
from gateway.store.postgres.schema import MIGRATIONS

_TRIES = 20

_WITHIN_S = 24 * 3600.0
"""As good as for ever: what changes large tables takes its time, and the others need what it makes."""


async def migrate(conn: Any) -> str:  # noqa: ANN401 - a connection, of a pool or not
    """Apply the migrations that are missing, all in one transaction; return the epoch. Raises `StoreError`.

    Neither they nor who waits for another node's are bound by the time that statements may take otherwise.
    """
    for attempt in range(_TRIES):
        try:
            await conn.execute(
                "CREATE TABLE IF NOT EXISTS schema_version (one INTEGER PRIMARY KEY, version INTEGER NOT NULL)"
            )
            break
        except (asyncpg.UniqueViolationError, asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError):
            # IF NOT EXISTS does not keep two who begin at the same moment apart: the second finds it made.
            if attempt == _TRIES - 1:
                raise
    async with conn.transaction():
        await conn.execute(
            "SET LOCAL statement_timeout = 0;"
            "INSERT INTO schema_version (one, version) VALUES (1, 0) ON CONFLICT DO NOTHING",
            timeout=_WITHIN_S,
        )
        # The first to lock this row applies them; who waits here finds them applied.
        version = await conn.fetchval(
            "SELECT version FROM schema_version WHERE one = 1 FOR UPDATE", timeout=_WITHIN_S
        )
        if version > len(MIGRATIONS):
            raise StoreError(f"the store has schema {version}, newer than this gateway's {len(MIGRATIONS)}")
        for script in MIGRATIONS[version:]:
            await conn.execute(script, timeout=_WITHIN_S)
        await conn.execute("UPDATE schema_version SET version = $1 WHERE one = 1", len(MIGRATIONS))
        await conn.execute(
            "INSERT INTO meta (one, epoch) VALUES (1, $1) ON CONFLICT DO NOTHING", secrets.token_hex(8)
        )
        epoch: str = await conn.fetchval("SELECT epoch FROM meta WHERE one = 1")
    return epoch
