"""Close codes in closed ranges: 4000 to 4499 mean come back (with backoff), 4500 to 4999 don't (§6)."""

from __future__ import annotations

import enum

from gateway.domain.errors import Kind

COME_BACK_MAX = 4499
"""The greatest code after which a client may return by itself."""


class Close(enum.IntEnum):
    """Why the server closes a connection."""

    DRAINING = 4000
    IDLE = 4001
    STORE_FAILED = 4002
    AUTH_TIMEOUT = 4003
    OVERLOADED = 4004
    EPOCH = 4005
    TOKEN_ILLEGAL = 4500
    TOKEN_EXPIRED = 4501
    REPLACED = 4502
    PROTOCOL = 4503
    TOO_MANY_DEVICES = 4504
    FORBIDDEN = 4505
    KICKED = 4506
    FROZEN = 4507


_BY_KIND = {
    Kind.TOKEN_MISSING: Close.TOKEN_ILLEGAL,
    Kind.TOKEN_ILLEGAL: Close.TOKEN_ILLEGAL,
    Kind.TOKEN_EXPIRED: Close.TOKEN_EXPIRED,
    Kind.AUTH_TIMEOUT: Close.AUTH_TIMEOUT,
    Kind.APP_UNKNOWN: Close.TOKEN_ILLEGAL,
    Kind.USER_UNKNOWN: Close.FORBIDDEN,
    Kind.FORBIDDEN: Close.FORBIDDEN,
    Kind.FROZEN: Close.FROZEN,
    Kind.DEVICES_FULL: Close.TOO_MANY_DEVICES,
    Kind.OVERLOADED: Close.OVERLOADED,
    Kind.STORE_FAILED: Close.STORE_FAILED,
    Kind.DRAINING: Close.DRAINING,
    Kind.INTERNAL: Close.STORE_FAILED,
}


def close_for(kind: Kind) -> Close:
    """Return the close code of a problem that ends a connection; a client's own mistake is `PROTOCOL`."""
    return _BY_KIND.get(kind, Close.PROTOCOL)
