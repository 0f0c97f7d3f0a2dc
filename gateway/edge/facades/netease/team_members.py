"""The members of teams: let in, put out, leaving, muted (netease.md, Siblings)."""

from __future__ import annotations

from functools import partial

import msgspec

from gateway.edge.decode import Body, Number
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.faults import illegal
from gateway.edge.facades.netease.named import Results, change_each, read_named, team_of, team_type, with_new
from gateway.edge.facades.netease.teams import OPERATOR

_INVITED, _KICKED, _MUTED = "invite_account_ids", "kick_account_ids", "chat_ban_account_ids"

_FOR_GOOD = -1


class _Asked(msgspec.Struct):
    operator_id: str | None = None
    team_id: Number = None
    team_type: Number = None


class _Invite(_Asked):
    invite_account_ids: list[str] | None = None


class _Mute(_Asked):
    chat_ban_account_ids: list[str] | None = None
    chat_banned: bool | None = None


_invite, _mute = Body(_Invite), Body(_Mute)


async def invite(at: At) -> Results:
    """`POST /team_members`: whoever is invited is in it at once, whatever the group wants of others who invite."""
    asked = await at.body(_invite)
    team_type(asked.team_type)
    operator = await at.account(asked.operator_id, OPERATOR)
    xid = await team_of(at, asked.team_id)
    named = await read_named(at, asked.invite_account_ids, _INVITED)
    principal, groups = at.acting_for(operator), at.core.groups
    if named.new(at):
        named = await with_new(at, named, await groups.places_left(principal, xid))
    return await change_each(at, principal, xid, named, partial(groups.invite, at_once=True))


async def kick(at: At) -> Results:
    """`DELETE /team_members/actions/kick_member`, whose accounts stand in the query, between commas."""
    said = at.query
    team_type(said.text("team_type") or None)
    operator = await at.account(said.text(OPERATOR), OPERATOR)
    xid = await team_of(at, said.text("team_id") or None)
    named = await read_named(at, [name for name in said.text(_KICKED).split(",") if name], _KICKED)
    return await change_each(at, at.acting_for(operator), xid, named, at.core.groups.kick)


async def leave(at: At) -> dict[str, str]:
    """`DELETE /team_members/actions/leave`; who is in it no more has left."""
    said = at.query
    team_type(said.text("team_type") or None)
    user = await at.account(said.text("account_id"), "account_id")
    await at.core.groups.leave(at.acting_for(user), await team_of(at, said.text("team_id") or None))
    return {}


async def mute(at: At) -> Results:
    """`PATCH /team_members/actions/batch_mute`: for good, or no longer."""
    asked = await at.body(_mute)
    team_type(asked.team_type)
    if asked.chat_banned is None:
        raise illegal("chat_banned", "it is required")
    operator = await at.account(asked.operator_id, OPERATOR)
    xid = await team_of(at, asked.team_id)
    named = await read_named(at, asked.chat_ban_account_ids, _MUTED)
    bans = at.core.groups.bans
    change = partial(bans.ban, minutes=_FOR_GOOD) if asked.chat_banned else bans.unban
    return await change_each(at, at.acting_for(operator), xid, named, change)
