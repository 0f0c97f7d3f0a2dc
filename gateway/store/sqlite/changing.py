"""What changes in the store while something is read of it that is to be remembered.

What is remembered of a store on SQLite is what its tables say, exactly: one process owns it, every transaction of its
one writer says what it touches (`Touched`), and one that says nothing counts as touching everything. From before its
COMMIT on, nothing that it touches is believed; and what was read while it committed is told, but not remembered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

from gateway.store.sqlite.touched import Touched

CHANGED_MAX = 10_000
"""So many changed timelines are told apart while anything is read; past it everything counts as changed."""


class Memory(Protocol):
    """Something that remembers. It is looked at and changed under the lock of `Changing`."""

    def outdate(self, touched: Touched) -> None:
        """Believe no more what a transaction touches. It is called on the writer's thread."""


class Changing:
    """Shared by the writer's thread, which commits, and the loop's, which reads and remembers."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.memories: list[Memory] = []
        # The transaction that is about to commit; when timelines were changed while anything was being read.
        self._pending: Touched | None = None
        self._readings = 0
        self._now = 0
        self._changed: dict[int, int] = {}
        self._everything_at = 0

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Read something in here, and remember it if it `stands`, for which this is asked."""
        with self.lock:
            self._readings += 1
            since = self._now
        try:
            yield since
        finally:
            with self.lock:
                self._readings -= 1
                if not self._readings:
                    self._changed.clear()

    def stands(self, since: int, timeline_ids: Collection[int]) -> bool:
        """Whether none of these users and groups has changed since a reading began, or is about to."""
        if self._everything_at > since:
            return False
        changed, pending = self._changed, self._pending
        if changed and any(changed.get(one, 0) > since for one in timeline_ids):
            return False
        return pending is None or not (pending.everything or pending.touches(timeline_ids))

    @contextmanager
    def committing(self, touched: Touched) -> Iterator[None]:
        """Commit a transaction in here. Whoever begins to read after it sees all that there is to see of it."""
        with self.lock:
            self._pending = touched
            for memory in self.memories:
                memory.outdate(touched)
        try:
            yield
        finally:
            with self.lock:
                self._pending = None
                if self._readings:
                    self._note(touched)

    def _note(self, touched: Touched) -> None:
        self._now += 1
        timeline_ids = touched.timeline_ids
        if touched.everything or len(self._changed) + len(timeline_ids) > CHANGED_MAX:
            self._changed.clear()
            self._everything_at = self._now
        else:
            self._changed.update(dict.fromkeys(timeline_ids, self._now))
