"""What a node of the law's tests has under way, what its device knows, and how its frames are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.wire.effects import Fetch, Follow, Run
from gateway.wire.track import Track


def split(data: bytes) -> Iterator[bytes]:
    """Yield the WebSocket frames that were joined into one write."""
    while data:
        size = data[1]
        assert data[0] == 0x81, "whole text frames only"
        header = 2
        if size == 126:
            size, header = int.from_bytes(data[2:4]), 4
        yield data[: header + size]
        data = data[header + size :]


def told(data: bytes) -> dict[str, Any]:
    """Return what one frame says."""
    members: dict[str, Any] = msgspec.json.decode(data[4 if data[1] == 126 else 2 :])
    return members


@dataclass
class Reading:
    """A page on its way: first asked for, then read, at last delivered."""

    fetch: Fetch
    page: tuple[list[Run], int, int] | None = None
    stale: bool = False


@dataclass
class Following:
    """A `Follow` on its way: first registered, then the head read, at last primed."""

    follow: Follow
    head: int = -1
    registered: bool = False


@dataclass
class Joining:
    """A chatroom on the way to be entered: registered at once, then the head read, at last answered and primed."""

    room: int
    track: Track
    seq: int | None
    head: int = -1


@dataclass
class Seen:
    """What the device knows of one timeline that it follows."""

    start: int
    sent: int
    base: int
    primed: bool = True
    acked: int = 0
    entries: list[int] = field(default_factory=list)
    replayed: list[int] = field(default_factory=list)

    @property
    def unacked(self) -> int:
        return sum(seq > self.acked for seq in self.entries)
