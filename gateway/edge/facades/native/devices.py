"""The devices of a user: `/user/device/*` and `/user/kick` (vendors.md §1.3 and §1.4)."""

from __future__ import annotations

import msgspec

from gateway.core.service import Core
from gateway.domain.limits import Limits
from gateway.domain.model import DEVICE_SN_MAX, SAFE_MAX
from gateway.edge.decode import Body, Number, Query, number
from gateway.edge.facades.native.asking import principal_of
from gateway.edge.facades.native.envelope import DONE, Asked, paged


class _One(msgspec.Struct):
    user_id: Number = None
    device_sn: Number = None


class _Device(msgspec.Struct):
    """A device; `online` is ours."""

    device_sn: int
    platform: int
    user_agent: str
    user_id: int
    online: bool


_one = Body(_One)


async def device_list(core: Core, _: Limits, asked: Asked) -> bytes:
    """GET /user/device/list: they are few, and the first page is the last."""
    principal = await principal_of(core, asked)
    xid = Query(asked.query).number("user_id", 0, SAFE_MAX, 0)
    found = await core.users.devices(principal, xid)
    owner = xid or principal.user.xid
    return paged(
        [_Device(one.device_sn, one.platform, one.user_agent, owner, one.online) for one in found], "", 0
    )


async def device_remove(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, DELETE /user/device/remove."""
    principal = await principal_of(core, asked)
    xid, device_sn = _named(asked, limits, 1)
    await core.users.remove_device(principal, xid, device_sn)
    return DONE


async def kick(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /user/kick."""
    principal = await principal_of(core, asked)
    xid, device_sn = _named(asked, limits, 0)
    await core.users.kick(principal, xid, device_sn)
    return DONE


def _named(asked: Asked, limits: Limits, least: int) -> tuple[int, int]:
    """The user (0: whoever asks) and device: in the query, as the vendor has them, or in the body."""
    query = Query(asked.query)
    body = _one.decode(asked.body, limits) if asked.body else _One()
    xid = query.number("user_id", 0, SAFE_MAX, number(body.user_id, "user_id", 0, SAFE_MAX, 0))
    if query.text("device_sn"):
        return xid, query.number("device_sn", least, DEVICE_SN_MAX)
    return xid, number(body.device_sn, "device_sn", least, DEVICE_SN_MAX, None if least else 0)
