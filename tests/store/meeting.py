"""Two nodes that do something at the same moment, on a store that both share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from gateway.store.postgres.lane import Conn
from tests.postgres import database_of
from tests.store.stage import Stage

T = TypeVar("T")
U = TypeVar("U")

WAITING = """
WITH client AS (
    SELECT pid, wait_event_type FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend')
SELECT count(*) FROM client
WHERE wait_event_type = 'Lock' AND EXISTS (SELECT 1 FROM client AS c WHERE c.pid = ANY (pg_blocking_pids(client.pid)))
"""
"""How many wait for others. Of what the server does by itself in between nothing is one who waits or is waited for."""


async def meets(
    stage: Stage, first: Callable[[Conn], Awaitable[T]], second: Awaitable[U], *, kept: bool = True
) -> tuple[T, U]:
    """Do one thing in a transaction that ends only when the other waits for it."""
    conn: Any = await asyncpg.connect(await database_of(stage.folder))
    watch: Any = await asyncpg.connect(await database_of(stage.folder))
    try:
        transaction = conn.transaction()
        await transaction.start()
        done = await first(conn)
        waiting = asyncio.ensure_future(second)
        while not await watch.fetchval(WAITING):
            assert not waiting.done()
        await (transaction.commit() if kept else transaction.rollback())
        return done, await waiting
    finally:
        await conn.close()
        await watch.close()


async def until_waiting(stage: Stage, count: int) -> None:
    """Return once so many connections wait for a lock."""
    waiting = 0
    while waiting < count:
        [(waiting,)] = await stage.ask(WAITING)
