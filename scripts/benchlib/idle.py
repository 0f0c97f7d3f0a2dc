"""Devices that are connected and do nothing: the memory of each, and what it costs to keep them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial

from scripts.benchlib.figures import Figure
from scripts.benchlib.programs import Programs, Running
from scripts.benchlib.scenario import Measured, Rounds, Scenario, column
from scripts.benchlib.sockets import Fleet, handshakes, plain_handshakes
from scripts.benchlib.town import crowd_of

_DEVICES = 10_000
_WARM_UP = 50
_SETTLE_S = 2.0
_REST_S = 65
"""Two heartbeats of the default: every device is pinged twice."""

_KB_MAX = 5.0
_CPU_PERCENT_MAX = 1.0


async def _gateway(programs: Programs) -> Measured:
    """Authenticated devices, live, and at rest for a while."""
    devices = programs.count(_DEVICES)
    with programs.gateway() as served:
        crowd = crowd_of(served, devices + _WARM_UP)
        uids = [crowd.uid(index) for index in range(devices + _WARM_UP)]
        requests = handshakes(served.program.port, served.signer, uids)
        fleet = Fleet(served.program.port)
        try:
            measured = await _connected(served.program, fleet, requests)
            await asyncio.sleep(_SETTLE_S)
            before, began = served.program.cost.cpu_s, time.perf_counter()
            await asyncio.sleep(programs.count(_REST_S))
            seconds = time.perf_counter() - began
            measured["rest_percent"] = (served.program.cost.cpu_s - before) * 100 / seconds
            fleet.check()
        finally:
            fleet.close()
    return measured


async def _floor(name: str, programs: Programs) -> Measured:
    """The same number of connections to a floor."""
    with programs.floor(name) as program:
        fleet = Fleet(program.port, bare=True)
        try:
            requests = plain_handshakes(program.port, programs.count(_DEVICES) + _WARM_UP)
            return await _connected(program, fleet, requests)
        finally:
            fleet.close()


async def _connected(program: Running, fleet: Fleet, requests: Sequence[bytes]) -> Measured:
    """Connect them all; return the memory of each. What the first ones alone bring about is not counted."""
    await fleet.connect(requests[:_WARM_UP])
    await asyncio.sleep(_SETTLE_S)
    before = program.cost.pss_kb
    await fleet.connect(requests[_WARM_UP:])
    await asyncio.sleep(_SETTLE_S)
    return {"kb": (program.cost.pss_kb - before) / (len(requests) - _WARM_UP)}


def _figures(rounds: Rounds) -> list[Figure]:
    kb = column(rounds, "gateway", "kb")
    return [
        Figure(
            name="idle: memory per device (PSS), by the bare protocol's",
            unit="kB",
            values=kb,
            floors=column(rounds, "bare", "kb"),
            reach=f"≤ {_KB_MAX:g} kB",
            most=_KB_MAX,
        ),
        Figure(
            name="idle: memory per device (PSS), by aiohttp's",
            unit="kB",
            values=kb,
            floors=column(rounds, "aiohttp", "kb"),
        ),
        Figure(
            name="idle: CPU at rest, pings on",
            unit="% of a core",
            values=column(rounds, "gateway", "rest_percent"),
            reach=f"≤ {_CPU_PERCENT_MAX:g} %",
            most=_CPU_PERCENT_MAX,
        ),
    ]


IDLE = (
    Scenario(
        "idle",
        "10,000 idle authenticated devices",
        {
            "gateway": _gateway,
            "bare": partial(_floor, "upgrade"),
            "aiohttp": partial(_floor, "aiohttp_ws"),
        },
        _figures,
    ),
)
