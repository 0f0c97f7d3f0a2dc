"""`gateway erase`, as an operator uses it: beside a running gateway, killed in the middle, and without one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.servers import COMMAND, Program, ServerProcess, command, eventually, sentence
from tests.sqlite import hold, release

MESSAGES = 5_000


def count(data: Path, sql: str) -> int:
    with closing(sqlite3.connect(f"{(data / 'gateway.db').as_uri()}?mode=ro", uri=True)) as conn:
        return int(conn.execute(sql).fetchone()[0])


def fill(server: ServerProcess, sender: str, times: int, targets: list[int]) -> None:
    token = server.token(sender)
    for number in range(times):
        body = {"type": 1, "targets": targets, "content_type": 0, "content": f"from {sender}, {number}"}
        assert server.post("/message/send", token, body)[1]["code"] == 200


def test_beside_a_running_gateway_that_is_killed(tmp_path: Path) -> None:
    """It goes on at the next start, with nobody asking again; what others wrote is all there."""
    small = {"GATEWAY_LIMITS_ERASE_PAGE_MAX": "10"}
    with ServerProcess(tmp_path / "data", env=small) as server:
        fill(server, "alice", 5, list(range(1, 1001)))
        fill(server, "bob", 1, list(range(1, 101)))
        hold(server.data, "job.done", MESSAGES // 2)
        with gateway_erasing(server):
            eventually(
                lambda: count(server.data, "SELECT coalesce(max(progress), 0) FROM job") > 0,
                "an erasure that has begun",
            )
            server.kill9()
        assert count(server.data, "SELECT finished FROM job") == 0
        release(server.data)
        server.start()
        eventually(lambda: count(server.data, "SELECT finished FROM job") == 1, "an erasure that is done")
        texts = "SELECT count(*) FROM message WHERE body IS NOT NULL"
        assert count(server.data, texts) == 100
        assert count(server.data, "SELECT done FROM job") == MESSAGES
        assert command("check", "--data", server.data).returncode == 0


def test_without_a_gateway(tmp_path: Path) -> None:
    """The command does all of it by itself; asked again by the name, there is nobody of it."""
    data = tmp_path / "data"
    with ServerProcess(data) as server:
        fill(server, "alice", 2, [1, 2])
        alice = server.xid("alice")
        assert server.term() == 0
    told = command("erase", "--app", "demo", "--user", "alice", "--data", data)
    assert told.stdout == f"user {alice} is erased, with 4 texts\n"
    assert command("check", "--data", data).returncode == 0
    assert "from alice" not in (data / "gateway.db").read_bytes().decode(errors="replace")
    assert "no user alice" in sentence(
        command("erase", "--app", "demo", "--user", "alice", "--data", data), 1
    )
    again = command("erase", "--app", "demo", "--user", str(alice), "--data", data)
    assert again.stdout == told.stdout


def gateway_erasing(server: ServerProcess) -> Program:
    """The command, running on its own: it waits for an end that does not come."""
    return Program(*COMMAND, "erase", "--app", "demo", "--user", "alice", "--data", server.data)
