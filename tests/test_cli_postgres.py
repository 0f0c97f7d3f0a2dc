"""The commands on a database: each does its work by itself, beside whatever nodes there are."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.config import Config, Server, Store
from gateway.core.order import Order
from gateway.domain.limits import Limits
from gateway.domain.model import Scope
from tests.patience import patient
from tests.postgres import database_of, drop_database
from tests.servers import command, sentence

BOB = 1002


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    yield asyncio.run(database_of(tmp_path))
    asyncio.run(drop_database(tmp_path))


def run(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return command(*words, env={"GATEWAY_STORE_URL": url, "GATEWAY_SERVER_DATA": "/nowhere"})


def told(url: str, *words: str) -> list[str]:
    """The lines that a command says, which has done what it should."""
    done = run(url, *words)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


async def send(gateway: Gateway, content: str) -> None:
    """Let Alice, by name, send to Bob, by number."""
    grant = await gateway.directory.token_for("demo", "alice")
    alice = await gateway.directory.principal("demo", grant.token, None, None)
    order = Order(scope=Scope.USER, targets=(BOB,), ctype=0, content=content)
    await gateway.core.messaging.send(alice, order)


def test_apps_tokens_and_retention(url: str) -> None:
    """No gateway runs, and no folder is needed."""
    assert told(url, "app", "create", "demo")[0] == "app_id         demo"
    assert told(url, "app", "list") == ["demo"]
    limits = told(url, "app", "limits", "demo", "--sends-per-s", "5")
    # How many devices are connected is for each node to say.
    assert limits[:2] == ["sends per s    5", "connections    no bound of its own"]
    good = told(url, "app", "rotate-secret", "demo")[-1].removeprefix("good keys")
    assert len(good.split()) == 2
    assert len(told(url, "token", "--app", "demo", "--user", "alice")) == 1
    assert "never" not in told(url, "retention", "resume")[2]
    assert told(url, "retention", "resume")[3:] == told(url, "retention", "show")[3:] == ["halted         no"]
    assert "there is an app demo already" in sentence(run(url, "app", "create", "demo"), 1)


def test_secrets_of_a_netease_backend(url: str) -> None:
    """Two are good until the old one is dropped."""
    told(url, "app", "create", "demo")
    made = told(url, "app", "netease", "demo", "--generate")
    told(url, "app", "netease", "demo", "--rotate")
    assert told(url, "app", "netease", "demo") == [made[0], "secrets     2"]
    assert told(url, "app", "netease", "demo", "--drop-old") == [made[0], "secrets     1"]


def test_beside_a_node(url: str, tmp_path: Path) -> None:
    """What it holds is checked, exported and erased while it runs; with another epoch it goes on."""

    async def work() -> None:
        server = Server(port=0, data=str(tmp_path / "data"))
        config = Config(server=server, store=Store(url=url), limits=patient(Limits()))
        node = await Gateway.start(config)
        try:
            await node.directory.create_app("demo")
            await send(node, "a text")
            await asyncio.to_thread(ask)
            await send(node, "another")
        finally:
            await node.stop()

    def ask() -> None:
        assert told(url, "check") == ["the store keeps all its laws"]
        out = tmp_path / "out"
        told(url, "export", "--app", "demo", "--out", str(out))
        assert any("a text" in line for line in out.read_text(encoding="utf-8").splitlines())
        [line] = told(url, "erase", "--app", "demo", "--user", "alice")
        assert line.endswith("is erased, with 1 texts")
        assert told(url, "epoch", "renew") != told(url, "epoch", "renew")
        assert told(url, "check") == ["the store keeps all its laws"]

    asyncio.run(work())
    # Nothing of the store: the bytes of files alone lie in a folder where no bucket is named.
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["blobs"]


@pytest.mark.parametrize("words", [("app", "list"), ("epoch", "renew")])
def test_a_database_that_is_not_there_is_one_sentence(words: tuple[str, ...]) -> None:
    """And the password of the URL is not in it."""
    told = sentence(run("postgresql://me:secret@127.0.0.1:1/gateway", *words), 2)
    assert "cannot open the store on PostgreSQL" in told
    assert "secret" not in told
