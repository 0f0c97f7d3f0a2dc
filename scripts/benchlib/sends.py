"""Scenarios of durable sends: what one costs, and how long it takes."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import AsyncIterator

from gateway.config import Edge
from scripts.benchlib.calls import NOBODY, Calls
from scripts.benchlib.figures import Figure
from scripts.benchlib.http import Callers, Request
from scripts.benchlib.programs import Programs, Running
from scripts.benchlib.scenario import Contender, Measured, Rounds, Scenario, column

USERS = 1_000
TEXT_BYTES = 100
_CALLERS = 256
_SENDS = 30_000
_ANSWER = 75
"""Bytes of the body of an answer to a send."""

_BATCH = 128
"""What 256 callers in a closed loop come to: while the one half is committed, the other half is written and read."""

_AIOHTTP, _DOOR, _HANDLER, _COMMIT = "gateway, aiohttp", "gateway, front door", "aiohttp handler", "commit"
_HANDLERS_OF = {_AIOHTTP: 1.1, _DOOR: 0.5}
"""How much of the bare aiohttp handler's CPU each road may cost, beside the commit."""


def roads() -> dict[str, str]:
    """The roads by which a call gets into this gateway, each with the configuration that opens it alone."""
    if "front_door" not in Edge.__struct_fields__:
        return {_AIOHTTP: ""}
    return {_AIOHTTP: "[edge]\nfront_door = false\n", _DOOR: ""}


@contextlib.asynccontextmanager
async def calling(port: int, callers: int) -> AsyncIterator[Callers]:
    """Connect so many callers, and hang up afterwards."""
    found = Callers(port)
    try:
        await found.open(callers)
        yield found
    finally:
        found.close()


async def load(
    program: Running, callers: Callers, count: int, request: Request, rate: float = 0.0
) -> Measured:
    """Load a program, and say what it took and what it cost."""
    cpu_s = -program.cost.cpu_s
    loaded = await callers.load(count, request, rate)
    cpu_s += program.cost.cpu_s
    return {
        "per_s": loaded.per_s,
        "cpu_us": cpu_s / count * 1e6,
        "load_cpu_us": loaded.load_cpu_s / count * 1e6,
        "p50_ms": loaded.latency.quantile_ms(0.50),
        "p99_ms": loaded.latency.quantile_ms(0.99),
        "answer_bytes": len(loaded.answer.partition(b"\r\n\r\n")[2]),
    }


def _sending(settings: str, callers: int, full: int) -> Contender:
    """A gateway with these lines of configuration, under sends between users it knows."""

    async def contend(programs: Programs) -> Measured:
        count = programs.count(full, callers)
        with programs.gateway(settings) as served:
            calls = Calls(served.signer)
            async with calling(served.program.port, callers) as open_callers:
                await open_callers.load(USERS, calls.introductions(USERS))
                return await load(served.program, open_callers, count, calls.sends(count, USERS, TEXT_BYTES))

    return contend


def _handling(callers: int, full: int) -> Contender:
    """The bare aiohttp handler, under the same load."""

    async def contend(programs: Programs) -> Measured:
        count = programs.count(full, callers)
        with programs.floor("aiohttp_handler", "POST", "/message/send", _ANSWER) as running:
            calls = Calls(NOBODY)
            async with calling(running.port, callers) as open_callers:
                await open_callers.load(USERS, calls.introductions(USERS))
                return await load(running, open_callers, count, calls.sends(count, USERS, TEXT_BYTES))

    return contend


def committing(full: int, batch: int, rate: float = 0.0) -> Contender:
    """The bare commit of the same rows in batches of this size, as fast as it can or so many a second."""

    async def contend(programs: Programs) -> Measured:
        with programs.scratch() as folder:
            words = (folder, programs.count(full, batch), batch, USERS, TEXT_BYTES, *([rate] if rate else []))
            return programs.work("sqlite_commit", *words)

    return contend


def _many_figures(rounds: Rounds) -> list[Figure]:
    commit, handler = (column(rounds, floor, "cpu_us") for floor in (_COMMIT, _HANDLER))
    both = [one + other for one, other in zip(commit, handler, strict=True)]
    figures = []
    for road in (road for road in _HANDLERS_OF if road in rounds):
        share = _HANDLERS_OF[road]
        name = f"send-256, {road}"
        figures += [
            Figure(
                name=f"{name}: CPU per send",
                unit="µs",
                values=column(rounds, road, "cpu_us"),
                floors=both,
                reach=f"≤ commit + {share} handlers",
                most=statistics.median(commit) + share * statistics.median(handler),
            ),
            Figure(
                name=f"{name}: sends",
                unit="/s",
                values=column(rounds, road, "per_s"),
                floors=column(rounds, _HANDLER, "per_s"),
                reach="stretch 12,000",
            ),
            Figure(name=f"{name}: p50", unit="ms", values=column(rounds, road, "p50_ms")),
            Figure(name=f"{name}: p99", unit="ms", values=column(rounds, road, "p99_ms")),
            Figure(
                name=f"{name}: CPU of the load per send",
                unit="µs",
                values=column(rounds, road, "load_cpu_us"),
            ),
        ]
    return [
        *figures,
        Figure(name="send-256, bare commit: CPU per send", unit="µs", values=commit),
        Figure(name="send-256, bare aiohttp handler: CPU per call", unit="µs", values=handler),
    ]


SEND_256 = Scenario(
    "send-256",
    "durable sends of 256 callers to one user each",
    {
        **{road: _sending(settings, _CALLERS, _SENDS) for road, settings in roads().items()},
        _HANDLER: _handling(_CALLERS, _SENDS),
        _COMMIT: committing(_SENDS, _BATCH),
    },
    _many_figures,
)
