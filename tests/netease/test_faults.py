"""The dialect's table of codes is total, and each refusal is told whole (netease.md, Codes)."""

from __future__ import annotations

import json

import pytest

from gateway.domain.errors import Kind, Problem
from gateway.edge.facades.netease.envelope import refused
from gateway.edge.facades.netease.faults import TABLE, fault_of

CODES: dict[int, set[Kind]] = {
    200: {Kind.ALREADY_A_MEMBER},
    403: {
        *(Kind.FORBIDDEN, Kind.OWNER_ONLY, Kind.ADMIN_ONLY, Kind.OWNER_CANNOT_LEAVE, Kind.GROUP_BLOCKED),
        *(Kind.GROUP_FULL, Kind.GROUPS_FULL, Kind.DEVICES_FULL, Kind.LIST_FULL, Kind.STORAGE_FULL),
        *(Kind.APPLICATION_GONE, Kind.INVITATION_GONE),
    },
    404: {Kind.PATH_UNKNOWN, Kind.METHOD_UNKNOWN, Kind.FILE_UNKNOWN},
    414: {
        *(Kind.BAD_PARAMETER, Kind.TOO_LARGE),
        # The dialect has no tokens: what proves something is a header, and one that is wrong is a bad one.
        *(Kind.TOKEN_MISSING, Kind.TOKEN_EXPIRED, Kind.TOKEN_ILLEGAL, Kind.AUTH_TIMEOUT),
    },
    416: {Kind.RATE_LIMITED},
    500: {Kind.INTERNAL},
    503: {Kind.OVERLOADED, Kind.STORE_FAILED, Kind.DRAINING},
    101303: {Kind.APP_UNKNOWN},
    102404: {Kind.USER_UNKNOWN},
    102405: {Kind.USER_EXISTS},
    102422: {Kind.FROZEN},
    102426: {Kind.BLOCKED},
    107306: {Kind.TRANSACTION_CONFLICT},
    107314: {Kind.RECALL_TOO_LATE},
    107404: {Kind.MESSAGE_UNKNOWN},
    108404: {Kind.GROUP_UNKNOWN},
    108423: {Kind.ALL_BANNED, Kind.GROUP_DISABLED},
    109404: {Kind.NOT_A_MEMBER, Kind.HEIR_NOT_A_MEMBER},
    109424: {Kind.BANNED},
}
"""The page's table, by code."""


def test_it_is_total() -> None:
    """Every kind of problem has its code, none by default."""
    assert {kind: code for code, kinds in CODES.items() for kind in kinds} == TABLE
    assert set(TABLE) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_told(kind: Kind) -> None:
    """By HTTP 200, in a whole envelope with its code; what is so already is a success."""
    response = refused(fault_of(Problem(kind, "a sentence")))
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert isinstance(response.body, bytes)
    told = json.loads(response.body)
    assert told == {"code": TABLE[kind], "msg": "success" if TABLE[kind] == 200 else "a sentence", "data": {}}


@pytest.mark.parametrize("kind", Kind)
def test_advice_to_come_back(kind: Kind) -> None:
    """What passes by itself says when, in whole seconds, never sooner than advised; nothing else does."""
    passes = TABLE[kind] in {416, 503}
    for asked_ms, told_s in ((None, 1), (1, 1), (1000, 1), (1001, 2)):
        response = refused(fault_of(Problem(kind, "", retry_after_ms=asked_ms)))
        assert response.headers.get("Retry-After") == (str(told_s) if passes else None)


def test_a_sentence_that_is_no_text() -> None:
    """It may quote what came in a header: what is none of UTF-8 in it is replaced."""
    response = refused(fault_of(Problem(Kind.BAD_PARAMETER, "X: \udcff")))
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["msg"] == "X: ?"
