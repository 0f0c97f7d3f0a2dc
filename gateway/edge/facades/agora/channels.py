"""DELETE /users/{username}/user_channel: a user's conversation goes from the recent list (agora.md)."""

from __future__ import annotations

from gateway.domain.errors import Kind, Problem
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import illegal, not_a_member, not_found
from gateway.edge.facades.agora.groups_and_rooms import groups_called
from gateway.edge.facades.agora.members import Members, read_query
from gateway.edge.facades.agora.names import called, is_admin
from gateway.edge.facades.agora.rates import Rate

_TYPES = ("chat", "groupchat")


async def delete_channel(at: At) -> bytes:
    """DELETE /users/{username}/user_channel, with its members in the body or the query."""
    principal = await at.administrator()
    body = await at.body()
    asked = await at.members() if body.strip() else read_query(at.query)
    channel, kind = asked.identifier("channel"), asked.text("type")
    if not channel:
        raise illegal("channel", "it is required")
    if kind not in _TYPES:
        raise illegal("type", f"it must be {' or '.join(_TYPES)}")
    roam = asked.flag("delete_roam")
    at.spend(Rate.CHANNELS)
    user = await at.user_called(at.given[0])
    if user is None:
        raise not_found()
    conversation_xid = await _conversation(at, asked, channel)
    take_off = at.core.conversations.delete if roam else at.core.conversations.put_off
    try:
        if conversation_xid:
            await take_off(principal.acting_for(user), conversation_xid)
    except Problem as problem:
        if problem.kind is not Kind.NOT_A_MEMBER:
            raise
        raise not_a_member(called(at.app, user)) from None
    return at.told(data={"result": "ok"}, entities=[])


async def _conversation(at: At, asked: Members, channel: str) -> int:
    """The conversation that a channel is; 0 where there is none, which is as good as deleted."""
    if asked.text("type") == "chat":
        if is_admin(channel):
            return at.app.system_xid
        other = await at.user_called(channel)
        return other.xid if other else 0
    [xid] = await groups_called(at, [channel])
    return xid
