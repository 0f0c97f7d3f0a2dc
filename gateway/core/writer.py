"""Group commit: whatever waits is committed as one batch, announced, and then answered (design §4)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from gateway.core.waiting import Waiting
from gateway.domain.drafts import Answer, Draft
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.store.base import Store

A = TypeVar("A")
R = TypeVar("R")
log = logging.getLogger(__name__)


class Queue(Protocol[A, R]):
    """What a lane's callers wait in. False while nobody waits."""

    def __len__(self) -> int:
        """Return 0 while nobody waits."""

    def append(self, waiter: tuple[A, asyncio.Future[R]], /) -> None:
        """Let one wait."""

    def take(self) -> list[tuple[A, asyncio.Future[R]]]:
        """Take those of the next flush, at least one."""


class Line(deque[tuple[A, asyncio.Future[R]]]):
    """First come, first served: at most `count_max` in one flush."""

    def __init__(self, count_max: int) -> None:
        super().__init__()
        self._count_max = count_max

    def take(self) -> list[tuple[A, asyncio.Future[R]]]:
        """Take the first."""
        return [self.popleft() for _ in range(min(len(self), self._count_max))]


class Lane(Generic[A, R]):
    """A queue with one flush under way at a time; what comes meanwhile is the next flush.

    `flush` takes the list of what waited and answers in the same order. Its failure answers all of them.
    A caller that goes away leaves what it asked for in the queue.
    """

    def __init__(self, flush: Callable[[list[A]], Awaitable[Sequence[R]]], waiting: Queue[A, R]) -> None:
        self._flush = flush
        self._waiting = waiting
        self._task: asyncio.Task[None] | None = None

    def submit(self, asked: A) -> asyncio.Future[R]:
        """Queue one thing; the future holds its answer."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="writer")
        return future

    async def _run(self) -> None:
        try:
            # One turn of the loop, so that callers who were woken together share a batch.
            await asyncio.sleep(0)
            while self._waiting:
                await self._flush_one(self._waiting.take())
        finally:
            self._task = None

    async def _flush_one(self, taken: list[tuple[A, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._flush([asked for asked, _ in taken])
        except Exception as error:
            if not isinstance(error, Problem):
                log.exception("a flush failed")
                error = Problem(Kind.INTERNAL, "the gateway failed; the outcome is unknown")
            for _, future in taken:
                if not future.done():
                    future.set_exception(
                        Problem(error.kind, error.sentence, retry_after_ms=error.retry_after_ms)
                    )
                    future.exception()  # A caller who went away must not make asyncio complain.
            return
        for (_, future), answer in zip(taken, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def drain(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        while self._task is not None:
            await asyncio.wait([self._task])


class Writer:
    """Every append goes through here, so drafts of one timeline commit and dispatch in the order they came."""

    def __init__(
        self, store: Store, limits: Limits, announce: Callable[[Sequence[Draft], Sequence[Answer]], None]
    ) -> None:
        self._store = store
        self._announce = announce
        self._closed = False
        self._waiting = Waiting(limits)
        self._lane: Lane[Draft, Answer] = Lane(self._append, self._waiting)

    async def submit(self, draft: Draft) -> Answer:
        """Commit a draft with whatever else waits. Raises `OVERLOADED` where too much waits, `DRAINING` at the end."""
        if self._closed:
            raise Problem(Kind.DRAINING, "the gateway is shutting down", retry_after_ms=1000)
        self._waiting.admit(draft)
        # A caller that is cancelled cancels its future only: the draft stays in the batch.
        return await self._lane.submit(draft)

    async def _append(self, batch: list[Draft]) -> Sequence[Answer]:
        try:
            answers = await self._store.append(batch)
        finally:
            self._waiting.release(batch)
        try:
            self._announce(batch, answers)
        except Exception:
            # Announcing never fails a send: the entries are committed, and devices find them in the store.
            log.exception("announcing a batch failed")
        return answers

    async def close(self) -> None:
        """Take nothing new, and finish what waits."""
        self._closed = True
        await self._lane.drain()
