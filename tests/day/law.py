"""The law, checked: stale state + frames == freshly fetched state (`fresh` says which equation holds for what)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from gateway.wire.close import Close
from tests.day import fresh
from tests.day.fresh import ILLEGAL_TOKEN, Fresh
from tests.day.phone import BarePhone, Phone
from tests.day.town import Town
from tests.day.view import Shown, State, View

NEW_SN = 1_000
"""The number of a device that was never there before."""


async def check_all(town: Town, phones: Sequence[Phone]) -> None:
    """Check every equation, for every user and device; all devices must be on, and nothing may happen meanwhile."""
    heads = town.heads()
    phones = [phone for phone in phones if phone.user in town.there]
    for phone in phones:
        await phone.caught_up(heads)
    bare = [phone for phone in phones if isinstance(phone, BarePhone)]
    # Acks are said, then committed, then told to the senders.
    for phone in bare:
        await phone.echo()
    await town.node.far.receipts.flush()
    for phone in bare:
        await phone.echo()
    readings = {user: await fresh.read(caller, town.parties) for user, caller in town.there.items()}
    for phone in phones:
        _check_phone(town, phone, readings[phone.user])
    await _check_rooms(town, phones, heads)
    # These ack, which moves statuses: they come last.
    for user, found in readings.items():
        _check_list(user, found)
        await _check_new_device(town, user, found, heads)
    for user in sorted(town.erased):
        await _check_erased(town, user, readings.values())


def _check_list(user: int, found: Fresh) -> None:
    shown = found.state.conversations
    assert {party for party, _ in found.unread} == set(shown), f"the list of {user} and its pages differ"
    assert dict(found.unread) == found.counted, f"the counts of {user} and its pages differ"


async def _check_new_device(town: Town, user: int, found: Fresh, heads: dict[int, int]) -> None:
    phone = BarePhone(town, user, NEW_SN, asks=False, acks=True)
    await phone.on()
    await phone.caught_up(heads)
    who = f"a new device of {user} by frames"
    assert phone.view.state == found.state, _differ(who, phone.view.state, found)
    for room in town.rooms:
        kept = await fresh.whole(town.people[user], room)
        if kept is None:
            continue
        assert await phone.join(room, 0) == 200, "a chatroom that is there lets everybody in"
        await phone.caught_up(heads)
        told = [Shown.of(item) for item in reversed(kept)]
        assert phone.view.shown_of_room(room) == told, f"{who} and the pages of chatroom {room} differ"
    await phone.off()


async def _check_erased(town: Town, user: int, readings: Iterable[Fresh]) -> None:
    """It is nobody: nothing it said is read, it is in no group, and its token is good for nothing."""
    for state in (found.state for found in readings):
        assert user not in {shown.sender[0] for shown in chain.from_iterable(state.conversations.values())}
        assert user not in set(chain.from_iterable(state.groups.values()))
    caller = town.people[user]
    assert (await caller.get("/message/unread")).code == ILLEGAL_TOKEN
    async with caller.device(NEW_SN) as device:
        assert (await device.hear("bye"))[-1]["code"] == Close.TOKEN_ILLEGAL


def _check_phone(town: Town, phone: Phone, found: Fresh) -> None:
    told = _told(town, phone.view)
    assert told == found.state, _differ(repr(phone), told, found)
    if isinstance(phone, BarePhone) and phone.asks:
        shown = {message.msg_id for message in chain.from_iterable(told.conversations.values())}
        statuses = {msg_id: status for msg_id, status in phone.view.statuses.items() if msg_id in shown}
        assert statuses == found.statuses, f"{phone} and a fresh reading differ in status"
    stays = town.stays(phone.user)
    for timeline, line in phone.view.lines.items():
        if timeline != "user":
            spans = stays.get(int(timeline[2:]), [])
            outside = [seq for seq in line if not any(first <= seq <= last for first, last in spans)]
            assert not outside, f"{phone} holds {outside} of {timeline} outside of its stays {spans}"


def _told(town: Town, view: View) -> State:
    """What a device shows without what it may show for ever, because no frame tells that it is no more."""
    state = view.state
    untold = town.untold(message.msg_id for message in chain.from_iterable(state.conversations.values()))
    left = {
        party: [message for message in messages if message.msg_id not in untold]
        for party, messages in state.conversations.items()
    }
    return State({party: messages for party, messages in left.items() if messages}, state.groups)


async def _check_rooms(town: Town, phones: Sequence[Phone], heads: dict[int, int]) -> None:
    """What a device in a chatroom shows of it, and what its pages tell, as far as both reach."""
    for phone in phones:
        for xid, room in phone.view.rooms.items():
            kept = await fresh.whole(town.people[phone.user], xid)
            if not room.inside or kept is None:
                assert not room.inside, f"{phone} is in chatroom {xid}, which is no more"
                continue
            assert room.held == heads[xid]
            floor, seqs = town.kept_in_room(xid)
            shown = phone.view.shown_of_room(xid)
            untold = town.untold(message.msg_id for message in shown)
            on_device = [
                message
                for message in shown
                if message.msg_id not in untold and seqs.get(message.msg_id, 0) > floor
            ]
            in_store = [Shown.of(item) for item in reversed(kept) if seqs[item["msg_id"]] > room.start]
            assert on_device == in_store, f"{phone} and the pages of chatroom {xid} differ"


def _differ(who: str, shown: State, found: Fresh) -> str:
    """Say what one shows and the other does not."""
    told = found.state
    lines = [f"{who} and a fresh reading differ:"]
    for party in sorted({*shown.conversations, *told.conversations}):
        on_device, in_store = shown.conversations.get(party, []), told.conversations.get(party, [])
        lines += [
            f"{party} on the device alone: {message}" for message in on_device if message not in in_store
        ]
        lines += [
            f"{party} in the store alone: {message}" for message in in_store if message not in on_device
        ]
    if shown.groups != told.groups:
        lines.append(f"groups on the device: {shown.groups}, in the store: {told.groups}")
    return "\n".join(lines)
