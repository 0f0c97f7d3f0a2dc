"""The bus port: carries hints and notes to the *other* nodes.

Promises: at most once, in any order, to every other node that hears the topic and is reached. Anything may be lost
without a word; the store has the truth and the law of the session heals (design §3, §4). Only that a timeline has
grown, a hint without entries, may be told again after a failure. `publish` never raises and never waits for a peer.
Every (re)connect is reported, so that a node compares its heads with the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from gateway.bus.counts import Counts
from gateway.domain.model import Entry

EVERYBODY = 0
"""The topic that every node hears; other topics are timelines."""


class Hint(msgspec.Struct, frozen=True):
    """A timeline has entries up to `head`. The topic of a hint is its timeline.

    `entries` are the newest of them, in order and up to `head`, so that the other node need not read the store; none
    where they would be too large.
    """

    timeline_id: int
    head: int
    entries: Sequence[Entry] = ()


class Tell(msgspec.Struct, frozen=True, tag="tell", kw_only=True):
    """A frame outside timelines for a user's devices, except device `but` (0: all). Topic: the user's timeline."""

    user_id: int
    op: str
    members: dict[str, Any]
    but: int = 0

    @property
    def topic(self) -> int:
        """Who hears it."""
        return self.user_id


class TellFollowers(msgspec.Struct, frozen=True, tag="followers", kw_only=True):
    """A frame outside timelines for whoever follows a timeline, which is its topic."""

    timeline_id: int
    op: str
    members: dict[str, Any]

    @property
    def topic(self) -> int:
        """Who hears it."""
        return self.timeline_id


class Shut(msgspec.Struct, frozen=True, tag="shut", kw_only=True):
    """Connections of a user are to end. Topic: the user's timeline.

    Of device `device_sn` (0: of all) those with an attach number below `below` (0: whatever their number).
    """

    user_id: int
    device_sn: int
    code: int
    reason: str
    below: int = 0

    @property
    def topic(self) -> int:
        """Who hears it."""
        return self.user_id


class PutOut(msgspec.Struct, frozen=True, tag="put_out", kw_only=True):
    """Users are put out of a chatroom, whose timeline is the topic."""

    room_id: int
    room_xid: int
    user_xids: tuple[int, ...]

    @property
    def topic(self) -> int:
        """Who hears it."""
        return self.room_id


class Forget(msgspec.Struct, frozen=True, tag="forget", kw_only=True):
    """What is remembered of an app (`xid` 0: of itself), or of a user of it, is old. Everybody hears it."""

    app_id: str
    app: int
    xid: int = 0

    @property
    def topic(self) -> int:
        """Who hears it."""
        return EVERYBODY


class ForgetGroup(msgspec.Struct, frozen=True, tag="forget_group", kw_only=True):
    """What is remembered of who may speak in a group is old. Everybody hears it: senders need follow nothing."""

    app: int
    group_xid: int

    @property
    def topic(self) -> int:
        """Who hears it."""
        return EVERYBODY


class WhoIsIn(msgspec.Struct, frozen=True, tag="who_is_in", kw_only=True):
    """Which users are in a chatroom on your node, by rising xid after `after_xid`, at most `limit`?

    Everybody hears it and answers by `TheyAreIn` with the same `question`, also where nobody is in it: who asks waits
    for all.
    """

    question: int
    room_id: int
    after_xid: int
    limit: int

    @property
    def topic(self) -> int:
        """Who hears it."""
        return EVERYBODY


class TheyAreIn(msgspec.Struct, frozen=True, tag="they_are_in", kw_only=True):
    """The answer of one node: pairs of xid and since when (ms); `more`: there are more than these."""

    question: int
    members: tuple[tuple[int, int], ...]
    more: bool

    @property
    def topic(self) -> int:
        """Who hears it."""
        return EVERYBODY


Note = Tell | TellFollowers | Shut | PutOut | Forget | ForgetGroup | WhoIsIn | TheyAreIn
"""What is never stored, and may be lost."""


class Bus(Protocol):
    """The port, as one node holds it."""

    @property
    def alone(self) -> bool:
        """Whether nobody else can hear, so that nothing need be said."""

    @property
    def connected(self) -> bool:
        """Whether others hear what is said now, as far as is known."""

    @property
    def counts(self) -> Counts:
        """What it has done so far."""

    def listen(
        self,
        on_hints: Callable[[Sequence[Hint]], None],
        on_notes: Callable[[Sequence[Note]], None],
        on_connect: Callable[[], None],
        epoch: Callable[[], str] = str,
    ) -> None:
        """Say who hears the other nodes and the (re)connects; once, before anything else.

        Nodes hear each other only where the `epoch` of their stores is the same: a timeline of another store, whose
        nodes share the bus by mistake, has the same number and is about somebody else.
        """

    async def start(self) -> None:
        """Connect, now or as soon as that can be done: a bus that is away keeps no node from starting."""

    def publish(self, hints: Sequence[Hint], notes: Sequence[Note] = ()) -> None:
        """Send the hints and notes of one flush to the other nodes."""

    async def subscribe(self, timeline_id: int) -> None:
        """Hear this timeline from now on. Returns when confirmed, or at once while the bus is down."""

    def unsubscribe(self, timeline_id: int) -> None:
        """Hear it no more."""

    async def close(self) -> None:
        """Send what waits, within a second, and leave."""
