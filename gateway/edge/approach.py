"""What a client says of itself in the handshake of the channel, whichever road it came by (design §6)."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import msgspec

from gateway.domain.model import DEVICE_SN_MAX, PLATFORM_MAX
from gateway.wire.encoding import FrameError
from gateway.wire.frames import TOKEN_PREFIX

USER_AGENT_BYTES_MAX = 200
"""So much is kept of what a client calls itself."""


class Approach(msgspec.Struct, frozen=True):
    """A handshake that nothing is believed of yet. Without a token, the first frame must be `hello`."""

    app_id: str | None
    device_sn: int
    platform: int
    user_agent: str
    token: str | None


def read_approach(query: Mapping[str, str], headers: Mapping[str, str], protocols: str) -> Approach:
    """Read a handshake; headers are asked for by their lower-case names, `protocols` are all that were offered.

    Raises:
        FrameError: A number of the query is none.
    """
    return Approach(
        query.get("app_id") or headers.get("app_id"),
        _number(query, "device_sn", DEVICE_SN_MAX),
        _number(query, "platform", PLATFORM_MAX),
        _user_agent(headers.get("user-agent", "")),
        headers.get("access-token") or _offered_token(protocols),
    )


def _number(query: Mapping[str, str], name: str, most: int) -> int:
    """Read a number of the query, 0 where it is absent."""
    text = query.get(name)
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and int(text) <= most):
        raise FrameError(f"{name}: a number from 0 to {most}")
    return int(text)


def _user_agent(told: str) -> str:
    """Read what the client calls itself. Many say the very same, and one copy is enough for all of them."""
    cut = told.encode(errors="replace")[:USER_AGENT_BYTES_MAX]
    return sys.intern(cut.decode(errors="ignore"))


def _offered_token(protocols: str) -> str | None:
    """Find the token among the offered subprotocols: the only header a browser lets a page set."""
    for offered in protocols.split(","):
        if offered.strip().startswith(TOKEN_PREFIX):
            return offered.strip().removeprefix(TOKEN_PREFIX)
    return None
