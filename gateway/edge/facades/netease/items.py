"""A message as answers of the dialect show it (netease.md, data)."""

from __future__ import annotations

import uuid

import msgspec

from gateway.domain.model import App, Ctype, HistoryItem, Message
from gateway.edge.facades.netease.names import ConversationId
from gateway.edge.facades.netease.nim import CTYPES, CUSTOM, TIP, ThreadConfig, read_config

_TYPES = {int(ctype): kind for kind, ctype in CTYPES.items() if kind != TIP} | {int(Ctype.FORWARD): CUSTOM}
_CLIENT_IDS = uuid.UUID("5a0c5df0-9d2b-5a4e-8f4c-3a1f0f6f2f10")
_Unset = msgspec.UnsetType

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


Stored = HistoryItem | Message
"""A message as the core tells of it, with its text."""


class Item(msgspec.Struct, kw_only=True):
    """A message; a member that it has not is not there."""

    message_server_id: int
    message_client_id: str
    message_type: int
    sender_id: str
    conversation_type: int
    receiver_id: str
    create_time: int
    sub_type: int | _Unset = msgspec.UNSET
    text: str | _Unset = msgspec.UNSET
    attachment: msgspec.Raw | _Unset = msgspec.UNSET
    thread_config: ThreadConfig | _Unset = msgspec.UNSET


def shown(app: App, message: Stored, sender: str, conversation: ConversationId) -> Item:
    """A stored message of a conversation, whichever dialect has sent it.

    Args:
        app: The app that it is of.
        message: What is stored; it is none of those that are folded into others.
        sender: The account that has sent it, as `At.called` tells it from its `sender_xid`: never the one that its
            config names, for a device may have written that.
        conversation: As it was asked for. Between users a message goes to the other one of the two; in a team it is
            the team's, also where it went to one member alone.
    """
    nim = read_config(message.config, message.ctype)
    back = not conversation.in_team and sender == conversation.opposite
    item = Item(
        message_server_id=message.msg_id,
        message_client_id=client_id(app, message.msg_id),
        message_type=_TYPES.get(message.ctype, CUSTOM),
        sender_id=sender,
        conversation_type=int(conversation.kind),
        receiver_id=conversation.account if back else conversation.opposite,
        create_time=message.at,
        text=message.content or msgspec.UNSET,
        attachment=_attachment(message.attachment),
    )
    if nim is not None:
        item.message_type = nim.message_type
        item.message_client_id = nim.message_client_id or item.message_client_id
        item.sub_type = msgspec.UNSET if nim.sub_type is None else nim.sub_type
        item.thread_config = nim.thread_config or msgspec.UNSET
    return item


def kind_of(message: Stored) -> int:
    """The type by which a stored message is shown."""
    nim = read_config(message.config, message.ctype)
    return _TYPES.get(message.ctype, CUSTOM) if nim is None else nim.message_type


def client_id(app: App, msg_id: int) -> str:
    """What stands for the client's id of a message that was sent without one: always the same."""
    return str(uuid.uuid5(_CLIENT_IDS, f"{app.app_id}/{msg_id}"))


def _attachment(text: str) -> msgspec.Raw | _Unset:
    """What a message carries as the object that the dialect wants it to be, byte for byte where it is one."""
    if not text:
        return msgspec.UNSET
    try:
        is_object = isinstance(_decoder.decode(text), dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        is_object = False
    return msgspec.Raw(text.encode() if is_object else _encoder.encode({"raw": text}))
