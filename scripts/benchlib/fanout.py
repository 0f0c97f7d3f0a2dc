"""What a loop costs that only writes given bytes to given sockets: the floor of every delivery."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import NamedTuple, Self, cast

from scripts.benchlib.programs import Programs, Running
from scripts.benchlib.sockets import HOST, Fleet, handshake, plain_handshakes


class Orders(asyncio.Protocol):
    """Tells `floors/fanout.py` what to write, once it is `ready`."""

    def __init__(self, port: int) -> None:
        self._request = handshake(port, "demo", "").replace(b"/ws", b"/control", 1)
        self._transport: asyncio.Transport | None = None
        self.ready = asyncio.Event()

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect."""
        _, orders = await asyncio.get_running_loop().create_connection(lambda: cls(port), HOST, port)
        await orders.ready.wait()
        return orders

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # uvloop's transports are asyncio's in all but their class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - asyncio's signature
        """It has upgraded."""
        self.ready.set()

    def give(self, sockets: int, messages: int, frame: bytes) -> None:
        """Have so many messages written, each to the next so many sockets."""
        assert self._transport is not None, "it is open"
        self._transport.write(b"%d %d %d\n%s" % (sockets, messages, len(frame), frame))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class Bare(NamedTuple):
    """The floor, with its devices connected."""

    program: Running
    fleet: Fleet
    orders: Orders

    async def write(self, sockets: int, messages: int, at_once: int, frame: bytes) -> list[float]:
        """Have messages written, `at_once` of them in flight; return what each such burst took to the last device."""
        spans = []
        for _ in range(max(1, messages // at_once)):
            began = time.perf_counter()
            self.orders.give(sockets, at_once, frame)
            await self.fleet.reach(self.fleet.messages + sockets * at_once)
            spans.append(time.perf_counter() - began)
        return spans


@contextlib.asynccontextmanager
async def bare(programs: Programs, devices: int) -> AsyncIterator[Bare]:
    """Run the floor, and connect devices to it."""
    with programs.floor("fanout") as program:
        fleet = Fleet(program.port, bare=True)
        try:
            await fleet.connect(plain_handshakes(program.port, devices))
            orders = await Orders.open(program.port)
            try:
                yield Bare(program, fleet, orders)
            finally:
                orders.close()
        finally:
            fleet.close()
