"""Reads that wait at the same time are done in one visit to a reader's thread."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from gateway.store.sqlite.lane import Lane

T = TypeVar("T")

_Work = Callable[[sqlite3.Connection], Any]

VISIT_MAX = 16
"""Reads of one visit: their callers go on in one turn of the loop, which must not be a long one."""

VISIT_S = 0.005
"""How long a visit goes on: who had to wait for a long read does not wait for the next one too."""


class Lookups:
    """The connections that read, first come, first served.

    The hand-over to a thread and back costs about as much as a short read, and far more beside a busy loop: whoever
    waits at the same time shares it. A second reader is put to work only on what is more than one visit of the first,
    or while the first is on its way.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = lanes
        self._idle = deque(lanes)
        self._waiting: deque[tuple[_Work, asyncio.Future[Any]]] = deque()
        self._starting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a reader, and return what it returns or raise what it raises."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        if self._idle and len(self._waiting) > self._starting * VISIT_MAX:
            self._starting += 1
            self._tasks.add(asyncio.create_task(self._serve(self._idle.popleft()), name="reader"))
        return await future

    async def drain(self) -> None:
        """Wait until nobody waits and nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, lane: Lane) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._starting -= 1
        try:
            while self._waiting:
                await self._visit(lane)
        finally:
            # At once and not by a callback: whoever comes next must see that this one is idle.
            self._idle.append(lane)
            self._tasks.discard(task)

    async def _visit(self, lane: Lane) -> None:
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), VISIT_MAX))]
        # Of a caller that has gone away nothing is read.
        taken = [(work, future) for work, future in taken if not future.done()]
        try:
            outcomes = await lane.run(partial(_work_off, [work for work, _ in taken]))
        except (sqlite3.Error, ValueError) as error:
            # The connection itself has failed, or is closed.
            outcomes = [(None, error)] * len(taken)
        self._waiting.extendleft(reversed(taken[len(outcomes) :]))
        for (_, future), (result, failed) in zip(taken, outcomes, strict=False):
            if future.done():
                continue
            if failed is None:
                future.set_result(result)
            else:
                future.set_exception(failed)


def _work_off(works: Sequence[_Work], conn: sqlite3.Connection) -> list[tuple[Any, Exception | None]]:
    """Do one after the other for as long as a visit may go on, at least one; one's failure is not another's."""
    ends = time.monotonic() + VISIT_S
    outcomes: list[tuple[Any, Exception | None]] = []
    for work in works:
        try:
            outcomes.append((work(conn), None))
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            outcomes.append((None, error))
        if time.monotonic() > ends:
            break
    return outcomes
