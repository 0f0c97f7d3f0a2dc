"""What a node learns by its beat, and by the sweep: another epoch, and that others count it as dead (design §3, §5)."""

from __future__ import annotations

import pytest

from gateway.domain.errors import Problem
from gateway.wire.close import Close
from tests.channel.nodes import Nodes, end_of, fails, told
from tests.channel.stage import ALICE, BOB, LIMITS

pytestmark = pytest.mark.one_node("it has nodes of its own")


class TestBeats:
    """The node says that it lives, and learns what has become of the store."""

    async def test_a_new_epoch(self, nodes: Nodes) -> None:
        """All devices of every node are told to come back, and acks of what may be no more are dropped."""
        here, there = nodes
        sinks = [(await node.attach(BOB, number))[1] for number, node in enumerate(nodes, 1)]
        await here.send(ALICE, BOB, "hi")
        await told(sinks[1], "hi")
        there.view.advance = there.view.keep = fails
        there.ack(there.hub.connections[0], 1)
        await here.view.renew_epoch()
        for node in nodes:
            await node.presence.beat()
        assert [sink.ended for sink in sinks] == [Close.EPOCH, Close.EPOCH]
        assert there.receipts._acks == {}
        _, again = await there.attach(BOB, 2)
        await there.presence.beat()
        assert again.ended is None

    async def test_what_is_remembered_is_read_anew(self, nodes: Nodes) -> None:
        """After a new epoch nothing counts that was read before."""
        here, there = nodes
        there.bus.deaf = True
        token = await there.token(BOB)
        await there.directory.principal("demo", token, None, None)
        await here.users.freeze(await here.admin(), [BOB])
        await here.view.renew_epoch()
        await there.presence.beat()
        with pytest.raises(Problem, match="frozen"):
            await there.directory.principal("demo", token, None, None)

    async def test_a_store_that_has_lost_entries(self, nodes: Nodes) -> None:
        """A head below what was dispatched is as good as a new epoch."""
        here, there = nodes
        connection, sink = await there.attach(BOB)
        await here.send(ALICE, BOB, "hi")
        await there.sweep.sweep()
        assert sink.ended is None
        await here.view.store._write(
            lambda conn: conn.execute("UPDATE timeline SET head = 0 WHERE id = ?", (connection.user.id,))
        )
        await there.sweep.sweep()
        assert sink.ended == Close.EPOCH

    async def test_beats_that_fail(self, nodes: Nodes, caplog: pytest.LogCaptureFixture) -> None:
        """Are left out, and told once; nobody is told to go."""
        here, _ = nodes
        _, sink = await here.attach(BOB)
        here.view.beat = fails
        for _ in range(3):
            await here.presence.beat()
        assert [record.message for record in caplog.records] == [
            "the store does not hear that this node lives: gone"
        ]
        assert sink.ended is None

    @pytest.mark.parametrize("noticed", ["beat", "ack", "sweep"])
    async def test_a_node_that_was_taken_for_dead(self, nodes: Nodes, noticed: str) -> None:
        """Tells those who are attached no more to come back: they did nothing wrong. Others stay."""
        here, there = nodes
        connection, sink = await there.attach(BOB)
        await here.send(ALICE, BOB, "hi")
        await told(sink, "hi")
        there.ticks.move(LIMITS.node_timeout_ms + 1)
        # As others do who have not heard of it for so long.
        await there.view.leave(there.id)
        _, stays = await there.attach(ALICE)
        match noticed:
            case "beat":
                await there.presence.beat()
            case "ack":
                there.ack(connection, 1)
            case _:
                await there.sweep.sweep()
        assert await end_of(sink) == Close.STORE_FAILED
        await there.presence.beat()
        assert stays.ended is None
        # Later ends are no consequence of that any more.
        await there.view.dismiss((await there.principal(ALICE)).user.id)
        await there.sweep.sweep()
        assert stays.ended == Close.KICKED

    async def test_nodes_know_how_many_they_are(self, nodes: Nodes) -> None:
        """As of their last beats."""
        here, there = nodes
        assert (here.presence.nodes, there.presence.nodes) == (2, 2)
        await there.presence.stop()
        await here.presence.beat()
        assert here.presence.nodes == 1


async def test_a_sweep_that_cannot_ask(nodes: Nodes, caplog: pytest.LogCaptureFixture) -> None:
    """Is told, once however long that lasts, and harms nobody."""
    here, _ = nodes
    _, sink = await here.attach(BOB)
    here.view.bearings = fails
    for _ in range(3):
        await here.sweep.sweep()
    assert [record.message for record in caplog.records] == ["the sweep could not ask the store: gone"]
    assert sink.ended is None
