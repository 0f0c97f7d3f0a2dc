"""Sends that say of each target which message it got, and leave out whom nothing reaches (`Order.partial`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

import msgspec

from gateway.core.order import Order
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


class Left(msgspec.Struct, frozen=True):
    """What is left of an order (None: nothing, for nobody is reached), and why the others are left out."""

    order: Order | None
    whys: dict[int, Kind]


class Sent(msgspec.Struct, frozen=True):
    """What has become of a send, and when (ms; 0: not known here); both ids 0: nobody was left to send it to.

    `receivers` got a message each, in this order; None: who did is not known here. `whys` says the same of the others.
    """

    first_msg_id: int
    last_msg_id: int
    receivers: tuple[int, ...] | None
    at: int = 0
    whys: dict[int, Kind] | None = None


class Placing:
    """Finds out which targets of a send are reached, and which message each of them got."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, app: App, order: Order) -> Left:
        """What there is to be sent at first: the reserved user is the only one who is known to receive nothing."""
        if order.partial and order.scope is Scope.USER and app.system_xid in order.targets:
            return _without(order, {app.system_xid: Kind.FORBIDDEN}, {})
        return Left(order, {})

    async def leave_out(self, app: App, sender: int, left: Left, problem: Problem) -> Left:
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

    async def placements(self, app: App, sender: int, order: Order, sent: Sent) -> list[Placement]:
        """Say which message each target of an order got, and when, in the order named.

        A repeat is told as `placed_before` tells it.
        """
        xids = order.receivers
        if sent.first_msg_id and not sent.at:
            return await self.placed_before(app, sender, order, sent, xids)
        found = dict(zip(sent.receivers or (), count(sent.first_msg_id), strict=False))
        whys = sent.whys
        missing = [xid for xid in xids if xid not in found]
        if missing and whys is None:
            whys = await self._whys_now(app, sender, order, missing)
        return [
            Placement(xid, found[xid], sent.at) if xid in found else Placement(xid, 0, 0, (whys or {})[xid])
            for xid in xids
        ]

    async def timed(self, app: App, sent: Sent) -> Sent:
        """An earlier send with its time, as what is kept of it tells that."""
        kept = await self._store.targets(app.id, sent.first_msg_id, sent.last_msg_id)
        return msgspec.structs.replace(sent, at=_time(kept))

    async def placed_before(
        self, app: App, sender: int, order: Order, sent: Sent, called: Sequence[int]
    ) -> list[Placement]:
        """Say which message each of those got whom an earlier send named, in the order named, and when.

        `called`: who has each name now, 0 for nobody: whoever was deleted has none. Where all who were named got one,
        each is told its own by its place; of a partial send only those whose names are still theirs, and what
        retention has removed since is told like a target that was left out. Why one was is judged anew:
        `MESSAGE_UNKNOWN` where nothing is against it now, `USER_UNKNOWN` for nobody.
        """
        at, ids = sent.at, count(sent.first_msg_id)
        kept = {xid: (msg_id, at) for xid, msg_id in zip(sent.receivers or (), ids, strict=False)}
        if not kept:
            kept = await self._store.targets(app.id, sent.first_msg_id, sent.last_msg_id)
            at = _time(kept)
        if sent.last_msg_id - sent.first_msg_id + 1 == len(called):
            return [
                Placement(xid, msg_id, at)
                for xid, msg_id in zip(called, count(sent.first_msg_id), strict=False)
            ]
        missing = [xid for xid in called if xid and xid not in kept]
        whys = {0: Kind.USER_UNKNOWN}
        if missing:
            whys |= await self._whys_now(app, sender, order, missing)
        return [
            Placement(xid, kept[xid][0], at) if xid in kept else Placement(xid, 0, 0, whys[xid])
            for xid in called
        ]

    async def _whys_now(self, app: App, sender: int, order: Order, xids: Sequence[int]) -> dict[int, Kind]:
        whys = dict.fromkeys(xids, Kind.MESSAGE_UNKNOWN)
        try:
            whys |= await self._whys(app, sender, order, xids)
        except Problem as problem:
            # The whole group has gone since.
            whys = dict.fromkeys(xids, problem.kind)
        if app.system_xid in whys and order.scope is Scope.USER:
            whys[app.system_xid] = Kind.FORBIDDEN
        return whys


def _time(kept: Mapping[int, tuple[int, int]]) -> int:
    """When messages were sent that are kept of one send, which have one time; 0 where none is."""
    return next((at for _, at in kept.values()), 0)


def none_left(order: Order) -> Problem:
    """Say that none of the targets of an order is there."""
    kind = Kind.USER_UNKNOWN if order.scope is Scope.USER or order.only else Kind.GROUP_UNKNOWN
    return Problem(kind, "targets: none of them is there")


def _without(order: Order, whys: dict[int, Kind], before: dict[int, Kind]) -> Left:
    there = tuple(xid for xid in order.receivers if xid not in whys)
    name = "only" if order.only else "targets"
    return Left(msgspec.structs.replace(order, **{name: there}) if there else None, before | whys)
