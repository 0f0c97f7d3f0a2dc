"""Chatrooms: nobody is in one, anybody may speak in one, and a bounded end of their history is kept (design §3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.domain.drafts import Appended, Changed, RecallDraft, Refused, Repeated
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import BlockDraft
from gateway.domain.model import ROOM, Action, Ctype, EntryKind
from gateway.store.base import History
from tests.store.grouping import changed
from tests.store.stage import LIMITS, NOW, Stage

KEPT = 4


@pytest.fixture
async def stage(engine: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A store whose chatrooms keep four entries, and which keeps its laws."""
    bounds = msgspec.structs.replace(LIMITS, room_history_max=KEPT, rooms_per_user_max=2)
    async with Stage(engine, tmp_path / "data", bounds) as opened:
        yield opened
        assert opened.check() == []


async def room(stage: Stage, owner: int = 11) -> int:
    answer = await stage.append(stage.creation(owner, type=ROOM))
    assert isinstance(answer, Changed), answer
    assert answer.placed == []
    return answer.xid


async def kept(stage: Stage, xid: int) -> tuple[int, int, list[int]]:
    """Read floor and head of a timeline, and the seqs between them."""
    [page] = await stage.store.pages([(await stage.id(xid), 1)], 1000, 10**6)
    return page.floor, page.head, [entry.seq for entry in page.entries]


async def says(stage: Stage, xid: int, count: int, **members: Any) -> list[int]:
    """Say something so many times; the ids of the messages."""
    return [(await stage.say(12, xid, **members)).first_msg_id for _ in range(count)]


async def stored(stage: Stage) -> tuple[int, int, int, int]:
    """Count the rows of messages, of texts and of transactions, and the bytes that the app is told to store."""
    [(messages, bodies, transactions)] = await stage.ask(
        "SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM body), (SELECT count(*) FROM dedup)"
    )
    return messages, bodies, transactions, await stage.store.stored_bytes(stage.app.id)


# -- who is in it -----------------------------------------------------------------------------------------


async def test_a_chatroom_begins_empty_and_without_members(stage: Stage) -> None:
    """Its creation tells nobody anything, and its owner is in no group by it."""
    xid = await room(stage)
    assert await kept(stage, xid) == (0, 0, [])
    assert await stage.entries(11) == []
    assert await stage.store.joined(await stage.id(11)) == []
    found = await stage.store.group(stage.app.id, xid)
    assert found is not None
    assert (found.type, found.owner_xid, found.members) == (ROOM, 11, 0)


async def test_anybody_is_a_member_of_a_chatroom(stage: Stage) -> None:
    """Facts say so of its owner, of a stranger, and of somebody who does not exist yet."""
    xid = await room(stage)
    await stage.users(12)
    told = [await stage.facts(xid, user) for user in (11, 12, 99)]
    assert [(facts.owner, facts.member, facts.type) for facts in told] == [
        (True, True, ROOM),
        (False, True, ROOM),
        (False, True, ROOM),
    ]


async def test_who_is_kept_out_is_no_member_and_sees_nothing(stage: Stage) -> None:
    """A block is all that keeps somebody out."""
    xid = await room(stage)
    await stage.users(12)
    await changed(stage, xid, BlockDraft, user_xids=(12,), blocked=True)
    assert not (await stage.facts(xid, 12)).member
    page = await stage.store.history(await stage.user(12), await stage.party(xid), 0, 10)
    assert page is Kind.GROUP_BLOCKED


async def test_a_user_owns_so_many_chatrooms(stage: Stage) -> None:
    """Past the limit the next is refused; one that has ended does not count, and groups are counted apart."""
    first = await room(stage)
    await room(stage)
    refused = await stage.append(stage.creation(11, type=ROOM))
    assert isinstance(refused, Refused)
    assert refused.kind is Kind.GROUPS_FULL
    await room(stage, 12)
    await stage.group(11)
    await stage.change(first, Action.DESTROYED)
    await room(stage)


async def test_the_end_of_a_chatroom_is_an_entry_of_its_timeline(stage: Stage) -> None:
    """It is told there and nowhere else, and there is no history afterwards."""
    xid = await room(stage)
    await stage.say(12, xid)
    [placed] = (await stage.change(xid, Action.DESTROYED)).placed
    assert placed.entry.membership is not None
    assert (placed.owner_xid, placed.entry.seq, placed.entry.membership.action) == (xid, 2, Action.DESTROYED)
    page = await stage.store.history(await stage.user(12), await stage.party(xid), 0, 10)
    assert page is Kind.GROUP_UNKNOWN


# -- positions: there are none ----------------------------------------------------------------------------


async def test_history_is_anybodys_and_unread_for_ever(stage: Stage) -> None:
    """Own messages and those of others are UNREAD, read or not; the recent list knows no chatroom."""
    xid = await room(stage)
    [own] = await says(stage, xid, 1)
    others = (await stage.say(13, xid)).first_msg_id
    done = await stage.read(13, xid)
    assert (done.moved, done.changes) == (False, [])
    for user in (11, 12, 13, 14):
        assert await stage.statuses(user, xid) == {own: "UNREAD", others: "UNREAD"}
        assert await stage.recent(user) == []


async def test_acks_move_nothing(stage: Stage) -> None:
    """There is no stay whose position an ack could move, and nobody to tell."""
    xid = await room(stage)
    await stage.say(12, xid)
    await stage.users(13)
    assert await stage.ack(13, xid, 1) == []
    assert await stage.statuses(12, xid) == {1: "UNREAD"}


async def test_a_chatroom_cannot_be_hidden(stage: Stage) -> None:
    """A yes to a deletion would be a lie: it is refused."""
    xid = await room(stage)
    await stage.say(12, xid)
    refused = await stage.delete(12, xid)
    assert isinstance(refused, Refused)
    assert refused.kind is Kind.BAD_PARAMETER


# -- what is kept -----------------------------------------------------------------------------------------


async def test_the_newest_entries_stay(stage: Stage) -> None:
    """Never fewer than the limit and never twice as many, and what is left is dense up to the head."""
    xid = await room(stage)
    floor = 0
    ids = []
    for number in range(1, 31):
        ids += await says(stage, xid, 1, content=str(number))
        floor, head, seqs = await kept(stage, xid)
        assert head == number
        assert min(number, KEPT) <= len(seqs) < 2 * KEPT
        assert seqs == list(range(floor + 1, head + 1))
    newest_first = ids[: floor - 1 : -1]
    assert await stage.shown(13, xid) == newest_first
    assert (await stored(stage))[:2] == (len(newest_first), len(newest_first))


async def test_a_large_batch_is_cut_too(stage: Stage) -> None:
    """Also where one batch brings many times what is kept."""
    xid = await room(stage)
    answers = await stage.store.append([await stage.group_text(12, xid) for _ in range(5 * KEPT + 1)])
    assert all(isinstance(answer, Appended) for answer in answers)
    assert await kept(stage, xid) == (17, 21, [18, 19, 20, 21])


async def test_what_goes_is_taken_off_the_apps_account(stage: Stage) -> None:
    """Twenty more messages of the same size cost what those that stay cost."""
    xid = await room(stage)
    await says(stage, xid, 2 * KEPT)
    before = await stored(stage)
    await says(stage, xid, 20)
    assert await stored(stage) == before
    assert before[3] == before[0] * 305


async def test_groups_keep_everything(stage: Stage) -> None:
    """Only chatrooms let go."""
    group = await stage.group(12)
    for _ in range(3 * KEPT):
        await stage.say(12, group)
    assert await kept(stage, group) == (0, 3 * KEPT + 1, list(range(1, 3 * KEPT + 2)))


async def test_a_text_that_others_have_stays_for_them(stage: Stage) -> None:
    """One send to a chatroom and to a group: its text goes with neither alone."""
    xid, group = await room(stage), await stage.group(12)
    await stage.say(12, xid, group, content="both")
    await says(stage, xid, 3 * KEPT)
    [item] = (await stage.history(12, group)).items
    assert item.content == "both"


async def test_a_transaction_goes_with_the_last_of_its_messages(stage: Stage) -> None:
    """While any of its messages is kept a repeat gets the first answer; afterwards it is a new send."""
    xid, group = await room(stage), await stage.group(12)
    alone = await stage.group_text(12, xid, key="1", digest="d")
    both = await stage.group_text(12, group, xid, key="2", digest="d")
    for draft in (alone, both):
        assert isinstance(await stage.append(draft), Appended)
        assert isinstance(await stage.append(draft), Repeated)
    for number in range(3 * KEPT):
        await stage.say(12, xid, key=f"k{number}", digest="d")
    assert isinstance(await stage.append(both), Repeated)
    assert isinstance(await stage.append(alone), Appended)
    messages, _, transactions, _ = await stored(stage)
    assert transactions == messages


async def test_what_went_cannot_be_recalled(stage: Stage) -> None:
    """There is no such message any more, and the entry of an earlier recall goes as any other."""
    xid = await room(stage)
    _, second, third = await says(stage, xid, 3)
    await stage.recall(third)
    await says(stage, xid, 4)
    assert await kept(stage, xid) == (4, 8, [5, 6, 7, 8])
    gone = await stage.append(RecallDraft(app=stage.app.id, msg_id=second, at=NOW))
    assert isinstance(gone, Refused)
    assert gone.kind is Kind.MESSAGE_UNKNOWN


async def test_a_recall_outlives_its_message(stage: Stage) -> None:
    """The entry of a recall says all there is to say; the message went before it."""
    xid = await room(stage)
    _, second, third, *_ = await says(stage, xid, 6)
    await stage.recall(second)
    await stage.recall(third)
    assert (await kept(stage, xid))[0] == 4
    [page] = await stage.store.pages([(await stage.id(xid), 1)], 100, 10**6)
    told = [entry.recalled.msg_id for entry in page.entries if entry.recalled]
    assert told == [second, third]
    assert await stage.store.message(stage.app.id, third) is None


async def test_the_newest_message_stays_however_many_recalls_follow(stage: Stage) -> None:
    """So that the newest is known; and recalls are no more than the messages there were."""
    xid = await room(stage)
    ids = await says(stage, xid, 8)
    for msg_id in ids[:3:-1]:
        await stage.recall(msg_id)
    [page] = await stage.store.pages([(await stage.id(xid), 1)], 100, 10**6)
    assert [(entry.seq, entry.kind) for entry in page.entries[:2]] == [
        (8, EntryKind.MESSAGE),
        (9, EntryKind.RECALLED),
    ]
    assert len(page.entries) == KEPT + 1
    assert await stage.shown(12, xid) == []


async def test_pages_go_on_inside_what_is_kept(stage: Stage) -> None:
    """A page that starts at what has gone begins with the newest that is older and kept: there is none."""
    xid = await room(stage)
    ids = await says(stage, xid, 12)
    assert await stage.history(12, xid, start=ids[2]) == History([], 0)
    page = await stage.history(12, xid, limit=2)
    assert [item.msg_id for item in page.items] == [ids[11], ids[10]]
    assert page.next_msg_id == ids[9]


async def test_what_is_folded_outlives_what_it_is_folded_into(stage: Stage) -> None:
    """The message that others were folded into goes first, and they go in their turn; a recall takes both along."""
    xid = await room(stage)
    first, second = await says(stage, xid, 2)
    for base in (first, second, first, second, second):
        await stage.say(12, xid, ctype=Ctype.APPEND, related=base)
    await stage.recall(second)
    assert stage.check() == []
    assert (await kept(stage, xid))[0] == 4
    await says(stage, xid, KEPT)
    assert (await stored(stage))[0] == KEPT


async def test_retention_and_what_a_chatroom_lets_go_of_go_together(stage: Stage) -> None:
    """Whichever comes first raises the floor; the other goes on from there, down to the last message."""
    xid, old = await room(stage), NOW - 1_000
    ids = await says(stage, xid, 6, at=old)
    await stage.recall(ids[2])
    await stage.say(12, xid, at=old)
    assert (await kept(stage, xid))[0] == 4
    assert (await stage.store.sweep(NOW, 2)).more
    assert stage.check() == []
    await says(stage, xid, KEPT, at=old)
    assert stage.check() == []
    while (await stage.store.sweep(NOW, 2)).more:
        assert stage.check() == []
    assert (await stored(stage))[:2] == (0, 0)
    await says(stage, xid, 3 * KEPT)
    assert (await stored(stage))[0] < 2 * KEPT
