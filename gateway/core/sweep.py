"""The sweep: what no note and no hint has told is found out by asking the store (design §4, Healing)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from gateway.bus.base import Bus
from gateway.core.hub import Hub
from gateway.core.presence import PAGE, Presence
from gateway.core.rooms import Rooms
from gateway.core.tasks import Tasks
from gateway.domain.errors import Problem
from gateway.domain.limits import Limits
from gateway.store.base import Store

log = logging.getLogger(__name__)

LONE_PARTS = 12
"""Sweeps that share one comparison where nobody else writes to the store.

There nothing can be missed but by a mistake of this program's own. All of ten thousand timelines every 10 s would be
half of what a node does at rest, and done in one turn a stall of 30 ms.
"""


class Sweep:
    """Compares this node with the store: at times, and whenever the bus has (re)connected."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        hub: Hub,
        presence: Presence,
        rooms: Rooms,
        limits: Limits,
        ticks_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._bus = bus
        self._hub = hub
        self._presence = presence
        self._rooms = rooms
        self._limits = limits
        self._now = ticks_ms
        self._tasks = Tasks()
        self._waiting = False
        self._failing = False
        self._sweeping = asyncio.Lock()

    def connected(self) -> None:
        """The bus (re)connected: what was said before that may be lost."""
        # One that waits has not asked yet, so that another would find out nothing more.
        if self._hub.followed() and not self._waiting:
            self._waiting = True
            self._tasks.start(self.sweep(), "sweep")

    async def run(self) -> None:
        """Sweep for as long as the node lives, more often while the bus is down."""
        limits = self._limits
        pause_s = min(limits.sweep_ms, limits.sweep_busless_ms) / 1000
        due = self._now() + limits.sweep_ms
        parts = 1 if self._store.shared else LONE_PARTS
        part = 0
        while True:
            await asyncio.sleep(pause_s)
            if not self._bus.connected or self._now() >= due:
                due = self._now() + limits.sweep_ms
                part = (part + 1) % parts
                await self.sweep(part, parts)

    async def sweep(self, part: int = 0, parts: int = 1) -> None:
        """Compare the heads of what is followed here; on a shared store also connections and chatrooms."""
        async with self._sweeping:
            self._waiting = False
            try:
                await self._compare_heads(part, parts)
                if self._store.shared:
                    await self._presence.compare()
                    await self._rooms.compare()
                self._failing = False
            except Problem as problem:
                if not self._failing:
                    log.warning("the sweep could not ask the store: %s", problem.sentence)
                self._failing = True

    async def _compare_heads(self, part: int, parts: int) -> None:
        # Before the store is asked: what is dispatched meanwhile may be above what it answers.
        followed = self._hub.followed(part, parts)
        timelines = list(followed)
        for start in range(0, len(timelines), PAGE):
            bearings = await self._store.bearings([(0, 0, one) for one in timelines[start : start + PAGE]])
            for bearing in bearings:
                if bearing.head < followed[bearing.timeline_id]:
                    await self._presence.start_over(
                        f"timeline {bearing.timeline_id} reaches to {bearing.head}, and did to "
                        f"{followed[bearing.timeline_id]}"
                    )
                    return
            self._hub.know(bearings)

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()
