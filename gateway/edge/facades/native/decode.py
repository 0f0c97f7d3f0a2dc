"""The bodies of the message calls, as orders for the core (lanying.md, send; seed 001, §5.4 to 5.6)."""

from __future__ import annotations

import msgspec

from gateway.core.messaging import Order
from gateway.domain.drafts import BroadcastText
from gateway.domain.errors import bad
from gateway.domain.limits import Limits
from gateway.domain.model import INT64_MAX, SAFE_MAX, Ctype, Scope
from gateway.edge.decode import Body, Number, identifier, identifiers, number

_SCOPES = {int(scope): scope for scope in Scope}
_CTYPE_MAX = max(Ctype)


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


_send = Body(_Send)
_broadcast = Body(_Broadcast)
_recall = Body(_Recall)


def decode_send(body: bytes, limits: Limits) -> Order:
    """The body of a send or notification. What it may hold beyond shape, types and ranges, the core judges.

    Raises:
        Problem: `BAD_PARAMETER`, naming the member.
    """
    asked = _send.decode(body, limits)
    transaction_id = _transaction_id(asked.transaction_id)
    if asked.transaction_id_ is not None:
        other = _transaction_id(asked.transaction_id_)
        if asked.transaction_id is not None and other != transaction_id:
            raise bad("transaction_id", "it is given twice, and differently")
        transaction_id = other
    if asked.online_only:
        raise bad("online_only", "messages that are not stored are not supported")
    scope = _SCOPES.get(number(asked.type, "type", 1, len(_SCOPES)))
    assert scope is not None, "the range is that of the scopes"
    return Order(
        scope=scope,
        targets=identifiers(asked.targets, "targets", 1, limits.targets_max),
        ctype=number(asked.content_type, "content_type", 0, _CTYPE_MAX),
        content=asked.content or "",
        attachment=asked.attachment or "",
        ext=asked.ext or "",
        config=asked.config or "",
        from_xid=0 if asked.from_user_id is None else identifier(asked.from_user_id, "from_user_id"),
        transaction_id=transaction_id,
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


def _transaction_id(value: Number) -> int:
    return number(value, "transaction_id", -INT64_MAX - 1, INT64_MAX, 0)
