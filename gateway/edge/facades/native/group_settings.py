"""The calls of `/group/info/*`, `/group/settings/*` and `/group/public_list` (vendors.md §1.3)."""

from __future__ import annotations

import msgspec

from gateway.core.service import Core
from gateway.domain.errors import bad
from gateway.domain.group_drafts import GroupSettings
from gateway.domain.limits import Limits
from gateway.domain.model import INT64_MAX, SAFE_MAX
from gateway.edge.decode import Body, Number, Query, identifier, identifiers, number, text
from gateway.edge.facades.native.asking import principal_of
from gateway.edge.facades.native.envelope import DONE, Asked, paged, success
from gateway.edge.facades.native.groups import Info, approval, ban_end, info_of


class _Text(msgspec.Struct):
    group_id: Number = None
    value: str | None = None


class _Flag(msgspec.Struct):
    group_id: Number = None
    value: bool | None = None


class _Settings(msgspec.Struct):
    group_id: Number = None
    apply_approval: Number = None
    invite_confirm: bool | None = None
    member_invite: bool | None = None
    history_visible: bool | None = None
    read_ack: bool | None = None


class _BanAll(msgspec.Struct):
    group_id: Number = None
    duration: Number = None


class _Groups(msgspec.Struct):
    group_list: list[Number] | None = None


class _Batched(Info, kw_only=True):
    """A group of many; here the vendor calls the owner by another name."""

    owner: int


class _BannedAll(msgspec.Struct):
    ban_expire_time: int


_text = Body(_Text)
_flag = Body(_Flag)
_settings = Body(_Settings)
_ban_all = Body(_BanAll)
_groups = Body(_Groups)


# -- what it is called --------------------------------------------------------------------------------------


async def name(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/info/name."""
    return await _describe(core, limits, asked, "name")


async def avatar(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/info/avatar."""
    return await _describe(core, limits, asked, "avatar")


async def description(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/info/description."""
    return await _describe(core, limits, asked, "description")


async def ext(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/info/ext."""
    return await _describe(core, limits, asked, "ext")


async def _describe(core: Core, limits: Limits, asked: Asked, member: str) -> bytes:
    principal = await principal_of(core, asked)
    body = _text.decode(asked.body, limits)
    most = limits.ext_bytes_max if member == "ext" else limits.text_bytes_max
    told = msgspec.structs.replace(GroupSettings(), **{member: text(body.value, "value", most)})
    await core.groups.settings.describe(principal, identifier(body.group_id, "group_id"), told)
    return DONE


async def info_batch(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /group/info/batch: those that one may see, in the order named."""
    principal = await principal_of(core, asked)
    body = _groups.decode(asked.body, limits)
    named = identifiers(body.group_list, "group_list", 1, limits.group_call_groups_max)
    found = await core.groups.info_batch(principal, named)
    return success(
        [_Batched(**msgspec.structs.asdict(info_of(group, limits)), owner=group.owner_xid) for group in found]
    )


async def public_list(core: Core, limits: Limits, asked: Asked) -> bytes:
    """GET /group/public_list: the ids of a page; `cursor` of the answer fetches the next one."""
    principal = await principal_of(core, asked)
    query = Query(asked.query)
    limit = query.number("limit", 1, INT64_MAX, limits.group_page_max)
    xids, cursor = await core.groups.public_list(principal, query.text("cursor"), limit)
    return paged(xids, cursor, 0)


# -- what is allowed in it ----------------------------------------------------------------------------------


async def settings(core: Core, limits: Limits, asked: Asked) -> bytes:
    """GET /group/settings: as `/group/info`, for whoever may see that."""
    principal = await principal_of(core, asked)
    group_xid = Query(asked.query).number("group_id", 1, SAFE_MAX)
    return success(info_of(await core.groups.info(principal, group_xid), limits))


async def settings_change(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/settings: several at once, by the names that GET tells them by."""
    principal = await principal_of(core, asked)
    body = _settings.decode(asked.body, limits)
    told = GroupSettings(
        apply_approval=approval(body.apply_approval),
        invite_confirm=body.invite_confirm,
        member_invitation=body.member_invite,
        history_visible=body.history_visible,
        read_ack=body.read_ack,
    )
    await core.groups.settings.allow(principal, identifier(body.group_id, "group_id"), told)
    return DONE


async def allow_member_invitation(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/settings/allow_member_invitation."""
    return await _allow(core, limits, asked, "member_invitation")


async def enable_read_ack(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/settings/enable_read_ack."""
    return await _allow(core, limits, asked, "read_ack")


async def history_visible(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/settings/history_visible: for who joins from now on."""
    return await _allow(core, limits, asked, "history_visible")


async def _allow(core: Core, limits: Limits, asked: Asked, setting: str) -> bytes:
    principal = await principal_of(core, asked)
    body = _flag.decode(asked.body, limits)
    if body.value is None:
        raise bad("value", "it is required")
    told = msgspec.structs.replace(GroupSettings(), **{setting: body.value})
    await core.groups.settings.allow(principal, identifier(body.group_id, "group_id"), told)
    return DONE


async def require_admin_approval(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/settings/require_admin_approval."""
    principal = await principal_of(core, asked)
    body = _settings.decode(asked.body, limits)
    told = GroupSettings(apply_approval=number(body.apply_approval, "apply_approval", 0, 2))
    await core.groups.settings.allow(principal, identifier(body.group_id, "group_id"), told)
    return DONE


async def ban_all(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/settings/ban_all: `duration` as in `/group/ban`; answers when it ends, in seconds."""
    principal = await principal_of(core, asked)
    body = _ban_all.decode(asked.body, limits)
    minutes = number(body.duration, "duration", -INT64_MAX, INT64_MAX, 0)
    ends = await core.groups.settings.ban_all(principal, identifier(body.group_id, "group_id"), minutes)
    return success(_BannedAll(ban_end(ends)))


async def unban_all(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/settings/unban_all."""
    principal = await principal_of(core, asked)
    body = _ban_all.decode(asked.body, limits)
    await core.groups.settings.ban_all(principal, identifier(body.group_id, "group_id"), None)
    return DONE
