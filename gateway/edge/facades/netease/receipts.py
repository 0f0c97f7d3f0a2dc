"""That messages have been read, and by whom (netease.md, Siblings: read receipts)."""

from __future__ import annotations

import msgspec

from gateway.domain.model import SAFE_MAX
from gateway.edge.decode import Body, Number, identifier, identifiers
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.faults import FORBIDDEN, Fault
from gateway.edge.facades.netease.names import folded
from gateway.edge.facades.netease.places import opposite_xid, want_team

MANY_MAX = 50
"""Messages of one receipt in a team."""

LISTED_MAX = 500
"""Accounts that are named of those who have read a message, and of those who have not."""

_FROM, _TO, _TEAM, _SENDER = "from_account_id", "to_account_id", "team_id", "sender_id"
_MESSAGE, _MESSAGES = "message_server_id", "message_server_ids"


class _ToUser(msgspec.Struct):
    from_account_id: str | None = None
    to_account_id: str | None = None
    message_server_id: Number = None


class _ToTeam(msgspec.Struct):
    from_account_id: str | None = None
    team_id: Number = None
    message_server_ids: list[Number] | None = None


class Given(msgspec.Struct):
    """When a receipt was given."""

    timestamp: int


class Marked(msgspec.Struct):
    """Which messages of a team are read now, and which there are not."""

    success_list: list[int]
    failed_list: list[int]


class Readers(msgspec.Struct):
    """How many have read a message of a team and how many not, and the first of both."""

    read_size: int
    unread_size: int
    read_account_ids: list[str]
    unread_account_ids: list[str]


_to_user, _to_team = Body(_ToUser), Body(_ToTeam)


async def to_user(at: At) -> Given:
    """`POST /messages/actions/p2p_read_receipt`: the conversation is read up to this message."""
    asked = await at.body(_to_user)
    msg_id = identifier(asked.message_server_id, _MESSAGE)
    reader = await at.account(asked.from_account_id, _FROM, make=True)
    other_xid = await opposite_xid(at, asked.to_account_id, _TO)
    await at.core.receipts.read(at.acting_for(reader), other_xid, msg_id)
    return Given(at.now())


async def to_team(at: At) -> Marked:
    """`POST /messages/actions/team_read_receipt`: all is read up to the newest of these that the member may see."""
    asked = await at.body(_to_team)
    team_xid = identifier(asked.team_id, _TEAM)
    msg_ids = identifiers(asked.message_server_ids, _MESSAGES, 1, MANY_MAX)
    reader = at.acting_for(await at.account(asked.from_account_id, _FROM, make=True))
    await want_team(at, team_xid, _TEAM)
    seen = await at.core.looking.some(reader, team_xid, msg_ids)
    if seen:
        await at.core.receipts.read(reader, team_xid, max(seen))
    return Marked(
        [msg_id for msg_id in msg_ids if msg_id in seen],
        [msg_id for msg_id in msg_ids if msg_id not in seen],
    )


async def of_team(at: At) -> Readers:
    """`GET /messages/actions/team_read_receipt`: of whoever was in the team when the message came."""
    query = at.query
    team_xid = query.number(_TEAM, 1, SAFE_MAX)
    msg_id = query.number(_MESSAGE, 1, SAFE_MAX)
    await want_team(at, team_xid, _TEAM)
    found = await at.core.looking.readers(at.administrator, team_xid, msg_id, LISTED_MAX)
    named = query.text(_SENDER)
    if named:
        await _want_sender(at, msg_id, named)
    names = await at.called([*found.xids, *found.unread_xids])
    return Readers(
        found.read,
        found.unread,
        [names[xid] for xid in found.xids],
        [names[xid] for xid in found.unread_xids],
    )


async def _want_sender(at: At, msg_id: int, account: str) -> None:
    """Raise a `Fault` of 403 where a message is not this account's."""
    message = await at.core.records.message(at.app, msg_id)
    sender = (await at.called([message.sender_xid]))[message.sender_xid] if message else ""
    if folded(sender) != folded(account):
        raise Fault(FORBIDDEN, f"{_SENDER}: message {msg_id} is another one's")
