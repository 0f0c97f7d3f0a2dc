"""Nodes on a bus, and what they have heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from gateway.bus.base import Bus, Forget, Hint, Note
from tests.patience import WAIT_S

PATIENT: dict[str, Any] = {"beat_ms": 300_000, "connect_timeout_ms": 300_000}
"""Times of a bus that takes no server for dead because the machine is busy."""


class Node:
    """One node's end of a bus, and what it heard; fences, which the tests publish to know where they are, are apart."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.heard: list[Hint] = []
        self.noted: list[Note] = []
        self.fences: set[str] = set()
        self.connects = 0
        self._fences_set = 0
        self._news = asyncio.Event()
        self.listen(str)

    def listen(self, epoch: Callable[[], str]) -> None:
        """Hear the others whose store has this epoch."""
        self.bus.listen(self._hear, self._note, self._connected, epoch)

    async def begin(self) -> None:
        """Start the bus, and return once it is connected: `start` waits for a second at the most."""
        await self.bus.start()
        await self.until(lambda: self.bus.connected)

    def _hear(self, hints: Sequence[Hint]) -> None:
        self.heard += hints
        self._news.set()

    def _note(self, notes: Sequence[Note]) -> None:
        for note in notes:
            if isinstance(note, Forget) and note.app_id.startswith("fence"):
                self.fences.add(note.app_id)
            else:
                self.noted.append(note)
        self._news.set()

    def _connected(self) -> None:
        self.connects += 1
        self._news.set()

    async def until(self, seen: Callable[[], bool]) -> None:
        """Return once `seen`, which is looked at whenever this node hears anything."""
        async with asyncio.timeout(WAIT_S):
            while not seen():
                self._news.clear()
                await self._news.wait()

    async def fence(self, *others: Node) -> None:
        """Return once these have heard all that this node published before."""
        self._fences_set += 1
        name = f"fence {id(self)} {self._fences_set}"
        self.bus.publish([], [Forget(app_id=name, app=0)])
        for other in others:
            await other.reach(name)

    async def reach(self, fence: str) -> None:
        """Return once this node has heard a fence."""
        await self.until(lambda: fence in self.fences)


async def until(seen: Callable[[], bool]) -> None:
    """Return once `seen`, for what no node is told of."""
    async with asyncio.timeout(WAIT_S):
        while not seen():  # noqa: ASYNC110 - what happens in another process sets no event
            await asyncio.sleep(0.005)
