"""The ways in: `/user/register/v2`, `/token/user`, `/token/id` and `/token/login` (vendors.md §1.4)."""

from __future__ import annotations

import msgspec

from gateway.core.directory import Grant
from gateway.core.service import Core
from gateway.domain.limits import Limits
from gateway.edge.decode import Body, Number, identifier, text
from gateway.edge.facades.native.asking import app_of
from gateway.edge.facades.native.envelope import Asked, success


class _Register(msgspec.Struct):
    username: str | None = None
    password: str | None = None


class _ByName(msgspec.Struct):
    name: str | None = None
    password: str | None = None


class _ById(msgspec.Struct):
    user_id: Number = None
    password: str | None = None


class _ByEither(msgspec.Struct):
    login_name: str | None = None
    password: str | None = None


class _User(msgspec.Struct):
    user_id: int
    username: str


class _Token(msgspec.Struct):
    """A token; `expire` is in ms since 1970. The other members are of services that are not there."""

    token: str
    user_id: int
    expire: int
    public_key: str = ""
    encrypt_type: int = 0
    store_token: str = ""
    access_key_secret: str = ""
    push_token: str = ""


_register = Body(_Register)
_by_name = Body(_ByName)
_by_id = Body(_ById)
_by_either = Body(_ByEither)


async def register(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /user/register/v2."""
    body = _register.decode(asked.body, limits)
    username = text(body.username, "username", limits.name_bytes_max)
    password = text(body.password, "password", limits.password_bytes_max)
    user = await core.directory.register(app_of(asked), username, password)
    return success(_User(user.xid, user.name))


async def login_name(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /token/user."""
    body = _by_name.decode(asked.body, limits)
    name = text(body.name, "name", limits.name_bytes_max)
    password = text(body.password, "password", limits.password_bytes_max)
    return _granted(await core.directory.login_name(app_of(asked), name, password))


async def login_id(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /token/id."""
    body = _by_id.decode(asked.body, limits)
    xid = identifier(body.user_id, "user_id")
    password = text(body.password, "password", limits.password_bytes_max)
    return _granted(await core.directory.login_id(app_of(asked), xid, password))


async def login(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /token/login: by name, or by id where it is of digits."""
    body = _by_either.decode(asked.body, limits)
    login_name = text(body.login_name, "login_name", limits.name_bytes_max)
    password = text(body.password, "password", limits.password_bytes_max)
    return _granted(await core.directory.login(app_of(asked), login_name, password))


def _granted(grant: Grant) -> bytes:
    return success(_Token(grant.token, grant.xid, grant.expires_ms))
