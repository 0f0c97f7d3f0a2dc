"""The calls of `/message/*` (lanying.md, Calls)."""

from __future__ import annotations

import msgspec

from gateway.core.service import Core
from gateway.domain.errors import Problem
from gateway.domain.limits import Limits
from gateway.domain.model import DEVICE_SN_MAX, INT64_MAX, SAFE_MAX, Ctype, HistoryItem, Status
from gateway.edge.decode import Query
from gateway.edge.facades.native.asking import principal_of, recognised
from gateway.edge.facades.native.decode import decode_broadcast, decode_recall, decode_send
from gateway.edge.facades.native.envelope import DONE, Asked, Tell, paged, sent, success

# Looked up and not asked of the enums, for every message of a page: theirs costs as much as the rest of an item.
_CTYPES = {int(ctype): ctype.name for ctype in Ctype}
_STATUSES = {status: status.name for status in Status}


# There are hundreds of these three to an answer, and none is ever in a cycle: the collector need not look at them.
class _Xid(msgspec.Struct, gc=False):
    uid: int
    device_sn: int
    set_uid: bool = True
    set_device_sn: bool = True


class _Item(msgspec.Struct, gc=False):
    """A message of a page, with the members that seed 001 names and the ones that only seed 000 has.

    `expires_at` (ms) is ours, and there only where the text goes at a time of its own.
    """

    msg_id: int
    from_xid: _Xid
    to_xid: _Xid
    content: str
    ctype: str
    attachment: str
    config: str
    ext: str
    status: str
    timestamp: int
    set_msg_id: bool = True
    set_from_xid: bool = True
    set_to_xid: bool = True
    set_content: bool = True
    set_ctype: bool = True
    set_attachment: bool = True
    set_config: bool = True
    set_ext: bool = True
    set_status: bool = True
    set_timestamp: bool = True
    expires_at: int | msgspec.UnsetType = msgspec.UNSET


class _Page(msgspec.Struct):
    is_last: bool
    messages: list[_Item]
    messages_size: int
    next_msg_id: int
    messages_iterator: dict[str, str] = {}
    set_is_last: bool = True
    set_messages: bool = True
    set_next_msg_id: bool = True


class _Reader(msgspec.Struct):
    user_id: int


class _Readers(msgspec.Struct):
    read: int
    unread: int
    readers: list[_Reader]


class _Recent(msgspec.Struct, gc=False):
    conversation_id: _Xid
    num: int
    set_conversation_id: bool = True
    set_num: bool = True


class _Broadcast(msgspec.Struct):
    send_num: int
    success: bool = True


async def send(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /message/send."""
    principal = recognised(core, asked) or await principal_of(core, asked)
    first, last = await core.messaging.send(principal, decode_send(asked.body, limits))
    return sent(first, last)


def begin_send(core: Core, limits: Limits, asked: Asked, tell: Tell) -> bool:
    """Begin a send that waits for nothing but its commit; False: it is another one, and `send`'s."""
    return _begin(core, limits, asked, tell, notice=False)


def begin_notify(core: Core, limits: Limits, asked: Asked, tell: Tell) -> bool:
    """Begin a notification that waits for nothing but its commit; False: it is another one, and `notify`'s."""
    return _begin(core, limits, asked, tell, notice=True)


def _begin(core: Core, limits: Limits, asked: Asked, tell: Tell, *, notice: bool) -> bool:
    principal = recognised(core, asked)
    if principal is None:
        return False

    def tell_sent(told: tuple[int, int] | Problem | None) -> None:
        tell(sent(*told) if isinstance(told, tuple) else told)

    return core.messaging.begin(principal, decode_send(asked.body, limits), tell_sent, notice=notice)


async def notify(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /message/notify."""
    principal = recognised(core, asked) or await principal_of(core, asked)
    first, last = await core.messaging.notify(principal, decode_send(asked.body, limits))
    return sent(first, last)


async def broadcast(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST /message/broadcast: how many users have the message by now; the others get it too."""
    principal = await principal_of(core, asked)
    text, transaction_id = decode_broadcast(asked.body, limits)
    return success(_Broadcast(await core.broadcasts.send(principal, text, transaction_id)))


async def recall(core: Core, limits: Limits, asked: Asked) -> bytes:
    """POST, PUT /message/recall."""
    principal = await principal_of(core, asked)
    conversation_xid, msg_id = decode_recall(asked.body, limits)
    await core.messaging.recall(principal, conversation_xid, msg_id)
    return DONE


async def conversation(core: Core, limits: Limits, asked: Asked) -> bytes:
    """GET /message/conversation: a page, from the newest or `msg_id_start` towards older ones."""
    principal = recognised(core, asked) or await principal_of(core, asked)
    query = Query(asked.query)
    opposite_xid = query.number("opposite_id", 1, SAFE_MAX)
    start = query.number("msg_id_start", 0, SAFE_MAX, 0)
    limit = min(query.number("limit", 1, INT64_MAX, limits.page_default), limits.page_max)
    history = await core.conversations.page(principal, opposite_xid, start, limit)
    items = [_item(item) for item in history.items]
    return success(_Page(not history.next_msg_id, items, len(items), history.next_msg_id))


async def delete(core: Core, _: Limits, asked: Asked) -> bytes:
    """DELETE /message/conversation."""
    principal = await principal_of(core, asked)
    await core.conversations.delete(principal, Query(asked.query).number("conversation_id", 1, SAFE_MAX))
    return DONE


async def unread(core: Core, _: Limits, asked: Asked) -> bytes:
    """GET /message/unread: the recent conversations, newest first."""
    principal = recognised(core, asked) or await principal_of(core, asked)
    found = await core.conversations.unread(principal)
    return success([_Recent(_Xid(recent.conversation_xid, 0), recent.unread) for recent in found])


async def ack(core: Core, _: Limits, asked: Asked) -> bytes:
    """GET /message/ack: a conversation is read up to a message, or up to its newest."""
    principal = recognised(core, asked) or await principal_of(core, asked)
    query = Query(asked.query)
    conversation_xid = query.number("conversation_id", 0, SAFE_MAX, 0)
    msg_id = query.number("msg_id", 0, SAFE_MAX, 0)
    device_sn = query.number("device_sn", 0, DEVICE_SN_MAX, 0)
    await core.receipts.read(principal, conversation_xid, msg_id, device_sn)
    return DONE


async def readers(core: Core, limits: Limits, asked: Asked) -> bytes:
    """GET /message/readers: who has read a group's message, a page by rising id. Not the vendor's call but ours."""
    principal = await principal_of(core, asked)
    query = Query(asked.query)
    msg_id = query.number("msg_id", 1, SAFE_MAX)
    limit = min(query.number("limit", 1, INT64_MAX, limits.member_page_max), limits.member_page_max)
    page = await core.conversations.readers(principal, msg_id, query.text("cursor"), limit)
    told = _Readers(page.read, page.unread, [_Reader(xid) for xid in page.xids])
    return paged(told, page.cursor, page.version)


def _item(item: HistoryItem) -> _Item:
    return _Item(
        item.msg_id,
        _Xid(item.sender_xid, item.sender_sn),
        _Xid(item.target_xid, 0),
        item.content,
        _CTYPES[item.ctype],
        item.attachment,
        item.config,
        item.ext,
        _STATUSES[item.status],
        item.at,
        expires_at=item.expires_at or msgspec.UNSET,
    )
