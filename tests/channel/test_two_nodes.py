"""Two nodes over one store: what one commits the other dispatches, by hints or by the sweep (design §4)."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.bus.base import EVERYBODY, Hint, Note
from gateway.bus.memory import MemoryBus, MemoryHub
from gateway.clock import now_ms, ticks_ms
from gateway.core.announcing import announce
from gateway.core.attaching import Attaching, Claim
from gateway.core.connection import Connection
from gateway.core.directory import Directory
from gateway.core.ephemeral import Ephemeral
from gateway.core.groups import Groups
from gateway.core.hub import Hub
from gateway.core.messaging import Messaging
from gateway.core.notes import Notes
from gateway.core.order import Order
from gateway.core.pacing import Pacing
from gateway.core.presence import Presence
from gateway.core.principal import Principal
from gateway.core.receipts import Receipts
from gateway.core.rooms import Rooms
from gateway.core.sweep import Sweep
from gateway.core.writer import Writer
from gateway.domain.model import Scope
from gateway.store.sqlite import SqliteStore
from gateway.wire.close import Close
from gateway.wire.encoding import JSON
from gateway.wire.frames import frame
from tests.channel.stage import ALICE, BOB, LIMITS, Frame, contents, ops, seqs, until


class Sink:
    """A transport that keeps what it is told, and always has room."""

    encoding = JSON

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def write(self, data: bytes) -> None:
        while data:
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            self.frames.append(msgspec.json.decode(data[start : start + size]))
            data = data[start + size :]

    def buffered(self) -> int:
        return 0

    def ping(self) -> None:
        raise AssertionError("nobody was silent")

    def close(self, code: Close, reason: str, retry_after_ms: int | None) -> None:
        self.frames.append({"op": "bye", "code": code})


class LossyBus(MemoryBus):
    """A bus that loses hints, turns them round and repeats them, as a test says."""

    def __init__(self, shared: MemoryHub) -> None:
        super().__init__(shared)
        self.carry: Callable[[Sequence[Hint]], Sequence[Hint]] = lambda hints: hints

    def publish(self, hints: Sequence[Hint], notes: Sequence[Note] = ()) -> None:
        super().publish(self.carry(hints), notes)


class Node:
    """One node without an edge."""

    def __init__(self, store: SqliteStore, shared: MemoryHub, directory: Directory) -> None:
        self.bus = LossyBus(shared)
        self.hub = Hub(store, self.bus, LIMITS, ticks_ms)
        self.writer = Writer(store, LIMITS, lambda batch, answers: announce(self.hub, batch, answers))
        notes = Notes(self.bus, self.hub)
        self.receipts = Receipts(store, self.hub, notes, LIMITS, now_ms)
        self.presence = Presence(
            store,
            self.hub,
            self.receipts,
            notes,
            LIMITS,
            ticks_ms,
            secrets.randbits(63),
            directory.forget_all,
        )
        self.sweep = Sweep(store, self.bus, self.hub, self.presence, LIMITS, ticks_ms)
        self.bus.listen(self.hub.hear, notes.hear, self.sweep.connected)
        self.attaching = Attaching(store, self.hub, self.receipts, self.presence, LIMITS, now_ms, ticks_ms)
        ephemeral = Ephemeral(store, notes, LIMITS)
        self.messaging = Messaging(
            store, self.writer, self.receipts, ephemeral, Pacing(LIMITS, ticks_ms), LIMITS, now_ms
        )
        self.rooms = Rooms(store, self.hub, notes, lambda: self.presence.nodes, LIMITS, now_ms)
        self.groups = Groups(store, self.writer.submit, LIMITS, now_ms, self.rooms)
        self.directory = directory

    async def principal(self, uid: int) -> Principal:
        token = (await self.directory.token_for("demo", str(uid))).token
        return await self.directory.principal("demo", token, None, None)

    async def attach(self, uid: int, device_sn: int = 1) -> tuple[Connection, Sink]:
        """Attach a device and wait until it is live."""
        principal, sink = await self.principal(uid), Sink()
        claim = Claim(device_sn=device_sn)
        connection = await self.attaching.attach(
            principal.app, principal.user, claim, sink, now_ms() + 3_600_000
        )
        await until(lambda: "live" in ops(sink.frames), "live")
        return connection, sink

    async def send(self, sender: int, target: int, content: str, scope: Scope = Scope.USER) -> None:
        order = Order(scope=scope, targets=(target,), ctype=0, content=content)
        await self.messaging.send(await self.principal(sender), order)

    async def close(self) -> None:
        for connection in self.hub.connections:
            self.hub.close(connection, Close.DRAINING, "")
        await self.writer.close()
        await self.receipts.close()
        await self.sweep.stop()
        await self.hub.stop()
        await self.presence.stop()


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[tuple[Node, Node]]:
    store = await SqliteStore.open(tmp_path / "data", LIMITS)
    directory = Directory(store, LIMITS, now_ms, lambda size: b"r" * size)
    await directory.create_app("demo")
    shared = MemoryHub()
    both = Node(store, shared, directory), Node(store, shared, directory)
    yield both
    for node in both:
        await node.close()
    directory.close()
    await store.close()


async def heard(sink: Sink, last: int) -> list[int]:
    """Wait until the user's timeline has come up to `last`, and return all its seqs."""
    await until(lambda: last in seqs(sink.frames), f"seq {last}")
    return seqs(sink.frames)


async def test_send_on_one_node_reaches_a_device_on_the_other(nodes: tuple[Node, Node]) -> None:
    """A hint brings the other node to read what it has not got."""
    here, there = nodes
    _, sink = await there.attach(BOB)
    await here.send(ALICE, BOB, "far")
    assert await heard(sink, 1) == [1]
    assert contents(sink.frames) == ["far"]


async def test_devices_on_both_nodes_get_the_same(nodes: tuple[Node, Node]) -> None:
    """Sends on both nodes come to devices on both, each once and in order."""
    sinks = [(await node.attach(BOB, number))[1] for number, node in enumerate(nodes, 1)]
    for number in range(20):
        await nodes[number % 2].send(ALICE, BOB, str(number))
    for sink in sinks:
        assert await heard(sink, 20) == list(range(1, 21))
        assert contents(sink.frames) == [str(number) for number in range(20)]


async def test_lost_hints_are_healed_by_the_sweep(nodes: tuple[Node, Node]) -> None:
    """With every hint lost the device is behind until heads are compared with the store."""
    here, there = nodes
    here.bus.carry = lambda _: ()
    _, sink = await there.attach(BOB)
    for number in range(3):
        await here.send(ALICE, BOB, str(number))
    assert seqs(sink.frames) == []
    await there.sweep.sweep()
    assert await heard(sink, 3) == [1, 2, 3]


async def test_lost_hint_is_healed_by_the_next_one(nodes: tuple[Node, Node]) -> None:
    """A hint beyond what is known brings everything up to it."""
    here, there = nodes
    _, sink = await there.attach(BOB)
    here.bus.carry = lambda _: ()
    await here.send(ALICE, BOB, "lost")
    here.bus.carry = lambda hints: hints
    await here.send(ALICE, BOB, "heard")
    assert await heard(sink, 2) == [1, 2]


async def test_repeated_and_stale_hints_bring_nothing_twice(nodes: tuple[Node, Node]) -> None:
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
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hint of what the store has not got is asked for once, and then after a while."""
    here, there = nodes
    _, sink = await there.attach(BOB)
    store, pages = there.hub._store, 0
    page = store.page

    async def counting(*args: Any) -> Any:
        nonlocal pages
        pages += 1
        return await page(*args)

    monkeypatch.setattr(store, "page", counting)
    bob = (await there.principal(BOB)).user
    here.bus.publish([Hint(bob.id, 5)])
    await until(lambda: pages == 1)
    await here.send(ALICE, BOB, "real")
    await there.sweep.sweep()
    assert pages < 5
    assert await heard(sink, 1) == [1]


async def test_hints_are_heard_only_where_somebody_follows(nodes: tuple[Node, Node]) -> None:
    """A node with nobody there subscribes to nothing."""
    here, there = nodes
    connection, _ = await there.attach(BOB)
    assert there.bus._topics == {EVERYBODY, connection.user.id}
    there.hub.detach(connection)
    assert there.bus._topics == {EVERYBODY}
    assert here.bus._topics == {EVERYBODY}


async def test_kick_on_one_node_fences_the_device_on_the_other(nodes: tuple[Node, Node]) -> None:
    """Membership is obeyed when it is written, on every node."""
    here, there = nodes
    owner = await here.principal(ALICE)
    group, _ = await here.groups.create(owner, name="", description="", avatar="", kind=0, members=(BOB,))
    _, sink = await there.attach(BOB)
    await here.groups.kick(owner, group.xid, (BOB,))
    await here.send(ALICE, group.xid, "later", Scope.GROUP)
    await until(lambda: "kicked" in [frame.get("action") for frame in sink.frames])
    await there.sweep.sweep()
    assert contents(sink.frames) == []


async def test_join_on_one_node_is_followed_on_the_other(nodes: tuple[Node, Node]) -> None:
    """A device whose user is put into a group on another node follows it from there."""
    here, there = nodes
    owner = await here.principal(ALICE)
    _, sink = await there.attach(BOB)
    group, _ = await here.groups.create(owner, name="", description="", avatar="", kind=0, members=(BOB,))
    await here.send(ALICE, group.xid, "hi", Scope.GROUP)
    await until(lambda: contents(sink.frames) == ["hi"])
    assert seqs(sink.frames, f"g:{group.xid}") == [1, 2]


async def test_a_chatroom_spans_the_nodes(nodes: tuple[Node, Node]) -> None:
    """A device in it on another node hears what is sent here, what hints have lost, and its end."""
    here, there = nodes
    owner = await here.principal(ALICE)
    room, _ = await here.groups.create(owner, name="", description="", avatar="", kind=2, members=())
    connection, sink = await there.attach(BOB)
    await there.rooms.join(
        connection, room.xid, None, lambda name, seq: frame(JSON, "ok", name=name, seq=seq)
    )
    await here.send(ALICE, room.xid, "hi", Scope.GROUP)
    await until(lambda: contents(sink.frames) == ["hi"])
    here.bus.carry = lambda _: ()
    await here.send(ALICE, room.xid, "lost", Scope.GROUP)
    await there.sweep.sweep()
    await until(lambda: contents(sink.frames) == ["hi", "lost"])
    await here.groups.destroy(owner, room.xid)
    await there.sweep.sweep()
    await until(lambda: "destroyed" in [told.get("action") for told in sink.frames])
    assert seqs(sink.frames, f"r:{room.xid}") == [1, 2, 3]
    assert there.hub.followers(room.id) == []
