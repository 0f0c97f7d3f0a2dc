"""POST /messages, as older clients send (vendors.md §3.4)."""

from __future__ import annotations

from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import unsendable
from gateway.edge.facades.agora.members import Members
from gateway.edge.facades.agora.messages import GROUPS_MAX, ROOMS_MAX, send_to_groups, send_to_users

_BODY = "msg"


async def send(at: At) -> bytes:
    """POST /messages: `success` for each target, or with `useMsgId=true` the id of its message."""
    principal = await at.administrator()
    asked = _modern(await at.members())
    match asked.value("target_type"):
        case "users":
            data = await send_to_users(at, principal, asked)
        case "chatgroups":
            data = await send_to_groups(at, principal, asked, GROUPS_MAX, rooms=False)
        case "chatrooms":
            data = await send_to_groups(at, principal, asked, ROOMS_MAX, rooms=True)
        case _:
            raise unsendable("param target_type can't be empty")
    if at.query.get("useMsgId", "").lower() != "true":
        data = dict.fromkeys(data, "success")
    return at.told(data=data)


def _modern(asked: Members) -> Members:
    """What an older client asks for, in the words of newer ones: the type stands in its body, the targets in `to`."""
    body = asked.object(_BODY)
    told = {name: asked.given(name) for name in asked if name not in {_BODY, "target", "body", "type"}}
    told["to"] = asked.given("target")
    if body is not None:
        told["type"] = body.given("type")
        told["body"] = body.without("type")
    return Members({name: raw for name, raw in told.items() if raw is not None})
