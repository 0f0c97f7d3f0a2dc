"""Scenarios of one message to one connected device: how long it is under way, and what it costs."""

from __future__ import annotations

import statistics

from scripts.benchlib.calls import FIRST_UID, NOBODY, Calls
from scripts.benchlib.figures import Figure
from scripts.benchlib.listening import listening, marked
from scripts.benchlib.loading import TEXT_BYTES, calling, committing, load
from scripts.benchlib.programs import Programs, Served
from scripts.benchlib.scenario import Contender, Measured, Rounds, Scenario, column
from scripts.loadlib.histogram import Histogram

_RATE = 500.0
_RATED_SENDS = 5_000
_RATED_CALLERS = 64
_P50_MS, _P99_MS = 1.5, 8.0
_COMMITS, _MS = 1.3, 0.4
"""Where the disk is slower: so many times the p99 of a bare commit, and so many milliseconds."""

_DEVICES = 64
_PUBLISHES = 30_000
_CALM_RATE = 200.0
_CALM_PUBLISHES = 1_000
_SHARE_OF_DURABLE = 0.5
_CALM_P50_MS = 0.25

_ANSWER_BYTES = 100

_GATEWAY, _COMMIT, _ONLINE, _DURABLE, _BARE = "gateway", "commit", "online-only", "durable", "bare"


async def _rated(programs: Programs) -> Measured:
    """A gateway, under durable sends at a rate to one user with one device."""
    count = programs.count(_RATED_SENDS, 10)
    with programs.gateway() as served:
        calls = Calls(served.signer)

        def request(_: int, due_ns: int) -> bytes:
            return calls.send(FIRST_UID + 1, FIRST_UID, marked(due_ns, TEXT_BYTES))

        async with (
            calling(served.program.port, _RATED_CALLERS) as callers,
            listening(served.program.port, served.signer, range(FIRST_UID, FIRST_UID + 1)) as arrivals,
        ):
            await callers.load(_RATED_CALLERS, request)
            await arrivals.wait(_RATED_CALLERS)
            arrivals.latency = Histogram()
            measured = await load(served.program, callers, count, request, _RATE)
            await arrivals.wait(count)
            return measured | _under_way(arrivals.latency)


def _under_way(latency: Histogram) -> Measured:
    return {"way_p50_ms": latency.quantile_ms(0.50), "way_p99_ms": latency.quantile_ms(0.99)}


def _notifying(more: bytes) -> Contender:
    """A gateway, under notifications to users with a device each: flat out for the cost, then calmly for the time."""

    async def contend(programs: Programs) -> Measured:
        with programs.gateway() as served:
            return await _notified(programs, served, more)

    return contend


async def _notified(programs: Programs, served: Served, more: bytes) -> Measured:
    calls = Calls(served.signer)
    many, few = programs.count(_PUBLISHES, _DEVICES), programs.count(_CALM_PUBLISHES, 10)

    def request(number: int, due_ns: int) -> bytes:
        return calls.notify(FIRST_UID + number % _DEVICES, marked(due_ns, TEXT_BYTES), more)

    async with (
        calling(served.program.port, _DEVICES) as callers,
        listening(served.program.port, served.signer, range(FIRST_UID, FIRST_UID + _DEVICES)) as arrivals,
    ):
        await callers.load(_DEVICES, request)
        measured = await load(served.program, callers, many, request)
        await arrivals.wait(_DEVICES + many)
        arrivals.latency = Histogram()
        await callers.load(few, request, _CALM_RATE)
        await arrivals.wait(few)
        return measured | _under_way(arrivals.latency)


async def _answered(programs: Programs) -> Measured:
    """The bare aiohttp handler, as calmly: so long a call and its answer take here, whatever is done between."""
    calls = Calls(NOBODY)
    few = programs.count(_CALM_PUBLISHES, 10)

    def request(_: int, due_ns: int) -> bytes:
        return calls.notify(FIRST_UID, marked(due_ns, TEXT_BYTES), b"")

    with programs.floor("aiohttp_handler", "POST", "/message/notify", _ANSWER_BYTES) as running:
        async with calling(running.port, _DEVICES) as callers:
            await callers.load(_DEVICES, request)
            return await load(running, callers, few, request, _CALM_RATE)


def _rated_figures(rounds: Rounds) -> list[Figure]:
    bare_p99 = column(rounds, _COMMIT, "p99_ms")
    return [
        Figure(
            name="rate-500: p50, from due to the device",
            unit="ms",
            values=column(rounds, _GATEWAY, "way_p50_ms"),
            floors=column(rounds, _COMMIT, "p50_ms"),
            reach=f"≤ {_P50_MS} ms",
            most=_P50_MS,
        ),
        Figure(
            name="rate-500: p99, from due to the device",
            unit="ms",
            values=column(rounds, _GATEWAY, "way_p99_ms"),
            floors=bare_p99,
            reach=f"≤ {_P99_MS:.0f} ms, or {_COMMITS} commits + {_MS} ms",
            most=max(_P99_MS, _COMMITS * statistics.median(bare_p99) + _MS),
        ),
        Figure(name="rate-500: p50 of the answer", unit="ms", values=column(rounds, _GATEWAY, "p50_ms")),
        Figure(
            name="rate-500: CPU per send and delivery", unit="µs", values=column(rounds, _GATEWAY, "cpu_us")
        ),
    ]


def _online_figures(rounds: Rounds) -> list[Figure]:
    durable = column(rounds, _DURABLE, "cpu_us")
    return [
        Figure(
            name="online-only: CPU per publish",
            unit="µs",
            values=column(rounds, _ONLINE, "cpu_us"),
            floors=durable,
            reach=f"≤ {_SHARE_OF_DURABLE} durable ones",
            most=_SHARE_OF_DURABLE * statistics.median(durable),
        ),
        Figure(
            name="online-only: publishes",
            unit="/s",
            values=column(rounds, _ONLINE, "per_s"),
            floors=column(rounds, _DURABLE, "per_s"),
        ),
        Figure(
            name="online-only: p50, from due to the device",
            unit="ms",
            values=column(rounds, _ONLINE, "way_p50_ms"),
            floors=column(rounds, _BARE, "p50_ms"),
            reach=f"≤ {_CALM_P50_MS} ms",
            most=_CALM_P50_MS,
        ),
        Figure(
            name="online-only: p99, from due to the device",
            unit="ms",
            values=column(rounds, _ONLINE, "way_p99_ms"),
            floors=column(rounds, _BARE, "p99_ms"),
        ),
    ]


RATE_500 = Scenario(
    "rate-500",
    "500 durable sends a second to one connected device",
    {_GATEWAY: _rated, _COMMIT: committing(_RATED_SENDS, 1, _RATE)},
    _rated_figures,
)

ONLINE_ONLY = Scenario(
    "online-only",
    "notifications that are stored nowhere, to a connected device each",
    {_ONLINE: _notifying(b',"online_only":true'), _DURABLE: _notifying(b""), _BARE: _answered},
    _online_figures,
)
