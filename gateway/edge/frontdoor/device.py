"""The device socket: one device of the channel on the bare transport (design §4a).

There may be 200,000 of them in a process, and nearly all do nothing: one object with slots is both the transport's
protocol and the hub's `Sink`. It has no task and no future while its connection just lives. Acks, pings and pongs are
done where they come, in `data_received`; what must be waited for is done, in its order, by a task that ends when
nothing more was said. Until then what comes stays where it is, as bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from gateway.core.attaching import EndedError
from gateway.domain.errors import Problem
from gateway.edge.approach import Approach, read_approach
from gateway.edge.channel import MALFORMED, Asker, Channel, GoneError, payload_json
from gateway.edge.frontdoor.handshake import answer
from gateway.edge.frontdoor.head import Head
from gateway.edge.frontdoor.query import read_query
from gateway.edge.sink import abort_later, say_bye
from gateway.edge.untaken import unacknowledged
from gateway.wire.close import Close, close_for
from gateway.wire.encoding import JSON, Encoding, FrameError
from gateway.wire.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    MalformedError,
    Reader,
    close_frame,
    ping_frame,
    pong_frame,
    read_short,
)

UNREAD_BYTES_MAX = 64 * 1024
"""So much of what a device says may wait for a request before it; then its socket is not read, until that is done."""

FRAMES_AT_ONCE = 128
"""So many frames of one device are taken one after the other, then none for `REST_S`: others want to be heard too.

A read has up to 256 kB and the loop reads a socket that has more 32 times before it looks at another: with nothing but
pings, and without this, that is a million of them."""

REST_S = 0.01

ANSWER_WAITS_S = 0.1
"""So long the answer to a handshake waits for what is said first: nearly always `welcome`, and both are one write."""

_NORMAL = 1000
_SILENT = frozenset({CONTINUATION, PONG})
"""Frames that say nothing, but that their sender lives."""

_Work = Callable[[], Coroutine[Any, Any, None]]


class DeviceSocket(asyncio.Protocol):
    """One device: protocol, sink and line in one. `open` makes it of a handshake that `accepts` has let in."""

    __slots__ = (
        "_answer", "_approach", "_asker", "_busy", "_channel", "_deaf", "_full", "_left", "_lost", "_reader",
        "_timer", "_transport", "closed", "encoding", "write",
    )  # fmt: skip

    def __init__(
        self, transport: asyncio.Transport, encoding: Encoding, channel: Channel, answer: bytes
    ) -> None:
        self._transport = transport
        self._channel = channel
        # To the handshake; empty once it is written.
        self._answer = answer
        # Only while something lies here that was not taken.
        self._reader: Reader | None = None
        # One of both, but for the time in which it attaches.
        self._approach: Approach | None = None
        self._asker: Asker | None = None
        # A task is at work for it; its transport is full; not even its close counts any more.
        self._busy = self._full = self._deaf = False
        # The channel counts it no more; its socket is gone.
        self._left = self._lost = False
        # How long the handshake's answer may wait, or until when it must have said who it is; later until when it
        # must have answered the close.
        self._timer: asyncio.TimerHandle | None = None
        self.encoding = encoding
        self.closed = False
        # Once the handshake is answered the transport's own method: the fan-out calls it once per delivery.
        self.write = self._write_first

    @classmethod
    def open(cls, transport: asyncio.Transport, head: Head, unread: bytes, channel: Channel) -> DeviceSocket:
        """Answer the handshake, never with the token that it may offer, and serve the device from here on.

        `unread` is what it said after the handshake without waiting for the answer.
        """
        protocols = head.headers.get("sec-websocket-protocol", "")
        encoding = channel.select(protocols)
        device = cls(transport, encoding or JSON, channel, answer(head, encoding))
        transport.set_protocol(device)
        full = channel.limits.transport_buffer_bytes_max
        transport.set_write_buffer_limits(high=full, low=full // 4)
        channel.enter(device)
        device._begin(head, protocols)
        if unread:
            device.data_received(unread)
        return device

    def _begin(self, head: Head, protocols: str) -> None:
        try:
            approach = read_approach(read_query(head.query), head.headers, protocols)
        except FrameError as error:
            self.close(Close.PROTOCOL, str(error), None)
            return
        loop = asyncio.get_running_loop()
        if approach.token:
            self._timer = loop.call_later(ANSWER_WAITS_S, self._answer_now)
            self._start(partial(self._attach, approach, None))
        else:
            self._answer_now()
            self._approach = approach
            wait_s = self._channel.limits.auth_timeout_ms / 1000
            self._timer = loop.call_later(wait_s, self._give_up)

    def _answer_now(self) -> None:
        """Answer the handshake, if that has not been done."""
        if self._answer and not self.gone:
            self.write(b"")

    def _write_first(self, data: bytes) -> None:
        """Answer the handshake, and say the first thing with it."""
        self._stop_timer()
        answer, self._answer = self._answer, b""
        self.write = self._transport.write
        self.write(answer + data)

    def _give_up(self) -> None:
        self.close(Close.AUTH_TIMEOUT, "nothing said in time", None)

    async def _attach(self, approach: Approach, said: bytes | None) -> None:
        self._asker = await self._channel.attach(approach, self, said)
        if self._full:
            # What was written while it attached has filled it, when nobody knew yet whom to tell of.
            self._channel.hub.lag(self._asker.connection)

    # -- what the device says ---------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take what came, as far as nothing must be waited for."""
        if self._deaf:
            return
        asker = self._asker
        if asker is not None:
            asker.connection.session.heard(self._channel.now())
        reader = self._reader
        if reader is None:
            most = self._channel.limits.frame_bytes_max
            if not (self._busy or self._full):
                said = read_short(data, most)
                if said is not None:
                    work = self._obey(*said)
                    if work is not None:
                        self._start(work)
                    return
            reader = self._reader = Reader(most)
        reader.feed(data)
        if not self._busy:
            self._go_on()
        elif reader.unread > UNREAD_BYTES_MAX and not self.gone:
            self._transport.pause_reading()

    def _go_on(self) -> None:
        work = self._next()
        if work is not None:
            self._start(work)

    def _start(self, work: _Work) -> None:
        self._busy = True
        self._channel.tasks.start(self._do(work), "device")

    def _next(self) -> _Work | None:
        """Do what was said, up to what must be waited for: that is returned. Who does not take is not heard."""
        reader = self._reader
        heard = 0
        while reader is not None and not (self._full or self._deaf):
            if heard == FRAMES_AT_ONCE:
                return _rest
            heard += 1
            try:
                said = reader.next()
                if said is None:
                    if reader.idle:
                        self._reader = None
                    break
                work = self._obey(*said)
                if work is not None:
                    return work
            except MalformedError:
                self._deaf = True
                self._refuse(MALFORMED)
                # It may still be sending what was refused. Of a socket that is closed with bytes waiting to be read
                # the kernel takes back what was written, so that they are read, and dropped.
                if not self.gone:
                    self._transport.write_eof()
        if self._deaf:
            self._reader = None
        return None

    def _obey(self, kind: int, payload: bytes) -> _Work | None:
        """Take one message; what is no frame of the channel's is refused."""
        try:
            return self._take(kind, payload)
        except FrameError as error:
            self._refuse(str(error))
            return None

    def _take(self, kind: int, payload: bytes) -> _Work | None:
        asker = self._asker
        if kind == CLOSE:
            if self.closed:
                self._deaf = True
                self._transport.close()
            else:
                self._cut()
        elif self.closed or self._left or (asker is not None and asker.connection.session.ended):
            # Whatever crosses the `bye` on its way is not obeyed.
            return None
        elif kind == PING:
            with suppress(RuntimeError):  # The socket is gone, and there is nobody to tell.
                self.write(pong_frame(payload))
        elif kind not in _SILENT:
            return self._hear(asker, payload_json(self.encoding, payload, binary=kind == BINARY))
        return None

    def _hear(self, asker: Asker | None, said: bytes) -> _Work | None:
        if asker is None:
            approach, self._approach = self._approach, None
            assert approach is not None, "who is attaching is not heard"
            self._stop_timer()
            return partial(self._attach, approach, said)
        asked = self._channel.hear(asker, said)
        return None if asked is None else partial(self._channel.answer, asker, asked, said)

    async def _do(self, work: _Work | None) -> None:
        """Do what must be waited for, one after the other, until there is nothing more of it."""
        try:
            while work is not None:
                try:
                    await work()
                except Problem as problem:
                    self.close(close_for(problem.kind), problem.sentence, problem.retry_after_ms)
                except FrameError as error:
                    self._refuse(str(error))
                except (EndedError, GoneError):
                    if not self.closed:
                        self._cut()
                work = self._next()
        except BaseException:
            self._transport.abort()
            raise
        finally:
            self._busy = False
            if self.closed or self.gone:
                self._leave()
            self._read_on()

    # -- the transport ----------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The peer does not take what it is sent: it lags, and it is not heard."""
        self._full = True
        if not self.gone:
            self._transport.pause_reading()
        if self._asker is not None:
            self._channel.hub.lag(self._asker.connection)

    def resume_writing(self) -> None:
        """The peer has taken nearly all: what was held back is read from the store, and what it said is heard."""
        self._full = False
        if self._asker is not None:
            self._channel.hub.drained(self._asker.connection)
        if not self._busy:
            self._go_on()
        self._read_on()

    def _read_on(self) -> None:
        """Read the socket again, unless something else is still in the way."""
        reader = self._reader
        waiting = self._busy and reader is not None and reader.unread > UNREAD_BYTES_MAX
        if not (self._full or waiting or self.gone):
            self._transport.resume_reading()

    def eof_received(self) -> None:
        """A client that says it sends no more is gone: the transport closes when its peer has taken the rest."""
        self._answer_now()
        if self.buffered():
            self._cut_later()
        self._leave()

    def connection_lost(self, _error: Exception | None) -> None:
        """The socket is gone. What was said before is still done, where a task is at it."""
        self._lost = True
        self._stop_timer()
        self._channel.parted(self)
        self._leave()

    def _leave(self) -> None:
        """Be no device any more, but for what a task is still at."""
        if not (self._busy or self._left):
            self._left = True
            # The connection has its sink, and the sink would have the connection.
            asker, self._asker = self._asker, None
            self._channel.leave(self, asker)

    # -- the sink ---------------------------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        """Whether the socket is closed, or about to be."""
        return self._transport.is_closing()

    def buffered(self) -> int:
        """Return how many bytes wait here for the peer."""
        return self._transport.get_write_buffer_size()

    def unacknowledged(self) -> int:
        """Return how many bytes the peer has not taken yet."""
        return unacknowledged(self._transport)

    def ping(self) -> None:
        """Queue a ping."""
        self.write(ping_frame())

    def close(self, code: Close, reason: str, retry_after_ms: int | None) -> None:
        """Say `bye` and close, once; the socket is cut where the peer does not answer in time."""
        if not self.closed:
            self.closed = True
            say_bye(self, code, reason, retry_after_ms)
            self._cut_later()
            self._leave()

    def _refuse(self, sentence: str) -> None:
        """End with a `bye` what broke the protocol."""
        asker, channel = self._asker, self._channel
        if asker is None:
            self.close(Close.PROTOCOL, sentence, None)
        else:
            channel.hub.perform(asker.connection, asker.connection.session.end(Close.PROTOCOL, sentence))

    def _cut(self) -> None:
        """Answer the close of a peer that goes, and end the socket whether it takes the rest or not."""
        self._deaf = True
        if not self.gone:
            self.write(close_frame(_NORMAL))
            self._transport.close()
        if self.buffered():
            self._cut_later()
        self._leave()

    def abort(self) -> None:
        """End the socket at once."""
        self._transport.abort()

    def _cut_later(self) -> None:
        self._stop_timer()
        if not self._lost:
            self._channel.part(self)
            self._timer = abort_later(self._transport)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _rest() -> None:
    """What is done for a device that says very much at once."""
    await asyncio.sleep(REST_S)
