"""The recent list and its counts of unread messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.drafts import Changed
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, Action
from tests.store.stage import Stage


async def listed(stage: Stage, xid: int, group: int = 0) -> list[tuple[int, int]]:
    return [(recent.conversation_xid, recent.unread) for recent in await stage.recent(xid, group)]


async def test_conversations_are_listed_newest_first(stage: Stage) -> None:
    """Whoever wrote last, to whichever side; each once."""
    for sender, target in ((1, 9), (2, 9), (9, 3), (1, 9)):
        await stage.send(sender, target)
    assert await listed(stage, 9) == [(1, 2), (3, 0), (2, 1)]


async def test_groups_are_listed_among_users(stage: Stage) -> None:
    """In the order of their newest messages; a group without messages is not listed."""
    group, silent = await stage.group(1, 9), await stage.group(1, 9)
    await stage.send(2, 9)
    await stage.say(1, group)
    await stage.send(3, 9)
    assert await listed(stage, 9) == [(3, 1), (group, 1), (2, 1)]
    assert silent not in dict(await listed(stage, 9))


async def test_one_group_may_be_asked_for(stage: Stage) -> None:
    """Then nothing else is told."""
    group, other = await stage.group(1, 9), await stage.group(1, 9)
    await stage.send(2, 9)
    await stage.say(1, group)
    await stage.say(1, other)
    assert await listed(stage, 9, group) == [(group, 1)]


async def test_a_read_conversation_stays_listed_with_none_unread(stage: Stage) -> None:
    """Until it is deleted."""
    await stage.send(1, 9)
    await stage.read(9, 1)
    assert await listed(stage, 9) == [(1, 0)]
    await stage.send(1, 9)
    assert await listed(stage, 9) == [(1, 1)]
    await stage.delete(9, 1)
    assert await listed(stage, 9) == []
    await stage.send(1, 9)
    assert await listed(stage, 9) == [(1, 1)]


async def test_own_messages_do_not_count(stage: Stage) -> None:
    """Neither to a user, nor to oneself, nor in a group."""
    group = await stage.group(1, 9)
    await stage.send(9, 1)
    await stage.send(9, 9)
    await stage.say(9, group)
    await stage.say(1, group)
    assert await listed(stage, 9) == [(group, 1), (9, 0), (1, 0)]


async def test_recalled_messages_do_not_count(stage: Stage) -> None:
    """They move no row, and a conversation with nothing else is not listed."""
    group = await stage.group(1, 9)
    kept = await stage.send(1, 9)
    gone = await stage.send(1, 9)
    lone = await stage.send(2, 9)
    said = await stage.say(1, group)
    assert await listed(stage, 9) == [(group, 1), (2, 1), (1, 2)]
    await stage.recall(gone.first_msg_id)
    await stage.send(3, 9)
    assert await listed(stage, 9) == [(3, 1), (group, 1), (2, 1), (1, 1)]
    await stage.recall(said.first_msg_id)
    await stage.recall(lone.first_msg_id)
    assert await listed(stage, 9) == [(3, 1), (1, 1)]
    await stage.recall(kept.first_msg_id)
    assert await listed(stage, 9) == [(3, 1)]


async def test_what_a_deletion_hid_does_not_count(stage: Stage) -> None:
    """Only what came after it does."""
    group = await stage.group(1, 9)
    await stage.say(1, group)
    await stage.say(1, group)
    await stage.delete(9, group)
    assert await listed(stage, 9) == []
    await stage.say(1, group)
    assert await listed(stage, 9) == [(group, 1)]


async def test_what_is_put_off_comes_back_with_something_newer(stage: Stage) -> None:
    """From either side, with what was unread before; each time anew, and for that user alone."""
    group = await stage.group(1, 9)
    for _ in range(2):
        await stage.send(1, 9)
        await stage.say(1, group)
    assert await stage.put_off(9, 1)
    assert await stage.put_off(9, group)
    assert await listed(stage, 9) == []
    assert await listed(stage, 1) == [(group, 0), (9, 0)]
    await stage.send(9, 1)
    await stage.say(1, group)
    assert await listed(stage, 9) == [(group, 3), (1, 2)]
    assert await stage.put_off(9, 1)
    await stage.restart()
    assert await listed(stage, 9) == [(group, 3)]
    assert await listed(stage, 9, group) == [(group, 3)]


async def test_what_is_put_off_is_all_there(stage: Stage) -> None:
    """Its history, and its place above what was deleted; no timeline gets an entry."""
    group = await stage.group(1, 9)
    await stage.send(1, 9)
    await stage.say(1, group)
    heads = [len(await stage.entries(xid)) for xid in (9, group)]
    for opposite in (1, group):
        assert await stage.put_off(9, opposite)
        assert len((await stage.history(9, opposite)).items) == 1
    assert [len(await stage.entries(xid)) for xid in (9, group)] == heads
    await stage.read(9, 1)
    assert await listed(stage, 9) == []
    await stage.delete(9, 1)
    await stage.send(1, 9)
    assert await listed(stage, 9) == [(1, 1)]


async def test_what_went_to_one_alone_brings_a_group_back(stage: Stage) -> None:
    """As it is the newest that this member sees; and it is put off with the rest."""
    group = await stage.group(1, 9)
    await stage.say(1, group)
    await stage.put_off(9, group)
    await stage.whisper(1, group, 9)
    assert await listed(stage, 9) == [(group, 2)]
    await stage.put_off(9, group)
    assert await listed(stage, 9) == []


async def test_who_is_not_in_a_group_cannot_put_it_off(stage: Stage) -> None:
    """Nor has a chatroom a place in a list; with whom one never spoke there is nothing to do."""
    group = await stage.group(1)
    room = await stage.append(stage.creation(1, type=ROOM))
    assert isinstance(room, Changed)
    await stage.user(9)
    assert [await stage.put_off(9, xid) for xid in (group, room.xid, 1)] == [False, False, True]
    await stage.send(1, 9)
    assert await listed(stage, 9) == [(1, 1)]


async def test_a_new_stay_is_not_put_off(stage: Stage) -> None:
    """Who comes back has the group on the list with what is said then."""
    group = await stage.group(1, 9)
    await stage.say(1, group)
    await stage.put_off(9, group)
    await stage.change(group, Action.LEFT, 9)
    await stage.join(group, 9)
    assert await listed(stage, 9) == []
    await stage.say(1, group)
    assert await listed(stage, 9) == [(group, 1)]


async def test_a_member_counts_from_its_own_stay_on(stage: Stage) -> None:
    """What was said before is neither listed nor counted."""
    group = await stage.group(1)
    await stage.say(1, group)
    await stage.join(group, 9)
    assert await listed(stage, 9) == []
    await stage.say(1, group)
    assert await listed(stage, 9) == [(group, 1)]


@pytest.mark.parametrize("action", [Action.LEFT, Action.KICKED, Action.DESTROYED])
async def test_a_group_one_is_no_longer_in_is_not_listed(stage: Stage, action: Action) -> None:
    """However the stay ended."""
    group = await stage.group(1, 9)
    await stage.say(1, group)
    await stage.change(group, action, *(() if action is Action.DESTROYED else (9,)))
    assert await listed(stage, 9) == []


async def test_a_notice_counts_for_its_receiver_only(stage: Stage) -> None:
    """Its sender has no such conversation."""
    await stage.send(1, 9, notice=True, copied=False)
    assert await listed(stage, 9) == [(1, 1)]
    assert await listed(stage, 1) == []


async def test_own_notices_list_no_conversation(stage: Stage) -> None:
    """Also where there is a conversation whose other messages are recalled."""
    back = await stage.send(9, 1)
    await stage.send(1, 9, notice=True, copied=False)
    await stage.recall(back.first_msg_id)
    assert await listed(stage, 1) == []
    assert await listed(stage, 9) == [(1, 1)]


@pytest.mark.parametrize("count", [0, 1, 998, 999, 1000, 1500])
async def test_counts_are_exact_to_999(stage: Stage, count: int) -> None:
    """Beyond that they say 999."""
    group = await stage.group(1, 9)
    await stage.send(9, 1)
    batch = [stage.text(1, 9) for _ in range(count)]
    said = await stage.group_text(1, group)
    own = await stage.group_text(9, group)
    await stage.store.append([*batch, *[said] * count, own, own])
    assert dict(await listed(stage, 9)) == {1: min(count, 999), group: min(count, 999)}


async def test_a_count_in_a_group_looks_at_so_many_messages_only(engine: str, tmp_path: Path) -> None:
    """Where more lie above the position, own ones among them, it is 999."""
    async with Stage(engine, tmp_path / "data", Limits(unread_scan_max=10)) as stage:
        group = await stage.group(1, 9)
        theirs, own = await stage.group_text(1, group), await stage.group_text(9, group)
        await stage.store.append([theirs] + [own] * 9)
        assert await listed(stage, 9) == [(group, 1)]
        await stage.say(9, group)
        assert await listed(stage, 9) == [(group, 999)]


async def test_the_list_is_cut_to_the_newest(engine: str, tmp_path: Path) -> None:
    """Users and groups together."""
    async with Stage(engine, tmp_path / "data", Limits(recent_max=3)) as stage:
        groups = [await stage.group(1, 9) for _ in range(2)]
        await stage.say(1, groups[0])
        for xid in (2, 3, 4):
            await stage.send(xid, 9)
        await stage.say(1, groups[1])
        assert await listed(stage, 9) == [(groups[1], 1), (4, 1), (3, 1)]


async def test_what_is_put_off_takes_nobodys_place(engine: str, tmp_path: Path) -> None:
    """Where the list is cut, older conversations come up."""
    async with Stage(engine, tmp_path / "data", Limits(recent_max=2)) as stage:
        group = await stage.group(1, 9)
        for xid in (1, 2, 3, 4):
            await stage.send(xid, 9)
        await stage.say(1, group)
        for opposite in (group, 4, 3):
            assert await stage.put_off(9, opposite)
        assert await listed(stage, 9) == [(2, 1), (1, 1)]


async def test_lists_are_each_users_own(stage: Stage) -> None:
    """Reading or deleting changes nothing for the other party."""
    await stage.send(1, 2)
    await stage.send(2, 1)
    await stage.read(1, 2)
    await stage.delete(1, 2)
    assert await listed(stage, 1) == []
    assert await listed(stage, 2) == [(1, 1)]


async def test_nobody_has_no_conversations(stage: Stage) -> None:
    """A user who was only made."""
    await stage.user(9)
    assert await listed(stage, 9) == []
