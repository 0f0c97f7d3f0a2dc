"""Sends of what is not stored (lanying.md, online_only): judged like others, and handed to whoever is connected."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.core.ephemeral import Answered, Ephemeral
from gateway.core.judging import Judging
from gateway.core.order import Order, digest_of
from gateway.core.pacing import Pacing
from gateway.core.placing import Placing, Remainder
from gateway.core.principal import Principal
from gateway.core.repeats import Sent, conflict, noted, same
from gateway.domain.errors import Problem
from gateway.domain.model import Message, Side
from gateway.store.base import Party, Store

TellSent = Callable[[tuple[int, int] | Problem | None], None]
"""Hears what has become of a send: its first and last `msg_id`, why it failed, or None: nothing is done, ask `send`."""


class Handing:
    """Hands over what a principal sends `online_only`. Every method raises `Problem` for what is refused."""

    def __init__(
        self,
        store: Store,
        ephemeral: Ephemeral,
        judging: Judging,
        placing: Placing,
        pacing: Pacing,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._ephemeral = ephemeral
        self._judging = judging
        self._placing = placing
        self._pacing = pacing
        self._now = clock_ms

    async def send(
        self,
        principal: Principal,
        order: Order,
        sender: int,
        device_sn: int,
        *,
        notice: bool,
        admitted: bool = False,
    ) -> Sent:
        """Hand a message to whoever is connected; a repeat is answered like the first, as long as that is known."""
        app, key = principal.app, order.key
        digest = digest_of(order, notice=notice) if key else ""
        if key and (known := self._ephemeral.answered(app, sender, key)) is not None:
            return same(known, digest, key)
        if key and await self._store.transaction(app.id, sender, key) is not None:
            raise conflict(key)
        if app.limits.sends_per_s and not admitted:
            self._judging.check(principal, order, notice=notice)
            await self._pacing.turn(app, order.messages)
        left, parties = await self._judge_partial(principal, order, sender, notice=notice)
        if left.order is None:
            return Sent(0, 0, (), whys=left.whys)
        targets = left.order.targets
        first = self._ephemeral.next_ids(len(targets)) or await self._ephemeral.take_ids(len(targets))
        # From here on nothing waits, so that of two who ask at the same time one is the repeat.
        if key and (known := self._ephemeral.answered(app, sender, key)) is not None:
            return same(known, digest, key)
        sent = Sent(first, first + len(targets) - 1, targets, self._now(), left.whys)
        if key:
            told = noted(digest, order.targets, left.whys)
            self._ephemeral.remember(
                app, sender, key, Answered(told, sent.first_msg_id, sent.last_msg_id, sent.at)
            )
        self._pass_on(left.order, sender, device_sn, sent, parties, notice=notice)
        return sent

    def begin(self, principal: Principal, order: Order, sender: int, tell: TellSent, *, notice: bool) -> bool:
        """Hand a message over now, where all that decides about it is known; a repeat is looked for in the store."""
        if order.key or order.expire_s:
            return False
        parties = self._judging.known(principal.app, order, sender, notice=notice)
        first = 0 if parties is None else self._ephemeral.next_ids(len(order.targets))
        if parties is None or not first:
            return False
        sent = Sent(first, first + len(order.targets) - 1, order.targets, self._now())
        self._pass_on(order, sender, 0, sent, parties, notice=notice)
        tell((sent.first_msg_id, sent.last_msg_id))
        return True

    def _pass_on(
        self,
        order: Order,
        sender: int,
        device_sn: int,
        sent: Sent,
        parties: Sequence[Party | None],
        *,
        notice: bool,
    ) -> None:
        """Hand a message to whoever is connected; `parties` are its sender and targets."""
        from_party, *targets = parties
        message = Message(
            msg_id=sent.first_msg_id,
            scope=order.scope,
            sender_xid=sender,
            sender_sn=device_sn,
            target_xid=order.targets[0],
            ctype=order.ctype,
            content=order.content,
            attachment=order.attachment,
            config=order.config,
            ext=order.ext,
            at=sent.at,
            notice=notice,
        )
        copied = (order.copied or order.side is Side.SENDER) and not (notice or order.side is Side.RECEIVER)
        if order.side is Side.SENDER:
            targets = [
                target if xid == sender else None for xid, target in zip(order.targets, targets, strict=True)
            ]
        self._ephemeral.hand_over(message, order.targets, targets, from_party if copied else None)

    async def _judge_partial(
        self, principal: Principal, order: Order, sender: int, *, notice: bool
    ) -> tuple[Remainder, Sequence[Party | None]]:
        """Judge what is not stored; return what is left of the order, and who sender and targets are."""
        left = self._placing.begin(principal.app, order)
        while left.order is not None:
            try:
                return left, await self._judging.ephemeral(principal, left.order, sender, notice=notice)
            except Problem as problem:
                left = await self._placing.leave_out(principal.app, sender, left, problem)
        return left, ()
