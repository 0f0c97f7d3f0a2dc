"""Messages of a conversation as its first account may see them (netease.md, Siblings: v2.1)."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from gateway.core.looking import SOME_MAX, Looked
from gateway.domain.model import SAFE_MAX, HistoryItem
from gateway.edge.decode import Body, Number, Query, identifier, number
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.faults import MESSAGE_UNKNOWN, illegal
from gateway.edge.facades.netease.items import Item, kind_of, shown
from gateway.edge.facades.netease.names import ConversationId, ConversationType, conversation_between
from gateway.edge.facades.netease.places import Place, find_place, unknown
from gateway.edge.facades.netease.windows import Pages, Window, read_flag, read_kinds, read_window

MANY_MAX = SOME_MAX
"""Messages that are asked for by their ids at a time."""

LOOKS_MAX = 100
"""Pages of the core that are looked at for one page, where the core cannot tell what is asked for."""

_ID, _SENDER, _RECEIVER = "message_server_id", "sender_id", "receiver_id"


class _Named(msgspec.Struct):
    message_server_id: Number = None
    create_time: Number = None


class _Many(msgspec.Struct):
    conversation_id: str | None = None
    conversation_id_: str | None = msgspec.field(name="conversationId", default=None)
    messages: list[_Named | None] | None = None


class Missing(msgspec.Struct, omit_defaults=True):
    """A message that there is not, by what it was asked for."""

    message_server_id: int
    error_code: int
    error_msg: str
    create_time: int | None = None


class Found(msgspec.Struct):
    """Of the messages asked for those that the account may see, and the others."""

    success_list: list[Item]
    failed_list: list[Missing]


class Page(msgspec.Struct):
    """A page of messages; `next_token` asks for the next, empty where there is none."""

    items: list[Item]
    has_more: bool
    next_token: str


class Thread(msgspec.Struct, omit_defaults=True):
    """How many messages a thread has beside its root, and a page of them."""

    total: int
    messages: list[Item]
    has_more: bool
    next_token: str
    thread_root: Item | None = None


_many = Body(_Many)


async def one(at: At) -> Item:
    """`GET /conversations/{cid}/messages/{id}`."""
    named = at.conversation()
    msg_id = identifier(at.segment(1), _ID)
    place = await find_place(at, named)
    async with at.core.answers.space(1):
        found = await at.core.looking.some(place.asker, place.opposite_xid, [msg_id])
        if msg_id not in found:
            raise unknown(msg_id)
        [item] = await _shown(at, found.values(), named)
        return item


async def batch(at: At) -> Found:
    """`POST /conversations/{cid}/batch_messages`: each id once, in the order asked for."""
    asked = await at.body(_many)
    named = at.conversation(asked.conversation_id, asked.conversation_id_)
    if not asked.messages or len(asked.messages) > MANY_MAX:
        raise illegal("messages", f"it must name 1 to {MANY_MAX} messages")
    times = dict(_id_and_time(message) for message in asked.messages)
    place = await find_place(at, named)
    async with at.core.answers.space(len(times)):
        found = await at.core.looking.some(place.asker, place.opposite_xid, list(times))
        return Found(
            await _shown(at, [found[msg_id] for msg_id in times if msg_id in found], named),
            [
                Missing(msg_id, MESSAGE_UNKNOWN, unknown(msg_id).sentence, time)
                for msg_id, time in times.items()
                if msg_id not in found
            ],
        )


def _id_and_time(message: _Named | None) -> tuple[int, int | None]:
    if message is None:
        raise illegal("messages", "it must be a list of objects")
    msg_id, time = identifier(message.message_server_id, _ID), message.create_time
    return msg_id, None if time is None else number(time, "create_time", 0, SAFE_MAX)


async def page(at: At) -> Page:
    """`GET /conversations/{cid}/messages`."""
    named = at.conversation()
    window = read_window(at.query, read_kinds(at.query))
    place = await find_place(at, named)
    pages = Pages(window, at.app.app_id, place.asker.user.xid, place.opposite_xid)
    after = pages.after(at.query)
    # Where messages are looked at, a page of them is there beside those that are found.
    async with at.core.answers.space(window.limit + (SOME_MAX if window.told_by_config else 0)):
        looked = await _look(at, place, window, after)
        return Page(await _shown(at, looked.items, named), looked.after > 0, pages.token(looked.after))


async def thread(at: At) -> Thread:
    """`GET /messages/actions/thread_messages`: what answers a message, as whoever has sent that one may see it."""
    query = at.query
    root_id = query.number(_ID, 1, SAFE_MAX)
    window, with_root = read_window(query), not read_flag(query, "exclude_root", default=False)
    named = _conversation(query)
    place = await find_place(at, named, _SENDER, _RECEIVER)
    pages = Pages(window, at.app.app_id, place.asker.user.xid, place.opposite_xid, root_id)
    after = pages.after(query)
    async with at.core.answers.space(1 + window.limit):
        found = await at.core.looking.thread(
            place.asker, place.opposite_xid, root_id, window.look(after, window.limit)
        )
        if found.root.sender_xid != place.asker.user.xid:
            raise unknown(root_id)
        [root, *messages] = await _shown(at, [found.root, *found.page.items], named)
    after = found.page.after
    return Thread(found.total, messages, after > 0, pages.token(after), root if with_root else None)


def _conversation(query: Query) -> ConversationId:
    """The conversation that the root of a thread lies in, as it is named by its ends."""
    kind = query.number("conversation_type", min(ConversationType), max(ConversationType))
    return conversation_between(kind, query.text(_SENDER), query.text(_RECEIVER), _RECEIVER)


async def _look(at: At, place: Place, window: Window, after: int) -> Looked:
    """A page of a window that begins after a message; where the core cannot tell what is asked for, it is looked at."""
    looking = at.core.looking
    if not window.told_by_config:
        return await looking.page(place.asker, place.opposite_xid, window.look(after, window.limit))
    found: list[HistoryItem] = []
    for _ in range(LOOKS_MAX):
        looked = await looking.page(place.asker, place.opposite_xid, window.look(after, SOME_MAX))
        found += [item for item in looked.items if kind_of(item) in window.kinds]
        # One further than asked for tells that there is more.
        if len(found) > window.limit:
            return Looked(found[: window.limit], found[window.limit - 1].msg_id)
        after = looked.after
        if not after:
            break
    return Looked(found, after)


async def _shown(at: At, items: Collection[HistoryItem], named: ConversationId) -> list[Item]:
    """Messages of a conversation as answers show them."""
    accounts = await at.called([item.sender_xid for item in items]) if items else {}
    return [shown(at.app, item, accounts[item.sender_xid], named) for item in items]
