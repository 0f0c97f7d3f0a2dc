"""An app's rate: who goes at once, who waits for its turn, who is refused, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import msgspec
import pytest

from gateway.clock import ticks_ms
from gateway.core.pacing import Pacing
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import App, AppLimits
from tests.core.stage import Clock, refused

APP = App(
    id=1,
    app_id="demo",
    system_id=1,
    system_xid=1,
    registered=False,
    recall_window_ms=0,
    signing_kid="k",
    keys={},
    limits=AppLimits(sends_per_s=100),
)
OTHER = msgspec.structs.replace(APP, id=2, app_id="other")
BURST = 10


def pacing(wait_ms: int = 1_000, waiting_max: int = 100) -> Pacing:
    """By a clock that stands still: however long the machine does, too, nobody may go any earlier for it."""
    return Pacing(Limits(rate_wait_ms=wait_ms, rate_waiting_max=waiting_max), Clock())


def at_once(turn: Coroutine[None, None, None]) -> None:
    """Run to the end without a single turn of the loop."""
    with pytest.raises(StopIteration):
        turn.send(None)


def empty(paced: Pacing, app: App = APP) -> None:
    """Use up what may go at once."""
    at_once(paced.turn(app, BURST))


async def test_a_burst_goes_at_once() -> None:
    """A tenth of what may go in a second does not wait at all."""
    paced = pacing()
    for _ in range(BURST):
        at_once(paced.turn(APP, 1))


async def test_who_comes_too_early_waits_its_turn() -> None:
    """In the order they came, at the app's rate, and nobody is refused."""
    paced = pacing()
    empty(paced)
    gone: list[int] = []

    async def go(number: int) -> None:
        await paced.turn(APP, 1)
        gone.append(number)

    started = ticks_ms()
    await asyncio.gather(*(go(number) for number in range(BURST)))
    assert gone == [*range(BURST)]
    assert ticks_ms() - started >= 1_000 * BURST // APP.limits.sends_per_s


async def test_each_target_counts() -> None:
    """A send to five is five messages."""
    paced = pacing()
    empty(paced)
    started = ticks_ms()
    await paced.turn(APP, 5)
    assert ticks_ms() - started >= 50


async def test_who_would_wait_too_long_is_refused() -> None:
    """Not at once, but after half of the longest wait or more; and it is told when its turn will be."""
    clock = Clock()
    paced = Pacing(Limits(rate_wait_ms=60), clock)
    at_once(paced.turn(APP, 50))  # More than a burst: what it owes keeps the next one waiting for 410 ms.
    started = ticks_ms()
    with refused(Kind.RATE_LIMITED) as refusal:
        await paced.turn(APP, 1)
    assert ticks_ms() - started >= 30
    assert refusal.retry_after_ms is not None
    assert 410 - 60 <= refusal.retry_after_ms <= 410 - 30
    assert "100 messages a second" in refusal.sentence


async def test_a_refusal_takes_nothing() -> None:
    """However many are refused, the next turn comes as soon."""
    clock = Clock()
    paced = Pacing(Limits(rate_wait_ms=20), clock)
    at_once(paced.turn(APP, 50))
    told = await asyncio.gather(*(paced.turn(APP, 1) for _ in range(20)), return_exceptions=True)
    assert [problem.kind for problem in told if isinstance(problem, Problem)] == [Kind.RATE_LIMITED] * 20
    clock.now_ms += 410
    at_once(paced.turn(APP, 1))


async def test_those_refused_together_come_back_apart() -> None:
    """Each refusal is held back for another time, or who asks in a loop would come in one wave for ever."""
    paced = pacing(wait_ms=200)
    at_once(paced.turn(APP, 1_000))

    async def ask() -> None:
        with refused(Kind.RATE_LIMITED):
            await paced.turn(APP, 1)

    asked = [asyncio.create_task(ask()) for _ in range(40)]
    await asyncio.sleep(0)
    assert len(paced._slots) >= 5
    await asyncio.gather(*asked)


async def test_too_many_are_refused_at_once() -> None:
    """No more may wait than `rate_waiting_max` of one app, neither for a turn nor for a refusal."""
    paced = pacing(waiting_max=3)
    empty(paced)
    waiting = [asyncio.create_task(paced.turn(APP, 1)) for _ in range(3)]
    await asyncio.sleep(0)
    with refused(Kind.RATE_LIMITED) as refusal, pytest.raises(StopIteration):
        paced.turn(APP, 1).send(None)
    assert refusal.retry_after_ms
    at_once(paced.turn(OTHER, 1))
    await asyncio.gather(*waiting)


async def test_an_app_is_paced_by_itself() -> None:
    """Where one app's turns are over, another's are not."""
    paced = pacing()
    empty(paced)
    empty(paced, OTHER)


async def test_who_goes_away_takes_nobody_along() -> None:
    """A caller that is cancelled while it waits leaves the others of its slot their turn."""
    paced = Pacing(Limits(), Clock())
    fast = msgspec.structs.replace(APP, limits=AppLimits(sends_per_s=1_000))
    at_once(paced.turn(fast, 100))
    tasks = [asyncio.create_task(paced.turn(fast, 1)) for _ in range(3)]
    await asyncio.sleep(0)
    assert len(paced._slots) == 1
    tasks[1].cancel()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(what) for what in told] == [type(None), asyncio.CancelledError, type(None)]
    assert paced._lines[APP.id].waiting == 0
    assert not paced._slots


async def test_another_limit_holds_from_the_next_call_on() -> None:
    """Whoever comes after the change is paced by the new rate."""
    paced = pacing()
    empty(paced)
    faster = msgspec.structs.replace(APP, limits=AppLimits(sends_per_s=10_000))
    at_once(paced.turn(faster, 1_000))


def test_paced_work_is_never_refused() -> None:
    """It gets its turns a burst at a time, each behind the last, however late that is."""
    paced = Pacing(Limits(rate_wait_ms=60), Clock())
    owed, turns = 3 * BURST + 5, []
    while owed:
        piece, later_ms = paced.reserve(APP.id, 100, owed)
        turns.append((piece, later_ms))
        owed -= piece
    assert turns == [(10, 0), (10, 100), (10, 200), (5, 250)]


async def test_sends_get_their_turn_between_its_pieces() -> None:
    """A send that comes after a piece has been reserved stands behind that piece, and no more."""
    clock = Clock()
    paced = Pacing(Limits(rate_wait_ms=10_000), clock)
    assert paced.reserve(APP.id, 100, 1_000) == (BURST, 0)
    clock.now_ms += 10
    at_once(paced.turn(APP, 1))


async def test_it_shares_its_rate_with_sends() -> None:
    """What the work has taken is not there for a send."""
    paced = Pacing(Limits(rate_wait_ms=10), Clock())
    for _ in range(3):
        paced.reserve(APP.id, 100, 1_000)
    with refused(Kind.RATE_LIMITED):
        await paced.turn(APP, 1)
