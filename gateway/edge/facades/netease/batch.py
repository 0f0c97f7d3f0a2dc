"""POST /conversations/messages: one message to many users, each of whom may get it or not (netease.md, Siblings)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.order import by_place
from gateway.core.placing import Placement, placed_before
from gateway.domain.errors import Kind
from gateway.domain.model import SYSTEM_NAME
from gateway.edge.decode import Body
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.faults import ACCOUNT_UNKNOWN, FORBIDDEN, TABLE, illegal
from gateway.edge.facades.netease.items import Item
from gateway.edge.facades.netease.names import ConversationId, ConversationType, folded
from gateway.edge.facades.netease.repeats import Repeat, repeat_of
from gateway.edge.facades.netease.sending import (
    SENDER,
    item_of,
    order_of,
    parties,
    sent_before,
    submit,
    to_users,
)
from gateway.edge.facades.netease.wanted import Asked, Wanted, read_wanted

RECEIVERS_MAX = 100

_WHY = {FORBIDDEN: "the reserved account receives nothing", ACCOUNT_UNKNOWN: "there is no such account"}
_REFUSED = "it cannot be sent to this account"


class _Asked(Asked, omit_defaults=True):
    sender_id: str | None = None
    receiver_ids: list[str] | None = None
    need_message_detail: bool | None = None


class _Sent(msgspec.Struct):
    """A message of which no more is asked for than what it is called."""

    message_server_id: int
    message_client_id: str
    sender_id: str
    receiver_id: str


class _Failed(msgspec.Struct):
    """Whoever did not get it, by the names that both of the vendor's libraries have for it."""

    account_id: str
    receiver_id: str
    error_code: int
    error_msg: str


class _Done(msgspec.Struct):
    success_list: list[Item | _Sent]
    failed_list: list[_Failed]


_body = Body(_Asked)


async def send(at: At) -> _Done:
    """`POST /conversations/messages`."""
    asked = await at.body(_body)
    receivers = list(map(folded, asked.receiver_ids or ()))
    if not asked.sender_id:
        raise illegal(SENDER, "it is required")
    if not 1 <= len(receivers) <= RECEIVERS_MAX:
        raise illegal("receiver_ids", f"it must name 1 to {RECEIVERS_MAX} accounts")
    account = folded(asked.sender_id)
    wanted = read_wanted(asked, account, at.limits)
    repeat = repeat_of(at, wanted.client_id, asked)
    placed = await _place(at, account, list(dict.fromkeys(receivers)), wanted, repeat)
    done = _Done([], [])
    for receiver, one in placed.items():
        if not one.msg_id:
            done.failed_list.append(_failed(receiver, one.why))
        else:
            item = item_of(at, wanted, ConversationId(account, ConversationType.USER, receiver), one)
            done.success_list.append(item if asked.need_message_detail else _briefly(item))
    return done


async def _place(
    at: At, account: str, receivers: Sequence[str], wanted: Wanted, repeat: Repeat
) -> dict[str, Placement]:
    """Send to these, and say which message each got, or why it got none."""
    order = msgspec.structs.replace(order_of(wanted, repeat), partial=True)
    named = [account, *receivers]
    found = sender, *there = await at.accounts(named)
    if before := await sent_before(at, order, repeat, sender, *there):
        assert sender is not None, "who was nobody has sent nothing"
        return dict(zip(receivers, placed_before(before, by_place(there)), strict=True))
    if sender is None:
        await at.account_or_new(account, SENDER)
    (sender, *there), admitted = await parties(at, order, repeat, named, found)
    targets = by_place(there)
    if sender is None or not any(targets):
        return {receiver: Placement(0, 0, 0, Kind.USER_UNKNOWN) for receiver in receivers}
    order = to_users(order, wanted, targets)
    placed = await submit(at, at.acting_for(sender), order, repeat, admitted=admitted)
    return dict(zip(receivers, placed, strict=True))


def _failed(receiver: str, why: Kind | None) -> _Failed:
    assert why is not None, "whoever got nothing did for a reason"
    code = FORBIDDEN if receiver == SYSTEM_NAME else TABLE[why]
    return _Failed(receiver, receiver, code, _WHY.get(code, _REFUSED))


def _briefly(item: Item) -> _Sent:
    return _Sent(item.message_server_id, item.message_client_id, item.sender_id, item.receiver_id)
