"""The part of the store port that removes what is too old, on SQLite."""

from __future__ import annotations

from gateway.store.base import Oldest, Sweeping, Swept
from gateway.store.sqlite import retention
from gateway.store.sqlite.lane import Lanes
from gateway.store.sqlite.newest import Newest
from gateway.store.sqlite.touched import Touched


class Upkeep(Lanes):
    """What `SqliteStore` does of retention; how work gets to a connection is its own."""

    _newest: Newest

    async def sweeping(self) -> Sweeping:
        """Read where retention stands."""
        return await self._look(retention.sweeping)

    async def oldest(self) -> Oldest:
        """Read what goes first."""
        return await self._look(retention.oldest)

    async def mark_sweep(self, at: int, jobs_before: int) -> None:
        """Note that retention runs."""
        await self._write(lambda conn: retention.mark(conn, at, jobs_before), Touched())

    async def halt_sweep(self, at: int) -> bool:
        """Stop retention."""
        return await self._write(lambda conn: retention.halt(conn, at))

    async def resume_sweep(self, at: int) -> None:
        """Let retention go on."""
        await self._write(lambda conn: retention.resume(conn, at))

    async def sweep(self, before: int, most: int) -> Swept:
        """Remove a page of old messages."""
        return await self._write(lambda conn: retention.sweep(conn, before, most, self._newest))

    async def expire(self, at: int, most: int) -> int:
        """Wipe a page of expired texts."""
        # Asked every second, and mostly in vain: the writer is troubled only where there is something to do.
        if not await self._look(lambda conn: retention.due_ids(conn, at, 1)):
            return 0
        touched = Touched()
        return await self._write(lambda conn: retention.expire(conn, at, most, touched), touched)
