"""How a backend proves to be an app's: a digest of a secret, a nonce and the time (netease.md, Authentication)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

import msgspec

from gateway.edge.facades.netease.faults import BAD_HEADER, PARAMETER, Fault

SKEW_S = 300
"""So far the time of a call may be from ours."""

_NONCE_BYTES_MAX = 128
_TIME = re.compile(rb"[0-9]{1,15}")
_CHECKSUM = re.compile(rb"[0-9a-f]{40}")
_NO_SECRET = "no app has this secret, for it has a blank in it"  # noqa: S105


class Signed(msgspec.Struct, frozen=True):
    """What the headers of a call say; nothing of it is believed yet."""

    app_key: str
    nonce: bytes
    time: bytes
    checksum: bytes

    def signed_by(self, secrets: Sequence[str]) -> bool:
        """Whether one of these secrets has signed it. Where there is none it takes as long as where there is one."""
        known = False
        for secret in secrets or (_NO_SECRET,):
            made = hashlib.sha1(secret.encode() + self.nonce + self.time).hexdigest()  # noqa: S324 - the vendor's
            known |= hmac.compare_digest(made.encode(), self.checksum)
        return known


def read_headers(headers: Mapping[str, str], now_ms: int) -> Signed:
    """What the four headers say. Raises a `Fault` of 414 for what is missing, malformed or of another time."""
    key, nonce, time, checksum = (_raw(headers, name) for name in ("AppKey", "Nonce", "CurTime", "CheckSum"))
    checksum = checksum.lower()
    if (
        not key
        or not 1 <= len(nonce) <= _NONCE_BYTES_MAX
        or not _TIME.fullmatch(time)
        or not _CHECKSUM.fullmatch(checksum)
        or abs(int(time) - now_ms // 1000) > SKEW_S
    ):
        raise bad_header()
    return Signed(key.decode(errors="replace"), nonce, time, checksum)


def bad_header() -> Fault:
    """The call proves nothing."""
    return Fault(PARAMETER, BAD_HEADER)


def _raw(headers: Mapping[str, str], name: str) -> bytes:
    # As the bytes that came: text of a header is UTF-8 with what is none of it escaped.
    return headers.get(name, "").encode(errors="surrogateescape")
