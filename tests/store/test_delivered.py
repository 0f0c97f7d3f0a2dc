"""Acks: cursors of kept devices, *delivered*, and whose messages became DELIVERED by them."""

from __future__ import annotations

import msgspec
import pytest

from gateway.domain.model import Status
from gateway.domain.positions import Keep, StatusChange
from gateway.store.base import SEEN_STEP_MS, Store
from tests.store.stage import NOW, Stage


async def changed(
    stage: Stage, sender: int, conversation: int, msg_id: int, by: int, sn: int = 1
) -> StatusChange:
    return StatusChange(await stage.id(sender), conversation, msg_id, Status.DELIVERED, by, sn)


async def cursor(stage: Stage, xid: int, timeline: int, sn: int = 1) -> int:
    timeline_id = await stage.id(timeline)
    [bearing] = await stage.store.bearings([(await stage.id(xid), sn, timeline_id)])
    return bearing.cursor


async def keep(stage: Stage, xid: int, *sns: int, at: int = NOW, spared: tuple[int, ...] = ()) -> None:
    user_id = await stage.id(xid)
    await stage.store.keep([Keep(user_id, sn, at, {user_id: 0}, spared) for sn in sns])


async def delivered(stage: Stage, xid: int) -> int:
    return (await stage.store.standings([(await stage.id(xid), 1)]))[0].delivered


async def test_an_ack_delivers_what_it_covers(stage: Stage) -> None:
    """The sender is told of the newest message covered, and sees all of them DELIVERED."""
    first = (await stage.send(1, 2)).first_msg_id
    second = (await stage.send(1, 2)).first_msg_id
    third = (await stage.send(1, 2)).first_msg_id
    assert await stage.ack(2, 2, 2) == [await changed(stage, 1, 2, second, by=2)]
    assert await stage.statuses(1, 2) == {first: "DELIVERED", second: "DELIVERED", third: "UNREAD"}


async def test_the_same_ack_again_tells_nothing(stage: Stage) -> None:
    """*Delivered* never falls, and nothing changes twice."""
    await stage.send(1, 2)
    await stage.send(1, 2)
    assert len(await stage.ack(2, 2, 2)) == 1
    assert await stage.ack(2, 2, 2) == []
    assert await stage.ack(2, 2, 1) == []
    assert await delivered(stage, 2) == 2


async def test_each_sender_is_told_of_its_own_newest(stage: Stage) -> None:
    """One change per sender and flush."""
    await stage.send(1, 9)
    await stage.send(2, 9)
    of_one = (await stage.send(1, 9)).first_msg_id
    of_two = (await stage.send(2, 9)).first_msg_id
    changes = await stage.ack(9, 9, 4)
    told = {(change.sender_id, change.msg_id) for change in changes}
    assert told == {(await stage.id(1), of_one), (await stage.id(2), of_two)}


async def test_the_furthest_device_counts(stage: Stage) -> None:
    """Of two acks in one flush the further one delivers, and is named."""
    await stage.send(1, 2)
    newest = (await stage.send(1, 2)).first_msg_id
    acks = [await stage.acked(2, 2, 2, sn=5), await stage.acked(2, 2, 1, sn=6)]
    assert (await stage.store.advance(acks)).changes == [await changed(stage, 1, 2, newest, by=2, sn=5)]
    assert await delivered(stage, 2) == 2


async def test_own_copies_count_for_nothing(stage: Stage) -> None:
    """An ack of one's own messages changes nobody's status."""
    sent = await stage.send(1, 2)
    await stage.send(1, 1)
    assert await stage.ack(1, 1, 2) == []
    assert (await stage.statuses(1, 2))[sent.first_msg_id] == "UNREAD"


async def test_a_message_to_oneself_has_ones_own_position(stage: Stage) -> None:
    """Its status is how far oneself has got."""
    sent = await stage.send(1, 1)
    assert await stage.statuses(1, 1) == {sent.first_msg_id: "UNREAD"}
    await stage.ack(1, 1, 1)
    assert await stage.statuses(1, 1) == {sent.first_msg_id: "DELIVERED"}
    await stage.read(1, 1)
    assert await stage.statuses(1, 1) == {sent.first_msg_id: "READ"}


async def test_what_was_read_before_is_not_told_as_delivered(stage: Stage) -> None:
    """READ implies DELIVERED: the status does not go back."""
    sent = await stage.send(1, 2)
    await stage.read(2, 1)
    assert await stage.ack(2, 2, 1) == []
    assert await stage.statuses(1, 2) == {sent.first_msg_id: "READ"}


async def test_recalled_messages_have_no_status_to_tell(stage: Stage) -> None:
    """The newest that is left is named, and a recall's own entry is no message."""
    first = (await stage.send(1, 2)).first_msg_id
    second = (await stage.send(1, 2)).first_msg_id
    await stage.recall(second)
    assert await stage.ack(2, 2, 3) == [await changed(stage, 1, 2, first, by=2)]


async def test_a_notice_has_no_sender_to_tell(stage: Stage) -> None:
    """A notice lies in its receiver's history only."""
    await stage.send(1, 2, notice=True, copied=False)
    assert await stage.ack(2, 2, 1) == []
    assert await delivered(stage, 2) == 1


async def test_a_long_range_is_looked_at_from_its_newest_end(stage: Stage) -> None:
    """Receipts are looked for in the newest 1,000 entries; older ones change all the same."""
    old = (await stage.send(3, 2)).first_msg_id
    await stage.store.append([stage.text(1, 2) for _ in range(1000)])
    changes = await stage.ack(2, 2, 1001)
    assert [change.sender_id for change in changes] == [await stage.id(1)]
    assert await stage.statuses(3, 2) == {old: "DELIVERED"}


async def test_a_group_message_is_delivered_by_any_other_member(stage: Stage) -> None:
    """The sender is told once, when the first other member has it."""
    group = await stage.group(1, 2, 3)
    sent = await stage.say(1, group)
    assert await stage.statuses(1, group) == {sent.first_msg_id: "UNREAD"}
    assert await stage.ack(2, group, 2) == [await changed(stage, 1, group, sent.first_msg_id, by=2)]
    assert await stage.statuses(1, group) == {sent.first_msg_id: "DELIVERED"}
    assert await stage.ack(3, group, 2) == []


async def test_ones_own_ack_in_a_group_delivers_nothing_of_ones_own(stage: Stage) -> None:
    """Others' messages become DELIVERED by it."""
    group = await stage.group(1, 2)
    by_two = (await stage.say(2, group)).first_msg_id
    by_one = (await stage.say(1, group)).first_msg_id
    assert await stage.ack(1, group, 3) == [await changed(stage, 2, group, by_two, by=1)]
    assert await stage.statuses(1, group) == {by_one: "UNREAD", by_two: "DELIVERED"}


async def test_two_senders_who_ack_in_one_flush_deliver_each_others(stage: Stage) -> None:
    """Each one's messages go by what the other has got."""
    group = await stage.group(1, 2)
    by_one = (await stage.say(1, group)).first_msg_id
    by_two = (await stage.say(2, group)).first_msg_id
    changes = (
        await stage.store.advance([await stage.acked(1, group, 3), await stage.acked(2, group, 3)])
    ).changes
    assert {(change.sender_id, change.msg_id, change.by_xid) for change in changes} == {
        (await stage.id(1), by_one, 2),
        (await stage.id(2), by_two, 1),
    }


async def test_of_two_acks_the_further_reaches_what_the_nearer_does_not(stage: Stage) -> None:
    """A sender who acked furthest is told of its messages up to where the next one has got, not further."""
    group = await stage.group(1, 2)
    near = (await stage.say(1, group)).first_msg_id
    far = (await stage.say(1, group)).first_msg_id
    changes = (
        await stage.store.advance([await stage.acked(1, group, 3), await stage.acked(2, group, 2)])
    ).changes
    assert changes == [await changed(stage, 1, group, near, by=2)]
    assert await stage.statuses(1, group) == {near: "DELIVERED", far: "UNREAD"}


async def test_a_later_member_delivers_nothing_from_before_its_stay(stage: Stage) -> None:
    """Though another member acks older entries in the same flush."""
    group = await stage.group(1, 2)
    old = (await stage.say(1, group)).first_msg_id
    middle = (await stage.say(1, group)).first_msg_id
    await stage.join(group, 3)
    await stage.say(2, group)
    changes = (
        await stage.store.advance([await stage.acked(3, group, 5), await stage.acked(2, group, 2)])
    ).changes
    told = {(change.sender_id, change.msg_id, change.by_xid) for change in changes}
    assert (await stage.id(1), old, 2) in told
    assert (await stage.statuses(1, group))[middle] == "UNREAD"
    assert middle not in {msg_id for _, msg_id, _ in told}


async def test_a_member_who_has_gone_still_counts_for_its_stay(stage: Stage) -> None:
    """Positions outlive leaving: what was delivered stays so, and is not told again."""
    group = await stage.group(1, 2, 3)
    sent = await stage.say(1, group)
    await stage.ack(2, group, 2)
    await stage.kick(group, 2)
    assert await stage.statuses(1, group) == {sent.first_msg_id: "DELIVERED"}
    assert await stage.ack(3, group, 2) == []


async def test_an_ack_after_leaving_is_ignored(stage: Stage) -> None:
    """The stay is closed: its position stands still."""
    group = await stage.group(1, 2)
    sent = await stage.say(1, group)
    await stage.kick(group, 2)
    assert await stage.ack(2, group, 2) == []
    assert await stage.statuses(1, group) == {sent.first_msg_id: "UNREAD"}


async def test_a_group_message_read_before_is_not_told_as_delivered(stage: Stage) -> None:
    """Also where another member has read it."""
    group = await stage.group(1, 2, 3)
    await stage.say(1, group)
    await stage.read(2, group)
    assert await stage.ack(3, group, 2) == []


async def test_many_members_in_one_flush_make_one_change_per_sender(stage: Stage) -> None:
    """Whatever the number of acks."""
    group = await stage.group(1, *range(2, 41))
    by_one = (await stage.say(1, group)).first_msg_id
    by_two = (await stage.say(2, group)).first_msg_id
    acks = [await stage.acked(xid, group, 2 + xid % 2) for xid in range(1, 41)]
    changes = (await stage.store.advance(acks)).changes
    told = sorted((change.sender_id, change.msg_id) for change in changes)
    assert told == sorted([(await stage.id(1), by_one), (await stage.id(2), by_two)])


async def test_acks_of_many_timelines_are_one_flush(stage: Stage) -> None:
    """Own timelines and groups' are moved together."""
    group = await stage.group(1, 2)
    said = (await stage.say(1, group)).first_msg_id
    sent = (await stage.send(1, 2)).first_msg_id
    head = len(await stage.entries(2))
    changes = (
        await stage.store.advance([await stage.acked(2, 2, head), await stage.acked(2, group, 2)])
    ).changes
    assert sorted(change.msg_id for change in changes) == [said, sent]


async def test_a_kept_device_has_a_cursor_that_acks_move(stage: Stage) -> None:
    """Up, and never down."""
    await stage.send(1, 2)
    await stage.send(1, 2)
    await keep(stage, 2, 1)
    assert (await stage.store.standings([(await stage.id(2), 1)]))[0].kept
    assert await cursor(stage, 2, 2) == 0
    await stage.ack(2, 2, 2)
    await stage.ack(2, 2, 1)
    assert await cursor(stage, 2, 2) == 2


async def test_a_device_not_kept_has_no_cursor(stage: Stage) -> None:
    """Its acks move *delivered* only."""
    await stage.send(1, 2)
    await stage.ack(2, 2, 1)
    assert not (await stage.store.standings([(await stage.id(2), 1)]))[0].kept
    assert await cursor(stage, 2, 2) == -1
    assert await delivered(stage, 2) == 1


async def test_keeping_sets_cursors_also_down(stage: Stage) -> None:
    """What a client states holds; *delivered* stays where it was."""
    await stage.send(1, 2)
    user_id = await stage.id(2)
    await stage.store.keep([Keep(user_id, 1, NOW, {user_id: 1}, ())])
    await stage.ack(2, 2, 1)
    await stage.store.keep([Keep(user_id, 1, NOW, {user_id: 0}, ())])
    assert await cursor(stage, 2, 2) == 0
    assert await delivered(stage, 2) == 1


async def test_cursors_are_each_devices_own(stage: Stage) -> None:
    """One device's ack moves no other's cursor."""
    await stage.send(1, 2)
    await keep(stage, 2, 1, 2)
    await stage.ack(2, 2, 1, sn=1)
    assert [await cursor(stage, 2, 2, sn) for sn in (1, 2)] == [1, 0]


async def kept(stage: Stage, xid: int) -> set[int]:
    user_id = await stage.id(xid)
    return {sn for sn in range(1, 40) if (await stage.store.standings([(user_id, sn)]))[0].kept}


async def test_the_longest_unseen_device_goes(stage: Stage) -> None:
    """Beyond the limit of kept devices, with its cursors."""
    await stage.send(1, 2)
    most = stage.limits.devices_per_user_max
    for sn in range(1, most + 1):
        await keep(stage, 2, sn, at=NOW + sn)
    await keep(stage, 2, 1, at=NOW + 100)
    await keep(stage, 2, most + 1, at=NOW + 101)
    assert await kept(stage, 2) == {1, *range(3, most + 2)}
    assert await cursor(stage, 2, 2, sn=2) == -1


@pytest.mark.parametrize(("at", "gone"), [(NOW + 2 * SEEN_STEP_MS, 2), (0, 1)])
async def test_an_ack_that_says_when_it_came_counts_as_being_seen(stage: Stage, at: int, gone: int) -> None:
    """Then the device is not the one that is unseen for longest."""
    await stage.send(1, 2)
    most = stage.limits.devices_per_user_max
    for sn in range(1, most + 1):
        await keep(stage, 2, sn, at=NOW + sn)
    ack = await stage.acked(2, 2, 1)
    await stage.store.advance([msgspec.structs.replace(ack, at=at)])
    await keep(stage, 2, most + 1, at=NOW + most + 1)
    assert await kept(stage, 2) == {*range(1, most + 2)} - {gone}


async def test_a_connected_device_never_goes(stage: Stage) -> None:
    """The longest unseen of the others does."""
    await stage.send(1, 2)
    most = stage.limits.devices_per_user_max
    for sn in range(1, most + 1):
        await keep(stage, 2, sn, at=NOW + sn)
    await keep(stage, 2, most + 1, at=NOW, spared=(1, 2))
    assert await kept(stage, 2) == {1, 2, *range(4, most + 2)}


async def test_positions_survive_a_restart(stage: Stage) -> None:
    """Cursor and *delivered* are stored."""
    await stage.send(1, 2)
    await keep(stage, 2, 1)
    await stage.ack(2, 2, 1)
    await stage.restart()
    assert await cursor(stage, 2, 2) == 1
    assert await delivered(stage, 2) == 1


async def test_no_acks_change_nothing(store: Store) -> None:
    """An empty flush is no error."""
    assert (await store.advance([])).changes == []
    assert await store.read([]) == []
    await store.keep([])
