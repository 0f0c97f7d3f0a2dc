"""POST /messages/msg_recall and /messages/recall (agora.md, The seed's calls)."""

from __future__ import annotations

import logging

import msgspec

from gateway.core.principal import Principal
from gateway.core.recalls import TakenBack
from gateway.domain.errors import Problem
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import FORBIDDEN, Fault, illegal
from gateway.edge.facades.agora.groups_and_rooms import groups_called
from gateway.edge.facades.agora.members import Members
from gateway.edge.facades.agora.names import ADMIN, id_of

log = logging.getLogger(__name__)

MANY_MAX = 100
"""Messages of one POST /messages/recall."""

_TYPES = ("chat", "groupchat", "chatroom")
_YES = "yes"
_FAILED = "internal error"
_TOLD: dict[TakenBack, str] = {
    TakenBack.DONE: _YES,
    TakenBack.ALREADY: "not_found msg",
    TakenBack.TOO_LATE: "exceed recall time limit",
    TakenBack.ELSEWHERE: "can't find msg to",
    TakenBack.UNKNOWN: "not_found msg",
}


class _One(msgspec.Struct):
    """A message that is asked for, and what has become of it."""

    msg_id: str
    to: str
    chat_type: str
    sender: str
    force: bool
    recalled: str = ""


async def recall(at: At) -> bytes:
    """POST /messages/msg_recall."""
    principal = await at.administrator()
    one = _asked(await at.members())
    _want_open(at)
    await _recall(at, principal, one)
    data: dict[str, object] = {
        "recalled": one.recalled,
        "chattype": one.chat_type,
        "from": one.sender,
        "to": one.to,
        "msg_id": one.msg_id,
    }
    if one.recalled != _YES:
        data["msgs"] = [_line(one)]
    return at.told(data=data)


async def recall_many(at: At) -> bytes:
    """POST /messages/recall: each by itself."""
    principal = await at.administrator()
    asked = await at.members()
    many = [_asked(members) for members in _listed(asked)]
    if not 0 < len(many) <= MANY_MAX:
        raise illegal("msgs", f"it must have 1 to {MANY_MAX} messages")
    _want_open(at)
    for one in many:
        await _recall(at, principal, one)
    return at.told(data={"msgs": [_line(one) for one in many]})


def _listed(asked: Members) -> list[Members]:
    """What `msgs` holds: a list, or one message by itself."""
    single = asked.object("msgs")
    if single is not None:
        return [single]
    listed = asked.objects("msgs")
    if listed is None:
        raise illegal("msgs", "it must be a list of messages")
    return listed


def _asked(members: Members) -> _One:
    one = _One(
        members.identifier("msg_id") or "",
        members.identifier("to") or "",
        members.text("chat_type") or "",
        members.text("from") or ADMIN,
        members.flag("force"),
    )
    for name in ("msg_id", "to", "chat_type"):
        if not getattr(one, name):
            raise illegal(name, "it is required")
    if one.chat_type not in _TYPES:
        raise illegal("chat_type", f"it must be {', '.join(_TYPES)}")
    return one


def _want_open(at: At) -> None:
    if not at.settings.recall_window_s:
        raise Fault(FORBIDDEN, "forbidden_op", "message recall service is unopened")


async def _recall(at: At, principal: Principal, one: _One) -> None:
    """Recall one, and note what came of it. What the store cannot do now is said of this one: others may be done."""
    one.recalled = _TOLD[TakenBack.UNKNOWN]
    msg_id = id_of(one.msg_id)
    if not msg_id:
        return
    conversation_xid = await _conversation(at, one)
    if not conversation_xid:
        one.recalled = _TOLD[TakenBack.ELSEWHERE]
        return
    try:
        done = await at.core.messaging.take_back(
            principal,
            conversation_xid,
            msg_id,
            window_ms=at.settings.recall_window_s * 1000,
            force=one.force,
        )
    except Problem as problem:
        log.warning("message %s is not recalled: %s", one.msg_id, problem.sentence)
        one.recalled = _FAILED
    else:
        one.recalled = _TOLD[done]


async def _conversation(at: At, one: _One) -> int:
    """Which conversation `to` names; 0 where there is none of this type."""
    if one.chat_type == "chat":
        user = await at.user_called(one.to)
        return user.xid if user else 0
    [xid] = await groups_called(at, [one.to], rooms=one.chat_type == "chatroom")
    return xid


def _line(one: _One) -> dict[str, str]:
    return {"msg_id": one.msg_id, "recalled": one.recalled}
