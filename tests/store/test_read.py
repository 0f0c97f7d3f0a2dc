"""READ positions: cumulative, never back, and whom they tell."""

from __future__ import annotations

import pytest

from gateway.domain.errors import Kind
from gateway.domain.model import Status
from gateway.domain.positions import ReadDone, StatusChange
from tests.store.stage import Stage


async def changed(
    stage: Stage, sender: int, conversation: int, msg_id: int, by: int, sn: int = 0
) -> StatusChange:
    return StatusChange(await stage.id(sender), conversation, msg_id, Status.READ, by, sn)


async def test_a_read_covers_everything_up_to_it(stage: Stage) -> None:
    """The sender is told of the newest message covered."""
    ids = [(await stage.send(1, 2)).first_msg_id for _ in range(3)]
    done = await stage.read(2, 1, ids[1], sn=4)
    assert done == ReadDone(ids[1], moved=True, changes=[await changed(stage, 1, 2, ids[1], by=2, sn=4)])
    assert await stage.statuses(1, 2) == {ids[0]: "READ", ids[1]: "READ", ids[2]: "UNREAD"}


async def test_without_an_id_the_newest_is_meant(stage: Stage) -> None:
    """The newest at commit."""
    await stage.send(1, 2)
    newest = (await stage.send(1, 2)).first_msg_id
    assert (await stage.read(2, 1)).msg_id == newest


async def test_an_id_above_the_newest_means_the_newest(stage: Stage) -> None:
    """Nothing is read before it is there."""
    newest = (await stage.send(1, 2)).first_msg_id
    assert (await stage.read(2, 1, newest + 1000)).msg_id == newest
    later = (await stage.send(1, 2)).first_msg_id
    assert (await stage.statuses(1, 2))[later] == "UNREAD"


async def test_a_read_never_goes_back(stage: Stage) -> None:
    """An older id, or the same again, changes nothing and tells nobody."""
    first = (await stage.send(1, 2)).first_msg_id
    second = (await stage.send(1, 2)).first_msg_id
    await stage.read(2, 1)
    for msg_id in (first, second, 0):
        assert await stage.read(2, 1, msg_id) == ReadDone(second, moved=False, changes=[])
    assert await stage.statuses(1, 2) == {first: "READ", second: "READ"}


async def test_a_read_of_no_conversation_changes_nothing(stage: Stage) -> None:
    """There is nothing whose position could move."""
    await stage.users(1, 2)
    assert await stage.read(2, 1) == ReadDone(0, moved=False, changes=[])


async def test_a_read_of_own_messages_tells_nobody(stage: Stage) -> None:
    """One's own messages are read by the other party only."""
    sent = await stage.send(1, 2)
    assert await stage.read(1, 2) == ReadDone(sent.first_msg_id, moved=True, changes=[])
    assert await stage.statuses(1, 2) == {sent.first_msg_id: "UNREAD"}


async def test_a_read_up_to_ones_own_message_covers_the_others_before_it(stage: Stage) -> None:
    """The newest of the other party is named, not one's own."""
    theirs = (await stage.send(1, 2)).first_msg_id
    own = (await stage.send(2, 1)).first_msg_id
    assert await stage.read(2, 1) == ReadDone(
        own, moved=True, changes=[await changed(stage, 1, 2, theirs, by=2)]
    )


async def test_a_read_of_recalled_messages_tells_of_what_is_left(stage: Stage) -> None:
    """The position moves over them all the same."""
    first = (await stage.send(1, 2)).first_msg_id
    second = (await stage.send(1, 2)).first_msg_id
    await stage.recall(second)
    assert await stage.read(2, 1, second) == ReadDone(
        second, moved=True, changes=[await changed(stage, 1, 2, first, by=2)]
    )


async def test_a_read_notice_tells_nobody(stage: Stage) -> None:
    """Its sender does not have it."""
    await stage.send(1, 2, notice=True, copied=False)
    assert (await stage.read(2, 1)).changes == []


async def test_a_read_is_delivered_too(stage: Stage) -> None:
    """READ counts where no device ever acked."""
    sent = await stage.send(1, 2)
    await stage.read(2, 1)
    assert (await stage.history(2, 1)).items[0].status is Status.READ
    assert await stage.statuses(1, 2) == {sent.first_msg_id: "READ"}


async def test_the_receivers_own_status_is_its_own_position(stage: Stage) -> None:
    """A message received is as far as oneself has got."""
    sent = await stage.send(1, 2)
    assert await stage.statuses(2, 1) == {sent.first_msg_id: "UNREAD"}
    await stage.ack(2, 2, 1)
    assert await stage.statuses(2, 1) == {sent.first_msg_id: "DELIVERED"}
    await stage.read(2, 1)
    assert await stage.statuses(2, 1) == {sent.first_msg_id: "READ"}


async def test_several_marks_are_answered_one_by_one(stage: Stage) -> None:
    """In the order asked, each by what the ones before it left."""
    first = (await stage.send(1, 2)).first_msg_id
    second = (await stage.send(1, 2)).first_msg_id
    marks = [await stage.mark(2, 1, first), await stage.mark(2, 1), await stage.mark(2, 1)]
    assert await stage.store.read(marks) == [
        ReadDone(first, moved=True, changes=[await changed(stage, 1, 2, first, by=2)]),
        ReadDone(second, moved=True, changes=[await changed(stage, 1, 2, second, by=2)]),
        ReadDone(second, moved=False, changes=[]),
    ]


async def test_a_group_is_read_for_each_sender(stage: Stage) -> None:
    """Each is told of the own newest message covered; the reader's own count for nothing."""
    group = await stage.group(1, 2, 3)
    await stage.say(1, group)
    by_one = (await stage.say(1, group)).first_msg_id
    by_two = (await stage.say(2, group)).first_msg_id
    newest = (await stage.say(3, group)).first_msg_id
    done = await stage.read(3, group)
    assert (done.msg_id, done.moved) == (newest, True)
    assert sorted(done.changes, key=lambda change: change.msg_id) == [
        await changed(stage, 1, group, by_one, by=3),
        await changed(stage, 2, group, by_two, by=3),
    ]


async def test_a_group_message_is_read_once(stage: Stage) -> None:
    """Where another member had read as far, nothing changes; beyond it, the rest does."""
    group = await stage.group(1, 2, 3)
    first = (await stage.say(1, group)).first_msg_id
    second = (await stage.say(1, group)).first_msg_id
    await stage.read(2, group, first)
    assert (await stage.read(3, group, first)).changes == []
    assert (await stage.read(3, group)).changes == [await changed(stage, 1, group, second, by=3)]
    assert await stage.statuses(1, group) == {first: "READ", second: "READ"}


async def test_a_later_member_reads_nothing_from_before_its_stay(stage: Stage) -> None:
    """Its position starts at the newest message it may not see."""
    group = await stage.group(1, 2)
    old = (await stage.say(1, group)).first_msg_id
    await stage.join(group, 3)
    assert await stage.read(3, group) == ReadDone(old, moved=False, changes=[])
    new = (await stage.say(1, group)).first_msg_id
    await stage.read(3, group)
    assert await stage.statuses(1, group) == {old: "UNREAD", new: "READ"}


async def test_a_member_who_has_gone_still_has_read(stage: Stage) -> None:
    """The status is not taken back, nor told again when another reads."""
    group = await stage.group(1, 2, 3)
    sent = await stage.say(1, group)
    await stage.read(2, group)
    await stage.kick(group, 2)
    assert await stage.statuses(1, group) == {sent.first_msg_id: "READ"}
    assert (await stage.read(3, group)).changes == []


async def test_a_second_stay_does_not_read_what_lay_between(stage: Stage) -> None:
    """Messages from while one was out have no stay around them."""
    group = await stage.group(1, 2)
    await stage.kick(group, 2)
    between = (await stage.say(1, group)).first_msg_id
    await stage.join(group, 2)
    after = (await stage.say(1, group)).first_msg_id
    await stage.read(2, group)
    await stage.ack(2, group, 5)
    assert await stage.statuses(1, group) == {between: "UNREAD", after: "READ"}


async def test_a_group_one_is_not_in_cannot_be_read(stage: Stage) -> None:
    """Neither before nor after a stay, nor once it is destroyed."""
    group = await stage.group(1, 2)
    await stage.user(3)
    await stage.kick(group, 2)
    for xid in (2, 3):
        assert await stage.store.read([await stage.mark(xid, group)]) == [Kind.NOT_A_MEMBER]


@pytest.mark.parametrize("kind", ["user", "group"])
async def test_reads_survive_a_restart(stage: Stage, kind: str) -> None:
    """A READ is answered only after its commit."""
    group = await stage.group(1, 2)
    opposite = 1 if kind == "user" else group
    sent = await (stage.send(1, 2) if kind == "user" else stage.say(1, group))
    await stage.read(2, opposite)
    await stage.restart()
    assert await stage.statuses(2, opposite) == {sent.first_msg_id: "READ"}
