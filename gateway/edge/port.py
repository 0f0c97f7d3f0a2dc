"""The port that a gateway listens on: which road its connections take, how long they may wait, how they end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence

from aiohttp import web
from aiohttp.http import HttpProcessingError

from gateway.domain.limits import Limits
from gateway.edge.answering import Answering
from gateway.edge.channel import Channel
from gateway.edge.frontdoor.door import Door
from gateway.edge.middleware import cors_headers
from gateway.edge.patient import Patient
from gateway.edge.untaken import Untaken

IDLE_TIMEOUT_S = 75.0
"""How long a connection is kept after an answer for the next request."""

LINGERING_S = 10.0
"""As in aiohttp."""

ACCEPTS = 16
"""Connections that are let in in one turn of the loop. The loop takes one per turn from each socket that it watches,
and in a storm a turn for each would cost more than the rest of letting them in, and nothing could be done together."""

LOOK_S = 1.0
"""How often it is looked for connections that wait too long; more often where they may wait a few seconds only."""

_MALFORMED = (HttpProcessingError, web.RequestPayloadError)

HTTP_LOG = logging.getLogger("gateway.http")
"""Where aiohttp's server says what went wrong. What is no HTTP, or packed otherwise than it says, is answered and not
logged: anybody can send as much of it as they like, and each would be a traceback."""

HTTP_LOG.addFilter(lambda record: not isinstance((record.exc_info or (None, None))[1], _MALFORMED))


class Port:
    """Takes the connections of one listener: by the front door, or by aiohttp alone."""

    def __init__(self, app: web.Application, limits: Limits) -> None:
        self._limits = limits
        self._runner = web.AppRunner(
            app,
            handle_signals=False,
            # Who waits for an answer gets one: `close` is bounded by its caller.
            shutdown_timeout=limits.drain_ms / 1000,
        )
        self._door: Door | None = None
        self._untaken: Untaken | None = None
        self._listening: list[asyncio.Server] = []

    @property
    def connections(self) -> Sequence[asyncio.BaseProtocol]:
        """The connections that are open, of devices and of callers."""
        server = self._runner.server
        return [*(server.connections if server else ()), *(self._door.callers if self._door else ())]

    async def open(
        self,
        listener: socket.socket,
        backlog: int,
        answering: Answering,
        *,
        front_door: bool,
        channel: Channel | None = None,
        cors_origins: Sequence[str] = (),
    ) -> None:
        """Let connections in."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        untaken = self._untaken = Untaken(self._limits, loop.time)
        if front_door:
            cors = cors_headers("", cors_origins) if cors_origins else None
            self._door = Door(answering, channel, self._limits, self._patient, untaken, cors, IDLE_TIMEOUT_S)
        factory = self._door or self._patient
        # The same socket again and again, by other numbers: the kernel wakes each of them.
        for sock in (listener, *(listener.dup() for _ in range(ACCEPTS - 1))):
            self._listening.append(await loop.create_server(factory, sock=sock, backlog=backlog))

    def _patient(self) -> Patient:
        """Make aiohttp's protocol for one connection."""
        server = self._runner.server
        assert server is not None
        assert self._untaken is not None, "it is open"
        return Patient(
            server,
            self._untaken,
            loop=asyncio.get_running_loop(),
            access_log=None,
            keepalive_timeout=IDLE_TIMEOUT_S,
            # How long it reads a body that the answer came before.
            lingering_time=min(LINGERING_S, self._limits.body_timeout_ms / 1000),
            logger=HTTP_LOG,
        )

    async def run(self) -> None:
        """Cut connections that wait too long, for as long as this runs."""
        header_s, body_s = self._limits.header_timeout_ms / 1000, self._limits.body_timeout_ms / 1000
        s_per_byte = 1 / self._limits.body_bytes_per_s_min
        pause_s = min(LOOK_S, header_s / 4, body_s / 4)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(pause_s)
            if self._untaken is not None:
                self._untaken.sweep()
            if self._door is not None:
                self._door.sweep()
            server, now = self._runner.server, loop.time()
            for handler in server.connections if server else ():
                if isinstance(handler, Patient):
                    if handler.overdue(now, header_s, body_s, s_per_byte):
                        handler.force_close()
                    handler.look()

    def stop_listening(self) -> None:
        """Let nobody in any more."""
        for server in self._listening:
            server.close()

    async def close(self, ends: float) -> None:
        """End all connections; what is under way is answered first, if it can be until `ends` (the loop's clock)."""
        async with asyncio.TaskGroup() as closing:
            if self._door is not None:
                closing.create_task(self._door.close(ends))
            closing.create_task(self._runner.cleanup())
