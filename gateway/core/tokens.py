"""Access tokens: JWTs signed with HS512 by one of an app's keys (vendors.md §1.1, admin token).

The algorithm is pinned, the key is chosen by the header's `kid`, and time is an argument: nothing here reads
a clock or the store.
"""

from __future__ import annotations

import re

import jwt
import msgspec

from gateway.core.cache import Cache
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX, App

ALGORITHM = "HS512"
CLUSTER = "gateway"
ROLE_USER = 1
ROLE_ADMIN = 2
TOKEN_CHARS_MAX = 2_048
"""Ours have about 300 characters; longer ones are refused before any work is done on them."""

_SUB = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)


class Claims(msgspec.Struct, frozen=True):
    """What a good token says: whom it speaks for, with which right, since when and until when (ms since 1970)."""

    xid: int
    admin: bool
    iat_ms: int
    exp_ms: int


class _Payload(msgspec.Struct, frozen=True):
    """The claims as they are written in a token; times are seconds since 1970."""

    app: str
    sub: str
    cluster: str
    role: int
    iat: int
    exp: int


class _Header(msgspec.Struct, frozen=True):
    """Of a token's header all that matters before its signature is checked."""

    kid: str


class _Verified(msgspec.Struct, frozen=True):
    """A token that was found good, with the key that its signature was made with."""

    app: int
    kid: str
    secret: bytes
    claims: Claims


class Tokens:
    """Issues and verifies tokens. Good ones are remembered, at most `Limits.cached_principals_max` of them.

    A remembered token stays good only as long as its app still has the very key it was signed with, so that
    dropping or replacing a key needs no further call.
    """

    def __init__(self, limits: Limits) -> None:
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        self._payloads = msgspec.json.Decoder(_Payload)
        self._verified: Cache[str, _Verified] = Cache(limits.cached_principals_max)

    def issue(
        self, app: App, xid: int, *, admin: bool, ttl_s: int, now_ms: int, valid_from_ms: int = 0
    ) -> tuple[str, int]:
        """A token for a user of the app, good for `ttl_s` from now, and when it expires (ms since 1970).

        It is not issued before `valid_from_ms`, which may lie in the second that has just begun.
        """
        iat = max(now_ms // 1000, valid_from_ms // 1000)
        payload = _Payload(
            app=app.app_id,
            sub=str(xid),
            cluster=CLUSTER,
            role=ROLE_ADMIN if admin else ROLE_USER,
            iat=iat,
            exp=iat + ttl_s,
        )
        token = self._jws.encode(
            msgspec.json.encode(payload), app.keys[app.signing_kid], ALGORITHM, {"kid": app.signing_kid}
        )
        return token, payload.exp * 1000

    def verify(self, app: App, token: str | None, now_ms: int) -> Claims:
        """What a token says, if it is this app's and still good.

        Raises `TOKEN_MISSING` where there is none; `TOKEN_EXPIRED` for one past its time and otherwise right;
        `TOKEN_ILLEGAL` for everything else: forged, of another app, of another algorithm, garbage.
        """
        if not token:
            raise Problem(Kind.TOKEN_MISSING, "access-token: the header is missing")
        known = self._verified.get(token)
        if known is not None and known.app == app.id and app.keys.get(known.kid) == known.secret:
            claims = known.claims
        else:
            claims = self._check(app, token)
        if claims.exp_ms <= now_ms:
            self._verified.forget(token)
            raise Problem(Kind.TOKEN_EXPIRED, "access-token: it has expired")
        return claims

    def _check(self, app: App, token: str) -> Claims:
        """Verify everything about a token but its time, and remember it."""
        # PyJWT turns text into bytes, which a lone surrogate from a header would break.
        if len(token) > TOKEN_CHARS_MAX or not token.isascii():
            raise _illegal()
        try:
            header = msgspec.convert(self._jws.get_unverified_header(token), _Header)
            secret = app.keys[header.kid]
            payload = self._payloads.decode(self._jws.decode(token, secret, [ALGORITHM]))
        except (jwt.PyJWTError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
            raise _illegal() from None
        if payload.app != app.app_id or not _SUB.fullmatch(payload.sub) or int(payload.sub) > SAFE_MAX:
            raise _illegal()
        # A time that no timer could wait for is no time.
        if not 0 <= payload.exp * 1000 <= SAFE_MAX:
            raise _illegal()
        claims = Claims(int(payload.sub), payload.role == ROLE_ADMIN, payload.iat * 1000, payload.exp * 1000)
        self._verified.put(token, _Verified(app.id, header.kid, secret, claims))
        return claims


def _illegal() -> Problem:
    """One sentence for every way to be wrong: it tells a forger nothing."""
    return Problem(Kind.TOKEN_ILLEGAL, "access-token: it is not a token of this app")
