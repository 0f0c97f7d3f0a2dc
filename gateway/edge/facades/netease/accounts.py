"""Accounts: made, shown, changed and put out (netease.md, Siblings).

Its `token` is the user's password: hashed, so that the answer to the call that sets it is the last to show it.
Devices trade it for a token of ours.
"""

from __future__ import annotations

import enum

import msgspec
from msgspec import UNSET, UnsetType

from gateway.domain.errors import Kind, Problem
from gateway.domain.model import SYSTEM_NAME, Account, State, User
from gateway.edge.decode import Body, Number, number, text
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.faults import ACCOUNT_EXISTS, FORBIDDEN, NOT_FOUND, Fault, illegal
from gateway.edge.facades.netease.names import called, folded, may_be_new

TOKEN_MAX = 128
"""Characters of a token."""

DEVICES_MAX = 20
"""Devices that a call names."""

_ACCOUNT, _ENABLED, _TOKEN, _DEVICES = "account_id", "enabled", "token", "device_id_list"


class Kicked(enum.IntEnum):
    """Which devices a call puts out."""

    ALL = 1
    NAMED = 2
    OTHERS = 3


class Configuration(msgspec.Struct):
    """Whether an account may act."""

    enabled: bool | None = None


class Information(msgspec.Struct):
    """What an account is called among people."""

    name: str | None = None


class Shown(msgspec.Struct):
    """An account as it is shown; what it is called only to whom has made it, its token to whom has set it."""

    account_id: str
    configuration: Configuration
    token: str | UnsetType = UNSET
    user_information: Information | UnsetType = UNSET


class _Antispam(msgspec.Struct):
    """What filters are told: there are none here."""


class _Described(msgspec.Struct):
    """What a body may say of an account."""

    token: str | None = None
    configuration: Configuration | None = None
    user_information: Information | None = None
    antispam_configuration: _Antispam | None = None


class _Create(_Described):
    account_id: str | None = None


class _Change(_Described):
    need_kick: bool | None = None


class _Disable(msgspec.Struct):
    enabled: bool | None = None


class _Kick(msgspec.Struct):
    type: Number = None
    device_id_list: list[str] | None = None


class _Refreshed(msgspec.Struct):
    account_id: str
    token: str


class _Device(msgspec.Struct):
    device_id: str


class _NoDevice(msgspec.Struct):
    device_id: str
    error_code: int
    error_msg: str


class _PutOut(msgspec.Struct):
    success_list: list[_Device]
    failed_list: list[_NoDevice]


_create, _change, _disable, _kick = Body(_Create), Body(_Change), Body(_Disable), Body(_Kick)


async def create(at: At) -> Shown:
    """`POST /accounts`. Who was only named before is taken for the one that is made."""
    asked = await at.body(_create)
    name = _new_name(asked.account_id)
    token = at.core.directory.passwords.draw() if asked.token is None else _checked(at, asked.token)
    nickname = _nickname(at, asked.user_information)
    account = Account(name, token, nickname or "", _state(_enabled(asked.configuration)))
    try:
        [user] = await at.core.accounts.make(at.app, [account], claim=True, literal=True)
    except Problem as problem:
        if problem.kind is not Kind.USER_EXISTS:
            raise
        raise Fault(ACCOUNT_EXISTS, f"{_ACCOUNT}: {name} is taken") from None
    shown = _shown(at, user)
    shown.token, shown.user_information = token, Information(account.nickname)
    return shown


async def one(at: At) -> Shown:
    """`GET /accounts/{id}`."""
    return _shown(at, await _named(at))


async def change(at: At) -> Shown:
    """`PATCH /accounts/{id}`: what is not said stays as it is; another token ends tokens of ours, and connections."""
    asked = await at.body(_change)
    token = None if asked.token is None else _checked(at, asked.token)
    nickname, enabled = _nickname(at, asked.user_information), _enabled(asked.configuration)
    user = await _named(at)
    if token is not None:
        await at.core.users.change_password(at.administrator, user.xid, None, token)
    if nickname is not None:
        await at.core.users.set_profile(at.administrator, user.xid, {"nickname": nickname})
    if enabled is not None:
        await _enable(at, user, enabled=enabled)
    if asked.need_kick:
        await at.core.users.kick(at.administrator, user.xid, 0)
    shown = _shown(at, user, enabled)
    if token is not None:
        shown.token = token
    return shown


async def disable(at: At) -> Shown:
    """`PATCH /accounts/{id}/actions/disable`: frozen, and its devices put out, or free again."""
    asked = await at.body(_disable)
    if asked.enabled is None:
        raise illegal(_ENABLED, "it is required")
    user = await _named(at)
    await _enable(at, user, enabled=asked.enabled)
    return _shown(at, user, asked.enabled)


async def refresh_token(at: At) -> _Refreshed:
    """`PATCH /accounts/{id}/actions/refresh_token`: another token in place of the one before."""
    user = await _named(at)
    token = at.core.directory.passwords.draw()
    await at.core.users.change_password(at.administrator, user.xid, None, token)
    return _Refreshed(called(at.app, user.xid, user.name), token)


async def kick(at: At) -> _PutOut:
    """`POST /accounts/{id}/actions/kick`: devices are put out, which may come back; they are named by number."""
    asked = await at.body(_kick)
    which = Kicked(number(asked.type, "type", min(Kicked), max(Kicked), Kicked.ALL))
    named = list(dict.fromkeys(asked.device_id_list or []))
    if which is not Kicked.ALL and not 1 <= len(named) <= DEVICES_MAX:
        raise illegal(_DEVICES, f"it must name 1 to {DEVICES_MAX} devices")
    user = await _named(at)
    by, users = at.administrator, at.core.users
    there = {str(device.device_sn): device for device in await users.devices(by, user.xid) if device.online}
    if which is Kicked.ALL:
        await users.kick(by, user.xid, 0)
        return _PutOut([_Device(device_id) for device_id in there], [])
    gone = [device_id for device_id in there if (device_id in named) is (which is Kicked.NAMED)]
    for device_id in gone:
        await users.kick(by, user.xid, there[device_id].device_sn)
    absent = [device_id for device_id in named if device_id not in there] if which is Kicked.NAMED else []
    return _PutOut(
        [_Device(device_id) for device_id in gone],
        [_NoDevice(device_id, NOT_FOUND, f"device {device_id} is not connected") for device_id in absent],
    )


async def _named(at: At) -> User:
    """The user that the path names."""
    return await at.account(at.segment(), _ACCOUNT)


async def _enable(at: At, user: User, *, enabled: bool) -> None:
    """Let a user act, or not any more."""
    users = at.core.users
    await (users.unfreeze if enabled else users.freeze)(at.administrator, [user.xid])


def _shown(at: At, user: User, enabled: bool | None = None) -> Shown:  # noqa: FBT001 - None: as it is
    if enabled is None:
        enabled = user.state is State.NORMAL
    return Shown(called(at.app, user.xid, user.name), Configuration(enabled))


def _new_name(account: str | None) -> str:
    """The name of an account that is to be made."""
    if not account:
        raise illegal(_ACCOUNT, "it is required")
    name = folded(account)
    if name == SYSTEM_NAME:
        raise Fault(FORBIDDEN, f"{_ACCOUNT}: {account} is reserved")
    if not may_be_new(name):
        raise illegal(_ACCOUNT, "it must be 1 to 32 letters, digits and _@.-")
    return name


def _checked(at: At, token: str) -> str:
    """A token that may be somebody's password."""
    if not 1 <= len(token) <= TOKEN_MAX or len(token.encode()) > at.limits.password_bytes_max:
        raise illegal(_TOKEN, f"it must have 1 to {TOKEN_MAX} characters")
    return token


def _nickname(at: At, told: Information | None) -> str | None:
    if told is None or told.name is None:
        return None
    return text(told.name, "user_information.name", at.limits.text_bytes_max)


def _enabled(told: Configuration | None) -> bool | None:
    return None if told is None else told.enabled


def _state(enabled: bool | None) -> State | None:  # noqa: FBT001 - None: it is not said
    if enabled is None:
        return None
    return State.NORMAL if enabled else State.FROZEN
