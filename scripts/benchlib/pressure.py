"""Callers who send more than the disk takes: the gateway says so, and its memory stays bounded."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from gateway.domain.limits import Limits
from scripts.benchlib.calls import FIRST_UID, Calls
from scripts.benchlib.figures import Figure
from scripts.benchlib.http import Callers, answer_end, succeeded
from scripts.benchlib.programs import Programs, Running
from scripts.benchlib.scenario import Measured, Rounds, Scenario, column

_CALLERS = 2_000
_PIPELINERS = 100
_DEPTH = 8
_TEXT_BYTES = 48 * 1024
_USERS = 500
_SECONDS = 5.0
_LOOK_S = 0.05
_RECOVERY_S = 30.0
_GATEWAY = "gateway"
_COPIES = 2
"""Of a body, while its call goes on: as it was read, and as it was decoded."""


class _Tally:
    """What the callers have heard, until it is over."""

    def __init__(self) -> None:
        self.sent = 0
        self.refused = 0
        self.over = False
        self.others: Counter[bytes] = Counter()
        self.in_flight = 0

    def take(self, answer: bytes) -> None:
        """Count an answer: a success, or that there is too much."""
        self.in_flight -= 1
        if succeeded(answer):
            self.sent += 1
        elif answer.startswith(b"HTTP/1.1 503 ") and b'"code":20000' in answer:
            self.refused += 1
        else:
            self.others[answer[:300]] += 1


class _Pusher(asyncio.Protocol):
    """A connection with so many calls in flight, each answered one followed by the next."""

    def __init__(self, tally: _Tally, request: bytes, depth: int) -> None:
        self._tally = tally
        self._request = request
        self._depth = depth
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._tally.over or self._tally.in_flight:
            self._tally.others[f"a connection was lost: {exc or 'closed by the server'}".encode()] += 1

    def push(self) -> None:
        """Begin."""
        for _ in range(self._depth):
            self._ask()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        while end := answer_end(data):
            self._tally.take(data[:end])
            data = data[end:]
            if not self._tally.over:
                self._ask()
        self._rest = data

    def _ask(self) -> None:
        assert self._transport is not None, "it was opened"
        self._tally.in_flight += 1
        self._transport.write(self._request)


async def _pressed(programs: Programs) -> Measured:
    """A gateway that is asked for more than the disk takes, and then for one thing more."""
    seconds = max(0.5, _SECONDS * programs.count(100) / 100)
    with programs.gateway() as served:
        program, calls = served.program, Calls(served.signer)
        callers = programs.count(_CALLERS, 10), programs.count(_PIPELINERS, 10)
        async with _pushing(program, calls, *callers) as (tally, pushers):
            before_kb = most_kb = program.cost.pss_kb
            for pusher in pushers:
                pusher.push()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                await asyncio.sleep(_LOOK_S)
                most_kb = max(most_kb, program.cost.pss_kb)
            tally.over = True
            await _calm(tally)
        again = Callers(program.port)
        await again.open(1)
        await again.load(1, lambda _, __: calls.send(FIRST_UID, FIRST_UID + 1, b"after it all"))
        again.close()
    if tally.others:
        raise RuntimeError(f"callers heard something else than to come back: {tally.others.most_common(3)}")
    return {
        "more_mb": (most_kb - before_kb) / 1024,
        "sent_per_s": tally.sent / seconds,
        "refused_per_s": tally.refused / seconds,
        "bound_mb": _bound_mb(sum(callers)),
    }


def _bound_mb(callers: int) -> float:
    """What may be held at once: the queue, and of each call in flight its body."""
    return (Limits().queue_bytes_max + _COPIES * callers * _TEXT_BYTES) / 2**20


@asynccontextmanager
async def _pushing(
    program: Running, calls: Calls, callers: int, pipeliners: int
) -> AsyncIterator[tuple[_Tally, list[_Pusher]]]:
    tally = _Tally()
    text = b"x" * _TEXT_BYTES
    requests = [calls.send(FIRST_UID + n, FIRST_UID + (n + 1) % _USERS, text) for n in range(_USERS)]
    loop = asyncio.get_running_loop()
    pushers = []
    try:
        for number in range(callers + pipeliners):
            pusher = _Pusher(tally, requests[number % _USERS], 1 if number < callers else _DEPTH)
            await loop.create_connection(lambda pusher=pusher: pusher, "127.0.0.1", program.port)  # type: ignore[misc]
            pushers.append(pusher)
        yield tally, pushers
    finally:
        for pusher in pushers:
            pusher.close()


async def _calm(tally: _Tally) -> None:
    """Wait until every call has its answer."""
    until = time.monotonic() + _RECOVERY_S
    while tally.in_flight and not tally.others:
        if time.monotonic() > until:
            raise RuntimeError(f"{tally.in_flight:,} calls had no answer after {_RECOVERY_S:.0f} s")
        await asyncio.sleep(_LOOK_S)


def _figures(rounds: Rounds) -> list[Figure]:
    [bound_mb, *_] = column(rounds, _GATEWAY, "bound_mb")
    return [
        Figure(
            name="callers-faster-than-disk: memory above rest, at most",
            unit="MB",
            values=column(rounds, _GATEWAY, "more_mb"),
            reach=f"≤ the queue + {_COPIES} times what is in flight, {bound_mb:,.0f} MB",
            most=bound_mb,
        ),
        Figure(
            name="callers-faster-than-disk: committed",
            unit="/s",
            values=column(rounds, _GATEWAY, "sent_per_s"),
        ),
        Figure(
            name="callers-faster-than-disk: told to come back",
            unit="/s",
            values=column(rounds, _GATEWAY, "refused_per_s"),
        ),
    ]


FASTER_THAN_DISK = Scenario(
    "callers-faster-than-disk",
    "2,000 callers and 100 that pipeline, with large bodies: memory, and what they are told",
    {_GATEWAY: _pressed},
    _figures,
)
