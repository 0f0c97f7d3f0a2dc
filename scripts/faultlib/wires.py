"""The wires between clients, nodes and Redis: they balance, and they can be cut or swallow what they carry."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

_CHUNK = 64 * 1024

Target = Callable[[], Sequence[tuple[str, int]]]
"""Where a new connection may go, best first."""


class Wire:
    """A port that carries each connection to one of its targets.

    `swallow`: nothing passes any more in either direction, and nothing is closed: what a half-open connection is.
    """

    def __init__(self, targets: Target) -> None:
        self.port = 0
        self.swallow = False
        self._targets = targets
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], None] = {}

    async def start(self) -> None:
        """Listen on any free port of the loopback."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut everything, and listen no more."""
        if self._server is not None:
            self._server.close()
        self.cut(1.0, random.Random(0))
        await asyncio.gather(*self._open, return_exceptions=True)

    def cut(self, share: float, chance: random.Random) -> int:
        """Cut this share of the connections; return how many."""
        cut = [task for task in self._open if chance.random() < share]
        for task in cut:
            task.cancel()
        return len(cut)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = None
        others: list[asyncio.StreamWriter] = [writer]
        try:
            there = await self._connect()
            if there is None:
                return
            others.append(there[1])
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, there[1]))
                both.create_task(self._pump(there[0], writer))
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass  # That is what cutting looks like from here.
        finally:
            del self._open[task]
            for one in others:
                # Aborted, not closed: a wire that is cut says nothing more.
                one.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for host, port in self._targets():
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(2):
                    return await asyncio.open_connection(host, port)
        return None

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            if self.swallow:
                continue
            writer.write(data)
            await writer.drain()
        raise ConnectionError
