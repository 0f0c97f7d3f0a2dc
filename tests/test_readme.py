"""What the README shows, tried: its client, its tables."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.edge.facades.native.envelope import CODES
from gateway.edge.facades.native.routes import ROUTES
from tests.servers import COMMAND, Program, ServerProcess, eventually

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")


def test_the_python_client_hears_and_acks(tmp_path: Path) -> None:
    """The client of the README gets what was sent before and after it came, and its acks make it DELIVERED."""
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert block is not None
    program = tmp_path / "client.py"
    program.write_text(block[1], encoding="utf-8")
    with ServerProcess(tmp_path / "data") as server:
        bob = server.xid("bob")
        body = {"type": 1, "targets": [bob], "content_type": 0, "content": "before"}
        assert server.post("/message/send", server.token("alice"), body)[1]["code"] == 200
        with Program(sys.executable, program, server.url, "demo", server.token("bob"), "7") as client:
            client.expect("'content': 'before'")
            client.expect("'op': 'live'")
            assert server.post("/message/send", server.token("alice"), body | {"content": "after"})[0] == 200
            client.expect("'content': 'after'")
            eventually(lambda: _statuses(server, bob) == ["DELIVERED"] * 2, "both messages DELIVERED")


def _statuses(server: ServerProcess, bob: int) -> list[str]:
    _, page = server.get(f"/message/conversation?opposite_id={bob}", server.token("alice"))
    return [item["status"] for item in page["data"]["messages"]]


def _moved(cloud: str, data: Path) -> list[Any]:
    """Run the lines by which a backend moves from a cloud; what the gateway answered them."""
    told = README.partition(f"\n## Moving from {cloud}\n")[2]
    block = re.search(r"```sh\n(.*?)```", told, re.DOTALL)
    assert block is not None
    with ServerProcess(data) as server:
        lines = block[1].replace("http://127.0.0.1:8080", server.url)
        lines = lines.replace(".venv/bin/gateway", shlex.join(COMMAND))
        with Program("sh", "-euc", lines, env={"GATEWAY_SERVER_DATA": str(data)}) as shell:
            assert shell.wait() == 0, shell.lines
        return [json.loads(line) for line in shell.lines if line.startswith("{")]


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_a_backend_moves_from_lanying(tmp_path: Path) -> None:
    """The lines of the README bring an app and users by name, and messages to users by their numbers."""
    answers = _moved("Lanying IM", tmp_path / "data")
    assert [answer["code"] for answer in answers] == [200] * len(answers)
    users, sent, page = (answer["data"] for answer in answers)
    assert len(users) == 2
    assert sent is True
    assert [item["content"] for item in page["messages"]] == ["Hello!"]


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_a_backend_moves_from_agora_chat(tmp_path: Path) -> None:
    """The lines of the README bring an app, its users, history, a message and a file."""
    answers = _moved("Agora Chat / Easemob", tmp_path / "data")
    users, imported, sent, file, waiting = answers
    assert [user["username"] for user in users["entities"]] == ["ann", "ben"]
    assert imported["data"]["msg_id"]
    assert sent["data"].keys() == {"ben"}
    assert file["entities"][0]["share-secret"]
    assert waiting["data"] == {"ben": 1}


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_a_backend_moves_from_netease(tmp_path: Path) -> None:
    """The lines of the README bring an AppKey, accounts, a team and a message, and let a device in."""
    answers = _moved("NetEase YunXin", tmp_path / "data")
    assert [answer["code"] for answer in answers] == [200] * len(answers)
    amy, kim, team, sent, page, token = (answer["data"] for answer in answers)
    assert [account["account_id"] for account in (amy, kim)] == ["amy", "kim"]
    assert team["team_info"]["member_count"] == 2
    assert [item["message_server_id"] for item in page["items"]] == [sent["message_server_id"]]
    assert token["token"]


def test_every_call_stands_in_the_readme() -> None:
    """No path is served that the README does not name."""
    assert [path for _, path, _ in ROUTES if f"`{path}`" not in README] == []


def test_every_code_stands_in_the_readme() -> None:
    """No code is answered that the README does not explain."""
    assert [code for code, _ in CODES.values() if str(code) not in README] == []
