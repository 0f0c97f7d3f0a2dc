"""RFC 6455 §5.2: the three lengths of a frame's header."""

from __future__ import annotations

import pytest

from gateway.wire.websocket import ping_frame, text_frame


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (1, b"\x81\x01"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (0xFFFF, b"\x81\x7e\xff\xff"),
        (0x10000, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_text_frame(size: int, header: bytes) -> None:
    """A text frame is whole and unmasked, and has the shortest header that holds its length."""
    payload = b"x" * size
    assert text_frame(payload) == header + payload


def test_ping_frame() -> None:
    """A ping is whole, unmasked and empty."""
    assert ping_frame() == b"\x89\x00"
