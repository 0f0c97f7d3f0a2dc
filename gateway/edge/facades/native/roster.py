"""Block lists: `/roster/*` (vendors.md §1.3 and §1.4; the vendor's server API, "Friend management")."""

from __future__ import annotations

import msgspec

from gateway.core.service import Core
from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX
from gateway.edge.decode import Body, Number, Query, identifier
from gateway.edge.facades.native.asking import principal_of
from gateway.edge.facades.native.envelope import DONE, Asked, paged, success


class _One(msgspec.Struct):
    user_id: Number = None


_one = Body(_One)


async def block(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /roster/block."""
    principal = await principal_of(core, asked)
    await core.roster.block(principal, _named(asked, limits))
    return DONE


async def unblock(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, DELETE /roster/unblock."""
    principal = await principal_of(core, asked)
    await core.roster.unblock(principal, _named(asked, limits))
    return DONE


async def blocked_list(core: Core, _: Limits, asked: Asked) -> bytes:
    """GET /roster/blocked_list: ids; `cursor` of the answer fetches the next page, where there is one."""
    principal = await principal_of(core, asked)
    page = await core.roster.blocked(principal, Query(asked.query).text("cursor"))
    return paged(page.xids, page.cursor, 0)


async def may_message(core: Core, _: Limits, asked: Asked) -> bytes:
    """GET /roster/may_message."""
    principal = await principal_of(core, asked)
    query = Query(asked.query)
    other = query.number("roster_id", 1, SAFE_MAX)
    return success(await core.roster.may_message(principal, query.number("user_id", 0, SAFE_MAX, 0), other))


def _named(asked: Asked, limits: Limits) -> int:
    """Whom it is about: in the query, as the vendor has it, or in the body."""
    query = Query(asked.query)
    if query.text("user_id"):
        return query.number("user_id", 1, SAFE_MAX)
    body = _one.decode(asked.body, limits) if asked.body else _One()
    return identifier(body.user_id, "user_id")
