"""What of a conversation is asked for, page by page (netease.md, v2.1 GET …/messages)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

import msgspec

from gateway.core.looking import Look
from gateway.domain.model import FOREVER, SAFE_MAX, Ctype
from gateway.edge.decode import Query
from gateway.edge.facades.netease.faults import illegal
from gateway.edge.facades.netease.nim import CTYPES, CUSTOM, TEXT, TIP

LIMIT_MAX = 100

_NEVER_HERE = frozenset({5, 11})
"""Types of the vendor's own messages, which may be asked for and of which there are none here."""

_TYPES = re.compile(r"[0-9]{1,3}(,[0-9]{1,3})*")
_FLAGS = {"true": True, "false": False}
_ID_BYTES, _DIGEST_BYTES = 7, 11
"""Together a multiple of three, so that a token in base64 has nothing behind it."""

_TOKEN = "page_token"  # noqa: S105 - it says where a page begins, and lets nobody in

_encoder = msgspec.msgpack.Encoder()


class Window(msgspec.Struct, frozen=True):
    """Messages from one time to another (ms, inclusive), of some types (none: of all), in pages of `limit`."""

    from_ms: int
    to_ms: int
    kinds: frozenset[int]
    descending: bool
    limit: int

    @property
    def ctypes(self) -> frozenset[int]:
        """What the core calls these types; a type that is never here is none of its content types."""
        named = {int(CTYPES[kind]) if kind in CTYPES else -1 for kind in self.kinds}
        return frozenset(named | ({int(Ctype.FORWARD)} if CUSTOM in self.kinds else set()))

    @property
    def told_by_config(self) -> bool:
        """Whether a message's content type leaves open whether it is asked for: the core knows no tips from texts."""
        return len(self.kinds & {TEXT, TIP}) == 1

    def look(self, after: int, limit: int) -> Look:
        """The core's word for a page of so many that begins after a message."""
        return Look(
            from_ms=self.from_ms,
            to_ms=self.to_ms,
            ctypes=self.ctypes,
            descending=self.descending,
            after=after,
            limit=limit,
        )


def read_window(query: Query, kinds: frozenset[int] = frozenset()) -> Window:
    """The window that a query asks for, of some types of messages; raises 414, naming the member that is wrong."""
    from_ms = query.number("begin_time", 0, SAFE_MAX, 0)
    to_ms = query.number("end_time", 0, SAFE_MAX, FOREVER)
    if to_ms < from_ms:
        raise illegal("end_time", "it must not be before begin_time")
    return Window(
        from_ms,
        to_ms,
        kinds,
        read_flag(query, "descending", default=True),
        query.number("limit", 1, LIMIT_MAX, LIMIT_MAX),
    )


def read_flag(query: Query, name: str, *, default: bool) -> bool:
    """The yes or no of a parameter; raises 414 for anything else."""
    said = query.text(name)
    if said and said not in _FLAGS:
        raise illegal(name, "it must be true or false")
    return _FLAGS.get(said, default)


def read_kinds(query: Query) -> frozenset[int]:
    """The types of messages that a query asks for, none: all; raises 414."""
    said = query.text("message_type")
    if said and not _TYPES.fullmatch(said):
        raise illegal("message_type", "it must be types of messages, between commas")
    kinds = frozenset(int(kind) for kind in said.split(",") if kind)
    if not kinds <= CTYPES.keys() | _NEVER_HERE:
        raise illegal("message_type", "there is no such type of message")
    return kinds


class Pages:
    """Where the pages of one query begin. What they are told by is good for this query alone, of whatever length.

    `asked` is what makes a query: two that differ in it have no token in common.
    """

    def __init__(self, window: Window, *asked: object) -> None:
        told = (window.from_ms, window.to_ms, sorted(window.kinds), window.descending, *asked)
        self._digest = hashlib.blake2b(_encoder.encode(told), digest_size=_DIGEST_BYTES).digest()

    def token(self, after: int) -> str:
        """What the page after a message is asked for by; 0: there is none."""
        if not after:
            return ""
        return base64.urlsafe_b64encode(after.to_bytes(_ID_BYTES) + self._digest).decode()

    def after(self, query: Query) -> int:
        """The message after which the page asked for begins (0: the first page); raises 414 for another query's."""
        said = query.text(_TOKEN)
        if not said:
            return 0
        try:
            told = base64.b64decode(said, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            told = b""
        after = int.from_bytes(told[:_ID_BYTES])
        if not 0 < after <= SAFE_MAX or self.token(after) != said:
            raise illegal(_TOKEN, "it is none of this query's answers")
        return after
