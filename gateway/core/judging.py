"""The rules of a send (design §4): what it may hold, who may send it to whom, and where that is known already."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.core.facts import FactsBook
from gateway.core.known import Known
from gateway.core.order import Order
from gateway.core.principal import Principal
from gateway.core.reach import Reach
from gateway.core.space import check_space
from gateway.domain import rules
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import RELATING, ROOM, App, Scope
from gateway.store.base import Party, Store

_USER = Scope.USER
"""Looked up once: a member of an enum takes longer to find than anything else in a line of the hot path."""

_SILENCED = {
    Kind.BANNED: "{} is banned",
    Kind.ALL_BANNED: "only the owner, administrators and who is trusted may speak",
    Kind.GROUP_DISABLED: "nobody may speak",
}


class Judging:
    """Judges what is to be sent, for a principal. Every method raises `Problem` for what is refused.

    What goes to users and is stored, the store judges itself.
    """

    def __init__(self, store: Store, limits: Limits, clock_ms: Callable[[], int], known: Known) -> None:
        self._store = store
        self._limits = limits
        self._now = clock_ms
        self.facts = FactsBook(store, limits, known)
        self._reach = Reach(known)

    def check(self, principal: Principal, order: Order, *, notice: bool) -> None:
        """Check all that needs no looking up."""
        rules.check_body(order.ctype, order.content, order.attachment, order.ext, order.config, self._limits)
        if order.ctype >= RELATING or order.related:
            rules.check_related(
                order.ctype, order.related, len(order.receivers), online_only=order.online_only, notice=notice
            )
        app = principal.app
        if app.limits.message_bytes_max:
            check_size(app, order)
        if principal.group_xid:
            for target in order.targets:
                principal.confine(target, "targets")
        if order.scope is _USER and app.system_xid in order.targets and not order.partial:
            raise Problem(Kind.FORBIDDEN, "targets: the app's reserved user receives nothing")
        if order.only and (
            order.scope is not Scope.GROUP
            or len(order.targets) > 1
            or len(order.only) > self._limits.targets_max
            or order.online_only
            or notice
        ):
            raise bad("targets", "only a message to one group goes to some of its members")
        if order.unjudged and not principal.admin_alone:
            raise Problem(Kind.FORBIDDEN, "only an app admin sends what is not judged")
        if order.side and (
            order.scope is not _USER or notice or (order.from_xid or principal.user.xid) == app.system_xid
        ):
            raise bad("side", "only what one user says to another has two sides")
        if (order.over_ban or order.over_ban_all) and not principal.admin:
            raise Problem(Kind.FORBIDDEN, "only an app admin sends what no ban stops")
        if order.hide_from and (
            order.scope is not Scope.GROUP
            or order.only
            or order.online_only
            or len(order.hide_from) > self._limits.hide_from_max
        ):
            raise bad(
                "hide_from", f"a stored message to groups is hidden, from {self._limits.hide_from_max} users"
            )

    async def admit(self, principal: Principal, order: Order, sender: int, count: int) -> None:
        """Judge what goes to so many users, before they are there: all but what the store judges them by."""
        self.check(principal, order, notice=False)
        app = principal.app
        refused = await self._store.may_message(
            app.id, sender, (), create=not app.registered, blocks=False, frozen=order.unjudged
        )
        if refused is not None:
            raise Problem(refused.kind, refused.sentence)
        if not order.online_only:
            texts = order.content, order.attachment, order.ext, order.config
            await check_space(self._store, app, count, *texts)

    async def in_groups(
        self, principal: Principal, order: Order, sender: int, *, notice: bool
    ) -> tuple[int, ...]:
        """Judge a group send; return the versions of the facts it was judged by."""
        now = self._now()
        free = notice or order.unjudged
        if free and (known := self.facts.versions(principal.app, order.targets)) is not None:
            return known
        facts = await self.facts.of(principal.app, order.targets, sender, now)
        versions = []
        for target, fact in zip(order.targets, facts, strict=True):
            if fact is None:
                raise Problem(Kind.GROUP_UNKNOWN, f"targets: there is no group {target}")
            if not free and not fact.member:
                if fact.type == ROOM:
                    raise Problem(Kind.GROUP_BLOCKED, f"targets: chatroom {target} keeps {sender} out")
                raise Problem(Kind.NOT_A_MEMBER, f"targets: {sender} is not a member of group {target}")
            why = rules.silence(fact, now, over_ban=order.over_ban, over_ban_all=order.over_ban_all)
            if not free and why is not None:
                raise Problem(why, f"targets: {_SILENCED[why].format(sender)} in group {target}")
            versions.append(fact.version)
        return tuple(versions)

    def known_groups(self, app: App, order: Order, sender: int, *, notice: bool) -> tuple[int, ...] | None:
        """Judge a group send as `in_groups` does, where it is known to be let pass; None: that is to be asked."""
        if notice or order.unjudged:
            return self.facts.versions(app, order.targets)
        return self.facts.versions_for(app, order.targets, sender)

    async def ephemeral(
        self, principal: Principal, order: Order, sender: int, *, notice: bool = False
    ) -> Sequence[Party | None]:
        """Judge by the rules of a send what is not stored; return who sender and targets are, in this order.

        None: nobody yet, in an open app. Whom the store has let pass before passes by what is known since, and waits
        for nothing; a no is the store's each time.
        """
        self.check(principal, order, notice=notice)
        if order.expire_s:
            raise bad("expire_s", "what is online_only is not stored")
        app = principal.app
        known = self.known(app, order, sender, notice=notice)
        if known is not None:
            return known
        if order.scope is Scope.GROUP:
            self.facts.forget(app.id, order.targets, sender)
            await self.in_groups(principal, order, sender, notice=notice)
        blocks = _stoppable(app, order, sender, notice=notice)
        changes = self._reach.changes
        users = order.targets if order.scope is Scope.USER else ()
        refused = await self._store.may_message(
            app.id, sender, users, create=not app.registered, blocks=blocks, frozen=order.unjudged
        )
        if refused is not None:
            raise Problem(refused.kind, refused.sentence)
        parties = await self._store.parties(app.id, (sender, *order.targets))
        self._reach.note(app, parties[: 1 + len(users)], changes, blocks=blocks, frozen=order.unjudged)
        return parties

    def known(self, app: App, order: Order, sender: int, *, notice: bool) -> Sequence[Party | None] | None:
        """Sender and targets of what is not stored, where all of them are known to be reached."""
        if order.scope is _USER:
            blocks = _stoppable(app, order, sender, notice=notice)
            return self._reach.find(app, sender, order.targets, blocks=blocks, frozen=order.unjudged)
        by = self._reach.find(app, sender, (), blocks=False, frozen=order.unjudged)
        if notice or order.unjudged:
            groups = self.facts.standing(app, order.targets)
        else:
            groups = self.facts.open_to(app, order.targets, sender, self._now())
        if by is None or groups is None:
            return None
        ids = zip(groups, order.targets, strict=True)
        return [*by, *(Party(group_id, xid, Scope.GROUP) for group_id, xid in ids)]


def check_size(app: App, order: Order) -> None:
    """Check an app's own bound of a message, whoever it goes to."""
    if app.limits.message_bytes_max:
        rules.check_together(
            order.content, order.attachment, order.ext, order.config, app.limits.message_bytes_max
        )


def _stoppable(app: App, order: Order, sender: int, *, notice: bool) -> bool:
    """Whether a block stops what is not stored."""
    return not (notice or order.unjudged) and sender != app.system_xid
