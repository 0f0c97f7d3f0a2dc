"""A connection at the front door, from its first byte until it ends or is handed to aiohttp for good."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, cast

from gateway.edge.facades.native.envelope import Asked, Reply
from gateway.edge.files import crowded
from gateway.edge.frontdoor.head import HEAD_BYTES_MAX
from gateway.edge.frontdoor.plain import Route

if TYPE_CHECKING:
    from gateway.edge.frontdoor.door import Door

READ_AHEAD_BYTES_MAX = 64 * 1024
"""What may lie here unread, of requests that come before the one under way is answered, until no more is taken in."""

_END = b"\r\n\r\n"


class Caller(asyncio.Protocol):
    """Reads one request after the other and answers each before it looks at the next.

    It lives per connection and works per call, hence the slots, the one task per call or none, and the ways past the
    general case for a request that arrives in one piece.
    """

    __slots__ = (
        "_asking",
        "_door",
        "_full",
        "_held",
        "_kept",
        "_need",
        "_rest",
        "_task",
        "_transport",
        "due",
    )

    def __init__(self, door: Door) -> None:
        self._door = door
        self._transport: asyncio.Transport | None = None
        # What has come and is not read: a part of a request, or what came while another was under way.
        self._rest: bytes | bytearray | None = None
        # How many bytes the request has of which a part is there; 0 while its head is not.
        self._need = 0
        # What is under way, and whether its answer is the last; the task that is at it, where it takes one.
        self._asking: tuple[Route, Asked, bool] | None = None
        self._task: asyncio.Task[None] | None = None
        self._kept = self._full = self._held = False
        self.due = math.inf
        """When the connection is cut if nothing changes until then, by the loop's clock."""

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._asking is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has come in."""
        self._transport = cast("asyncio.Transport", transport)
        door = self._door
        door.callers.add(self)
        self.due = door.time() + door.header_timeout_s
        if door.closing or crowded(transport):
            self._transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """The caller has gone: a request under way goes on all the same."""
        if self._transport is not None:
            self._door.untaken.discard(self._transport)
        self._transport = self._rest = None
        self.due = math.inf
        if self._asking is None:
            self._door.gone(self)

    def data_received(self, data: bytes) -> None:
        """Do what is asked, unless something is under way already or answers are not taken."""
        if self._rest is not None:
            self._add(data)
        elif self._asking is not None or self._full:
            self._rest = data
            self._hold()
        else:
            self._read(data)

    def pause_writing(self) -> None:
        """Answers are not taken: nothing more is done for this caller until they are, or it is cut for it."""
        self._full = True
        self.due = math.inf
        if self._transport is not None:
            self._door.untaken.add(self._transport)

    def resume_writing(self) -> None:
        """Answers are taken again: go on with what has come meanwhile."""
        self._full = False
        if self._transport is not None:
            self._door.untaken.discard(self._transport)
        if self._asking is None:
            self.due = self._door.time() + self._door.idle_timeout_s
            self._next()

    def leave(self) -> None:
        """Take no more requests: close now, or after the answer to the one under way."""
        if self._asking is None and self._transport is not None:
            self._transport.close()

    def expire(self) -> None:
        """It has waited too long: cut it, unless it is the peer that takes its time over the end of an answer."""
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size():
            self.due = self._door.time() + self._door.idle_timeout_s
            self._door.untaken.add(transport)
        else:
            self.cut()

    def cut(self) -> None:
        """End the connection at once, and what is under way."""
        if self._transport is not None:
            self._transport.abort()
        if self._task is not None:
            self._task.cancel()

    def _add(self, data: bytes) -> None:
        """Take in what follows on what is already there."""
        rest = self._rest
        if type(rest) is not bytearray:
            rest = self._rest = bytearray(cast("bytes", rest))
        seen = len(rest)
        rest += data
        if self._asking is not None or self._full:
            self._hold()
        elif self._need:
            if len(rest) >= self._need:
                self._next()
        elif rest.find(_END, max(seen - 3, 0)) >= 0:
            self._next()
        elif len(rest) > HEAD_BYTES_MAX:
            self._hand_over(bytes(rest))

    def _hold(self) -> None:
        """Stop reading from the socket where there is enough to do already."""
        if not self._held and self._transport is not None and len(self._rest or b"") > READ_AHEAD_BYTES_MAX:
            self._held = True
            self._transport.pause_reading()

    def _next(self) -> None:
        """Read on in what has come already."""
        rest, self._rest, self._need = self._rest, None, 0
        if rest is not None:
            self._read(rest if type(rest) is bytes else bytes(rest))
        transport = self._transport
        if not self._held or transport is None or transport.is_closing():
            return
        if len(self._rest or b"") <= READ_AHEAD_BYTES_MAX:
            self._held = False
            transport.resume_reading()

    def _read(self, data: bytes) -> None:
        """Read the request that begins with `data`: do it, wait for the rest of it, or hand it over."""
        door = self._door
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        end = data.find(_END) + len(_END)
        if end < len(_END):
            if self._kept:
                self.due = door.time() + door.header_timeout_s
            if len(data) <= HEAD_BYTES_MAX:
                self._rest = data
            else:
                self._hand_over(data)
            return
        start = data.find(b"\r\n") + 2
        line = data[:start]
        route = door.plain.route(line) if end <= HEAD_BYTES_MAX else None
        block = None if route is None else door.plain.block(line, data[start:end])
        if route is None or block is None or (route.bodiless and block.length):
            self._hand_over(data)
            return
        need = end + block.length
        if len(data) == need:
            self.due = math.inf
            asked = Asked(block.headers, route.query, data[end:])
            self._asking = route, asked, block.last
            beginning = route.beginning
            if beginning is None or not door.answering.begin(beginning, asked, self._tell):
                self._task = door.loop.create_task(self._do(route, asked))
        elif len(data) < need:
            self._rest = data
            self._need = need
            self.due = door.time() + door.body_timeout_s
        else:
            # More in one piece than a request, by which aiohttp does none of it where any of it is malformed.
            self._hand_over(data)

    def _tell(self, reply: Reply | None) -> None:
        """Take the answer to a call that was begun; None: it is to be called after all, if anybody is there to hear."""
        if reply is not None:
            self._finish(reply)
        elif self._transport is None or self._transport.is_closing():
            self._end()
        else:
            assert self._asking is not None, "it is under way"
            route, asked, _ = self._asking
            self._task = self._door.loop.create_task(self._do(route, asked))

    async def _do(self, route: Route, asked: Asked) -> None:
        try:
            reply = await self._door.answering.answer(route.call, asked)
        except BaseException:
            # The drain has run out of time, and it was cut.
            self._end()
            raise
        self._finish(reply)

    def _finish(self, reply: Reply) -> None:
        """Answer what is under way, if anybody is there to hear."""
        asking = self._asking
        self._end()
        transport = self._transport
        if asking is not None and transport is not None and not transport.is_closing():
            self._answer(transport, reply, last=asking[2] or self._door.ending)

    def _answer(self, transport: asyncio.Transport, reply: Reply, *, last: bool) -> None:
        door = self._door
        transport.write(door.answers.bytes_of(reply, last=last))
        # While an answer is not taken, its end is not a matter of how long ago it was given.
        self.due = math.inf if self._full else door.time() + door.idle_timeout_s
        if last:
            self._rest = None
            transport.close()
            return
        self._kept = True
        if self._rest is not None and not self._full:
            self._next()

    def _end(self) -> None:
        """The request is no longer under way."""
        self._asking = self._task = None
        if self._transport is None:
            self._door.gone(self)

    def _hand_over(self, unread: bytes) -> None:
        """Give the connection away for good, with all that has not been answered."""
        door, transport = self._door, self._transport
        assert transport is not None, "who has gone asks nothing"
        self._transport = self._rest = None
        door.gone(self)
        if self._held:
            transport.resume_reading()
        door.hand_over(transport, unread, self.due - door.header_timeout_s)
