"""`gateway export`, as an operator uses it: a real process, beside a running gateway and without one."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.servers import ServerProcess, command, sentence


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    """A server that has run and is stopped again: what it left behind is not touched by any test."""
    with ServerProcess(tmp_path_factory.mktemp("export") / "data") as running:
        bob = running.xid("bob")
        token = running.token("alice")
        body = {"type": 1, "targets": [bob], "content_type": 0, "content": "for the record"}
        assert running.post("/message/send", token, body)[1]["code"] == 200
        beside = command("export", "--app", "demo", "--out", "-", "--data", running.data)
        assert "for the record" in beside.stdout
    return running


def test_a_file_of_lines(server: ServerProcess, tmp_path: Path) -> None:
    """It is for its owner's eyes only, and each line is JSON."""
    out = tmp_path / "alice.jsonl"
    done = command("export", "--app", "demo", "--user", "alice", "--out", out, "--data", server.data)
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert done.stdout == f"{len(found)} lines in {out}\n"
    assert [line["content"] for line in found if line["type"] == "message"] == ["for the record"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [out]


def test_nothing_is_overwritten(server: ServerProcess, tmp_path: Path) -> None:
    """A file that is there stays as it is."""
    out = tmp_path / "there"
    out.write_text("mine")
    assert "already" in sentence(command("export", "--app", "demo", "--out", out, "--data", server.data), 2)
    assert out.read_text() == "mine"


def test_what_cannot_be_exported_leaves_no_file(server: ServerProcess, tmp_path: Path) -> None:
    """Not even the beginning of one."""
    failed = command("export", "--app", "shop", "--out", tmp_path / "x", "--data", server.data)
    assert "there is no app shop" in sentence(failed, 1)
    failed = command("export", "--app", "demo", "--out", tmp_path / "no" / "x", "--data", server.data)
    assert "No such file" in sentence(failed, 1)
    assert list(tmp_path.iterdir()) == []
