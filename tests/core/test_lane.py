"""Lanes: whatever waits is done together, by one flush or few abreast."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.lane import Lane, Line
from gateway.domain.errors import Kind, Problem
from tests.patience import WAIT_S


class Work:
    """A flush that waits until it is let go, and answers ten times what was asked."""

    def __init__(self, count_max: int = 10, abreast: int = 1) -> None:
        self.flushed: list[list[int]] = []
        self.gates: list[asyncio.Event] = []
        self._begun = asyncio.Event()
        self.lane: Lane[int, int] = Lane(self._flush, Line(count_max), abreast=abreast)

    async def _flush(self, asked: list[int]) -> list[int]:
        self.flushed.append(asked)
        self.gates.append(asyncio.Event())
        self._begun.set()
        await self.gates[-1].wait()
        if 13 in asked:
            raise Problem(Kind.STORE_FAILED, "thirteen")
        return [10 * one for one in asked]

    async def under_way(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while len(self.gates) < count:
                self._begun.clear()
                await self._begun.wait()


async def test_who_waits_at_the_same_time_shares_a_flush() -> None:
    """And who comes while it is under way shares the next one, at most as many as fit."""
    work = Work(count_max=3)
    first = [work.lane.submit(number) for number in (1, 2)]
    await work.under_way(1)
    second = [work.lane.submit(number) for number in (3, 4, 5, 6)]
    work.gates[0].set()
    await work.under_way(2)
    work.gates[1].set()
    await work.under_way(3)
    work.gates[2].set()
    assert await asyncio.gather(*first, *second) == [10, 20, 30, 40, 50, 60]
    assert work.flushed == [[1, 2], [3, 4, 5], [6]]


async def test_one_that_hangs_does_not_hold_up_the_next() -> None:
    """Where two may go abreast, what comes meanwhile does not wait; a third one does."""
    work = Work(abreast=2)
    hanging = work.lane.submit(1)
    await work.under_way(1)
    second = work.lane.submit(2)
    await work.under_way(2)
    third = work.lane.submit(3)
    work.gates[1].set()
    assert await second == 20
    await work.under_way(3)
    work.gates[2].set()
    assert await third == 30
    assert not hanging.done()
    work.gates[0].set()
    assert await hanging == 10
    assert work.flushed == [[1], [2], [3]]


async def test_two_abreast_share_nothing_out_that_fits_one() -> None:
    """Who asks in the same turn goes with the one that is about to start."""
    work = Work(abreast=2)
    asked = [work.lane.submit(number) for number in range(4)]
    await work.under_way(1)
    work.gates[0].set()
    assert await asyncio.gather(*asked) == [0, 10, 20, 30]
    assert len(work.flushed) == 1


async def test_a_failure_is_told_to_all_who_share_it() -> None:
    """And to nobody else; the lane goes on."""
    work = Work()
    asked = [work.lane.submit(number) for number in (12, 13)]
    await work.under_way(1)
    work.gates[0].set()
    for future in asked:
        with pytest.raises(Problem, match="thirteen"):
            await future
    # In the very turn in which the flush has ended.
    later = work.lane.submit(14)
    await work.under_way(2)
    work.gates[1].set()
    assert await later == 140


async def test_a_lane_that_has_drained_is_at_rest() -> None:
    """Nothing waits and nothing is under way then."""
    work = Work(abreast=2)
    asked = [work.lane.submit(1)]
    await work.under_way(1)
    asked.append(work.lane.submit(2))
    await work.under_way(2)
    draining = asyncio.create_task(work.lane.drain())
    for gate in work.gates:
        assert not draining.done()
        gate.set()
    await draining
    assert [future.result() for future in asked] == [10, 20]


async def test_answers_that_are_too_few_are_nobodys() -> None:
    """Whose is missing is not known: all are told that it failed, and whoever comes next is served."""
    asked: list[int] = []

    async def flush(taken: list[int]) -> list[int]:
        asked.extend(taken)
        return taken[1:] if len(taken) > 1 else taken

    lane: Lane[int, int] = Lane(flush, Line(10))
    found = await asyncio.gather(*(lane.submit(one) for one in (1, 2, 3)), return_exceptions=True)
    assert [one.kind for one in found if isinstance(one, Problem)] == [Kind.INTERNAL] * 3
    assert await lane.submit(4) == 4
