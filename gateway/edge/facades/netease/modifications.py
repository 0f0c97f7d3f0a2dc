"""POST /messages/actions/modifyMsg: whoever has sent a message changes what it says (netease.md, Siblings)."""

from __future__ import annotations

import msgspec

from gateway.core.order import Order
from gateway.domain.errors import Problem
from gateway.domain.model import SAFE_MAX, Ctype, Message, Scope
from gateway.edge.decode import Body, Number, identifier, number
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.faults import FORBIDDEN, Fault, illegal, renamed
from gateway.edge.facades.netease.items import kind_of
from gateway.edge.facades.netease.names import ConversationId, ConversationType, conversation_between, folded
from gateway.edge.facades.netease.places import Place, find_place, message_in, unknown
from gateway.edge.facades.netease.wanted import Asked, AskedMessage, AskedTeamOption, Wanted, read_wanted

_OPERATOR, _SENDER, _RECEIVER = "operator", "message.sender_id", "message.receiver_id"
_MEMBERS = {
    "targets": _RECEIVER,
    "from_user_id": _OPERATOR,
    "related_mid": "message.message_server_id",
    "content": "message.text",
}
"""What the core names in its sentences, as this call does."""

_NO_ATTACHMENT, _ANY_ATTACHMENT = msgspec.Raw(b"null"), msgspec.Raw(b"{}")


class _Message(AskedMessage, omit_defaults=True):
    message_server_id: Number = None
    sender_id: str | None = None
    receiver_id: str | None = None
    time: Number = None


class _Modification(Asked, omit_defaults=True):
    message: _Message | None = None
    operator: str | None = None
    kind: Number = msgspec.field(name="type", default=None)
    team_option: AskedTeamOption | None = None
    superteam_option: AskedTeamOption | None = None


_modification = Body(_Modification)


async def modify(at: At) -> object:
    """`POST /messages/actions/modifyMsg`: a text or an attachment that is not given stays as it is."""
    asked = await at.body(_modification)
    message = asked.message
    if message is None:
        raise illegal("message", "it is required")
    msg_id = identifier(message.message_server_id, "message.message_server_id")
    number(message.time, "message.time", 0, SAFE_MAX, 0)
    named = _conversation(asked, message)
    wanted = _read_wanted(at, asked, message, named)
    if not asked.operator:
        raise illegal(_OPERATOR, "it is required")
    if folded(asked.operator) != named.account:
        raise Fault(FORBIDDEN, f"{_OPERATOR}: only whoever has sent a message changes it")
    place = await find_place(at, named, _OPERATOR, _RECEIVER)
    stored = await message_in(at, place, msg_id)
    mine = stored.sender_xid == place.asker.user.xid
    if not mine or stored.gone or kind_of(stored) != wanted.nim.message_type:
        raise unknown(msg_id)
    option = asked.superteam_option if named.kind is ConversationType.SUPER_TEAM else asked.team_option
    order = Order(
        scope=Scope.GROUP if named.in_team else Scope.USER,
        targets=(place.opposite_xid,),
        only=(stored.target_xid,) if stored.group_xid else (),
        ctype=Ctype.REPLACE,
        content=await _text(at, place, stored) if wanted.text is None else wanted.text,
        attachment=wanted.attachment or "",
        ext=wanted.ext,
        config=wanted.config,
        related=msg_id,
        over_ban=named.in_team and bool(option and option.ignore_member_chat_banned),
        over_ban_all=named.in_team and bool(option and option.ignore_chat_banned),
    )
    try:
        await at.core.messaging.send(place.asker, order)
    except Problem as problem:
        raise renamed(problem, _MEMBERS) from problem
    return {}


def _conversation(asked: _Modification, message: _Message) -> ConversationId:
    """The conversation that a message is said to lie in."""
    kind = number(asked.kind, "type", min(ConversationType), max(ConversationType))
    sender, receiver = message.sender_id, message.receiver_id
    if not sender:
        raise illegal(_SENDER, "it is required")
    if not receiver:
        raise illegal(_RECEIVER, "it is required")
    return conversation_between(kind, sender, receiver, _RECEIVER)


def _read_wanted(at: At, asked: _Modification, message: _Message, named: ConversationId) -> Wanted:
    """What a message is to say from now on, judged as a send is; an attachment need not be given."""
    given = message.attachment != _NO_ATTACHMENT
    whole = msgspec.structs.replace(
        message, attachment=message.attachment if given else _ANY_ATTACHMENT, message_client_id=None
    )
    plain = msgspec.structs.replace(asked, message=whole, sender_no_sense=None, receiver_no_sense=None)
    wanted = read_wanted(plain, named.account, at.limits, in_team=named.in_team)
    return wanted if given else msgspec.structs.replace(wanted, attachment=None)


async def _text(at: At, place: Place, stored: Message) -> str:
    """What a message says now: with what has changed it before, unless it is of those that nobody finds again."""
    found = await at.core.looking.some(place.asker, place.opposite_xid, [stored.msg_id])
    return found[stored.msg_id].content if found else stored.content
