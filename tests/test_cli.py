"""The commands beside `gateway serve`, as a person or a script uses them; those about apps: `test_cli_apps`.

What a command does is tried in this process; what lasts or is about processes, with real ones.
"""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.patience import WAIT_S
from tests.servers import COMMAND, Program, ServerProcess, command, eventually, gateway, sentence


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that neither stop nor change it."""
    with ServerProcess(tmp_path_factory.mktemp("cli") / "data") as running:
        yield running


# -- help -------------------------------------------------------------------------------------------------


def test_help_says_what_is_meant_where_nothing_is_given() -> None:
    """Defaults that an option's own text names are there; commands are listed with a whole sentence each."""
    told = " ".join(gateway("serve", "--help").stdout.split())
    assert "The data folder [default: ./data]." in told
    assert "The port; 0 takes any free one [default: 8080]." in told
    for noun in ((), ("app",), ("retention",)):
        assert "..." not in gateway(*noun, "--help").stdout.partition("Commands:")[2]


# -- listen and send --------------------------------------------------------------------------------------


def test_listen_prints_frames_and_acks_them(server: ServerProcess) -> None:
    """A message is one line of JSON; once it is printed, its sender sees it as DELIVERED."""
    carol, dave = server.xid("carol"), server.xid("dave")
    args = ("--app", "demo", "--user", "dave", "--device-sn", "7", "--data", server.data)
    with Program(*COMMAND, "listen", *args) as listener:
        welcome = json.loads(listener.expect('"welcome"'))
        assert (welcome["uid"], welcome["device_sn"]) == (dave, 7)
        sent = command(
            "send", "--app", "demo", "--from", "carol", "--to", "dave", "ping", "--data", server.data
        )
        frame = json.loads(listener.expect('"message"'))
        assert frame["message"]["msg_id"] == int(sent.stdout)
        assert frame["message"]["content"] == "ping"
        assert frame["message"]["from_xid"]["uid"] == carol
        path, token = f"/message/conversation?opposite_id={dave}", server.token("carol")

        def delivered() -> bool:
            [message] = server.get(path, token)[1]["data"]["messages"]
            return bool(message["status"] == "DELIVERED")

        eventually(delivered, "the message is DELIVERED")


def test_listen_comes_back_after_a_kill_and_resumes(tmp_path: Path) -> None:
    """What was sent while it was away comes once, and what it had does not come again."""
    with ServerProcess(tmp_path / "data") as server:
        body = {"type": 1, "targets": [server.xid("bob")], "content_type": 0}
        with Program(*COMMAND, "listen", "--app", "demo", "--user", "bob", "--data", server.data) as listener:
            listener.expect('"live"')
            server.post("/message/send", server.token("alice"), {**body, "content": "before"})
            listener.expect("before")
            server.kill9()
            server.start()
            server.post("/message/send", server.token("alice"), {**body, "content": "after"})

            def seen(op: str) -> list[dict[str, Any]]:
                return [frame for line in listener.lines if (frame := json.loads(line))["op"] == op]

            eventually(
                lambda: len(seen("live")) > 1 and len(seen("message")) > 1, "live again, with a message"
            )
            assert [frame["message"]["content"] for frame in seen("message")] == ["before", "after"]


@pytest.mark.parametrize("started", ["", "trap '' INT;"], ids=["from a terminal", "in a script's background"])
def test_listen_ends_quietly_by_ctrl_c(server: ServerProcess, started: str) -> None:
    """No traceback, exit code 0; also where a script's & has it start with the signal ignored."""
    listen = f"{started} exec {' '.join(COMMAND)} listen --app demo --user erin --data {server.data}"
    with Program("sh", "-c", listen) as listener:
        listener.expect('"live"')
        listener.signal(signal.SIGINT)
        assert listener.wait() == 0
        assert all(json.loads(line)["op"] for line in listener.lines)


def test_send_with_a_transaction_id_executes_once(server: ServerProcess) -> None:
    """The repeat prints the first id; another text under it is one sentence."""
    send = ("send", "--app", "demo", "--to", "4711", "--transaction-id", "5", "--data", server.data)
    first, again = command(*send, "pay"), command(*send, "pay")
    assert first.stdout == again.stdout != ""
    assert "(code 60001)" in sentence(command(*send, "pay twice"), 1)


def test_send_to_a_group_reaches_its_members(server: ServerProcess) -> None:
    """`--group` takes the group's id."""
    alice = server.token("alice")
    made = server.post("/group/create", alice, {"name": "lunch", "user_list": [server.xid("bob")]})[1]
    group = str(made["data"]["group_id"])
    sent = command(
        "send", "--app", "demo", "--from", "alice", "--group", group, "pizza", "--data", server.data
    )
    page = server.get(f"/message/conversation?opposite_id={group}", server.token("bob"))[1]["data"]
    assert [message["msg_id"] for message in page["messages"]] == [int(sent.stdout)]


def test_send_where_nothing_listens_is_one_sentence(server: ServerProcess) -> None:
    """It names the URL that was tried."""
    run = command(
        "send", "--app", "demo", "--to", "bob", "x", "--url", "http://127.0.0.1:1", "--data", server.data
    )
    assert "no gateway answers at http://127.0.0.1:1" in sentence(run, 1)


@pytest.mark.parametrize("whom", [(), ("--to", "bob", "--group", "7")])
def test_send_wants_one_of_to_and_group(server: ServerProcess, whom: tuple[str, ...]) -> None:
    """Neither and both are one sentence."""
    assert "--to or --group" in sentence(
        command("send", "--app", "demo", *whom, "x", "--data", server.data), 2
    )


# -- check and demo ---------------------------------------------------------------------------------------


def test_retention_is_shown_and_goes_on_where_one_says_so(tmp_path: Path) -> None:
    """Beside a running server and without one: how long, how far, when, and the halt of a clock that jumped."""
    env = {"GATEWAY_RETENTION_DAYS": "30", "GATEWAY_LIMITS_EXPIRY_SWEEP_MS": "10"}
    # No run of its own falls into this, however long it takes.
    env["GATEWAY_LIMITS_RETENTION_SWEEP_MS"] = "3600000"

    def ask(what: str) -> list[str]:
        return command("retention", what, "--data", tmp_path / "data", env=env).stdout.splitlines()

    with ServerProcess(tmp_path / "data", env=env) as server:
        assert ask("show") == [
            "kept           30 days",
            "removed up to  nothing yet",
            "last run       never",
            "halted         no",
        ]
        with closing(sqlite3.connect(server.data / "gateway.db", timeout=WAIT_S)) as conn:
            conn.execute("UPDATE meta SET swept_at = 1, swept_to = 7")
            # An old message, which would go.
            conn.execute(
                """INSERT INTO message (msg_id, target, peer, sender, device_sn, seq, ctype, flags, at, shown)
                VALUES (8, 1, 1, 1, 0, 1, 0, 0, 1, 0)"""
            )
            conn.commit()
        line = server.program.expect("ERROR", "the clock has jumped")
        assert "1970-01-01T00:00:00" in line
        halted = ask("show")
        assert halted[1] == "removed up to  message 7"
        assert re.fullmatch(r"halted         20\d\d-\S+", halted[3])
        assert server.get("/readyz")[0] == 200
        assert ask("resume")[3] == "halted         no"
        with closing(sqlite3.connect(server.data / "gateway.db", timeout=WAIT_S)) as conn:
            conn.execute("UPDATE meta SET halted_at = 5")
            conn.commit()
    assert ask("show")[3] == "halted         1970-01-01T00:00:00+00:00"
    assert ask("resume")[3] == ask("show")[3] == "halted         no"


def test_check_beside_a_running_server_finds_nothing(server: ServerProcess) -> None:
    """A store in use is checked as it is."""
    check = command("check", "--data", server.data)
    assert (check.returncode, check.stdout) == (0, "the store keeps all its laws\n")


def test_check_says_what_is_broken(tmp_path: Path) -> None:
    """An entry that is missing is named, and the exit code is 1."""
    with ServerProcess(tmp_path / "data") as server:
        for text in ("one", "two", "three"):
            body = {"type": 1, "targets": [4712], "content_type": 0, "content": text}
            assert server.post("/message/send", server.token(4711), body)[0] == 200
        assert server.term() == 0
    with closing(sqlite3.connect(tmp_path / "data" / "gateway.db")) as conn, conn:
        gone = conn.execute(
            "DELETE FROM entry WHERE seq = 2 AND t = (SELECT id FROM timeline WHERE xid = 4712)"
        )
        assert gone.rowcount == 1
    check = command("check", "--data", tmp_path / "data")
    assert check.returncode == 1
    assert "user 4712" in check.stdout
    assert "seq 2" in check.stdout


def test_check_without_a_store_says_so(tmp_path: Path) -> None:
    """Nothing is made by looking."""
    check = command("check", "--data", tmp_path / "data")
    assert check.returncode == 1
    assert "there is no store" in check.stdout
    assert not (tmp_path / "data").exists()


def test_demo_shows_every_step_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Exit code 0, a ✓ before every step, and an empty folder for temporary files."""
    run = gateway("demo", env={"TMPDIR": str(tmp_path)})
    assert run.returncode == 0, run.stdout + run.stderr
    steps = [line for line in run.stdout.splitlines() if line]
    assert len(steps) > 10
    assert all(line.startswith("✓ ") for line in steps[:-1])
    assert list(tmp_path.iterdir()) == []


def test_demo_says_what_it_did_not_see(tmp_path: Path) -> None:
    """A server that cannot start is one ✗, exit code 1."""
    run = gateway("demo", env={"TMPDIR": str(tmp_path), "GATEWAY_LOG_LEVEL": "loud"})
    assert run.returncode == 1
    assert run.stdout.startswith("✗ Expected: A real server starts")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_is_no_traceback(server: ServerProcess) -> None:
    """As in `gateway app list | head -0`."""
    with Program("sh", "-c", f"{' '.join(COMMAND)} app list --data {server.data} | true") as program:
        assert program.wait() == 0
        assert program.lines == []
