"""Appending messages: what gets an entry, at which seq, under which id, and what is refused."""

from __future__ import annotations

from typing import Any

from gateway.domain.drafts import Appended, RecallDraft, Refused, Stale
from gateway.domain.errors import Kind
from gateway.domain.model import GIVEN_XID_FIRST, Action, Entry, EntryKind, Message, Scope
from gateway.store.base import Store
from tests.store.stage import NOW, Stage


def message_of(entry: Entry) -> Message:
    assert entry.message is not None
    return entry.message


async def test_a_message_to_a_user_stands_in_both_timelines(stage: Stage) -> None:
    """The receiver gets an entry, and so do the sender's own devices."""
    sent = await stage.send(1, 2)
    assert sent.received == [(await stage.id(2), 1)]
    assert (sent.sender_id, sent.copies) == (await stage.id(1), [1])
    for xid in (1, 2):
        [entry] = await stage.entries(xid)
        assert (entry.kind, message_of(entry).msg_id) == (EntryKind.MESSAGE, sent.first_msg_id)


async def test_a_message_keeps_all_it_was_given(stage: Stage) -> None:
    """What is read is what was sent, byte for byte."""
    told: dict[str, Any] = {
        "sender_sn": 7,
        "ctype": 1,
        "content": 'ü "\\ \x01 𝄞',
        "attachment": '{"url": "x"}',
        "config": "c",
        "ext": "e",
        "at": NOW + 5,
    }
    sent = await stage.send(1, 2, **told)
    [entry] = await stage.entries(2)
    assert message_of(entry) == Message(
        msg_id=sent.first_msg_id, scope=Scope.USER, sender_xid=1, target_xid=2, seq=1, **told
    )


async def test_numbers_in_texts_stay_texts(stage: Stage) -> None:
    """A text that looks like a number or like JSON comes back as it went in."""
    for content in ("12", "1e3", "null", "[1]", '"x"', "007"):
        await stage.send(1, 2, content=content)
    assert [message_of(e).content for e in await stage.entries(2)] == [
        "12",
        "1e3",
        "null",
        "[1]",
        '"x"',
        "007",
    ]


async def test_a_message_to_oneself_is_one_entry(stage: Stage) -> None:
    """There is no second copy of what one sends to oneself."""
    sent = await stage.send(1, 1)
    assert sent.copies == []
    assert [entry.seq for entry in await stage.entries(1)] == [1]


async def test_among_several_targets_oneself_gets_no_copy(stage: Stage) -> None:
    """The sender's copies skip the message to the sender, and seqs stay dense."""
    sent = await stage.send(1, 2, 1, 3)
    assert [seq for _, seq in sent.received] == [1, 2, 1]
    assert sent.copies == [1, 3]
    told = [message_of(entry).target_xid for entry in await stage.entries(1)]
    assert told == [2, 1, 3]


async def test_seqs_are_dense_in_batch_order(stage: Stage) -> None:
    """Several drafts of one timeline in a batch are numbered in the order they came."""
    batch = [stage.text(1 + index % 3, 9, content=str(index)) for index in range(12)]
    await stage.store.append(batch[:5])
    await stage.store.append(batch[5:])
    entries = await stage.entries(9)
    assert [entry.seq for entry in entries] == list(range(1, 13))
    assert [message_of(entry).content for entry in entries] == [str(index) for index in range(12)]


async def test_ids_rise_in_batch_order(stage: Stage) -> None:
    """Each draft takes as many ids as it has targets, one after the other."""
    answers = await stage.store.append([stage.text(1, 2), stage.text(2, 1, 3, 4), stage.text(1, 2)])
    firsts = [answer.first_msg_id for answer in answers if isinstance(answer, Appended)]
    assert firsts == [firsts[0], firsts[0] + 1, firsts[0] + 4]


async def test_ids_go_on_after_a_restart(stage: Stage) -> None:
    """Neither ids nor seqs start over."""
    before = await stage.send(1, 2)
    await stage.restart()
    after = await stage.send(1, 2)
    assert after.first_msg_id > before.first_msg_id
    assert after.received[0][1] == 2


async def test_an_empty_batch_is_answered_by_nothing(store: Store) -> None:
    """No drafts, no answers."""
    assert await store.append([]) == []


async def test_users_come_into_being_when_they_are_named(stage: Stage) -> None:
    """In an open app a send makes its sender and its targets."""
    assert await stage.store.user(stage.app.id, 5) is Kind.USER_UNKNOWN
    await stage.send(5, 6)
    for xid in (5, 6):
        found = await stage.store.user(stage.app.id, xid)
        assert not isinstance(found, Kind)
        assert (found.xid, found.name, found.password) == (xid, "", "")


async def test_new_users_of_one_batch_are_made_once(stage: Stage) -> None:
    """Two drafts of a batch that name the same new user mean the same one."""
    answers = await stage.store.append([stage.text(1, 2), stage.text(2, 1), stage.text(3, 2)])
    assert all(isinstance(answer, Appended) for answer in answers)
    assert len(await stage.entries(2)) == 3


async def test_a_registered_app_makes_no_users(stage: Stage) -> None:
    """Where users have to register, unknown ones are refused by name, and nothing is made."""
    await stage.user(1)
    unknown_target = await stage.append(stage.text(1, 1, 2, create=False))
    unknown_sender = await stage.append(stage.text(3, 1, create=False))
    assert unknown_target == Refused(Kind.USER_UNKNOWN, "targets: there is no user 2")
    assert unknown_sender == Refused(Kind.USER_UNKNOWN, "from_user_id: there is no user 3")
    assert await stage.store.party(stage.app.id, 2) is None
    assert await stage.entries(1) == []


async def test_one_refused_target_refuses_the_whole_draft(stage: Stage) -> None:
    """A draft is done for all its targets or for none."""
    await stage.users(1, 2)
    assert isinstance(await stage.append(stage.text(1, 2, 9, create=False)), Refused)
    assert await stage.entries(2) == []


async def test_a_refused_draft_disturbs_no_neighbour(stage: Stage) -> None:
    """Its neighbours in the batch are committed, without a hole in seqs."""
    await stage.users(1, 2)
    good = stage.text(1, 2)
    answers = await stage.store.append([good, stage.text(1, 9, create=False), good])
    assert [type(answer) for answer in answers] == [Appended, Refused, Appended]
    sent = [answer.first_msg_id for answer in answers if isinstance(answer, Appended)]
    assert [message_of(entry).msg_id for entry in await stage.entries(2)] == sent


async def test_a_group_is_not_a_user(stage: Stage) -> None:
    """Users and groups share one space of ids; the wrong kind is refused as such."""
    group = await stage.group(1)
    to_group = await stage.append(stage.text(1, group))
    from_group = await stage.append(stage.text(group, 1))
    assert to_group == Refused(Kind.BAD_PARAMETER, f"targets: {group} is a group, not a user")
    assert from_group == Refused(Kind.BAD_PARAMETER, f"from_user_id: {group} is a group, not a user")


async def test_a_user_is_not_a_group(stage: Stage) -> None:
    """A send to groups that names a user, or nobody, finds no such group."""
    await stage.user(2)
    for xid in (2, 3):
        answer = await stage.append(stage.text(1, xid, scope=Scope.GROUP, judged=(0,)))
        assert answer == Refused(Kind.GROUP_UNKNOWN, f"targets: there is no group {xid}")


async def test_a_message_to_a_group_is_one_entry(stage: Stage) -> None:
    """Whatever the size of the group, the message stands once, in the group's timeline."""
    group = await stage.group(1, 2, 3)
    sent = await stage.say(1, group)
    assert sent.received == [(await stage.id(group), 2)]
    assert sent.copies == []
    assert [len(await stage.entries(xid)) for xid in (group, 1, 2, 3)] == [2, 1, 1, 1]


async def test_a_draft_judged_by_older_facts_is_stale(stage: Stage) -> None:
    """Once who is in the group has changed, the draft is to be judged again, and adds nothing."""
    group = await stage.group(1, 2)
    draft = await stage.group_text(2, group)
    await stage.kick(group, 2)
    assert await stage.append(draft) == Stale()
    assert len(await stage.entries(group)) == 2


async def test_one_stale_group_holds_back_the_whole_draft(stage: Stage) -> None:
    """A draft to two groups, one of which changed, goes to none."""
    first, second = await stage.group(1, 2), await stage.group(1)
    draft = await stage.group_text(1, first, second)
    await stage.join(second, 3)
    assert await stage.append(draft) == Stale()
    assert len(await stage.entries(first)) == 1


async def test_a_stale_draft_of_a_batch_leaves_its_neighbours(stage: Stage) -> None:
    """A membership change earlier in the same batch is one that counts."""
    group = await stage.group(1, 2)
    before, change = await stage.group_text(2, group), await stage.membership(group, Action.KICKED, 2)
    answers = await stage.store.append([before, change, before, stage.text(1, 2)])
    assert [type(answer).__name__ for answer in answers] == ["Appended", "Changed", "Stale", "Appended"]


async def test_changes_between_messages_keep_the_order_of_the_batch(stage: Stage) -> None:
    """A recall in the middle of a batch stands in the middle of the timeline."""
    first = (await stage.send(1, 2)).first_msg_id
    recall = RecallDraft(app=stage.app.id, msg_id=first, at=NOW)
    await stage.store.append([stage.text(1, 2), recall, stage.text(1, 2)])
    kinds = [entry.kind.name for entry in await stage.entries(2)]
    assert kinds == ["MESSAGE", "MESSAGE", "RECALLED", "MESSAGE"]


async def test_a_text_for_many_targets_is_each_targets_own_message(stage: Stage) -> None:
    """Every target has a message with an id and a seq of its own, and the same text."""
    sent = await stage.send(1, 2, 3, 4, content="to all")
    for index, xid in enumerate((2, 3, 4)):
        [entry] = await stage.entries(xid)
        found = message_of(entry)
        assert (found.msg_id, found.content) == (sent.first_msg_id + index, "to all")
        assert found.target_xid == xid


async def test_a_notice_stands_with_its_receiver_only(stage: Stage) -> None:
    """A notice gives its sender no copy and is marked as one."""
    sent = await stage.send(1, 2, notice=True, copied=False)
    assert sent.copies == []
    [entry] = await stage.entries(2)
    assert message_of(entry).notice
    assert await stage.entries(1) == []


async def test_system_sends_without_copies(stage: Stage) -> None:
    """The reserved user has no timeline to read, so nothing is put into it."""
    sent = await stage.send(stage.app.system_xid, 2, copied=False)
    assert sent.copies == []
    assert not message_of((await stage.entries(2))[0]).notice
    assert await stage.entries(stage.app.system_xid) == []


async def test_ids_of_the_server_skip_taken_ones(stage: Stage) -> None:
    """A user who took an id of the server's range by being named keeps it."""
    taken = GIVEN_XID_FIRST + 1
    await stage.send(1, taken)
    assert await stage.group(1) == taken + 1


async def test_a_message_is_found_by_its_id(stage: Stage) -> None:
    """In its app, under its id; an id that was never given finds nothing."""
    sent = await stage.send(1, 2, content="here")
    found = await stage.store.message(stage.app.id, sent.first_msg_id)
    assert found is not None
    assert (found.content, found.seq) == ("here", 1)
    assert await stage.store.message(stage.app.id, sent.first_msg_id + 1) is None
    assert await stage.store.message(stage.app.id + 1, sent.first_msg_id) is None


async def test_a_message_to_nobody_is_refused(stage: Stage) -> None:
    """It leaves nothing behind, not its key either, and its neighbours are not touched."""
    group = await stage.group(1, 2)
    first = await stage.send(1, 2)
    to_nobody = [
        stage.text(1, key="k", digest="d"),
        stage.text(1, related=first.first_msg_id),
        await stage.directed(1, group),
    ]
    answers = await stage.store.append([stage.text(1, 2), *to_nobody, stage.text(1, 2, key="k", digest="d")])
    assert answers[1:-1] == [Refused(Kind.BAD_PARAMETER, "targets: nobody is named")] * 3
    assert isinstance(answers[0], Appended)
    assert isinstance(answers[-1], Appended)
