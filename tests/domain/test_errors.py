"""The one family of problems."""

from __future__ import annotations

import pytest

from gateway.domain.errors import Kind, Problem, bad, reused, storage_full


def test_problem_carries_its_kind_and_sentence() -> None:
    """A problem says what went wrong, once for machines and once for people."""
    problem = Problem(Kind.GROUP_FULL, "the group is full")
    assert (problem.kind, problem.sentence, str(problem)) == (
        Kind.GROUP_FULL,
        "the group is full",
        "the group is full",
    )
    assert problem.retry_after_ms is None


def test_problem_carries_advice() -> None:
    """A problem that goes away says when."""
    assert Problem(Kind.OVERLOADED, "too much", retry_after_ms=500).retry_after_ms == 500


@pytest.mark.parametrize(("advised_ms", "seconds"), [(None, 1), (1, 1), (1_000, 1), (1_001, 2), (90_000, 90)])
def test_advice_in_whole_seconds(advised_ms: int | None, seconds: int) -> None:
    """Nobody is told to come again sooner than advised, nor at once."""
    assert Problem(Kind.OVERLOADED, "too much", retry_after_ms=advised_ms).retry_after_s == seconds


def test_only_a_number_is_a_transaction_id() -> None:
    """What makes a repeat in other dialects is not called one."""
    told = [reused(key, "message") for key in ("7", "-7", "c7")]
    assert [problem.sentence.removesuffix(" was used for another message") for problem in told] == [
        "transaction_id 7",
        "transaction_id -7",
        "the key of this request",
    ]
    assert {problem.kind for problem in told} == {Kind.TRANSACTION_CONFLICT}


def test_bad_names_the_member() -> None:
    """A wrong member is named."""
    problem = bad("targets", "too many")
    assert (problem.kind, problem.sentence) == (Kind.BAD_PARAMETER, "targets: too many")


def test_a_full_store_has_a_kind_of_its_own() -> None:
    """It is the app that has no room, and no member of the call that is wrong."""
    assert storage_full().kind is Kind.STORAGE_FULL


@pytest.mark.parametrize("kind", Kind)
def test_kinds_are_named_as_they_are_written(kind: Kind) -> None:
    """A kind's value is its name, so that logs and code have one word for it."""
    assert kind.value == kind.name.lower()
