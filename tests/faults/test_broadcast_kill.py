"""`kill -9` in the middle of a broadcast to 20,000 users: each gets it exactly once."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.client import HTTPException
from pathlib import Path

import pytest

from gateway.client.device import Backoff, Device
from gateway.domain.model import GIVEN_XID_FIRST, EntryKind
from gateway.store.sqlite.check import check_store
from tests.patience import WAIT_S
from tests.servers import ServerProcess, eventually
from tests.sqlite import hold, release

USERS = 20_000
FIRST_XID = 500_000
PAGE = 100
KILLS = 3
APART = 5_000
"""So far apart are the kills: each comes into a part of its own, however late it is."""
EARLY = 1_500
"""So far into its part, at least."""
STORY_S = 250.0
CONNECTED = (FIRST_XID, FIRST_XID + USERS // 2, FIRST_XID + USERS - 1)


def make_users(folder: Path) -> None:
    """Put users straight into the store: to name each of them would take most of the test's time."""
    with closing(sqlite3.connect(folder / "gateway.db", timeout=WAIT_S)) as conn:
        [(app,)] = conn.execute("SELECT id FROM app WHERE app_id = 'demo'").fetchall()
        [(last,)] = conn.execute("SELECT max(id) FROM timeline").fetchall()
        xids = [xid for xid in range(FIRST_XID, FIRST_XID + USERS) if xid not in CONNECTED]
        rows = [(last + 1 + index, app, xid) for index, xid in enumerate(xids)]
        conn.executemany("INSERT INTO timeline (id, app, xid, kind) VALUES (?, ?, ?, 1)", rows)
        conn.executemany("INSERT INTO user (id, app, created_at) VALUES (?, ?, 1)", [row[:2] for row in rows])
        conn.commit()


def ask(folder: Path, sql: str) -> list[tuple[int, ...]]:
    with closing(sqlite3.connect(folder / "gateway.db", timeout=WAIT_S)) as conn:
        return conn.execute(sql).fetchall()


def done(folder: Path) -> int:
    return ask(folder, "SELECT done FROM job")[0][0]


class Watcher:
    """A device that is there all along, and comes back by itself."""

    def __init__(self, server: ServerProcess, xid: int) -> None:
        self.device = Device(server.url, "demo", server.token(xid), device_sn=1, backoff=Backoff(0.02, 0.1))
        self.texts: list[str] = []
        self.live = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        async with self.device:
            async for frame in self.device:
                if frame["op"] == "live":
                    self.live.set()
                if frame["op"] == "message":
                    self.texts.append(frame["message"]["content"])
                    if frame["message"]["content"] == "end":
                        self.ended.set()
                        return


class Breaking:
    """Starts a broadcast, kills the server in the middle of it some times, and lets it end."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.kills: list[int] = []
        self.watchers = [Watcher(server, xid) for xid in CONNECTED]
        make_users(server.data)

    async def run(self) -> None:
        reading = [asyncio.create_task(watcher.run()) for watcher in self.watchers]
        for watcher in self.watchers:
            await watcher.live.wait()
        await asyncio.to_thread(self._break)
        for watcher in self.watchers:
            await watcher.ended.wait()
        await asyncio.gather(*reading)

    def _break(self) -> None:
        server, folder = self.server, self.server.data
        token = server.admin_token()
        body = {"content_type": 0, "content": "to all", "transaction_id": 1}
        call = threading.Thread(target=lambda: _try(server, token, body))
        hold(folder, "job.done", APART)
        call.start()
        for number in range(KILLS):
            eventually(partial(_reached, folder, number * APART + EARLY), "some pages")
            server.kill9()
            self.kills.append(done(folder))
            call.join()
            release(folder)
            if number + 1 < KILLS:
                hold(folder, "job.done", (number + 2) * APART)
            server.start()
        eventually(lambda: ask(folder, "SELECT finished FROM job") == [(1,)], "the job's end")
        self.repeated = server.post("/message/broadcast", token, body)[1]["data"]
        for xid in CONNECTED:
            server.post(
                "/message/send", token, {"type": 1, "targets": [xid], "content_type": 0, "content": "end"}
            )


def _reached(folder: Path, mark: int) -> bool:
    return ask(folder, f"SELECT 1 FROM job WHERE done >= {mark}") != []


def _try(server: ServerProcess, token: str, body: object) -> None:
    try:
        server.post("/message/broadcast", token, body)
    except (OSError, HTTPException):
        return


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Breaking]:
    env = {"GATEWAY_LIMITS_JOB_PAGE_MAX": str(PAGE)}
    with ServerProcess(tmp_path_factory.mktemp("broadcast") / "data", env=env) as server:
        breaking = Breaking(server)
        asyncio.run(asyncio.wait_for(breaking.run(), STORY_S))
        yield breaking


def test_the_kills_came_in_the_middle(broken: Breaking) -> None:
    """After some pages and before the last, each time further on: otherwise the other tests say nothing."""
    assert len(broken.kills) == KILLS
    assert 0 < broken.kills[0] < broken.kills[1] < broken.kills[2] < USERS


def test_each_user_has_it_exactly_once(broken: Breaking) -> None:
    """As the entries in the file tell, of all who were there; and nobody else has any."""
    found = Counter(
        xid
        for (xid,) in ask(
            broken.server.data,
            f"""SELECT t.xid FROM entry AS e JOIN timeline AS t ON t.id = e.t
            JOIN message AS m ON m.msg_id = e.msg_id JOIN body AS b ON b.id = m.body
            WHERE e.kind = {EntryKind.MESSAGE:d} AND b.content = 'to all'""",
        )
    )
    # Alice and Bob of the first start are there too.
    given = range(GIVEN_XID_FIRST + 1, GIVEN_XID_FIRST + 3)
    assert found == Counter([*range(FIRST_XID, FIRST_XID + USERS), *given])


def test_devices_see_it_exactly_once(broken: Breaking) -> None:
    """Those that were connected before, and came back after each kill."""
    assert [watcher.texts for watcher in broken.watchers] == [["to all", "end"]] * len(CONNECTED)


def test_a_repeat_tells_the_whole_count(broken: Breaking) -> None:
    """By its transaction_id it is the same broadcast, whatever came in between."""
    assert broken.repeated == {"success": True, "send_num": USERS + 2}


def test_check_is_clean(broken: Breaking) -> None:
    """The store keeps all its laws."""
    assert check_store(broken.server.data) == []
