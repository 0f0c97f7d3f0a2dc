"""The eight types of message, to and from what the core keeps (agora.md, the table of types).

A message keeps its `body` as it was sent, as `attachment`; a text is `content` too, and alone where its body has
nothing else. Which type it was stands in `config`, beside those members of a send that have no effect here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from gateway.domain.model import Ctype
from gateway.edge.facades.agora.faults import illegal
from gateway.edge.facades.agora.members import Members

EXTS_MAX = 16
"""Members of `customExts`."""

_EVENT = re.compile(r"[A-Za-z0-9_/.-]{1,32}")

_encoder = msgspec.json.Encoder()


class Body(msgspec.Struct, frozen=True):
    """What a message says: its content type and what is kept of its `body`."""

    type: str
    ctype: Ctype
    content: str
    attachment: str


def _text(body: Members) -> str:
    told = body.value("msg")
    if not isinstance(told, str) or not told:
        raise illegal("body.msg", "it must be a string that is not empty")
    return told


def _custom(body: Members) -> str:
    event = body.value("customEvent")
    if event is not None and (not isinstance(event, str) or not _EVENT.fullmatch(event)):
        raise illegal("body.customEvent", "it must be 1 to 32 of the letters, digits and _ / . -")
    exts = body.value("customExts")
    if exts is not None and (not isinstance(exts, dict) or len(exts) > EXTS_MAX):
        raise illegal("body.customExts", f"it must be an object of at most {EXTS_MAX} members")
    return ""


def _kept(_: Members) -> str:
    return ""


TYPES: dict[str, tuple[Ctype, Callable[[Members], str]]] = {
    "txt": (Ctype.TEXT, _text),
    "img": (Ctype.IMAGE, _kept),
    "audio": (Ctype.AUDIO, _kept),
    "video": (Ctype.VIDEO, _kept),
    "file": (Ctype.FILE, _kept),
    "loc": (Ctype.LOCATION, _kept),
    "cmd": (Ctype.COMMAND, _kept),
    "custom": (Ctype.COMMAND, _custom),
}
"""Each type with its content type and what judges its body and finds its content there."""


def read_body(kind: str, raw: bytes, body: Members) -> Body:
    """What a `body` of a type says; raises `illegal_argument` naming what is wrong in it."""
    ctype, content_of = TYPES[kind]
    content = content_of(body)
    # A text that has no more than its words is kept once.
    alone = kind == "txt" and not set(body) - {"msg"}
    return Body(kind, ctype, content, "" if alone else raw.decode())


def config_of(kind: str, kept: dict[str, object]) -> str:
    """The `config` of a message: its type, and the members of its send that are only kept."""
    return _encoder.encode({"type": kind, **kept}).decode()
