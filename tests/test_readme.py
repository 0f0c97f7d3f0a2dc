"""What the README shows, tried: its client, its tables."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from gateway.edge.facades.native.envelope import CODES
from gateway.edge.facades.native.routes import ROUTES
from tests.servers import Program, ServerProcess, eventually

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


def test_every_call_stands_in_the_readme() -> None:
    """No path is served that the README does not name."""
    assert [path for _, path, _ in ROUTES if f"`{path}`" not in README] == []


def test_every_code_stands_in_the_readme() -> None:
    """No code is answered that the README does not explain."""
    assert [code for code, _ in CODES.values() if str(code) not in README] == []
