"""POST /messages/users, /chatgroups and /chatrooms (agora.md, The seed's calls)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import msgspec

from gateway.core.order import Order, by_place, digest_of
from gateway.core.placing import Placement, placed_before
from gateway.core.principal import Principal
from gateway.core.repeats import Sent
from gateway.domain.model import INT64_MAX, Scope, User
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.bodies import TYPES, Body, config_of, read_body
from gateway.edge.facades.agora.faults import TOO_LARGE, Fault, illegal, not_found, unsendable
from gateway.edge.facades.agora.groups_and_rooms import groups_called
from gateway.edge.facades.agora.members import Members
from gateway.edge.facades.agora.names import is_admin
from gateway.edge.facades.agora.rates import Rate

USERS_MAX, GROUPS_MAX, ROOMS_MAX = 600, 3, 10
IGNORED_MAX = 20
"""Users of `roam_ignore_users`."""

_TOO_LARGE_CODE = 14007
_LEVELS = frozenset({"high", "normal", "low"})
_KEPT = ("need_group_ack", "env", "msg_timestamp", "chatroom_msg_level")
_TRANSACTION = re.compile(r"-?[0-9]{1,19}")
_TRANSACTION_ID = "X-Transaction-Id"

_encode = msgspec.json.Encoder().encode


class Sender(msgspec.Struct, frozen=True):
    """Who sends: a user, whoever would come into being by being named so, or with no name the app's administrator."""

    name: str = ""
    user: User | None = None

    @property
    def new(self) -> bool:
        """Whether it would come into being by this."""
        return bool(self.name) and self.user is None


async def to_users(at: At) -> bytes:
    """POST /messages/users."""
    principal = await at.administrator()
    return at.told(data=await send_to_users(at, principal, await at.members()))


async def to_groups(at: At) -> bytes:
    """POST /messages/chatgroups."""
    principal = await at.administrator()
    return at.told(data=await send_to_groups(at, principal, await at.members(), GROUPS_MAX, rooms=False))


async def to_rooms(at: At) -> bytes:
    """POST /messages/chatrooms."""
    principal = await at.administrator()
    return at.told(data=await send_to_groups(at, principal, await at.members(), ROOMS_MAX, rooms=True))


async def send_to_users(at: At, principal: Principal, asked: Members) -> dict[str, str]:
    """Send to users; return the message's id by each that there is, as it was named."""
    targets = check_send(asked, USERS_MAX)
    order = order_of(at, asked, Scope.USER, targets)
    sender = await sender_of(at, asked)
    order = sent_by(order, sender)
    if sent := await sent_before(at, principal, order, sender):
        return _told(targets, placed_before(sent, [0] * len(targets)))
    users, new = await at.called(targets)
    order = msgspec.structs.replace(order, targets=by_place(users))
    order, admitted = await admit(at, principal, order, sender, Rate.USER_MESSAGES, new=new)
    if new:
        order = msgspec.structs.replace(order, targets=by_place(await at.users_called(targets, make=True)))
    return _told(targets, await at.core.messaging.send_each(principal, order, admitted=admitted))


async def send_to_groups(
    at: At, principal: Principal, asked: Members, most: int, *, rooms: bool
) -> dict[str, str]:
    """Send to groups, or to chatrooms; return the message's id by each that there is."""
    targets = check_send(asked, most)
    ignored = (asked.strings("roam_ignore_users") or []) if not rooms else []
    order = order_of(at, asked, Scope.GROUP, targets, ignored)
    if rooms and asked.has("chatroom_msg_level") and asked.choice("chatroom_msg_level", _LEVELS) is None:
        raise illegal("chatroom_msg_level", f"it must be one of {', '.join(sorted(_LEVELS))}")
    if ignored:
        order = msgspec.structs.replace(order, hide_from=await _ignored(at, ignored, order))
    sender = await sender_of(at, asked)
    order = sent_by(order, sender)
    if sent := await sent_before(at, principal, order, sender):
        return _told(targets, placed_before(sent, [0] * len(targets)))
    order = msgspec.structs.replace(order, targets=await groups_called(at, targets, rooms=rooms))
    rate = Rate.ROOM_MESSAGES if rooms else Rate.GROUP_MESSAGES
    order, admitted = await admit(at, principal, order, sender, rate)
    return _told(targets, await at.core.messaging.send_each(principal, order, admitted=admitted))


async def _ignored(at: At, names: Sequence[str], order: Order) -> tuple[int, ...]:
    """On whose pages of history a group's message is not to be; what is on none need not be hidden there."""
    if len(names) > IGNORED_MAX:
        raise illegal("roam_ignore_users", f"it must name at most {IGNORED_MAX} users")
    if order.online_only:
        return ()
    return tuple(dict.fromkeys(user.xid for user in await at.users_called(names) if user is not None))


async def sent_before(at: At, principal: Principal, order: Order, sender: Sender) -> Sent | None:
    """What an order was answered with that this one repeats; who is not there yet has sent nothing."""
    return None if sender.new else await at.core.messaging.repeated(principal, order)


async def admit(
    at: At, principal: Principal, order: Order, sender: Sender, rate: Rate, *, new: int = 0
) -> tuple[Order, bool]:
    """The same order, by a sender who is there now, and whether it has been admitted; `new`: for so many more.

    Nobody comes into being by what is refused: all that may stand in its way is looked at first. To send nobody
    anything is a 404.
    """
    count = order.messages + new
    if not count:
        raise not_found()
    at.spend(rate, count)
    if not (new or sender.new):
        return order, False
    await at.core.messaging.admit(principal, order, count)
    if sender.new:
        user = await at.user_called(sender.name, make=True)
        if user is None:
            raise not_found()
        order = msgspec.structs.replace(order, from_xid=user.xid)
    return order, True


def _told(named: Sequence[str], placed: Sequence[Placement]) -> dict[str, str]:
    return {text: str(one.msg_id) for text, one in zip(named, placed, strict=True) if one.msg_id}


def check_send(asked: Members, most: int) -> Sequence[str]:
    """The targets of a send whose outer members are as they must be, each once; in the vendor's order and words."""
    if asked.value("from") == "":
        raise unsendable("param from can't be empty")
    targets = asked.strings("to")
    if not targets:
        raise unsendable("param to can't be empty")
    if len(targets) > most:
        raise unsendable(f"params to's size can't exceed limit {most}")
    check_type(asked)
    check_ext(asked)
    return list(dict.fromkeys(targets))


def check_type(asked: Members) -> None:
    """Refuse a message without a type that is known, or without a body."""
    if asked.choice("type", TYPES) is None:
        raise unsendable("param type can't be empty")
    body = asked.object("body")
    if body is None or not list(body):
        raise unsendable("param body can't be empty")


def check_ext(asked: Members) -> None:
    """Refuse an `ext` that is there and no object."""
    if asked.has("ext") and asked.object("ext") is None:
        raise unsendable("param ext must be JSONObject")


def body_of(at: At, asked: Members) -> Body:
    """The message that a send or an import carries, once `check_type` has let it pass.

    Raises:
        Fault: 413 `message is too large` where `body` and `ext` are together, 400 for what is wrong in `body`.
    """
    raw, ext = asked.raw("body") or b"", asked.raw("ext") or b""
    if len(raw) + len(ext) > at.settings.message_bytes_max or len(ext) > at.limits.ext_bytes_max:
        raise _too_large()
    body = asked.object("body")
    assert body is not None, "it was looked for"
    return read_body(str(asked.value("type")), raw, body)


async def sender_of(at: At, asked: Members) -> Sender:
    """Who is named as the sender. Raises 404 for who is nobody and can be none."""
    name = asked.identifier("from")
    if name is None or is_admin(name):
        return Sender()
    [user], new = await at.called([name])
    if user is None and not new:
        raise not_found()
    return Sender(name, user)


def order_of(at: At, asked: Members, scope: Scope, *said: Sequence[str]) -> Order:
    """What a send asks of the core, its parties apart: nothing is judged but that they are there (vendors.md §3.4).

    All that may be wrong in the request is told here, before anybody comes into being by it. `said`: the lists of its
    names, by which a repeat is known though somebody has been deleted since.
    """
    body, ext = body_of(at, asked), asked.raw("ext")
    config = config_of(body.type, {name: asked.value(name) for name in _KEPT if asked.has(name)})
    if len(config.encode()) > at.limits.config_bytes_max:
        raise _too_large()
    order = Order(
        scope=scope,
        targets=(),
        ctype=body.ctype,
        content=body.content,
        attachment=body.attachment,
        ext=ext.decode() if ext else "",
        config=config,
        transaction_id=_transaction_id(at),
        online_only=asked.value("routetype") == "ROUTE_ONLINE",
        unjudged=True,
        partial=True,
        copied=asked.flag("sync_device"),
    )
    if not order.transaction_id:
        return order
    named = [[name.lower() for name in names] for names in said]
    digest = hashlib.blake2b(_encode((digest_of(order, notice=False), named)), digest_size=16).hexdigest()
    return msgspec.structs.replace(order, request_digest=digest)


def sent_by(order: Order, sender: Sender) -> Order:
    """What a send asks of the core, by whom it is sent: the administrator has no devices of its own to be sent it."""
    if not sender.name:
        return msgspec.structs.replace(order, copied=False)
    return msgspec.structs.replace(order, from_xid=sender.user.xid if sender.user else 0)


def _too_large() -> Fault:
    return Fault(TOO_LARGE, "message_send_error", "message is too large", code=_TOO_LARGE_CODE)


def _transaction_id(at: At) -> int:
    told = at.request.headers.get(_TRANSACTION_ID, "")
    if not told:
        return 0
    if not _TRANSACTION.fullmatch(told) or not -INT64_MAX - 1 <= int(told) <= INT64_MAX:
        raise illegal(_TRANSACTION_ID, "it must be an int64")
    return int(told)
