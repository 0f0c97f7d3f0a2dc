"""The calls of `/group/admin` and `/group/transfer` (vendors.md §1.3; the vendor's API, 4.1 to 4.3 and 4.50)."""

from __future__ import annotations

import msgspec

from gateway.core.service import Core
from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX
from gateway.edge.decode import Body, Number, Query, identifier
from gateway.edge.facades.native.asking import principal_of
from gateway.edge.facades.native.envelope import Asked, success
from gateway.edge.facades.native.groups import Listed, Result, results, with_users


class _Transfer(msgspec.Struct):
    group_id: Number = None
    new_owner: Number = None


_transfer = Body(_Transfer)


async def admin_add(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /group/admin/add."""
    principal = await principal_of(core, asked)
    group_xid, user_xids = with_users(asked, limits)
    return success(results(await core.groups.roles.assign(principal, group_xid, user_xids, admin=True)))


async def admin_remove(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, DELETE /group/admin/remove."""
    principal = await principal_of(core, asked)
    group_xid, user_xids = with_users(asked, limits)
    return success(results(await core.groups.roles.assign(principal, group_xid, user_xids, admin=False)))


async def admin_list(core: Core, _: Limits, asked: Asked) -> bytes:
    """GET /group/admin_list: all of them; the owner is none."""
    principal = await principal_of(core, asked)
    group_xid = Query(asked.query).number("group_id", 1, SAFE_MAX)
    admins = await core.groups.roles.admin_list(principal, group_xid)
    return success([Listed(member.xid, member.joined_at) for member in admins])


async def transfer(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/transfer: who was the owner stays in the group."""
    principal = await principal_of(core, asked)
    body = _transfer.decode(asked.body, limits)
    heir_xid = identifier(body.new_owner, "new_owner")
    await core.groups.roles.transfer(principal, identifier(body.group_id, "group_id"), heir_xid)
    return success(Result(heir_xid, "success", ""))
