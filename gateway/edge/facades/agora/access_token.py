"""AccessToken2, the vendor's tokens that begin with 007 (vendors.md §3.1): read and judged, never made.

`"007" + base64(zlib(str(signature) + info))`, all numbers little-endian, `str` = u16 length + bytes. `info` holds the
vendor's id of the app, issued at (s), expires after (s), a salt and the services, of which only Chat is looked at.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import struct
import zlib

import msgspec

VERSION = "007"
CHAT = 5
USER, APP = 1, 2
"""Privileges of the service Chat."""

_STRINGS = {1: 2, 2: 1, 3: 2, 4: 0}
"""How many strings the payload of a service has that may come before Chat: RTC, RTM, Streaming, FPA."""

_TOKEN_CHARS_MAX = 4_096
_INFLATED_MAX = 16_384
_APP_ID = re.compile(rb"[0-9a-fA-F]{32}")


class AccessToken(msgspec.Struct, frozen=True):
    """What a token says. `privileges` are those of Chat, each with the time (s since 1970) until when it is good.

    `expires_s` is when the token itself ends; `user_id` is empty in a token of an app.
    """

    app_id: str
    issued_s: int
    expires_s: int
    salt: int
    privileges: dict[int, int]
    user_id: str
    signature: bytes
    signed: bytes

    def signed_by(self, certificate: str) -> bool:
        """Whether the app's certificate (32 hex digits) has signed it."""
        key = hmac.digest(struct.pack("<I", self.issued_s), certificate.encode(), "sha256")
        key = hmac.digest(struct.pack("<I", self.salt), key, "sha256")
        return hmac.compare_digest(hmac.digest(key, self.signed, "sha256"), self.signature)

    def good_until(self, privilege: int) -> int:
        """Until when (s since 1970) it gives a privilege; 0 where it does not."""
        until = self.privileges.get(privilege)
        return 0 if until is None else min(until, self.expires_s)


def read(token: str) -> AccessToken | None:
    """What a token says, not yet judged; None for what is none, or has no service Chat."""
    if not token.startswith(VERSION) or len(token) > _TOKEN_CHARS_MAX:
        return None
    try:
        packed = base64.b64decode(token[len(VERSION) :], validate=True)
        inflating = zlib.decompressobj()
        plain = inflating.decompress(packed, _INFLATED_MAX)
        if not inflating.eof or inflating.unused_data:
            return None
        return _parse(_Bytes(plain))
    except (binascii.Error, zlib.error, struct.error, ValueError):
        return None


class _Bytes:
    """Reads numbers and strings off a block of bytes; raises `struct.error` where it is too short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def u16(self) -> int:
        (value,) = struct.unpack_from("<H", self._data, self.at)
        self.at += 2
        return int(value)

    def u32(self) -> int:
        (value,) = struct.unpack_from("<I", self._data, self.at)
        self.at += 4
        return int(value)

    def string(self) -> bytes:
        length = self.u16()
        value = self._data[self.at : self.at + length]
        if len(value) < length:
            raise struct.error
        self.at += length
        return value

    def rest(self) -> bytes:
        return self._data[self.at :]


def _parse(data: _Bytes) -> AccessToken | None:
    signature = data.string()
    signed = data.rest()
    app_id = data.string()
    if not _APP_ID.fullmatch(app_id):
        return None
    issued_s, lasts_s, salt, services = data.u32(), data.u32(), data.u32(), data.u16()
    for _ in range(services):
        kind = data.u16()
        privileges = {data.u16(): issued_s + data.u32() for _ in range(data.u16())}
        if kind != CHAT:
            if kind not in _STRINGS:
                return None
            for _ in range(_STRINGS[kind]):
                data.string()
            continue
        user_id = data.string().decode()
        return AccessToken(
            app_id.decode(), issued_s, issued_s + lasts_s, salt, privileges, user_id, signature, signed
        )
    return None
