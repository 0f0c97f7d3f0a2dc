"""The transport of one device on aiohttp: finished bytes go past `WebSocketResponse`, and it closes with a `bye`."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import WSMsgType, web

from gateway.core.connection import Connection, Sink
from gateway.core.hub import Hub
from gateway.edge.untaken import unacknowledged
from gateway.wire.close import Close
from gateway.wire.encoding import Encoding
from gateway.wire.frames import bye_frame
from gateway.wire.websocket import close_frame, ping_frame

CLOSE_TIMEOUT_S = 2.0
"""How long a peer may take to answer a close before its socket is cut."""

LAG_PAUSE_S = 0.02
"""How often a connection that is not read, because its transport is full, looks whether it has drained."""


_NORMAL = 1000

_MALFORMED = frozenset({1002, 1003, 1007, 1009})
"""Codes by which aiohttp closes, by itself, for what is no WebSocket frame or too large a one."""

_ENDS = frozenset({WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR})


def say_bye(sink: Sink, code: Close, reason: str, retry_after_ms: int | None) -> None:
    """Write `bye` and the close that follows it, if anybody is there."""
    with suppress(RuntimeError):  # The socket is gone, and there is nobody to tell.
        sink.write(bye_frame(sink.encoding, code, reason, retry_after_ms) + close_frame(code, reason))


def abort_later(transport: asyncio.Transport) -> asyncio.TimerHandle:
    """Cut a socket in `CLOSE_TIMEOUT_S`, if it is still there."""
    return asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, transport.abort)


class Response(web.WebSocketResponse):
    """A WebSocket whose end after a malformed frame is left to the channel, which says `bye` first."""

    malformed = False

    async def close(self, *, code: int = _NORMAL, message: bytes = b"", drain: bool = True) -> bool:
        """Close as aiohttp does, but for what was malformed: that is noted."""
        if code in _MALFORMED:
            self.malformed = True
            return False
        return await super().close(code=code, message=message, drain=drain)


class Laggards:
    """Connections whose transport is full, looked at together until it has drained: aiohttp tells nobody when."""

    def __init__(self, hub: Hub, bytes_max: int) -> None:
        self._hub = hub
        self._low = bytes_max // 4
        self.bytes_max = bytes_max
        self._full: dict[Connection, None] = {}
        self._timer: asyncio.Handle | None = None

    def add(self, connection: Connection) -> None:
        """Tell the hub that this one's transport is full, and later, that it is no more."""
        self._hub.lag(connection)
        self._full[connection] = None
        if self._timer is None:
            # Transports often take everything as soon as this turn of the loop is over.
            self._timer = asyncio.get_running_loop().call_soon(self._look, 0.001)

    def _look(self, pause_s: float) -> None:
        """See who has drained, less often the longer it takes."""
        self._timer = None
        for connection in list(self._full):
            if connection.session.ended:
                del self._full[connection]
            elif connection.sink.buffered() <= self._low:
                del self._full[connection]
                self._hub.drained(connection)
        if self._full and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(pause_s, self._look, min(pause_s * 2, 0.05))


class SocketSink:
    """The `Sink` of one aiohttp WebSocket. After `close` nothing more is to be written.

    Once its device is attached it is `served`, and from then on tells when its transport is full.
    """

    __slots__ = ("_connection", "_laggards", "_transport", "_write", "buffered", "closed", "encoding")

    def __init__(self, transport: asyncio.Transport, encoding: Encoding, laggards: Laggards) -> None:
        self._transport = transport
        self._laggards = laggards
        self._connection: Connection | None = None
        self.encoding = encoding
        self.closed = False
        # The transport's own methods, bound once: they are called once per delivery.
        self._write = transport.write
        self.buffered = transport.get_write_buffer_size

    def serve(self, connection: Connection | None) -> None:
        """Tell of this connection when the transport is full; of none any more once it is gone."""
        self._connection = connection
        self._look()

    def write(self, data: bytes) -> None:
        """Queue finished frames."""
        self._write(data)
        self._look()

    def _look(self) -> None:
        connection = self._connection
        if connection is not None and self.buffered() > self._laggards.bytes_max:
            self._laggards.add(connection)

    def unacknowledged(self) -> int:
        """Return how many bytes the peer has not taken yet."""
        return unacknowledged(self._transport)

    @property
    def gone(self) -> bool:
        """Whether the socket is closed, or about to be."""
        return self._transport.is_closing()

    def ping(self) -> None:
        """Queue a ping."""
        self.write(ping_frame())

    def close(self, code: Close, reason: str, retry_after_ms: int | None) -> None:
        """Say `bye` and close, once; the socket is cut where the peer does not answer in time."""
        if not self.closed:
            self.closed = True
            say_bye(self, code, reason, retry_after_ms)
            abort_later(self._transport)

    async def answered(self, response: Response) -> None:
        """Wait until the peer has answered the close, or was cut for not doing so."""
        if response.malformed:
            # It may still be sending what was refused. Of a socket that is closed with bytes waiting to be
            # read the kernel takes back what was written, so that they are read, and dropped.
            if not self._transport.is_closing():
                self._transport.write_eof()
            while not self._transport.is_closing():  # noqa: ASYNC110 - of the dropped bytes nobody hears
                await asyncio.sleep(LAG_PAUSE_S)
        else:
            while (await response.receive()).type not in _ENDS:
                pass
        self._transport.close()

    def cut(self) -> None:
        """Answer the close of a peer that goes, and end the socket whether it takes the rest or not."""
        if not self._transport.is_closing():
            self.write(close_frame(_NORMAL))
            self._transport.close()
        if self.buffered():
            abort_later(self._transport)
