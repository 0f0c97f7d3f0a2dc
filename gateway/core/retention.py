"""What is too old goes, for as long as the clock can be believed: retention, and messages with a time of their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.store.base import Store

log = logging.getLogger(__name__)

DAY_MS = 24 * 3600 * 1000

BEHIND_MAX_MS = 60_000
"""So far a clock may lie behind the last run after a restart: what a time server sets right."""


async def _nothing(_: int) -> int:
    return 0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where retention stands, for the operator; 0: never, or not."""

    days: int
    swept_to: int
    swept_at: int
    halted_at: int


class Retention:
    """Removes messages older than `days` (0: none is too old) and the texts of those whose own time has come.

    Files go with them: `sweep_files` removes those older than `files_days`, at a time that is believed.

    A clock that has jumped could make everything too old in a moment. So time is believed only where it fits the
    last run: within this process it may not have moved by more than `clock_step_max_s` against a clock that never
    jumps; across a restart it may not lie further ahead than that, nor behind. Where it does not fit, nothing is
    removed: with the first message that would be, all halts until `resume`. A clock that fits again before that goes
    on, and where nothing could ever be removed there is nothing to doubt.

    Where nodes share the store, all see the last run of any of them. One that finds it fresh has nothing to do. A clock
    that lies behind it is that node's alone: it leaves the work to the others, and says so.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        clock_ms: Callable[[], int],
        ticks_ms: Callable[[], int],
        *,
        days: int,
        clock_step_max_s: int,
        files_days: int = 0,
        sweep_files: Callable[[int], Awaitable[int]] = _nothing,
    ) -> None:
        self._store = store
        self._limits = limits
        self._now = clock_ms
        self._ticks = ticks_ms
        self._days = days
        self._files_days = files_days
        self._sweep_files = sweep_files
        self._step_max_ms = clock_step_max_s * 1000
        # The last run of this process by both clocks.
        self._ran = (0, 0)
        self._behind = False

    # -- the clock --------------------------------------------------------------------------------------

    async def standing(self) -> Standing:
        """Tell where it stands."""
        stored = await self._store.sweeping()
        return Standing(
            days=self._days, swept_to=stored.swept_to, swept_at=stored.swept_at, halted_at=stored.halted_at
        )

    async def resume(self) -> None:
        """Believe the clock as it is now; the next run goes on."""
        await self._store.resume_sweep(self._now())

    async def _believed(self) -> int | None:
        """Return the time, or None where nothing may be removed now: halted, or by a clock that does not fit."""
        stored = await self._store.sweeping()
        if stored.halted_at:
            return None
        now = self._now()
        if not stored.swept_at or self._fits(stored.swept_at, now):
            self._behind = False
            return now
        if self._store.shared and now < stored.swept_at:
            self._tell_behind(now, stored.swept_at)
            return None
        due = await self._due()
        if due is None:
            await self._store.resume_sweep(now)
            return now
        if due <= now and await self._store.halt_sweep(now):
            log.error(
                "the clock has jumped: it says %s, and retention last ran at %s. Messages are neither removed nor "
                "expired until `gateway retention resume` says that the clock is right",
                _told(now),
                _told(stored.swept_at),
            )
        return None

    def _tell_behind(self, now: int, swept_at: int) -> None:
        """Say once that others do what this node's clock does not let it do."""
        if not self._behind:
            log.warning(
                "the clock says %s, and another node ran retention at %s: this one leaves it to the others until its "
                "clock fits, or until `gateway retention resume` says that it is right",
                _told(now),
                _told(swept_at),
            )
        self._behind = True

    async def _due(self) -> int | None:
        """Return when the first of all messages goes or expires; None where none ever does."""
        oldest = await self._store.oldest()
        times = [oldest.expires_at] if oldest.expires_at else []
        if self._days and oldest.sent_at:
            # By the same account as the sweep's: one that is exactly so old is not too old yet.
            times.append(oldest.sent_at + self._days * DAY_MS + 1)
        if self._files_days and oldest.filed_at:
            times.append(oldest.filed_at + self._files_days * DAY_MS + 1)
        return min(times, default=None)

    def _fits(self, swept_at: int, now: int) -> bool:
        ran_at, ran_ticks = self._ran
        if swept_at == ran_at:
            return abs(now - ran_at - (self._ticks() - ran_ticks)) <= self._step_max_ms
        return -BEHIND_MAX_MS <= now - swept_at <= self._step_max_ms

    # -- what goes --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Sweep for as long as the node lives."""
        while True:
            await asyncio.sleep(self._limits.retention_sweep_ms / 1000)
            await self._try(self.sweep)

    async def run_expiry(self) -> None:
        """Expire for as long as the node lives."""
        while True:
            await asyncio.sleep(self._limits.expiry_sweep_ms / 1000)
            await self._try(self.expire)

    async def _try(self, work: Callable[[], Awaitable[int]]) -> None:
        """What the store cannot do now waits for the next run. Of its own failures it tells itself, once."""
        try:
            await work()
        except Problem as problem:
            if problem.kind is not Kind.STORE_FAILED:
                log.warning("old messages could not be removed: %s", problem.sentence)

    async def sweep(self) -> int:
        """Remove what is too old now, page by page with the writer free in between; return how many messages."""
        now = await self._believed()
        if now is None:
            return 0
        if self._store.shared and await self._ran_elsewhere(now):
            return 0
        limits = self._limits
        ticks = self._ticks()
        await self._store.mark_sweep(now, now - limits.finished_jobs_kept_s * 1000)
        self._ran = (now, ticks)
        removed = 0
        more = self._days > 0
        while more:
            page = await self._store.sweep(now - self._days * DAY_MS, limits.sweep_page_max)
            removed += page.removed
            more = page.more
            if more:
                await asyncio.sleep(limits.sweep_pause_ms / 1000)
        if removed:
            log.info("retention has removed %d messages", removed)
        await self._sweep_files(now)
        return removed

    async def _ran_elsewhere(self, now: int) -> bool:
        """Whether another node has run so lately that it is not time for the next run yet."""
        swept_at = (await self._store.sweeping()).swept_at
        return swept_at != self._ran[0] and 0 <= now - swept_at < self._limits.retention_sweep_ms

    async def expire(self) -> int:
        """Wipe the texts whose time has come; return of how many messages."""
        now = await self._believed()
        if now is None:
            return 0
        expired = 0
        while page := await self._store.expire(now, self._limits.sweep_page_max):
            expired += page
            if page < self._limits.sweep_page_max:
                break
            await asyncio.sleep(self._limits.sweep_pause_ms / 1000)
        return expired


def _told(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat()
