"""Fan-out: what a delivery costs, everything included, beside a loop that only writes the same bytes."""

from __future__ import annotations

import time
from statistics import median

from scripts.benchlib.fanout import bare
from scripts.benchlib.figures import Figure
from scripts.benchlib.programs import Programs
from scripts.benchlib.scenario import Measured, Rounds, Scenario, column
from scripts.benchlib.sockets import Fleet
from scripts.benchlib.town import pump_of, pumped, to_group, town

_WARM_UP = 50
_GROUP = 1_000
_CALLERS = 8
_FLAT_OUT = 2_000
_ONE_BY_ONE = 400


class _FlatOut:
    """A group and callers who send as fast as they are answered."""

    def __init__(self) -> None:
        self._frame = b""
        """What the gateway wrote, which has the first turn: the floor writes the same."""

    async def gateway(self, programs: Programs) -> Measured:
        """Durable sends; every delivery is waited for."""
        size, sends = programs.count(_GROUP), programs.count(_FLAT_OUT)
        with programs.gateway() as served:
            fleet = Fleet(served.program.port)
            async with town(served, fleet, size, group_size=size, callers=_CALLERS) as crowd:
                await pumped(pump_of(to_group(crowd), _WARM_UP), crowd.callers)
                await fleet.reach(_WARM_UP * size)
                before, began = served.program.cost.cpu_s, time.perf_counter()
                load = time.process_time()
                pump = pump_of(to_group(crowd), sends)
                await pumped(pump, crowd.callers)
                await fleet.reach((_WARM_UP + sends) * size)
                seconds = time.perf_counter() - began
                self._frame = fleet.sample
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
            await floor.write(size, _WARM_UP, _CALLERS, self._frame)
            before, count = floor.program.cost.cpu_s, floor.fleet.messages
            await floor.write(size, sends, _CALLERS, self._frame)
            return {
                "cpu_us": (floor.program.cost.cpu_s - before) * 1e6 / (floor.fleet.messages - count),
            }

    def figures(self, rounds: Rounds) -> list[Figure]:
        """The cost of a delivery, and how fast it went."""
        return [
            cost("group-1000", rounds, 0.6),
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
        self._frame = b""
        """What the gateway wrote, which has the first turn: the floor writes the same."""

    async def gateway(self, programs: Programs) -> Measured:
        """Durable sends of one caller."""
        size, sends = programs.count(_GROUP), programs.count(_ONE_BY_ONE)
        with programs.gateway() as served:
            fleet = Fleet(served.program.port)
            async with town(served, fleet, size, group_size=size, callers=1) as crowd:
                await pumped(pump_of(to_group(crowd), _WARM_UP), crowd.callers)
                await fleet.reach(_WARM_UP * size)
                before, spans = served.program.cost.cpu_s, []
                for number in range(1, sends + 1):
                    began = time.perf_counter()
                    await pumped(pump_of(to_group(crowd), 1), crowd.callers)
                    await fleet.reach((_WARM_UP + number) * size)
                    spans.append(time.perf_counter() - began)
                self._frame = fleet.sample
                return {
                    "cpu_us": (served.program.cost.cpu_s - before) * 1e6 / sends / size,
                    "last_ms": median(spans) * 1e3,
                }

    async def floor(self, programs: Programs) -> Measured:
        """The same, with nothing stored."""
        size, sends = programs.count(_GROUP), programs.count(_ONE_BY_ONE)
        async with bare(programs, size) as floor:
            await floor.write(size, _WARM_UP, 1, self._frame)
            before = floor.program.cost.cpu_s
            spans = await floor.write(size, sends, 1, self._frame)
            return {
                "cpu_us": (floor.program.cost.cpu_s - before) * 1e6 / sends / size,
                "last_ms": median(spans) * 1e3,
            }

    def figures(self, rounds: Rounds) -> list[Figure]:
        """The cost of a delivery, and how long a message takes to the last device."""
        return [
            cost("group-1000-single", rounds, 1.2),
            Figure(
                name="group-1000-single: to the last device",
                unit="ms",
                values=column(rounds, "gateway", "last_ms"),
                floors=column(rounds, "bare", "last_ms"),
            ),
        ]


def cost(name: str, rounds: Rounds, most: float) -> Figure:
    """What a delivery costs the gateway, which may be `most` times what it costs the bare loop."""
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
