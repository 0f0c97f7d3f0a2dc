"""What scenarios of calls share: the roads into a gateway, callers, and the floors beside it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from gateway.config import Edge
from scripts.benchlib.calls import NOBODY, Calls
from scripts.benchlib.http import Callers, Request
from scripts.benchlib.programs import Programs, Running
from scripts.benchlib.scenario import Contender, Measured

USERS = 1_000
TEXT_BYTES = 100
_INTRODUCERS = 64

Requests = Callable[[Programs, Calls], tuple[int, Request]]
"""How many calls a round makes, and what makes them."""

AIOHTTP, DOOR = "gateway, aiohttp", "gateway, front door"


def roads() -> dict[str, str]:
    """The roads by which a call gets into this gateway, each with the configuration for it."""
    if "front_door" not in Edge.__struct_fields__:
        return {AIOHTTP: ""}
    return {AIOHTTP: "[edge]\nfront_door = false\n", DOOR: ""}


@contextlib.asynccontextmanager
async def calling(port: int, callers: int) -> AsyncIterator[Callers]:
    """Connect so many callers, and hang up afterwards."""
    found = Callers(port)
    try:
        await found.open(callers)
        yield found
    finally:
        found.close()


async def introduce(port: int, calls: Calls) -> None:
    """Have users send something to each other, so that nobody has to be made while it counts."""
    async with calling(port, _INTRODUCERS) as callers:
        await callers.load(USERS, calls.introductions(USERS))


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


def committing(full: int, batch: int, rate: float = 0.0) -> Contender:
    """The bare commit of the same rows in batches of this size, as fast as it can or so many a second."""

    async def contend(programs: Programs) -> Measured:
        with programs.scratch() as folder:
            words = (folder, programs.count(full, batch), batch, USERS, TEXT_BYTES, *([rate] if rate else []))
            return programs.work("sqlite_commit", *words)

    return contend


def handling(
    verb: str, path: str, answer_bytes: Callable[[], int], requests: Requests, callers: int
) -> Contender:
    """The bare aiohttp handler, under the same load as a gateway; its answers are so many bytes."""

    async def contend(programs: Programs) -> Measured:
        count, request = requests(programs, Calls(NOBODY))
        with programs.floor("aiohttp_handler", verb, path, answer_bytes()) as running:
            async with calling(running.port, callers) as open_callers:
                # Once around before it counts, as a gateway is.
                await open_callers.load(min(count, USERS), request)
                return await load(running, open_callers, count, request)

    return contend
