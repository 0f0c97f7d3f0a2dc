"""Messages that are handed to whoever is connected, and kept nowhere (lanying.md, online_only)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.core.cache import Cache
from gateway.core.notes import Notes
from gateway.domain.limits import Limits
from gateway.domain.model import App, Message, Scope
from gateway.store.base import Party, Remembered, Store
from gateway.wire.frames import told_online

IDS_BLOCK = 1_000
"""Message ids that are taken from the store at a time: one commit for so many. A restart skips the rest."""


class Ephemeral:
    """Hands messages over, at most once: a device that lags loses them.

    Gives them ids that no stored message has, and remembers in bounded memory what their transaction ids were
    answered with.
    """

    def __init__(self, store: Store, notes: Notes, limits: Limits) -> None:
        self._store = store
        self._notes = notes
        self._answered: Cache[tuple[int, int, str], Remembered] = Cache(limits.remembered_online_max)
        self.handed = 0
        self._next = 0
        self._end = 0
        self._reserving = asyncio.Lock()

    async def take_ids(self, count: int) -> int:
        """Take consecutive message ids; return the first."""
        async with self._reserving:
            if self._end - self._next < count:
                block = max(count, IDS_BLOCK)
                self._next = await self._store.reserve(block)
                self._end = self._next + block
            first = self._next
            self._next += count
            return first

    def answered(self, app: App, sender_xid: int, key: str) -> Remembered | None:
        """What a transaction id of a sender was answered with, as long as it is remembered."""
        return self._answered.get((app.id, sender_xid, key))

    def remember(self, app: App, sender_xid: int, key: str, answer: Remembered) -> None:
        """Answer a repeat of this transaction id with the same."""
        self._answered.put((app.id, sender_xid, key), answer)

    def hand_over(
        self, messages: Sequence[Message], targets: Sequence[Party | None], sender: Party | None
    ) -> None:
        """Write each message to its target's devices and, between users, to the sender's others.

        Whoever is None has no devices, or gets nothing.
        """
        notes = self._notes
        self.handed += len(messages)
        telling = []
        for message, target in zip(messages, targets, strict=True):
            if message.scope is Scope.GROUP:
                if target is not None and notes.may_reach(target.id):
                    notes.tell_followers(target.id, told_online(message, target.xid))
                continue
            if target is not None and notes.may_reach(target.id):
                telling.append((target.id, told_online(message, target.xid), 0))
            if sender is not None and sender != target and notes.may_reach(sender.id):
                # The device that sends knows what it sends.
                telling.append((sender.id, told_online(message, sender.xid), message.sender_sn))
        notes.tell_each(telling)
