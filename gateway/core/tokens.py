"""Access tokens: JWTs signed with HS512 by one of an app's keys (vendors.md §1.1, admin token).

The algorithm is pinned, the key is chosen by the header's `kid`, and time is an argument: nothing here reads
a clock or the store, or remembers anything.

They are made by PyJWT and verified by hand: in a connect storm each device brings another token, and anybody may send
forged ones. PyJWT takes 45 µs for either, what is here 6 µs for a good one and less for any other. It takes
nothing that PyJWT refuses; a test compares them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Literal

import jwt
import msgspec

from gateway.domain.errors import Kind, Problem
from gateway.domain.model import FOREVER, SAFE_MAX, App

ALGORITHM = "HS512"
CLUSTER = "gateway"
ROLE_USER = 1
ROLE_ADMIN = 2
TOKEN_CHARS_MAX = 2_048
"""Ours have about 300 characters; longer ones are refused before any work is done on them."""

_SUB = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)


class Claims(msgspec.Struct, frozen=True):
    """What a good token says: whom it speaks for, with which right, since when and until when (ms since 1970).

    `exp_ms` is `FOREVER` where it does not expire.
    """

    xid: int
    admin: bool
    iat_ms: int
    exp_ms: int


class _Payload(msgspec.Struct, frozen=True):
    """The claims as they are written in a token; times are seconds since 1970. Without `exp` it does not expire."""

    app: str
    sub: str
    cluster: str
    role: int
    iat: int
    exp: int | msgspec.UnsetType = msgspec.UNSET


class _Header(msgspec.Struct, frozen=True):
    """A token's header: its algorithm is ours, and what would have to be understood is not there (RFC 7515 §4.1.11)."""

    alg: Literal["HS512"]
    kid: str
    crit: msgspec.UnsetType = msgspec.UNSET
    b64: Literal[True] = True


class Tokens:
    """Issues and verifies tokens."""

    def __init__(self) -> None:
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        self._headers = msgspec.json.Decoder(_Header)
        self._payloads = msgspec.json.Decoder(_Payload)

    def issue(
        self, app: App, xid: int, *, admin: bool, ttl_s: int | None, now_ms: int, valid_from_ms: int = 0
    ) -> tuple[str, int]:
        """A token for a user of the app, good for `ttl_s` from now, and when it expires (ms since 1970).

        None: for ever, and that is `FOREVER`. It is not issued before `valid_from_ms`, which may lie in the second
        that has just begun.
        """
        iat = max(now_ms // 1000, valid_from_ms // 1000)
        payload = _Payload(
            app=app.app_id,
            sub=str(xid),
            cluster=CLUSTER,
            role=ROLE_ADMIN if admin else ROLE_USER,
            iat=iat,
            exp=msgspec.UNSET if ttl_s is None else iat + ttl_s,
        )
        token = self._jws.encode(
            msgspec.json.encode(payload), app.keys[app.signing_kid], ALGORITHM, {"kid": app.signing_kid}
        )
        return token, _expiry(payload)

    def verify(self, app: App, token: str | None, now_ms: int) -> Claims:
        """What a token says, if it is this app's and still good.

        Raises `TOKEN_MISSING` where there is none; `TOKEN_EXPIRED` for one past its time and otherwise right;
        `TOKEN_ILLEGAL` for everything else: forged, of another app, of another algorithm, garbage.
        """
        if not token:
            raise Problem(Kind.TOKEN_MISSING, "access-token: the header is missing")
        # A lone surrogate, which a header may hold, is none of our characters either.
        if len(token) > TOKEN_CHARS_MAX or not token.isascii():
            raise _illegal()
        try:
            payload = self._payload(app, token.encode())
        except (msgspec.MsgspecError, ValueError, RecursionError, KeyError):
            raise _illegal() from None
        if payload.app != app.app_id or not _SUB.fullmatch(payload.sub) or int(payload.sub) > SAFE_MAX:
            raise _illegal()
        exp_ms = _expiry(payload)
        # A time that no timer could wait for is no time.
        if not 0 <= exp_ms <= SAFE_MAX:
            raise _illegal()
        if exp_ms <= now_ms:
            raise Problem(Kind.TOKEN_EXPIRED, "access-token: it has expired")
        return Claims(int(payload.sub), payload.role == ROLE_ADMIN, payload.iat * 1000, exp_ms)

    def _payload(self, app: App, token: bytes) -> _Payload:
        """What a token says, signed by a key of the app. Raises one of many errors where it is not."""
        signed, _, signature = token.rpartition(b".")
        head, _, body = signed.partition(b".")
        header = self._headers.decode(_unpack(head))
        right = hmac.digest(app.keys[header.kid], signed, hashlib.sha512)
        # As text: the last of the 86 characters has bits to spare, which a comparison of bytes would not look at.
        if not hmac.compare_digest(_pack(right), signature):
            raise ValueError
        return self._payloads.decode(_unpack(body))


def _expiry(payload: _Payload) -> int:
    return payload.exp * 1000 if isinstance(payload.exp, int) else FOREVER


def _pack(data: bytes) -> bytes:
    """Write base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(data).rstrip(b"=")


def _unpack(text: bytes) -> bytes:
    """Read base64url without padding; raises `ValueError` for all that is not exactly as `_pack` writes it."""
    data = urlsafe_b64decode(text + b"==")
    if _pack(data) != text:
        raise ValueError
    return data


def _illegal() -> Problem:
    """One sentence for every way to be wrong: it tells a forger nothing."""
    return Problem(Kind.TOKEN_ILLEGAL, "access-token: it is not a token of this app")
