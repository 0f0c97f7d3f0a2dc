"""The calls of `/group/*` (vendors.md §1.3 and §1.4)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.group_changes import Outcome
from gateway.core.service import Core
from gateway.domain.group_drafts import GroupSettings
from gateway.domain.limits import Limits
from gateway.domain.model import FOREVER, INT64_MAX, SAFE_MAX, Group
from gateway.edge.decode import Body, Number, Query, identifier, identifiers, number, text
from gateway.edge.facades.native.asking import principal_of
from gateway.edge.facades.native.envelope import DONE, Asked, paged, success


class _Create(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    avatar: str | None = None
    type: Number = None
    user_list: list[Number] | None = None
    ext: str | None = None
    apply_approval: Number = None
    invite_confirm: bool | None = None
    member_invite: bool | None = None
    history_visible: bool | None = None
    read_ack: bool | None = None


class _One(msgspec.Struct):
    group_id: Number = None


class _Users(msgspec.Struct):
    group_id: Number = None
    user_list: list[Number] | None = None
    reason: str | None = None


class Result(msgspec.Struct):
    """What became of one user of a call that names many, or of the one that a call is about."""

    user_id: int
    result: str
    reason: str


class Info(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A group. `user_list`, what became of the users named, is there where the group was just made."""

    group_id: int
    owner_id: int
    name: str
    description: str
    avatar: str
    type: int
    count: int
    capacity: int
    create_timestamp: int
    update_timestamp: int
    created_at: int
    updated_at: int
    ext: str
    apply_approval: int
    invite_confirm: bool
    member_invite: bool
    history_visible: bool
    read_ack: bool
    ban_expire_time: int
    status: int
    user_list: list[Result] | None = None


class Listed(msgspec.Struct):
    """A member of a group."""

    user_id: int
    join_time: int
    display_name: str = ""


_create = Body(_Create)
_one = Body(_One)
_users = Body(_Users)


async def create(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /group/create."""
    principal = await principal_of(core, asked)
    body = _create.decode(asked.body, limits)
    group, outcomes = await core.groups.create(
        principal,
        name=text(body.name, "name", limits.text_bytes_max, ""),
        description=text(body.description, "description", limits.text_bytes_max, ""),
        avatar=text(body.avatar, "avatar", limits.text_bytes_max, ""),
        kind=number(body.type, "type", 0, INT64_MAX, 0),
        members=identifiers(body.user_list, "user_list", 0, limits.group_call_users_max),
        settings=GroupSettings(
            ext=optional(body.ext, "ext", limits.ext_bytes_max),
            apply_approval=approval(body.apply_approval),
            invite_confirm=body.invite_confirm,
            member_invitation=body.member_invite,
            history_visible=body.history_visible,
            read_ack=body.read_ack,
        ),
    )
    return success(info_of(group, limits, results(outcomes)))


async def destroy(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, DELETE /group/destroy."""
    principal = await principal_of(core, asked)
    await core.groups.destroy(principal, _named(asked, limits))
    return DONE


async def info(core: Core, limits: Limits, asked: Asked) -> bytes:
    """GET /group/info."""
    principal = await principal_of(core, asked)
    group_xid = Query(asked.query).number("group_id", 1, SAFE_MAX)
    return success(info_of(await core.groups.info(principal, group_xid), limits))


async def member_list(core: Core, limits: Limits, asked: Asked) -> bytes:
    """GET /group/member_list: a page, by rising id; `cursor` of the answer fetches the next one."""
    principal = await principal_of(core, asked)
    query = Query(asked.query)
    group_xid = query.number("group_id", 1, SAFE_MAX)
    limit = query.number("limit", 1, INT64_MAX, limits.member_page_max)
    page = await core.groups.member_list(principal, group_xid, query.text("cursor"), limit)
    members = [Listed(member.xid, member.joined_at) for member in page.members]
    return paged(members, page.cursor, page.version)


async def user_joined(core: Core, _: Limits, asked: Asked) -> bytes:
    """GET /group/user_joined: the ids of the groups one is in."""
    principal = await principal_of(core, asked)
    return success(await core.groups.joined(principal))


async def invite(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /group/invite."""
    principal = await principal_of(core, asked)
    body = _users.decode(asked.body, limits)
    named = identifiers(body.user_list, "user_list", 1, limits.group_call_users_max)
    reason = text(body.reason, "reason", limits.text_bytes_max, "")
    group_xid = identifier(body.group_id, "group_id")
    return success(results(await core.groups.invite(principal, group_xid, named, reason)))


async def kick(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, DELETE /group/kick."""
    principal = await principal_of(core, asked)
    group_xid, user_xids = with_users(asked, limits)
    return success(results(await core.groups.kick(principal, group_xid, user_xids)))


async def leave(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, DELETE /group/leave."""
    principal = await principal_of(core, asked)
    await core.groups.leave(principal, _named(asked, limits))
    return DONE


def _named(asked: Asked, limits: Limits) -> int:
    """The group a body names; the query names it where there is no body, which DELETE often cannot have."""
    if not asked.body and asked.query:
        return Query(asked.query).number("group_id", 1, SAFE_MAX)
    return identifier(_one.decode(asked.body, limits).group_id, "group_id")


def with_users(asked: Asked, limits: Limits) -> tuple[int, tuple[int, ...]]:
    """The group and the users that a body names."""
    body = _users.decode(asked.body, limits)
    named = identifiers(body.user_list, "user_list", 1, limits.group_call_users_max)
    return identifier(body.group_id, "group_id"), named


def results(outcomes: Sequence[Outcome]) -> list[Result]:
    """What became of each user of a call that names many."""
    return [
        Result(outcome.xid, "fail" if outcome.kind else "success", outcome.reason) for outcome in outcomes
    ]


def optional(value: str | None, member: str, bytes_max: int) -> str | None:
    """A text that may be left out, bounded as every other."""
    return None if value is None else text(value, member, bytes_max)


def approval(value: Number) -> int | None:
    """What becomes of applications, where it is told."""
    return None if value is None else number(value, "apply_approval", 0, 2)


def ban_end(until: int) -> int:
    """The end of a ban of all as the vendor tells it: in seconds, 0 for none and -1 for good."""
    return -1 if until == FOREVER else until // 1000


def info_of(group: Group, limits: Limits, user_list: list[Result] | None = None) -> Info:
    """A group as it is told; the times are there by the vendor's older and newer names."""
    return Info(
        group_id=group.xid,
        owner_id=group.owner_xid,
        name=group.name,
        description=group.description,
        avatar=group.avatar,
        type=group.type,
        count=group.members,
        capacity=limits.group_members_max,
        create_timestamp=group.created_at,
        update_timestamp=group.updated_at,
        created_at=group.created_at,
        updated_at=group.updated_at,
        ext=group.ext,
        apply_approval=group.apply_approval,
        invite_confirm=group.invite_confirm,
        member_invite=group.member_invitation,
        history_visible=group.history_visible,
        read_ack=group.read_ack,
        ban_expire_time=ban_end(group.ban_all_until),
        status=0,
        user_list=user_list,
    )
