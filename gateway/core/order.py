"""What a send asks for, as every dialect says it, and what makes two of them the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from gateway.domain.model import Scope, Side, User

_digest_encoder = msgspec.msgpack.Encoder()


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A send as a dialect asks for it, decoded and within range, but not judged.

    `targets` are distinct, in the order named. `from_xid` 0: the principal. `transaction_id` 0: none. `ctype` is a
    `Ctype` or a `Request`; of 9 to 12 `related` is the message it is about, of others the one it answers (0: none).
    `expire_s`: the text goes after so long, 0: never. `only`: of the one group in `targets` these distinct members
    alone get it, a message each; none: all do. `uncounted`: it is not counted as unread. `passing`: all devices get it,
    live or on their return, and nobody finds it who looks back. `side`: a message between users is in the timeline and
    the history of this side alone; one to oneself is in one's own.

    What else an app's administrator may ask for: `unjudged`, no membership, block, mute or freeze of the sender stands
    in its way; not `copied`, it is the sender's message, in its history too, but the sender's devices are not sent it;
    `partial`, targets that are not there are left out instead of refusing all: also nobody, 0 in place of a target, by
    which a repeat is told of each as the first one was. `hide_from`: a message to groups is on
    no history page of these users, though they get it like all others. `over_ban`, `over_ban_all`: to groups it goes
    also where its sender is banned, or all are.

    `request_key` makes a repeat in a dialect whose keys are no numbers. It begins with a letter, so that it is never
    the digits of a `transaction_id`, and has at most 70 characters. `request_digest` then tells whether a repeat asks
    for the same; empty: all that is asked for does.
    """

    scope: Scope
    targets: tuple[int, ...]
    ctype: int
    content: str
    attachment: str = ""
    ext: str = ""
    config: str = ""
    from_xid: int = 0
    transaction_id: int = 0
    related: int = 0
    online_only: bool = False
    expire_s: int = 0
    only: tuple[int, ...] = ()
    unjudged: bool = False
    copied: bool = True
    partial: bool = False
    hide_from: tuple[int, ...] = ()
    uncounted: bool = False
    passing: bool = False
    side: Side = Side.BOTH
    over_ban: bool = False
    over_ban_all: bool = False
    request_key: str = ""
    request_digest: str = ""

    @property
    def key(self) -> str:
        """What makes a repeat, empty where nothing does."""
        return self.request_key or (str(self.transaction_id) if self.transaction_id else "")

    @property
    def receivers(self) -> tuple[int, ...]:
        """Whoever gets a message of its own."""
        return self.only or self.targets

    @property
    def messages(self) -> int:
        """How many it asks for."""
        return len(self.receivers) - self.receivers.count(0)


def by_place(users: Iterable[User | None]) -> tuple[int, ...]:
    """The targets of a `partial` order: 0 for nobody, and for whoever stands at an earlier place already."""
    xids = [user.xid if user is not None else 0 for user in users]
    firsts = {xid: place for place, xid in reversed(list(enumerate(xids)))}
    return tuple(xid if firsts[xid] == place else 0 for place, xid in enumerate(xids))


def digest_of(order: Order, *, notice: bool) -> str:
    """Digest every member but the key, after coercion: what "the same" means for a repeat that has no word for it.

    The sender is part of the key, so that naming it and leaving it to the default are the same.
    """
    if order.request_digest:
        return order.request_digest
    told: list[tuple[str, object]] = [
        ("scope", order.scope),
        ("targets", order.targets),
        ("ctype", order.ctype),
        ("content", order.content),
    ]
    # Members that have their default are left out, so that a member added later changes no stored digest.
    if order.attachment:
        told.append(("attachment", order.attachment))
    if order.ext:
        told.append(("ext", order.ext))
    if order.config:
        told.append(("config", order.config))
    if order.related:
        told.append(("related", order.related))
    if order.online_only:
        told.append(("online_only", True))
    if order.expire_s:
        told.append(("expire_s", order.expire_s))
    if order.only:
        told.append(("only", order.only))
    return hashlib.blake2b(
        _digest_encoder.encode((notice, told + _rarely_told(order))), digest_size=16
    ).hexdigest()


def _rarely_told(order: Order) -> list[tuple[str, object]]:
    """The members that few dialects have a word for, those that have their default left out."""
    told: list[tuple[str, object]] = []
    if order.unjudged:
        told.append(("unjudged", True))
    if not order.copied:
        told.append(("copied", False))
    if order.partial:
        told.append(("partial", True))
    if order.hide_from:
        told.append(("hide_from", order.hide_from))
    if order.uncounted:
        told.append(("uncounted", True))
    if order.passing:
        told.append(("passing", True))
    if order.side:
        told.append(("side", order.side))
    if order.over_ban:
        told.append(("over_ban", True))
    if order.over_ban_all:
        told.append(("over_ban_all", True))
    return told
