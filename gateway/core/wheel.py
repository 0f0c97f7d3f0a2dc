"""The wheel: when each connection is to be looked at next, with one timer for all of them."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable

from gateway.core.connection import Connection

log = logging.getLogger(__name__)

LATENESS = 32
"""A look may be late by the whole way divided by this."""


class Wheel:
    """Calls `wake` for each connection once, at the time that was set for it or a little later.

    Moments that are far off are rounded up, by up to a 32nd of the way: those who come at about the same time share
    one, and ten thousand silent devices are a few timers a second, each of which touches those only that it is for.
    Times are those of `ticks_ms`.
    """

    def __init__(self, ticks_ms: Callable[[], int], wake: Callable[[Connection, int], None]) -> None:
        self._now = ticks_ms
        self._wake = wake
        self._waiting: dict[int, dict[Connection, None]] = {}
        # Of what waits, as a heap.
        self._moments: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def set(self, connection: Connection, at: int) -> None:
        """Wake a connection then, and not when it was to be woken before."""
        self.drop(connection)
        now = self._now()
        # The greatest power of two that is no more than so late.
        step = 1 << (max((at - now) // LATENESS, 1).bit_length() - 1)
        # Never at once: whoever is set anew while the wheel turns is woken by its next turn.
        moment = max(-(-at // step) * step, now + 1)
        waiting = self._waiting.get(moment)
        if waiting is None:
            waiting = self._waiting[moment] = {}
            heapq.heappush(self._moments, moment)
            if self._moments[0] == moment:
                self._arm(moment - now)
        waiting[connection] = None
        connection.moment = moment

    def drop(self, connection: Connection) -> None:
        """Wake a connection no more, and do not hold it."""
        waiting = self._waiting.get(connection.moment)
        if waiting is not None:
            waiting.pop(connection, None)

    def turn(self) -> None:
        """Wake those whose moment has come."""
        now = self._now()
        while self._moments and self._moments[0] <= now:
            for connection in self._waiting.pop(heapq.heappop(self._moments)):
                try:
                    self._wake(connection, now)
                except Exception:
                    log.exception("a look at a connection failed")
        if self._moments:
            self._arm(self._moments[0] - now)

    def _arm(self, pause_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(pause_ms / 1000, self.turn)

    def stop(self) -> None:
        """Wake nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
