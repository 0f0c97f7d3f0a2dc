"""The part of the store port that keeps it from growing for ever."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Sweeping(msgspec.Struct, frozen=True):
    """Where retention stands: every message up to `swept_to` is removed; 0 where it has never run, or not halted."""

    swept_to: int
    swept_at: int
    halted_at: int


class Oldest(msgspec.Struct, frozen=True):
    """When the first message was sent, when the next text expires, and when the first file came; 0: none."""

    sent_at: int
    expires_at: int
    filed_at: int = 0


class Swept(msgspec.Struct, frozen=True):
    """What one page of retention has removed; `more`: the next page may find more."""

    swept_to: int
    removed: int
    more: bool


class Upkeep(Protocol):
    """The part of the port that removes what is too old."""

    async def sweeping(self) -> Sweeping:
        """Read where retention stands."""

    async def oldest(self) -> Oldest:
        """Read what there is to be removed or to expire, sooner or later."""

    async def mark_sweep(self, at: int, jobs_before: int) -> None:
        """Note that retention runs at this time, and forget finished jobs that were begun before `jobs_before`."""

    async def halt_sweep(self, at: int) -> bool:
        """Note that the clock is not believed any more; False where it was not before."""

    async def resume_sweep(self, at: int) -> None:
        """Note that this time is believed, and that nothing is halted."""

    async def sweep(self, before: int, most: int) -> Swept:
        """Remove the oldest messages sent before a time, at most so many, with their entries: floors rise.

        Nothing where another process is at it.
        """

    async def expire(self, at: int, most: int) -> int:
        """Wipe the texts of messages whose time has come, at most so many; their entries say `gone`.

        Nothing where another process is at it.
        """
