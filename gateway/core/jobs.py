"""Runs what is committed as a job to its end, one page at a time beside the live traffic (design §4)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from gateway.core.pacing import Pacing
from gateway.core.writer import Writer
from gateway.domain.drafts import Job, JobDraft, JobKind, Refused, Stale, Started, StepDraft, Stepped
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.store.base import Store

_FULL_FACTOR = 60

log = logging.getLogger(__name__)


class _Running:
    """A job that is not finished. `ended` is set when it is, or when this node does no more of it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.ended = asyncio.Event()
        self.failing = False


class Jobs:
    """The jobs that this node does. Each takes its turn behind the others, and one page of all is under way at a time.

    A page waits in the writer's queue behind what came before it, so live sends share the store with a job and are
    never kept waiting by more than one page. Messages of an app with a rate take their turns beside its sends. What
    has failed is tried again every `job_retry_ms`.

    Where nodes share the store, one that dies leaves its jobs to the others: who finds that a job has not moved for
    longer than it may goes on with it, and whose page finds that another has moved it leaves it to that one.
    """

    def __init__(
        self, store: Store, writer: Writer, pacing: Pacing, limits: Limits, clock_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._writer = writer
        self._pacing = pacing
        self._limits = limits
        self._now = clock_ms
        self._running: dict[int, _Running] = {}
        self._queue: deque[_Running] = deque()
        # Of each job that others do: where it was seen last, and how often in a row.
        self._seen: dict[int, tuple[int, int]] = {}
        self._due = asyncio.Event()
        self._closed = False

    async def start(self, draft: JobDraft) -> Job:
        """Commit a job; from then on it is done, whatever happens to this process. Raises `Problem`."""
        answer = await self._writer.submit(draft)
        if isinstance(answer, Refused):
            raise Problem(answer.kind, answer.sentence)
        assert isinstance(answer, Started), answer
        if not answer.job.finished:
            self._take(answer.job)
        return answer.job

    async def follow(self, job: Job, within_ms: int) -> Job:
        """Return the job when it is finished, or after a while as far as it has got."""
        running = self._running.get(job.id)
        if running is None:
            return job
        with suppress(TimeoutError):
            async with asyncio.timeout(within_ms / 1000):
                await running.ended.wait()
        return running.job

    async def run(self) -> None:
        """Do whatever comes, for as long as the node lives; alone, first what an earlier process left unfinished."""
        if not self._store.shared:
            for job in await self._store.jobs():
                self._take(job)
        while True:
            await self._due.wait()
            self._due.clear()
            while self._queue and not self._closed:
                await self._step(self._queue.popleft())

    async def run_looks(self) -> None:
        """Look every `sweep_ms` for what other nodes have left, for as long as the node lives."""
        while True:
            # What the store cannot tell now the next look will; of its failures it tells itself, once.
            with suppress(Problem):
                await self.look()
            await asyncio.sleep(self._limits.sweep_ms / 1000)

    async def look(self) -> None:
        """Go on with the jobs that have not moved since an earlier look, and that nobody can be waiting with."""
        seen: dict[int, tuple[int, int]] = {}
        for job in await self._store.jobs():
            progress, looks = self._seen.get(job.id, (-1, 0))
            looks = looks + 1 if progress == job.progress else 0
            if job.id in self._running:
                continue
            if looks and looks >= await self._patience(job):
                self._take(job)
            else:
                seen[job.id] = (job.progress, looks)
        self._seen = seen

    async def _patience(self, job: Job) -> int:
        """How many looks in a row may find a job unmoved: after a page, an app with a rate pays for its messages."""
        per_s = (await self._store.limits(job.app)).sends_per_s
        if not per_s or job.kind is not JobKind.BROADCAST:
            return 1
        return 1 + self._limits.job_page_max * 1000 // (per_s * self._limits.sweep_ms)

    def close(self) -> None:
        """Begin no more pages; the one under way is committed as the writer drains. The rest is for others to do."""
        self._closed = True
        for running in self._running.values():
            running.ended.set()

    def _take(self, job: Job) -> None:
        if job.id not in self._running and not self._closed:
            running = self._running[job.id] = _Running(job)
            self._go_on(running)

    def _go_on(self, running: _Running) -> None:
        self._queue.append(running)
        self._due.set()

    async def _step(self, running: _Running) -> None:
        limits = self._limits
        draft = StepDraft(
            app=running.job.app,
            job_id=running.job.id,
            at=self._now(),
            # As of a message to so many (`MessageDraft`): a page of any other job adds less.
            rows=2 + 5 * limits.job_page_max,
            size=200 * limits.job_page_max + limits.body_bytes_max,
            after=running.job.progress if self._store.shared else -1,
        )
        try:
            per_s = (await self._store.limits(running.job.app)).sends_per_s
            answer = await self._writer.submit(draft)
        except Problem as problem:
            self._fail(running, problem.kind, problem.sentence)
            return
        if isinstance(answer, Refused):
            self._fail(running, answer.kind, answer.sentence)
            return
        if isinstance(answer, Stale):
            self._end(running)
            return
        assert isinstance(answer, Stepped), answer
        if running.failing:
            log.info("job %d goes on", running.job.id)
            running.failing = False
        running.job = answer.job
        if answer.job.finished:
            self._end(running)
        else:
            self._pay(running, per_s, sum(len(message.targets) for message, _ in answer.sent))

    def _end(self, running: _Running) -> None:
        """Do no more of a job, which is finished, or another node's."""
        del self._running[running.job.id]
        running.ended.set()

    def _pay(self, running: _Running, per_s: int, count: int) -> None:
        """Go on once the messages of the last page have had their turns; at once where the app has no rate."""
        if per_s and count:
            piece, later_ms = self._pacing.reserve(running.job.app, per_s, count)
            loop = asyncio.get_running_loop()
            loop.call_later(later_ms / 1000, self._pay, running, per_s, count - piece)
        else:
            self._go_on(running)

    def _fail(self, running: _Running, kind: Kind, sentence: str) -> None:
        """Try again later. A busy store is no failure; others are told once."""
        if not running.failing and kind not in {Kind.OVERLOADED, Kind.DRAINING}:
            log.error("job %d is kept waiting: %s", running.job.id, sentence)
            running.failing = True
        # Room in a full app comes slowly, if at all: looking for it must not cost the others.
        later_ms = self._limits.job_retry_ms * (_FULL_FACTOR if kind is Kind.STORAGE_FULL else 1)
        asyncio.get_running_loop().call_later(later_ms / 1000, self._go_on, running)
