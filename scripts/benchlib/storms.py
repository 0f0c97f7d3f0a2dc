"""Everybody comes at once: new connections, and devices that are behind."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from statistics import median

from scripts.benchlib.dialing import dial
from scripts.benchlib.figures import Figure
from scripts.benchlib.programs import Programs, Running, Served
from scripts.benchlib.scenario import Measured, Rounds, Scenario, column
from scripts.benchlib.sockets import Fleet, handshakes, plain_handshakes
from scripts.benchlib.town import TEXT_BYTES, crowd_of, pump_of, pumped, to_group, to_user, town
from scripts.loadlib.crowd import Crowd

_DEVICES = 5_000
_SHARE_LEAST = 0.55
_BUSY_PERCENT = 90.0
_LIVE, _UPGRADED = b'{"op":"live"', b"\r\n\r\n"


# -- connect-storm


async def _known(programs: Programs) -> Measured:
    """Devices of users that the store knows and a process that has just started does not."""
    devices = programs.count(_DEVICES)
    with programs.scratch() as folder:
        with programs.gateway(data=folder / "known") as served:
            crowd = crowd_of(served, devices)
            uids = [crowd.uid(index) for index in range(devices)]
            dial(served.program.port, handshakes(served.program.port, served.signer, uids), _LIVE)
        with programs.gateway(template=folder / "known") as served:
            return _dialled(served.program, handshakes(served.program.port, served.signer, uids), _LIVE)


async def _plain(name: str, programs: Programs) -> Measured:
    """As many to a floor."""
    with programs.floor(name) as program:
        return _dialled(program, plain_handshakes(program.port, programs.count(_DEVICES)), _UPGRADED)


def _dialled(program: Running, requests: list[bytes], until: bytes) -> Measured:
    before = program.cost.cpu_s
    dialled = dial(program.port, requests, until)
    cpu_s = program.cost.cpu_s - before
    return {
        "per_s": len(requests) / dialled.seconds,
        "cpu_us": cpu_s * 1e6 / len(requests),
        "slowest_ms": dialled.slowest_ms,
        "server_percent": cpu_s * 100 / dialled.seconds,
        "load_percent": dialled.load_cpu_s * 100 / dialled.seconds,
    }


def _connect_figures(rounds: Rounds) -> list[Figure]:
    """Judged by how many connect in a second; by what each costs, where the floor's core was not busy.

    Then the load held the floor up, or something else on the machine did, and its rate is not what it can do.
    """
    floors = {name: column(rounds, "bare", name) for name in ("per_s", "cpu_us", "slowest_ms")}
    held_up = median(column(rounds, "bare", "server_percent")) < _BUSY_PERCENT
    rate, cost = f"≥ {_SHARE_LEAST} of the bare protocol", f"≤ the bare protocol / {_SHARE_LEAST}"
    return [
        Figure(
            name="connect-storm: connects",
            unit="/s",
            values=column(rounds, "gateway", "per_s"),
            floors=floors["per_s"],
            reach="the floor was held up: see the CPU" if held_up else rate,
            least=None if held_up else _SHARE_LEAST * median(floors["per_s"]),
        ),
        Figure(
            name="connect-storm: CPU per connect",
            unit="µs",
            values=column(rounds, "gateway", "cpu_us"),
            floors=floors["cpu_us"],
            reach=cost if held_up else "",
            most=median(floors["cpu_us"]) / _SHARE_LEAST if held_up else None,
        ),
        Figure(
            name="connect-storm: slowest",
            unit="ms",
            values=column(rounds, "gateway", "slowest_ms"),
            floors=floors["slowest_ms"],
        ),
        *(
            Figure(
                name=f"connect-storm: {whose} core",
                unit="%",
                values=column(rounds, "gateway", measured),
                floors=column(rounds, "bare", measured),
            )
            for whose, measured in (("the server's", "server_percent"), ("the load's", "load_percent"))
        ),
        Figure(
            name="connect-storm: aiohttp's connects, by the bare protocol's",
            unit="/s",
            values=column(rounds, "aiohttp", "per_s"),
            floors=floors["per_s"],
        ),
    ]


# -- reconnect-storm

_GROUP = 50
_BEHIND = 10
"""So many entries in the group's timeline, and as many in the user's own."""

_STRANGERS = 8
_TARGETS_MAX = 1_000
_RATE = 50.0
_ENDLESS = 1_000_000
_SEND_MS_MAX = 200.0
_COMMITTED_S = 1.0
_APART = 7_919
"""A prime: the users that are sent to meanwhile come in another order than they connect in."""


async def _behind(programs: Programs) -> Measured:
    """Devices that have acked once, gone away, and been sent to, come back together while others send."""
    devices = -(-programs.count(_DEVICES) // _GROUP) * _GROUP
    with programs.gateway() as served:
        first = Fleet(served.program.port, tracked=True)
        async with town(served, first, devices, group_size=_GROUP) as crowd:
            # They acked when they went live: they are kept as soon as that is committed.
            await asyncio.sleep(_COMMITTED_S)
            first.close()
            strangers = crowd_of(served, _STRANGERS)
            try:
                await strangers.open_callers(_STRANGERS)
                await _fall_behind(crowd, strangers)
                return await _come_back(served, crowd, strangers)
            finally:
                strangers.close()


async def _fall_behind(crowd: Crowd, strangers: Crowd) -> None:
    """Send to every group by its first member, and to every user by a stranger."""
    await crowd.open_callers(len(crowd.groups), apart=_GROUP)
    await pumped(pump_of(to_group(crowd), _BEHIND * len(crowd.groups)), crowd.callers)
    uids = [crowd.uid(index) for index in range(crowd.devices)]
    pages = [uids[first : first + _TARGETS_MAX] for first in range(0, len(uids), _TARGETS_MAX)]
    for page in pages * _BEHIND:
        body = {"type": 1, "targets": page, "content_type": 0, "content": "x" * TEXT_BYTES}
        await strangers.callers[0].ask("/message/send", body)


async def _come_back(served: Served, crowd: Crowd, strangers: Crowd) -> Measured:
    devices = crowd.devices
    requests = handshakes(served.program.port, served.signer, [crowd.uid(index) for index in range(devices)])
    fleet = Fleet(served.program.port, tracked=True)
    pump = pump_of(to_user(lambda _, number: crowd.uid(number * _APART % devices)), _ENDLESS, _RATE)
    try:
        before, load_s, began = served.program.cost.cpu_s, time.process_time(), time.perf_counter()
        sending = asyncio.create_task(pumped(pump, strangers.callers))
        await fleet.connect(requests, at_once=devices)
        seconds = time.perf_counter() - began
        cpu_s, load_s = served.program.cost.cpu_s - before, time.process_time() - load_s
        pump.stop()
        await sending
        await fleet.reach(devices * 2 * _BEHIND + pump.issued)
    finally:
        fleet.close()
    return {
        "live_s": seconds,
        "p99_ms": pump.latency.quantile_ms(0.99),
        "cpu_us": cpu_s * 1e6 / devices,
        "load_percent": load_s * 100 / seconds,
    }


def _reconnect_figures(rounds: Rounds) -> list[Figure]:
    return [
        Figure(
            name="reconnect-storm: until all are live",
            unit="s",
            values=column(rounds, "gateway", "live_s"),
        ),
        Figure(
            name="reconnect-storm: CPU per device",
            unit="µs",
            values=column(rounds, "gateway", "cpu_us"),
        ),
        Figure(
            name="reconnect-storm: sends meanwhile, p99",
            unit="ms",
            values=column(rounds, "gateway", "p99_ms"),
            reach=f"≤ {_SEND_MS_MAX:g} ms",
            most=_SEND_MS_MAX,
        ),
        Figure(
            name="reconnect-storm: the load's core",
            unit="%",
            values=column(rounds, "gateway", "load_percent"),
        ),
    ]


STORMS = (
    Scenario(
        "connect-storm",
        "5,000 devices connect at once, nothing to replay",
        {
            "gateway": _known,
            "bare": partial(_plain, "upgrade"),
            "aiohttp": partial(_plain, "aiohttp_ws"),
        },
        _connect_figures,
    ),
    Scenario(
        "reconnect-storm",
        "5,000 devices come back at once, 20 entries behind each",
        {"gateway": _behind},
        _reconnect_figures,
    ),
)
