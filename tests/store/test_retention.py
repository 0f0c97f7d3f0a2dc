"""Removing what is too old: floors rise, and nothing else changes. After every page the store keeps its laws."""

from __future__ import annotations

import random

import msgspec
import pytest

from gateway.domain.drafts import Appended, Changed, RecallDraft, Refused, Repeated
from gateway.domain.errors import Kind
from gateway.domain.model import Action, Entry, EntryKind, Gone, Scope
from gateway.domain.positions import Keep, ReadDone
from gateway.store.base import Sweeping, Swept
from tests.store.stage import NOW, Stage

OLD, YOUNG = NOW - 1000, NOW + 1000


async def told(stage: Stage, xid: int) -> list[int]:
    """The messages in a timeline, each checked to be there."""
    return [entry.message.msg_id for entry in await stage.entries(xid) if entry.message]


async def floor(stage: Stage, xid: int) -> int:
    return (await stage.store.pages([(await stage.id(xid), 1)], 1, 1))[0].floor


async def sweep(stage: Stage, most: int = 100, before: int = NOW) -> int:
    """Remove what was sent before a time, page by page; how many messages. The laws hold after each page."""
    removed = 0
    while (page := await stage.store.sweep(before, most)).removed:
        assert stage.check() == []
        removed += page.removed
        assert page.removed <= most
    assert not page.more
    return removed


async def expire(stage: Stage, *msg_ids: int, at: int = NOW) -> None:
    """Give messages a time, and let it come."""
    await stage.alter(f"UPDATE message SET expires_at = {at} WHERE msg_id IN ({','.join(map(str, msg_ids))})")
    await stage.store.expire(at, 100)


class TestMessages:
    """What goes, and what stays."""

    async def test_old_ones_go_and_young_ones_stay(self, stage: Stage) -> None:
        """In the timelines of both parties, and in their history."""
        await stage.send(1, 2, at=OLD)
        old = (await stage.send(2, 1, at=OLD)).first_msg_id
        young = (await stage.send(1, 2, at=YOUNG)).first_msg_id
        assert await sweep(stage) == 2
        for xid, other in ((1, 2), (2, 1)):
            assert await told(stage, xid) == await stage.shown(xid, other) == [young]
            assert await floor(stage, xid) == 2
        assert await stage.store.sweeping() == Sweeping(old, 0, 0)

    async def test_the_walk_ends_at_the_first_young_one(self, stage: Stage) -> None:
        """One that says it is old and came after it stays with it: a clock was set back in between."""
        await stage.send(1, 2, at=OLD)
        await stage.send(1, 2, at=YOUNG)
        await stage.send(1, 2, at=OLD)
        assert await sweep(stage) == 1
        assert len(await told(stage, 2)) == 2

    async def test_to_some_of_a_group_and_folded_ones(self, stage: Stage) -> None:
        """They go like all others, one by one, from the timelines of both; a stay keeps how far it was read."""
        group = await stage.group(1, 2, 3)
        first = (await stage.whisper(1, group, 2, 3, at=OLD)).first_msg_id
        await stage.whisper(1, group, 2, ctype=11, related=first, at=OLD)
        await stage.read(2, group)
        plain = (await stage.send(1, 2, at=OLD)).first_msg_id
        await stage.send(1, 2, ctype=12, related=plain, at=OLD)
        young = (await stage.whisper(2, group, 1, at=YOUNG)).first_msg_id
        assert await sweep(stage, most=1) == 5
        assert await stage.shown(1, group) == await stage.shown(2, group) == [young]
        assert await told(stage, 1) == await told(stage, 2) == [young]

    async def test_nothing_to_do(self, stage: Stage) -> None:
        """An empty store, and one where all are young."""
        assert await stage.store.sweep(NOW, 10) == Swept(0, 0, more=False)
        await stage.send(1, 2, at=NOW)
        assert await stage.store.sweep(NOW, 10) == Swept(0, 0, more=False)
        assert len(await told(stage, 2)) == 1

    async def test_all_go_and_heads_survive(self, stage: Stage) -> None:
        """The next entry has the next number, and the next message a greater id."""
        ids = [(await stage.send(1, 2, at=OLD)).first_msg_id for _ in range(3)]
        await sweep(stage)
        assert await told(stage, 2) == []
        sent = await stage.send(1, 2, at=YOUNG)
        assert sent.received[0][1] == 4
        assert sent.first_msg_id > ids[-1]

    async def test_pages_are_bounded(self, stage: Stage) -> None:
        """`more` tells whether another may find something."""
        ids = [(await stage.send(1, 2, at=OLD)).first_msg_id for _ in range(5)]
        pages = [await stage.store.sweep(NOW, 2) for _ in range(4)]
        assert pages == [
            Swept(ids[1], 2, more=True),
            Swept(ids[3], 2, more=True),
            Swept(ids[4], 1, more=False),
            Swept(ids[4], 0, more=False),
        ]

    async def test_to_oneself_and_notices(self, stage: Stage) -> None:
        """One entry each: a notice's sender, who has none, keeps all of its own."""
        await stage.send(3, 4, at=OLD, notice=True, copied=False)
        await stage.send(3, 3, at=OLD)
        own = (await stage.send(3, 5, at=YOUNG)).first_msg_id
        assert await sweep(stage) == 2
        assert await told(stage, 3) == [own]
        assert await told(stage, 4) == []

    async def test_groups(self, stage: Stage) -> None:
        """Members keep their stays; what came before the last removed message goes, who comes after it does not."""
        group = await stage.group(1, 2)
        await stage.say(1, group, at=OLD)
        await stage.join(group, 3)
        await stage.say(2, group, at=OLD)
        await stage.join(group, 4)
        assert await sweep(stage) == 2
        assert [entry.kind for entry in await stage.entries(group)] == [EntryKind.MEMBERSHIP]
        assert await floor(stage, group) == 4
        # Nobody has sent to 4 yet, so its own timeline is as it was.
        assert len(await stage.entries(4)) == 1
        for xid in (1, 2, 3, 4):
            assert await stage.shown(xid, group) == []
            assert await stage.recent(xid) == []
        young = (await stage.say(1, group, at=YOUNG)).first_msg_id
        assert [await stage.shown(xid, group) for xid in (1, 4)] == [[young]] * 2
        assert await sweep(stage) == 0

    async def test_members_between_old_messages_go_by_the_page(self, stage: Stage) -> None:
        """Where much lies between messages, a page takes fewer of them."""
        group = await stage.group(1)
        await stage.say(1, group, at=OLD)
        for xid in range(100, 130):
            await stage.join(group, xid)
        await stage.say(1, group, at=OLD)
        assert (await stage.store.sweep(NOW, 2)).removed == 1
        assert await sweep(stage, 2) == 1
        assert await floor(stage, group) == 33

    async def test_a_recall_outlives_its_message(self, stage: Stage) -> None:
        """Its entry says all there is to say."""
        old = (await stage.send(1, 2, at=OLD)).first_msg_id
        await stage.send(1, 2, at=YOUNG)
        await stage.recall(old)
        await sweep(stage)
        message, recalled = await stage.entries(2)
        assert message.kind is EntryKind.MESSAGE
        assert recalled.recalled is not None
        assert (recalled.recalled.msg_id, recalled.recalled.conversation_xid) == (old, 1)

    async def test_apps(self, stage: Stage) -> None:
        """Of all apps alike."""
        other = await stage.store.create_app("other", "k", b"x", registered=False, at=NOW)
        assert other is not None
        await stage.send(1, 2, at=OLD)
        await stage.store.append([stage.text(1, 2, at=OLD, app=other.id)])
        await stage.send(1, 2, at=YOUNG)
        assert await sweep(stage) == 2
        assert [await stage.store.stored_bytes(app) for app in (stage.app.id, other.id)] == [305, 0]


class TestWhatGoesWithThem:
    """Texts, transactions, conversations; not positions."""

    async def test_texts(self, stage: Stage) -> None:
        """One that a younger message shares stays for it."""
        await stage.send(1, 2, 3, at=OLD)
        await stage.send(1, 2, at=OLD)
        await stage.store.sweep(NOW, 1)
        assert stage.check() == []
        assert await stage.ask("SELECT refs FROM body ORDER BY id") == [(1,), (1,)]

    async def test_a_transaction_is_remembered_with_its_last_message(self, stage: Stage) -> None:
        """As long as any of its messages is kept (design promise 5)."""
        first = (await stage.send(1, 2, 3, 4, at=OLD, key="7", digest="d")).first_msg_id
        await stage.store.sweep(NOW, 2)
        assert await stage.store.transaction(stage.app.id, 1, "7") is not None
        await stage.store.sweep(NOW, 1)
        assert await stage.store.transaction(stage.app.id, 1, "7") is None
        again = await stage.send(1, 2, at=YOUNG, key="7", digest="other")
        assert again.first_msg_id >= first + 3

    async def test_a_conversation_without_messages_is_none(self, stage: Stage) -> None:
        """It leaves the list, reading or hiding it changes nothing; the next message begins it anew, unread."""
        await stage.send(1, 2, at=OLD)
        await stage.read(2, 1)
        await stage.delete(2, 1)
        await sweep(stage)
        assert await stage.recent(2) == await stage.recent(1) == []
        assert await stage.read(2, 1, 1) == ReadDone(0, moved=False, changes=[])
        assert await stage.delete(2, 1) == Changed([])
        young = (await stage.send(1, 2, at=YOUNG)).first_msg_id
        assert await stage.statuses(1, 2) == {young: "UNREAD"}
        assert [item.unread for item in await stage.recent(2)] == [1]

    async def test_positions_stay(self, stage: Stage) -> None:
        """*Delivered*, READ and cursors may lie below a floor; statuses of what is left are as they were."""
        group = await stage.group(1, 2)
        ids = [(await stage.say(1, group, at=at)).first_msg_id for at in (OLD, OLD, YOUNG, YOUNG)]
        user, in_group = await stage.id(2), await stage.id(group)
        await stage.store.keep([Keep(user, 1, NOW, {user: 0, in_group: 1}, ())])
        await stage.ack(2, group, 4)
        await stage.read(2, group, ids[2])
        before = await stage.statuses(1, group)
        await sweep(stage)
        assert await stage.statuses(1, group) == {id_: before[id_] for id_ in ids[2:]}
        assert before[ids[2]] == "READ"
        [own, other] = await stage.store.bearings([(user, 1, user), (user, 1, in_group)])
        assert (own.cursor, other.cursor, other.floor) == (0, 4, 3)

    async def test_what_is_counted_as_unread(self, stage: Stage) -> None:
        """What is gone is not."""
        group = await stage.group(1, 2)
        for at in (OLD, OLD, YOUNG):
            await stage.say(1, group, at=at)
            await stage.send(1, 2, at=at)
        await sweep(stage)
        assert [item.unread for item in await stage.recent(2)] == [1, 1]

    async def test_a_recall_of_what_is_gone(self, stage: Stage) -> None:
        """There is no such message."""
        old = (await stage.send(1, 2, at=OLD)).first_msg_id
        await sweep(stage)
        answer = await stage.append(RecallDraft(app=stage.app.id, msg_id=old, at=NOW))
        assert isinstance(answer, Refused)
        assert answer.kind is Kind.MESSAGE_UNKNOWN

    async def test_finished_jobs(self, stage: Stage) -> None:
        """They go when they are old; one that is not finished stays for as long as it takes."""
        await stage.users(1)
        await stage.finish(await stage.broadcast())
        left = await stage.broadcast()
        await stage.store.mark_sweep(NOW, NOW)
        assert await jobs(stage) == 2
        await stage.store.mark_sweep(NOW, NOW + 1)
        assert await jobs(stage) == 1
        assert await stage.store.jobs() == [left]


async def jobs(stage: Stage) -> int:
    [(count,)] = await stage.ask("SELECT count(*) FROM job")
    return int(count)


class TestExpiry:
    """A message whose time has come loses its text, and keeps its place."""

    async def test_its_entries_say_so(self, stage: Stage) -> None:
        """In every timeline that holds it."""
        first = (await stage.send(1, 2)).first_msg_id
        await stage.send(1, 2)
        await expire(stage, first)
        for xid in (1, 2):
            gone, kept = await stage.entries(xid)
            assert gone.message is not None
            assert kept.message is not None
            assert (gone.message.gone, gone.message.content) == (Gone.EXPIRED, "")
            assert kept.message.gone is None

    async def test_not_before_its_time(self, stage: Stage) -> None:
        """The millisecond counts; and a page takes no more than it may."""
        await stage.send(1, 2, 3)
        await stage.alter(f"UPDATE message SET expires_at = {NOW}")
        assert await stage.store.expire(NOW - 1, 10) == 0
        assert [await stage.store.expire(NOW, 1) for _ in range(3)] == [1, 1, 0]

    async def test_histories_are_filled_up(self, stage: Stage) -> None:
        """A page has as many as it may, and unread does not count what is gone."""
        ids = [(await stage.send(1, 2)).first_msg_id for _ in range(5)]
        await expire(stage, ids[1], ids[3])
        page = await stage.history(2, 1, limit=2)
        assert [item.msg_id for item in page.items] == [ids[4], ids[2]]
        assert page.next_msg_id == ids[0]
        assert [item.unread for item in await stage.recent(2)] == [3]

    async def test_statuses_stay(self, stage: Stage) -> None:
        """Of the others, on both sides of it."""
        ids = [(await stage.send(1, 2)).first_msg_id for _ in range(3)]
        await stage.read(2, 1, ids[1])
        await expire(stage, ids[1])
        assert await stage.statuses(1, 2) == {ids[0]: "READ", ids[2]: "UNREAD"}

    async def test_a_text_that_others_have_stays_for_them(self, stage: Stage) -> None:
        """It is one text of two messages."""
        first = (await stage.send(1, 2, 3)).first_msg_id
        await expire(stage, first)
        [entry] = await stage.entries(3)
        assert entry.message is not None
        assert entry.message.content == "hello"

    async def test_recalled_before_or_after(self, stage: Stage) -> None:
        """It is told as recalled, once."""
        first, second = [(await stage.send(1, 2)).first_msg_id for _ in range(2)]
        await stage.recall(first)
        await expire(stage, first, second)
        await stage.recall(second)
        told_now = [entry.message.gone for entry in await stage.entries(2) if entry.message]
        assert told_now == [Gone.RECALLED] * 2

    async def test_then_it_is_too_old(self, stage: Stage) -> None:
        """Retention takes it as any other."""
        await expire(stage, (await stage.send(1, 2, at=OLD)).first_msg_id)
        assert await sweep(stage) == 1
        assert await stage.entries(2) == []

    async def test_repeats_of_it(self, stage: Stage) -> None:
        """Its transaction is remembered as long as its place is there."""
        sent = await stage.send(1, 2, key="7", digest="d")
        await expire(stage, sent.first_msg_id)
        answer = await stage.append(stage.text(1, 2, key="7", digest="d"))
        assert answer == Repeated(sent.first_msg_id, sent.first_msg_id)


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(8))
async def test_whatever_was_there(stage: Stage, seed: int) -> None:
    """Of any store, page after page: what is left is what was there above the floors, and reads the same."""
    chance = random.Random(seed)
    users = [1, 2, 3, 4]
    groups = [await stage.group(1, 2, 3), await stage.group(2, 4)]
    for at in range(60):
        await act(stage, chance, users, groups, at)
    removed = 0
    for before in (20, 40, 61):
        pages = {xid: await stage.entries(xid) for xid in [*users, *groups]}
        seen = {(xid, other): await shown(stage, xid, other) for xid in users for other in [*users, *groups]}
        while (page := await stage.store.sweep(before, chance.randint(1, 7))).removed:
            assert stage.check() == []
            removed += page.removed
            for xid, entries in pages.items():
                check_floor(entries, await floor(stage, xid), page.swept_to)
                assert await stage.entries(xid) == [
                    entry for entry in entries if entry.seq > await floor(stage, xid)
                ]
            for pair, was in seen.items():
                assert await shown(stage, *pair) == [item for item in was if item[0] > page.swept_to]
        for _ in range(5):
            await act(stage, chance, users, groups, 60)
        assert stage.check() == []
    assert removed > 20


def check_floor(entries: list[Entry], floor: int, swept_to: int) -> None:
    """It is at the last of the messages that went, or below all."""
    gone = [entry.seq for entry in entries if entry.message and entry.message.msg_id <= swept_to]
    first = entries[0].seq if entries else 1
    assert floor == max(gone, default=first - 1 if entries else floor)


async def shown(stage: Stage, xid: int, other: int) -> list[tuple[int, str]]:
    party = await stage.party(other)
    found = await stage.store.history(await stage.user(xid), party, 0, 1000)
    if isinstance(found, Kind):
        return []
    return [(item.msg_id, item.status.name) for item in found.items]


async def some_id(stage: Stage, chance: random.Random) -> int:
    """The id of a message, or now and then of none."""
    ids = [msg_id for (msg_id,) in await stage.ask("SELECT msg_id FROM message ORDER BY msg_id")]
    return int(chance.choice([*ids, 1]))


async def act(stage: Stage, chance: random.Random, users: list[int], groups: list[int], at: int) -> None:
    """Something that users do."""
    one, other = chance.choice(users), chance.choice(users)
    group = chance.choice(groups)
    party = await stage.store.facts(stage.app.id, [group], one)
    inside = party[0] is not None and party[0].member
    match chance.randrange(10):
        case 0 | 1 | 2:
            await stage.append(stage.text(one, other, at=at, key=str(chance.randrange(1, 1000)), digest="d"))
        case 3:
            await stage.send(one, *users, at=at)
        case 4:
            await stage.say(one, group, at=at)
        case 5:
            # To one member of a group alone, and what is folded into an earlier message: refused where it does not fit.
            draft = await stage.group_text(one, group, at=at)
            directed = {"scope": Scope.USER, "targets": (other,), "group_xid": group, "copied": True}
            await stage.append(msgspec.structs.replace(draft, **directed))
            base = await stage.append(stage.text(one, other, at=at))
            if isinstance(base, Appended):
                expires_at = NOW * chance.randrange(2)
                folded = stage.text(
                    one, other, at=at, ctype=11, related=base.first_msg_id, expires_at=expires_at
                )
                await stage.append(folded)
        # An owner stays: 1 of the first group, 2 of the second.
        case 6 if one != groups.index(group) + 1:
            await stage.change(group, Action.LEFT if inside else Action.JOINED, one)
        case 7:
            await stage.append(RecallDraft(app=stage.app.id, msg_id=await some_id(stage, chance), at=at))
        case 8:
            await stage.read(one, other)
            await stage.delete(one, other)
        case _:
            await expire(stage, await some_id(stage, chance))
