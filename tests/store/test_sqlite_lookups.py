"""Reads on SQLite that wait at the same time share a visit to a reader's thread."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.errors import Problem
from gateway.domain.model import User
from gateway.store.sqlite import lookups
from gateway.store.sqlite.lane import Lane
from tests.patience import WAIT_S
from tests.store.faulty import lanes
from tests.store.stage import LIMITS, Stage


@pytest.fixture
def engine() -> str:
    return "sqlite"


@asynccontextmanager
async def counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Stage, list[Lane]]]:
    """A store, and the lane of each visit from now on."""
    visits: list[Lane] = []
    real = Lane.run

    async def run(lane: Lane, work: Callable[[Any], Any]) -> Any:
        visits.append(lane)
        return await real(lane, work)

    async with Stage("sqlite", folder / "data", LIMITS) as stage:
        await stage.users(*range(1, 41))
        monkeypatch.setattr(Lane, "run", run)
        # A thread that gets no turn for a while ends no visit.
        monkeypatch.setattr(lookups, "VISIT_S", WAIT_S)
        yield stage, visits


async def test_reads_of_one_moment_are_one_visit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each caller gets its own answer."""
    async with counted(tmp_path, monkeypatch) as (stage, visits):
        found = await asyncio.gather(*(stage.store.user(stage.app.id, xid) for xid in range(1, 9)))
        assert [user.xid for user in found if isinstance(user, User)] == list(range(1, 9))
        assert len(visits) == 1


async def test_more_than_a_visit_is_shared_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit the first reader's visit is the second one's."""
    async with counted(tmp_path, monkeypatch) as (stage, visits):
        asked = range(1, 2 * lookups.VISIT_MAX + 1)
        await asyncio.gather(*(stage.store.user(stage.app.id, xid) for xid in asked))
        assert len(visits) == len(set(visits)) == 2


async def test_one_that_fails_fails_alone(stage: Stage) -> None:
    """Whoever shares the visit with it gets an answer."""

    def broken(conn: sqlite3.Connection) -> None:
        conn.execute("SELECT * FROM nowhere")

    store = lanes(stage)
    asked = [store.message(stage.app.id, 1), store._read(broken), store.message(stage.app.id, 1)]
    before, failed, after = await asyncio.gather(*asked, return_exceptions=True)
    assert before is after is None
    assert isinstance(failed, Problem)


async def test_of_a_caller_that_went_away_nothing_is_read(stage: Stage) -> None:
    """Where its read was not yet under way; the others go on."""
    done: list[int] = []
    store = lanes(stage)

    def note(number: int, _: sqlite3.Connection) -> None:
        done.append(number)

    asked = [asyncio.create_task(store._read(partial(note, number))) for number in range(3)]
    # They wait, and nobody has taken them yet.
    await asyncio.sleep(0)
    asked[1].cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert done == [0, 2]


async def test_a_long_read_ends_its_visit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller does not wait for those behind it, nor are they passed over."""
    monkeypatch.setattr(lookups, "VISIT_S", 0.0)
    may_go = threading.Event()
    store = lanes(stage)
    for reader in store._readers.lanes[1:]:
        store._readers._idle.remove(reader)
    first = asyncio.create_task(store._read(lambda _: 1))
    second = asyncio.create_task(store._read(lambda _: may_go.wait(WAIT_S)))
    third = asyncio.create_task(store._read(lambda _: 3))
    assert await first == 1
    assert not second.done()
    may_go.set()
    assert await second
    assert await third == 3


async def test_closing_waits_for_reads(tmp_path: Path) -> None:
    """What was asked before is answered."""
    async with Stage("sqlite", tmp_path / "data", LIMITS) as stage:
        asked = [asyncio.create_task(stage.store.message(stage.app.id, 1)) for _ in range(50)]
        await asyncio.sleep(0)
        await stage.store.close()
        assert await asyncio.gather(*asked) == [None] * 50
