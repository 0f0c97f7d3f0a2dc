"""What a send asks for, as every dialect says it, and what makes two of them the same."""

from __future__ import annotations

import hashlib

import msgspec

from gateway.domain.model import Scope

_digest_encoder = msgspec.msgpack.Encoder()


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A send as a dialect asks for it, decoded and within range, but not judged.

    `targets` are distinct, in the order named. `from_xid` 0: the principal. `transaction_id` 0: none. `ctype` is a
    `Ctype` or a `Request`; of 9 to 12 `related` is the message it is about. `expire_s`: the text goes after so long, 0:
    never. `only`: of the one group in `targets` these distinct members alone get it, a message each; none: all do.

    What else an app's administrator may ask for: `unjudged`, no membership, block, mute or freeze of the sender stands
    in its way; not `copied`, it is the sender's message, in its history too, but the sender's devices are not sent it;
    `partial`, targets that are not there are left out instead of refusing all. `hide_from`: a message to groups is on
    no history page of these users, though they get it like all others.

    `said`: what its caller calls its parties, where a name may come to be another's, or nobody's: two orders are the
    same that say the same, whoever that is by then. It stands for `targets`, `only` and `hide_from`.
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
    said: tuple[tuple[str, ...], ...] = ()

    @property
    def key(self) -> str:
        """The transaction id as a key, empty where there is none."""
        return str(self.transaction_id) if self.transaction_id else ""

    @property
    def receivers(self) -> tuple[int, ...]:
        """Whoever gets a message of its own."""
        return self.only or self.targets


def digest_of(order: Order, *, notice: bool) -> str:
    """Digest every member but the transaction id, after coercion: what "the same" means for a repeat.

    The sender is part of the key, so that naming it and leaving it to the default are the same.
    """
    told: list[tuple[str, object]] = [
        ("scope", order.scope),
        ("said", order.said) if order.said else ("targets", order.targets),
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
    if order.only and not order.said:
        told.append(("only", order.only))
    if order.unjudged:
        told.append(("unjudged", True))
    if not order.copied:
        told.append(("copied", False))
    if order.partial:
        told.append(("partial", True))
    if order.hide_from and not order.said:
        told.append(("hide_from", order.hide_from))
    return hashlib.blake2b(_digest_encoder.encode((notice, told)), digest_size=16).hexdigest()
