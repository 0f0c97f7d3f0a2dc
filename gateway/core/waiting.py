"""What waits for the writer, by app: an app that asks for too much makes itself wait, and not the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from gateway.core.parties import Parties, Waiter
from gateway.domain.drafts import CreateDraft, MembershipDraft
from gateway.domain.errors import Kind, Problem
from gateway.domain.group_drafts import GroupChange
from gateway.domain.limits import Limits

_ALONE = (MembershipDraft, CreateDraft, GroupChange)


class _Share:
    """How much of the queue one app holds, from `admit` to `release`."""

    __slots__ = ("rows", "size")

    def __init__(self) -> None:
        self.rows = 0
        self.size = 0


class Waiting:
    """The writer's queue; batches take from all apps in turn.

    Where one batch is in flight at a time, drafts of one app keep their order. Where `several` are, drafts that name
    a user or group in common keep theirs: they are in one batch, or one after the other.

    An app may hold as much as is left free: half of the queue where it is alone, less where others wait too, so
    that there is always room for who comes next.
    """

    def __init__(self, limits: Limits, *, several: bool = False) -> None:
        self._limits = limits
        self._parties = Parties() if several else None
        self._shares: dict[int, _Share] = {}
        self.rows = 0
        self.size = 0
        # In the order of their turns: whoever was left out of a batch is first in the next.
        self._apps: dict[int, deque[Waiter]] = {}

    def __len__(self) -> int:
        """How many apps have a draft that may be next, as far as is known before `take`."""
        return len(self._apps)

    def admit(self, waiter: Waiter) -> None:
        """Give a draft its room, until it is released. Raises `OVERLOADED` where its app holds too much."""
        app, rows, size = waiter.draft.app, waiter.rows, waiter.size
        share = self._shares.get(app)
        if share is None:
            share = self._shares[app] = _Share()
        limits = self._limits
        # Into an empty queue goes even what is larger than all of it: else it never would.
        if self.rows and (
            share.rows + self.rows + rows > limits.queue_rows_max
            or share.size + self.size + size > limits.queue_bytes_max
        ):
            if not share.rows:
                del self._shares[app]
            raise Problem(Kind.OVERLOADED, "too many sends wait for the store", retry_after_ms=1000)
        share.rows += rows
        share.size += size
        self.rows += rows
        self.size += size

    def release(self, batch: Sequence[Waiter]) -> None:
        """Take back the room of drafts that are committed, or failed; whom they concern is free for the next."""
        shares = self._shares
        all_rows = all_size = 0
        for waiter in batch:
            app, rows, size = waiter.draft.app, waiter.rows, waiter.size
            share = shares[app]
            share.rows -= rows
            share.size -= size
            all_rows += rows
            all_size += size
            if not share.rows:
                del shares[app]
        self.rows -= all_rows
        self.size -= all_size
        if self._parties is not None:
            for waiter in self._parties.leave(batch):
                self._offer(waiter)

    def append(self, waiter: Waiter) -> None:
        """Let an admitted draft wait."""
        if self._parties is None or self._parties.enter(waiter):
            self._offer(waiter)

    def _offer(self, waiter: Waiter) -> None:
        """Let one be next that is behind nobody."""
        app = waiter.draft.app
        waiting = self._apps.get(app)
        if waiting is None:
            waiting = self._apps[app] = deque()
        waiting.append(waiter)

    def take(self) -> list[Waiter]:
        """Cut the next batch: one draft of each app in turn, for as long as one fits.

        Whose next draft does not fit is passed over, for the order inside an app is kept. Membership drafts are a
        batch of their own. None is cut where every draft meets one in flight.
        """
        if len(self._apps) == 1 and self._parties is None:
            return self._take_only()
        limits = self._limits
        batch: list[Waiter] = []
        rows = size = 0
        alone: bool | None = None
        turns = deque(self._apps.items())
        served: dict[int, deque[Waiter]] = {}
        parties = self._parties
        if parties is not None:
            parties.begin()
        while turns:
            app, waiting = turns.popleft()
            following = waiting[0]
            membership = isinstance(following.draft, _ALONE)
            more_rows, more_size = rows + following.rows, size + following.size
            if batch and (
                membership is not alone
                or more_rows > limits.batch_rows_max
                or more_size > limits.batch_bytes_max
            ):
                continue
            waiter = waiting.popleft()
            served.pop(app, None)
            served[app] = waiting
            followers = [] if parties is None else parties.board(waiter)
            if followers is not None:
                alone, rows, size = membership, more_rows, more_size
                batch.append(waiter)
                waiting.extend(followers)
            if waiting:
                turns.append((app, waiting))
        for app, waiting in served.items():
            del self._apps[app]
            if waiting:
                self._apps[app] = waiting
        return batch

    def _take_only(self) -> list[Waiter]:
        """Cut the next batch as `take` does, where one app waits: nearly always, and there is no turn to be taken."""
        rows_max, size_max = self._limits.batch_rows_max, self._limits.batch_bytes_max
        [(app, waiting)] = self._apps.items()
        alone = isinstance(waiting[0].draft, _ALONE)
        batch: list[Waiter] = []
        rows = size = 0
        while waiting:
            following = waiting[0]
            rows += following.rows
            size += following.size
            if batch and (
                rows > rows_max or size > size_max or isinstance(following.draft, _ALONE) is not alone
            ):
                return batch
            batch.append(waiting.popleft())
        del self._apps[app]
        return batch
