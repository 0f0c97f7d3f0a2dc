"""`GET /metrics`: what an operator sees, and that nobody else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import Gateway
from gateway.config import Config, Metrics, Server
from gateway.core import metrics
from gateway.domain.limits import Limits
from gateway.edge.metrics import is_here
from tests.rest.stage import BOB, Caller, Node

Numbers = dict[tuple[str, str], float]


async def read(node: Node, headers: dict[str, str] | None = None) -> tuple[int, str]:
    async with node.http.get(f"{node.url}/metrics", headers=headers or {}) as response:
        return response.status, await response.text()


async def numbers(node: Node) -> Numbers:
    """All samples, by name and the value of their one label (empty where they have none)."""
    status, text = await read(node)
    assert status == 200, text
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class TestNumbers:
    """What is counted."""

    async def test_what_was_sent(self, node: Node, alice: Caller) -> None:
        """Messages count by app, one for each target; batches and their times count, too."""
        before = await numbers(node)
        await alice.ask_send([BOB, 121, 122])
        after = await numbers(node)
        assert (
            after["gateway_messages_total", "demo"] - before.get(("gateway_messages_total", "demo"), 0) == 3
        )
        for name in ("gateway_batch_drafts_count", "gateway_commit_seconds_count"):
            assert after[name, ""] - before[name, ""] == 1
        assert after["gateway_commit_seconds_sum", ""] > before["gateway_commit_seconds_sum", ""]

    async def test_what_is_refused_does_not_count(self, node: Node, alice: Caller) -> None:
        """A send that commits nothing is no message."""
        before = await numbers(node)
        (await alice.ask_send([999_999], type=2)).refused(20001)
        after = await numbers(node)
        assert after.get(("gateway_messages_total", "demo")) == before.get(("gateway_messages_total", "demo"))

    async def test_what_is_handed_over(self, node: Node, admin: Caller) -> None:
        """What is not stored counts by itself."""
        await admin.notify(BOB, online_only=True)
        assert (await numbers(node))["gateway_handed_over_total", ""] == 1

    async def test_the_node_itself(self, node: Node) -> None:
        """It knows how many nodes there are, whether the bus is there, and the process."""
        found = await numbers(node)
        assert found["gateway_bus_connected", ""] == 1
        assert found["gateway_nodes", ""] in {1, 2}
        assert found["process_resident_memory_bytes", ""] > 0
        assert ("gateway_loop_delay_seconds_count", "") in found
        assert found["gateway_writer_messages", ""] == found["gateway_writer_bytes", ""] == 0

    async def test_apps_beyond_the_bound_are_told_as_one(
        self, node: Node, alice: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However many apps there are, the text stays short, and no counter falls."""
        await alice.send(BOB)
        first = (await numbers(node))["gateway_messages_total", "demo"]
        monkeypatch.setattr(metrics, "APPS_MAX", 1)
        await node.gateway.directory.create_app("late")
        late = await node.admin("late")
        await late.send(5)
        found = await numbers(node)
        assert found["gateway_messages_total", "demo"] == first
        assert found["gateway_messages_total", "other"] == 1

    @pytest.mark.one_node("of a store that is closed under it")
    async def test_without_the_store(self, node: Node) -> None:
        """It is told while the store cannot be read: that is when it is wanted."""
        await node.gateway.store.close()
        assert (await numbers(node))["gateway_nodes", ""] == 1


class TestWhoMayRead:
    """It tells of all tenants, so that none of them may see it."""

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "::1%lo", ""])
    def test_from_here(self, address: str) -> None:
        """A listener for IPv6 that takes IPv4 too knows 127.0.0.1 by a longer name."""
        assert is_here(address)

    @pytest.mark.parametrize("address", ["8.8.8.8", "::ffff:8.8.8.8", "2001:db8::1", "::", "::ffff:0.0.0.0"])
    def test_not_from_elsewhere(self, address: str) -> None:
        """An address of another machine is none of this one, however it is written."""
        assert not is_here(address)

    @pytest.mark.parametrize(
        "header",
        ["X-Forwarded-For", "X-Forwarded-Host", "x-forwarded-proto", "Forwarded", "Via", "X-Real-IP"],
    )
    async def test_not_past_a_proxy(self, node: Node, header: str) -> None:
        """Who comes through a proxy may be anybody, though the proxy is on this machine."""
        status, text = await read(node, {header: "127.0.0.1"})
        assert status == 403
        assert "metrics.token" in text

    async def test_with_a_token_only(self, tmp_path: Path) -> None:
        """Where there is a token, whoever bears it may read, and nobody else."""
        config = Config(
            server=Server(port=0, data=str(tmp_path)), limits=Limits(), metrics=Metrics(token="fake-token")
        )
        gateway = await Gateway.start(config)
        try:
            async with ClientSession() as http:
                for given, status in (
                    (None, 401),
                    ("Bearer wrong", 401),
                    ("fake-token", 401),
                    ("Bearer fake-tok\u00e9n", 401),
                    ("Bearer fake-token", 200),
                ):
                    headers = {} if given is None else {"Authorization": given, "X-Forwarded-For": "8.8.8.8"}
                    async with http.get(f"{gateway.url}/metrics", headers=headers) as response:
                        assert response.status == status, given
        finally:
            await gateway.stop()
