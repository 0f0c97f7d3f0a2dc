"""The calls of `/group/*` (vendors.md §1.3 and §1.4)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.groups import Outcome
from gateway.core.service import Core
from gateway.domain.limits import Limits
from gateway.domain.model import INT64_MAX, ROOM, SAFE_MAX, Group
from gateway.edge.decode import Body, Number, Query, identifier, identifiers, number, text
from gateway.edge.facades.native.asking import principal_of
from gateway.edge.facades.native.envelope import DONE, Asked, paged, success


class _Create(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    avatar: str | None = None
    type: Number = None
    user_list: list[Number] | None = None


class _One(msgspec.Struct):
    group_id: Number = None


class _Users(msgspec.Struct):
    group_id: Number = None
    user_list: list[Number] | None = None


class _Result(msgspec.Struct):
    user_id: int
    result: str
    reason: str


class _Info(msgspec.Struct, omit_defaults=True):
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
    user_list: list[_Result] | None = None


class _Member(msgspec.Struct):
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
    )
    return success(_info(group, limits, _results(outcomes)))


async def destroy(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, DELETE /group/destroy."""
    principal = await principal_of(core, asked)
    await core.groups.destroy(principal, _named(asked, limits))
    return DONE


async def info(core: Core, limits: Limits, asked: Asked) -> bytes:
    """GET /group/info."""
    principal = await principal_of(core, asked)
    group_xid = Query(asked.query).number("group_id", 1, SAFE_MAX)
    return success(_info(await core.groups.info(principal, group_xid), limits))


async def member_list(core: Core, limits: Limits, asked: Asked) -> bytes:
    """GET /group/member_list: a page, by rising id; `cursor` of the answer fetches the next one."""
    principal = await principal_of(core, asked)
    query = Query(asked.query)
    group_xid = query.number("group_id", 1, SAFE_MAX)
    limit = query.number("limit", 1, INT64_MAX, limits.member_page_max)
    page = await core.groups.member_list(principal, group_xid, query.text("cursor"), limit)
    members = [_Member(member.xid, member.joined_at) for member in page.members]
    return paged(members, page.cursor, page.version)


async def user_joined(core: Core, _: Limits, asked: Asked) -> bytes:
    """GET /group/user_joined: the ids of the groups one is in."""
    principal = await principal_of(core, asked)
    return success(await core.groups.joined(principal))


async def invite(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /group/invite."""
    principal = await principal_of(core, asked)
    group_xid, user_xids = _with_users(asked, limits)
    return success(_results(await core.groups.invite(principal, group_xid, user_xids)))


async def kick(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, DELETE /group/kick."""
    principal = await principal_of(core, asked)
    group_xid, user_xids = _with_users(asked, limits)
    return success(_results(await core.groups.kick(principal, group_xid, user_xids)))


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


def _with_users(asked: Asked, limits: Limits) -> tuple[int, tuple[int, ...]]:
    body = _users.decode(asked.body, limits)
    named = identifiers(body.user_list, "user_list", 1, limits.group_call_users_max)
    return identifier(body.group_id, "group_id"), named


def _results(outcomes: Sequence[Outcome]) -> list[_Result]:
    return [
        _Result(outcome.xid, "fail" if outcome.kind else "success", outcome.reason) for outcome in outcomes
    ]


def _info(group: Group, limits: Limits, results: list[_Result] | None = None) -> _Info:
    return _Info(
        group_id=group.xid,
        owner_id=group.owner_xid,
        name=group.name,
        description=group.description,
        avatar=group.avatar,
        type=group.type,
        count=group.members,
        capacity=limits.connections_max if group.type == ROOM else limits.group_members_max,
        create_timestamp=group.created_at,
        update_timestamp=group.updated_at,
        user_list=results,
    )
