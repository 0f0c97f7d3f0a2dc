"""Who is connected is counted and listed across nodes, and who goes is told of (design §5)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.core.attaching import EndedError
from gateway.domain.errors import Kind, Problem
from gateway.store.sqlite import SqliteStore
from gateway.wire.close import Close
from tests.channel.nodes import Nodes, cursors, fails, told
from tests.channel.stage import ALICE, BOB, LIMITS, until

pytestmark = pytest.mark.one_node("it has nodes of its own")


class TestCounting:
    """How many devices a user has connected, and which."""

    async def test_online_and_the_list_of_devices(self, nodes: Nodes) -> None:
        """Are right on every node, also just after a device has gone."""
        here, there = nodes
        _, _ = await here.attach(BOB, 1)
        far, _ = await there.attach(BOB, 2)
        for node in nodes:
            principal = await node.principal(BOB)
            assert [(one.device_sn, one.online) for one in await node.users.devices(principal, 0)] == [
                (1, True),
                (2, True),
            ]
        await here.users.kick(await here.principal(BOB), 0, 1)
        assert await here.users.online(await here.principal(BOB), 0)
        there.hub.detach(far)
        for node in (there, here):
            assert not await node.users.online(await node.principal(BOB), 0)

    async def test_no_more_than_may_be(self, nodes: Nodes) -> None:
        """Wherever they are connected; whose device is connected already replaces it, and who goes makes room."""
        here, there = nodes
        most = LIMITS.devices_per_user_max
        connections = [(await nodes[sn % 2].attach(BOB, sn))[0] for sn in range(1, most + 1)]
        for node in nodes:
            with pytest.raises(Problem, match="at most") as refused:
                await node.attach(BOB, most + 1)
            assert refused.value.kind is Kind.DEVICES_FULL
        await here.attach(BOB, 1)
        last = next(one for one in connections if one in there.hub.connections)
        there.hub.detach(last)
        await there.attach(BOB, most + 1)
        with pytest.raises(Problem, match="at most"):
            await here.attach(BOB, most + 2)

    async def test_one_that_goes_while_it_is_counted(self, nodes: Nodes) -> None:
        """Leaves nothing behind."""
        here, _ = nodes
        asked, go_on = asyncio.Event(), asyncio.Event()
        real = here.view.attach

        async def slow(*args: Any) -> Any:
            asked.set()
            await go_on.wait()
            return await real(*args)

        here.view.attach = slow
        user = (await here.principal(BOB)).user
        coming = asyncio.create_task(here.begin(BOB))
        await asked.wait()
        coming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await coming
        go_on.set()
        await until(lambda: not here.presence._lane._tasks, "the number")
        assert await here.presence.connected(user.id) == []

    async def test_one_that_is_ended_while_it_is_counted(self, nodes: Nodes) -> None:
        """Does not attach."""
        here, _ = nodes
        real = here.view.attach

        async def slow(*args: Any) -> Any:
            numbers = await real(*args)
            for connection in here.hub.connections:
                here.hub.close(connection, Close.KICKED, "")
            return numbers

        here.view.attach = slow
        user = (await here.principal(BOB)).user
        with pytest.raises(EndedError):
            await here.begin(BOB)
        assert await here.presence.connected(user.id) == []

    async def test_who_goes_is_told_when_the_store_can_hear_it(self, nodes: Nodes) -> None:
        """What could not be told is told again, once."""
        here, there = nodes
        connection, _ = await there.attach(BOB)
        tries = 0

        async def failing(*_: Any) -> None:
            nonlocal tries
            tries += 1
            await fails()

        there.view.detach = failing
        there.hub.detach(connection)
        await until(lambda: tries > 1)
        assert await there.presence.connected(connection.user.id) == [1]
        del there.view.detach
        await until(lambda: not there.presence._gone, "the departure being told")
        assert await here.presence.connected(connection.user.id) == []

    async def test_who_goes_is_told_after_its_acks(self, nodes: Nodes) -> None:
        """Whatever a device acked before it went counts."""
        here, _ = nodes
        connection, sink = await here.attach(BOB)
        await here.send(ALICE, BOB, "hi")
        await told(sink, "hi")
        here.ack(connection, 1)
        here.hub.detach(connection)
        assert await here.presence.connected(connection.user.id) == []
        assert await cursors(here, connection.user.id)() == 1

    async def test_who_goes_is_not_told_before_its_acks(self, nodes: Nodes) -> None:
        """While the store cannot take them, the device counts as connected."""
        here, _ = nodes
        connection, sink = await here.attach(BOB)
        await here.send(ALICE, BOB, "hi")
        await told(sink, "hi")
        here.view.keep = fails
        here.ack(connection, 1)
        here.hub.detach(connection)
        assert await here.presence.connected(connection.user.id) == [1]
        del here.view.keep
        assert await here.presence.connected(connection.user.id) == []
        assert await cursors(here, connection.user.id)() == 1

    async def test_a_node_that_ends(self, nodes: Nodes) -> None:
        """Has no devices any more."""
        here, there = nodes
        connection, _ = await there.attach(BOB)
        await there.presence.stop()
        assert await here.presence.connected(connection.user.id) == []

    async def test_connecting_commits_nothing(self, nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
        """On SQLite, where one process knows who is connected: neither coming nor going writes."""
        here, _ = nodes
        await here.principal(BOB)
        written: list[Any] = []

        async def write(_: SqliteStore, work: Any) -> None:
            written.append(work)

        monkeypatch.setattr(SqliteStore, "_write", write)
        connection, _ = await here.attach(BOB)
        here.hub.detach(connection)
        assert await here.presence.connected(connection.user.id) == []
        assert written == []
