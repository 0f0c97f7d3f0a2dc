"""The floor of a connection: llhttp reads the handshake, and a protocol with slots stays. Says its port.

It checks nothing and takes no notice of what comes afterwards: less than this nobody can do.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import signal
from collections.abc import Callable
from typing import cast

import httptools
import uvloop

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BACKLOG = 4_096


class Upgrading(asyncio.Protocol):
    """One connection: `upgraded` is called with the path once it has become a WebSocket, `heard` with what it says."""

    __slots__ = ("_key", "_parser", "_path", "transport")

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        # It is gone once it has done its work: an idle connection is this object and its transport.
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._key = self._path = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake."""
        self.transport = cast("asyncio.Transport", transport)

    def on_url(self, url: bytes) -> None:
        """Note the path: the parser calls this."""
        self._path = url.partition(b"?")[0]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the key: the parser calls this."""
        if name.lower() == b"sec-websocket-key":
            self._key = value

    def data_received(self, data: bytes) -> None:
        """Read the handshake and answer it."""
        if self._parser is None:
            self.heard(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            path, self._parser = self._path, None
            accept = base64.b64encode(hashlib.sha1(self._key + _GUID).digest())  # noqa: S324 - RFC 6455 wants it
            self._key = self._path = b""
            assert self.transport is not None, "it is connected"
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: gateway.v1\r\n\r\n" % accept
            )
            self.upgraded(path)

    def upgraded(self, path: bytes) -> None:
        """Nothing more is to do here."""

    def heard(self, data: bytes) -> None:
        """Take no notice."""


async def serve(connection: Callable[[], asyncio.Protocol]) -> None:
    """Listen on a free port of 127.0.0.1, say it, and serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0, backlog=_BACKLOG)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    gc.freeze()
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()


if __name__ == "__main__":
    uvloop.run(serve(Upgrading))
