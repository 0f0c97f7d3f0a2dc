"""Why connections end, and who may come back."""

from __future__ import annotations

import pytest

from gateway.domain.errors import Kind
from gateway.wire.close import COME_BACK_MAX, Close, close_for


def test_codes_keep_to_their_ranges() -> None:
    """Every code lies in one of the two closed ranges of design §6."""
    assert all(4000 <= code <= 4999 for code in Close)
    assert COME_BACK_MAX == 4499


@pytest.mark.parametrize(
    "code",
    [Close.DRAINING, Close.IDLE, Close.STORE_FAILED, Close.AUTH_TIMEOUT, Close.OVERLOADED],
)
def test_come_back(code: Close) -> None:
    """After what was not the client's fault it may come back by itself."""
    assert code <= COME_BACK_MAX


@pytest.mark.parametrize(
    "code",
    [
        Close.TOKEN_ILLEGAL,
        Close.TOKEN_EXPIRED,
        Close.REPLACED,
        Close.PROTOCOL,
        Close.TOO_MANY_DEVICES,
        Close.FORBIDDEN,
        Close.KICKED,
        Close.FROZEN,
    ],
)
def test_stay_away(code: Close) -> None:
    """What coming back cannot mend keeps the client away: bad token, replaced, kicked, protocol error."""
    assert code > COME_BACK_MAX


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Kind.TOKEN_MISSING, Close.TOKEN_ILLEGAL),
        (Kind.TOKEN_ILLEGAL, Close.TOKEN_ILLEGAL),
        (Kind.TOKEN_EXPIRED, Close.TOKEN_EXPIRED),
        (Kind.AUTH_TIMEOUT, Close.AUTH_TIMEOUT),
        (Kind.APP_UNKNOWN, Close.TOKEN_ILLEGAL),
        (Kind.USER_UNKNOWN, Close.FORBIDDEN),
        (Kind.FORBIDDEN, Close.FORBIDDEN),
        (Kind.FROZEN, Close.FROZEN),
        (Kind.DEVICES_FULL, Close.TOO_MANY_DEVICES),
        (Kind.OVERLOADED, Close.OVERLOADED),
        (Kind.STORE_FAILED, Close.STORE_FAILED),
        (Kind.DRAINING, Close.DRAINING),
        (Kind.INTERNAL, Close.STORE_FAILED),
        (Kind.BAD_PARAMETER, Close.PROTOCOL),
    ],
)
def test_close_for(kind: Kind, code: Close) -> None:
    """A problem that ends a connection has its code; the client's own mistakes are PROTOCOL."""
    assert close_for(kind) is code


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_code(kind: Kind) -> None:
    """There is a close code for whatever may go wrong."""
    assert isinstance(close_for(kind), Close)
