"""Messages of a group that go to some of its members only."""

from __future__ import annotations

import pytest

from gateway.domain.drafts import Appended, Changed, RecallDraft, Refused, Stale
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import GroupSettings, SettingsDraft
from gateway.domain.model import Action, Entry, Gone, Message, Recalled, Status
from gateway.domain.positions import StatusChange
from tests.store.grouping import changed
from tests.store.stage import NOW, Stage


def messages(entries: list[Entry]) -> list[Message]:
    return [entry.message for entry in entries if entry.message]


@pytest.fixture
async def group(stage: Stage) -> int:
    return await stage.group(1, 2, 3, 4)


async def test_it_stands_with_its_receivers_and_its_sender(stage: Stage, group: int) -> None:
    """An entry and a message for each receiver, a copy of each for the sender, nothing for the group."""
    before = len(await stage.entries(group))
    sent = await stage.whisper(1, group, 2, 3)
    assert len(await stage.entries(group)) == before
    first = sent.first_msg_id
    for xid, ids in ((2, [first]), (3, [first + 1]), (1, [first, first + 1]), (4, [])):
        found = messages(await stage.entries(xid))
        assert [message.msg_id for message in found] == ids
        assert all(message.group_xid == group for message in found)
        assert all(message.conversation_for(xid) == group for message in found)
    assert len(sent.copies) == 2


async def test_one_to_oneself_is_one_entry(stage: Stage, group: int) -> None:
    """And one line of one's own history."""
    sent = await stage.whisper(1, group, 1)
    assert sent.copies == []
    assert await stage.shown(1, group) == [sent.first_msg_id]
    assert len(messages(await stage.entries(1))) == 1


async def test_history_shows_it_to_both_and_to_nobody_else(stage: Stage, group: int) -> None:
    """Between what all have, newest first, with the page cut where it should be."""
    one = (await stage.say(2, group)).first_msg_id
    two = (await stage.whisper(1, group, 2, 3)).first_msg_id
    three = (await stage.say(1, group)).first_msg_id
    four = (await stage.whisper(2, group, 1)).first_msg_id
    assert await stage.shown(1, group) == [four, three, two + 1, two, one]
    assert await stage.shown(2, group) == [four, three, two, one]
    assert await stage.shown(3, group) == [three, two + 1, one]
    assert await stage.shown(4, group) == [three, one]
    page = await stage.history(1, group, limit=2)
    assert page.next_msg_id == two + 1
    assert [i.msg_id for i in (await stage.history(1, group, page.next_msg_id, 2)).items] == [
        two + 1,
        two,
    ]
    assert await stage.shown(1, 2) == await stage.shown(2, 1) == []


async def test_it_counts_and_brings_its_group_up(stage: Stage, group: int) -> None:
    """For those who have it; a group whose only messages went to others is not listed."""
    assert await stage.recent(2) == []
    await stage.send(5, 2)
    await stage.whisper(1, group, 2)
    await stage.whisper(3, group, 2)
    assert [(r.conversation_xid, r.unread) for r in await stage.recent(2)] == [(group, 2), (5, 1)]
    assert [(r.conversation_xid, r.unread) for r in await stage.recent(1)] == [(group, 0)]
    assert [(r.conversation_xid, r.unread) for r in await stage.recent(2, group)] == [(group, 2)]
    assert await stage.recent(4) == []
    await stage.say(1, group)
    assert [(r.conversation_xid, r.unread) for r in await stage.recent(2)] == [(group, 3), (5, 1)]
    assert (await stage.read(2, group)).moved
    assert (await stage.recent(2))[0].unread == 0


async def test_read_reaches_the_newest_of_both(stage: Stage, group: int) -> None:
    """Up to what one has oneself, and no further."""
    said = (await stage.say(1, group)).first_msg_id
    sent = (await stage.whisper(1, group, 2)).first_msg_id
    assert (await stage.read(3, group, 4711)).msg_id == said
    assert (await stage.read(1, group)).msg_id == sent
    done = await stage.read(2, group)
    assert done.msg_id == sent
    assert done.changes == [StatusChange(await stage.id(1), group, sent, Status.READ, 2, 0)]


async def test_a_read_tells_each_sender_of_the_newest(stage: Stage, group: int) -> None:
    """Of what went to all and of what went to the reader, by one receipt for each sender."""
    await stage.whisper(1, group, 2)
    newest = (await stage.say(1, group)).first_msg_id
    other = (await stage.whisper(3, group, 2)).first_msg_id
    done = await stage.read(2, group)
    assert {(change.sender_id, change.msg_id) for change in done.changes} == {
        (await stage.id(1), newest),
        (await stage.id(3), other),
    }


async def test_status_is_the_receivers_own(stage: Stage, group: int) -> None:
    """DELIVERED by its user timeline, READ by its stay; what others have done counts for nothing."""
    first = (await stage.whisper(1, group, 2, 3)).first_msg_id
    assert await stage.statuses(1, group) == {first: "UNREAD", first + 1: "UNREAD"}
    seq = len(await stage.entries(2))
    assert await stage.ack(2, 2, seq) == [
        StatusChange(await stage.id(1), group, first, Status.DELIVERED, 2, 1)
    ]
    assert await stage.statuses(1, group) == {first: "DELIVERED", first + 1: "UNREAD"}
    assert await stage.statuses(2, group) == {first: "DELIVERED"}
    await stage.read(3, group)
    await stage.read(4, group)
    assert await stage.statuses(1, group) == {first: "DELIVERED", first + 1: "READ"}
    assert await stage.statuses(3, group) == {first + 1: "READ"}
    # READ before it was acked: the ack changes nothing more.
    assert await stage.ack(3, 3, len(await stage.entries(3))) == []


@pytest.mark.parametrize("last", ["to all", "to some"])
async def test_a_flush_tells_its_sender_once(stage: Stage, group: int, last: str) -> None:
    """However many get what of a group in one flush: the newest of what went to all, and of what went to some."""
    said = (await stage.say(1, group)).first_msg_id
    whispered = (await stage.whisper(1, group, 2, 3)).first_msg_id + 1
    if last == "to all":
        said = (await stage.say(1, group)).first_msg_id
    own = [await stage.acked(xid, xid, len(await stage.entries(xid))) for xid in (3, 2)]
    in_group = await stage.acked(4, group, len(await stage.entries(group)))
    changes = (await stage.store.advance([*own, in_group])).changes
    newest, by = (said, 4) if last == "to all" else (whispered, 3)
    assert changes == [StatusChange(await stage.id(1), group, newest, Status.DELIVERED, by, 1)]


async def test_what_goes_beside_it_is_told_by_itself(stage: Stage, group: int) -> None:
    """One ack of messages between users and of a group tells each conversation."""
    plain = (await stage.send(1, 2)).first_msg_id
    sent = (await stage.whisper(1, group, 2)).first_msg_id
    changes = await stage.ack(2, 2, len(await stage.entries(2)))
    assert {(change.conversation_xid, change.msg_id) for change in changes} == {(2, plain), (group, sent)}


async def test_a_deletion_hides_it(stage: Stage, group: int) -> None:
    """Up to the newest that one has, for the asker only."""
    sent = (await stage.whisper(1, group, 2)).first_msg_id
    answer = await stage.delete(2, group)
    assert isinstance(answer, Changed)
    assert [p.entry.deleted and p.entry.deleted.msg_id for p in answer.placed] == [sent]
    assert await stage.shown(2, group) == []
    assert await stage.recent(2) == []
    assert await stage.shown(1, group) == [sent]


async def test_a_recall_is_told_to_both(stage: Stage, group: int) -> None:
    """By the group's conversation, and its text is gone."""
    sent = (await stage.whisper(1, group, 2)).first_msg_id
    placed = (await stage.recall(sent)).placed
    assert [(p.owner_xid, p.entry.recalled) for p in placed] == [
        (xid, Recalled(conversation_xid=group, msg_id=sent)) for xid in (2, 1)
    ]
    assert messages(await stage.entries(2))[-1].gone is Gone.RECALLED
    assert await stage.shown(1, group) == await stage.shown(2, group) == []


async def test_a_recall_moves_no_row(stage: Stage, group: int) -> None:
    """A recent list keeps its order."""
    await stage.whisper(1, group, 2)
    await stage.whisper(1, group, 2)
    await stage.send(5, 2)
    await stage.recall((await stage.whisper(1, group, 2)).first_msg_id)
    assert [r.conversation_xid for r in await stage.recent(2)] == [group, 5]


async def test_every_receiver_is_a_member(stage: Stage, group: int) -> None:
    """Else the whole draft is refused, and names who is not."""
    await stage.user(9)
    for stranger in (9, 4711):
        answer = await stage.append(await stage.directed(1, group, 2, stranger))
        assert answer == Refused(Kind.NOT_A_MEMBER, f"targets: {stranger} is not a member of group {group}")
    await stage.kick(group, 3)
    assert isinstance(await stage.append(await stage.directed(1, group, 2, 3)), Refused)
    assert await stage.shown(1, group) == []


async def test_a_draft_judged_by_old_facts_is_stale(stage: Stage, group: int) -> None:
    """A kick between judging and the commit makes it so, in the batch too."""
    draft = await stage.directed(2, group, 1)
    kick = await stage.membership(group, Action.KICKED, 2)
    assert [type(answer).__name__ for answer in await stage.store.append([draft, kick, draft])] == [
        "Appended",
        "Changed",
        "Stale",
    ]
    assert await stage.append(draft) == Stale()


async def test_to_what_is_no_group(stage: Stage) -> None:
    """A user's id or nobody's is no group."""
    await stage.users(1, 2)
    for xid in (2, 4711):
        answer = await stage.append(stage.text(1, 2, group_xid=xid, judged=(0,)))
        assert answer == Refused(Kind.GROUP_UNKNOWN, f"targets: there is no group {xid}")


async def test_nothing_of_an_earlier_stay_is_seen(stage: Stage, group: int) -> None:
    """Who comes back begins after what it had; what it had read keeps its status."""
    read, unread = [(await stage.whisper(1, group, 2)).first_msg_id for _ in range(2)]
    await stage.read(2, group, read)
    await stage.kick(group, 2)
    await stage.join(group, 2)
    assert await stage.shown(2, group) == []
    assert await stage.recent(2) == []
    assert await stage.statuses(1, group) == {read: "READ", unread: "UNREAD"}
    await stage.read(2, group)
    assert await stage.statuses(1, group) == {read: "READ", unread: "UNREAD"}
    later = (await stage.whisper(1, group, 2)).first_msg_id
    assert await stage.shown(2, group) == [later]
    await stage.kick(group, 1)
    await stage.join(group, 1)
    assert await stage.shown(1, group) == []


async def test_what_is_folded_in(stage: Stage, group: int) -> None:
    """To the same member, in the same group, of the same sender."""
    first = (await stage.whisper(1, group, 2, 3)).first_msg_id
    more = await stage.whisper(1, group, 2, ctype=11, related=first)
    assert messages(await stage.entries(2))[-1].related == first
    assert await stage.shown(2, group) == [first]
    drafts = [
        await stage.directed(1, group, 3, ctype=11, related=first),
        stage.text(1, 2, ctype=11, related=first),
        await stage.group_text(1, group, ctype=11, related=first),
        await stage.directed(2, group, 1, ctype=11, related=first),
    ]
    kinds = [answer.kind for answer in await stage.store.append(drafts) if isinstance(answer, Refused)]
    assert kinds == [Kind.MESSAGE_UNKNOWN] * 3 + [Kind.FORBIDDEN]
    await stage.recall(first)
    found = await stage.store.message(stage.app.id, more.first_msg_id)
    assert found is not None
    assert found.gone is Gone.RECALLED


async def test_a_recall_judged_by_old_facts_is_stale(stage: Stage, group: int) -> None:
    """Of a group's message and of one to some of it; between users no facts are asked."""
    said = (await stage.say(2, group)).first_msg_id
    sent = (await stage.whisper(2, group, 1)).first_msg_id
    judged = (await stage.facts(group, 2)).version
    await stage.kick(group, 2)
    for msg_id in (said, sent):
        draft = RecallDraft(app=stage.app.id, msg_id=msg_id, at=NOW, judged=judged)
        assert await stage.append(draft) == Stale()
        found = await stage.store.message(stage.app.id, msg_id)
        assert found is not None
        assert found.gone is None
        fresh = RecallDraft(app=stage.app.id, msg_id=msg_id, at=NOW, judged=judged + 1)
        assert isinstance(await stage.append(fresh), Changed)


async def test_a_page_holds_what_was_told(stage: Stage, group: int) -> None:
    """What is read later says what it was: to whom, in which group."""
    sent = await stage.append(await stage.directed(1, group, 2, content="psst"))
    assert isinstance(sent, Appended)
    [found] = messages(await stage.entries(2))
    assert (found.target_xid, found.group_xid, found.content, found.sender_xid) == (2, group, "psst", 1)


@pytest.mark.parametrize("back", [1, 2])
async def test_coming_back_to_a_visible_history_reads_nothing(stage: Stage, back: int) -> None:
    """What came in an earlier stay and was not read then stays unread for its sender, however often one comes back."""
    group = await stage.group(1, 2)
    shows = GroupSettings(history_visible=True)
    assert await changed(stage, group, SettingsDraft, settings=shows) == {}
    early = (await stage.whisper(1, group, 2)).first_msg_id
    for _ in range(back):
        await stage.kick(group, 2)
        await stage.say(1, group)
        await stage.join(group, 2)
    late = (await stage.whisper(1, group, 2)).first_msg_id
    statuses = await stage.statuses(1, group)
    assert (statuses[early], statuses[late]) == ("UNREAD", "UNREAD")
    await stage.read(2, group)
    statuses = await stage.statuses(1, group)
    assert (statuses[early], statuses[late]) == ("UNREAD", "READ")
