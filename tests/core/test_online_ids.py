"""The ids of what is not stored."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.ephemeral import IDS_BLOCK
from gateway.domain.errors import Kind, Problem
from gateway.store.sqlite import SqliteStore
from tests.core.online import Asked
from tests.core.stage import Stage, refused


class TestIds:
    """Ids come from blocks that are there before they are needed."""

    async def test_no_message_waits_for_a_block(self, stage: Stage, asked: Asked) -> None:
        """The next block is asked for in good time: over several blocks only the first message has waited."""
        ephemeral = stage.core.messaging._ephemeral
        seen = [await ephemeral.take_ids(1)]
        for _ in range(3 * IDS_BLOCK):
            seen.append(ephemeral.next_ids(1))
            await asyncio.gather(*ephemeral._tasks._running)
        assert all(seen), "a message waits for the store"
        assert seen == sorted(set(seen))
        assert asked.names.count("reserve") == 4

    async def test_many_at_once_are_consecutive(self, stage: Stage) -> None:
        """A message to many takes its ids in one piece, from the next block where this one is too short."""
        ephemeral = stage.core.messaging._ephemeral
        firsts = [await ephemeral.take_ids(700) for _ in range(10)]
        taken = [msg_id for first in firsts for msg_id in range(first, first + 700)]
        assert len(set(taken)) == len(taken)

    async def test_a_failing_store_is_named_by_who_needs_it(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While ids are there nobody hears of it; who takes the last is told, and later ones get ids again."""
        ephemeral = stage.core.messaging._ephemeral
        await ephemeral.take_ids(1)

        async def failing(_self: SqliteStore, _count: int) -> int:
            raise Problem(Kind.STORE_FAILED, "the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(SqliteStore, "reserve", failing)
            for _ in range(IDS_BLOCK - 1):
                assert ephemeral.next_ids(1)
                await asyncio.sleep(0)
            with refused(Kind.STORE_FAILED):
                await ephemeral.take_ids(1)
        assert await ephemeral.take_ids(1)
