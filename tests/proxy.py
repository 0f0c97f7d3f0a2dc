"""A TCP proxy that does to a connection what networks do: cuts it, holds it up, or leaves it half open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Opens a connection to the server that is meant."""

_CHUNK_BYTES = 64 * 1024


def unix(path: str) -> Dial:
    """Dial a UNIX socket."""
    return lambda: asyncio.open_unix_connection(path)


def tcp(host: str, port: int) -> Dial:
    """Dial a TCP port."""
    return lambda: asyncio.open_connection(host, port)


class Cut:
    """What is to be cut: the connection over which `marker` goes to the server, before it gets there or afterwards.

    Afterwards is at the first byte that the server has to say to it, or (`unheard`) at once. `done` tells that it has
    happened.
    """

    def __init__(self, marker: bytes, *, before: bool = False, unheard: bool = False) -> None:
        self.marker = marker
        self.before = before
        self.unheard = unheard
        self.done = asyncio.Event()


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._near = near
        self._far = far
        self._cut: Cut | None = None

    def end(self) -> None:
        """Cut it, on both sides."""
        for writer in (self._near, self._far):
            writer.transport.abort()
        if self._cut is not None:
            self._cut.done.set()

    async def up(self, reader: asyncio.StreamReader) -> None:
        """Carry what the client says."""
        while data := await reader.read(_CHUNK_BYTES):
            await self._proxy.flowing.wait()
            cut = self._proxy.take_cut(data)
            if cut is not None:
                self._cut = cut
                if cut.before:
                    return
            self._far.write(data)
            await self._far.drain()
            if cut is not None and cut.unheard:
                return

    async def down(self, reader: asyncio.StreamReader) -> None:
        """Carry what the server says."""
        while data := await reader.read(_CHUNK_BYTES):
            await self._proxy.flowing.wait()
            if self._cut is not None:
                return
            self._near.write(data)
            await self._near.drain()


class Proxy:
    """Listens on `port` of this machine, and carries bytes to and from the server that `dial` opens.

    `opened` counts the connections that came, whatever became of them.

    While `pause`d it takes connections and bytes and hands none of them on: to its peers that is a half-open
    connection, until `resume`.
    """

    def __init__(self, dial: Dial) -> None:
        self.port = 0
        self.opened = 0
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._dial = dial
        self._refusing = False
        self._closed = False
        self._cut: Cut | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        # Who has come and is not yet linked to the server finds it closed.
        self._refusing = self._closed = True
        self.resume()
        self.cut_all()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def pause(self) -> None:
        """Hold up whatever comes from now on, on connections old and new."""
        self.flowing.clear()

    def resume(self) -> None:
        """Hand on what was held up, and whatever comes."""
        self.flowing.set()

    def refuse(self, *, refusing: bool = True) -> None:
        """Cut new connections as they come."""
        self._refusing = refusing

    def cut_all(self) -> None:
        """Cut all connections there are."""
        for link in list(self._links):
            link.end()

    def cut_at(self, marker: bytes, *, before: bool = False, unheard: bool = False) -> Cut:
        """Cut the next connection over which these bytes go to the server, once."""
        self._cut = Cut(marker, before=before, unheard=unheard)
        return self._cut

    def take_cut(self, data: bytes) -> Cut | None:
        """Whether these bytes are to be their connection's last."""
        if self._cut is None or self._cut.marker not in data:
            return None
        cut, self._cut = self._cut, None
        return cut

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.opened += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await self._dial()
        except OSError:
            writer.transport.abort()
            return
        if self._closed:
            far_writer.transport.abort()
            writer.transport.abort()
            return
        link = _Link(self, writer, far_writer)
        self._links.add(link)
        ways = [asyncio.ensure_future(link.up(reader)), asyncio.ensure_future(link.down(far_reader))]
        try:
            # When one side has nothing more to say, or is cut, so is the other.
            with suppress(ConnectionError):
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            link.end()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
