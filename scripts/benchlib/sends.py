"""Scenarios of durable sends: what one costs, and how long it takes."""

from __future__ import annotations

import statistics

from scripts.benchlib.calls import Calls
from scripts.benchlib.figures import Figure
from scripts.benchlib.http import Request
from scripts.benchlib.loading import (
    AIOHTTP,
    DOOR,
    TEXT_BYTES,
    USERS,
    calling,
    committing,
    handling,
    introduce,
    load,
    roads,
)
from scripts.benchlib.programs import Programs
from scripts.benchlib.scenario import Contender, Measured, Rounds, Scenario, column

_CALLERS = 256
_SENDS = 30_000
_SENDS_OF_ONE = 3_000
_ANSWER_BYTES = 75

_BATCH = 128
"""What 256 callers in a closed loop come to: while the one half is committed, the other half is written and read."""

_HANDLER, _COMMIT = "aiohttp handler", "commit"
_HANDLERS_OF = {AIOHTTP: 1.1, DOOR: 0.5}
"""How much of the bare aiohttp handler's CPU each road may cost, beside the commit."""

_COMMITS_OF_ONE, _MS_OF_ONE = 1.3, 0.4
"""What a single send may take: so many times a bare commit, and so many milliseconds."""


def _sending(settings: str, callers: int, full: int) -> Contender:
    """A gateway with these lines of configuration, under sends between users it knows."""

    async def contend(programs: Programs) -> Measured:
        with programs.gateway(settings) as served:
            calls = Calls(served.signer)
            await introduce(served.program.port, calls)
            async with calling(served.program.port, callers) as open_callers:
                return await load(served.program, open_callers, *_sends(programs, calls, callers, full))

    return contend


def _sends(programs: Programs, calls: Calls, callers: int, full: int) -> tuple[int, Request]:
    count = programs.count(full, callers)
    return count, calls.sends(count, USERS, TEXT_BYTES)


def _figures_of_many(rounds: Rounds) -> list[Figure]:
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


def _figures_of_one(rounds: Rounds) -> list[Figure]:
    commit = column(rounds, _COMMIT, "p50_ms")
    figures = []
    for road in (road for road in (AIOHTTP, DOOR) if road in rounds):
        figures += [
            Figure(
                name=f"send-1, {road}: p50",
                unit="ms",
                values=column(rounds, road, "p50_ms"),
                floors=commit,
                reach=f"≤ {_COMMITS_OF_ONE} commits + {_MS_OF_ONE} ms",
                most=_COMMITS_OF_ONE * statistics.median(commit) + _MS_OF_ONE,
            ),
            Figure(
                name=f"send-1, {road}: p99",
                unit="ms",
                values=column(rounds, road, "p99_ms"),
                floors=column(rounds, _COMMIT, "p99_ms"),
            ),
        ]
    return figures


SEND_256 = Scenario(
    "send-256",
    "durable sends of 256 callers, each to one user",
    {
        **{road: _sending(settings, _CALLERS, _SENDS) for road, settings in roads().items()},
        _HANDLER: handling(
            "POST",
            "/message/send",
            lambda: _ANSWER_BYTES,
            lambda programs, calls: _sends(programs, calls, _CALLERS, _SENDS),
            _CALLERS,
        ),
        _COMMIT: committing(_SENDS, _BATCH),
    },
    _figures_of_many,
)

SEND_1 = Scenario(
    "send-1",
    "durable sends of one caller, one after the other",
    {
        **{road: _sending(settings, 1, _SENDS_OF_ONE) for road, settings in roads().items()},
        _COMMIT: committing(_SENDS_OF_ONE, 1),
    },
    _figures_of_one,
)
