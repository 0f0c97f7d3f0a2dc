"""Taking messages back, and hiding conversations."""

from __future__ import annotations

from gateway.domain.drafts import Appended, Changed, RecallDraft, Refused
from gateway.domain.errors import Kind
from gateway.domain.model import Deleted, EntryKind, Gone, Recalled, Scope
from tests.store.stage import NOW, Stage


async def test_a_recall_is_an_entry_in_both_timelines(stage: Stage) -> None:
    """Receiver and sender are told, each at the next seq of the own timeline."""
    sent = await stage.send(1, 2)
    await stage.send(3, 2)
    placed = (await stage.recall(sent.first_msg_id)).placed
    told = [(p.timeline_id, p.scope, p.owner_xid, p.entry.seq, p.entry.kind) for p in placed]
    assert told == [
        (await stage.id(2), Scope.USER, 2, 3, EntryKind.RECALLED),
        (await stage.id(1), Scope.USER, 1, 2, EntryKind.RECALLED),
    ]
    for xid, seq, opposite in ((2, 3, 1), (1, 2, 2)):
        entry = (await stage.entries(xid))[seq - 1]
        assert entry.kind is EntryKind.RECALLED
        assert entry.recalled == Recalled(conversation_xid=opposite, msg_id=sent.first_msg_id)


async def test_what_a_recall_answers_is_what_is_read(stage: Stage) -> None:
    """The entries of the answer are those a page gives."""
    sent = await stage.send(1, 2, content="secret")
    placed = (await stage.recall(sent.first_msg_id)).placed
    assert [placed[0].entry] == (await stage.entries(2))[1:]
    assert [placed[1].entry] == (await stage.entries(1))[1:]


async def test_a_recalled_text_never_leaves_again(stage: Stage) -> None:
    """Neither by the message's entry nor by its id: all four strings are empty."""
    sent = await stage.send(1, 2, content="a", attachment="b", config="c", ext="d")
    await stage.recall(sent.first_msg_id)
    found = await stage.store.message(stage.app.id, sent.first_msg_id)
    for message in (found, (await stage.entries(2))[0].message, (await stage.entries(1))[0].message):
        assert message is not None
        assert message.gone is Gone.RECALLED
        assert (message.content, message.attachment, message.config, message.ext) == ("", "", "", "")


async def test_a_second_recall_changes_nothing(stage: Stage) -> None:
    """Also in the same batch, and no second entry is told."""
    sent = await stage.send(1, 2)
    draft = RecallDraft(app=stage.app.id, msg_id=sent.first_msg_id, at=NOW)
    first, second = await stage.store.append([draft, draft])
    assert isinstance(first, Changed)
    assert second == Changed([])
    assert await stage.append(draft) == Changed([])
    assert len(await stage.entries(2)) == 2


async def test_the_other_targets_keep_their_text(stage: Stage) -> None:
    """A recall of one target's message leaves the text for the others, until the last is recalled."""
    sent = await stage.send(1, 2, 3, content="kept")
    await stage.recall(sent.first_msg_id)
    other = await stage.store.message(stage.app.id, sent.first_msg_id + 1)
    assert other is not None
    assert other.content == "kept"
    await stage.recall(sent.first_msg_id + 1)
    last = await stage.store.message(stage.app.id, sent.first_msg_id + 1)
    assert last is not None
    assert last.content == ""


async def test_a_recall_in_the_batch_of_its_message(stage: Stage) -> None:
    """A message may be recalled by a later draft of the batch that sends it."""
    first, second = [(await stage.send(1, 2)).first_msg_id for _ in range(2)]
    # How far the ids of two batches lie apart is the engine's.
    recall = RecallDraft(app=stage.app.id, msg_id=second + (second - first), at=NOW)
    answers = await stage.store.append([stage.text(1, 2), recall])
    assert isinstance(answers[1], Changed)
    assert len(answers[1].placed) == 2


async def test_a_recall_in_a_group_is_one_entry(stage: Stage) -> None:
    """It stands in the group's timeline alone."""
    group = await stage.group(1, 2)
    sent = await stage.say(1, group)
    [placed] = (await stage.recall(sent.first_msg_id)).placed
    assert (placed.timeline_id, placed.scope, placed.entry.seq) == (await stage.id(group), Scope.GROUP, 3)


async def test_a_recalled_notice_is_told_to_its_receiver_only(stage: Stage) -> None:
    """Who got no copy of the message gets no entry of its recall."""
    sent = await stage.send(1, 2, notice=True, copied=False)
    [placed] = (await stage.recall(sent.first_msg_id)).placed
    assert placed.owner_xid == 2
    assert await stage.entries(1) == []


async def test_a_message_to_oneself_is_recalled_by_one_entry(stage: Stage) -> None:
    """Its timeline is told once."""
    sent = await stage.send(1, 1)
    assert len((await stage.recall(sent.first_msg_id)).placed) == 1


async def test_an_unknown_message_cannot_be_recalled(stage: Stage) -> None:
    """Nor one of another app."""
    sent = await stage.send(1, 2)
    for app, msg_id in ((stage.app.id, sent.first_msg_id + 1), (stage.app.id + 1, sent.first_msg_id)):
        answer = await stage.append(RecallDraft(app=app, msg_id=msg_id, at=NOW))
        assert answer == Refused(Kind.MESSAGE_UNKNOWN, f"there is no message {msg_id}")
    assert len(await stage.entries(2)) == 1


async def test_a_deletion_is_told_in_the_users_own_timeline(stage: Stage) -> None:
    """It names the conversation and its newest message, and only the asker hears of it."""
    await stage.send(1, 2)
    newest = (await stage.send(2, 1)).first_msg_id
    answer = await stage.delete(2, 1)
    assert isinstance(answer, Changed)
    [placed] = answer.placed
    assert placed.entry.deleted == Deleted(conversation_xid=1, msg_id=newest)
    assert [placed.entry] == (await stage.entries(2))[2:]
    assert len(await stage.entries(1)) == 2


async def test_a_deletion_hides_for_the_asker_only(stage: Stage) -> None:
    """The other party still sees everything; what comes later is seen by both."""
    before = (await stage.send(1, 2)).first_msg_id
    await stage.delete(2, 1)
    assert await stage.shown(2, 1) == []
    assert await stage.shown(1, 2) == [before]
    after = (await stage.send(1, 2)).first_msg_id
    assert await stage.shown(2, 1) == [after]


async def test_a_deletion_marks_nothing_read(stage: Stage) -> None:
    """The sender's status stays as it was."""
    sent = await stage.send(1, 2)
    await stage.delete(2, 1)
    assert await stage.statuses(1, 2) == {sent.first_msg_id: "UNREAD"}


async def test_a_deletion_of_nothing_changes_nothing(stage: Stage) -> None:
    """Without a conversation, and again without anything new, there is no entry."""
    await stage.users(1, 2)
    assert await stage.delete(2, 1) == Changed([])
    await stage.send(1, 2)
    await stage.delete(2, 1)
    assert await stage.delete(2, 1) == Changed([])
    assert len(await stage.entries(2)) == 2


async def test_a_deletion_sees_the_messages_of_its_batch(stage: Stage) -> None:
    """It hides everything up to the newest at commit."""
    await stage.users(1, 2)
    deletion = await stage.deletion(2, 1)
    first, _, last = await stage.store.append([stage.text(1, 2), deletion, stage.text(1, 2)])
    assert isinstance(first, Appended)
    assert isinstance(last, Appended)
    assert await stage.shown(2, 1) == [last.first_msg_id]


async def test_a_groups_conversation_is_deleted_for_one_member(stage: Stage) -> None:
    """The other members see it as before, and the entry stands in the asker's own timeline."""
    group = await stage.group(1, 2, 3)
    sent = await stage.say(1, group)
    answer = await stage.delete(2, group)
    assert isinstance(answer, Changed)
    assert [(p.owner_xid, p.entry.deleted) for p in answer.placed] == [
        (2, Deleted(conversation_xid=group, msg_id=sent.first_msg_id))
    ]
    assert await stage.shown(2, group) == []
    assert await stage.shown(3, group) == [sent.first_msg_id]
    assert await stage.delete(2, group) == Changed([])


async def test_a_group_one_is_not_in_cannot_be_deleted(stage: Stage) -> None:
    """There is no stay whose position could move."""
    group = await stage.group(1)
    await stage.user(2)
    assert await stage.delete(2, group) == Refused(Kind.NOT_A_MEMBER, f"not a member of group {group}")
