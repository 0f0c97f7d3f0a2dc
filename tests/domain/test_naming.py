"""Names that are ids."""

from __future__ import annotations

import pytest

from gateway.domain.model import SAFE_MAX
from gateway.domain.naming import number_of


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
