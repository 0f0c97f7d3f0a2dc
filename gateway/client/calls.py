"""What a device has asked and was not answered yet, without I/O."""

from __future__ import annotations

import asyncio
from collections import deque

from gateway.client.cursors import Frame


class Calls:
    """Calls by their `ref`, which the answer names; pings in their order, for pongs name nothing.

    False where nobody waits for an answer. Their futures end in the frame that answers, or as the connection did.
    """

    def __init__(self) -> None:
        self._refs = 0
        self._calls: dict[int, asyncio.Future[Frame]] = {}
        self._pings: deque[asyncio.Future[Frame]] = deque()

    def __bool__(self) -> bool:
        return bool(self._calls or self._pings)

    def call(self) -> tuple[int, asyncio.Future[Frame]]:
        """Begin a call: the `ref` to say it with, and its answer. Whoever begins one ends it by `forget`."""
        self._refs += 1
        answer = self._calls[self._refs] = asyncio.get_running_loop().create_future()
        return self._refs, answer

    def forget(self, ref: int) -> None:
        """Wait for the answer to a call no more."""
        self._calls.pop(ref, None)

    def ping(self) -> asyncio.Future[Frame]:
        """Begin a ping; the next one must not be said before it."""
        pong: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._pings.append(pong)
        return pong

    def take(self, frame: Frame) -> bool:
        """Take the answer to a call, if it is one."""
        answer = self._calls.get(frame.get("ref", 0))
        if answer is None:
            return False
        if not answer.done():
            answer.set_result(frame)
        return True

    def take_pong(self, frame: Frame) -> bool:
        """Take the answer to the first ping, if there is one."""
        if not self._pings:
            return False
        answer = self._pings.popleft()
        if not answer.done():
            answer.set_result(frame)
        return True

    def lose(self, why: Exception) -> None:
        """Tell all who wait that no answer comes: the connection is gone."""
        for answer in (*self._calls.values(), *self._pings):
            if not answer.done():
                answer.set_exception(why)
        self._pings.clear()
