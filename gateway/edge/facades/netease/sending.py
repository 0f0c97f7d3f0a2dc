"""POST /conversations/{cid}/messages: a message to a user, a team, or some members of a team (netease.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from gateway.core.order import Order, by_place
from gateway.core.placing import Placement
from gateway.core.principal import Principal
from gateway.core.repeats import Sent
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import ROOM, Scope, Side, User
from gateway.edge.decode import Body
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.faults import (
    MEMBER_UNKNOWN,
    MESSAGE_UNKNOWN,
    TEAM_UNKNOWN,
    Fault,
    illegal,
    renamed,
)
from gateway.edge.facades.netease.items import Item, client_id
from gateway.edge.facades.netease.names import ConversationId, ConversationType, folded
from gateway.edge.facades.netease.places import want_team
from gateway.edge.facades.netease.repeats import Repeat, repeat_of
from gateway.edge.facades.netease.wanted import AskedHere, AskedTeamOption, TargetOption, Wanted, read_wanted

SENDER, RECEIVER = "sender_id", "receiver_id"

_ID = "conversation_id"
_TARGETS = "target_option.receiver_account_ids"
_MEMBERS = {
    "targets": _ID,
    "from_user_id": SENDER,
    "related_mid": "thread_config",
    "content": "message.text",
}
"""What the core names in its sentences, as this dialect calls it."""

_OUT_OF_SIGHT = frozenset({Kind.NOT_A_MEMBER, Kind.GROUP_UNKNOWN, Kind.GROUP_BLOCKED})

_body = Body(AskedHere)


async def send(at: At) -> Item:
    """`POST /conversations/{cid}/messages`."""
    asked = await at.body(_body)
    conversation = at.conversation(asked.conversation_id, asked.conversation_id_)
    in_team = conversation.in_team
    options = {ConversationType.TEAM: asked.team_option, ConversationType.SUPER_TEAM: asked.superteam_option}
    option = options.get(conversation.kind)
    wanted = read_wanted(
        asked, conversation.account, at.limits, in_team=in_team, team=option, thread=asked.thread_config
    )
    some = _some_of(at, asked, wanted, conversation.account) if in_team else None
    repeat = repeat_of(at, wanted.client_id, asked, conversation)
    order = order_of(wanted, repeat)
    named = _named_beside_sender(conversation, some)
    found = await at.accounts([conversation.account, *named])
    if before := await sent_before(at, order, repeat, *found):
        return item_of(at, wanted, conversation, Placement(0, before.first_msg_id, before.at))
    admitted = False
    if in_team:
        sender = await _member(at, conversation)
        order = await _to_team(at, order, conversation.team_xid, option)
        order = await _to_some(at, order, some) if some is not None else order
    else:
        await _want_both_for_thread(at, conversation, wanted)
        sender, receiver, admitted = await _ends(at, order, repeat, conversation, found)
        order = to_users(order, wanted, (receiver.xid,))
    principal = at.acting_for(sender)
    order = await _in_thread(at, principal, order, wanted)
    told = await submit(at, principal, order, repeat, admitted=admitted)
    placed = [one for one in told if one.msg_id]
    if not placed:
        raise Fault(MEMBER_UNKNOWN, f"{_TARGETS}: none of them is a member of the team")
    return item_of(at, wanted, conversation, placed[0])


# -- whom it goes to ------------------------------------------------------------------------------------


async def _ends(
    at: At, order: Order, repeat: Repeat, conversation: ConversationId, found: Sequence[User | None]
) -> tuple[User, User, bool]:
    """The two of a conversation, of whom some were `found`; otherwise as `parties`.

    Raises what `At.account` raises, before anybody comes into being.
    """
    named = ((conversation.account, SENDER), (conversation.opposite, RECEIVER))
    for (account, member), user in zip(named, found, strict=True):
        if user is None:
            await at.account_or_new(account, member)
    there, admitted = await parties(at, order, repeat, [account for account, _ in named], found)
    # Whoever has gone meanwhile is nobody after all.
    sender, receiver = [
        user or await at.account(account, member)
        for (account, member), user in zip(named, there, strict=True)
    ]
    return sender, receiver, admitted


async def parties(
    at: At, order: Order, repeat: Repeat, accounts: Sequence[str], found: Sequence[User | None]
) -> tuple[Sequence[User | None], bool]:
    """A sender and the receivers of an order, of whom some were `found`, and whether it was admitted for the others.

    In an open app those come into being who may, unless nobody would get it. Raises what refuses the order.
    """
    if None not in found:
        return found, False
    there = [user is not None or at.makes(account) for account, user in zip(accounts, found, strict=True)]
    new = any(user is None and may for user, may in zip(found, there, strict=True))
    if not (new and any(there[1:])):
        return found, False
    principal = at.acting_for(found[0]) if found[0] else at.administrator
    with _refusals(repeat):
        await at.core.messaging.admit(principal, order, sum(there[1:]))
    return await at.accounts(accounts, make=True), True


def _named_beside_sender(conversation: ConversationId, some: TargetOption | None) -> Sequence[str]:
    """The accounts that a send goes to; none where that is a whole team."""
    if not conversation.in_team:
        return [conversation.opposite]
    return (some and some.receiver_account_ids) or []


async def sent_before(
    at: At, order: Order, repeat: Repeat, sender: User | None, *others: User | None
) -> Sent | None:
    """What an order was answered with that this one repeats, where not all whom it names are there any more.

    Where it repeats none it is judged by its size, before anybody comes into being by it.
    """
    if sender is not None and None not in others:
        return None
    messaging = at.core.messaging
    with _refusals(repeat):
        before = await messaging.repeated(at.acting_for(sender), order) if sender is not None else None
        if before is None:
            messaging.judge_size(at.app, order)
    return before


async def _member(at: At, conversation: ConversationId) -> User:
    """Who sends to a team. Nobody comes into being for it: they would be a member of none."""
    account = conversation.account
    [found] = await at.accounts([account])
    if found is None and at.makes(account):
        await want_team(at, conversation.team_xid, _ID)
        raise Fault(MEMBER_UNKNOWN, f"{SENDER}: {account} is not a member of the team")
    return found or await at.account(account, SENDER)


async def _want_both_for_thread(at: At, conversation: ConversationId, wanted: Wanted) -> None:
    """Raise a `Fault` of 107404 for a message of a thread where one of the two would come into being by this send.

    Nothing has been said between them that it could be about.
    """
    named = _thread_of(wanted)
    new = [account for account in (conversation.account, conversation.opposite) if at.makes(account)]
    if named and new and None in await at.accounts(new):
        raise _no_such(named[0])


def order_of(wanted: Wanted, repeat: Repeat) -> Order:
    """What a send asks of the core, but for whom it goes to."""
    thread = wanted.nim.thread_config
    root = thread and (thread.thread_root or thread.thread_reply)
    return Order(
        scope=Scope.USER,
        targets=(),
        ctype=wanted.ctype,
        content=wanted.text or "",
        attachment=wanted.attachment or "",
        ext=wanted.ext,
        config=wanted.config,
        # What is kept nowhere is on no list of answers.
        related=(root.message_server_id or 0) if root and not wanted.online_only else 0,
        online_only=wanted.online_only,
        uncounted=wanted.uncounted,
        passing=wanted.passing,
        request_key=repeat.key,
        request_digest=repeat.digest,
    )


def to_users(order: Order, wanted: Wanted, targets: tuple[int, ...]) -> Order:
    """The same to users: one side may not be to notice it, and the sender's devices not to get it."""
    side = Side.BOTH
    if not wanted.sender_senses:
        side = Side.RECEIVER
    elif not wanted.receiver_senses:
        side = Side.SENDER
    return msgspec.structs.replace(order, targets=targets, side=side, copied=wanted.copied)


async def _to_team(at: At, order: Order, team_xid: int, option: AskedTeamOption | None) -> Order:
    # What is not there any more is the core's to refuse: a repeat of what went to it is none.
    types = await at.core.groups.types(at.app, [team_xid])
    if types.get(team_xid) == ROOM:
        raise Fault(TEAM_UNKNOWN, f"{_ID}: {team_xid} is a chatroom, and no team")
    return msgspec.structs.replace(
        order,
        scope=Scope.GROUP,
        targets=(team_xid,),
        over_ban=bool(option and option.ignore_member_chat_banned),
        over_ban_all=bool(option and option.ignore_chat_banned),
    )


def _some_of(at: At, asked: AskedHere, wanted: Wanted, sender: str) -> TargetOption | None:
    """Whom alone of a team a message goes to (None: to all); what the others are not to notice, to its sender.

    Raises a `Fault` of 414 for what cannot be.
    """
    option = asked.target_option
    if not wanted.receiver_senses:
        option = TargetOption([sender])
    if option is None:
        return None
    named, most = option.receiver_account_ids or [], at.limits.targets_max
    if not 1 <= len(named) <= most:
        raise illegal(_TARGETS, f"it must name 1 to {most} accounts")
    if option.inclusive is False:
        raise illegal("target_option.inclusive", "there are no lists of members to leave out")
    if option.visible_to_new_member:
        raise illegal("target_option.visible_to_new_member", "whoever comes later does not see it")
    if wanted.online_only:
        raise illegal("message_config", "what is kept nowhere goes to a whole team, and not to some of it")
    if len(set(map(folded, named))) > 1 and wanted.nim.thread_config is not None:
        raise illegal("thread_config", "a message to several members of a team is in no thread")
    return option


async def _to_some(at: At, order: Order, option: TargetOption) -> Order:
    """The same to some members alone; who is nobody is a member of no team."""
    strict = option.check_team_member_valid is not False
    named = list(dict.fromkeys(map(folded, option.receiver_account_ids or [])))
    found = await at.accounts(named)
    there = by_place(found)
    if not any(there) or (strict and None in found):
        stranger = named[found.index(None)]
        raise Fault(MEMBER_UNKNOWN, f"{_TARGETS}: {stranger} is not a member of the team")
    return msgspec.structs.replace(order, only=there, partial=not strict)


async def _in_thread(at: At, principal: Principal, order: Order, wanted: Wanted) -> Order:
    """The same, where the messages of its thread are there for its sender to see.

    Where one is not, the order relates to that one: the core refuses it, unless it is a repeat.
    """
    named = _thread_of(wanted)
    if not named:
        return order
    try:
        found = await at.core.looking.some(principal, order.targets[0], named)
    except Problem as problem:
        if problem.kind not in _OUT_OF_SIGHT:
            raise
        found = {}
    missing = [msg_id for msg_id in named if msg_id not in found]
    if not missing:
        return order
    if order.online_only:
        raise _no_such(missing[0])
    return msgspec.structs.replace(order, related=missing[0])


def _thread_of(wanted: Wanted) -> list[int]:
    """The messages that a thread is named by."""
    thread = wanted.nim.thread_config
    if thread is None:
        return []
    return [one.message_server_id or 0 for one in (thread.thread_root, thread.thread_reply) if one]


def _no_such(msg_id: int) -> Fault:
    return Fault(MESSAGE_UNKNOWN, f"thread_config: there is no message {msg_id} in this conversation")


# -- what comes of it -----------------------------------------------------------------------------------


async def submit(
    at: At, principal: Principal, order: Order, repeat: Repeat, *, admitted: bool
) -> list[Placement]:
    """Send, and say which message went to whom; raises `Fault` or `Problem`."""
    with _refusals(repeat):
        return await at.core.messaging.send_each(principal, order, admitted=admitted)


@contextmanager
def _refusals(repeat: Repeat) -> Iterator[None]:
    """Say what refuses a send in this dialect's words."""
    try:
        yield
    except Problem as problem:
        raise repeat.refusal(renamed(problem, _MEMBERS)) from problem


def item_of(at: At, wanted: Wanted, conversation: ConversationId, placed: Placement) -> Item:
    """The message as its sender asked for it, with the id and the time that it has here."""
    nim = wanted.nim
    return Item(
        message_server_id=placed.msg_id,
        message_client_id=wanted.client_id or client_id(at.app, placed.msg_id),
        message_type=nim.message_type,
        sender_id=conversation.account,
        conversation_type=int(conversation.kind),
        receiver_id=conversation.opposite,
        create_time=placed.at,
        sub_type=msgspec.UNSET if nim.sub_type is None else nim.sub_type,
        text=msgspec.UNSET if wanted.text is None else wanted.text,
        attachment=msgspec.UNSET if wanted.attachment is None else msgspec.Raw(wanted.attachment.encode()),
        thread_config=nim.thread_config or msgspec.UNSET,
    )
