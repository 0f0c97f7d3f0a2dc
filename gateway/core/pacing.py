"""How fast an app may send: who comes too early waits for its turn, and only who would wait too long is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import App
from gateway.domain.rates import Bucket

SLOT_MS = 10
"""Turns come in steps of this: whose turn it is at the same time shares a batch, and a batch is what costs."""

BURSTS_PER_S = 10
"""What may go at once is this part of what may go in a second: as much as the others can be made to wait for."""

_FOREVER_MS = 1 << 53
_STEPS, _STRIDE = 64, 41


class _Line:
    """Those of one app who wait, in the order they came, and how fast they go."""

    __slots__ = ("bucket", "burst", "per_s", "refused", "waiting")

    def __init__(self, per_s: int) -> None:
        self.per_s = per_s
        self.burst = max(1, per_s // BURSTS_PER_S)
        self.bucket = Bucket(per_s, self.burst)
        self.waiting = 0
        self.refused = 0

    def hold_ms(self, most_ms: int) -> int:
        """How long the next refusal is held back: from half of the most on, each for another time.

        Those who were refused together and come back at once would otherwise come together for ever.
        """
        self.refused += 1
        return most_ms * (_STEPS + self.refused * _STRIDE % _STEPS) // (2 * _STEPS)


class Pacing:
    """Keeps each app of this node to its `sends_per_s`, counted in messages: one for each target."""

    def __init__(self, limits: Limits, ticks_ms: Callable[[], int]) -> None:
        self._limits = limits
        self._now = ticks_ms
        self._lines: dict[int, _Line] = {}
        self._slots: dict[int, list[asyncio.Future[None]]] = {}

    async def turn(self, app: App, count: int) -> None:
        """Wait until this many messages of an app with a rate may go.

        Raises `RATE_LIMITED` where that would take longer than `rate_wait_ms`, and not before about that time is
        over: who asks again at once, in a loop, must not cost more than who waits. Where too many wait, at once.
        """
        line = self._line(app.id, app.limits.sends_per_s)
        patience_ms = self._limits.rate_wait_ms if line.waiting < self._limits.rate_waiting_max else 0
        later_ms = line.bucket.take(count, self._now(), patience_ms)
        if later_ms <= patience_ms:
            await self._wait(line, later_ms)
            return
        held_ms = line.hold_ms(patience_ms)
        await self._wait(line, held_ms)
        raise Problem(
            Kind.RATE_LIMITED,
            f"too fast: this app may send {line.per_s} messages a second",
            retry_after_ms=later_ms - held_ms,
        )

    def reserve(self, app: int, per_s: int, count: int) -> tuple[int, int]:
        """Take the next turn of work that is never refused midway: for how many of its messages, and in how many ms.

        No more than a burst at a time, so that sends of the app get their turns in between.
        """
        line = self._line(app, per_s)
        piece = min(count, line.burst)
        return piece, line.bucket.take(piece, self._now(), _FOREVER_MS)

    def _line(self, app: int, per_s: int) -> _Line:
        line = self._lines.get(app)
        if line is None or line.per_s != per_s:
            line = self._lines[app] = _Line(per_s)
        return line

    async def _wait(self, line: _Line, wait_ms: int) -> None:
        if not wait_ms:
            return
        now = self._now()
        slot = -(-(now + wait_ms) // SLOT_MS)
        loop = asyncio.get_running_loop()
        waiting = self._slots.get(slot)
        if waiting is None:
            waiting = self._slots[slot] = []
            loop.call_later((slot * SLOT_MS - now) / 1000, self._wake, slot)
        future: asyncio.Future[None] = loop.create_future()
        waiting.append(future)
        line.waiting += 1
        try:
            await future
        finally:
            line.waiting -= 1

    def _wake(self, slot: int) -> None:
        for future in self._slots.pop(slot):
            if not future.done():  # A device may have gone meanwhile.
                future.set_result(None)
