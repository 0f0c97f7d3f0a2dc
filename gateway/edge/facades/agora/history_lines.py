"""A message as a line of a history file (agora.md, GET /chatmessages; the seed's section on its content)."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.domain.model import App, Ctype, Message, Scope
from gateway.edge.facades.agora.bodies import TYPES
from gateway.edge.facades.agora.names import called_by

_decode = msgspec.json.decode
_encode = msgspec.json.Encoder().encode

_TYPE_OF = {
    Ctype.TEXT: "txt",
    Ctype.IMAGE: "img",
    Ctype.AUDIO: "audio",
    Ctype.VIDEO: "video",
    Ctype.FILE: "file",
    Ctype.LOCATION: "loc",
    Ctype.COMMAND: "cmd",
    Ctype.FORWARD: "txt",
}
"""What other dialects have sent, in this one's types; the nearest there is."""

_LENGTH = "Length"
"""How long a sound lasts, as the table of sends spells it; a history line has `length`."""

_COORDINATES = ("lat", "lng")


class _Payload(msgspec.Struct):
    bodies: list[dict[str, Any]]
    ext: dict[str, msgspec.Raw]
    sender: str = msgspec.field(name="from")
    to: str


class _Line(msgspec.Struct):
    msg_id: str
    timestamp: int
    direction: str
    to: str
    sender: str = msgspec.field(name="from")
    chat_type: str
    payload: _Payload


def line_of(app: App, message: Message, sender_name: str, target_name: str, file_bytes: int | None) -> bytes:
    """The line of a message and its end. `file_bytes` is the size of the file that it names, if it is one of ours."""
    to_group = message.scope is Scope.GROUP or message.group_xid
    sender = called_by(app, message.sender_xid, sender_name)
    group = message.group_xid or message.target_xid
    to = str(group) if to_group else called_by(app, message.target_xid, target_name)
    payload = _Payload([_body(message, file_bytes)], _members(message.ext), sender, to)
    line = _Line(
        str(message.msg_id),
        message.at,
        "outgoing",
        to,
        sender,
        "groupchat" if to_group else "chat",
        payload,
    )
    return _encode(line) + b"\n"


def file_in(message: Message) -> str:
    """The uuid of the file that a message names, as `uuid` or at the end of its `url`; empty where it names none."""
    body = _members(message.attachment)
    told = _value(body.get("uuid")) or _value(body.get("url"))
    return told.partition("?")[0].rpartition("/")[2] if isinstance(told, str) else ""


def _body(message: Message, file_bytes: int | None) -> dict[str, Any]:
    kind = _value(_members(message.config).get("type"))
    if not isinstance(kind, str) or kind not in TYPES:
        kind = _TYPE_OF.get(Ctype(message.ctype), "txt")
    body: dict[str, Any] = {**_members(message.attachment)}
    if kind == "txt":
        body = {"msg": message.content, **body}
    elif kind == "cmd" and message.content:
        body = {"action": message.content, **body}
    for name in _COORDINATES if kind == "loc" else ():
        if name in body:
            body[name] = _number(body[name])
    if file_bytes is not None:
        body["file_length"] = file_bytes
    if _LENGTH in body:
        body.setdefault("length", body[_LENGTH])
    if "customExts" in body:
        body["v2:customExts"] = body["customExts"]
    return {**body, "type": kind}


def _members(text: str) -> dict[str, msgspec.Raw]:
    """The members of the JSON object that a text is, on one line; none where it is no object.

    They stay as they were spelled: JSON has numbers that no double holds, and whoever sent them gets them back.
    """
    if not text.startswith("{"):
        return {}
    try:
        return _decode(msgspec.json.format(text.encode(), indent=-1), type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        # Whoever sends by another dialect may say anything, as deep as they like.
        return {}


def _value(raw: msgspec.Raw | None) -> object:
    """What a member is; None where it is not there, or holds a number that no double holds."""
    try:
        return None if raw is None else _decode(raw)
    except (ValueError, RecursionError):
        return None


def _number(raw: msgspec.Raw) -> object:
    """A coordinate as a number where it is one."""
    told = _value(raw)
    if not isinstance(told, str):
        return raw
    try:
        return _decode(told.strip(), type=float)
    except msgspec.DecodeError:
        return raw
