"""Members of a chatroom that are listed at the same moment, on PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from gateway.domain.drafts import Changed
from gateway.domain.model import ROOM
from gateway.store.postgres.listed import list_in
from tests.postgres import database_of
from tests.store.meeting import until_waiting
from tests.store.stage import NOW, Stage

MANY = 4


@pytest.fixture
def engine() -> str:
    return "postgres"


async def test_nobody_locks_another_out(stage: Stage) -> None:
    """Those who wait for the chatroom go on one after the other: none is undone for the others' sake."""
    users = [await stage.user(xid) for xid in range(11, 11 + MANY)]
    made = await stage.append(stage.creation(10, type=ROOM))
    assert isinstance(made, Changed)
    room = await stage.party(made.xid)
    url = await database_of(stage.folder)
    conns: list[Any] = [await asyncpg.connect(url) for _ in range(MANY + 1)]

    async def listing(conn: Any, user_id: int) -> bool:
        async with conn.transaction():
            return await list_in(conn, room.id, [user_id], NOW, MANY)

    try:
        async with conns[MANY].transaction():
            await conns[MANY].execute("SELECT 1 FROM timeline WHERE id = $1 FOR UPDATE", room.id)
            tasks = [
                asyncio.create_task(listing(conn, user.id))
                for conn, user in zip(conns[:MANY], users, strict=True)
            ]
            await until_waiting(stage, MANY)
        assert await asyncio.gather(*tasks) == [True] * MANY
    finally:
        for conn in conns:
            await conn.close()
    assert [one.xid for one in await stage.store.listed(room.id, 0, 9)] == [user.xid for user in users]
