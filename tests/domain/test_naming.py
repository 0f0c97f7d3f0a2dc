"""Names that are ids, and names that nobody may have."""

from __future__ import annotations

import pytest

from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX
from gateway.domain.naming import check_username, may_be_called, number_of

LIMITS = Limits(name_bytes_max=8)


@pytest.mark.parametrize(
    ("name", "xid"),
    [
        ("7", 7),
        (str(SAFE_MAX), SAFE_MAX),
        (str(SAFE_MAX + 1), 0),
        ("07", 0),
        ("0", 0),
        ("7a", 0),
        ("", 0),
        ("\u0667", 0),
    ],
)
def test_digits_alone_are_an_id(name: str, xid: int) -> None:
    """Without leading zeros, and up to the greatest there is."""
    assert number_of(name) == xid


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("a.b_c@-1", True),
        ("4711", True),
        ("a" * 9, False),
        ("a b", False),
        ("\u00e9", False),
        ("", False),
        ("system", False),
    ],
)
def test_who_may_be_called_so(name: str, may: bool) -> None:
    """Whoever another cloud has let in, but for the reserved user."""
    assert may_be_called(name, LIMITS) is may


@pytest.mark.parametrize("name", ["ann", "ann_1", "_", "a" * 8, "amta"])
def test_a_username(name: str) -> None:
    """Letters, digits and _ make one."""
    check_username(name, LIMITS)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.b", "letters"),
        ("", "letters"),
        ("\u00e9", "letters"),
        ("4711", "digits only"),
        ("MTA1", "reserved"),
        ("maxim", "reserved"),
        ("a" * 9, "more than 8 bytes"),
    ],
)
def test_no_username(name: str, said: str) -> None:
    """What nobody can be registered as is said with the reason."""
    with pytest.raises(Problem, match=f"^username: .*{said}") as refused:
        check_username(name, LIMITS)
    assert refused.value.kind is Kind.BAD_PARAMETER
