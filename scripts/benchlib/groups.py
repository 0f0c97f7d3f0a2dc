"""Fan-out: what a delivery costs, everything included, beside a loop that only writes the same bytes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from statistics import median
from typing import NamedTuple, Self, cast

from scripts.benchlib.figures import Figure
from scripts.benchlib.programs import Programs, Running
from scripts.benchlib.scenario import Measured, Rounds, Scenario, column
from scripts.benchlib.sockets import HOST, Fleet, handshake, plain_handshakes
from scripts.benchlib.town import pump_of, pumped, to_group, town

_WARM_UP = 50
_GROUP = 1_000
_CALLERS = 8
_FLAT_OUT = 2_000
_ONE_BY_ONE = 400


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
    """A floor that writes to devices, all connected."""

    program: Running
    fleet: Fleet
    orders: Orders


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


async def written(floor: Bare, sockets: int, messages: int, at_once: int, frame: bytes) -> list[float]:
    """Have messages written, `at_once` of them in flight; return how long each such burst took to the last device."""
    spans = []
    for _ in range(max(1, messages // at_once)):
        began = time.perf_counter()
        floor.orders.give(sockets, at_once, frame)
        await floor.fleet.reach(floor.fleet.messages + sockets * at_once)
        spans.append(time.perf_counter() - began)
    return spans


class _Frame:
    """The frame that the gateway has written: the floor writes the same. The gateway has the first turn."""

    def __init__(self) -> None:
        self.data = b""


class _FlatOut:
    """A group and callers who send as fast as they are answered."""

    def __init__(self) -> None:
        self._frame = _Frame()

    async def gateway(self, programs: Programs) -> Measured:
        """Durable sends; every delivery is waited for."""
        size, sends = programs.count(_GROUP), programs.count(_FLAT_OUT)
        with programs.gateway() as served:
            async with town(served, size, group_size=size, callers=_CALLERS) as (crowd, fleet):
                await pumped(pump_of(to_group(crowd), _WARM_UP), crowd)
                await fleet.reach(_WARM_UP * size)
                before, began = served.program.cost.cpu_s, time.perf_counter()
                load = time.process_time()
                pump = pump_of(to_group(crowd), sends)
                await pumped(pump, crowd)
                await fleet.reach((_WARM_UP + sends) * size)
                seconds = time.perf_counter() - began
                self._frame.data = fleet.sample
                return {
                    "cpu_us": (served.program.cost.cpu_s - before) * 1e6 / sends / size,
                    "deliveries_s": sends * size / seconds,
                    "p99_ms": pump.latency.quantile_ms(0.99),
                    "load_percent": (time.process_time() - load) * 100 / seconds,
                }

    async def floor(self, programs: Programs) -> Measured:
        """As many messages in flight as there are callers."""
        size, sends = programs.count(_GROUP), programs.count(_FLAT_OUT) // 4
        async with bare(programs, size) as floor:
            await written(floor, size, _WARM_UP, _CALLERS, self._frame.data)
            before, count = floor.program.cost.cpu_s, floor.fleet.messages
            await written(floor, size, sends, _CALLERS, self._frame.data)
            return {
                "cpu_us": (floor.program.cost.cpu_s - before) * 1e6 / (floor.fleet.messages - count),
            }

    def figures(self, rounds: Rounds) -> list[Figure]:
        """The cost of a delivery, and how fast it went."""
        return [
            _cost("group-1000", rounds, 0.6),
            Figure(
                name="group-1000: deliveries", unit="/s", values=column(rounds, "gateway", "deliveries_s")
            ),
            Figure(name="group-1000: sends, p99", unit="ms", values=column(rounds, "gateway", "p99_ms")),
            Figure(
                name="group-1000: the load's core", unit="%", values=column(rounds, "gateway", "load_percent")
            ),
        ]


class _OneByOne:
    """A group, and one message at a time: the next is sent when all devices have the last one."""

    def __init__(self) -> None:
        self._frame = _Frame()

    async def gateway(self, programs: Programs) -> Measured:
        """Durable sends of one caller."""
        size, sends = programs.count(_GROUP), programs.count(_ONE_BY_ONE)
        with programs.gateway() as served:
            async with town(served, size, group_size=size, callers=1) as (crowd, fleet):
                await pumped(pump_of(to_group(crowd), _WARM_UP), crowd)
                await fleet.reach(_WARM_UP * size)
                before, spans = served.program.cost.cpu_s, []
                for number in range(1, sends + 1):
                    began = time.perf_counter()
                    await pumped(pump_of(to_group(crowd), 1), crowd)
                    await fleet.reach((_WARM_UP + number) * size)
                    spans.append(time.perf_counter() - began)
                self._frame.data = fleet.sample
                return {
                    "cpu_us": (served.program.cost.cpu_s - before) * 1e6 / sends / size,
                    "last_ms": median(spans) * 1e3,
                }

    async def floor(self, programs: Programs) -> Measured:
        """The same, with nothing stored."""
        size, sends = programs.count(_GROUP), programs.count(_ONE_BY_ONE)
        async with bare(programs, size) as floor:
            await written(floor, size, _WARM_UP, 1, self._frame.data)
            before = floor.program.cost.cpu_s
            spans = await written(floor, size, sends, 1, self._frame.data)
            return {
                "cpu_us": (floor.program.cost.cpu_s - before) * 1e6 / sends / size,
                "last_ms": median(spans) * 1e3,
            }

    def figures(self, rounds: Rounds) -> list[Figure]:
        """The cost of a delivery, and how long a message takes to the last device."""
        return [
            _cost("group-1000-single", rounds, 1.2),
            Figure(
                name="group-1000-single: to the last device",
                unit="ms",
                values=column(rounds, "gateway", "last_ms"),
                floors=column(rounds, "bare", "last_ms"),
            ),
        ]


def _cost(name: str, rounds: Rounds, most: float) -> Figure:
    floors = column(rounds, "bare", "cpu_us")
    return Figure(
        name=f"{name}: CPU per delivery",
        unit="µs",
        values=column(rounds, "gateway", "cpu_us"),
        floors=floors,
        reach=f"≤ {most} of the bare loop",
        most=most * median(floors),
    )


_flat_out, _one_by_one = _FlatOut(), _OneByOne()

GROUPS = (
    Scenario(
        "group-1000",
        "a group of 1,000 devices, 8 callers, durable",
        {"gateway": _flat_out.gateway, "bare": _flat_out.floor},
        _flat_out.figures,
    ),
    Scenario(
        "group-1000-single",
        "a group of 1,000 devices, one message at a time",
        {"gateway": _one_by_one.gateway, "bare": _one_by_one.floor},
        _one_by_one.figures,
    ),
)
