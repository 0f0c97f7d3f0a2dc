"""The dialect's table of errors is total, and each is told whole (agora.md, Error; vendors.md §3.2)."""

from __future__ import annotations

import json

import pytest

from gateway.domain.errors import Kind, Problem
from gateway.edge.facades.agora.envelope import refused
from gateway.edge.facades.agora.faults import TABLE, Fault, fault_of

STATUSES = {
    Kind.BAD_PARAMETER: 400,
    Kind.USER_EXISTS: 400,
    Kind.TOKEN_MISSING: 401,
    Kind.TOKEN_EXPIRED: 401,
    Kind.TOKEN_ILLEGAL: 401,
    Kind.AUTH_TIMEOUT: 401,
    Kind.FROZEN: 401,
    Kind.APP_UNKNOWN: 404,
    Kind.USER_UNKNOWN: 404,
    Kind.GROUP_UNKNOWN: 404,
    Kind.MESSAGE_UNKNOWN: 404,
    Kind.FILE_UNKNOWN: 404,
    Kind.PATH_UNKNOWN: 404,
    Kind.METHOD_UNKNOWN: 405,
    Kind.TRANSACTION_CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.RATE_LIMITED: 429,
    Kind.INTERNAL: 500,
    Kind.OVERLOADED: 503,
    Kind.STORE_FAILED: 503,
    Kind.DRAINING: 503,
}
"""HTTP statuses; of the other kinds it is 403."""


def test_it_is_total() -> None:
    """Every kind of problem is told, and nothing else is."""
    assert set(TABLE) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_told(kind: Kind) -> None:
    """With its status and a whole body: an error, its class, words, when and how long, and no code."""
    fault = fault_of(Problem(kind, "a sentence"))
    response = refused(fault, 5, 0)
    assert response.status == STATUSES.get(kind, 403)
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert isinstance(response.body, bytes)
    told = json.loads(response.body)
    assert told == {
        "error": TABLE[kind].error,
        "exception": fault.exception,
        "timestamp": 5,
        "duration": 0,
        "error_description": TABLE[kind].description or "a sentence",
    }
    assert fault.exception.rpartition(".")[2].isalpha()


def test_a_code() -> None:
    """Stands beside the rest."""
    response = refused(Fault(413, "message_send_error", "message is too large", code=14007), 5, 1)
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["error_code"] == 14007


@pytest.mark.parametrize(
    ("error", "exception"),
    [
        ("unauthorized", "org.apache.usergrid.rest.exceptions.SecurityException"),
        ("auth_bad_access_token", "org.apache.usergrid.rest.exceptions.SecurityException"),
        ("message_send_error", "MessageSendException"),
        ("forbidden_op", "EasemobForbiddenOpException"),
        ("illegal_argument", "IllegalArgumentException"),
        ("json_parse", "JsonParseException"),
    ],
)
def test_classes(error: str, exception: str) -> None:
    """The vendor's where they are known, else the error in camel case."""
    assert Fault(400, error, "").exception == exception


@pytest.mark.parametrize("kind", Kind)
def test_advice_to_come_back(kind: Kind) -> None:
    """What passes by itself says when, in whole seconds, never sooner than advised; nothing else does."""
    passes = STATUSES.get(kind) in {429, 503}
    for asked_ms, told_s in ((None, 1), (1, 1), (1000, 1), (1001, 2)):
        response = refused(fault_of(Problem(kind, "", retry_after_ms=asked_ms)), 5, 0)
        assert response.headers.get("Retry-After") == (str(told_s) if passes else None)
