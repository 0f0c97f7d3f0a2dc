"""Group commit: whatever waits is committed in batches, announced, and then answered (design §4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from gateway.core import lane
from gateway.core.parties import TellAnswer, Waiter
from gateway.core.tally import Tally
from gateway.core.waiting import Waiting
from gateway.domain.drafts import Answer, Draft, MessageDraft
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.store.base import Store

log = logging.getLogger(__name__)

_MESSAGES = {MessageDraft}


class Writer:
    """Every append goes through here, so drafts of one timeline commit and dispatch in the order they came.

    Several batches may be in flight, as many as the store takes, no two of which name a user or group in common. One
    more is begun only where those in flight take their time (`Limits.batch_patience_ms`): what a batch costs the store
    by itself is that of many drafts, and drafts that wait a little longer share it.
    """

    def __init__(
        self, store: Store, limits: Limits, announce: Callable[[Sequence[Draft], Sequence[Answer]], None]
    ) -> None:
        self._store = store
        self._announce = announce
        self._closed = False
        self._batches_max = store.batches_max
        self.waiting = Waiting(limits, several=self._batches_max > 1)
        self.tally = Tally()
        self._running: set[asyncio.Task[None]] = set()
        self._gathering = False
        self.on_change: Callable[[Draft, Answer | None], None] = lambda _draft, _answer: None
        """Hears of each draft that is no message what came of it, before anybody else does; None: nobody knows."""
        self._patience_s = limits.batch_patience_ms / 1000
        self._impatient: asyncio.TimerHandle | None = None

    async def submit(self, draft: Draft) -> Answer:
        """Commit a draft with whatever else waits. Raises `OVERLOADED` where too much waits, `DRAINING` at the end."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.put(draft, partial(_settle, future))
        # A caller that is cancelled cancels its future only: the draft stays in the batch.
        return await future

    def put(self, draft: Draft, tell: TellAnswer) -> None:
        """Commit a draft as `submit` does, and tell its answer, or why there is none. Raises what `submit` raises.

        For who has a hundred of them in a batch: a future and a task for each cost more than all that is done here.
        """
        if self._closed:
            raise Problem(Kind.DRAINING, "the gateway is shutting down", retry_after_ms=1000)
        waiter = Waiter(draft, tell)
        self.waiting.admit(waiter)
        self.waiting.append(waiter)
        if not self._gathering:
            self._wake()

    def _wake(self) -> None:
        """Let a batch be cut soon, where the store takes one more: at once, or when those in flight are slow."""
        if self._gathering or len(self._running) >= self._batches_max:
            return
        if not self._running:
            self._begin()
        elif self._impatient is None:
            self._impatient = asyncio.get_running_loop().call_later(self._patience_s, self._lose_patience)

    def _lose_patience(self) -> None:
        self._impatient = None
        if self.waiting and not self._gathering and len(self._running) < self._batches_max:
            self._begin()

    def _begin(self) -> None:
        self._gathering = True
        self._running.add(asyncio.create_task(self._run(), name="writer"))

    async def _run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            # One turn of the loop, so that callers who were woken together share a batch.
            await asyncio.sleep(0)
            self._gathering = False
            while batch := self.waiting.take():
                if self.waiting:
                    self._wake()
                await self._commit(batch)
        finally:
            # At once and not by a callback: whoever comes next must see that nobody is at work.
            self._running.discard(task)

    async def _commit(self, batch: list[Waiter]) -> None:
        try:
            answers = await self._append([waiter.draft for waiter in batch])
        finally:
            # Before anybody is told: whoever is may ask for the next at once, and finds this room free.
            self.waiting.release(batch)
        for waiter, answer in zip(batch, answers, strict=True):
            try:
                waiter.tell(answer)
            except Exception:
                # What goes wrong with one answer is not the others' trouble.
                log.exception("telling an answer failed")

    async def _append(self, drafts: list[Draft]) -> Sequence[Answer | Problem]:
        """Commit a batch and announce it; return what to tell of each draft."""
        began = asyncio.get_running_loop().time()
        try:
            try:
                answers = await self._store.append(drafts)
            except BaseException:
                self._heed(drafts, [None] * len(drafts))
                raise
            self._heed(drafts, answers)
            self.tally.note(drafts, answers, asyncio.get_running_loop().time() - began)
            # Before anything else may be committed for those whom it concerns: they hear it in the order of commits.
            self._tell(drafts, answers)
        except Exception as error:
            self.tally.failed += 1
            if not isinstance(error, Problem):
                log.exception("a batch failed")
            return [lane.problem_of(error) for _ in drafts]
        else:
            return answers

    def _heed(self, drafts: list[Draft], answers: Sequence[Answer | None]) -> None:
        # Mostly there is nothing else, which is seen without a look at each.
        if set(map(type, drafts)) == _MESSAGES:
            return
        for draft, answer in zip(drafts, answers, strict=True):
            if type(draft) is not MessageDraft:
                self.on_change(draft, answer)

    def _tell(self, drafts: list[Draft], answers: Sequence[Answer]) -> None:
        try:
            self._announce(drafts, answers)
        except Exception:
            # Announcing never fails a send: the entries are committed, and devices find them in the store.
            log.exception("announcing a batch failed")

    async def close(self) -> None:
        """Take nothing new, and finish what waits."""
        self._closed = True
        while self._running:
            await asyncio.wait(self._running)


def _settle(future: asyncio.Future[Answer], answer: Answer | Problem) -> None:
    """Answer who waits, unless it has gone away."""
    if future.done():
        return
    if isinstance(answer, Problem):
        future.set_exception(answer)
        future.exception()  # A caller who went away must not make asyncio complain.
    else:
        future.set_result(answer)
