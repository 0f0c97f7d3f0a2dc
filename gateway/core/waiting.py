"""What waits for the writer, by app: an app that asks for too much makes itself wait, and not the others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from gateway.domain.drafts import Answer, CreateDraft, Draft, MembershipDraft
from gateway.domain.errors import Kind, Problem
from gateway.domain.group_drafts import GroupChange
from gateway.domain.limits import Limits

Waiter = tuple[Draft, asyncio.Future[Answer]]

_ALONE = (MembershipDraft, CreateDraft, GroupChange)


class _Share:
    """How much of the queue one app holds, from `admit` to `release`."""

    __slots__ = ("rows", "size")

    def __init__(self) -> None:
        self.rows = 0
        self.size = 0


class Waiting:
    """The writer's queue. Drafts of one app keep their order; batches take from all apps in turn.

    An app may hold as much as is left free: half of the queue where it is alone, less where others wait too, so
    that there is always room for who comes next.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._shares: dict[int, _Share] = {}
        self._rows = 0
        self._size = 0
        # In the order of their turns: whoever was left out of a batch is first in the next.
        self._apps: dict[int, deque[Waiter]] = {}

    def __len__(self) -> int:
        """How many apps wait."""
        return len(self._apps)

    def admit(self, draft: Draft) -> None:
        """Give a draft its room, until it is released. Raises `OVERLOADED` where its app holds too much."""
        rows, size = draft.rows, draft.size
        share = self._shares.get(draft.app)
        if share is None:
            share = self._shares[draft.app] = _Share()
        limits = self._limits
        # Into an empty queue goes even what is larger than all of it: else it never would.
        if self._rows and (
            share.rows + self._rows + rows > limits.queue_rows_max
            or share.size + self._size + size > limits.queue_bytes_max
        ):
            if not share.rows:
                del self._shares[draft.app]
            raise Problem(Kind.OVERLOADED, "too many sends wait for the store", retry_after_ms=1000)
        share.rows += rows
        share.size += size
        self._rows += rows
        self._size += size

    def release(self, batch: Sequence[Draft]) -> None:
        """Take back the room of drafts that are committed, or failed."""
        for draft in batch:
            share = self._shares[draft.app]
            share.rows -= draft.rows
            share.size -= draft.size
            self._rows -= draft.rows
            self._size -= draft.size
            if not share.rows:
                del self._shares[draft.app]

    def append(self, waiter: Waiter) -> None:
        """Let an admitted draft wait."""
        app = waiter[0].app
        waiting = self._apps.get(app)
        if waiting is None:
            waiting = self._apps[app] = deque()
        waiting.append(waiter)

    def take(self) -> list[Waiter]:
        """Cut the next batch: one draft of each app in turn, for as long as one fits.

        Whose next draft does not fit is passed over, for the order inside an app is kept. Membership drafts are a
        batch of their own.
        """
        limits = self._limits
        batch: list[Waiter] = []
        rows = size = 0
        alone: bool | None = None
        turns = deque(self._apps.items())
        served: dict[int, deque[Waiter]] = {}
        while turns:
            app, waiting = turns.popleft()
            draft = waiting[0][0]
            membership = isinstance(draft, _ALONE)
            more_rows, more_size = rows + draft.rows, size + draft.size
            if batch and (
                membership is not alone
                or more_rows > limits.batch_rows_max
                or more_size > limits.batch_bytes_max
            ):
                continue
            alone, rows, size = membership, more_rows, more_size
            batch.append(waiting.popleft())
            served.pop(app, None)
            served[app] = waiting
            if waiting:
                turns.append((app, waiting))
        for app, waiting in served.items():
            del self._apps[app]
            if waiting:
                self._apps[app] = waiting
        return batch
