"""Messages that are handed to whoever is connected, and kept nowhere (lanying.md, online_only)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from gateway.core.cache import Cache
from gateway.core.notes import Notes
from gateway.core.tasks import Tasks
from gateway.domain.errors import Problem
from gateway.domain.limits import Limits
from gateway.domain.model import App, Message, Scope
from gateway.store.base import Party, Store
from gateway.wire.frames import Told, told_online

IDS_BLOCK = 1_000
"""Message ids that are taken from the store at a time: one commit for so many. A restart skips the rest."""


class Answered(msgspec.Struct, frozen=True):
    """What a key was answered with, and when. With the digest goes who got no message (`repeats`)."""

    digest: str
    first_msg_id: int
    last_msg_id: int
    at: int = 0


class Ephemeral:
    """Hands messages over, at most once: a device that lags loses them.

    Gives them ids that no stored message has, and remembers in bounded memory what their transaction ids were
    answered with.
    """

    def __init__(self, store: Store, notes: Notes, limits: Limits) -> None:
        self._store = store
        self._notes = notes
        self._answered: Cache[tuple[int, int, str], Answered] = Cache(limits.remembered_online_max)
        self.handed = 0
        self._ids = range(0)
        self._spare_ids = range(0)
        self._asking = False
        self._tasks = Tasks()
        self._reserving = asyncio.Lock()

    def next_ids(self, count: int) -> int:
        """Take consecutive message ids that are there; return the first, 0 where `take_ids` has to be awaited."""
        if len(self._ids) < count:
            if len(self._spare_ids) < count:
                return 0
            self._ids, self._spare_ids = self._spare_ids, range(0)
        first = self._ids.start
        self._ids = self._ids[count:]
        if not self._spare_ids and len(self._ids) < IDS_BLOCK // 2 and not self._asking:
            # In good time, so that no message waits for a commit that has nothing to do with it.
            self._asking = True
            self._tasks.start(self._reserve_more(), "message ids")
        return first

    async def take_ids(self, count: int) -> int:
        """Take consecutive message ids; return the first."""
        while not (first := self.next_ids(count)):
            async with self._reserving:
                if max(len(self._ids), len(self._spare_ids)) < count:
                    self._spare_ids = await self._reserve(max(count, IDS_BLOCK))
        return first

    async def _reserve_more(self) -> None:
        try:
            # Where this fails the message that takes the last one asks again, and says why it cannot be sent.
            with suppress(Problem):
                async with self._reserving:
                    if not self._spare_ids:
                        self._spare_ids = await self._reserve(IDS_BLOCK)
        finally:
            self._asking = False

    async def _reserve(self, count: int) -> range:
        first = await self._store.reserve(count)
        return range(first, first + count)

    async def close(self) -> None:
        """Ask for no more message ids."""
        await self._tasks.stop()

    def answered(self, app: App, sender_xid: int, key: str) -> Answered | None:
        """What a transaction id of a sender was answered with, as long as it is remembered."""
        return self._answered.get((app.id, sender_xid, key))

    def remember(self, app: App, sender_xid: int, key: str, answer: Answered) -> None:
        """Answer a repeat of this transaction id with the same."""
        self._answered.put((app.id, sender_xid, key), answer)

    def hand_over(
        self, message: Message, xids: Sequence[int], targets: Sequence[Party | None], sender: Party | None
    ) -> None:
        """Write a message to each target's devices and, between users, to the sender's others.

        `message` is the first target's; the others are numbered on from it. Whoever is None has no devices, or gets
        nothing. What nobody follows is not made.
        """
        notes, in_group = self._notes, message.scope is Scope.GROUP
        self.handed += len(targets)
        copied = not in_group and sender is not None and notes.may_reach(sender.id)
        telling: list[tuple[int, Told, int]] = []
        for index, target in enumerate(targets):
            reached = target is not None and notes.may_reach(target.id)
            if not reached and not copied:
                continue
            one = message
            if index:
                one = msgspec.structs.replace(message, msg_id=message.msg_id + index, target_xid=xids[index])
            if reached and target is not None:
                told = told_online(one, target.xid)
                if in_group:
                    notes.tell_followers(target.id, told)
                else:
                    telling.append((target.id, told, 0))
            if copied and sender is not None and sender != target:
                # The device that sends knows what it sends.
                telling.append((sender.id, told_online(one, sender.xid), message.sender_sn))
        notes.tell_each(telling)
