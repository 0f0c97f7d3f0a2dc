"""The part of the store port about connections."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from gateway.domain.model import State
from gateway.domain.positions import Attach, Attachment


class Pulse(msgspec.Struct, frozen=True):
    """What a node learns with each beat: the store's epoch now, and which nodes live, this one among them."""

    epoch: str
    nodes: list[int]


class Presence(Protocol):
    """The part of the port that knows which device is connected where, across nodes.

    A node that has not beaten for `node_timeout_ms` counts as dead, and its devices as not connected.
    """

    async def beat(self, node: int) -> Pulse:
        """Say that a node lives, and forget what dead nodes have left. `epoch` is up to date afterwards."""

    async def leave(self, node: int) -> None:
        """A node ends: none of its devices is connected any more."""

    async def attach(self, asked: Sequence[Attach]) -> list[int]:
        """Note that devices have connected; return their attach numbers.

        0 for one that is not connected yet, of a user who has `devices_per_user_max` others connected.
        """

    async def detach(self, gone: Sequence[Attachment]) -> None:
        """Note that connections have ended; one that was replaced meanwhile has nothing to end."""

    async def dismiss(self, user_id: int, device_sn: int = 0) -> int:
        """Let a device (0: every device) of a user be connected no more: whatever its connections write counts not.

        Returns a number: who attaches after this has a greater one.
        """

    async def attached(self, user_id: int) -> list[int]:
        """List the devices of a user that are connected, to whichever node."""

    async def present(self, user_ids: Sequence[int]) -> set[int]:
        """Which of these users have a device connected, to whichever node."""

    async def replaced(self, connections: Sequence[Attachment]) -> list[Attachment]:
        """Which of these are no longer their device's connection: replaced by another, or dismissed. The sweep asks."""

    async def outdated(self, known: Collection[tuple[int, int]]) -> dict[tuple[int, int], State]:
        """Which of these users, known as (id, `valid_from_ms`), may not act or have another one, and their state.

        The sweep asks.
        """
