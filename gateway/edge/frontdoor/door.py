"""The front door: what all connections at the port share (design §4a)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from gateway.domain.limits import Limits
from gateway.edge.answering import HEADERS, Answering
from gateway.edge.channel import Channel
from gateway.edge.frontdoor.answers import Answers
from gateway.edge.frontdoor.caller import Caller
from gateway.edge.frontdoor.device import DeviceSocket
from gateway.edge.frontdoor.handshake import accepts
from gateway.edge.frontdoor.head import read_head
from gateway.edge.frontdoor.plain import Plain
from gateway.edge.patient import Patient
from gateway.edge.untaken import Untaken

_CHANNEL = b"GET /ws"


class Door:
    """Makes the protocol of each connection at the port. What it does not answer itself is `take_over`'s.

    Devices are `channel`'s, where there is one. `cors` are the headers that an answer has where web pages of other
    origins may call, besides those of every answer; it is None where they may not.
    """

    def __init__(
        self,
        answering: Answering,
        channel: Channel | None,
        limits: Limits,
        take_over: Callable[[], Patient],
        untaken: Untaken,
        cors: Mapping[str, str] | None,
        idle_timeout_s: float,
    ) -> None:
        self.answering = answering
        self.channel = channel
        self.header_timeout_s = limits.header_timeout_ms / 1000
        self.body_timeout_s = limits.body_timeout_ms / 1000
        self.idle_timeout_s = idle_timeout_s
        self.loop = asyncio.get_running_loop()
        self.time = self.loop.time
        self.plain = Plain(body_bytes_max=limits.body_bytes_max, pages=cors is not None)
        self.answers = Answers({**HEADERS, **(cors or {})}, time.time)
        self.callers: set[Caller] = set()
        self.untaken = untaken
        self.closing = False
        self._take_over = take_over
        self._empty = asyncio.Event()

    def __call__(self) -> Caller:
        """Return the protocol of a new connection."""
        return Caller(self)

    @property
    def ending(self) -> bool:
        """Whether an answer is the last of its connection, whatever the caller asked for."""
        return self.closing or self.answering.switch.draining

    def gone(self, caller: Caller) -> None:
        """A caller needs the door no more."""
        self.callers.discard(caller)
        if self.closing and not self.callers:
            self._empty.set()

    def hand_over(self, transport: asyncio.Transport, unread: bytes, since: float) -> None:
        """Give a connection away for good, with what it has not been answered for: to the channel, or else to aiohttp.

        `since` is when the head that `unread` begins with began to be awaited, if it does not hold all of it.
        """
        channel = self.channel
        if channel is not None and unread.startswith(_CHANNEL):
            raw, end, rest = unread.partition(b"\r\n\r\n")
            head = read_head(raw + end)
            if head is not None and accepts(head, channel):
                DeviceSocket.open(transport, head, rest, channel)
                return
        handler = self._take_over()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.since = since
        handler.data_received(unread)

    def sweep(self) -> None:
        """Cut the connections that have waited too long: for a request, or for the rest of one."""
        now = self.time()
        for caller in [caller for caller in self.callers if caller.due < now]:
            caller.expire()

    async def close(self, ends: float) -> None:
        """End all connections; what is under way is answered first, if it can be until `ends`."""
        self.closing = True
        for caller in list(self.callers):
            caller.leave()
        if self.callers:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(ends):
                    await self._empty.wait()
        for caller in list(self.callers):
            caller.cut()
