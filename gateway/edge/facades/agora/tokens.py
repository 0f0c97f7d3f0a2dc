"""POST /token: the four ways to come by a token (agora.md, Around them; vendors.md §3.1)."""

from __future__ import annotations

import hmac

import msgspec

from gateway.core.directory import Grant
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import User
from gateway.edge.facades.agora import access_token
from gateway.edge.facades.agora.asking import ALIAS, At
from gateway.edge.facades.agora.faults import BAD_REQUEST, Fault, fault_of, illegal, not_found, unauthorized
from gateway.edge.facades.agora.members import Members
from gateway.edge.facades.agora.names import app_uuid, name_of
from gateway.edge.facades.agora.shapes import UserShape, user_shape

TTL_S = 60 * 24 * 3600
"""How long a token is good where nobody says."""

_CLOSED = "registration is not open, please contact the app admin"

FOREVER_S = 2_147_483_647
"""What is told of a token that does not end."""

_encoder = msgspec.json.Encoder()


class _Token(msgspec.Struct, omit_defaults=True):
    access_token: str
    expires_in: int
    application: str
    user: UserShape | None = None


class _Exchanged(msgspec.Struct):
    access_token: str
    expire_timestamp: int


async def token(at: At) -> bytes:
    """POST /token."""
    asked = await at.members()
    match asked.value("grant_type"):
        case "client_credentials":
            return await _by_client(at, asked)
        case "password":
            return await _by_password(at, asked)
        case "inherit":
            return await _by_app(at, asked)
        case "agora":
            return await _exchange(at)
        case _:
            raise illegal("grant_type", "it must be client_credentials, password, inherit or agora")


async def _by_client(at: At, asked: Members) -> bytes:
    """The app's own token, for whoever knows one of its secrets."""
    secret = asked.text("client_secret") or ""
    secrets = await at.core.directory.credential(at.app, ALIAS, asked.text("client_id") or "")
    if not secrets:
        raise _ungranted("client_id does not match")
    # All of them are compared, so that the time tells nothing of how near one came.
    if not sum(hmac.compare_digest(known.encode(), secret.encode()) for known in secrets):
        raise _ungranted("client_secret does not match")
    return _granted(at, at.core.directory.grant(at.app, None, _ttl_of(asked)))


async def _by_password(at: At, asked: Members) -> bytes:
    name = name_of(asked.text("username"))
    ttl_s = _ttl_of(asked)
    try:
        grant = await at.core.directory.login_in(at.app, name or "", asked.text("password") or "", ttl_s)
    except Problem as problem:
        if problem.kind not in {Kind.FORBIDDEN, Kind.USER_UNKNOWN}:
            raise
        raise _ungranted("invalid username or password") from None
    user = await at.user_called(str(grant.xid))
    if user is None:
        raise _ungranted("invalid username or password")
    return _granted(at, grant, user)


async def _by_app(at: At, asked: Members) -> bytes:
    """A user's token, for whoever holds one of the app; `autoCreateUser`: the user may come into being by it."""
    await at.administrator()
    name = asked.text("username") or ""
    make = asked.flag("autoCreateUser")
    user = await at.user_called(name, make=make)
    if user is None:
        if make and at.app.registered and name_of(name):
            raise unauthorized(_CLOSED)
        raise not_found()
    return _granted(at, at.core.directory.grant(at.app, user, _ttl_of(asked)), user)


async def _exchange(at: At) -> bytes:
    """One of our tokens for one of the vendor's, good for as long as that one."""
    try:
        told, privilege = await at.judged(at.bearer)
        principal = await at.caller()
    except Problem as problem:
        raise fault_of(problem) from None
    # A second may have passed since it was judged: one of ours is good for one at least.
    left_s = max(told.good_until(privilege) - at.now() // 1000, 1)
    user = None if privilege == access_token.APP else principal.user
    grant = at.core.directory.grant(at.app, user, left_s)
    return _encoder.encode(_Exchanged(grant.token, grant.expires_ms))


def _ttl_of(asked: Members) -> int | None:
    """How long (s) a token is to be good; None: for ever."""
    ttl_s = asked.integer("ttl")
    if ttl_s is None:
        return TTL_S
    if ttl_s < 0:
        raise illegal("ttl", "it must not be below 0")
    return ttl_s or None


def _granted(at: At, grant: Grant, user: User | None = None) -> bytes:
    left_s = (grant.expires_ms - at.now() + 999) // 1000
    return _encoder.encode(
        _Token(
            access_token=grant.token,
            expires_in=min(left_s, FOREVER_S),
            application=app_uuid(at.app),
            user=user_shape(at.app, user) if user else None,
        )
    )


def _ungranted(why: str) -> Fault:
    return Fault(BAD_REQUEST, "invalid_grant", why)
