"""Group commit at its plainest: whatever waits is done together, and then each caller is answered."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from gateway.domain.errors import Kind, Problem

A = TypeVar("A")
R = TypeVar("R")
log = logging.getLogger(__name__)


class Line(deque[tuple[A, asyncio.Future[R]]]):
    """First come, first served: at most `count_max` in one flush."""

    def __init__(self, count_max: int) -> None:
        super().__init__()
        self._count_max = count_max

    def take(self) -> list[tuple[A, asyncio.Future[R]]]:
        """Take the first."""
        return [self.popleft() for _ in range(min(len(self), self._count_max))]


class Lane(Generic[A, R]):
    """A line with one flush under way at a time, or few `abreast`; what comes meanwhile is the next flush.

    `flush` takes the list of what waited and answers in the same order. Its failure answers all of them.
    A caller that goes away leaves what it asked for in the line.
    """

    def __init__(
        self, flush: Callable[[list[A]], Awaitable[Sequence[R]]], waiting: Line[A, R], *, abreast: int = 1
    ) -> None:
        self._flush = flush
        self._waiting = waiting
        self._abreast = abreast
        # One of them may not have taken anything yet: who comes now goes with it.
        self._starting = False
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, asked: A) -> asyncio.Future[R]:
        """Queue one thing; the future holds its answer."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if not self._starting and len(self._tasks) < self._abreast:
            self._starting = True
            self._tasks.add(asyncio.create_task(self._run(), name="lane"))
        return future

    async def _run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            try:
                # One turn of the loop, so that callers who were woken together share a flush.
                await asyncio.sleep(0)
            finally:
                self._starting = False
            while self._waiting:
                await self._serve(self._waiting.take())
        finally:
            # At once and not by a callback: whoever comes next must see that nobody is at work.
            self._tasks.discard(task)

    async def _serve(self, taken: list[tuple[A, asyncio.Future[R]]]) -> None:
        futures = [future for _, future in taken]
        try:
            answers = await self._flush([asked for asked, _ in taken])
            if len(answers) != len(taken):
                # Nobody knows whose are missing: none may be told what is another's, or wait for ever.
                message = f"{len(taken)} have asked, and {len(answers)} are answered"
                raise RuntimeError(message)
        except Exception as error:
            if not isinstance(error, Problem):
                log.exception("a flush failed")
            fail(futures, error)
        else:
            answer(futures, answers)

    async def drain(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)


def answer(futures: Iterable[asyncio.Future[R]], answers: Iterable[R]) -> None:
    """Tell each caller its own answer."""
    for future, told in zip(futures, answers, strict=True):
        if not future.done():
            future.set_result(told)


def fail(futures: Iterable[asyncio.Future[Any]], error: Exception) -> None:
    """Tell every caller what went wrong."""
    for future in futures:
        if not future.done():
            future.set_exception(problem_of(error))
            future.exception()  # A caller who went away must not make asyncio complain.


def problem_of(error: Exception) -> Problem:
    """What one caller is told of a failure; of what is no `Problem` nobody knows what it has left done.

    Each gets one of its own: it is raised where they are, and an exception remembers where that was.
    """
    if isinstance(error, Problem):
        return Problem(error.kind, error.sentence, retry_after_ms=error.retry_after_ms)
    return Problem(
        Kind.INTERNAL, "the gateway failed; the outcome is unknown: ask again with the same transaction_id"
    )
