"""POST /messages as older clients send, and messages to some members of a group (vendors.md §3.4)."""

from __future__ import annotations

import msgspec

from gateway.core.order import by_place
from gateway.domain.model import Scope
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import not_found, unsendable
from gateway.edge.facades.agora.groups_and_rooms import group_called
from gateway.edge.facades.agora.members import Members
from gateway.edge.facades.agora.messages import (
    GROUPS_MAX,
    ROOMS_MAX,
    USERS_MAX,
    admit,
    check_send,
    order_of,
    send_to_groups,
    send_to_users,
    sender_of,
    sent_before,
    sent_by,
)
from gateway.edge.facades.agora.rates import Rate

SOME_MAX = 20
"""Members of a group that one directed message goes to."""

_ROADS = {"users": USERS_MAX, "chatgroups": GROUPS_MAX, "chatrooms": ROOMS_MAX}
_BODY = "msg"


async def send(at: At) -> bytes:
    """POST /messages: `success` for each target, or with `useMsgId=true` the id of its message."""
    principal = await at.administrator()
    asked = _modern(await at.members())
    road = asked.value("target_type")
    if not isinstance(road, str) or road not in _ROADS:
        raise unsendable("param target_type can't be empty")
    if road == "users":
        data = await send_to_users(at, principal, asked)
    else:
        data = await send_to_groups(at, principal, asked, _ROADS[road], rooms=road == "chatrooms")
    if at.query.get("useMsgId", "").lower() != "true":
        data = dict.fromkeys(data, "success")
    return at.told(data=data)


async def to_some(at: At) -> bytes:
    """POST /messages/chatgroups/users: to these members of one group alone; who is no member is left out."""
    principal = await at.administrator()
    asked = await at.members()
    groups = check_send(asked, 1)
    names = asked.strings("users")
    if not names:
        raise unsendable("param users can't be empty")
    if len(names) > SOME_MAX:
        raise unsendable(f"params users's size can't exceed limit {SOME_MAX}")
    order = order_of(at, asked, Scope.GROUP, groups, names)
    sender = await sender_of(at, asked)
    order = sent_by(order, sender)
    if sent := await sent_before(at, principal, order, sender):
        return at.told(data={groups[0]: str(sent.first_msg_id)})
    group_xid = await group_called(at, groups[0])
    users = by_place(await at.users_called(names))
    if sender.new:
        # Else the core says who is no member.
        inside = set(await at.core.groups.member_xids(principal, group_xid))
        users = tuple(xid if xid in inside else 0 for xid in users)
    order = msgspec.structs.replace(order, targets=(group_xid,), only=users)
    order, admitted = await admit(at, principal, order, sender, Rate.GROUP_MESSAGES)
    told = await at.core.messaging.send_each(principal, order, admitted=admitted)
    placed = [one for one in told if one.msg_id]
    if not placed:
        raise not_found()
    return at.told(data={groups[0]: str(placed[0].msg_id)})


def _modern(asked: Members) -> Members:
    """What an older client asks for, in the words of newer ones: the type stands in its body, the targets in `to`."""
    body = asked.object(_BODY)
    told = {name: asked.given(name) for name in asked if name not in {_BODY, "target", "body", "type"}}
    told["to"] = asked.given("target")
    if body is not None:
        told["type"] = body.given("type")
        told["body"] = body.without("type")
    return Members({name: raw for name, raw in told.items() if raw is not None})
