"""Sends that say of each target which message it got, and leave out whom there is not (`Order.partial`)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import msgspec

from gateway.core.order import Order
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import App, Scope, State, User
from gateway.store.base import Store

ABSENT = frozenset({Kind.BAD_PARAMETER, Kind.USER_UNKNOWN, Kind.GROUP_UNKNOWN, Kind.NOT_A_MEMBER})
"""As what a target is refused that is not there, or is no longer."""


class Placement(msgspec.Struct, frozen=True):
    """What one target got, and when it was sent (ms); `msg_id` and `at` 0: nothing, and `why`."""

    xid: int
    msg_id: int
    at: int = 0
    why: Kind | None = None


class Sent(msgspec.Struct, frozen=True):
    """What has become of a send. `receivers` got a message each, in this order; None: who did is not known here."""

    first_msg_id: int
    last_msg_id: int
    receivers: tuple[int, ...] | None


class Placing:
    """Finds out which targets of a send are there, and which message each of them got."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def leave_out(self, app: App, order: Order, problem: Problem) -> Order:
        """What is left of an order that was refused with this problem, without the targets that are not there.

        Raises the problem where none of them is to blame, `USER_UNKNOWN` or `GROUP_UNKNOWN` where none is left.
        """
        if not order.partial or problem.kind not in ABSENT:
            raise problem
        there = await self._there(app, order)
        if len(there) == len(order.receivers):
            raise problem
        if not there:
            kind = Kind.USER_UNKNOWN if order.scope is Scope.USER or order.only else Kind.GROUP_UNKNOWN
            raise Problem(kind, "targets: none of them is there")
        if order.only:
            return msgspec.structs.replace(order, only=there)
        return msgspec.structs.replace(order, targets=there)

    async def _there(self, app: App, order: Order) -> tuple[int, ...]:
        """Return the targets of an order that a message can go to, in their order."""
        if order.only:
            return await self._members(app, order.targets[0], order.only)
        if order.scope is Scope.GROUP:
            groups = await self._store.groups(app.id, order.targets)
            return tuple(xid for xid in order.targets if xid in groups)
        users = await self._store.find_users(app.id, order.targets)

        def exists(xid: int) -> bool:
            found = users.get(xid)
            if isinstance(found, User):
                return found.state is not State.DELETED
            return found is None and not app.registered

        return tuple(xid for xid in order.targets if exists(xid))

    async def _members(self, app: App, group_xid: int, xids: tuple[int, ...]) -> tuple[int, ...]:
        members = []
        for xid in xids:
            [facts] = await self._store.facts(app.id, [group_xid], xid)
            if facts is None:
                raise Problem(Kind.GROUP_UNKNOWN, f"targets: there is no group {group_xid}")
            if facts.member:
                members.append(xid)
        return tuple(members)

    async def placements(self, app: App, order: Order, sent: Sent) -> list[Placement]:
        """Say which message each target of an order got, in the order named.

        Of a repeat that is told by what is kept of it: what retention has removed since is told like a target that was
        not there, unless all were.
        """
        xids = order.receivers
        receivers = sent.receivers
        if receivers is None and sent.last_msg_id - sent.first_msg_id + 1 == len(xids):
            receivers = xids
        if receivers is None:
            found = await self._store.targets(app.id, sent.first_msg_id, sent.last_msg_id)
        else:
            found = dict(zip(receivers, count(sent.first_msg_id), strict=False))
        return [Placement(xid, found.get(xid, 0)) for xid in xids]

    async def placed_before(self, app: App, sent: Sent, called: Sequence[int]) -> list[int]:
        """Say which message each of those got whom an earlier send named, in the order named; 0: none that is known.

        `called`: who has each name now, 0 for nobody: whoever was deleted has none. Where all who were named got one,
        each is told its own by its place; of a partial send only those whose names are still theirs.
        """
        if sent.last_msg_id - sent.first_msg_id + 1 == len(called):
            return list(range(sent.first_msg_id, sent.last_msg_id + 1))
        found = await self._store.targets(app.id, sent.first_msg_id, sent.last_msg_id)
        return [found.get(xid, 0) for xid in called]
