"""Conversations that calls are about: who looks at them, whom they are with, and what lies in them."""

from __future__ import annotations

import msgspec

from gateway.core.principal import Principal
from gateway.domain.model import ROOM, SYSTEM_NAME, Message
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.faults import MESSAGE_UNKNOWN, TEAM_UNKNOWN, Fault
from gateway.edge.facades.netease.names import ConversationId, folded

_ID = "conversation_id"


class Place(msgspec.Struct, frozen=True):
    """A conversation as `asker`, its first account, sees it: with the user or the team of `opposite_xid`."""

    named: ConversationId
    asker: Principal
    opposite_xid: int

    def holds(self, message: Message) -> bool:
        """Whether a message lies in it; what went to some members of a team lies with the team."""
        if self.named.in_team:
            # Users and groups share one space of ids: a message between users is never taken for a group's.
            return message.conversation_for(0) == self.opposite_xid
        ends = {message.sender_xid, message.target_xid}
        return not message.group_xid and ends == {self.asker.user.xid, self.opposite_xid}


async def find_place(at: At, named: ConversationId, first: str = _ID, second: str = _ID) -> Place:
    """The conversation that an id names; `first` and `second` are the members that faults name.

    Raises a `Fault` of 403, 102404 or 108404 for an account or a team that there is not.
    """
    asker = at.acting_for(await at.account(named.account, first, make=True))
    if named.in_team:
        await want_team(at, named.team_xid, second)
        return Place(named, asker, named.team_xid)
    return Place(named, asker, await opposite_xid(at, named.opposite, second))


async def opposite_xid(at: At, account: str | None, member: str) -> int:
    """The id of whom a conversation is with: that may be the reserved user, who speaks to users."""
    if account and folded(account) == SYSTEM_NAME:
        return at.app.system_xid
    return (await at.account(account, member, make=True)).xid


async def want_team(at: At, team_xid: int, member: str) -> None:
    """Raise a `Fault` of 108404 where no team has this number; a chatroom is none."""
    types = await at.core.groups.types(at.app, [team_xid])
    if types.get(team_xid, ROOM) == ROOM:
        raise Fault(TEAM_UNKNOWN, f"{member}: there is no team {team_xid}")


async def message_in(at: At, place: Place, msg_id: int) -> Message:
    """A message of a conversation, whatever has become of it; raises a `Fault` of 107404."""
    message = await at.core.records.message(at.app, msg_id)
    if message is None or not place.holds(message):
        raise unknown(msg_id)
    return message


def unknown(msg_id: int) -> Fault:
    """There is no such message."""
    return Fault(MESSAGE_UNKNOWN, f"message_server_id: there is no message {msg_id} in this conversation")
