"""Users: `/user/*` but for devices and the ways in (vendors.md §1.3, §1.4; the vendor's server API, "User action")."""

from __future__ import annotations

import msgspec

from gateway.core.service import Core
from gateway.domain.errors import bad
from gateway.domain.limits import Limits
from gateway.domain.model import INT64_MAX, SAFE_MAX, State
from gateway.edge.decode import Body, Number, Query, identifiers, number, text
from gateway.edge.facades.native.asking import principal_of
from gateway.edge.facades.native.envelope import DONE, Asked, success

# The members of a profile as the vendor calls them, and as the core does.
_MEMBERS = {
    "nick_name": "nickname",
    "avatar": "avatar",
    "description": "description",
    "public_info": "public_info",
    "private_info": "private_info",
}


class _Account(msgspec.Struct):
    username: str | None = None
    password: str | None = None


class _Batch(msgspec.Struct):
    list_: list[_Account] | None = msgspec.field(default=None, name="list")


class _Ids(msgspec.Struct):
    list_: list[Number] | None = msgspec.field(default=None, name="list")


class _One(msgspec.Struct):
    user_id: Number = None


class _Passwords(msgspec.Struct):
    user_id: Number = None
    old_password: str | None = None
    new_password: str | None = None


class _Profile(msgspec.Struct):
    user_id: Number = None
    nick_name: str | None = None
    avatar: str | None = None
    description: str | None = None
    public_info: str | None = None
    private_info: str | None = None


class _Enrolled(msgspec.Struct):
    success: bool
    reason: str
    user_id: int
    username: str


class _Listed(msgspec.Struct):
    user_id: int
    username: str
    status: int


class _Seen(msgspec.Struct, omit_defaults=True):
    """A user; `private_info` is there for whoever may see it."""

    user_id: int
    username: str
    nick_name: str
    avatar: str
    description: str
    public_info: str
    private_info: str | None = None


class _Online(msgspec.Struct):
    online: bool


_batch = Body(_Batch)
_one = Body(_One)
_ids = Body(_Ids)
_passwords = Body(_Passwords)
_profile = Body(_Profile)


async def register_batch(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /user/register/batch."""
    principal = await principal_of(core, asked)
    accounts = _batch.decode(asked.body, limits).list_ or []
    if not 1 <= len(accounts) <= limits.registrations_max:
        raise bad("list", f"it must hold 1 to {limits.registrations_max} accounts")
    done = await core.users.register(
        principal, [(account.username or "", account.password or "") for account in accounts]
    )
    return success([_Enrolled(not one.reason, one.reason, one.xid, one.username) for one in done])


async def user_list(core: Core, limits: Limits, asked: Asked) -> bytes:
    """GET /user/list."""
    principal = await principal_of(core, asked)
    query = Query(asked.query)
    page_num = query.number("page_num", 1, INT64_MAX, 1)
    page_size = query.number("page_size", 1, INT64_MAX, limits.user_page_default)
    found = await core.users.page(principal, page_num, page_size)
    return success([_Listed(user.xid, user.name, int(user.state is State.FROZEN)) for user in found])


async def profile(core: Core, _: Limits, asked: Asked) -> bytes:
    """GET /user/profile."""
    principal = await principal_of(core, asked)
    seen = await core.users.profile(principal, Query(asked.query).number("user_id", 0, SAFE_MAX, 0))
    told = {name: getattr(seen.profile, ours) for name, ours in _MEMBERS.items()}
    if not seen.private:
        del told["private_info"]
    return success(_Seen(user_id=seen.user.xid, username=seen.user.name, **told))


async def set_profile(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /user/profile: members that are not named stay as they are."""
    principal = await principal_of(core, asked)
    body = _profile.decode(asked.body, limits)
    changes = {
        ours: text(value, name, limits.text_bytes_max)
        for name, ours in _MEMBERS.items()
        if (value := getattr(body, name)) is not None
    }
    await core.users.set_profile(principal, number(body.user_id, "user_id", 0, SAFE_MAX, 0), changes)
    return DONE


async def online_status(core: Core, _: Limits, asked: Asked) -> bytes:
    """GET /user/online_status."""
    principal = await principal_of(core, asked)
    xid = Query(asked.query).number("user_id", 0, SAFE_MAX, 0)
    return success(_Online(await core.users.online(principal, xid)))


async def disable(core: Core, limits: Limits, asked: Asked) -> bytes:
    """PUT /user/disable."""
    principal = await principal_of(core, asked)
    await core.users.freeze(principal, _named(asked, limits))
    return DONE


async def enable(core: Core, limits: Limits, asked: Asked) -> bytes:
    """PUT /user/enable."""
    principal = await principal_of(core, asked)
    await core.users.unfreeze(principal, _named(asked, limits))
    return DONE


async def delete(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, DELETE /user/delete: whom the query names, or the body."""
    principal = await principal_of(core, asked)
    xid = Query(asked.query).number("user_id", 0, SAFE_MAX, 0)
    if not xid and asked.body:
        xid = number(_one.decode(asked.body, limits).user_id, "user_id", 0, SAFE_MAX, 0)
    await core.erasing.delete(principal, xid)
    return DONE


async def change_password(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /user/change_password."""
    principal = await principal_of(core, asked)
    body = _passwords.decode(asked.body, limits)
    old = body.old_password
    await core.users.change_password(
        principal,
        number(body.user_id, "user_id", 0, SAFE_MAX, 0),
        None if old is None else text(old, "old_password", limits.password_bytes_max),
        text(body.new_password, "new_password", limits.password_bytes_max),
    )
    return DONE


def _named(asked: Asked, limits: Limits) -> tuple[int, ...]:
    """The users that a body names; none where there is no body."""
    if not asked.body:
        return ()
    return identifiers(_ids.decode(asked.body, limits).list_, "list", 0, limits.user_call_users_max)
