"""The ways Redis is run: with users, by TLS, on a UNIX socket, behind Sentinels, as a cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.bus.base import Hint
from tests.bus.nodes import until
from tests.bus.proxy import Proxy, self_signed
from tests.bus.test_redis import RedisNode
from tests.valkey import Cluster, Sentinels, Valkey

RULES = (
    "on",
    ">pa:ss@word",
    "resetchannels",
    "&gateway:*",
    "-@all",
    "+publish",
    "+subscribe",
    "+unsubscribe",
)


async def talk(nodes: Sequence[RedisNode]) -> None:
    """Fail unless every node hears every other."""
    for node in nodes:
        await node.bus.subscribe(7)
    for n, node in enumerate(nodes):
        head = 100 * node.connects + n
        node.bus.publish([Hint(7, head)])
        for other in nodes:
            if other is not node:
                await other.until(lambda other=other, head=head: Hint(7, head) in other.heard)  # type: ignore[misc]


async def start(*nodes: RedisNode) -> Sequence[RedisNode]:
    for node in nodes:
        await node.begin()
    return nodes


async def refused(node: RedisNode, caplog: pytest.LogCaptureFixture) -> None:
    """Start a node, and see that it is not let in."""
    await node.bus.start()
    await until(lambda: bool(caplog.records))
    assert not node.bus.connected
    await node.bus.close()


async def close(nodes: Sequence[RedisNode]) -> None:
    for node in nodes:
        await node.bus.close()


async def test_acl_user_with_the_least_rights() -> None:
    """A user who may publish and subscribe below the prefix, and nothing else, is enough."""
    with Valkey() as server:
        server.ask("ACL", "SETUSER", "bus", *RULES)
        server.ask("ACL", "SETUSER", "default", "off")
        url = f"redis://bus:pa%3Ass%40word@127.0.0.1:{server.port}"
        nodes = await start(RedisNode(url), RedisNode(url))
        await talk(nodes)
        await close(nodes)


async def test_wrong_password_is_said_without_it(caplog: pytest.LogCaptureFixture) -> None:
    """The log says why the bus is away, and never the password."""
    with Valkey("--requirepass", "right") as server:
        node = RedisNode(f"redis://:wrong-one@127.0.0.1:{server.port}")
        await refused(node, caplog)
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "password" in record.getMessage()
    assert "wrong-one" not in caplog.text


async def test_unix_socket(tmp_path: Path) -> None:
    """A server on the same host may be spoken to by its socket."""
    path = tmp_path / "v.sock"
    with Valkey("--unixsocket", str(path)):
        nodes = await start(RedisNode(f"unix://{path}"), RedisNode(f"unix://{path}?db=1"))
        await talk(nodes)
        await close(nodes)


async def test_tls_with_a_certificate_to_trust(tmp_path: Path) -> None:
    """A server whose certificate is signed by the file given is believed."""
    context, certificate = self_signed(tmp_path)
    with Valkey() as server:
        async with Proxy(server.port, context) as proxy:
            url = f"rediss://127.0.0.1:{proxy.port}"
            nodes = await start(*(RedisNode(url, tls_ca=str(certificate)) for _ in range(2)))
            await talk(nodes)
            await close(nodes)


async def test_tls_with_a_stranger_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A certificate that nobody trusted has signed is no server of ours."""
    context, _ = self_signed(tmp_path)
    with Valkey() as server:
        async with Proxy(server.port, context) as proxy:
            node = RedisNode(f"rediss://127.0.0.1:{proxy.port}")
            await refused(node, caplog)
    assert "certificate" in caplog.text.lower()


async def test_sentinels_lead_to_the_next_master() -> None:
    """When the master dies and another is chosen, the bus goes there by itself."""
    with Sentinels() as group:
        nodes = await start(RedisNode(group.url), RedisNode(group.url))
        await talk(nodes)
        await asyncio.to_thread(group.lose_master)
        for node in nodes:
            await node.until(lambda node=node: node.connects == 2)  # type: ignore[misc]
        await talk(nodes)
        await close(nodes)


async def test_sentinels_that_ask_for_a_password() -> None:
    """Sentinels get the password of the URL where they ask for one."""
    with Valkey("--requirepass", "secret", "--masterauth", "secret") as master:
        watch = (
            f"sentinel monitor bus 127.0.0.1 {master.port} 1\n"
            "sentinel auth-pass bus secret\nrequirepass secret\n"
        )
        with Valkey(sentinel_of=watch) as sentinel:
            nodes = await start(RedisNode(f"sentinel://:secret@127.0.0.1:{sentinel.port}/bus"))
            await close(nodes)


async def test_service_that_no_sentinel_knows(caplog: pytest.LogCaptureFixture) -> None:
    """A misspelt service is said as such."""
    with Valkey(sentinel_of="sentinel monitor bus 127.0.0.1 1 1\n") as sentinel:
        node = RedisNode(f"sentinel://127.0.0.1:{sentinel.port}/buss")
        await refused(node, caplog)
    assert "the Sentinels know no master of buss" in caplog.text


async def test_replica_is_not_taken_for_a_master(caplog: pytest.LogCaptureFixture) -> None:
    """Sentinels whose news is older than the failover lead to nobody."""
    with (
        Valkey() as master,
        Valkey("--replicaof", "127.0.0.1", str(master.port)) as replica,
        Valkey(sentinel_of=f"sentinel monitor bus 127.0.0.1 {replica.port} 1\n") as sentinel,
    ):
        node = RedisNode(f"sentinel://127.0.0.1:{sentinel.port}/bus")
        await refused(node, caplog)
    assert "a server that is no master" in caplog.text


async def test_cluster_carries_hints_between_all_members() -> None:
    """Nodes hear each other whichever members they are connected to, and go elsewhere when one dies."""
    with Cluster() as cluster:
        urls = [f"redis-cluster://127.0.0.1:{member.port}" for member in cluster.members]
        nodes = await start(RedisNode(cluster.url), *map(RedisNode, urls))
        await talk(nodes)
        cluster.members[2].kill()
        await until(lambda: not nodes[3].bus.connected)
        await nodes[0].until(lambda: nodes[0].bus.connected)
        await talk(nodes[:3])
        await close(nodes)
