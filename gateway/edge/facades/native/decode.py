"""The bodies of the message calls, as orders for the core (lanying.md, send; seed 001, §5.4 to 5.6)."""

from __future__ import annotations

import msgspec

from gateway.core.order import Order
from gateway.core.signals import Signal
from gateway.domain.drafts import BroadcastText
from gateway.domain.errors import bad
from gateway.domain.limits import Limits
from gateway.domain.model import INT64_MAX, RELATING, SAFE_MAX, Ctype, Request, Scope
from gateway.edge.decode import Body, Number, identifier, identifiers, number, text

_SCOPES = {int(scope): scope for scope in Scope}
_CTYPES = frozenset(map(int, (*Ctype, *Request)))
_CTYPE_MAX = max(_CTYPES)


class _Send(msgspec.Struct):
    type: Number = None
    targets: list[Number] | None = None
    content_type: Number = None
    content: str | None = None
    attachment: str | None = None
    ext: str | None = None
    config: str | None = None
    from_user_id: Number = None
    transaction_id: Number = None
    # As the vendor's sample has it (seed 002), with a space at its end.
    transaction_id_: Number = msgspec.field(default=None, name="transaction_id ")
    online_only: bool | None = None
    # Of content types that relate to nothing it is ignored like any member that is not known, whatever it holds.
    related_mid: object = None
    expire_s: Number = None


class _Broadcast(msgspec.Struct):
    type: Number = None
    content_type: Number = None
    content: str | None = None
    attachment: str | None = None
    ext: str | None = None
    config: str | None = None
    transaction_id: Number = None


class _Recall(msgspec.Struct):
    conversation_id: Number = None
    msg_id: Number = None


class _Room(msgspec.Struct):
    room_id: Number = None
    seq: Number = None


class _Signal(msgspec.Struct):
    type: Number = None
    target: Number = None
    content: str | None = None


_send = Body(_Send)
_broadcast = Body(_Broadcast)
_recall = Body(_Recall)
_room = Body(_Room)
_signal = Body(_Signal)


def decode_send(body: bytes, limits: Limits) -> Order:
    """The body of a send or notification. What it may hold beyond shape, types and ranges, the core judges.

    Raises:
        Problem: `BAD_PARAMETER`, naming the member.
    """
    asked = _send.decode(body, limits)
    # Most members of most sends are not there: what has its default is looked at once, and no function is called.
    transaction_id = 0 if asked.transaction_id is None else _transaction_id(asked.transaction_id)
    if asked.transaction_id_ is not None:
        other = _transaction_id(asked.transaction_id_)
        if asked.transaction_id is not None and other != transaction_id:
            raise bad("transaction_id", "it is given twice, and differently")
        transaction_id = other
    ctype = number(asked.content_type, "content_type", 0, _CTYPE_MAX)
    if ctype not in _CTYPES:
        raise bad("content_type", f"{ctype} is none that is there")
    return Order(
        scope=_scope(asked.type),
        targets=identifiers(asked.targets, "targets", 1, limits.targets_max),
        ctype=ctype,
        content=asked.content or "",
        attachment=asked.attachment or "",
        ext=asked.ext or "",
        config=asked.config or "",
        from_xid=0 if asked.from_user_id is None else identifier(asked.from_user_id, "from_user_id"),
        transaction_id=transaction_id,
        related=_related(asked.related_mid) if ctype >= RELATING else 0,
        online_only=bool(asked.online_only),
        expire_s=0 if asked.expire_s is None else number(asked.expire_s, "expire_s", 1, limits.expire_max_s),
    )


def decode_broadcast(body: bytes, limits: Limits) -> tuple[BroadcastText, int]:
    """The body of a broadcast: what it says, and its transaction id.

    Raises:
        Problem: `BAD_PARAMETER`, naming the member.
    """
    asked = _broadcast.decode(body, limits)
    number(asked.type, "type", Scope.USER, Scope.USER, Scope.USER)
    text = BroadcastText(
        ctype=number(asked.content_type, "content_type", 0, Ctype.COMMAND),
        content=asked.content or "",
        attachment=asked.attachment or "",
        config=asked.config or "",
        ext=asked.ext or "",
    )
    return text, _transaction_id(asked.transaction_id)


def decode_recall(body: bytes, limits: Limits) -> tuple[int, int]:
    """The body of a recall: the conversation's id and the message's.

    Raises:
        Problem: `BAD_PARAMETER`, naming the member.
    """
    asked = _recall.decode(body, limits)
    return identifier(asked.conversation_id, "conversation_id"), identifier(asked.msg_id, "msg_id")


def decode_read(body: bytes, limits: Limits) -> tuple[int, int]:
    """The members of a device's `read`, of which one may be missing (0), as in `GET /message/ack`.

    Raises:
        Problem: `BAD_PARAMETER`, naming the member.
    """
    asked = _recall.decode(body, limits)
    return (
        number(asked.conversation_id, "conversation_id", 0, SAFE_MAX, 0),
        number(asked.msg_id, "msg_id", 0, SAFE_MAX, 0),
    )


def decode_room(body: bytes, limits: Limits) -> tuple[int, int | None]:
    """The members of a device's `join` or `leave`: the chatroom, and the seq it is to be entered after, if any.

    Raises:
        Problem: `BAD_PARAMETER`, naming the member.
    """
    asked = _room.decode(body, limits)
    seq = None if asked.seq is None else number(asked.seq, "seq", 0, SAFE_MAX)
    return identifier(asked.room_id, "room_id"), seq


def _related(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str | None):
        raise bad("related_mid", "it must be an integer")
    return identifier(value, "related_mid")


def decode_signal(body: bytes, limits: Limits) -> Signal:
    """The members of a device's `signal`.

    Raises:
        Problem: `BAD_PARAMETER`, naming the member.
    """
    asked = _signal.decode(body, limits)
    return Signal(
        scope=_scope(asked.type),
        target=identifier(asked.target, "target"),
        content=text(asked.content, "content", limits.signal_bytes_max),
    )


def _scope(value: Number) -> Scope:
    scope = _SCOPES.get(value) if type(value) is int else None
    if scope is None:
        scope = _SCOPES[number(value, "type", 1, len(_SCOPES))]
    return scope


def _transaction_id(value: Number) -> int:
    return number(value, "transaction_id", -INT64_MAX - 1, INT64_MAX, 0)
