"""Jobs: each page and the job's progress are one commit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gateway.core.erasing import erase_draft
from gateway.domain.drafts import JobKind, Refused, Started, StepDraft, Stepped
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import EntryKind
from tests.store.stage import NOW, Stage

PAGE = 5


@pytest.fixture
async def stage(engine: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A store whose jobs have small pages."""
    async with Stage(engine, tmp_path / "data", Limits(job_page_max=PAGE)) as made:
        yield made
    assert made.check() == []


async def heard(stage: Stage, *xids: int) -> Counter[int]:
    """How many messages each of these users has in its timeline."""
    return Counter(
        {xid: sum(entry.kind is EntryKind.MESSAGE for entry in await stage.entries(xid)) for xid in xids}
    )


class TestBroadcast:
    """A message from `system` to every user there is."""

    async def test_everybody_gets_it_once(self, stage: Stage) -> None:
        """Page by page, and it counts whom it has reached."""
        xids = range(1, 13)
        await stage.users(*xids)
        job = await stage.broadcast("to all")
        assert (job.kind, job.done, job.finished) == (JobKind.BROADCAST, 0, False)
        seen = []
        while not job.finished:
            stepped = await stage.step(job)
            job = stepped.job
            seen.append(job.done)
            assert len(stepped.sent) <= 1
        assert seen == [5, 10, 12]
        assert await heard(stage, *xids) == dict.fromkeys(xids, 1)
        [entry] = await stage.entries(12)
        message = entry.message
        assert message is not None
        assert (message.content, message.sender_xid, message.notice) == (
            "to all",
            stage.app.system_xid,
            False,
        )

    async def test_system_has_no_entry_of_it(self, stage: Stage) -> None:
        """Neither received nor as a copy of its own."""
        await stage.users(1)
        await stage.finish(await stage.broadcast())
        assert await stage.entries(stage.app.system_xid) == []

    async def test_the_text_is_stored_once_a_page(self, stage: Stage) -> None:
        """And the job, when it is finished, has none."""
        await stage.users(*range(1, 8))
        await stage.finish(await stage.broadcast())
        assert await stage.ask("SELECT refs FROM body ORDER BY id") == [(5,), (2,)]
        assert await stage.ask("SELECT data FROM job") == [("",)]

    async def test_groups_and_the_deleted_are_passed_over(self, stage: Stage) -> None:
        """They are looked at, and don't hide who comes after them."""
        await stage.users(1, 2, 3)
        for _ in range(2 * PAGE):
            await stage.group(1)
        late = stage.app.system_xid + 100
        await stage.users(late)
        # Two is deleted, three is frozen.
        await stage.alter("UPDATE timeline SET state = 4 - xid WHERE xid IN (2, 3)")
        job = await stage.finish(await stage.broadcast())
        assert job.done == 3
        assert await heard(stage, 1, 2, 3, late) == {1: 1, 2: 0, 3: 1, late: 1}

    async def test_who_comes_later_is_not_meant(self, stage: Stage) -> None:
        """Whatever id it chose, before the first page or between two."""
        await stage.users(*range(10, 17))
        job = await stage.broadcast()
        await stage.users(1, 12_000)
        await stage.step(job)
        await stage.users(2, 15_000)
        job = await stage.finish(job)
        assert job.done == 7
        assert await heard(stage, 1, 2, 12_000, 15_000) == dict.fromkeys((1, 2, 12_000, 15_000), 0)

    async def test_other_apps_hear_nothing(self, stage: Stage) -> None:
        """It is one app's."""
        other = await stage.store.create_app("other", "k", b"x", registered=False, at=NOW)
        assert other is not None
        await stage.store.ensure_users(other.id, [1], NOW)
        await stage.users(1)
        assert (await stage.finish(await stage.broadcast())).done == 1
        assert await stage.ask("SELECT count(*) FROM message") == [(1,)]

    async def test_nobody(self, stage: Stage) -> None:
        """An app without users is done at once."""
        job = await stage.finish(await stage.broadcast())
        assert (job.done, job.finished) == (0, True)

    async def test_between_sends_of_one_batch(self, stage: Stage) -> None:
        """A page stands where it came: what is sent before it has smaller numbers, what comes after greater ones."""
        await stage.users(1, 2)
        job = await stage.broadcast("page")
        step = StepDraft(app=job.app, job_id=job.id, at=NOW, rows=1, size=1)
        await stage.store.append([stage.text(1, 2, content="a"), step, stage.text(1, 2, content="b")])
        assert [entry.message.content for entry in await stage.entries(2) if entry.message] == [
            "a",
            "page",
            "b",
        ]


class TestProgress:
    """Where a job has got is stored with what it did."""

    async def test_a_restart_goes_on(self, stage: Stage) -> None:
        """The store lists it as unfinished, and the next page is the next one."""
        await stage.users(*range(1, 13))
        job = await stage.broadcast()
        job = (await stage.step(job)).job
        await stage.restart()
        assert await stage.store.jobs() == [job]
        await stage.finish(job)
        assert await heard(stage, *range(1, 13)) == dict.fromkeys(range(1, 13), 1)
        assert await stage.store.jobs() == []

    async def test_a_page_that_is_not_committed_is_done_again(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing of it is kept, neither its messages nor its progress."""
        await stage.users(*range(1, 8))
        job = await stage.broadcast()
        await stage.alter("CREATE UNIQUE INDEX fail ON message (body)")
        answer = await stage.append(StepDraft(app=job.app, job_id=job.id, at=NOW, rows=1, size=1))
        assert isinstance(answer, Refused)
        assert await stage.store.jobs() == [job]
        await stage.alter("DROP INDEX fail")
        await stage.finish(job)
        assert await heard(stage, *range(1, 8)) == dict.fromkeys(range(1, 8), 1)

    async def test_a_finished_job_does_nothing_more(self, stage: Stage) -> None:
        """However often it is asked for its next page."""
        await stage.users(1)
        job = await stage.finish(await stage.broadcast())
        stepped = await stage.step(job)
        assert (stepped.job, stepped.sent, stepped.placed) == (job, [], [])
        assert await heard(stage, 1) == {1: 1}

    async def test_no_such_job(self, stage: Stage) -> None:
        """It is refused, alone."""
        answer = await stage.append(StepDraft(app=stage.app.id, job_id=99, at=NOW, rows=1, size=1))
        assert answer == Refused(Kind.BAD_PARAMETER, "there is no job 99")


class TestStarting:
    """A key starts one job."""

    async def test_a_repeat_is_the_same_job(self, stage: Stage) -> None:
        """With its count of now, finished or not."""
        await stage.users(*range(1, 8))
        first = await stage.start_broadcast(key="7", digest="d")
        assert isinstance(first, Started)
        stepped = await stage.step(first.job)
        assert await stage.start_broadcast(key="7", digest="d") == Started(stepped.job)
        ended = await stage.finish(first.job)
        assert await stage.start_broadcast(key="7", digest="d") == Started(ended)
        assert ended.done == 7

    async def test_another_text_under_the_same_key(self, stage: Stage) -> None:
        """It is a conflict."""
        await stage.start_broadcast(key="7", digest="d")
        answer = await stage.start_broadcast(key="7", digest="e")
        assert isinstance(answer, Refused)
        assert answer.kind is Kind.TRANSACTION_CONFLICT

    async def test_without_a_key_each_is_its_own(self, stage: Stage) -> None:
        """Nothing is taken for a repeat."""
        assert (await stage.broadcast()).id != (await stage.broadcast()).id

    async def test_unfinished_ones_are_bounded(self, stage: Stage) -> None:
        """Per app and kind; a finished one makes room."""
        await stage.restart(msgspec.structs.replace(stage.limits, jobs_open_max=2))
        job = await stage.broadcast()
        await stage.broadcast()
        answer = await stage.start_broadcast()
        assert isinstance(answer, Refused)
        assert answer.kind is Kind.OVERLOADED
        erasing = await stage.append(erase_draft(stage.app, await stage.user(1), NOW))
        assert isinstance(erasing, Started)
        await stage.finish(job)
        await stage.broadcast()


async def test_a_page_that_another_has_done_is_not_done_again(stage: Stage) -> None:
    """Who asks for what comes after a page finds it done: that answer says so, and nothing has happened."""
    await stage.users(*range(1, 13))
    job = await stage.broadcast()
    draft = StepDraft(app=job.app, job_id=job.id, at=NOW, rows=1, size=1, after=job.progress)
    answers = await asyncio.gather(*(stage.append(draft) for _ in range(2)))
    assert sorted(type(answer).__name__ for answer in answers) == ["Stale", "Stepped"]
    [left] = await stage.store.jobs()
    assert left.done == PAGE
    assert left.progress > job.progress
    again = await stage.append(msgspec.structs.replace(draft, after=left.progress))
    assert isinstance(again, Stepped)
    assert (again.job.done, again.job.progress > left.progress) == (2 * PAGE, True)


async def test_a_kind_that_is_unknown_here_keeps_no_other_waiting(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A job of a newer gateway stays for it."""
    await stage.alter("INSERT INTO job VALUES (1000000, 1, 'moving', '', '', '{}', 0, 0, 0, 0, 0)")
    job = await stage.broadcast()
    assert await stage.store.jobs() == [job]
    assert "job 1000000 is of the kind moving" in caplog.text
    await stage.alter("DELETE FROM job WHERE id = 1000000")
