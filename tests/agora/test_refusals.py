"""What is refused, in the dialect's words (agora.md, Error; vendors.md §3.2)."""

from __future__ import annotations

import pytest

from gateway.domain.errors import Kind, Problem
from gateway.edge.facades.agora.faults import TABLE, fault_of

pytestmark = pytest.mark.one_node("a table, and nothing that runs")


def test_every_problem_has_its_words() -> None:
    """Whatever the core refuses can be told, and as an error."""
    assert set(TABLE) == set(Kind)
    for told in TABLE.values():
        assert 400 <= told.status < 600


@pytest.mark.parametrize(
    ("kind", "status", "error", "description"),
    [
        (Kind.TOKEN_MISSING, 401, "unauthorized", "Unable to authenticate due to expired access token"),
        (Kind.TOKEN_EXPIRED, 401, "unauthorized", "Unable to authenticate due to expired access token"),
        (
            Kind.TOKEN_ILLEGAL,
            401,
            "auth_bad_access_token",
            "Unable to authenticate due to corrupt access token",
        ),
        (Kind.FROZEN, 401, "unauthorized", "Unable to authenticate"),
        (Kind.USER_UNKNOWN, 404, "service_resource_not_found", "Service resource not found"),
        (Kind.GROUP_UNKNOWN, 404, "service_resource_not_found", "Service resource not found"),
        (Kind.STORAGE_FULL, 403, "message_send_error", "message send reach limit"),
        (Kind.TOO_LARGE, 413, "web_application", "Request Entity Too Large"),
        (Kind.RATE_LIMITED, 429, "reach_limit", "This request has reached api limit"),
    ],
)
def test_the_vendors_texts(kind: Kind, status: int, error: str, description: str) -> None:
    """To the letter: clients show them, and look for them."""
    fault = fault_of(Problem(kind, "our own sentence"))
    assert (fault.status, fault.error, fault.description) == (status, error, description)


@pytest.mark.parametrize("kind", [Kind.OVERLOADED, Kind.STORE_FAILED, Kind.DRAINING, Kind.RATE_LIMITED])
def test_what_passes_says_when_to_come_back(kind: Kind) -> None:
    """In whole seconds, never none."""
    assert fault_of(Problem(kind, "")).retry_after_s == 1
    assert fault_of(Problem(kind, "", retry_after_ms=1_001)).retry_after_s == 2
