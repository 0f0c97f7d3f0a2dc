"""The part of the store port that looks for messages in a conversation.

Whoever looks goes through a conversation in pieces: what is looked for may be rare in it, and no call examines more
than it is told to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from gateway.domain.errors import Kind
from gateway.domain.model import FOREVER, SAFE_MAX, HistoryItem, User
from gateway.store.base.parties import Party

Span = tuple[int, int]
"""The first and the last of some message ids."""


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for, between which ids (inclusive), and whether from the last of them or from the first.

    Messages that show a time from `from_ms` to `to_ms` (inclusive), of these content types (none: of all), and where a
    `root` is named its replies alone. `scan` messages are examined at the most, and `limit` found.
    """

    first: int = 1
    last: int = SAFE_MAX
    descending: bool = True
    from_ms: int = 0
    to_ms: int = FOREVER
    ctypes: frozenset[int] = frozenset()
    root: int = 0
    scan: int
    limit: int


class Sighted(msgspec.Struct, frozen=True):
    """What was found, in the direction it was looked for. `upto`: the last id examined; 0: all there are were."""

    msg_ids: list[int]
    upto: int


class Fold(NamedTuple):
    """A message that appends to another one or replaces it."""

    ctype: int
    content: str
    attachment: str


class Folds(msgspec.Struct, frozen=True):
    """What was folded into the first `count` of the messages asked for, by rising id, by the message."""

    folds: dict[int, list[Fold]]
    count: int


class Looking(Protocol):
    """Looks for messages, as their conversation's pages show them to the asker (`Conversations.history`)."""

    async def spans(self, from_ms: int, to_ms: int) -> list[Span]:
        """Say between which ids all messages lie that show a time from one to the other (inclusive).

        Of what an hour holds more is told than need be: the spans, at most two, rise and lie apart.
        """

    async def seek(self, asker: User, opposite: Party, sought: Sought) -> Sighted | Kind:
        """Find messages of a conversation that the asker may see; refused as `history` is.

        Where as many are found as asked for, `upto` is the last of them.
        """

    async def some(
        self, asker: User, opposite: Party, msg_ids: Sequence[int]
    ) -> dict[int, HistoryItem] | Kind:
        """Read those of some messages that lie in a conversation, and that the asker may see; refused as `history`."""

    async def folded(self, asker: User, msg_ids: Sequence[int], bytes_max: int) -> Folds:
        """Read what was folded into messages that the asker sees: about `bytes_max`, of one of them at the least."""
