"""The wheel: each connection is looked at once, when it is due, and one timer is enough for all."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from gateway.core.connection import Connection
from gateway.core.wheel import Wheel
from tests.patience import WAIT_S


class Face:
    """A connection, as far as a wheel knows one."""

    moment = 0


class Looks:
    """A wheel under a clock that a test moves, and whom it has woken when."""

    def __init__(self) -> None:
        self.now = 1_000
        self.woken: list[tuple[Connection, int]] = []
        self.wheel = Wheel(lambda: self.now, lambda connection, now: self.woken.append((connection, now)))

    def turn(self, now: int) -> list[Connection]:
        """Turn the wheel at a time; return who was woken."""
        self.now, self.woken = now, []
        self.wheel.turn()
        return [connection for connection, _ in self.woken]


def faces(count: int) -> list[Connection]:
    return [cast("Connection", Face()) for _ in range(count)]


async def test_it_wakes_once_and_not_before() -> None:
    """Who is due is woken then, and not again by itself."""
    looks, [one] = Looks(), faces(1)
    looks.wheel.set(one, 1_020)
    assert looks.turn(1_019) == []
    assert looks.turn(1_020) == [one]
    assert looks.turn(9_000) == []


async def test_the_last_word_counts() -> None:
    """A connection that is set again is woken then alone, be it earlier or later."""
    looks, [one, other] = Looks(), faces(2)
    looks.wheel.set(one, 1_010)
    looks.wheel.set(one, 1_030)
    looks.wheel.set(other, 1_030)
    looks.wheel.set(other, 1_010)
    assert looks.turn(1_029) == [other]
    assert looks.turn(1_030) == [one]


async def test_who_is_dropped_is_not_woken() -> None:
    """Nor is it held, and whoever was due with it is woken all the same."""
    looks, [one, other] = Looks(), faces(2)
    looks.wheel.set(one, 1_020)
    looks.wheel.set(other, 1_020)
    looks.wheel.drop(one)
    assert looks.turn(1_020) == [other]
    looks.wheel.drop(one)


@pytest.mark.parametrize("way", [1, 31, 32, 64, 1_000, 30_000, 75_000, 86_400_000])
async def test_a_look_is_never_early_and_hardly_late(way: int) -> None:
    """By less than a 32nd of the way, and a millisecond's wait is one."""
    looks, [one] = Looks(), faces(1)
    looks.wheel.set(one, 1_000 + way)
    assert looks.turn(1_000 + way - 1) == []
    assert looks.turn(1_000 + way + max(way // 32 - 1, 0)) == [one]


async def test_those_who_come_together_share_a_moment() -> None:
    """A thousand that come within a second are a few moments in 30 s, and not a thousand timers."""
    looks = Looks()
    for one in faces(1_000):
        looks.wheel.set(one, looks.now + 30_000)
        looks.now += 1
    assert len(looks.wheel._waiting) <= 3


async def test_who_is_due_at_once_again_is_woken_by_the_next_turn() -> None:
    """A turn ends, whatever is set meanwhile."""
    looks, [one], seen = Looks(), faces(1), list[Connection]()

    def wake(connection: Connection, now: int) -> None:
        seen.append(connection)
        wheel.set(connection, now)

    wheel = Wheel(lambda: looks.now, wake)
    wheel.set(one, 1_001)
    looks.now = 1_001
    wheel.turn()
    assert seen == [one]
    assert one.moment == 1_002
    wheel.stop()


async def test_trouble_with_one_is_not_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the wheel turns on."""
    looks, [one, other], woken = Looks(), faces(2), list[Connection]()

    def wake(connection: Connection, _: int) -> None:
        if connection is one:
            raise ValueError("trouble")
        woken.append(connection)

    wheel = Wheel(lambda: looks.now, wake)
    wheel.set(one, 1_001)
    wheel.set(other, 1_001)
    looks.now = 1_001
    wheel.turn()
    assert woken == [other]
    assert "a look at a connection failed" in caplog.text


async def test_its_timer_is_set_anew_for_who_is_due_earlier() -> None:
    """By itself it wakes the earliest first, and the later ones after that."""
    [last, sooner, later], seen, woken = faces(3), list[Connection](), asyncio.Event()
    now = 1_000

    def wake(connection: Connection, _: int) -> None:
        nonlocal now
        seen.append(connection)
        now = 1_030
        if connection is later:
            woken.set()

    wheel = Wheel(lambda: now, wake)
    for connection, way in ((last, 3_600_000), (sooner, 5), (later, 30)):
        wheel.set(connection, now + way)
    now = 1_005
    async with asyncio.timeout(WAIT_S):
        await woken.wait()
    assert seen == [sooner, later]
    wheel.stop()


async def test_a_wheel_that_stands_wakes_nobody() -> None:
    """Once stopped, no timer is left."""
    looks, [one] = Looks(), faces(1)
    looks.wheel.set(one, 1_001)
    looks.wheel.stop()
    assert looks.wheel._timer is not None
    assert looks.wheel._timer.cancelled()
