"""The SQLite engine where the disk is full or a commit breaks: what is kept, and how it goes on."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.drafts import Appended
from gateway.store.sqlite.batch import append_batch
from gateway.store.sqlite.lane import Lane
from tests.patience import WAIT_S
from tests.store.faulty import APPEND_BATCH, OPEN_LANE, Disk, failed, lanes
from tests.store.stage import NOW, Stage


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def test_a_full_disk_fails_the_batch_and_keeps_nothing_of_it(stage: Stage, disk: Disk) -> None:
    """Every draft of it may be asked for again, for as long as the disk is full."""
    await stage.send(1, 2)
    await disk.fill(stage)
    batch = [stage.text(1, 2, content="x" * 30_000, key=str(index), digest="d") for index in range(1, 6)]
    for _ in range(3):
        problem = await failed(stage.store.append(batch))
        assert problem.retry_after_ms
        assert len(await stage.entries(2)) == 1
        assert await stage.store.transaction(stage.app.id, 1, "1") is None
        assert stage.check() == []


async def test_a_store_recovers_when_there_is_room(stage: Stage, disk: Disk) -> None:
    """Without a restart, and goes on where it was."""
    await disk.fill(stage)
    big = stage.text(1, 2, content="x" * 60_000)
    await failed(stage.store.append([big]))
    disk.pages = 2**30
    answer = await stage.append(big)
    assert isinstance(answer, Appended)
    assert answer.received == [(await stage.id(2), 1)]


async def test_a_full_disk_can_still_be_read(stage: Stage, disk: Disk) -> None:
    """Readers have nothing to do with the writer's failure."""
    sent = await stage.send(1, 2)
    await disk.fill(stage)
    await failed(stage.store.append([stage.text(1, 2, content="x" * 60_000)]))
    assert await stage.shown(2, 1) == [sent.first_msg_id]


@pytest.mark.parametrize(
    "call", ["ensure_users", "create_app", "keep", "read", "advance", "register", "probe"]
)
async def test_every_call_that_writes_fails_as_a_problem(stage: Stage, call: str) -> None:
    """Nothing of it is kept, and it works on the next try, when the writer was opened anew."""
    await stage.send(1, 2)
    calls: dict[str, Callable[[], Any]] = {
        "ensure_users": lambda: stage.store.ensure_users(stage.app.id, [5], NOW),
        "create_app": lambda: stage.store.create_app("two", "k", b"", registered=False, at=NOW),
        "keep": lambda: stage.store.keep([]),
        "read": lambda: stage.store.read([]),
        "advance": lambda: stage.store.advance([]),
        "register": lambda: stage.store.register(stage.app.id, "alice", "", NOW),
        "probe": stage.store.probe,
    }

    def refuse(conn: sqlite3.Connection) -> None:
        def deny(action: int, what: str | None, *_: Any) -> int:
            commit = action == sqlite3.SQLITE_TRANSACTION and what == "COMMIT"
            return sqlite3.SQLITE_DENY if commit else sqlite3.SQLITE_OK

        conn.set_authorizer(deny)

    await lanes(stage)._writer.run(refuse)
    await failed(calls[call]())
    again = await calls[call]()
    assert again is not None or call in {"keep", "probe"}


async def test_a_probe_commits_for_real(stage: Stage) -> None:
    """Each one writes to the log, so that a store that cannot is found out."""
    log = stage.folder / "gateway.db-wal"
    sizes = []
    for _ in range(3):
        await stage.store.probe()
        sizes.append(log.stat().st_size)
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("steps", [1, 50, 200, 400, 800, 1200])
async def test_a_batch_that_breaks_off_leaves_nothing(stage: Stage, steps: int) -> None:
    """Wherever it does, all of it is undone, and the store opens the writer anew."""
    group = await stage.group(1, 2)
    before = (await stage.entries(1), await stage.entries(group))

    def break_off(conn: sqlite3.Connection) -> None:
        conn.set_progress_handler(lambda: 1, steps)

    batch = [stage.text(1, 9, 8, key="7", digest="d"), await stage.group_text(1, group)] * 50
    await lanes(stage)._writer.run(break_off)
    await failed(stage.store.append(batch))
    assert (await stage.entries(1), await stage.entries(group)) == before
    assert await stage.store.party(stage.app.id, 9) is None
    answers = await stage.store.append(batch)
    assert [type(answer).__name__ for answer in answers[:3]] == ["Appended", "Appended", "Repeated"]


async def test_a_commit_that_broke_after_all_was_kept_is_answered_as_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outcome is looked for under the batch's key: what is in the store was not refused."""

    def break_after(*asked: Any) -> None:
        append_batch(*asked)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(APPEND_BATCH, break_after)
    answer = await stage.append(stage.text(1, 2))
    assert isinstance(answer, Appended)
    assert len(await stage.entries(2)) == 1


async def test_a_commit_that_broke_before_it_was_kept_is_a_problem(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch before it is not taken for it."""
    await stage.send(1, 2)

    def break_before(conn: sqlite3.Connection, *asked: Any) -> None:
        conn.set_authorizer(
            lambda action, what, *_: int(action == sqlite3.SQLITE_TRANSACTION and what == "COMMIT")
        )
        try:
            append_batch(conn, *asked)
        finally:
            conn.set_authorizer(None)

    monkeypatch.setattr(APPEND_BATCH, break_before)
    await failed(stage.append(stage.text(1, 2)))
    monkeypatch.undo()
    assert len(await stage.entries(2)) == 1


async def test_an_outcome_that_cannot_be_learnt_is_said_to_be_unknown(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the store does not open again, nobody claims that nothing was kept."""

    def break_after(*asked: Any) -> None:
        append_batch(*asked)
        raise sqlite3.OperationalError("disk I/O error")

    async def no_lane(path: Path, *, readonly: bool) -> Lane:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patch:
        patch.setattr(APPEND_BATCH, break_after)
        patch.setattr(OPEN_LANE, no_lane)
        problem = await failed(stage.append(stage.text(1, 2)))
        assert "unknown" in problem.sentence
        await failed(stage.store.probe())
    await stage.store.probe()


async def test_whoever_comes_after_a_failure_shares_one_new_writer(stage: Stage, disk: Disk) -> None:
    """However many call at once: a second one would never be closed."""
    await stage.send(1, 2)
    await disk.fill(stage)
    await failed(stage.append(stage.text(1, 2, content="x" * 60_000)))
    disk.pages = 2**30
    lanes(stage)._doubtful = True
    disk.opened = 0
    threads = threading.active_count()
    await asyncio.gather(*(stage.store.probe() for _ in range(5)), stage.send(1, 2))
    assert disk.opened == 1
    # A thread says that it is done before it has ended.
    async with asyncio.timeout(WAIT_S):
        while threading.active_count() > threads:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)


async def test_a_closed_store_says_so(stage: Stage) -> None:
    """Reading and writing; closing again is nothing."""
    store = stage.store
    await store.close()
    await store.close()
    await failed(store.append([stage.text(1, 2)]))
    await failed(store.probe())
    await failed(store.apps())
