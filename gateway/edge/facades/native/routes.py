"""Which call answers which verb and path (vendors.md §1.3; the seeds for `/message/*`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.core.service import Core
from gateway.domain.limits import Limits
from gateway.edge.facades.native import accounts, devices, groups, messages, roster, users
from gateway.edge.facades.native.envelope import Asked

Call = Callable[[Core, Limits, Asked], Awaitable[bytes]]
"""A native call: the answer's envelope as bytes, or a `Problem`."""

ROUTES: tuple[tuple[str, str, Call], ...] = tuple(
    (verb, path, call)
    for verbs, path, call in (
        ("POST PUT", "/message/send", messages.send),
        ("POST PUT", "/message/notify", messages.notify),
        ("POST", "/message/broadcast", messages.broadcast),
        ("POST PUT", "/message/recall", messages.recall),
        ("GET", "/message/conversation", messages.conversation),
        ("DELETE", "/message/conversation", messages.delete),
        ("GET", "/message/unread", messages.unread),
        ("GET", "/message/ack", messages.ack),
        ("POST", "/user/register/v2", users.register),
        ("POST", "/token/user", users.login_name),
        ("POST", "/token/id", users.login_id),
        ("POST", "/token/login", users.login),
        ("POST", "/user/register/batch", accounts.register_batch),
        ("GET", "/user/list", accounts.user_list),
        ("GET", "/user/profile", accounts.profile),
        ("POST PUT", "/user/profile", accounts.set_profile),
        ("GET", "/user/online_status", accounts.online_status),
        ("PUT", "/user/disable", accounts.disable),
        ("PUT", "/user/enable", accounts.enable),
        ("POST", "/user/change_password", accounts.change_password),
        ("GET", "/user/device/list", devices.device_list),
        ("POST DELETE", "/user/device/remove", devices.device_remove),
        ("POST PUT", "/user/kick", devices.kick),
        ("POST PUT", "/roster/block", roster.block),
        ("POST DELETE", "/roster/unblock", roster.unblock),
        ("GET", "/roster/blocked_list", roster.blocked_list),
        ("GET", "/roster/may_message", roster.may_message),
        ("POST", "/group/create", groups.create),
        ("POST DELETE", "/group/destroy", groups.destroy),
        ("GET", "/group/info", groups.info),
        ("GET", "/group/member_list", groups.member_list),
        ("GET", "/group/user_joined", groups.user_joined),
        ("POST", "/group/invite", groups.invite),
        ("POST DELETE", "/group/kick", groups.kick),
        ("POST DELETE", "/group/leave", groups.leave),
    )
    for verb in verbs.split()
)
"""Verb, path and call of everything the native dialect has."""
