"""Acks and reads: positions are committed, and then whoever sent is told (design §3, §6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain

from gateway.core.connection import Connection
from gateway.core.hub import Hub
from gateway.core.known import Known
from gateway.core.lane import Lane, Line
from gateway.core.notes import Notes
from gateway.core.principal import Principal
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import Scope, Status
from gateway.domain.positions import Ack, Keep, ReadDone, ReadMark, StatusChange
from gateway.domain.receipts import newest_changes
from gateway.store.base import SEEN_STEP_MS, Store
from gateway.wire.frames import Told

log = logging.getLogger(__name__)

_Place = tuple[int, int, int]

READS_MAX = 500
"""READ marks of one transaction."""


class Receipts:
    """Commits acks every `ack_flush_ms` and reads as they come, and sends receipts after each commit."""

    def __init__(
        self,
        store: Store,
        hub: Hub,
        notes: Notes,
        limits: Limits,
        clock_ms: Callable[[], int],
        known: Known,
    ) -> None:
        self._store = store
        self._hub = hub
        self._notes = notes
        self._limits = limits
        self._now = clock_ms
        self._known = known
        # By user, device and timeline: one entry each, however often a device comes back while the store fails.
        self._acks: dict[_Place, tuple[Connection, int]] = {}
        self._unsettled: set[tuple[int, int]] = set()
        self._keeping = asyncio.Lock()
        self._due = asyncio.Event()
        self._stuck = False
        self._flushing = asyncio.Lock()
        self._marks: Line[ReadMark, ReadDone | Kind] = Line(READS_MAX)
        self._reads: Lane[ReadMark, ReadDone | Kind] = Lane(self._flush_reads, self._marks)
        hub.on_ack = self.ack

    # -- DELIVERED --------------------------------------------------------------------------------------

    def ack(self, connection: Connection, timeline_id: int, seq: int) -> None:
        """Note that a device holds a timeline up to `seq`; committed with the next flush."""
        self._acks[connection.user.id, connection.device_sn, timeline_id] = (connection, seq)
        self._unsettled.add((connection.user.id, connection.device_sn))
        self._due.set()

    @property
    def waiting(self) -> int:
        """How many acks wait to be committed."""
        return len(self._acks)

    @property
    def unsettled(self) -> AbstractSet[tuple[int, int]]:
        """Users and devices of which some ack is not committed yet."""
        return self._unsettled

    async def settle(self, user_id: int, device_sn: int) -> None:
        """Commit what a device (0: any of the user's) has acked on its connections until now, and no more.

        A device that is back starts from there: once it is attached anew, what its earlier connection acked counts no
        more. And whom a `keep` under way spares was decided before this device was here: it must end before the store
        is asked what it holds of the device.
        """
        if device_sn:
            unsettled = (user_id, device_sn) in self._unsettled
        else:
            unsettled = any(one == user_id for one, _ in self._unsettled)
        if unsettled:
            await self.flush()
        async with self._keeping:
            pass

    async def run(self) -> None:
        """Flush for as long as the node lives."""
        while True:
            await self._due.wait()
            await asyncio.sleep(self._limits.ack_flush_ms / 1000)
            await self.flush()

    async def flush(self) -> None:
        """Commit the acks that wait. What the store could not take waits for the next flush."""
        async with self._flushing:
            self._due.clear()
            acks, self._acks = self._acks, {}
            if not acks:
                return
            try:
                await self._commit(acks)
                self._stuck = False
            except Problem as problem:
                if not self._stuck:
                    log.warning("acks wait for the store: %s", problem.sentence)
                self._stuck = True
                self._acks = acks | self._acks
                self._due.set()
            except BaseException:
                self._acks = acks | self._acks
                raise
            self._unsettled = {(user_id, device_sn) for user_id, device_sn, _ in self._acks}

    async def _commit(self, acks: dict[_Place, tuple[Connection, int]]) -> None:
        new = {connection for connection, _ in acks.values() if not connection.kept}
        if new:
            async with self._keeping:
                await self._keep([*new])
        now = self._now()
        # Who was noted as seen a moment ago need not be again: most of a flush.
        long_ago = now - SEEN_STEP_MS
        advanced = await self._store.advance(
            [
                Ack(
                    connection.user.id,
                    connection.user.xid,
                    connection.device_sn,
                    timeline_id,
                    seq,
                    now if connection.seen_at <= long_ago else 0,
                    connection.attach_no,
                )
                for (_, _, timeline_id), (connection, seq) in acks.items()
            ]
        )
        for connection, _ in acks.values():
            if connection.seen_at <= long_ago:
                connection.seen_at = now
        self._hub.on_replaced(advanced.replaced)
        self._tell(advanced.changes)

    async def drop(self) -> None:
        """Forget the acks that wait: they are of entries that the store does not have any more."""
        async with self._flushing:
            self._acks.clear()
            self._unsettled = set()

    async def state(self, connection: Connection) -> None:
        """Make a device kept where it has stated its cursors; of one that was ended meanwhile they count no more."""
        async with self._keeping:
            # It may have waited for its own removal.
            if not connection.session.ended:
                await self._keep([connection])

    async def _keep(self, connections: Sequence[Connection]) -> None:
        """Make devices kept, with a cursor for every timeline they follow, at this connection's starting points."""
        now = self._now()
        replaced = await self._store.keep(
            [
                Keep(
                    connection.user.id,
                    connection.device_sn,
                    now,
                    connection.session.starts,
                    tuple(self._hub.devices_of(connection.user.id)),
                    connection.platform,
                    connection.user_agent,
                    connection.attach_no,
                )
                for connection in connections
            ]
        )
        for connection in connections:
            connection.kept = True
        # Of those nothing was kept; neither will their acks be.
        self._hub.on_replaced(replaced)

    async def remove(self, user_id: int, device_sn: int) -> None:
        """Forget a kept device. What it has acked counts for its user, and does not bring the device back."""
        await self.flush()
        # In the order in which a flush takes them: none is under way while the device goes.
        async with self._flushing, self._keeping:
            await self._store.remove_device(user_id, device_sn)
            # What the flush could not commit.
            self._acks = {
                place: ack for place, ack in self._acks.items() if place[:2] != (user_id, device_sn)
            }

    # -- READ -------------------------------------------------------------------------------------------

    async def read(
        self, principal: Principal, conversation_xid: int, msg_id: int, device_sn: int = 0
    ) -> None:
        """Mark a conversation read up to `msg_id`, cumulatively; returns after the commit (lanying.md, ack).

        `msg_id` alone (0 = not given): its conversation, if the asker is party. `conversation_xid` alone: its newest.
        """
        if principal.group_xid:
            raise bad("group_id", "this header is not for read receipts")
        if not conversation_xid and not msg_id:
            raise bad("conversation_id", "give conversation_id, msg_id or both")
        app, me = principal.app, principal.user
        if not conversation_xid:
            message = await self._store.message(app.id, msg_id)
            if message is None and msg_id <= (await self._store.sweeping()).swept_to:
                # Removed, and with it all that could be unread: there is nothing to say no to.
                return
            # Whoever is no party learns nothing; of a group's message the store asks whether one is in it.
            if message is None or (message.scope is Scope.USER and not message.told_to(me.xid)):
                raise Problem(Kind.MESSAGE_UNKNOWN, f"there is no message {msg_id}")
            conversation_xid = message.conversation_for(me.xid)
        opposite = await self._known.party(app, conversation_xid)
        if opposite is None:
            return
        if len(self._marks) >= self._limits.read_marks_queue_max:
            raise Problem(Kind.OVERLOADED, "too many reads wait for the store", retry_after_ms=1000)
        mark = ReadMark(me.id, me.xid, opposite.id, opposite.xid, opposite.scope, msg_id, device_sn)
        done = await self._reads.submit(mark)
        if isinstance(done, Kind):
            raise Problem(done, f"not a member of group {conversation_xid}")
        if done.moved:
            told = _receipt(conversation_xid, done.msg_id, Status.READ, me.xid, device_sn)
            self._notes.tell(me.id, told, but=device_sn)

    async def _flush_reads(self, marks: list[ReadMark]) -> Sequence[ReadDone | Kind]:
        answers = await self._store.read(marks)
        done = (answer.changes for answer in answers if isinstance(answer, ReadDone))
        self._tell(newest_changes(chain.from_iterable(done)))
        return answers

    # -- receipts ---------------------------------------------------------------------------------------

    def _tell(self, changes: Sequence[StatusChange]) -> None:
        """Tell senders whose status changed; at most once, and only who is connected."""
        self._notes.tell_each(
            (
                change.sender_id,
                _receipt(change.conversation_xid, change.msg_id, change.status, change.by_xid, change.by_sn),
                0,
            )
            for change in changes
            if self._notes.may_reach(change.sender_id)
        )

    async def close(self) -> None:
        """Commit what waits."""
        await self.flush()
        await self._reads.drain()


def _receipt(conversation_xid: int, msg_id: int, status: Status, uid: int, device_sn: int) -> Told:
    return Told(
        "receipt",
        conversation_id=conversation_xid,
        msg_id=msg_id,
        status=status.name,
        uid=uid,
        device_sn=device_sn,
    )
