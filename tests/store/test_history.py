"""Paging conversations towards older."""

from __future__ import annotations

import pytest

from gateway.domain.errors import Kind
from gateway.domain.model import Action
from tests.store.stage import NOW, Stage


async def pages(stage: Stage, xid: int, opposite: int, limit: int) -> list[list[int]]:
    """Follow `next_msg_id` to the end."""
    found = []
    start = 0
    while True:
        page = await stage.history(xid, opposite, start, limit)
        found.append([item.msg_id for item in page.items])
        start = page.next_msg_id
        if not start:
            return found


async def test_both_directions_lie_in_one_history(stage: Stage) -> None:
    """Newest first, the same for both parties, and nobody else's messages."""
    ids = [(await stage.send(*pair)).first_msg_id for pair in ((1, 2), (2, 1), (2, 1), (1, 2))]
    await stage.send(1, 3)
    await stage.send(3, 2)
    assert await stage.shown(1, 2) == ids[::-1]
    assert await stage.shown(2, 1) == ids[::-1]


async def test_pages_walk_to_the_oldest(stage: Stage) -> None:
    """Each starts where the one before said, inclusive; only the last has no next."""
    for count in range(7):
        await stage.send(1 + count % 2, 2 - count % 2)
    ids = await stage.shown(1, 2)
    assert await pages(stage, 1, 2, 3) == [ids[:3], ids[3:6], ids[6:]]
    assert await pages(stage, 1, 2, 7) == [ids]


async def test_a_page_starts_at_or_below_the_id_given(stage: Stage) -> None:
    """An id of another conversation, or beyond all, is a place like any other."""
    first = (await stage.send(1, 2)).first_msg_id
    between = (await stage.send(1, 3)).first_msg_id
    last = (await stage.send(2, 1)).first_msg_id
    for start, expected in (
        (first, [first]),
        (between, [first]),
        (last, [last, first]),
        (last + 99, [last, first]),
    ):
        assert [i.msg_id for i in (await stage.history(1, 2, start)).items] == expected


async def test_recalled_messages_are_filled_up_with_older_ones(stage: Stage) -> None:
    """A page is as long as there is anything to show."""
    ids = [(await stage.send(1, 2)).first_msg_id for _ in range(6)]
    for msg_id in ids[3:]:
        await stage.recall(msg_id)
    page = await stage.history(2, 1, 0, 2)
    assert [item.msg_id for item in page.items] == [ids[2], ids[1]]
    assert page.next_msg_id == ids[0]


async def test_the_next_page_is_named_only_if_there_is_one(stage: Stage) -> None:
    """What lies beyond is recalled or deleted: then there is no next."""
    ids = [(await stage.send(1, 2)).first_msg_id for _ in range(3)]
    await stage.recall(ids[0])
    assert (await stage.history(1, 2, 0, 2)).next_msg_id == 0
    await stage.delete(2, 1)
    newest = (await stage.send(1, 2)).first_msg_id
    page = await stage.history(2, 1, 0, 1)
    assert ([item.msg_id for item in page.items], page.next_msg_id) == ([newest], 0)


async def test_a_history_with_oneself_shows_each_once(stage: Stage) -> None:
    """There is one direction only."""
    ids = [(await stage.send(1, 1)).first_msg_id for _ in range(3)]
    assert await stage.shown(1, 1) == ids[::-1]


async def test_a_notice_lies_in_its_receivers_history_only(stage: Stage) -> None:
    """Whoever sent it does not see it there."""
    notice = (await stage.send(1, 2, notice=True, copied=False)).first_msg_id
    back = (await stage.send(2, 1)).first_msg_id
    assert await stage.shown(2, 1) == [back, notice]
    assert await stage.shown(1, 2) == [back]


async def test_system_looks_back_at_what_it_sent(stage: Stage) -> None:
    """Though it holds no conversation of its own."""
    system = stage.app.system_xid
    sent = (await stage.send(system, 2, copied=False)).first_msg_id
    assert await stage.shown(system, 2) == [sent]
    assert await stage.shown(2, system) == [sent]


async def test_an_empty_history_is_an_empty_page(stage: Stage) -> None:
    """Of users who never wrote to each other."""
    await stage.users(1, 2)
    page = await stage.history(1, 2)
    assert (page.items, page.next_msg_id) == ([], 0)


async def test_a_groups_history_is_every_members(stage: Stage) -> None:
    """Messages of all, newest first; membership entries are no messages."""
    group = await stage.group(1, 2, 3)
    ids = [(await stage.say(xid, group)).first_msg_id for xid in (1, 2, 3)]
    for xid in (1, 2, 3):
        assert await stage.shown(xid, group) == ids[::-1]
        assert await pages(stage, xid, group, 2) == [[ids[2], ids[1]], [ids[0]]]


async def test_a_member_sees_its_own_stay_only(stage: Stage) -> None:
    """Nothing from before joining, and, back again, nothing of the first stay either."""
    group = await stage.group(1)
    await stage.say(1, group)
    await stage.join(group, 2)
    first = (await stage.say(1, group)).first_msg_id
    assert await stage.shown(2, group) == [first]
    await stage.kick(group, 2)
    await stage.say(1, group)
    await stage.join(group, 2)
    assert await stage.shown(2, group) == []
    last = (await stage.say(1, group)).first_msg_id
    assert await stage.shown(2, group) == [last]


async def test_a_notice_in_a_group_is_in_its_history(stage: Stage) -> None:
    """For all members, marked as one."""
    group = await stage.group(1, 2)
    sent = await stage.say(9, group, notice=True, copied=False)
    [item] = (await stage.history(2, group)).items
    assert (item.msg_id, item.notice) == (sent.first_msg_id, True)


@pytest.mark.parametrize("gone", ["never", "kicked", "destroyed"])
async def test_a_group_one_is_not_in_has_no_history(stage: Stage, gone: str) -> None:
    """Whoever is no member is told so."""
    group = await stage.group(1, *(() if gone == "never" else (2,)))
    if gone == "kicked":
        await stage.kick(group, 2)
    elif gone == "destroyed":
        await stage.change(group, Action.DESTROYED)
    asked = await stage.store.history(await stage.user(2), await stage.party(group), 0, 10)
    assert asked is Kind.NOT_A_MEMBER


async def test_a_recalled_group_message_is_left_out(stage: Stage) -> None:
    """For everybody, and the page is filled up."""
    group = await stage.group(1, 2)
    ids = [(await stage.say(1, group)).first_msg_id for _ in range(4)]
    await stage.recall(ids[2])
    assert await pages(stage, 2, group, 2) == [[ids[3], ids[1]], [ids[0]]]


async def test_items_carry_the_whole_message(stage: Stage) -> None:
    """As it was sent, seen from either side."""
    await stage.send(1, 2, content="c", attachment="a", config="f", ext="e", ctype=1, sender_sn=3)
    for asker, opposite in ((1, 2), (2, 1)):
        [item] = (await stage.history(asker, opposite)).items
        assert (item.content, item.attachment, item.config, item.ext) == ("c", "a", "f", "e")
        assert (item.sender_xid, item.sender_sn, item.target_xid, item.ctype) == (1, 3, 2, 1)
        assert (item.at, item.notice, item.expires_at) == (NOW, False, 0)
