"""RFC 6455 framing of what the server sends: whole, unmasked frames. Pure bytes."""

from __future__ import annotations

import struct

_TEXT = 0x81
_PING = b"\x89\x00"
_SHORT_MAX = 125
_MEDIUM_MAX = 0xFFFF


def text_frame(payload: bytes) -> bytes:
    """Return a whole text frame, header included, as the server sends it (RFC 6455 §5.2: never masked)."""
    size = len(payload)
    if size <= _SHORT_MAX:
        return bytes((_TEXT, size)) + payload
    if size <= _MEDIUM_MAX:
        return struct.pack("!BBH", _TEXT, 126, size) + payload
    return struct.pack("!BBQ", _TEXT, 127, size) + payload


def ping_frame() -> bytes:
    """Return an empty ping, which every client library answers."""
    return _PING
