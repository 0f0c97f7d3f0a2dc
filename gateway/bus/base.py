"""The bus port: carries hints to the *other* nodes.

Promises: at most once, in any order, to every other node that has subscribed to the topic and is reached. A
hint may be lost without a word; the store has the truth and the law of the session heals (design §3, §4).
`publish` never raises and never waits for a peer. Every (re)connect is reported, so that a node compares its
heads with the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec


class Hint(msgspec.Struct, frozen=True):
    """A timeline has entries up to `head`. The topic of a hint is its timeline."""

    timeline_id: int
    head: int


class Bus(Protocol):
    """The port, as one node holds it."""

    def listen(self, on_hints: Callable[[Sequence[Hint]], None], on_connect: Callable[[], None]) -> None:
        """Say who hears the hints of other nodes and the (re)connects; once, before anything else."""

    def publish(self, hints: Sequence[Hint]) -> None:
        """Send the hints of one flush to the other nodes."""

    async def subscribe(self, timeline_id: int) -> None:
        """Hear this timeline from now on. Returns when confirmed, or at once while the bus is down."""

    def unsubscribe(self, timeline_id: int) -> None:
        """Hear it no more."""

    async def close(self) -> None:
        """Leave the bus."""
