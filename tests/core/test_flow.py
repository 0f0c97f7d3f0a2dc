"""How fast files come in, beside everything else."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.core.flow import Flow


class Time:
    """A loop's time that goes on once everybody waits for it, and then to whoever is next."""

    def __init__(self) -> None:
        self.now = 0.0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.now

    async def sleep(self, wait_s: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self.now + wait_s, next(self._numbers), future))
        await future

    async def pass_for(self, *work: Coroutine[Any, Any, None]) -> None:
        """Let all of these come to their end."""
        done = asyncio.gather(*work)
        while not done.done():
            for _ in range(5):
                await asyncio.sleep(0)
            if self._waiting:
                self.now, _, future = heapq.heappop(self._waiting)
                future.set_result(None)
        await done


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    own = SimpleNamespace(get_running_loop=lambda: time, sleep=time.sleep)
    monkeypatch.setattr("gateway.core.flow.asyncio", own)
    return time


async def test_all_uploads_together_have_so_many_bytes_a_second(time: Time) -> None:
    """However many there are: the last of them waits for all that came before it."""
    flow = Flow(1_000_000)
    with flow.entered(1):
        await time.pass_for(*(flow.pass_on(1, 10_000) for _ in range(21)))
    assert time.now == pytest.approx(0.2)


async def test_who_came_first_has_most_of_it(time: Time) -> None:
    """The first few share four fifths, all others the rest; where there are no others they have all."""
    flow = Flow(1_000_000)
    ends: dict[int, float] = {}

    async def bring(who: int) -> None:
        with flow.entered(who):
            for _ in range(10):
                await flow.pass_on(who, 1_000)
        ends[who] = time.now

    await time.pass_for(*(bring(who) for who in range(20)))
    assert time.now < 0.4
    order = sorted(ends, key=lambda who: ends[who])
    assert set(order[: Flow.FIRST]) == set(range(Flow.FIRST))
    assert ends[order[0]] < ends[order[-1]] / 2
