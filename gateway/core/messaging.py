"""Sending, notifying and recalling: the rules (design §4). What goes to whom once it is committed: `announcing`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from gateway.core.ephemeral import Answered, Ephemeral
from gateway.core.handing import Handing, TellSent
from gateway.core.imports import ImportOrder, Imports
from gateway.core.judging import Judging, check_size
from gateway.core.known import Known
from gateway.core.order import Order, digest_of
from gateway.core.pacing import Pacing
from gateway.core.placing import Placement, Placing, none_left, placements
from gateway.core.principal import Principal
from gateway.core.recalls import JUDGE_TRIES, Recalls, TakenBack, restless, unknown
from gateway.core.receipts import Receipts
from gateway.core.repeats import Sent, conflict, noted, same
from gateway.core.writer import Writer
from gateway.domain import rules
from gateway.domain.drafts import (
    Answer,
    Appended,
    Changed,
    Imported,
    MessageDraft,
    Refused,
    Repeated,
    Stale,
    Started,
    Stepped,
)
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import App, Request, Scope, Side, State
from gateway.store.base import Party, Remembered, Store

_REQUESTS = frozenset(map(int, Request))
_USER = Scope.USER
"""Looked up once: a member of an enum takes longer to find than anything else in a line of the hot path."""


class Messaging:
    """Sends, notifies and recalls for a principal. Every method raises `Problem` for what is refused."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        receipts: Receipts,
        ephemeral: Ephemeral,
        pacing: Pacing,
        limits: Limits,
        clock_ms: Callable[[], int],
        known: Known,
    ) -> None:
        self._store = store
        self._writer = writer
        self._receipts = receipts
        self._ephemeral = ephemeral
        self._pacing = pacing
        self._now = clock_ms
        self._judging = judging = Judging(store, limits, clock_ms, known)
        self._placing = placing = Placing(store)
        self._handing = Handing(store, ephemeral, judging, placing, pacing, clock_ms)
        self._recalls = Recalls(store, writer, clock_ms)
        self._imports = Imports(store, writer, limits, clock_ms)
        writer.on_change = judging.facts.heed

    async def send(self, principal: Principal, order: Order, device_sn: int = 0) -> tuple[int, int]:
        """Send to all targets or to none; return the first and last `msg_id` once they are committed.

        What is `online_only` is handed over instead. What asks for a READ or a recall is done, and answered with the
        message it is about.
        """
        sender = _sender(principal, order)
        if order.ctype in _REQUESTS:
            await self._request(principal, order, sender, device_sn)
            return order.related, order.related
        sent = await self._send(principal, order, sender, device_sn, notice=False)
        if not sent.first_msg_id:
            raise none_left(order)
        return sent.first_msg_id, sent.last_msg_id

    async def send_each(
        self, principal: Principal, order: Order, device_sn: int = 0, *, admitted: bool = False
    ) -> list[Placement]:
        """Send as `send` does; return which message each target got, in the order named, once they are committed.

        Of a `partial` order those are told with 0, and why, that are not there, or that a block keeps from the sender;
        it may be all of them, unless it is `unjudged`. A repeat is answered like the first.
        """
        if order.ctype in _REQUESTS:
            raise bad("content_type", f"{order.ctype} is about one message, and is not sent to each")
        sender = _sender(principal, order)
        sent = await self._send(principal, order, sender, device_sn, notice=False, admitted=admitted)
        return placements(order, await self._placing.timed(principal.app, sent))

    async def repeated(self, principal: Principal, order: Order) -> Sent | None:
        """What an order was answered with that this one repeats, its parties apart; None where it repeats none.

        For who must know before they look for its parties, who may be gone by now. Raises `TRANSACTION_CONFLICT`.
        """
        app, key = principal.app, order.key
        if not key:
            return None
        sender = _sender(principal, order)
        known: Remembered | Answered | None = self._ephemeral.answered(app, sender, key)
        known = known or await self._store.transaction(app.id, sender, key)
        if known is None:
            return None
        return await self._placing.timed(app, same(known, digest_of(order, notice=False), key))

    async def admit(self, principal: Principal, order: Order, count: int) -> None:
        """Let a send in that is to so many users, before they, or its sender, come into being by it.

        Once they are there it is sent as one that is `admitted`: its app's turn is not waited for again. Raises what it
        would be refused for whoever they are; its commit has the last word.
        """
        await self._judging.admit(principal, order, _sender(principal, order), count)
        if principal.app.limits.sends_per_s:
            await self._pacing.turn(principal.app, count)

    def judge_size(self, app: App, order: Order) -> None:
        """Raise what a send would be refused for by its app's bound, before anybody comes into being by it."""
        check_size(app, order)

    def begin(self, principal: Principal, order: Order, tell: TellSent, *, notice: bool = False) -> bool:
        """Begin a send that waits for its commit at the most; to groups, or `online_only`, where it is known to pass.

        `tell` hears of it then, or at once; no task is needed. False: it is another one, or one that is refused;
        nothing is done, and it is for `send` to do, or for `notify` where it is a `notice`.
        """
        app, key = principal.app, order.key
        sender = order.from_xid or principal.user.xid
        if (
            app.limits.sends_per_s
            or (not principal.admin_alone and (notice or sender != principal.user.xid))
            or order.partial
            or order.ctype in _REQUESTS
        ):
            return False
        try:
            self._judging.check(principal, order, notice=notice)
        except Problem:
            return False
        if order.online_only:
            return self._handing.begin(principal, order, sender, tell, notice=notice)
        judged = () if order.scope is _USER else self._judging.known_groups(app, order, sender, notice=notice)
        if judged is None or (key and self._ephemeral.answered(app, sender, key) is not None):
            return False
        digest = digest_of(order, notice=notice) if key else ""
        draft = self._draft(principal, order, sender, 0, digest, judged, notice=notice)
        told = partial(_tell_sent, tell, again=bool(key))
        try:
            self._writer.put(draft, partial(self._tell_judged, draft, told) if judged else told)
        except Problem as problem:
            tell(problem)
        return True

    def _tell_judged(
        self, draft: MessageDraft, tell: Callable[[Answer | Problem], None], answer: Answer | Problem
    ) -> None:
        """Tell what has become of a send to groups; what it was judged by may have changed meanwhile."""
        if type(answer) is Stale:
            groups = (draft.group_xid,) if draft.group_xid else draft.targets
            self._judging.facts.overtaken(draft.app, groups, draft.sender_xid)
        tell(answer)

    async def notify(self, principal: Principal, order: Order) -> tuple[int, int]:
        """Send a system notification: an admin alone may, and membership is not asked (lanying.md, notify)."""
        if not principal.admin:
            raise Problem(Kind.FORBIDDEN, "only an admin token may notify")
        if not principal.admin_alone:
            raise bad("user_id" if principal.as_user else "group_id", "this header is not for notifications")
        sent = await self._send(principal, order, order.from_xid or principal.user.xid, 0, notice=True)
        return sent.first_msg_id, sent.last_msg_id

    async def _send(
        self,
        principal: Principal,
        order: Order,
        sender: int,
        device_sn: int,
        *,
        notice: bool,
        admitted: bool = False,
    ) -> Sent:
        if order.online_only:
            return await self._handing.send(
                principal, order, sender, device_sn, notice=notice, admitted=admitted
            )
        app, key = principal.app, order.key
        digest = digest_of(order, notice=notice) if key else ""
        if key and self._ephemeral.answered(app, sender, key) is not None:
            raise conflict(key)
        refusal: Problem | None = None
        whys: Mapping[int, Kind] = {}
        try:
            self._judging.check(principal, order, notice=notice)
            if app.limits.sends_per_s and not admitted:
                await self._pacing.turn(app, order.messages)
            sent = await self._try_reached(principal, order, sender, device_sn, digest, notice=notice)
            if sent.first_msg_id:
                return sent
            whys = sent.whys
        except Problem as problem:
            refusal = problem
        # A repeat must get its first answer even where the rules would refuse it today (design §4).
        if key and (refusal is None or refusal.kind in rules.REFUSALS):
            known = await self._store.transaction(app.id, sender, key)
            if known is not None:
                return same(known, digest, key)
        if refusal is not None:
            raise refusal
        return Sent(0, 0, (), whys=whys)

    async def _try_reached(
        self, principal: Principal, order: Order, sender: int, device_sn: int, digest: str, *, notice: bool
    ) -> Sent:
        """Send to whom is reached of a `partial` order, which may be nobody, and of another one to all."""
        left = self._placing.begin(principal.app, order)
        for _ in range(JUDGE_TRIES):
            if left.order is None:
                return Sent(0, 0, (), whys=left.whys)
            try:
                told = noted(digest, order.receivers, left.whys)
                sent = await self._try(principal, left.order, sender, device_sn, told, notice=notice)
            except Problem as problem:
                left = await self._placing.leave_out(principal.app, sender, left, problem)
            else:
                if sent is not None:
                    return msgspec.structs.replace(sent, whys=left.whys) if left.whys else sent
        raise restless()

    async def _try(
        self, principal: Principal, order: Order, sender: int, device_sn: int, digest: str, *, notice: bool
    ) -> Sent | None:
        """Judge a send and have it committed; None where what it was judged by has changed meanwhile."""
        # Users need no judging.
        judged = (
            ()
            if order.scope is _USER
            else await self._judging.in_groups(principal, order, sender, notice=notice)
        )
        draft = self._draft(principal, order, sender, device_sn, digest, judged, notice=notice)
        match await self._writer.submit(draft):
            case Appended(first, received):
                return Sent(first, first + len(received) - 1, order.receivers, draft.at)
            case Repeated(first, last):
                app, key = principal.app, order.key
                known = await self._store.transaction(app.id, sender, key) if order.partial else None
                return same(known, digest, key) if known else Sent(first, last, None)
            case Refused(kind, sentence):
                raise Problem(kind, sentence)
            case Stale() | Imported() | Changed() | Started() | Stepped():
                self._judging.facts.overtaken(principal.app.id, order.targets, sender)
                return None

    def _draft(
        self,
        principal: Principal,
        order: Order,
        sender: int,
        device_sn: int,
        digest: str,
        judged: tuple[int, ...],
        *,
        notice: bool,
    ) -> MessageDraft:
        app, at = principal.app, self._now()
        theirs, side = not notice and sender != app.system_xid, order.side
        # What every draft has by its place: a call with more than 15 names makes a dict of them, at 2 µs a send.
        return MessageDraft(
            app.id,
            sender,
            device_sn,
            _USER if order.only else order.scope,
            order.only or order.targets,
            order.ctype,
            order.content,
            order.attachment,
            order.config,
            order.ext,
            at,
            notice=notice,
            copied=(theirs and order.copied) if not side else side is Side.SENDER,
            key=order.key,
            digest=digest,
            judged=judged,
            create=not app.registered,
            related=order.related,
            expires_at=at + order.expire_s * 1000 if order.expire_s else 0,
            group_xid=order.targets[0] if order.only else 0,
            listed=theirs and not (order.copied or side),
            unjudged=order.unjudged,
            hide_from=order.hide_from,
            uncounted=order.uncounted,
            passing=order.passing,
            side=side,
        )

    async def judge_ephemeral(
        self, principal: Principal, order: Order, sender: int
    ) -> Sequence[Party | None]:
        """Judge by the rules of a send what is not stored; see `Judging.ephemeral`."""
        return await self._judging.ephemeral(principal, order, sender)

    # -- what is asked of a message ---------------------------------------------------------------------

    async def _request(self, principal: Principal, order: Order, sender: int, device_sn: int) -> None:
        """Do what content type 9 or 10 asks for: a READ or a recall by the sender (lanying.md, content types 9-12)."""
        rules.check_related(
            order.ctype, order.related, len(order.targets), online_only=order.online_only, notice=False
        )
        app, [target] = principal.app, order.targets
        if sender != principal.user.xid:
            user = await self._store.user(app.id, sender)
            if isinstance(user, Kind) or user.state is State.DELETED:
                raise Problem(Kind.USER_UNKNOWN, f"from_user_id: there is no user {sender}")
            if user.state is State.FROZEN:
                raise Problem(Kind.FROZEN, f"from_user_id: user {sender} is frozen")
            principal = principal.acting_for(user)
        message = await self._store.message(app.id, order.related)
        in_group = message is not None and (message.scope is Scope.GROUP or message.group_xid > 0)
        if message is None or in_group != (order.scope is Scope.GROUP):
            raise unknown(order.related, target)
        if order.ctype == Request.RECALL:
            await self.recall(principal, target, order.related)
            return
        party = message.scope is Scope.GROUP or message.told_to(sender)
        if not party or message.conversation_for(sender) != target:
            raise unknown(order.related, target)
        await self._receipts.read(principal, target, order.related, device_sn)

    async def judge_import(self, principal: Principal, order: ImportOrder) -> None:
        """Raise what an import would be refused for, whoever its parties are; see `Imports`."""
        await self._imports.judge(principal, order)

    async def import_one(self, principal: Principal, order: ImportOrder) -> int:
        """Bring a message that was sent elsewhere into the history of its conversation; see `Imports`."""
        return await self._imports.import_one(principal, order)

    async def recall(self, principal: Principal, conversation_xid: int, msg_id: int) -> None:
        """Take a message back; see `Recalls`."""
        await self._recalls.recall(principal, conversation_xid, msg_id)

    async def take_back(
        self, principal: Principal, conversation_xid: int, msg_id: int, *, window_ms: int, force: bool = False
    ) -> TakenBack:
        """Take a message back for the app, and tell what came of it; see `Recalls`."""
        return await self._recalls.take_back(
            principal, conversation_xid, msg_id, window_ms=window_ms, force=force
        )


def _sender(principal: Principal, order: Order) -> int:
    """Whose message it is: only an app's administrator may name anybody."""
    sender = order.from_xid or principal.user.xid
    if sender != principal.user.xid and not principal.admin_alone:
        raise Problem(Kind.FORBIDDEN, f"from_user_id: may only be {principal.user.xid} here")
    return sender


def _tell_sent(tell: TellSent, answer: Answer | Problem, *, again: bool) -> None:
    """Tell what has become of a send; what the rules refuse may, asked `again`, turn out to be a repeat."""
    # The plain case first, and without `match`: this runs for every message.
    if type(answer) is Appended:
        first = answer.first_msg_id
        tell((first, first + len(answer.received) - 1))
    elif isinstance(answer, Repeated):
        tell((answer.first_msg_id, answer.last_msg_id))
    elif isinstance(answer, Problem):
        tell(answer)
    elif isinstance(answer, Stale):
        # Nothing is done: it is to be judged anew.
        tell(None)
    else:
        assert isinstance(answer, Refused), "a message is no job, and changes no group"
        tell(None if again and answer.kind in rules.REFUSALS else Problem(answer.kind, answer.sentence))
