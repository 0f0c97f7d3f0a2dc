"""How files come in and go out beside everything else: so many at a time, so fast, and no more than may be stored."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from gateway.domain.errors import Kind, Problem, storage_full
from gateway.domain.files import Box
from gateway.domain.limits import Limits
from gateway.domain.model import INT64_MAX

_RETRY_AFTER_MS = 1_000
_FIRST, _LATER = "first", "later"


class Places:
    """So many of a kind at a time, and fewer of one app, so that no tenant takes the places of all."""

    def __init__(self, kind: str, most: int, per_app_max: int) -> None:
        self._kind = kind
        self._most = most
        self._per_app_max = per_app_max
        self._taken: Counter[int] = Counter()

    @contextmanager
    def taken(self, app_id: int) -> Iterator[None]:
        """Have one of them in here; raises `OVERLOADED` where there is none left, or none for this app."""
        if self._taken.total() >= self._most or self._taken[app_id] >= self._per_app_max:
            raise Problem(Kind.OVERLOADED, f"too many {self._kind} at once", retry_after_ms=_RETRY_AFTER_MS)
        self._taken[app_id] += 1
        try:
            yield
        finally:
            self._taken[app_id] -= 1
            if not self._taken[app_id]:
                del self._taken[app_id]


class Flow:
    """Lets so many bytes pass in a second, however many have some. Most of it is for those who were there first.

    So uploads end one after the other, and what is to be done with each at its end, on disk and in the store, is not
    done for all of them in one moment. The others take turns with the rest, which is enough for none to be cut off.
    What comes in faster waits in the kernel and with whoever sends it, and messages are sent in between.
    """

    FIRST = 4
    """So many have most of it."""

    _MOST = 0.8

    def __init__(self, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = {_FIRST: 0.0, _LATER: 0.0}
        self._under_way: dict[object, None] = {}

    @contextmanager
    def entered(self, who: object) -> Iterator[None]:
        """Have a part in it, behind all who have one already."""
        self._under_way[who] = None
        try:
            yield
        finally:
            del self._under_way[who]

    async def pass_on(self, who: object, count: int) -> None:
        """Return when so many bytes of one who has a part may pass."""
        line, part = self._line_of(who)
        now = asyncio.get_running_loop().time()
        wait_s = self._free_at[line] - now
        self._free_at[line] = max(self._free_at[line], now) + count / (part * self._bytes_per_s)
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    def _line_of(self, who: object) -> tuple[str, float]:
        """Which line one who has a part waits in, and what part of all bytes passes there."""
        if len(self._under_way) <= self.FIRST:
            return _FIRST, 1
        if who in islice(self._under_way, self.FIRST):
            return _FIRST, self._MOST
        return _LATER, 1 - self._MOST


class Inflow:
    """What one app has coming in here, which is stopped where all of it together is more than the app may store yet.

    `left` is what that was when one of its `uploads` last began. Whether a file is kept the store says, once all of it
    has come: until then uploads at the same time take no more of the disk than that.
    """

    def __init__(self) -> None:
        self.left = INT64_MAX
        self.uploads = 0
        self._coming = 0

    def add(self, count: int) -> None:
        """Count bytes that come in. Raises `STORAGE_FULL`."""
        self._coming += count
        if self._coming > self.left:
            raise storage_full()

    def remove(self, count: int) -> None:
        """Count them no more: they are for the store to judge, or gone."""
        self._coming -= count


class Counted:
    """Chunks on their way in, which may not be more bytes than so many; and the box that is told with them."""

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        box: Callable[[], Box],
        flow: Flow,
        inflow: Inflow,
        limits: Limits,
    ) -> None:
        self._chunks = chunks
        self._find_box = box
        self._flow = flow
        self._inflow = inflow
        self._limits = limits
        self.box = Box(0, 0)
        self.size = 0

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the chunks, as fast as they may pass.

        Raises:
            Problem: `TOO_LARGE`, `STORAGE_FULL`, `BAD_PARAMETER` for a box that may not be.
        """
        try:
            with self._flow.entered(self):
                async for chunk in self._passed():
                    yield chunk
        finally:
            self._inflow.remove(self.size)

    async def _passed(self) -> AsyncIterator[bytes]:
        most, side_max = self._limits.file_bytes_max, self._limits.thumbnail_side_max
        async for chunk in self._chunks:
            self.size += len(chunk)
            self._inflow.add(len(chunk))
            if self.size > most:
                raise Problem(Kind.TOO_LARGE, f"file: it may have {most} bytes")
            await self._flow.pass_on(self, len(chunk))
            yield chunk
        # Judged here, so that with what is refused nothing is kept.
        self.box = self._find_box()
        if not all(0 < side <= side_max for side in (self.box.width, self.box.height)):
            raise Problem(Kind.BAD_PARAMETER, f"thumbnail: its sides are 1 to {side_max} pixels")
