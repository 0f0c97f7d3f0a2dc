"""What a send is remembered by."""

from __future__ import annotations

from gateway.core.order import Order, digest_of
from gateway.domain.model import Scope

ORDER = Order(scope=Scope.USER, targets=(7, 8), ctype=0, content="hi", ext="e")


def test_a_digest_is_for_ever() -> None:
    """Stored digests are compared with new ones: what they are made of may not change between versions."""
    assert digest_of(ORDER, notice=False) == "94885dacdac7fe424b4cb233cae20e41"


def test_a_notice_is_another_message() -> None:
    """Send and notify share their transaction ids, and are not the same."""
    assert digest_of(ORDER, notice=False) != digest_of(ORDER, notice=True)
