"""Two nodes without an edge over one store and one bus, which lose what a test says."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import msgspec

from gateway.bus.base import Forget, ForgetGroup, Hint, Note
from gateway.bus.memory import MemoryBus, MemoryHub
from gateway.clock import now_ms, ticks_ms
from gateway.core.announcing import announce
from gateway.core.attaching import Attaching, Claim
from gateway.core.connection import Connection
from gateway.core.directory import Directory
from gateway.core.ephemeral import Ephemeral
from gateway.core.erasing import Erasing
from gateway.core.groups import Groups
from gateway.core.hub import Hub
from gateway.core.jobs import Jobs
from gateway.core.messaging import Messaging
from gateway.core.notes import Notes
from gateway.core.order import Order
from gateway.core.pacing import Pacing
from gateway.core.presence import Presence
from gateway.core.principal import Principal
from gateway.core.receipts import Receipts
from gateway.core.rooms import Rooms
from gateway.core.signals import Signals
from gateway.core.sweep import Sweep
from gateway.core.tasks import Tasks
from gateway.core.users import Users
from gateway.core.writer import Writer
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import Scope
from gateway.store.base import Store
from gateway.store.sqlite import SqliteStore
from gateway.wire.close import Close
from gateway.wire.encoding import JSON
from gateway.wire.frames import frame
from tests.channel.stage import APP, LIMITS, Frame, Ticks, contents, ops, until


class Sink:
    """A transport that keeps what it is told, and always has room."""

    encoding = JSON

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.gone = False

    def write(self, data: bytes) -> None:
        while data:
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            self.frames.append(msgspec.json.decode(data[start : start + size]))
            data = data[start + size :]

    def buffered(self) -> int:
        return 0

    def unacknowledged(self) -> int:
        return 0

    def ping(self) -> None:
        raise AssertionError("nobody was silent")

    def close(self, code: Close, reason: str, retry_after_ms: int | None) -> None:
        self.frames.append({"op": "bye", "code": code})

    @property
    def ended(self) -> Close | None:
        """By which code the connection was ended, if it was."""
        return self.frames[-1]["code"] if self.frames and self.frames[-1]["op"] == "bye" else None

    def of(self, op: str) -> list[Frame]:
        return [told for told in self.frames if told["op"] == op]


class LossyBus(MemoryBus):
    """A bus that loses hints, turns them round and repeats them, as a test says; a `deaf` node hears no notes."""

    def __init__(self, shared: MemoryHub) -> None:
        super().__init__(shared)
        self.carry: Callable[[Sequence[Hint]], Sequence[Hint]] = lambda hints: hints
        self.deaf = False
        self.published: list[tuple[Sequence[Hint], Sequence[Note]]] = []

    def publish(self, hints: Sequence[Hint], notes: Sequence[Note] = ()) -> None:
        self.published.append((hints, notes))
        super().publish(self.carry(hints), notes)

    def hear(self, hints: Sequence[Hint], notes: Sequence[Note] = ()) -> None:
        super().hear(hints, () if self.deaf else notes)


class SharedStore:
    """One node's view of a store that others write to as well. What a test sets on it holds for this node."""

    shared = True

    def __init__(self, store: SqliteStore) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


class Node:
    """One node without an edge. Acks and departures are told as they come; beats and sweeps are the test's."""

    def __init__(self, store: SqliteStore, shared: MemoryHub, limits: Limits = LIMITS) -> None:
        self.view: Any = SharedStore(store)
        view = cast("Store", self.view)
        self.id = secrets.randbits(63)
        self.ticks = Ticks()
        self.bus = LossyBus(shared)
        self.hub = hub = Hub(view, self.bus, limits, ticks_ms)
        self.writer = Writer(view, limits, lambda batch, answers: announce(hub, batch, answers))
        notes = Notes(self.bus, hub)
        self.directory = Directory(
            view, limits, now_ms, secrets.token_bytes, publish=notes.publish, ticks_ms=self.ticks
        )
        notes.on(Forget, self.directory.known.forget)
        notes.on(ForgetGroup, self.directory.known.forget_group)
        self.receipts = Receipts(view, hub, notes, limits, now_ms, self.directory.known)
        self.presence = Presence(
            view, hub, self.receipts, notes, limits, self.ticks, self.id, self.directory.known.forget_all
        )
        self.rooms = Rooms(view, hub, notes, lambda: self.presence.nodes, limits, now_ms)
        self.sweep = Sweep(view, self.bus, hub, self.presence, self.rooms, limits, self.ticks)
        self.bus.listen(hub.hear, notes.hear, self.sweep.connected)
        self.attaching = Attaching(view, hub, self.receipts, self.presence, limits, now_ms, ticks_ms)
        ephemeral, pacing = Ephemeral(view, notes, limits), Pacing(limits, ticks_ms)
        self.messaging = Messaging(
            view, self.writer, self.receipts, ephemeral, pacing, limits, now_ms, self.directory.known
        )
        self.signals = Signals(self.messaging, notes)
        self.groups = Groups(view, self.writer.submit, limits, now_ms, self.rooms)
        self.users = Users(view, self.directory, hub, self.presence, self.receipts, limits, now_ms)
        jobs = Jobs(view, self.writer, pacing, limits, now_ms)
        self.erasing = Erasing(view, jobs, self.directory, self.presence, now_ms)
        self.tasks = Tasks()
        self.tasks.keep(self.receipts.run, "acks")
        self.tasks.keep(self.presence.run, "departures")

    async def principal(self, uid: int) -> Principal:
        return await self.directory.principal(APP, await self.token(uid), None, None)

    async def admin(self) -> Principal:
        return await self.directory.principal(APP, await self.token(None), None, None)

    async def token(self, uid: int | None) -> str:
        return (await self.directory.token_for(APP, None if uid is None else str(uid))).token

    async def begin(
        self, uid: int, device_sn: int = 1, cursors: dict[str, int] | None = None
    ) -> tuple[Connection, Sink]:
        """Attach a device."""
        principal, sink = await self.principal(uid), Sink()
        claim = Claim(device_sn=device_sn, cursors=cursors)
        connection = await self.attaching.attach(
            principal.app, principal.user, claim, sink, now_ms() + 3_600_000
        )
        return connection, sink

    async def attach(
        self, uid: int, device_sn: int = 1, cursors: dict[str, int] | None = None
    ) -> tuple[Connection, Sink]:
        """Attach a device and wait until it is live."""
        connection, sink = await self.begin(uid, device_sn, cursors)
        await until(lambda: "live" in ops(sink.frames), "live")
        await until(lambda: not self.presence._newcomers, "what the store says of a newcomer")
        return connection, sink

    def ack(self, connection: Connection, seq: int) -> None:
        """What the channel does with an ack."""
        self.hub.perform(connection, connection.session.ack("user", seq))

    async def join(self, connection: Connection, room: int) -> None:
        await self.rooms.join(connection, room, None, lambda name, seq: frame(JSON, "ok", name=name, seq=seq))

    async def send(
        self, sender: int, target: int, content: str, scope: Scope = Scope.USER, **more: Any
    ) -> int:
        order = Order(scope=scope, targets=(target,), ctype=0, content=content, **more)
        return (await self.messaging.send(await self.principal(sender), order))[0]

    async def group(self, owner: int, *members: int, kind: int = 0) -> int:
        group, _ = await self.groups.create(
            await self.principal(owner), name="", description="", avatar="", kind=kind, members=members
        )
        return group.xid

    async def close(self) -> None:
        for connection in self.hub.connections:
            self.hub.close(connection, Close.DRAINING, "")
        await self.writer.close()
        await self.receipts.close()
        await self.tasks.stop()
        await self.sweep.stop()
        await self.hub.stop()
        await self.presence.stop()
        self.directory.close()


Nodes = tuple[Node, Node]


async def heard(sink: Sink, last: int) -> list[int]:
    """Wait until the user's timeline has come up to `last`, and return all its seqs."""
    await until(lambda: last in [told.get("seq") for told in sink.frames], f"seq {last}")
    return [told["seq"] for told in sink.frames if told.get("timeline") == "user"]


async def told(sink: Sink, *wanted: str) -> None:
    """Wait until these are the messages that came, in this order."""
    await until(lambda: contents(sink.frames) == [*wanted], f"messages {wanted}")


async def end_of(sink: Sink) -> Close:
    """Wait until the connection was ended, and return by which code."""
    await until(lambda: sink.ended, "the end")
    assert sink.ended
    return sink.ended


def note_kinds(node: Node) -> list[str]:
    """What notes a node has published, in order."""
    return [type(note).__name__ for _, notes in node.bus.published for note in notes]


async def fails(*_: Any) -> Any:
    """A store that can do nothing."""
    raise Problem(Kind.STORE_FAILED, "gone")


def cursors(node: Node, user_id: int, device_sn: int = 1) -> Callable[[], Awaitable[int]]:
    """Asks for the stored cursor of a device on its user's timeline."""

    async def read() -> int:
        [bearing] = await node.view.bearings([(user_id, device_sn, user_id)])
        cursor: int = bearing.cursor
        return cursor

    return read
