"""Two nodes over one store: what one commits the other dispatches, by hints or by the sweep (design §4)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest

from gateway.bus.base import EVERYBODY, Hint
from gateway.core.order import Order
from gateway.domain.model import Scope
from gateway.wire.close import Close
from tests.channel.nodes import Node, Nodes, Sink, end_of, heard, told
from tests.channel.stage import ALICE, BOB, CAROL, LIMITS, contents, seqs, until

pytestmark = pytest.mark.one_node("it has nodes of its own")


async def test_send_on_one_node_reaches_a_device_on_the_other(nodes: Nodes) -> None:
    """A hint brings the other node to read what it has not got."""
    here, there = nodes
    _, sink = await there.attach(BOB)
    await here.send(ALICE, BOB, "far")
    assert await heard(sink, 1) == [1]
    assert contents(sink.frames) == ["far"]


async def test_devices_on_both_nodes_get_the_same(nodes: Nodes) -> None:
    """Sends on both nodes come to devices on both, each once and in order."""
    sinks = [(await node.attach(BOB, number))[1] for number, node in enumerate(nodes, 1)]
    for number in range(20):
        await nodes[number % 2].send(ALICE, BOB, str(number))
    for sink in sinks:
        assert await heard(sink, 20) == list(range(1, 21))
        assert contents(sink.frames) == [str(number) for number in range(20)]


async def test_lost_hints_are_healed_by_the_sweep(nodes: Nodes) -> None:
    """With every hint lost the device is behind until heads are compared with the store."""
    here, there = nodes
    here.bus.carry = lambda _: ()
    _, sink = await there.attach(BOB)
    for number in range(3):
        await here.send(ALICE, BOB, str(number))
    assert seqs(sink.frames) == []
    await there.sweep.sweep()
    assert await heard(sink, 3) == [1, 2, 3]


async def test_lost_hint_is_healed_by_the_next_one(nodes: Nodes) -> None:
    """A hint beyond what is known brings everything up to it."""
    here, there = nodes
    _, sink = await there.attach(BOB)
    here.bus.carry = lambda _: ()
    await here.send(ALICE, BOB, "lost")
    here.bus.carry = lambda hints: hints
    await here.send(ALICE, BOB, "heard")
    assert await heard(sink, 2) == [1, 2]


async def test_repeated_and_stale_hints_bring_nothing_twice(nodes: Nodes) -> None:
    """Hints that come again, or late, are dropped by the law."""
    here, there = nodes
    _, sink = await there.attach(BOB)
    past: list[Hint] = []

    def again(hints: Sequence[Hint]) -> Sequence[Hint]:
        past.extend(hints)
        return [*hints, *reversed(past), *hints]

    here.bus.carry = again
    for number in range(10):
        await here.send(ALICE, BOB, str(number))
    assert await heard(sink, 10) == list(range(1, 11))


async def test_hint_above_the_head_makes_nobody_turn_in_circles(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hint of what the store has not got is asked for once, and then after a while."""
    here, there = nodes
    _, sink = await there.attach(BOB)
    store, read = there.hub._store, 0
    pages = store.pages

    async def counting(*args: Any) -> Any:
        nonlocal read
        read += 1
        return await pages(*args)

    monkeypatch.setattr(store, "pages", counting)
    bob = (await there.principal(BOB)).user
    here.bus.publish([Hint(bob.id, 5)])
    await until(lambda: read == 1)
    await here.send(ALICE, BOB, "real")
    await there.sweep.sweep()
    assert read < 5
    assert await heard(sink, 1) == [1]


async def test_hints_are_heard_only_where_somebody_follows(nodes: Nodes) -> None:
    """A node with nobody there subscribes to nothing."""
    here, there = nodes
    connection, _ = await there.attach(BOB)
    assert there.bus._topics == {EVERYBODY, connection.user.id}
    there.hub.detach(connection)
    assert there.bus._topics == {EVERYBODY}
    assert here.bus._topics == {EVERYBODY}


async def test_kick_on_one_node_fences_the_device_on_the_other(nodes: Nodes) -> None:
    """Membership is obeyed when it is written, on every node."""
    here, there = nodes
    group = await here.group(ALICE, BOB)
    _, sink = await there.attach(BOB)
    await here.groups.kick(await here.principal(ALICE), group, (BOB,))
    await here.send(ALICE, group, "later", Scope.GROUP)
    await until(lambda: "kicked" in [frame.get("action") for frame in sink.frames])
    await there.sweep.sweep()
    assert contents(sink.frames) == []


async def test_join_on_one_node_is_followed_on_the_other(nodes: Nodes) -> None:
    """A device whose user is put into a group on another node follows it from there."""
    here, there = nodes
    _, sink = await there.attach(BOB)
    group = await here.group(ALICE, BOB)
    await here.send(ALICE, group, "hi", Scope.GROUP)
    await until(lambda: contents(sink.frames) == ["hi"])
    assert seqs(sink.frames, f"g:{group}") == [1, 2]


async def test_a_chatroom_spans_the_nodes(nodes: Nodes) -> None:
    """A device in it on another node hears what is sent here, what hints have lost, and its end."""
    here, there = nodes
    room = await here.group(ALICE, kind=2)
    connection, sink = await there.attach(BOB)
    await there.join(connection, room)
    await here.send(ALICE, room, "hi", Scope.GROUP)
    await until(lambda: contents(sink.frames) == ["hi"])
    here.bus.carry = lambda _: ()
    await here.send(ALICE, room, "lost", Scope.GROUP)
    await there.sweep.sweep()
    await until(lambda: contents(sink.frames) == ["hi", "lost"])
    await here.groups.destroy(await here.principal(ALICE), room)
    await there.sweep.sweep()
    await until(lambda: "destroyed" in [one.get("action") for one in sink.frames])
    assert seqs(sink.frames, f"r:{room}") == [1, 2, 3]
    assert there.hub.follows(connection.user.id)
    assert list(there.hub.followed()) == [connection.user.id]


class Pages:
    """Counts the pages that a node reads from the store."""

    def __init__(self, node: Node) -> None:
        self.count = 0
        self._pages = node.view.pages
        node.view.pages = self._counting

    async def _counting(self, *asked: Any) -> Any:
        self.count += 1
        return await self._pages(*asked)


async def test_a_hint_with_entries_spares_the_other_node_the_store(nodes: Nodes) -> None:
    """Messages and memberships are written as they are heard, before anything else is done there."""
    here, there = nodes
    _, sink = await there.attach(BOB)
    pages = Pages(there)
    group = await here.group(ALICE, BOB)
    await until(lambda: seqs(sink.frames, f"g:{group}") == [1], "the group being followed")
    await here.send(ALICE, BOB, "one")
    assert contents(sink.frames) == ["one"]
    await here.send(ALICE, group, "two", Scope.GROUP)
    await until(lambda: contents(sink.frames) == ["one", "two"])
    # One for the entry by which it came into the group; what is sent live needs none.
    assert pages.count <= 1


async def test_a_bare_hint_is_read_from_the_store(nodes: Nodes) -> None:
    """Where entries were too large for the bus, only the head is told."""
    here, there = nodes
    _, sink = await there.attach(BOB)
    pages = Pages(there)
    here.bus.carry = lambda hints: [Hint(hint.timeline_id, hint.head) for hint in hints]
    await here.send(ALICE, BOB, "large")
    await until(lambda: contents(sink.frames) == ["large"])
    assert pages.count == 1


async def test_one_batch_is_one_publish(nodes: Nodes) -> None:
    """However many timelines it has, and each hint reaches to its head."""
    here, _ = nodes
    order = Order(scope=Scope.USER, targets=(BOB, CAROL), ctype=0, content="both")
    await here.messaging.send(await here.principal(ALICE), order)
    [(hints, notes)] = here.bus.published
    assert [(hint.head, [entry.seq for entry in hint.entries]) for hint in hints] == [
        (1, [1]),
        (2, [1, 2]),
        (1, [1]),
    ]
    assert notes == ()


async def test_a_node_that_is_alone_says_nothing(nodes: Nodes) -> None:
    """And builds no entries for timelines that nobody follows."""
    here, there = nodes
    await there.bus.close()
    assert here.hub.alone
    await here.send(ALICE, BOB, "to myself")
    await here.attach(BOB)
    assert here.bus.published == []
    here.bus._shared.nodes.append(there.bus)


async def count(sink: Sink, messages: int) -> None:
    """Wait until so many messages have come."""
    await until(lambda: len(contents(sink.frames)) >= messages, f"{messages} messages")


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_becomes_of_hints(nodes: Nodes, seed: int) -> None:
    """Lost, late, repeated, bare, in any order: after a sweep every device has every entry once, and in order."""
    chance, held = Random(seed), list[Hint]()

    def carry(hints: Sequence[Hint]) -> Sequence[Hint]:
        for hint in hints:
            held.extend([hint, Hint(hint.timeline_id, hint.head), hint][: chance.randrange(4)])
        chance.shuffle(held)
        out = [held.pop() for _ in range(chance.randrange(len(held) + 1))]
        held.extend(out[: chance.randrange(len(out) + 1)])
        return out

    group = await nodes[0].group(ALICE, BOB)
    sinks = [(await nodes[number % 2].attach(BOB, number))[1] for number in (1, 2)]
    for node in nodes:
        node.bus.carry = carry
    for number in range(25):
        target, scope = chance.choice([(BOB, Scope.USER), (group, Scope.GROUP)])
        await chance.choice(nodes).send(ALICE, target, str(number), scope)
    for node in nodes:
        await node.sweep.sweep()
    for sink in sinks:
        await count(sink, 25)
    for node in nodes:
        node.hub.hear(held)
    for sink in sinks:
        assert sorted(contents(sink.frames), key=int) == [str(number) for number in range(25)]
        for timeline in ("user", f"g:{group}"):
            found = seqs(sink.frames, timeline)
            assert found == list(range(found[0], found[0] + len(found)))


async def test_with_a_dead_bus_deliveries_go_on(nodes: Nodes) -> None:
    """The sweep comes more often while the bus is down, and as it is told while it is not."""
    here, there = nodes
    _, sink = await there.attach(BOB)
    here.bus.carry = lambda _: ()
    looked = asked = 0
    bearings = there.view.bearings

    async def asking(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return await bearings(*args)

    def looking() -> int:
        nonlocal looked
        looked += 1
        return there.ticks.at

    there.sweep._now = looking
    there.view.bearings = asking
    there.sweep._limits = msgspec.structs.replace(LIMITS, sweep_busless_ms=1)
    there.tasks.keep(there.sweep.run, "sweep")
    await here.send(ALICE, BOB, "0")
    await until(lambda: looked > 5)
    assert asked == 0
    there.bus.connected = False
    await told(sink, "0")
    await here.send(ALICE, BOB, "1")
    await told(sink, "0", "1")
    there.bus.connected = True
    await here.send(ALICE, BOB, "2")
    there.ticks.move(LIMITS.sweep_ms)
    await told(sink, "0", "1", "2")


async def test_a_bus_that_comes_back_makes_the_node_ask_at_once(nodes: Nodes) -> None:
    """For heads, and for connections that were replaced meanwhile."""
    here, there = nodes
    there.bus.deaf = True
    here.bus.carry = lambda _: ()
    _, stays = await there.attach(BOB, 1)
    _, goes = await there.attach(BOB, 2)
    await here.attach(BOB, 2)
    await here.send(ALICE, BOB, "lost")
    there.sweep.connected()
    await until(lambda: contents(stays.frames) == ["lost"])
    assert await end_of(goes) == Close.REPLACED
