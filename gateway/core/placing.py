"""Sends that say of each target which message it got, and leave out whom nothing reaches (`Order.partial`)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import msgspec

from gateway.core.order import Order
from gateway.core.repeats import Sent
from gateway.domain.drafts import Refused
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import App, Scope
from gateway.store.base import Store

_LEFT_OUT = frozenset(
    {Kind.BAD_PARAMETER, Kind.USER_UNKNOWN, Kind.GROUP_UNKNOWN, Kind.NOT_A_MEMBER, Kind.BLOCKED}
)
"""As what a target is refused that is not there, or is no longer, or that a block keeps from its sender."""


class Placement(msgspec.Struct, frozen=True):
    """What one target got, and when it was sent (ms); `msg_id` and `at` 0: nothing, and `why`."""

    xid: int
    msg_id: int
    at: int = 0
    why: Kind | None = None


class Remainder(msgspec.Struct, frozen=True):
    """What is left of an order (None: nothing, for nobody is reached), and why the others are left out."""

    order: Order | None
    whys: dict[int, Kind]


class Placing:
    """Finds out which targets of a send are reached, and which message each of them got."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, app: App, order: Order) -> Remainder:
        """What there is to be sent at first: nobody, and the reserved user, are known to receive nothing."""
        if not order.partial:
            return Remainder(order, {})
        to_users = order.scope is Scope.USER
        whys = {}
        if 0 in order.receivers:
            whys[0] = Kind.USER_UNKNOWN if to_users or order.only else Kind.GROUP_UNKNOWN
        if to_users and app.system_xid in order.targets:
            whys[app.system_xid] = Kind.FORBIDDEN
        return _without(order, whys, {}) if whys else Remainder(order, {})

    async def leave_out(self, app: App, sender: int, left: Remainder, problem: Problem) -> Remainder:
        """What is left of what was refused with this problem, without the targets that are refused.

        Raises the problem where none of them is to blame, and `none_left` where nothing was to be judged.
        """
        order = left.order
        if order is None or not order.partial or problem.kind not in _LEFT_OUT:
            raise problem
        whys = await self._whys(app, sender, order, order.receivers)
        if not whys:
            raise problem
        found = _without(order, whys, left.whys)
        if found.order is None and order.unjudged:
            raise none_left(order)
        return found

    async def _whys(self, app: App, sender: int, order: Order, xids: Sequence[int]) -> dict[int, Kind]:
        """Say why some of these receivers of an order are refused; none where its sender is."""
        if order.only:
            return await self._strangers(app, sender, order, xids)
        if order.scope is Scope.GROUP:
            groups = await self._store.groups(app.id, xids)
            return {xid: Kind.GROUP_UNKNOWN for xid in xids if xid not in groups}
        blocks = not order.unjudged and sender != app.system_xid
        found = await self._store.unreachable(
            app.id, sender, xids, create=not app.registered, blocks=blocks, frozen=order.unjudged
        )
        return {} if isinstance(found, Refused) else found

    async def _strangers(self, app: App, sender: int, order: Order, xids: Sequence[int]) -> dict[int, Kind]:
        """Say who is not in the one group of an order; nobody where it is the sender who is not."""
        [group_xid] = order.targets
        strangers = []
        for xid in (*xids, sender):
            [facts] = await self._store.facts(app.id, [group_xid], xid)
            if facts is None:
                raise Problem(Kind.GROUP_UNKNOWN, f"targets: there is no group {group_xid}")
            if not facts.member:
                strangers.append(xid)
        if strangers and strangers[-1] == sender and not order.unjudged:
            return {}
        return {xid: Kind.NOT_A_MEMBER for xid in xids if xid in strangers}

    async def timed(self, app: App, sent: Sent) -> Sent:
        """A send with its time, as what is kept of it tells that where it is not known."""
        if sent.at or not sent.first_msg_id:
            return sent
        kept = await self._store.targets(app.id, sent.first_msg_id, sent.last_msg_id)
        return msgspec.structs.replace(sent, at=next((at for _, at in kept.values()), 0))


def placements(order: Order, sent: Sent) -> list[Placement]:
    """Say which message each target of an order got, and when, in the order named; of a repeat, as at first."""
    if sent.receivers is None:
        return placed_before(sent, order.receivers)
    found = {xid: msg_id for msg_id, xid in enumerate(sent.receivers, sent.first_msg_id)}
    return [
        Placement(xid, found[xid], sent.at) if xid in found else Placement(xid, 0, 0, sent.whys[xid])
        for xid in order.receivers
    ]


def placed_before(sent: Sent, called: Sequence[int]) -> list[Placement]:
    """Say the same of an earlier send. `called`: who those are now whom it named then, 0 for nobody."""
    ids = count(sent.first_msg_id)
    places = sent.places or [None] * len(called)
    return [
        Placement(xid, 0, 0, why) if why else Placement(xid, next(ids), sent.at)
        for xid, why in zip(called, places, strict=True)
    ]


def none_left(order: Order) -> Problem:
    """Say that none of the targets of an order is there."""
    kind = Kind.USER_UNKNOWN if order.scope is Scope.USER or order.only else Kind.GROUP_UNKNOWN
    return Problem(kind, "targets: none of them is there")


def _without(order: Order, whys: dict[int, Kind], before: dict[int, Kind]) -> Remainder:
    there = tuple(xid for xid in order.receivers if xid not in whys)
    name = "only" if order.only else "targets"
    return Remainder(msgspec.structs.replace(order, **{name: there}) if there else None, before | whys)
