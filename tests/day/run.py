"""A run of the property test: who is in it, what there is, and the table of what may be done.

An operation is a function of a `Run`; its arguments are drawn by the strategies it is registered with, small numbers
that shrink well. What the gateway may answer stands in the function: anything else fails the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import strategies as st

from tests.channel.stage import until
from tests.day.phone import BarePhone
from tests.day.town import Town
from tests.rest.stage import Answer, Caller

USERS = (11, 12, 13, 14)
GROUPS = 2

NOBODY, ILLEGAL_TOKEN, BANNED = 10000, 10008, 10010
GONE, NOT_A_MEMBER = 20001, 20002


class Run:
    """A town of a few users with two devices each, and what was sent in it.

    Of each user the first device states its cursors at its first attach and has all by frames; the second one starts
    at *delivered* and asks REST for the rest.
    """

    def __init__(self, town: Town) -> None:
        self.town = town
        self.phones = [BarePhone(town, user, number, asks=number == 2) for user in USERS for number in (1, 2)]
        self.groups: list[int] = []
        self.owners: dict[int, int] = {}
        """Of groups and chatrooms."""
        self.sent: list[tuple[int, int, int]] = []
        """Message, sender, target."""
        self.locks = [asyncio.Lock() for _ in self.phones]

    async def begin(self) -> None:
        """Everybody is here at first, and two groups and a chatroom are."""
        for owner in USERS[:GROUPS]:
            await self.create(owner, [USERS[2]])
        await self.create_room(USERS[1])
        for phone in self.phones:
            await phone.on()

    async def create(self, owner: int, members: list[int]) -> int:
        group = await self.town.group(owner, *members)
        self.groups.append(group)
        self.owners[group] = owner
        return group

    async def create_room(self, owner: int) -> None:
        room = await self.town.people[owner].group(kind=2)
        self.town.rooms.append(room)
        self.owners[room] = owner

    def user(self, index: int) -> int:
        """Somebody who is still there: this one, or the next."""
        there = [user for user in USERS[index:] + USERS[:index] if user not in self.town.erased]
        return there[0]

    def caller(self, index: int) -> Caller:
        return self.town.people[self.user(index)]

    def phone(self, index: int) -> BarePhone | None:
        """A device, while its user is there."""
        phone = self.phones[index]
        return None if phone.user in self.town.erased else phone

    def group(self, index: int) -> int:
        """The newest groups first, so that most operations meet a group that is alive."""
        return self.groups[-1 - index % len(self.groups)]

    def room(self, index: int) -> int:
        """The newest chatrooms first."""
        rooms = self.town.rooms
        return rooms[-1 - index % len(rooms)]

    def outside(self, party: int) -> list[int]:
        """What is answered to one who has nothing to say in a group."""
        return [] if party < len(USERS) else [GONE, NOT_A_MEMBER, BANNED]

    def owner(self, group: int) -> Caller:
        """Whoever owns a group or chatroom; where it has ended with its owner, somebody who is still there."""
        owner = self.owners[group]
        return self.caller(0) if owner in self.town.erased else self.town.people[owner]

    def party(self, index: int) -> int:
        return USERS[index] if index < len(USERS) else self.group(index - len(USERS))

    def nobody(self, *users: int) -> list[int]:
        """What is answered where a user is named who is no more."""
        return [NOBODY] if self.town.erased.intersection(users) else []

    def there(self, users: list[int]) -> list[int]:
        """Those of them who are still there."""
        return [user for user in users if user not in self.town.erased]

    def left(self, group: int) -> list[int]:
        """What is answered of a group's messages to somebody else, where it has ended with its owner."""
        return [NOT_A_MEMBER, BANNED] if self.owners[group] in self.town.erased else []

    async def send(self, caller: Caller, body: dict[str, Any], *refusals: int) -> None:
        self.note(await caller.post("/message/send", body), caller.xid, body["targets"], *refusals)

    def note(self, answer: Answer, sender: int, targets: list[int], *refusals: int) -> None:
        assert answer.code in (200, *refusals, *self.nobody(sender, *targets)), answer.envelope
        self.add(answer.envelope.get("msg_ids", ()), sender, targets)

    def add(self, ids: list[int], sender: int, targets: list[int]) -> None:
        self.sent += [(msg_id, sender, target) for msg_id, target in zip(ids, targets, strict=False)]

    async def play(self, name: str, *arguments: Any) -> None:
        await OPERATIONS[name][0](self, *arguments)

    async def jobs_done(self) -> None:
        await until(lambda: not self.town.node.gateway.jobs._running, "the end of all jobs")

    async def come_home(self) -> None:
        """Bring every device back from wherever it was, acking as a client should, once all that is due is done."""
        await self.jobs_done()
        await self.town.node.gateway.retention.expire()
        for phone in self.phones:
            if phone.user not in self.town.erased:
                phone.acks = True
                # Whoever is on and has never acked gets its windows opened again.
                await phone.ack(1.0)
                await phone.on()


Operation = Callable[..., Awaitable[None]]
OPERATIONS: dict[str, tuple[Operation, tuple[st.SearchStrategy[Any], ...]]] = {}

users = st.integers(0, len(USERS) - 1)
some = st.lists(st.sampled_from(USERS), min_size=1, max_size=3, unique=True)
groups = st.integers(0, GROUPS - 1)
anyone = st.integers(0, len(USERS) + GROUPS - 1)
phones = st.integers(0, 2 * len(USERS) - 1)
back = st.integers(0, 8)


ALONE = frozenset({"freeze", "hand_over", "restart", "erase"})
"""Operations that no other may meet: they end what the others need."""


def operation(*strategies: st.SearchStrategy[Any]) -> Callable[[Operation], Operation]:
    def register(function: Operation) -> Operation:
        OPERATIONS[function.__name__] = (function, strategies)
        return function

    return register
