"""The part of the store port that reads conversations."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gateway.domain.errors import Kind
from gateway.domain.model import HistoryItem, Message, User
from gateway.store.base.parties import Party


class History(msgspec.Struct, frozen=True):
    """One page of a conversation, newest first. `next_msg_id` is the first of the next page, 0 iff it is the last."""

    items: list[HistoryItem]
    next_msg_id: int


class Recent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A conversation of the recent list with its count of unread messages (at most `unread_max`).

    `last` is its newest message, by which the list is ordered. Members are in the order of the columns that an engine
    reads, as those of a `HistoryItem` are.
    """

    conversation_xid: int
    unread: int
    last: int


class Record(msgspec.Struct, frozen=True):
    """A message with the names that its sender and target have, empty where none or a group."""

    message: Message
    sender_name: str
    target_name: str


class Records(msgspec.Struct, frozen=True):
    """A page of messages by rising id. `after`: the next page begins after this id; 0: there is none."""

    records: list[Record]
    after: int


class Remembered(msgspec.Struct, frozen=True):
    """What a transaction key was first used for."""

    digest: str
    first_msg_id: int
    last_msg_id: int


class Readers(msgspec.Struct, frozen=True):
    """How many other members with a stay around a group's message have `read` it and how many not.

    `xids` is a page of those who have, and `unread_xids` the first of those who have not, by rising id.
    """

    read: int
    unread: int
    xids: list[int]
    unread_xids: list[int] = []


class Conversations(Protocol):
    """Pages, counts and finds messages."""

    async def history(self, asker: User, opposite: Party, start: int, limit: int) -> History | Kind:
        """Page a conversation towards older from `start` (0: newest); `NOT_A_MEMBER` for a group one is not in.

        Of a chatroom anybody sees what it keeps; `GROUP_BLOCKED` for who is kept out, `GROUP_UNKNOWN` once it ended.
        The page may be told again: it is not to be changed.
        """

    async def recent(self, user_id: int, group_id: int = 0) -> list[Recent]:
        """List a user's conversations that have a visible message, newest first; of one group only where named.

        The list may be told again: it is not to be changed.
        """

    async def hour(
        self, app: int, from_ms: int, to_ms: int, after_msg_id: int, limit: int, bytes_max: int
    ) -> Records:
        """Page through the messages of an app that were sent from one time on and before another, by rising id.

        What is gone is left out, and what was folded into others, sent to chatrooms, or imported. At most `limit` and
        about `bytes_max`, at least one where the page has any; a page may be empty and not the last.
        """

    async def message(self, app: int, msg_id: int) -> Message | None:
        """Find a message of the app by its id, recalled or not."""

    async def targets(self, app: int, first_msg_id: int, last_msg_id: int) -> dict[int, tuple[int, int]]:
        """Name whom the messages of one draft that are still kept went to: their ids and times (ms) by xid."""

    async def readers(
        self, app: int, msg_id: int, after_xid: int, limit: int, *, unread_max: int = 0
    ) -> Readers:
        """Say who has read a group's message: a page of them, after the id given, and how many have and have not.

        Of those who have not, the first `unread_max` are named.
        """

    async def undelivered(self, user_id: int) -> int:
        """Count the messages for a user that lie above *delivered*: sent to it, or to groups while it is in them.

        Its own do not count, nor those that are gone. `undelivered_max` entries are looked at.
        """

    async def awaits(self, user_id: int, msg_id: int) -> bool | None:
        """Say whether a message for a user is UNREAD, as that user sees it; None: there is no such message for it."""

    async def transaction(self, app: int, sender_xid: int, key: str) -> Remembered | None:
        """Look up what a transaction key of a sender was used for."""
