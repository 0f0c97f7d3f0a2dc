"""POST /messages/chatgroups/users: messages to some members of a group (vendors.md §3.4)."""

from __future__ import annotations

import msgspec

from gateway.core.order import by_place
from gateway.domain.model import Scope
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import not_found, unsendable
from gateway.edge.facades.agora.groups_and_rooms import group_called
from gateway.edge.facades.agora.messages import admit, check_send, order_of, sender_of, sent_before, sent_by
from gateway.edge.facades.agora.rates import Rate

SOME_MAX = 20
"""Members of a group that one directed message goes to."""


async def to_members(at: At) -> bytes:
    """POST /messages/chatgroups/users: to these members of one group alone; who is no member is left out."""
    principal = await at.administrator()
    asked = await at.members()
    [group] = check_send(asked, 1)
    names = asked.strings("users")
    if not names:
        raise unsendable("param users can't be empty")
    if len(names) > SOME_MAX:
        raise unsendable(f"params users's size can't exceed limit {SOME_MAX}")
    order = order_of(at, asked, Scope.GROUP, [group], names)
    sender = await sender_of(at, asked)
    order = sent_by(order, sender)
    if sent := await sent_before(at, principal, order, sender):
        return at.told(data={group: str(sent.first_msg_id)})
    group_xid = await group_called(at, group)
    only = by_place(await at.users_called(names))
    if sender.new:
        # Else the core says who is no member.
        inside = set(await at.core.groups.member_xids(principal, group_xid))
        only = tuple(xid if xid in inside else 0 for xid in only)
    order = msgspec.structs.replace(order, targets=(group_xid,), only=only)
    order, admitted = await admit(at, principal, order, sender, Rate.GROUP_MESSAGES)
    told = await at.core.messaging.send_each(principal, order, admitted=admitted)
    placed = [one for one in told if one.msg_id]
    if not placed:
        raise not_found()
    return at.told(data={group: str(placed[0].msg_id)})
