"""RFC 6455 as the server speaks it: the handshake (§4.2.2), the lengths of a frame's header, control frames (§5)."""

from __future__ import annotations

import pytest

from gateway.wire.websocket import accept_key, binary_frame, close_frame, ping_frame, pong_frame, text_frame


def test_accept_key() -> None:
    """The example of RFC 6455 §1.3."""
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


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
def test_data_frames(size: int, header: bytes) -> None:
    """A text or binary frame is whole and unmasked, and has the shortest header that holds its length."""
    payload = b"x" * size
    assert text_frame(payload) == header + payload
    assert binary_frame(payload) == b"\x82" + header[1:] + payload


def test_ping_frame() -> None:
    """A ping is whole, unmasked and empty."""
    assert ping_frame() == b"\x89\x00"


def test_pong_frame() -> None:
    """A pong is whole and unmasked, and says what the ping said."""
    assert pong_frame(b"") == b"\x8a\x00"
    assert pong_frame(b"x" * 125) == b"\x8a\x7d" + b"x" * 125


def test_close_frame() -> None:
    """A close is its code, and why in UTF-8."""
    assert close_frame(4502) == b"\x88\x02\x11\x96"
    assert close_frame(4000, "h\u00e9") == b"\x88\x05\x0f\xa0h\xc3\xa9"


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("x" * 123, 123), ("x" * 124, 123), ("\u00e9" * 62, 122), ("\U0001f600" * 300, 120)],
)
def test_long_reasons_are_cut(reason: str, kept: int) -> None:
    """A control frame holds 125 bytes; a longer reason is cut between two characters."""
    data = close_frame(4000, reason)
    assert data[1] == 2 + kept == len(data) - 2
    assert reason.startswith(data[4:].decode())
