"""`kill -9` in the middle of a sweep: what is left is whole, and the next process goes on from there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from gateway.store.sqlite.check import check_store
from tests.patience import WAIT_S
from tests.servers import ServerProcess, eventually
from tests.sqlite import hold, release

OLD, YOUNG = 3_000, 50
PAGE = 20
ENV = {
    "GATEWAY_RETENTION_DAYS": "1",
    "GATEWAY_LIMITS_SWEEP_PAGE_MAX": str(PAGE),
    "GATEWAY_LIMITS_SWEEP_PAUSE_MS": "20",
    "GATEWAY_LIMITS_RETENTION_SWEEP_MS": "100",
}


def ask(folder: Path, sql: str) -> int:
    with closing(sqlite3.connect(folder / "gateway.db", timeout=WAIT_S)) as conn:
        [(found,)] = conn.execute(sql).fetchall()
        return int(found)


def fill(server: ServerProcess) -> list[int]:
    """Let a user send to 700 users; the first messages are old. Return the ids of the young."""
    token = server.admin_token()
    for first in range(0, OLD + YOUNG, 500):
        xids = [9_000 + number % 700 for number in range(first, min(first + 500, OLD + YOUNG))]
        body = {"type": 1, "from_user_id": 77, "targets": xids, "content_type": 0, "content": "hi"}
        assert server.post("/message/send", token, body)[1]["code"] == 200
    hold(server.data, "meta.swept_to", OLD // 2)
    with closing(sqlite3.connect(server.data / "gateway.db", timeout=WAIT_S)) as conn:
        conn.execute("UPDATE message SET at = 1 WHERE msg_id <= ?", (OLD,))
        conn.execute("INSERT INTO hour (hour, first, last) VALUES (0, 1, ?)", (OLD,))
        conn.commit()
        return [msg_id for (msg_id,) in conn.execute("SELECT msg_id FROM message WHERE at > 1")]


def test_a_sweep_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    """After each of two kills the laws hold; in the end all that was old is gone, and all that was young is there."""
    with ServerProcess(tmp_path / "data", env=ENV) as server:
        young = fill(server)
        assert len(young) == YOUNG
        for mark in (OLD // 20, OLD // 10):
            eventually(partial(reached, server.data, mark), "a part of the sweep")
            server.kill9()
            assert mark <= swept_to(server.data) < OLD
            assert check_store(server.data) == []
            if mark == OLD // 10:
                release(server.data)
            server.start()
        eventually(lambda: swept_to(server.data) == OLD, "the end of the sweep")
        status, page = server.get("/message/conversation?opposite_id=9300", server.token(77))
        assert status == 200
        assert [item["msg_id"] for item in page["data"]["messages"]] == []
        assert server.term() == 0
        with closing(sqlite3.connect(server.data / "gateway.db", timeout=WAIT_S)) as conn:
            assert [msg_id for (msg_id,) in conn.execute("SELECT msg_id FROM message")] == young
        assert check_store(server.data) == []


def reached(folder: Path, mark: int) -> bool:
    return swept_to(folder) >= mark


def swept_to(folder: Path) -> int:
    return ask(folder, "SELECT swept_to FROM meta")
