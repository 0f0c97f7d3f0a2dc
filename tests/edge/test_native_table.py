"""The native dialect's table of codes, and the bytes of its envelope."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.domain.errors import Kind, Problem
from gateway.edge.facades.native.envelope import CODES, DONE, code_of, paged, refusal, sent, success


def opened(body: bytes) -> dict[str, Any]:
    envelope: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    return envelope


def test_it_is_total() -> None:
    """Every kind of problem has a code, and nothing else has."""
    assert set(CODES) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_told(kind: Kind) -> None:
    """A refusal is the whole envelope: its code, its sentence, no data."""
    reply = refusal(Problem(kind, "a sentence"))
    assert opened(reply.body) == {"code": code_of(kind), "message": "a sentence", "data": None}
    assert code_of(kind) != 200


@pytest.mark.parametrize("kind", Kind)
def test_http_statuses(kind: Kind) -> None:
    """HTTP says 200 but for what is not an API answer (lanying.md, HTTP status)."""
    expected = {
        Kind.PATH_UNKNOWN: 404,
        Kind.METHOD_UNKNOWN: 405,
        Kind.TOO_LARGE: 413,
        Kind.RATE_LIMITED: 429,
        Kind.INTERNAL: 500,
        Kind.OVERLOADED: 503,
        Kind.STORE_FAILED: 503,
        Kind.DRAINING: 503,
    }
    assert refusal(Problem(kind, "")).status == expected.get(kind, 200)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Kind.BAD_PARAMETER, 10002),
        (Kind.TOKEN_MISSING, 10003),
        (Kind.TOKEN_ILLEGAL, 10008),
        (Kind.TOKEN_EXPIRED, 402),
        (Kind.APP_UNKNOWN, 40000),
        (Kind.FORBIDDEN, 10010),
        (Kind.USER_UNKNOWN, 10000),
        (Kind.USER_EXISTS, 10004),
        (Kind.GROUP_UNKNOWN, 20001),
        (Kind.NOT_A_MEMBER, 20002),
        (Kind.OWNER_CANNOT_LEAVE, 20004),
        (Kind.FROZEN, 10010),
        (Kind.BANNED, 10010),
        (Kind.ALL_BANNED, 10010),
        (Kind.GROUP_DISABLED, 10010),
        (Kind.BLOCKED, 10006),
        (Kind.HEIR_NOT_A_MEMBER, 20005),
        (Kind.ADMIN_ONLY, 20012),
        (Kind.OWNER_ONLY, 20013),
        (Kind.APPLICATION_GONE, 20014),
        (Kind.INVITATION_GONE, 20015),
        (Kind.ALREADY_A_MEMBER, 20017),
        (Kind.GROUP_BLOCKED, 20018),
        (Kind.LIST_FULL, 20009),
        (Kind.RATE_LIMITED, 60004),
        (Kind.STORAGE_FULL, 60005),
        (Kind.TRANSACTION_CONFLICT, 60001),
        (Kind.RECALL_TOO_LATE, 60002),
        (Kind.MESSAGE_UNKNOWN, 60003),
        (Kind.OVERLOADED, 20000),
        (Kind.STORE_FAILED, 20000),
        (Kind.DRAINING, 20000),
    ],
)
def test_codes(kind: Kind, code: int) -> None:
    """The codes of lanying.md and vendors.md §1.2."""
    assert code_of(kind) == code


@pytest.mark.parametrize(("asked_ms", "told_s"), [(None, 1), (1, 1), (1000, 1), (1001, 2), (30_000, 30)])
def test_advice_to_come_back(asked_ms: int | None, told_s: int) -> None:
    """Unavailable always comes with whole seconds after which to ask again, never fewer than advised."""
    reply = refusal(Problem(Kind.OVERLOADED, "", retry_after_ms=asked_ms))
    assert reply.retry_after_s == told_s


def test_no_advice_where_nothing_would_change() -> None:
    """Only what passes by itself is worth asking again."""
    assert refusal(Problem(Kind.FORBIDDEN, "")).retry_after_s == 0


def test_success() -> None:
    """Success has no message, and yes is `true`."""
    assert opened(success([5])) == {"code": 200, "message": None, "data": [5]}
    assert opened(DONE) == {"code": 200, "message": None, "data": True}


def test_msg_ids() -> None:
    """The id of a message is told beside `data` where there was exactly one target."""
    assert opened(sent(5, 5)) == {"code": 200, "message": None, "data": True, "msg_ids": [5]}
    assert sent(5, 6) == DONE


def test_pages() -> None:
    """A page has `cursor` and `version` beside `data` (vendors.md §1.1)."""
    assert opened(paged([], "5", 9)) == {
        "code": 200,
        "message": None,
        "data": [],
        "cursor": "5",
        "version": 9,
    }
