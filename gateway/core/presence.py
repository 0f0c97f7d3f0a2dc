"""Which device is connected where, as the store knows it: this node's part in it (design §5)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from gateway.bus.base import Shut
from gateway.core.connection import Connection
from gateway.core.hub import Hub
from gateway.core.lane import Lane, Line
from gateway.core.notes import Notes
from gateway.core.receipts import Receipts
from gateway.core.tasks import Tasks
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import State
from gateway.domain.positions import Attach, Attachment
from gateway.store.base import Store
from gateway.wire.close import Close

log = logging.getLogger(__name__)

PAGE = 1_000
"""Connections that the store is asked about at a time."""

GO_MS = 2_000
"""How long, about, a device on another node may take to be gone once it is told to go."""

LEAVE_S = 1.0
"""How long the store may take to note that this node ends. Where it does not, the node counts as dead soon."""


class Presence:
    """Attaches and detaches this node's connections in the store, and keeps the node alive there.

    `node` is its random number. `forget` drops whatever was remembered of the store, when it has become another one.
    """

    def __init__(
        self,
        store: Store,
        hub: Hub,
        receipts: Receipts,
        notes: Notes,
        limits: Limits,
        ticks_ms: Callable[[], int],
        node: int,
        forget: Callable[[], None],
    ) -> None:
        self._store = store
        self._hub = hub
        self._receipts = receipts
        self._notes = notes
        self._limits = limits
        self._now = ticks_ms
        self._node = node
        self._forget = forget
        self._tasks = Tasks()
        self._line: Line[Connection, int] = Line(PAGE)
        self._lane: Lane[Connection, int] = Lane(self._attach, self._line)
        # By user and device, the newest connection only. While the store fails nobody attaches, so there are never
        # more than were attached before.
        self._gone: dict[tuple[int, int], int] = {}
        self._newcomers: list[Connection] = []
        self._due = asyncio.Event()
        self._parting = asyncio.Lock()
        self._epoch = store.epoch
        self._beaten = ticks_ms()
        self._stuck = False
        self.nodes = 1
        hub.on_detach = self._detach
        hub.on_replaced = self.end_replaced

    # -- connections come and go ------------------------------------------------------------------------

    async def attach(self, connection: Connection) -> None:
        """Note that an admitted connection is its device's now; an older one, wherever it is, is replaced.

        Raises `DEVICES_FULL`. A connection that has ended meanwhile may be left without a number.
        """
        if self._store.shared or self._gone:
            number = await self._lane.submit(connection)
        else:
            # A store of this process has it at hand: nothing is gained by waiting for others.
            [number] = await self._attach([connection])
        if not number and not connection.over:
            most = self._limits.devices_per_user_max
            raise Problem(Kind.DEVICES_FULL, f"at most {most} devices of one user may be connected")

    async def _attach(self, connections: list[Connection]) -> Sequence[int]:
        # First those who went: their places are free.
        await self._part()
        # Of a device only one is left, for the hub admits no second one. Who has gone takes nobody's place: a node that
        # was stopped may hear of a device long after that has come back elsewhere.
        asking = [connection for connection in connections if not connection.over]
        asked = [Attach(connection.user.id, connection.device_sn, self._node) for connection in asking]
        numbers = await self._store.attach(asked) if asked else []
        for connection, number in zip(asking, numbers, strict=True):
            connection.attach_no = number
            if connection.detached:
                self._detach(connection)
        if not self._hub.alone:
            self._notes.publish(
                *(_replaced_below(one) for one in asking if one.attach_no and not one.detached)
            )
        return [connection.attach_no for connection in connections]

    def hears(self, connection: Connection) -> None:
        """An attached connection's node hears its user's notes from now on: what was said until then is asked for."""
        if self._store.shared:
            self._newcomers.append(connection)
            self._due.set()

    def _detach(self, connection: Connection) -> None:
        if connection.attach_no:
            place = connection.user.id, connection.device_sn
            self._gone[place] = max(self._gone.get(place, 0), connection.attach_no)
            self._due.set()

    async def run(self) -> None:
        """Tell the store who is gone, and ask it about who has come, for as long as the node lives."""
        while True:
            await self._due.wait()
            await asyncio.sleep(self._limits.ack_flush_ms / 1000)
            self._due.clear()
            await self._part()
            await self._greet()
            if self._gone:
                self._due.set()

    async def _greet(self) -> None:
        """Ask the store about who has come. Nothing of them is held while nobody comes or goes."""
        newcomers = [*self._newcomers]
        with suppress(Problem):  # Then the sweep asks.
            await self._compare([one for one in newcomers if not one.detached])
        del self._newcomers[: len(newcomers)]

    async def _part(self) -> None:
        """Tell the store who is gone, but not before what they acked is committed: it counts no more after that."""
        async with self._parting:
            if not self._gone:
                return
            unsettled = self._receipts.unsettled
            if not unsettled.isdisjoint(self._gone):
                await self._receipts.flush()
                unsettled = self._receipts.unsettled
            gone = [(place, number) for place, number in self._gone.items() if place not in unsettled]
            for start in range(0, len(gone), PAGE):
                page = gone[start : start + PAGE]
                try:
                    await self._store.detach([Attachment(*place, number) for place, number in page])
                except Problem:
                    return  # Those are asked for again with the next ones; the store has told its own trouble.
                for place, number in page:
                    if self._gone.get(place) == number:
                        del self._gone[place]

    async def connected(self, user_id: int) -> list[int]:
        """List the devices of a user that are connected, to whichever node."""
        await self._part()
        return await self._store.attached(user_id)

    async def present(self, user_ids: Sequence[int]) -> set[int]:
        """Say which of these users have a device connected, to whichever node."""
        await self._part()
        return await self._store.present(user_ids)

    async def end(self, user_id: int, code: Close, reason: str, device_sn: int) -> None:
        """End the connections of a device, and return once no node has any: what they acked is committed then.

        Returns without that where other nodes do not hear, or one has not said so in time; `dismiss` fences those.
        """
        self._notes.shut(Shut(user_id=user_id, device_sn=device_sn, code=code, reason=reason))
        if self._notes.reaching:
            for _ in range(0, GO_MS, self._limits.ack_flush_ms):
                if device_sn not in await self.connected(user_id):
                    return
                # So long a node takes to tell the store who is gone.
                await asyncio.sleep(self._limits.ack_flush_ms / 1000)

    async def dismiss(self, user_id: int, code: Close, reason: str, device_sn: int = 0) -> None:
        """End the connections of a device (0: of every device), on every node; what they write counts no more.

        Raises `Problem` where the store could not be told. Those whom a note reaches are ended all the same.
        """
        shut = Shut(user_id=user_id, device_sn=device_sn, code=code, reason=reason)
        # First here, so that nothing more is acked; what was until now still counts.
        self._notes.shut_here(shut)
        await self._receipts.settle(user_id, device_sn)
        try:
            # A note may come late: who attaches after this is not meant, and would not come back.
            shut = msgspec.structs.replace(shut, below=await self._store.dismiss(user_id, device_sn))
        finally:
            # Who came meanwhile may have been dismissed, too.
            self._notes.shut(shut)

    def end_frozen(self, user_id: int) -> None:
        """End the connections of a user that was frozen, on every node. Where no note comes, the sweep sees it."""
        self._notes.shut(_frozen(user_id))

    # -- connections that are no longer their device's --------------------------------------------------

    def end_replaced(self, replaced: Sequence[Attachment]) -> None:
        """End connections of which the store says that they are no longer their device's."""
        if replaced:
            self._tasks.start(self._end(replaced), "replaced")

    async def _end(self, replaced: Sequence[Attachment]) -> None:
        for attachment in replaced:
            if self._connection(attachment) is not None:
                code, reason = await self._why(attachment)
                connection = self._connection(attachment)
                if connection is not None:
                    self._hub.close(connection, code, reason)

    def _connection(self, attachment: Attachment) -> Connection | None:
        connection = self._hub.devices_of(attachment.user_id).get(attachment.device_sn)
        return connection if connection and connection.attach_no == attachment.attach_no else None

    async def _why(self, attachment: Attachment) -> tuple[Close, str]:
        if self._late:
            return Close.STORE_FAILED, "this node was away from the store for too long"
        elsewhere = [attachment.device_sn]
        with suppress(Problem):
            elsewhere = await self._store.attached(attachment.user_id)
        if attachment.device_sn in elsewhere:
            return Close.REPLACED, "a newer connection of this device"
        return Close.KICKED, "this device was told to go"

    async def compare(self) -> None:
        """Ask the store about all connections: who was replaced or told to go, and whose user is not as it was."""
        await self._compare([connection for connection in self._hub.connections if connection.attach_no])

    async def _compare(self, numbered: Sequence[Connection]) -> None:
        for start in range(0, len(numbered), PAGE):
            page = numbered[start : start + PAGE]
            asked = [Attachment(one.user.id, one.device_sn, one.attach_no) for one in page]
            replaced = await self._store.replaced(asked)
            outdated = await self._store.outdated({_as_known(one) for one in page})
            for (user_id, _), state in outdated.items():
                if state is not State.NORMAL:
                    self._notes.shut_here(_frozen(user_id) if state is State.FROZEN else _erased(user_id))
            await self._end(replaced)
            self._end_outdated([one for one in page if _as_known(one) in outdated and not one.detached])

    def _end_outdated(self, connections: Sequence[Connection]) -> None:
        """End connections that were let in by what this node remembered, of which a note was lost."""
        if connections:
            self._forget()
        for connection in connections:
            self._hub.close(connection, Close.STORE_FAILED, "this user has changed: come back", 100)

    # -- the node lives ---------------------------------------------------------------------------------

    async def run_beat(self) -> None:
        """Beat for as long as the node lives."""
        while True:
            await asyncio.sleep(self._limits.beat_ms / 1000)
            await self.beat()

    async def beat(self) -> None:
        """Say that this node lives, and learn what has become of the store. A beat that fails is left out."""
        began = self._now()
        try:
            pulse = await self._store.beat(self._node)
            if self._late:
                # Others may have taken it for dead, and its devices for gone. Who is still attached then stays so.
                await self.compare()
        except Problem as problem:
            if not self._stuck:
                log.warning("the store does not hear that this node lives: %s", problem.sentence)
            self._stuck = True
            return
        self._stuck = False
        self._beaten = began
        self.nodes = len(pulse.nodes)
        if pulse.epoch != self._epoch:
            self._epoch = pulse.epoch
            await self.start_over("the store has a new epoch")

    @property
    def _late(self) -> bool:
        """Whether others may take this node for dead."""
        return self._now() - self._beaten > self._limits.node_timeout_ms

    async def start_over(self, reason: str) -> None:
        """The store is not the one that devices were told of: they come back, and nothing remembered of it counts."""
        log.error("all devices are told to come back: %s", reason)
        self._forget()
        for connection in self._hub.connections:
            # Jittered, so that they do not all come back in one moment.
            self._hub.close(connection, Close.EPOCH, reason, 100 + secrets.randbelow(2_900))
        await self._receipts.drop()

    async def stop(self) -> None:
        """This node ends, and says so. Its connections have had their `bye`."""
        await self._tasks.stop()
        with suppress(Problem, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._lane.drain()
                await self._store.leave(self._node)


def _as_known(connection: Connection) -> tuple[int, int]:
    return connection.user.id, connection.user.valid_from_ms


def _frozen(user_id: int) -> Shut:
    return Shut(user_id=user_id, device_sn=0, code=Close.FROZEN, reason="this user is frozen")


def _erased(user_id: int) -> Shut:
    return Shut(user_id=user_id, device_sn=0, code=Close.TOKEN_ILLEGAL, reason="this user is no more")


def _replaced_below(connection: Connection) -> Shut:
    return Shut(
        user_id=connection.user.id,
        device_sn=connection.device_sn,
        code=Close.REPLACED,
        reason="a newer connection of this device",
        below=connection.attach_no,
    )
