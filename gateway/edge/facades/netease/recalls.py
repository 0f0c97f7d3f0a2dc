"""Messages are taken back, and conversations are cleared (netease.md, Siblings: DELETE)."""

from __future__ import annotations

import enum

from gateway.domain.errors import Kind, Problem
from gateway.edge.decode import identifier
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.faults import NOT_REVOCABLE, NOT_YOURS, TO_ONESELF, Fault
from gateway.edge.facades.netease.places import find_place, message_in

_TYPE = "type"


class _Recall(enum.IntEnum):
    """Who takes a message back from whom: its sender from himself, a user from all, or the app from all."""

    ONE_SIDED = 1
    BY_USER = 2
    BY_APP = 3


class _Cleared(enum.IntEnum):
    """What of a conversation is cleared; what roams to new devices is nothing by itself here."""

    ROAMING = 1
    HISTORY = 2
    BOTH = 3


async def recall(at: At) -> object:
    """`DELETE /conversations/{cid}/messages/{id}`."""
    named = at.conversation()
    msg_id = identifier(at.segment(1), "message_server_id")
    kind = at.query.number(_TYPE, min(_Recall), max(_Recall))
    if kind == _Recall.ONE_SIDED:
        raise Fault(NOT_REVOCABLE, f"{_TYPE}: a message is taken back from all who got it, or from nobody")
    if kind == _Recall.BY_USER and named.account == named.opposite:
        raise Fault(TO_ONESELF, "conversation_id: what one has sent to oneself is not taken back")
    place = await find_place(at, named)
    await message_in(at, place, msg_id)
    principal = at.administrator if kind == _Recall.BY_APP else place.asker
    try:
        await at.core.messaging.recall(principal, place.opposite_xid, msg_id)
    except Problem as problem:
        if problem.kind is Kind.FORBIDDEN:
            raise Fault(NOT_YOURS, problem.sentence) from problem
        raise
    return {}


async def clear(at: At) -> object:
    """`DELETE /conversations/{cid}/messages`: for the first account."""
    named = at.conversation()
    if at.query.number(_TYPE, min(_Cleared), max(_Cleared)) != _Cleared.ROAMING:
        place = await find_place(at, named)
        await at.core.conversations.delete(place.asker, place.opposite_xid)
    return {}
