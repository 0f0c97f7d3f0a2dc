"""Teams, advanced and super: made, shown, changed and ended (netease.md, Siblings).

A team is a private group. What members may do in it, who lets whom in and how they are told (`configuration`) is the
core's to say, so that what is sent of it is dropped.
"""

from __future__ import annotations

import msgspec

from gateway.core.group_changes import PRIVATE
from gateway.core.principal import Principal
from gateway.domain.group_drafts import GroupSettings
from gateway.domain.model import SAFE_MAX, Group
from gateway.edge.decode import Body, Number, number, text
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.faults import illegal
from gateway.edge.facades.netease.named import (
    TEAM,
    Failed,
    Named,
    read_named,
    team_of,
    team_type,
    with_new,
)
from gateway.edge.facades.netease.names import folded, team_number

OPERATOR = "operator_id"
_OWNER, _INVITED = "owner_account_id", "invite_account_ids"


class TeamInfo(msgspec.Struct):
    """A team as it is shown; `team_type` is the one asked for."""

    team_id: int
    team_type: int
    name: str
    owner_account_id: str
    member_count: int
    members_limit: int
    create_time: int
    update_time: int
    icon: str
    announcement: str
    intro: str
    server_extension: str


class _Dropped(msgspec.Struct):
    """An object of whose members none is kept."""


class _Described(msgspec.Struct):
    """What a body may say of a team."""

    team_type: Number = None
    name: str | None = None
    icon: str | None = None
    announcement: str | None = None
    intro: str | None = None
    server_extension: str | None = None
    members_limit: Number = None
    configuration: _Dropped | None = None


class _Create(_Described):
    owner_account_id: str | None = None
    invite_account_ids: list[str] | None = None


class _Change(_Described):
    operator_id: str | None = None


class _Made(msgspec.Struct):
    team_info: TeamInfo
    failed_list: list[Failed]


class _Shown(msgspec.Struct):
    team_info: TeamInfo


_create, _change = Body(_Create), Body(_Change)


async def create(at: At) -> _Made:
    """`POST /teams`: whoever is invited is in it at once."""
    asked = await at.body(_create)
    kind, settings = team_type(asked.team_type), _settings(at, asked)
    if not settings.name:
        raise illegal("name", "it is required")
    principal, named = await _founders(at, asked, settings.members_max or 0)
    group, outcomes = await at.core.groups.create(
        principal,
        name=settings.name,
        description=settings.description or "",
        avatar=settings.avatar or "",
        kind=PRIVATE,
        members=list(named.by_xid),
        settings=msgspec.structs.replace(settings, name=None, description=None, avatar=None),
    )
    return _Made(await _info(at, group, kind), named.results(outcomes).failed_list)


async def _founders(at: At, asked: _Create, members_max: int) -> tuple[Principal, Named]:
    """Who begins a team, and who is invited into it; they come into being where nothing but its commit refuses it."""
    owner = await at.account_or_new(asked.owner_account_id, _OWNER)
    name = folded(asked.owner_account_id or "")
    invited = [account for account in asked.invite_account_ids or () if folded(account) != name]
    named = await read_named(at, invited, _INVITED, least=0)
    if owner is None or named.new(at):
        principal = at.acting_for(owner) if owner else at.administrator
        places = await at.core.groups.places_at_first(principal, members_max)
        owner = await at.account(asked.owner_account_id, _OWNER, make=True)
        named = await with_new(at, named, places)
    return at.acting_for(owner), named


async def one(at: At) -> _Shown:
    """`GET /teams/{id}`."""
    kind = team_type(at.query.text("team_type") or None)
    return await _shown(at, await _of_path(at), kind)


async def change(at: At) -> _Shown:
    """`PATCH /teams/{id}` (one of the vendor's libraries says PUT): what is not said stays as it is."""
    asked = await at.body(_change)
    kind, settings = team_type(asked.team_type), _settings(at, asked)
    if settings.name == "":
        raise illegal("name", "it must not be empty")
    operator = await at.account(asked.operator_id, OPERATOR)
    xid = await _of_path(at)
    if settings.changes:
        await at.core.groups.settings.describe(at.acting_for(operator), xid, settings)
    return await _shown(at, xid, kind)


async def destroy(at: At) -> dict[str, str]:
    """`DELETE /teams/{id}`; again: nothing more happens."""
    team_type(at.query.text("team_type") or None)
    operator = await at.account(at.query.text(OPERATOR), OPERATOR)
    await at.core.groups.destroy(at.acting_for(operator), await _of_path(at))
    return {}


async def _of_path(at: At) -> int:
    return await team_of(at, team_number(at.segment(), TEAM))


def _settings(at: At, asked: _Described) -> GroupSettings:
    """What a body says of a team; raises a `Fault` of 414."""

    def said(value: str | None, member: str, bytes_max: int = at.limits.text_bytes_max) -> str | None:
        return None if value is None else text(value, member, bytes_max)

    most = asked.members_limit
    return GroupSettings(
        name=said(asked.name, "name"),
        avatar=said(asked.icon, "icon"),
        announcement=said(asked.announcement, "announcement"),
        description=said(asked.intro, "intro"),
        ext=said(asked.server_extension, "server_extension", at.limits.ext_bytes_max),
        members_max=None if most is None else number(most, "members_limit", 1, SAFE_MAX),
    )


async def _shown(at: At, xid: int, kind: int) -> _Shown:
    return _Shown(await _info(at, await at.core.groups.info(at.administrator, xid), kind))


async def _info(at: At, group: Group, kind: int) -> TeamInfo:
    owners, most = await at.called([group.owner_xid]), at.limits.group_members_max
    return TeamInfo(
        team_id=group.xid,
        team_type=kind,
        name=group.name,
        owner_account_id=owners[group.owner_xid],
        member_count=group.members,
        members_limit=min(group.members_max or most, most),
        create_time=group.created_at,
        update_time=group.updated_at,
        icon=group.avatar,
        announcement=group.announcement,
        intro=group.description,
        server_extension=group.ext,
    )
