"""The calls of `/group/ban`, `/group/block` and their lists (vendors.md §1.3; the vendor's API, 4.12 to 4.15)."""

from __future__ import annotations

import msgspec

from gateway.core.service import Core
from gateway.domain.limits import Limits
from gateway.domain.model import FOREVER, INT64_MAX, SAFE_MAX
from gateway.edge.decode import Body, Number, Query, identifier, identifiers, number
from gateway.edge.facades.native.asking import principal_of
from gateway.edge.facades.native.envelope import Asked, paged, success
from gateway.edge.facades.native.groups import results, with_users


class _Ban(msgspec.Struct):
    group_id: Number = None
    user_list: list[Number] | None = None
    duration: Number = None


class _Banned(msgspec.Struct):
    """`expired_time` in ms, -1 for good; `join_time` 0: no longer in the group."""

    user_id: int
    join_time: int
    expired_time: int
    display_name: str = ""


class _Blocked(msgspec.Struct):
    """`created_at` is a string, as the vendor's: ms since 1970."""

    user_id: int
    group_id: int
    created_at: str


_ban = Body(_Ban)


async def ban(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /group/ban: `duration` in minutes; 0, -1 and none: for good."""
    principal = await principal_of(core, asked)
    body = _ban.decode(asked.body, limits)
    named = identifiers(body.user_list, "user_list", 1, limits.group_call_users_max)
    group_xid = identifier(body.group_id, "group_id")
    minutes = number(body.duration, "duration", -INT64_MAX, INT64_MAX, 0)
    return success(results(await core.groups.bans.ban(principal, group_xid, named, minutes)))


async def unban(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /group/unban."""
    principal = await principal_of(core, asked)
    group_xid, user_xids = with_users(asked, limits)
    return success(results(await core.groups.bans.unban(principal, group_xid, user_xids)))


async def banned_list(core: Core, limits: Limits, asked: Asked) -> bytes:
    """GET /group/banned_list: paged as `/group/member_list`."""
    principal = await principal_of(core, asked)
    group_xid, cursor, limit = _page_of(asked, limits)
    page = await core.groups.bans.banned_list(principal, group_xid, cursor, limit)
    told = [
        _Banned(banned.xid, banned.joined_at, -1 if banned.until == FOREVER else banned.until)
        for banned in page.bans
    ]
    return paged(told, page.cursor, page.version)


async def block(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /group/block."""
    principal = await principal_of(core, asked)
    group_xid, user_xids = with_users(asked, limits)
    return success(results(await core.groups.bans.block(principal, group_xid, user_xids)))


async def unblock(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, DELETE /group/unblock."""
    principal = await principal_of(core, asked)
    group_xid, user_xids = with_users(asked, limits)
    return success(results(await core.groups.bans.unblock(principal, group_xid, user_xids)))


async def blocked_list(core: Core, limits: Limits, asked: Asked) -> bytes:
    """GET /group/blocked_list: paged as `/group/member_list`."""
    principal = await principal_of(core, asked)
    group_xid, cursor, limit = _page_of(asked, limits)
    page = await core.groups.bans.blocked_list(principal, group_xid, cursor, limit)
    told = [_Blocked(blocked.xid, group_xid, str(blocked.at)) for blocked in page.blocks]
    return paged(told, page.cursor, page.version)


def _page_of(asked: Asked, limits: Limits) -> tuple[int, str, int]:
    query = Query(asked.query)
    limit = query.number("limit", 1, INT64_MAX, limits.member_page_max)
    return query.number("group_id", 1, SAFE_MAX), query.text("cursor"), limit
