"""Sending, notifying and recalling: the rules, and what goes to whom once it is committed (design §4)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence

import msgspec

from gateway.core.facts import FactsBook
from gateway.core.hub import Hub
from gateway.core.pacing import Pacing
from gateway.core.principal import Principal
from gateway.core.writer import Writer
from gateway.domain import rules
from gateway.domain.drafts import (
    Answer,
    Appended,
    Changed,
    Draft,
    MessageDraft,
    Placed,
    RecallDraft,
    Refused,
    Repeated,
    Stale,
    Started,
    Stepped,
)
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import Entry, EntryKind, Message, Scope
from gateway.store.base import Store

JUDGE_TRIES = 5
"""How often a draft may be judged again because a group changed meanwhile, before the caller is told to come back."""

log = logging.getLogger(__name__)

_digest_encoder = msgspec.msgpack.Encoder()


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A send as a dialect asks for it, decoded and within range, but not judged.

    `targets` are distinct, in the order named. `from_xid` 0: the principal. `transaction_id` 0: none.
    """

    scope: Scope
    targets: tuple[int, ...]
    ctype: int
    content: str
    attachment: str = ""
    ext: str = ""
    config: str = ""
    from_xid: int = 0
    transaction_id: int = 0


_UNDIGESTED = frozenset({"transaction_id", "from_xid"})
_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(Order)}


_SILENCED = {
    Kind.BANNED: "{} is banned",
    Kind.ALL_BANNED: "only the owner and administrators may speak",
}


class Messaging:
    """Sends, notifies and recalls for a principal. Every method raises `Problem` for what is refused."""

    def __init__(
        self, store: Store, writer: Writer, pacing: Pacing, limits: Limits, clock_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._writer = writer
        self._pacing = pacing
        self._limits = limits
        self._now = clock_ms
        self._facts = FactsBook(store, limits)

    async def send(self, principal: Principal, order: Order, device_sn: int = 0) -> tuple[int, int]:
        """Send to all targets or to none; return the first and last `msg_id` once they are committed."""
        sender = order.from_xid or principal.user.xid
        if sender != principal.user.xid and not principal.admin_alone:
            raise Problem(Kind.FORBIDDEN, f"from_user_id: may only be {principal.user.xid} here")
        return await self._send(principal, order, sender, device_sn, notice=False)

    async def notify(self, principal: Principal, order: Order) -> tuple[int, int]:
        """Send a system notification: an admin alone may, and membership is not asked (lanying.md, notify)."""
        if not principal.admin:
            raise Problem(Kind.FORBIDDEN, "only an admin token may notify")
        if not principal.admin_alone:
            raise bad("user_id" if principal.as_user else "group_id", "this header is not for notifications")
        return await self._send(principal, order, order.from_xid or principal.user.xid, 0, notice=True)

    async def _send(
        self, principal: Principal, order: Order, sender: int, device_sn: int, *, notice: bool
    ) -> tuple[int, int]:
        key = str(order.transaction_id) if order.transaction_id else ""
        digest = _digest(order, notice=notice) if key else ""
        refusal: Problem | None = None
        try:
            self._check(principal, order)
            if principal.app.limits.sends_per_s:
                await self._pacing.turn(principal.app, len(order.targets))
            for _ in range(JUDGE_TRIES):
                judged = await self._judge(principal, order, sender, notice=notice)
                answer = await self._writer.submit(
                    MessageDraft(
                        app=principal.app.id,
                        sender_xid=sender,
                        sender_sn=device_sn,
                        scope=order.scope,
                        targets=order.targets,
                        ctype=order.ctype,
                        content=order.content,
                        attachment=order.attachment,
                        config=order.config,
                        ext=order.ext,
                        at=self._now(),
                        notice=notice,
                        copied=not notice and sender != principal.app.system_xid,
                        key=key,
                        digest=digest,
                        judged=judged,
                        create=not principal.app.registered,
                    )
                )
                match answer:
                    case Appended(first, received):
                        return first, first + len(received) - 1
                    case Repeated(first, last):
                        return first, last
                    case Refused(kind, sentence):
                        raise Problem(kind, sentence)
                    case Stale() | Changed() | Started() | Stepped():
                        self._facts.forget(principal.app, order.targets, sender)
            raise Problem(Kind.OVERLOADED, "the group changes too fast; try again", retry_after_ms=200)
        except Problem as problem:
            refusal = problem
        # A repeat must get its first answer even where the rules would refuse it today (design §4).
        if key and refusal.kind in rules.REFUSALS:
            known = await self._store.transaction(principal.app.id, sender, key)
            if known is not None:
                if known.digest == digest:
                    return known.first_msg_id, known.last_msg_id
                raise Problem(Kind.TRANSACTION_CONFLICT, f"transaction_id {key} was used for another message")
        raise refusal

    def _check(self, principal: Principal, order: Order) -> None:
        """Check what needs no more than the order itself."""
        rules.check_body(order.ctype, order.content, order.attachment, order.ext, order.config, self._limits)
        app = principal.app
        if app.limits.message_bytes_max:
            rules.check_together(
                order.content, order.attachment, order.ext, order.config, app.limits.message_bytes_max
            )
        for target in order.targets:
            principal.confine(target, "targets")
        if order.scope is Scope.USER and app.system_xid in order.targets:
            raise Problem(Kind.FORBIDDEN, "targets: the app's reserved user receives nothing")

    async def _judge(
        self, principal: Principal, order: Order, sender: int, *, notice: bool
    ) -> tuple[int, ...]:
        """Judge a group send; return the versions of the facts it was judged by. Users need no judging."""
        if order.scope is Scope.USER:
            return ()
        now = self._now()
        facts = await self._facts.of(principal.app, order.targets, sender, now)
        versions = []
        for target, fact in zip(order.targets, facts, strict=True):
            if fact is None:
                raise Problem(Kind.GROUP_UNKNOWN, f"targets: there is no group {target}")
            if not notice and not fact.member:
                raise Problem(Kind.NOT_A_MEMBER, f"targets: {sender} is not a member of group {target}")
            if not notice and (why := rules.silence(fact, now)) is not None:
                raise Problem(why, f"targets: {_SILENCED[why].format(sender)} in group {target}")
            versions.append(fact.version)
        return tuple(versions)

    async def recall(self, principal: Principal, conversation_xid: int, msg_id: int) -> None:
        """Take a message back (lanying.md, recall). Again: nothing more happens. The text is gone when this returns."""
        app = principal.app
        principal.confine(conversation_xid, "conversation_id")
        message = await self._store.message(app.id, msg_id)
        unknown = Problem(
            Kind.MESSAGE_UNKNOWN, f"there is no message {msg_id} in conversation {conversation_xid}"
        )
        if message is None:
            raise unknown
        me = principal.user.xid
        owner = False
        if message.scope is Scope.GROUP:
            if conversation_xid != message.target_xid:
                raise unknown
            [facts] = await self._store.facts(app.id, [message.target_xid], me)
            if facts is None:
                raise Problem(Kind.GROUP_UNKNOWN, f"there is no group {conversation_xid}")
            if not facts.member and not principal.admin_alone:
                raise Problem(Kind.NOT_A_MEMBER, f"not a member of group {conversation_xid}")
            owner = facts.owner or facts.admin
        else:
            parties = (message.sender_xid, message.target_xid)
            party = me in parties and not principal.admin_alone
            # A stranger who names a party is told below that it may not, not that there is no message.
            if conversation_xid not in ((message.conversation_for(me),) if party else parties):
                raise unknown
        rules.check_recall(
            message, me, self._now(), app.recall_window_ms, unbounded=owner or principal.admin_alone
        )
        answer = await self._writer.submit(RecallDraft(app=app.id, msg_id=msg_id, at=self._now()))
        if isinstance(answer, Refused):
            raise Problem(answer.kind, answer.sentence)


def _digest(order: Order, *, notice: bool) -> str:
    """Digest every member but the transaction id, after coercion: what "the same" means for a repeat.

    The sender is part of the key, so that naming it and leaving it to the default are the same.
    """
    # Members that have their default are left out, so that a member added later changes no stored digest.
    told = [
        (name, value)
        for name, value in msgspec.structs.asdict(order).items()
        if name not in _UNDIGESTED and value != _DEFAULTS.get(name)
    ]
    return hashlib.blake2b(_digest_encoder.encode((notice, told)), digest_size=16).hexdigest()


def announce(hub: Hub, batch: Sequence[Draft], answers: Sequence[Answer]) -> None:
    """Dispatch a committed batch to this node's sessions, joined per timeline, and hint it to the other nodes.

    Entries are built only for timelines that somebody here follows.
    """
    entries: dict[int, list[Entry]] = {}
    heads: dict[int, int] = {}
    for draft, answer in zip(batch, answers, strict=True):
        match answer:
            case Appended():
                assert isinstance(draft, MessageDraft), "only message drafts are answered so"
                _collect(hub, draft, answer, entries, heads)
            case Changed(placed):
                _place(hub, placed, entries, heads)
            case Stepped(_, sent, placed):
                for message, appended in sent:
                    _collect(hub, message, appended, entries, heads)
                _place(hub, placed, entries, heads)
            case Started() | Repeated() | Stale() | Refused():
                pass
    if heads:
        hub.publish(heads)
    for timeline_id, run in entries.items():
        try:
            hub.dispatch(timeline_id, run)
        except Exception:
            # One timeline's trouble is not another's; its own devices find the entries in the store.
            log.exception("dispatching timeline %d failed", timeline_id)


def _place(
    hub: Hub, placed: Sequence[Placed], entries: dict[int, list[Entry]], heads: dict[int, int]
) -> None:
    for place in placed:
        heads[place.timeline_id] = place.entry.seq
        if hub.follows(place.timeline_id):
            entries.setdefault(place.timeline_id, []).append(place.entry)


def _collect(
    hub: Hub, draft: MessageDraft, answer: Appended, entries: dict[int, list[Entry]], heads: dict[int, int]
) -> None:
    sender_followed = bool(answer.copies) and hub.follows(answer.sender_id)
    copies = iter(answer.copies)
    for index, (timeline_id, seq) in enumerate(answer.received):
        heads[timeline_id] = seq
        copy = next(copies, 0) if timeline_id != answer.sender_id else 0
        if copy:
            heads[answer.sender_id] = copy
        followed = hub.follows(timeline_id)
        if not followed and not sender_followed:
            continue
        message = Message(
            msg_id=answer.first_msg_id + index,
            scope=draft.scope,
            sender_xid=draft.sender_xid,
            sender_sn=draft.sender_sn,
            target_xid=draft.targets[index],
            ctype=draft.ctype,
            content=draft.content,
            attachment=draft.attachment,
            config=draft.config,
            ext=draft.ext,
            at=draft.at,
            notice=draft.notice,
            seq=seq,
        )
        if followed:
            entry = Entry(seq=seq, kind=EntryKind.MESSAGE, message=message)
            entries.setdefault(timeline_id, []).append(entry)
        if copy and sender_followed:
            entry = Entry(seq=copy, kind=EntryKind.MESSAGE, message=message)
            entries.setdefault(answer.sender_id, []).append(entry)
