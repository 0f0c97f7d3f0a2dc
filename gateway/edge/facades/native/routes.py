"""Which call answers which verb and path (vendors.md §1.3; the seeds for `/message/*`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.core.service import Core
from gateway.domain.limits import Limits
from gateway.edge.facades.native import (
    devices,
    group_bans,
    group_requests,
    group_roles,
    group_settings,
    groups,
    logins,
    messages,
    roster,
    users,
)
from gateway.edge.facades.native.envelope import Asked, Tell

Call = Callable[[Core, Limits, Asked], Awaitable[bytes]]
"""A native call: the answer's envelope as bytes, or a `Problem`."""

Beginning = Callable[[Core, Limits, Asked, Tell], bool]
"""Begins a call that waits for one thing only, so that it needs no task; False: nothing is done, call it instead.

It may raise a `Problem` at once, in place of telling it.
"""

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
        ("GET", "/message/readers", messages.readers),
        ("POST", "/user/register/v2", logins.register),
        ("POST", "/token/user", logins.login_name),
        ("POST", "/token/id", logins.login_id),
        ("POST", "/token/login", logins.login),
        ("POST", "/user/register/batch", users.register_batch),
        ("GET", "/user/list", users.user_list),
        ("GET", "/user/profile", users.profile),
        ("POST PUT", "/user/profile", users.set_profile),
        ("GET", "/user/online_status", users.online_status),
        ("PUT", "/user/disable", users.disable),
        ("PUT", "/user/enable", users.enable),
        ("POST", "/user/change_password", users.change_password),
        ("POST DELETE", "/user/delete", users.delete),
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
        ("POST", "/group/ban", group_bans.ban),
        ("POST", "/group/unban", group_bans.unban),
        ("GET", "/group/banned_list", group_bans.banned_list),
        ("POST", "/group/block", group_bans.block),
        ("POST DELETE", "/group/unblock", group_bans.unblock),
        ("GET", "/group/blocked_list", group_bans.blocked_list),
        ("POST PUT", "/group/transfer", group_roles.transfer),
        ("POST", "/group/admin/add", group_roles.admin_add),
        ("POST DELETE", "/group/admin/remove", group_roles.admin_remove),
        ("GET", "/group/admin_list", group_roles.admin_list),
        ("POST PUT", "/group/info/name", group_settings.name),
        ("POST PUT", "/group/info/avatar", group_settings.avatar),
        ("POST PUT", "/group/info/description", group_settings.description),
        ("POST PUT", "/group/info/ext", group_settings.ext),
        ("POST", "/group/info/batch", group_settings.info_batch),
        ("GET", "/group/public_list", group_settings.public_list),
        ("GET", "/group/settings", group_settings.settings),
        ("POST PUT", "/group/settings", group_settings.settings_change),
        ("POST PUT", "/group/settings/allow_member_invitation", group_settings.allow_member_invitation),
        ("POST PUT", "/group/settings/ban_all", group_settings.ban_all),
        ("POST PUT", "/group/settings/unban_all", group_settings.unban_all),
        ("POST PUT", "/group/settings/enable_read_ack", group_settings.enable_read_ack),
        ("POST PUT", "/group/settings/history_visible", group_settings.history_visible),
        ("POST PUT", "/group/settings/require_admin_approval", group_settings.require_admin_approval),
        ("POST", "/group/apply", group_requests.apply),
        ("POST PUT", "/group/apply/handle", group_requests.apply_handle),
        ("POST", "/group/application_list", group_requests.application_list),
        ("POST PUT", "/group/invite/handle", group_requests.invite_handle),
        ("GET", "/group/invitation_list", group_requests.invitation_list),
    )
    for verb in verbs.split()
)
"""Verb, path and call of everything the native dialect has."""

BEGINNINGS: dict[Call, Beginning] = {
    messages.send: messages.begin_send,
    messages.notify: messages.begin_notify,
}
"""The calls that there are so many of that a task for each counts."""

ROOTS = frozenset({path.split("/")[1] for _, path, _ in ROUTES}) | {"ai", "app", "file", "push"}
"""How paths of this dialect begin, those too that are not served (vendors.md §1.3): no other dialect's do."""
