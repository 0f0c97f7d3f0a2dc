"""Signals: what goes to whoever is online and is never stored, such as that somebody is typing (design §6)."""

from __future__ import annotations

import msgspec

from gateway.core.connection import Connection
from gateway.core.messaging import Messaging
from gateway.core.notes import Notes
from gateway.core.order import Order
from gateway.core.principal import Principal
from gateway.domain.errors import Problem
from gateway.domain.model import Ctype, Scope
from gateway.store.base import Party
from gateway.wire.frames import Told


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A signal as a device asks for it, within range, but not judged."""

    scope: Scope
    target: int
    content: str


class Signals:
    """Carries signals between devices, at most once: a device that lags loses them, as it does receipts."""

    def __init__(self, messaging: Messaging, notes: Notes) -> None:
        self._messaging = messaging
        self._notes = notes

    async def send(self, principal: Principal, connection: Connection, signal: Signal) -> None:
        """Tell a user's devices and the sender's others, or those of a group's members.

        Where nobody is online nothing happens: in particular no user comes to be by being signalled. Raises
        `Problem` where a message would be refused.
        """
        me, notes = principal.user, self._notes
        target = await self._judge(principal, signal)
        if target is not None and target.scope is Scope.GROUP:
            notes.tell_followers(target.id, _told(signal.target, connection, signal), but=connection)
            return
        if target is not None and target.id != me.id:
            notes.tell(target.id, _told(me.xid, connection, signal))
        notes.tell(me.id, _told(signal.target, connection, signal), but=connection.device_sn)

    async def _judge(self, principal: Principal, signal: Signal) -> Party | None:
        """Judge a signal as a message that is not stored; return who gets it, None where there is nobody yet."""
        # Of a command nothing is asked but who sends it to whom.
        order = Order(
            scope=signal.scope, targets=(signal.target,), ctype=Ctype.COMMAND, content="", online_only=True
        )
        try:
            [_, target] = await self._messaging.judge_ephemeral(principal, order, principal.user.xid)
        except Problem as problem:
            # Its one target is another member here than the many of a message.
            sentence = problem.sentence.replace("targets:", "target:", 1)
            raise Problem(problem.kind, sentence, retry_after_ms=problem.retry_after_ms) from problem
        return target


def _told(conversation_xid: int, connection: Connection, signal: Signal) -> Told:
    return Told(
        "signal",
        conversation_id=conversation_xid,
        uid=connection.user.xid,
        device_sn=connection.device_sn,
        content=signal.content,
    )
