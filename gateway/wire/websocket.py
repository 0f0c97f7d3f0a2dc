"""RFC 6455 framing of what the server sends: whole, unmasked frames. Pure bytes."""

from __future__ import annotations

import struct

_TEXT = 0x81
_BINARY = 0x82
_CLOSE = 0x88
_PING = b"\x89\x00"
_SHORT_MAX = 125
_MEDIUM_MAX = 0xFFFF


def text_frame(payload: bytes) -> bytes:
    """Return a whole text frame, header included, as the server sends it (RFC 6455 §5.2: never masked)."""
    return _frame(_TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """Return a whole binary frame, header included, as the server sends it."""
    return _frame(_BINARY, payload)


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size <= _SHORT_MAX:
        return bytes((first, size)) + payload
    if size <= _MEDIUM_MAX:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close (RFC 6455 §5.5.1): at most 125 bytes, two of them its code; a longer reason is cut, as UTF-8."""
    told = reason.encode()[: _SHORT_MAX - 2].decode(errors="ignore").encode()
    return struct.pack("!BBH", _CLOSE, 2 + len(told), code) + told


def ping_frame() -> bytes:
    """Return an empty ping, which every client library answers."""
    return _PING
