"""Signals: what goes to whoever is online and is never stored, such as that somebody is typing (design §6)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.core.connection import Connection
from gateway.core.hub import Hub
from gateway.core.principal import Principal
from gateway.domain import rules
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import Scope
from gateway.store.base import Store
from gateway.wire.frames import Told


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A signal as a device asks for it, within range, but not judged."""

    scope: Scope
    target: int
    content: str


class Signals:
    """Carries signals between devices, at most once: a device that lags loses them, as it does receipts."""

    def __init__(self, store: Store, hub: Hub, clock_ms: Callable[[], int]) -> None:
        self._store = store
        self._now = clock_ms
        self._hub = hub

    async def send(self, principal: Principal, connection: Connection, signal: Signal) -> None:
        """Tell a user's devices and the sender's others, or those of a group's members; raises `Problem`.

        Where nobody is online nothing happens: in particular no user comes to be by being signalled.
        """
        me, hub = principal.user, self._hub
        if signal.scope is Scope.GROUP:
            group_id = await self._group(principal, signal.target)
            hub.tell_followers(group_id, _told(signal.target, connection, signal), but=connection)
            return
        user_id = await self._user(principal, signal.target)
        if user_id not in (0, me.id):
            hub.tell(user_id, _told(me.xid, connection, signal))
        hub.tell(me.id, _told(signal.target, connection, signal), but=connection.device_sn)

    async def _group(self, principal: Principal, xid: int) -> int:
        """Judge a signal to a group as a send to it; return its timeline's id."""
        # Read anew, for no store will refuse what old facts allow.
        [facts] = await self._store.facts(principal.app.id, [xid], principal.user.xid)
        if facts is None:
            raise Problem(Kind.GROUP_UNKNOWN, f"target: there is no group {xid}")
        if not facts.member:
            raise Problem(Kind.NOT_A_MEMBER, f"target: {principal.user.xid} is not a member of group {xid}")
        why = rules.silence(facts, self._now())
        if why is not None:
            raise Problem(why, f"target: {principal.user.xid} may not speak in group {xid} now")
        return facts.group_id

    async def _user(self, principal: Principal, xid: int) -> int:
        """Judge a signal to a user as a send; return the id, 0 where no such user has been yet."""
        app = principal.app
        if xid == app.system_xid:
            raise Problem(Kind.FORBIDDEN, "target: the app's reserved user receives nothing")
        refused = await self._store.may_message(app.id, principal.user.xid, [xid], create=not app.registered)
        if refused is not None:
            # Its one target is another member here than the many of a message.
            raise Problem(refused.kind, refused.sentence.replace("targets:", "target:", 1))
        party = await self._store.party(app.id, xid)
        return 0 if party is None else party.id


def _told(conversation_xid: int, connection: Connection, signal: Signal) -> Told:
    return Told(
        "signal",
        conversation_id=conversation_xid,
        uid=connection.user.xid,
        device_sn=connection.device_sn,
        content=signal.content,
    )
