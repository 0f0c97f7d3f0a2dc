"""Devices that don't read: what they cost the server's memory, and nobody else anything."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from statistics import median

from scripts.benchlib.figures import Figure
from scripts.benchlib.programs import Programs, Running
from scripts.benchlib.scenario import Measured, Rounds, Scenario, column
from scripts.benchlib.sockets import Fleet, handshakes
from scripts.benchlib.town import crowd_of, pump_of, pumped, to_group

_HEALTHY = 100
_SLOW = 100
_CALLERS = 8
_SENDS = 800
_TEXT_BYTES = 16_384
"""With so many sends it is three times what the kernel takes for a socket, and a hundred times what the server may."""

_SAMPLE_S = 0.25
_HELD_KB_MAX = 2 * 128
"""For each: `transport_buffer_bytes_max`, and one batch more, of all callers, that was begun below it."""

_SETTINGS = "[limits]\nheartbeat_ms = 300000\n"
"""Who takes nothing is given up after 2.5 of these. Until then it may be as slow as it likes."""


async def _contend(programs: Programs, *, reading: bool) -> Measured:
    """A group that is sent to while half of its devices don't read. Then they do, and get all they are owed.

    Raises:
        RuntimeError: A delivery is missing, to the healthy or in the end to the slow, or somebody was cut off.
    """
    many, few, sends = programs.count(_HEALTHY), programs.count(_SLOW), programs.count(_SENDS)
    with programs.gateway(_SETTINGS) as served:
        crowd = crowd_of(served, many + few)
        requests = handshakes(
            served.program.port, served.signer, [crowd.uid(index) for index in range(many + few)]
        )
        healthy = Fleet(served.program.port, tracked=True)
        slow = Fleet(served.program.port, tracked=True)
        try:
            await crowd.make_groups(many + few)
            await crowd.open_callers(_CALLERS)
            await healthy.connect(requests[:many])
            await slow.connect(requests[many:])
            if not reading:
                for device in slow.devices:
                    device.sleep()
            began = time.perf_counter()
            pump = pump_of(to_group(crowd), sends, text_bytes=_TEXT_BYTES)
            sampling = asyncio.create_task(_grown_kb(served.program))
            await pumped(pump, crowd.callers)
            await healthy.reach(sends * many)
            seconds = time.perf_counter() - began
            sampling.cancel()
            grown_kb = await sampling
            if not reading:
                for device in slow.devices:
                    device.wake()
            await slow.reach(sends * few)
            return {"grown_mb": grown_kb / 1024, "slow": few, "deliveries_s": sends * many / seconds}
        finally:
            healthy.close()
            slow.close()
            crowd.close()


async def _grown_kb(program: Running) -> float:
    """By how much the memory of a program has grown at most, until this is cancelled."""
    before = most = program.cost.pss_kb
    try:
        while True:
            await asyncio.sleep(_SAMPLE_S)
            most = max(most, program.cost.pss_kb)
    except asyncio.CancelledError:
        return max(most, program.cost.pss_kb) - before


def _figures(rounds: Rounds) -> list[Figure]:
    others = column(rounds, "all read", "grown_mb")
    held_mb = median(column(rounds, "half", "slow")) * _HELD_KB_MAX / 1024
    return [
        Figure(
            name="never-reading: the server's memory (PSS) grows, by what it does where all read",
            unit="MB",
            values=column(rounds, "half", "grown_mb"),
            floors=others,
            reach=f"≤ the floor + {held_mb:.0f} MB",
            most=median(others) + held_mb,
        ),
        Figure(
            name="never-reading: deliveries to the others, by those where all read",
            unit="/s",
            values=column(rounds, "half", "deliveries_s"),
            floors=column(rounds, "all read", "deliveries_s"),
        ),
    ]


NEVER_READING = Scenario(
    "never-reading",
    "100 devices that don't read, in a group of 200 that is sent to",
    {"half": partial(_contend, reading=False), "all read": partial(_contend, reading=True)},
    _figures,
)
