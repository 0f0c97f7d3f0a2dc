"""Scenarios of what clients read by REST when they open: a page of history, and the list of what is unread."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import NamedTuple

from scripts.benchlib.calls import FIRST_UID, Calls
from scripts.benchlib.figures import Figure
from scripts.benchlib.http import Request
from scripts.benchlib.loading import TEXT_BYTES, calling, handling, load
from scripts.benchlib.programs import Programs
from scripts.benchlib.scenario import Measured, Rounds, Scenario, column

_CALLERS = 64
_REQUESTS = 10_000
_HANDLERS = 2.0
_GATEWAY, _HANDLER = "gateway", "aiohttp handler"


class _Shape(NamedTuple):
    """What there is to read, and how it is asked for.

    Each reader has so many conversations of so many messages; `items` of an answer each hold the bytes `item`.
    """

    readers: int
    conversations: int
    messages: int
    path: str
    query: str
    item: bytes
    items: int

    def sends(self, calls: Calls) -> Iterator[bytes]:
        """Everything the readers have got."""
        text = b"x" * TEXT_BYTES
        for _ in range(self.messages):
            for peer in range(self.conversations):
                for reader in range(self.readers):
                    yield calls.send(_peer(reader, peer), FIRST_UID + reader, text)

    def requests(self, programs: Programs, calls: Calls) -> tuple[int, Request]:
        """The readers ask in turns."""
        made = [
            calls.get(self.path + self.query.format(peer=_peer(reader, 0)), FIRST_UID + reader)
            for reader in range(self.readers)
        ]
        return programs.count(_REQUESTS, _CALLERS), lambda number, _: made[number % len(made)]


def _peer(reader: int, peer: int) -> int:
    """One of those who write to a reader."""
    return FIRST_UID + (reader + 1) * 1_000 + peer


class _Reading:
    """Readers ask a gateway, and then a bare handler whose answers are as long as the gateway's were."""

    def __init__(self, name: str, shape: _Shape) -> None:
        self._name = name
        self._shape = shape
        self._answer_bytes = 0

    def scenario(self, about: str) -> Scenario:
        shape = self._shape
        handler = handling("GET", shape.path, lambda: self._answer_bytes, shape.requests, _CALLERS)
        return Scenario(self._name, about, {_GATEWAY: self._gateway, _HANDLER: handler}, self._figures)

    async def _gateway(self, programs: Programs) -> Measured:
        with programs.gateway() as served:
            calls = Calls(served.signer)
            sends = list(self._shape.sends(calls))
            async with calling(served.program.port, _CALLERS) as callers:
                await callers.load(len(sends), lambda number, _: sends[number])
                count, request = self._shape.requests(programs, calls)
                self._check((await callers.load(_CALLERS, request)).answer)
                measured = await load(served.program, callers, count, request)
        self._answer_bytes = int(measured["answer_bytes"])
        return measured

    def _check(self, answer: bytes) -> None:
        """See that what is measured is what should be."""
        found = answer.count(self._shape.item)
        if found != self._shape.items:
            raise RuntimeError(f"{self._name}: an answer has {found} items, not {self._shape.items}")

    def _figures(self, rounds: Rounds) -> list[Figure]:
        handler = column(rounds, _HANDLER, "cpu_us")
        return [
            Figure(
                name=f"{self._name}: CPU per request",
                unit="µs",
                values=column(rounds, _GATEWAY, "cpu_us"),
                floors=handler,
                reach=f"≤ {_HANDLERS:.0f} handlers",
                most=_HANDLERS * statistics.median(handler),
            ),
            Figure(
                name=f"{self._name}: requests",
                unit="/s",
                values=column(rounds, _GATEWAY, "per_s"),
                floors=column(rounds, _HANDLER, "per_s"),
            ),
            Figure(
                name=f"{self._name}: p99",
                unit="ms",
                values=column(rounds, _GATEWAY, "p99_ms"),
                floors=column(rounds, _HANDLER, "p99_ms"),
            ),
        ]


_HISTORY = _Shape(100, 1, 50, "/message/conversation", "?opposite_id={peer}&limit=25", b'"msg_id":', 25)
_UNREAD = _Shape(10, 100, 10, "/message/unread", "", b'"num":10,', 100)

HISTORY = _Reading("history", _HISTORY).scenario("pages of 25 messages")

UNREAD = _Reading("unread", _UNREAD).scenario(
    "what is unread of users with 100 conversations, 10 messages unread in each"
)
