"""The frames of the channel: objects with an `op`, the same in every encoding (design §6).

What a client sends is decoded into one of `ClientFrame`; what the server sends leaves as finished bytes,
WebSocket header included, because one frame goes to many sockets.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.domain.model import SAFE_MAX, Ctype, Entry, Membership, Message
from gateway.wire.close import Close
from gateway.wire.encoding import Encoding, FrameError

TOKEN_PREFIX = "token."  # noqa: S105 - how a browser passes its token (design §6)
USER_TIMELINE = "user"

Ref = int | str | None


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="hello"):
    """Authenticates (where the handshake did not) and states the client's cursors, and what it runs on."""

    token: str
    app_id: str = ""
    device_sn: int = 0
    platform: int = 0
    epoch: str = ""
    cursors: dict[str, int] = {}


class AckFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="ack"):
    """Every entry of the timeline up to `seq` is held: DELIVERED."""

    timeline: str
    seq: int


class ReadFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="read"):
    """Everything in the conversation up to `msg_id` was seen: READ. Its other members are decoded as REST's are."""

    ref: Ref = None


class SendFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="send"):
    """Sends a message: the other members are the body of `POST /message/send` and are decoded as that."""

    ref: Ref = None


class RecallFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="recall"):
    """Takes a message back: the other members are the body of `POST /message/recall`."""

    ref: Ref = None


class JoinFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="join"):
    """Enters a chatroom. Its other members are decoded as REST's are."""

    ref: Ref = None


class LeaveFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="leave"):
    """Leaves a chatroom. Its other members are decoded as REST's are."""

    ref: Ref = None


class SignalFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="signal"):
    """Goes to who is online and is not stored. Its other members are decoded with those of a send."""

    ref: Ref = None


class PingFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="ping"):
    """Asks for a `pong`, to measure."""

    ref: Ref = None


ClientFrame = (
    Hello | AckFrame | ReadFrame | SendFrame | RecallFrame | SignalFrame | JoinFrame | LeaveFrame | PingFrame
)

_decoder: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)


def decode_frame(data: str | bytes) -> ClientFrame:
    """Decode the JSON of one frame of a client. Raises `FrameError` with what is wrong."""
    try:
        frame = _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise FrameError(str(error)) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise FrameError(f"not a JSON frame: {error}") from error
    # An ack first, without `match`: nearly all frames are.
    for number in (frame.seq,) if type(frame) is AckFrame else _numbers(frame):
        if not 0 <= number <= SAFE_MAX:
            raise FrameError(f"out of range: the number {number}")
    return frame


def _numbers(frame: ClientFrame) -> tuple[int, ...]:
    match frame:
        case Hello():
            return (frame.device_sn, frame.platform, *frame.cursors.values())
        case _:
            return ()


class _Xid(msgspec.Struct, frozen=True):
    uid: int
    device_sn: int


class _Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    msg_id: int
    from_xid: _Xid
    to_xid: _Xid
    content: str
    ctype: str
    attachment: str
    config: str
    ext: str
    timestamp: int
    conversation_id: int
    is_system: bool = False
    related_mid: int = 0
    expires_at: int = 0


class _MessageFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="message"):
    timeline: str
    seq: int
    message: _Item


def frame(encoding: Encoding, op: str, /, **members: Any) -> bytes:  # noqa: ANN401 - any member that JSON can carry
    """Return a server frame of a given `op` as bytes."""
    return encoding.pack({"op": op, **members})


class Told:
    """A frame for several devices: written once per encoding, and only in those that somebody speaks."""

    __slots__ = ("_frame", "_written")

    def __init__(self, op: str, /, **members: Any) -> None:  # noqa: ANN401 - as `frame`
        self._frame = {"op": op, **members}
        self._written: dict[Encoding, bytes] = {}

    @property
    def op(self) -> str:
        """Return what kind of frame it is."""
        op: str = self._frame["op"]
        return op

    @property
    def members(self) -> dict[str, Any]:
        """Return what else it holds, as plain values that another node can be sent."""
        return {name: msgspec.to_builtins(value) for name, value in self._frame.items() if name != "op"}

    def frame(self, encoding: Encoding) -> bytes:
        """Return the frame as bytes."""
        data = self._written.get(encoding)
        if data is None:
            data = self._written[encoding] = encoding.pack(self._frame)
        return data


def entry_frame(encoding: Encoding, entry: Entry, timeline: str, owner_xid: int) -> bytes:
    """Return the one frame that an entry yields on a timeline, for ever (design §3, Timeline).

    `owner_xid` is the user or group the timeline is of: conversation ids are as that user sees them.
    """
    seq = entry.seq
    message = entry.message
    if message is not None:
        conversation_id = message.conversation_for(owner_xid)
        if message.gone is not None:
            return frame(
                encoding,
                "gone",
                timeline=timeline,
                seq=seq,
                conversation_id=conversation_id,
                msg_id=message.msg_id,
                reason=message.gone.value,
            )
        item = _item(message, conversation_id)
        return encoding.pack(_MessageFrame(timeline=timeline, seq=seq, message=item))
    if entry.membership is not None:
        return _group_frame(encoding, entry.membership, timeline, seq)
    recalled = entry.recalled
    if recalled is not None:
        return frame(
            encoding,
            "recalled",
            timeline=timeline,
            seq=seq,
            conversation_id=recalled.conversation_xid,
            msg_id=recalled.msg_id,
        )
    deleted = entry.deleted
    assert deleted is not None, "an entry is a message, a recall, a membership or a deletion"
    return frame(
        encoding,
        "deleted",
        timeline=timeline,
        seq=seq,
        conversation_id=deleted.conversation_xid,
        msg_id=deleted.msg_id,
    )


def told_online(message: Message, owner_xid: int) -> Told:
    """Return the frame of a message that is not stored, and so is no entry of any timeline; `owner_xid` gets it."""
    return Told("message", message=_item(message, message.conversation_for(owner_xid)))


def _item(message: Message, conversation_id: int) -> _Item:
    return _Item(
        msg_id=message.msg_id,
        from_xid=_Xid(message.sender_xid, message.sender_sn),
        to_xid=_Xid(message.group_xid or message.target_xid, 0),
        content=message.content,
        ctype=Ctype(message.ctype).name,
        attachment=message.attachment,
        config=message.config,
        ext=message.ext,
        timestamp=message.at,
        conversation_id=conversation_id,
        is_system=message.notice,
        related_mid=message.related,
        expires_at=message.expires_at,
    )


def _group_frame(encoding: Encoding, membership: Membership, timeline: str, seq: int) -> bytes:
    members: dict[str, Any] = {
        "timeline": timeline,
        "seq": seq,
        "action": membership.action.value,
        "group_id": membership.group_xid,
        "user_ids": membership.user_xids,
    }
    if membership.from_seq:
        members["from_seq"] = membership.from_seq
    return frame(encoding, "group", **members)


def bye_frame(encoding: Encoding, code: Close, reason: str, retry_after_ms: int | None = None) -> bytes:
    """Return the `bye` that goes before a close."""
    members: dict[str, Any] = {"code": int(code), "reason": reason}
    if retry_after_ms is not None:
        members["retry_after_ms"] = retry_after_ms
    return frame(encoding, "bye", **members)
