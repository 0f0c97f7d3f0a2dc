"""How many bytes of answers are held at a time, so that many large pages at once are no flood of memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits

_RETRY_AFTER_MS = 1_000


class Answers:
    """Room for messages of an answer that asks the store for more once they are read, who has sent them for one.

    Behind others who ask, each holds what it has read. How large that is is known only then, so each message counts for
    as much as one may be: there need not be room for more answers than a store has readers. Whoever comes when there is
    none waits in turn, and not for long.
    """

    def __init__(self, limits: Limits) -> None:
        self._message_bytes_max = (
            limits.content_bytes_max
            + limits.attachment_bytes_max
            + limits.ext_bytes_max
            + limits.config_bytes_max
        )
        self._most = self._free = limits.answers_bytes_max
        self._wait_s = limits.answers_wait_ms / 1000
        self._waiting_max = limits.reads_queue_max
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def space(self, messages: int) -> AsyncIterator[None]:
        """Have space for so many messages in here.

        Raises `OVERLOADED` where none comes free in time, or too many wait for it.
        """
        # What is larger than all there is has all of it.
        size = min(messages * self._message_bytes_max, self._most)
        if size > self._free or self._waiting:
            await self._wait(size)
        else:
            self._free -= size
        try:
            yield
        finally:
            self._give_back(size)

    async def _wait(self, size: int) -> None:
        if len(self._waiting) >= self._waiting_max:
            raise _overloaded()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = size, future
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._wait_s):
                await future
        except BaseException as error:
            if future.done() and not future.cancelled():
                # It has come free in the very moment in which nobody waited for it any more.
                self._give_back(size)
            else:
                with suppress(ValueError):
                    self._waiting.remove(waiter)
                self._give_back(0)
            if isinstance(error, TimeoutError):
                raise _overloaded() from None
            raise

    def _give_back(self, size: int) -> None:
        """Let those in whose turn it is and for whom there is room now."""
        self._free += size
        while self._waiting:
            wanted, future = self._waiting[0]
            if not future.cancelled():
                if wanted > self._free:
                    break
                self._free -= wanted
                future.set_result(None)
            self._waiting.popleft()


def _overloaded() -> Problem:
    return Problem(Kind.OVERLOADED, "too many large answers at once", retry_after_ms=_RETRY_AFTER_MS)
