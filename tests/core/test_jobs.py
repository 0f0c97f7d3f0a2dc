"""The runner of jobs: pages beside the live traffic, across failures and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from gateway.core.jobs import Jobs
from gateway.core.order import Order
from gateway.domain.drafts import (
    Answer,
    BroadcastText,
    Draft,
    Job,
    JobDraft,
    JobKind,
    MessageDraft,
    Refused,
    StepDraft,
)
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import Scope
from tests.core.stage import Stage, app_of, open_stage, refused
from tests.patience import WAIT_S

LIMITS = Limits(job_page_max=3, job_retry_ms=1, broadcast_wait_ms=300_000)
USERS = range(1, 11)
HI = BroadcastText(ctype=0, content="hi")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A node with ten users whose jobs wait for their runner."""
    async with open_stage(tmp_path / "data", LIMITS) as opened:
        app = await opened.app()
        for xid in USERS:
            await opened.store.ensure_users(app.id, [xid], 1)
        yield opened


async def run(stage: Stage, jobs: Jobs | None = None) -> asyncio.Task[None]:
    return asyncio.create_task((jobs or stage.jobs).run())


async def stop(runner: asyncio.Task[None]) -> None:
    runner.cancel()
    await asyncio.gather(runner, return_exceptions=True)


async def heads(stage: Stage) -> list[int]:
    """How many entries each user has."""
    app = await app_of(stage)
    found = []
    for xid in USERS:
        party = await stage.store.party(app.id, xid)
        assert party is not None
        found.append((await stage.store.pages([(party.id, 1)], 1, 1))[0].head)
    return found


async def begin(stage: Stage, jobs: Jobs | None = None) -> Job:
    app = await app_of(stage)
    return await (jobs or stage.jobs).start(
        JobDraft(app=app.id, kind=JobKind.BROADCAST, at=1, data='{"ctype":0,"content":"hi"}')
    )


async def test_a_job_is_done_to_its_end(stage: Stage) -> None:
    """And who follows it is told when."""
    runner = await run(stage)
    job = await stage.jobs.follow(await begin(stage), 20_000)
    assert (job.done, job.finished) == (10, True)
    assert await heads(stage) == [1] * 10
    await stop(runner)


async def test_an_answer_waits_for_the_count(stage: Stage) -> None:
    """A broadcast to a small app tells how many there were."""
    runner = await run(stage)
    assert await stage.core.broadcasts.send(await stage.admin(), HI) == 10
    await stop(runner)


async def test_an_answer_waits_no_longer_than_allowed(stage: Stage) -> None:
    """What it tells then is how far the job has got: here nobody does it."""
    jobs = Jobs(stage.store, stage.writer, stage.pacing, stage.limits, stage.clock)
    job = await begin(stage, jobs)
    assert await jobs.follow(job, 1) == job


async def test_a_start_goes_on_with_what_was_left(stage: Stage) -> None:
    """Of several jobs, each from where it was."""
    for _ in range(2):
        job = await begin(stage, Jobs(stage.store, stage.writer, stage.pacing, stage.limits, stage.clock))
        await stage.writer.submit(StepDraft(app=job.app, job_id=job.id, at=1, rows=1, size=1))
    runner = await run(stage)
    await done(stage)
    assert await heads(stage) == [2] * 10
    await stop(runner)


async def done(stage: Stage) -> None:
    """Wait until no job is left, whoever started it."""
    async with asyncio.timeout(WAIT_S):
        while jobs := await stage.store.jobs():
            for job in jobs:
                await stage.jobs.follow(job, 20_000)


class TestManyNodes:
    """Several runners over one store, which they share."""

    @pytest.fixture(autouse=True)
    def shared(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(type(stage.store), "shared", True)

    def node(self, stage: Stage, **limits: int) -> Jobs:
        told = msgspec.structs.replace(stage.limits, **limits)
        return Jobs(stage.store, stage.writer, stage.pacing, told, stage.clock)

    async def step(self, stage: Stage, job: Job) -> None:
        """Do a page of a job somewhere else."""
        await stage.writer.submit(StepDraft(app=job.app, job_id=job.id, at=1, rows=1, size=1))

    async def test_what_a_dead_node_leaves_is_done_by_another(self, stage: Stage) -> None:
        """Who looks twice and finds that a job has not moved goes on with it, from where it was."""
        job = await begin(stage, self.node(stage))
        await self.step(stage, job)
        other = self.node(stage)
        runner = await run(stage, other)
        await other.look()
        assert await other.follow(job, 20_000) is job
        await other.look()
        assert (await other.follow(job, 20_000)).finished
        assert await heads(stage) == [1] * 10
        await stop(runner)

    async def test_a_job_that_moves_is_left_alone(self, stage: Stage) -> None:
        """It has a node that lives."""
        job = await begin(stage, self.node(stage))
        other = self.node(stage)
        for _ in range(3):
            await other.look()
            assert await other.follow(job, 20_000) is job
            await self.step(stage, job)

    async def test_a_job_that_pays_for_its_messages_is_given_its_time(self, stage: Stage) -> None:
        """At one message a second a page of three is not overdue after three seconds."""
        await stage.directory.set_limits("demo", {"sends_per_s": 1})
        job = await begin(stage, self.node(stage))
        other = self.node(stage, sweep_ms=1_000)
        for _ in range(4):
            await other.look()
            assert await other.follow(job, 20_000) is job
        await other.look()
        assert await other.follow(job, 1) is not job

    async def test_no_page_is_done_twice(self, stage: Stage) -> None:
        """Of two nodes that go on with a job at the same moment one does the next page, and the other lets go of it."""
        job = await begin(stage, self.node(stage))
        nodes = [self.node(stage) for _ in range(2)]
        for _ in range(2):
            for node in nodes:
                await node.look()
        runners = [await run(stage, node) for node in nodes]
        ends = [await node.follow(job, 20_000) for node in nodes]
        assert any(end.finished for end in ends)
        assert await stage.store.jobs() == []
        assert await heads(stage) == [1] * 10
        for runner in runners:
            await stop(runner)

    async def test_a_start_takes_nothing_from_others(self, stage: Stage) -> None:
        """What is unfinished when a node starts is another's, until that one is seen to be dead."""
        job = await begin(stage, self.node(stage))
        runner = await run(stage)
        last = await begin(stage)
        assert (await stage.jobs.follow(last, 20_000)).finished
        assert await stage.store.jobs() == [job]
        await stop(runner)


async def test_live_sends_go_between_pages(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of however many jobs, one page at most is under way, and what waits when it comes is committed no later."""
    batches: list[Sequence[Draft]] = []
    real = stage.store.append

    async def append(batch: Sequence[Draft]) -> list[Answer]:
        batches.append(batch)
        return await real(batch)

    monkeypatch.setattr(stage.store, "append", append)
    alice = await stage.user(1)
    for _ in range(3):
        await begin(stage)
    batches.clear()
    runner = await run(stage)
    order = Order(scope=Scope.USER, targets=(2,), ctype=0, content="live")
    for _ in range(5):
        await stage.core.messaging.send(alice, order)
    await done(stage)
    pages = [sum(isinstance(draft, StepDraft) for draft in batch) for batch in batches]
    lives = [sum(isinstance(draft, MessageDraft) for draft in batch) for batch in batches]
    assert max(pages) == 1
    assert sum(pages) == 12
    # Each send waits for one page at the most, for the one that was under way when it came; how often, chance decides.
    sent = [index for index, count in enumerate(lives) if count]
    assert len(sent) == 5
    assert sent[0] <= 1
    assert max(later - earlier for earlier, later in pairwise(sent)) <= 2
    await stop(runner)


async def test_a_failing_store_is_asked_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Until it works; the log is told once of each job."""
    real = stage.store.append
    failures = iter(range(4))

    async def append(batch: Sequence[Draft]) -> list[Answer]:
        if isinstance(batch[0], StepDraft) and next(failures, None) is not None:
            raise Problem(Kind.STORE_FAILED, "the disk is full")
        return await real(batch)

    monkeypatch.setattr(stage.store, "append", append)
    runner = await run(stage)
    job = await stage.jobs.follow(await begin(stage), 20_000)
    assert job.finished
    assert await heads(stage) == [1] * 10
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        f"job {job.id} is kept waiting: the disk is full"
    ]
    await stop(runner)


async def test_a_page_that_is_refused_is_asked_for_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the store has no room for the app's messages now; other jobs go on meanwhile."""
    held, free = await begin(stage), await begin(stage)
    real = stage.store.append
    refusing = True

    async def append(batch: Sequence[Draft]) -> list[Answer]:
        answers = await real([d for d in batch if not (is_held(d) and refusing)])
        later = iter(answers)
        told: list[Answer] = []
        for draft in batch:
            if is_held(draft) and refusing:
                told.append(Refused(Kind.STORAGE_FULL, "full"))
            else:
                told.append(next(later))
        return told

    def is_held(draft: Draft) -> bool:
        return isinstance(draft, StepDraft) and draft.job_id == held.id

    monkeypatch.setattr(stage.store, "append", append)
    runner = await run(stage)
    assert (await stage.jobs.follow(free, 20_000)).finished
    assert (await stage.store.jobs()) == [held]
    refusing = False
    assert (await stage.jobs.follow(held, 20_000)).finished
    assert await heads(stage) == [2] * 10
    await stop(runner)


async def test_a_drain_ends_between_two_pages(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page under way is committed, who follows is told how far it got, and the rest is the next start's."""
    real = stage.store.append

    async def append(batch: Sequence[Draft]) -> list[Answer]:
        if isinstance(batch[0], StepDraft):
            stage.jobs.close()
        return await real(batch)

    monkeypatch.setattr(stage.store, "append", append)
    runner = await run(stage)
    job = await stage.jobs.follow(await begin(stage), 20_000)
    assert not job.finished
    # What waits before the writer is closed too still goes, and no page with it.
    order = Order(scope=Scope.USER, targets=(99,), ctype=0, content="live")
    await stage.core.messaging.send(await stage.user(98), order)
    await stage.writer.close()
    [left] = await stage.store.jobs()
    assert left.done == 3
    assert sum(await heads(stage)) == 3
    await stop(runner)


async def test_who_may(stage: Stage) -> None:
    """An administrator's token alone."""
    with refused(Kind.FORBIDDEN):
        await stage.core.broadcasts.send(await stage.user(1), HI)
    with refused(Kind.BAD_PARAMETER) as refusal:
        await stage.core.broadcasts.send(await stage.admin(user_id=1), HI)
    assert refusal.sentence.startswith("user_id")
    assert await stage.store.jobs() == []
