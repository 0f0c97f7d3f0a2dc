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
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND backend_type = 'client backend'
"""
"""How many wait for others; what the server does by itself in between is nobody's second."""


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
