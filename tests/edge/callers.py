"""Callers at the front door: what they say, and what the door has of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.edge.frontdoor.caller import Caller
from tests.edge.roads import Roads
from tests.patience import WAIT_S

POST = b"POST /message/send HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
PROBE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def call(text: str) -> bytes:
    """A call with a body of five letters."""
    return POST + text.encode()


def told(answer: Any) -> str:
    """The body that an echo tells of."""
    found: str = bytes.fromhex(answer[3]).decode()
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - whatever it waits for is in this loop
            await asyncio.sleep(0)


async def answered(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    """The bodies of so many answers."""
    found = []
    async with asyncio.timeout(WAIT_S):
        for _ in range(count):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            found.append(await reader.readexactly(length))
    return found


class Gate:
    """Holds calls until it is opened."""

    def __init__(self, roads: Roads) -> None:
        self._open = asyncio.Event()
        roads.answering.wait = self._open.wait  # type: ignore[attr-defined]
        self.open = self._open.set


def callers(roads: Roads) -> list[Caller]:
    """The connections at the front door."""
    return [found for found in roads.ports["door"].connections if isinstance(found, Caller)]


def asked(roads: Roads) -> list[str]:
    return [told(one) for one in roads.answering.asked]  # type: ignore[attr-defined]
