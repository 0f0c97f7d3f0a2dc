"""What one batch has for a device, of several timelines: joined, it is one write (design §4, Encode once)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat

WriteTo = Callable[[bytes], None]
"""Writes bytes to one device."""


class JoinedWrites:
    """Runs of several timelines, each with whom it is for; what one device gets of them stays in the order given.

    Groups of one company have many users in common, and a write to a socket costs more than all else in a delivery.
    """

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[tuple[Sequence[WriteTo], bytes]] = []

    def put(self, writes: Sequence[WriteTo], data: bytes) -> None:
        """Take the bytes of one run, and whom to write them to, each of them once."""
        self._parts.append((writes, data))

    def take(self) -> Iterable[tuple[WriteTo, bytes]]:
        """Return whom to write what, each of them once; nothing of it lies here any more."""
        if not self._parts:
            return ()
        parts, self._parts = self._parts, []
        if len(parts) == 1:
            [(writes, data)] = parts
            return zip(writes, repeat(data))
        told: dict[WriteTo, bytes] = {}
        several: dict[WriteTo, list[bytes]] = {}
        # By what sets and dicts do in one call: a line of Python for each device would cost what joining saves.
        for writes, data in parts:
            for write in told.keys() & writes:
                several.setdefault(write, [told[write]]).append(data)
            told |= dict.fromkeys(writes, data)
        for write, pieces in several.items():
            told[write] = b"".join(pieces)
        return told.items()
