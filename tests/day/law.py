"""The law, checked: stale state + frames == freshly fetched state (`fresh` says which equation holds for what)."""

from __future__ import annotations

from collections.abc import Sequence

from tests.day import fresh
from tests.day.fresh import Fresh
from tests.day.phone import BarePhone, Phone
from tests.day.town import Town

NEW_SN = 1_000
"""The number of a device that was never there before."""


async def check_all(town: Town, phones: Sequence[Phone]) -> None:
    """Check every equation, for every user and device; all devices must be on, and nothing may happen meanwhile."""
    heads = town.heads()
    for phone in phones:
        await phone.caught_up(heads)
    bare = [phone for phone in phones if isinstance(phone, BarePhone)]
    # Acks are said, then committed, then told to the senders.
    for phone in bare:
        await phone.echo()
    await town.node.gateway.receipts.flush()
    for phone in bare:
        await phone.echo()
    readings = {user: await fresh.read(caller, town.parties) for user, caller in town.people.items() if user}
    for phone in phones:
        _check_phone(town, phone, readings[phone.user])
    # These ack, which moves statuses: they come last.
    for user, found in readings.items():
        _check_list(user, found)
        await _check_new_device(town, user, found, heads)


def _check_list(user: int, found: Fresh) -> None:
    shown = found.state.conversations
    assert {party for party, _ in found.unread} == set(shown), f"the list of {user} and its pages differ"
    assert dict(found.unread) == found.counted, f"the counts of {user} and its pages differ"


async def _check_new_device(town: Town, user: int, found: Fresh, heads: dict[int, int]) -> None:
    phone = BarePhone(town, user, NEW_SN, asks=False, acks=True)
    await phone.on()
    await phone.caught_up(heads)
    assert phone.view.state == found.state, _differ(f"a new device of {user} by frames", phone, found)
    await phone.off()


def _check_phone(town: Town, phone: Phone, found: Fresh) -> None:
    assert phone.view.state == found.state, _differ(repr(phone), phone, found)
    if isinstance(phone, BarePhone) and phone.asks:
        assert phone.view.statuses == found.statuses, f"{phone} and a fresh reading differ in status"
    stays = town.stays(phone.user)
    for timeline, line in phone.view.lines.items():
        if timeline != "user":
            spans = stays.get(int(timeline[2:]), [])
            outside = [seq for seq in line if not any(first <= seq <= last for first, last in spans)]
            assert not outside, f"{phone} holds {outside} of {timeline} outside of its stays {spans}"


def _differ(who: str, phone: Phone, found: Fresh) -> str:
    """Say what one shows and the other does not."""
    shown, told = phone.view.state, found.state
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
