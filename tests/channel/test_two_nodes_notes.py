"""What nodes tell each other that is stored nowhere: signals, receipts, online-only messages, chatrooms, changes."""

from __future__ import annotations

import pytest

from gateway.bus.base import Shut, Tell
from gateway.core.signals import Signal
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import Scope
from gateway.wire.close import Close
from tests.channel.nodes import Node, Nodes, end_of, told
from tests.channel.stage import ALICE, APP, BOB, CAROL, DAVE, LIMITS, contents, until

pytestmark = pytest.mark.one_node("it has nodes of its own")


class TestSignals:
    """Typing and its like."""

    async def test_to_a_user(self, nodes: Nodes) -> None:
        """Reach the user's devices on every node, and the sender's other ones, but not the one that signals."""
        here, there = nodes
        sends, own = await here.attach(ALICE, 1)
        _, other = await there.attach(ALICE, 2)
        sinks = [(await node.attach(BOB, number))[1] for number, node in enumerate(nodes, 1)]
        signal = Signal(scope=Scope.USER, target=BOB, content="typing")
        await here.signals.send(await here.principal(ALICE), sends, signal)
        expected = {"op": "signal", "uid": ALICE, "device_sn": 1, "content": "typing"}
        for sink in sinks:
            assert sink.of("signal") == [{**expected, "conversation_id": ALICE}]
        assert other.of("signal") == [{**expected, "conversation_id": BOB}]
        assert own.of("signal") == []

    async def test_to_a_group(self, nodes: Nodes) -> None:
        """Reach its members on every node."""
        here, there = nodes
        group = await here.group(ALICE, BOB, CAROL)
        sends, _ = await here.attach(ALICE)
        sinks = [(await here.attach(BOB))[1], (await there.attach(CAROL))[1]]
        signal = Signal(scope=Scope.GROUP, target=group, content="typing")
        await here.signals.send(await here.principal(ALICE), sends, signal)
        for sink in sinks:
            [heard] = sink.of("signal")
            assert (heard["conversation_id"], heard["uid"]) == (group, ALICE)


class TestReceipts:
    """Whose message came, and was read."""

    async def test_delivered(self, nodes: Nodes) -> None:
        """The sender hears on one node of an ack on the other."""
        here, there = nodes
        _, alice = await here.attach(ALICE)
        bob, sink = await there.attach(BOB, 7)
        msg_id = await here.send(ALICE, BOB, "hi")
        await told(sink, "hi")
        there.ack(bob, 1)
        await until(lambda: alice.of("receipt"))
        assert alice.of("receipt") == [
            {"op": "receipt", "conversation_id": BOB, "msg_id": msg_id, "status": "DELIVERED", "uid": BOB,
             "device_sn": 7}
        ]  # fmt: skip

    async def test_read(self, nodes: Nodes) -> None:
        """The sender and the reader's own other devices hear of it, but not the one that read, wherever it is."""
        here, there = nodes
        _, alice = await here.attach(ALICE)
        _, other = await here.attach(BOB, 1)
        _, reads = await there.attach(BOB, 2)
        msg_id = await here.send(ALICE, BOB, "hi")
        await there.receipts.read(await there.principal(BOB), ALICE, msg_id, 2)
        assert reads.of("receipt") == []
        later = await here.send(ALICE, BOB, "again")
        await here.receipts.read(await here.principal(BOB), ALICE, later, 2)
        assert [(one["conversation_id"], one["status"]) for one in alice.of("receipt")] == [(BOB, "READ")] * 2
        assert [(one["conversation_id"], one["status"]) for one in other.of("receipt")] == [
            (ALICE, "READ")
        ] * 2
        assert reads.of("receipt") == []


class TestOnlineOnly:
    """Messages that are handed to whoever is connected."""

    async def test_to_a_user(self, nodes: Nodes) -> None:
        """Reach all devices, and the sender's others, looking as they do on the node they were sent on."""
        here, there = nodes
        _, near = await here.attach(BOB, 1)
        _, far = await there.attach(BOB, 2)
        _, own = await there.attach(ALICE)
        await here.send(ALICE, BOB, "now", online_only=True)
        assert far.of("message") == near.of("message") != []
        [copy] = own.of("message")
        assert (copy["message"]["conversation_id"], copy["message"]["content"]) == (BOB, "now")

    async def test_to_a_group(self, nodes: Nodes) -> None:
        """Reach its members' devices on every node."""
        here, there = nodes
        group = await here.group(ALICE, BOB)
        _, sink = await there.attach(BOB)
        await here.send(ALICE, group, "now", Scope.GROUP, online_only=True)
        await told(sink, "now")

    async def test_one_call_is_one_publish(self, nodes: Nodes) -> None:
        """However many devices it is for."""
        here, _ = nodes
        await here.send(ALICE, BOB, "first", online_only=True)
        published = len(here.bus.published)
        await here.send(ALICE, BOB, "now", online_only=True)
        assert len(here.bus.published) == published + 1


class TestRooms:
    """Chatrooms, whose members are on all nodes."""

    async def room(self, nodes: Nodes) -> int:
        """Alice's chatroom with Bob and Carol on one node, and Bob and Dave on the other."""
        here, there = nodes
        room = await here.group(ALICE, kind=2)
        for node, device_sn, uids in ((here, 1, (BOB, CAROL)), (there, 2, (BOB, DAVE))):
            for uid in uids:
                connection, _ = await node.attach(uid, device_sn)
                await node.join(connection, room)
        return room

    async def members(self, node: Node, room: int, limit: int = 100) -> list[int]:
        """All members by pages of a size, as REST pages them."""
        found: list[int] = []
        cursor = ""
        while True:
            page = await node.groups.member_list(await node.principal(ALICE), room, cursor, limit)
            found += [member.xid for member in page.members]
            cursor = page.cursor
            if not cursor:
                return found

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    async def test_who_is_in(self, nodes: Nodes, limit: int) -> None:
        """Everybody once, by rising id, whichever node is asked and however long the pages are."""
        room = await self.room(nodes)
        for node in nodes:
            assert await self.members(node, room, limit) == [BOB, CAROL, DAVE]

    async def test_since_when(self, nodes: Nodes) -> None:
        """Who is in it on several nodes is since the first of these times."""
        room = await self.room(nodes)
        for node, at in zip(nodes, (2, 1), strict=True):
            for connection in node.hub.connections:
                for track in connection.session.rooms:
                    track.joined_at = at
        for node in nodes:
            page = await node.groups.member_list(await node.principal(ALICE), room, "", 10)
            assert [(one.xid, one.joined_at) for one in page.members] == [(BOB, 1), (CAROL, 2), (DAVE, 1)]

    async def test_how_many(self, nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
        """Users that are in it on two nodes count once, also over pages."""
        room = await self.room(nodes)
        for page in (5_000, 1, 2):
            monkeypatch.setattr("gateway.core.rooms.COUNT_PAGE", page)
            for node in nodes:
                assert (await node.groups.info(await node.principal(ALICE), room)).members == 3

    async def test_without_a_bus(self, nodes: Nodes) -> None:
        """Each node knows its own, and waits for nobody."""
        here, _ = nodes
        room = await self.room(nodes)
        here.bus.connected = False
        assert await self.members(here, room) == [BOB, CAROL]
        assert (await here.groups.info(await here.principal(ALICE), room)).members == 2

    async def test_a_node_that_does_not_answer(self, nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
        """Is left out after a while."""
        here, there = nodes
        monkeypatch.setattr("gateway.core.census.ANSWER_S", 0.01)
        room = await self.room(nodes)
        there.bus.deaf = True
        assert await self.members(here, room) == [BOB, CAROL]

    async def test_put_out(self, nodes: Nodes) -> None:
        """On all devices of every node, which are told; who was in it nowhere is answered so."""
        here, there = nodes
        room = await self.room(nodes)
        done = await here.groups.kick(await here.principal(ALICE), room, (BOB, DAVE, 99))
        assert [(one.xid, one.kind) for one in done] == [(BOB, None), (DAVE, None), (99, Kind.NOT_A_MEMBER)]
        assert await self.members(there, room) == [CAROL]
        for connection in there.hub.connections:
            assert connection.session.rooms == []
            [out] = connection.sink.of("group")  # type: ignore[attr-defined]
            assert (out["action"], out["user_ids"]) == ("kicked", [connection.user.xid])

    async def test_kept_out(self, nodes: Nodes) -> None:
        """Who is blocked on one node goes on the other."""
        here, there = nodes
        room = await self.room(nodes)
        await here.groups.bans.block(await here.principal(ALICE), room, [DAVE])
        assert await self.members(there, room) == [BOB, CAROL]

    async def test_kept_out_by_a_note_that_was_lost(self, nodes: Nodes) -> None:
        """Is put out by the sweep, and nobody else is."""
        here, there = nodes
        room = await self.room(nodes)
        there.bus.deaf = True
        await here.groups.bans.block(await here.principal(ALICE), room, [DAVE])
        there.bus.deaf = False
        assert await self.members(there, room) == [BOB, CAROL, DAVE]
        for node in nodes:
            await node.sweep.sweep()
        assert await self.members(there, room) == [BOB, CAROL]
        outs = {one.user.xid: one.sink.of("group") for one in there.hub.connections}  # type: ignore[attr-defined]
        assert [(out["action"], out["user_ids"]) for out in outs[DAVE]] == [("kicked", [DAVE])]
        assert outs[BOB] == []


class TestChanges:
    """What one node has changed of apps and users the other does not go on believing."""

    async def test_a_frozen_user(self, nodes: Nodes) -> None:
        """Is refused at once on the node that knew it as free."""
        here, there = nodes
        token = await there.token(BOB)
        await there.directory.principal(APP, token, None, None)
        await here.users.freeze(await here.admin(), [BOB])
        with pytest.raises(Problem, match="frozen"):
            await there.directory.principal(APP, token, None, None)
        await here.users.unfreeze(await here.admin(), [BOB])
        await there.directory.principal(APP, token, None, None)

    async def test_limits_and_keys_of_an_app(self, nodes: Nodes) -> None:
        """Hold at once on every node."""
        here, there = nodes
        principal = await there.principal(BOB)
        await here.directory.set_limits(APP, {"sends_per_s": 7})
        assert (await there.directory.current(principal)).app.limits.sends_per_s == 7
        app = await here.directory.rotate_secret(APP)
        assert (await there.directory.current(principal)).app.signing_kid == app.signing_kid

    async def test_a_change_whose_note_is_lost(self, nodes: Nodes) -> None:
        """Is seen when the sweep would have come: nothing is believed for longer."""
        here, there = nodes
        there.bus.deaf = True
        token = await there.token(BOB)
        principal = await there.directory.principal(APP, token, None, None)
        await here.users.freeze(await here.admin(), [BOB])
        await here.directory.set_limits(APP, {"sends_per_s": 7})
        there.ticks.move(LIMITS.sweep_ms - 1)
        await there.directory.principal(APP, token, None, None)
        assert not (await there.directory.current(principal)).app.limits.sends_per_s
        there.ticks.move(1)
        with pytest.raises(Problem, match="frozen"):
            await there.directory.principal(APP, token, None, None)
        assert (await there.directory.current(principal)).app.limits.sends_per_s == 7


async def test_a_note_that_makes_no_sense_harms_no_other(nodes: Nodes) -> None:
    """A newer node may say what this one does not know."""
    here, there = nodes
    connection, sink = await there.attach(BOB)
    unknown = Shut(user_id=connection.user.id, device_sn=0, code=1, reason="")
    here.bus.publish((), [unknown, Tell(user_id=connection.user.id, op="signal", members={"content": "hi"})])
    assert sink.of("signal") == [{"op": "signal", "content": "hi"}]
    here.bus.publish((), [Shut(user_id=connection.user.id, device_sn=0, code=Close.KICKED, reason="")])
    assert await end_of(sink) == Close.KICKED
    assert contents(sink.frames) == []
