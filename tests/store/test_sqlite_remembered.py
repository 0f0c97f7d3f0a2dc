"""What is remembered of a store on SQLite is what its tables say, whatever happens to them."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from gateway.domain.errors import Kind
from gateway.store.base import History, Recent
from gateway.store.sqlite import conversations
from gateway.store.sqlite.histories import ITEM_BYTES
from tests.sqlite import inside
from tests.store.stage import Stage
from tests.store.test_mix import LIMITS, Mix

PAGE = 5


class Lasting(Mix):
    """Steps upon a store that stays open, for what it remembers goes with it; and what of it is told."""

    async def begin(self) -> None:
        await super().begin()
        stage, system = self.stage, self.stage.app.system_xid
        pairs = [(1, 2), (2, 1), (3, 1), (4, 4), (1, system)]
        self.pages = [(await stage.user(one), await stage.party(other), 0, PAGE) for one, other in pairs]

    async def restart(self) -> None:
        pass

    async def heard(self) -> list[History | Kind | list[Recent]]:
        """All lists, and some pages."""
        store = self.stage.store
        lists = [self.stage.recent(xid) for xid in (*self.users, self.stage.app.system_xid)]
        return [*await asyncio.gather(*lists, *(store.history(*asked) for asked in self.pages))]

    async def there(self) -> list[History | Kind | list[Recent]]:
        """The same as SQLite has it now."""
        store = inside(self.stage.store)
        ids = [await self.stage.id(xid) for xid in (*self.users, self.stage.app.system_xid)]

        def read(conn: sqlite3.Connection) -> list[History | Kind | list[Recent]]:
            return [
                *(
                    conversations.recent(conn, one, 0, store._newest.held(one), store._limits).listed
                    for one in ids
                ),
                *(conversations.history(conn, *asked) for asked in self.pages),
            ]

        return await store._look(read)


@pytest.mark.parametrize(
    ("seed", "members"),
    [
        (0, {}),
        (1, {"recent_max": 3, "cached_history_bytes_max": 20 * ITEM_BYTES}),
        (2, {"cached_recents_max": 12}),
    ],
)
async def test_what_is_remembered_is_what_would_be_read(
    tmp_path: Path, seed: int, members: dict[str, int]
) -> None:
    """After every step of any kind, and where it is asked for while that is done."""
    limits = msgspec.structs.replace(LIMITS, **members)
    async with Stage("sqlite", tmp_path / "data", limits) as stage:
        mix = Lasting(stage, seed)
        await mix.begin()
        for number in range(200):
            asks = [mix.heard()] if number % 2 else []
            await asyncio.gather(mix.step(), *asks)
            assert await mix.heard() == await mix.there()
