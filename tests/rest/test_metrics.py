"""`GET /metrics`: what an operator sees, and that nobody else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import Gateway
from gateway.config import Config, Metrics, Server
from gateway.core import metrics
from tests.rest.stage import BOB, Caller, Node
from tests.shapes import METRICS_TOKEN

Numbers = dict[tuple[str, str], float]


async def numbers(node: Node) -> Numbers:
    """All samples, by name and the value of their one label (empty where they have none)."""
    headers = {"Authorization": f"Bearer {METRICS_TOKEN}"}
    async with node.http.get(f"{node.url}/metrics", headers=headers) as response:
        text = await response.text()
    assert response.status == 200, text
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

    @pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer "}, {"Authorization": "Bearer"}])
    async def test_nobody_without_a_token(self, tmp_path: Path, given: dict[str, str]) -> None:
        """Who asks on this machine may be anybody behind a proxy: where no token is set, nobody is told anything."""
        assert await self.ask(tmp_path, "", given) == 403

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("given", "status"),
        [
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": "fake-token"}, 401),
            ({"Authorization": "Bearer fake-tok\u00e9n"}, 401),
            ({"Authorization": "Bearer fake-token"}, 200),
        ],
    )
    async def test_who_bears_the_token(self, tmp_path: Path, given: dict[str, str], status: int) -> None:
        """Whoever bears the token may read, and nobody else."""
        assert await self.ask(tmp_path, "fake-token", given) == status

    async def ask(self, folder: Path, token: str, headers: dict[str, str]) -> int:
        config = Config(server=Server(port=0, data=str(folder)), metrics=Metrics(token=token))
        gateway = await Gateway.start(config)
        try:
            async with (
                ClientSession() as http,
                http.get(f"{gateway.url}/metrics", headers=headers) as response,
            ):
                return response.status
        finally:
            await gateway.stop()
