"""The folder of a SQLite store: who may open it, who may read it, and how its connections share it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from gateway.domain.drafts import Changed
from gateway.domain.limits import Limits
from gateway.domain.model import User
from gateway.store.errors import StoreError
from gateway.store.schema import SQLITE_MIGRATIONS
from gateway.store.sqlite import SqliteStore
from tests.patience import WAIT_S
from tests.store.faulty import lanes
from tests.store.stage import LIMITS, Stage


@pytest.fixture
def engine() -> str:
    return "sqlite"


async def test_a_folder_belongs_to_one_process(stage: Stage) -> None:
    """Whoever comes second is told, in a sentence, and disturbs nothing."""
    with pytest.raises(StoreError, match=f"is in use by another gateway process .pid {os.getpid()}."):
        await SqliteStore.open(stage.folder, LIMITS)
    await stage.send(1, 2)


async def test_a_folder_is_free_after_closing(stage: Stage) -> None:
    """And after an opening that failed."""
    await stage.store.close()
    path = stage.folder / "gateway.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA user_version = 99")
    for _ in range(2):
        with pytest.raises(StoreError, match="schema 99, newer than this gateway's"):
            await SqliteStore.open(stage.folder, LIMITS)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(f"PRAGMA user_version = {len(SQLITE_MIGRATIONS)}")
    stage.store = await SqliteStore.open(stage.folder, LIMITS)


async def test_what_is_no_store_is_not_opened(tmp_path: Path) -> None:
    """A file of something else, and a folder that is a file."""
    (tmp_path / "gateway.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreError, match="cannot open"):
        await SqliteStore.open(tmp_path, LIMITS)
    with pytest.raises(StoreError, match="cannot use the folder"):
        await SqliteStore.open(tmp_path / "gateway.db", LIMITS)


async def test_an_opening_that_failed_leaves_no_thread(tmp_path: Path) -> None:
    """One that lives on would speak to a loop that has ended, after the operator was told why."""
    (tmp_path / "gateway.db").write_bytes(b"something else entirely" * 100)
    before = set(threading.enumerate())
    with pytest.raises(StoreError):
        await SqliteStore.open(tmp_path, LIMITS)
    left = [thread.name for thread in set(threading.enumerate()) - before]
    assert not any("connection" in name for name in left)


async def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its version is named, and nothing is made."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(StoreError, match=r"SQLite 3\.37 or newer"):
        await SqliteStore.open(tmp_path / "data", LIMITS)
    assert not (tmp_path / "data").exists()


async def test_nobody_else_may_read_the_folder(tmp_path: Path) -> None:
    """It is 0700 and its files 0600, whatever the umask; also in a folder that was there before."""
    open_folder = tmp_path / "there"
    open_folder.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        for folder in (tmp_path / "new", open_folder):
            async with Stage("sqlite", folder) as stage:
                await stage.send(1, 2)
                modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
            assert set(modes) == {"lock", "gateway.db", "gateway.db-wal", "gateway.db-shm"}
            assert set(modes.values()) == {0o600}
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


async def test_commits_are_on_disk_before_they_return(stage: Stage) -> None:
    """The log is written with FULL synchronisation, and the setting holds after a failure."""
    for _ in range(2):
        found = await lanes(stage)._writer.run(
            lambda conn: [
                conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
            ]
        )
        assert found == ["wal", 2]
        lanes(stage)._doubtful = True
        await stage.store.probe()


async def test_readers_and_the_writer_do_not_wait_for_each_other(stage: Stage) -> None:
    """A commit goes through beside an open read, and a read beside an open commit."""
    await stage.send(1, 2)
    with closing(sqlite3.connect(stage.folder / "gateway.db", isolation_level=None)) as conn:
        conn.execute("BEGIN")
        assert conn.execute("SELECT count(*) FROM message").fetchone() == (1,)
        await stage.send(1, 2)
        assert conn.execute("SELECT count(*) FROM message").fetchone() == (1,)
        conn.execute("COMMIT")
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("DELETE FROM message")
        assert len(await stage.shown(2, 1)) == 2
        conn.execute("ROLLBACK")


async def test_reads_are_shared_out_among_the_readers(tmp_path: Path) -> None:
    """One that is busy does not hold up the next."""
    async with Stage("sqlite", tmp_path / "data", Limits(readers=2)) as stage:
        busy, done = threading.Event(), threading.Event()

        def wait(_: sqlite3.Connection) -> bool:
            busy.set()
            return done.wait(WAIT_S)

        first = asyncio.create_task(lanes(stage)._read(wait))
        await asyncio.to_thread(busy.wait, WAIT_S)
        assert isinstance(await stage.store.user(stage.app.id, stage.app.system_xid), User)
        done.set()
        assert await first


async def test_a_caller_that_goes_away_leaves_its_batch(stage: Stage) -> None:
    """The work of a cancelled call is finished all the same, and the store goes on."""
    may_go = threading.Event()
    held = asyncio.create_task(lanes(stage)._writer.run(lambda _: may_go.wait(WAIT_S)))
    await asyncio.sleep(0)
    task = asyncio.create_task(stage.append(stage.creation(1, 2)))
    # Its batch waits for the writer after one turn of the loop; a few more would not let it be done.
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_go.set()
    await held
    answer = await stage.append(stage.creation(1, 2))
    assert isinstance(answer, Changed)
    assert len(await stage.entries(1)) == 2
