"""The calls of `/group/apply` and `/group/invite/handle` (vendors.md §1.3; the vendor's API, 4.9 to 4.32)."""

from __future__ import annotations

import msgspec

from gateway.core.group_requests import RequestsPage
from gateway.core.service import Core
from gateway.domain.errors import bad
from gateway.domain.limits import Limits
from gateway.domain.model import INT64_MAX
from gateway.edge.decode import Body, Number, Query, identifier, identifiers, text
from gateway.edge.facades.native.asking import principal_of
from gateway.edge.facades.native.envelope import DONE, Asked, paged, success
from gateway.edge.facades.native.groups import Result


class _Apply(msgspec.Struct):
    group_id: Number = None
    reason: str | None = None


class _Handle(msgspec.Struct):
    group_id: Number = None
    user_id: Number = None
    approval: bool | None = None


class _Groups(msgspec.Struct):
    group_id: Number = None
    group_list: list[Number] | None = None


class _Application(msgspec.Struct):
    """`status` 0: nobody has answered; what is answered is no longer listed."""

    applicant_id: int
    group_id: int
    reason: str
    expired_time: int
    status: int


class _Invitation(msgspec.Struct):
    """`updated_at` is a string, as the vendor's: ms since 1970."""

    group_id: int
    inviter_id: int
    invitee_id: int
    reason: str
    expired_time: int
    updated_at: str
    status: int


_apply = Body(_Apply)
_handle = Body(_Handle)
_groups = Body(_Groups)


async def apply(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /group/apply: whether one is in at once, the group's `apply_approval` says."""
    principal = await principal_of(core, asked)
    body = _apply.decode(asked.body, limits)
    reason = text(body.reason, "reason", limits.text_bytes_max, "")
    await core.groups.requests.apply(principal, identifier(body.group_id, "group_id"), reason)
    return success(Result(principal.user.xid, "success", ""))


async def apply_handle(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/apply/handle."""
    principal = await principal_of(core, asked)
    group_xid, user_xid, approved = _handled(asked, limits)
    await core.groups.requests.handle_application(principal, group_xid, user_xid, approved=approved)
    return success(Result(user_xid, "success", ""))


async def application_list(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /group/application_list: of `group_list` or one `group_id`, paged by the query's cursor and limit."""
    principal = await principal_of(core, asked)
    body = _groups.decode(asked.body, limits)
    named = identifiers(
        [body.group_id] if body.group_list is None and body.group_id is not None else body.group_list,
        "group_list",
        1,
        limits.group_call_groups_max,
    )
    cursor, limit = _page_of(asked, limits)
    page = await core.groups.requests.application_list(principal, named, cursor, limit)
    return _paged(
        page,
        [
            _Application(request.user_xid, request.group_xid, request.reason, request.expires_at, 0)
            for request in page.requests
        ],
    )


async def invitation_list(core: Core, limits: Limits, asked: Asked) -> bytes:
    """GET /group/invitation_list: one's own."""
    principal = await principal_of(core, asked)
    page = await core.groups.requests.invitation_list(principal, *_page_of(asked, limits))
    return _paged(
        page,
        [
            _Invitation(
                request.group_xid,
                request.inviter_xid,
                request.user_xid,
                request.reason,
                request.expires_at,
                str(request.at),
                0,
            )
            for request in page.requests
        ],
    )


async def invite_handle(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /group/invite/handle: `user_id` is who invited."""
    principal = await principal_of(core, asked)
    group_xid, inviter_xid, approved = _handled(asked, limits)
    await core.groups.requests.handle_invitation(principal, group_xid, inviter_xid, approved=approved)
    return DONE


def _handled(asked: Asked, limits: Limits) -> tuple[int, int, bool]:
    body = _handle.decode(asked.body, limits)
    if body.approval is None:
        raise bad("approval", "it is required")
    return identifier(body.group_id, "group_id"), identifier(body.user_id, "user_id"), body.approval


def _page_of(asked: Asked, limits: Limits) -> tuple[str, int]:
    query = Query(asked.query)
    return query.text("cursor"), query.number("limit", 1, INT64_MAX, limits.request_page_max)


def _paged(page: RequestsPage, told: list[_Application] | list[_Invitation]) -> bytes:
    return paged(told, page.cursor, 0)
