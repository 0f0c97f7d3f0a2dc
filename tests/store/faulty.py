"""Ways to look under a SQLite store, and to break what it stands on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.errors import Kind, Problem
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite.lane import Lane, open_lane
from tests.store.stage import Stage

APPEND_BATCH = "gateway.store.sqlite.engine.append_batch"
OPEN_LANE = "gateway.store.sqlite.engine.open_lane"
SURROGATE = "\ud800"


async def failed(asked: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        await asked
    assert caught.value.kind is Kind.STORE_FAILED
    return caught.value


def lanes(stage: Stage) -> SqliteStore:
    assert isinstance(stage.store, SqliteStore)
    return stage.store


async def harm(stage: Stage, script: str) -> None:
    """Change tables behind the store's back; what it remembers of them it reads anew, as after a restart."""

    def run(conn: sqlite3.Connection) -> None:
        lanes(stage)._book.forget()
        conn.executescript(script)

    await lanes(stage)._writer.run(run)


async def crash(stage: Stage) -> None:
    """End a store as a killed process does, with nothing said or written any more, and start it again."""
    store = lanes(stage)
    for lane in (*store._readers.lanes, store._writer):
        await lane.close()
    store._lock.close()
    stage.store = await SqliteStore.open(stage.folder, stage.limits)


class Disk:
    """A disk that can be full: every writer that is opened obeys it, as on a real one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages = 2**30
        self.opened = 0
        monkeypatch.setattr(OPEN_LANE, self._open_lane)

    async def _open_lane(self, path: Path, *, readonly: bool) -> Lane:
        lane = await open_lane(path, readonly=readonly)
        if not readonly:
            self.opened += 1
            await lane.run(lambda conn: conn.execute(f"PRAGMA max_page_count = {self.pages}").fetchall())
        return lane

    async def fill(self, stage: Stage) -> None:
        """Leave no room for one more page."""

        def now(conn: sqlite3.Connection) -> int:
            pages: int = conn.execute("PRAGMA page_count").fetchone()[0]
            conn.execute(f"PRAGMA max_page_count = {pages}")
            return pages

        self.pages = await lanes(stage)._writer.run(now)
