"""Messages that append to another one or replace it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.drafts import Appended, RecallDraft, Refused, Repeated
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import EntryKind, Gone, Recalled
from tests.store.stage import NOW, Stage

APPEND: dict[str, Any] = {"ctype": 11, "content": "more"}


async def refusal(stage: Stage, sender: int, target: int, related: int, **members: Any) -> Kind:
    """How an append is refused; it leaves no trace."""
    before = len(await stage.entries(target))
    answer = await stage.append(stage.text(sender, target, **{**APPEND, "related": related, **members}))
    assert isinstance(answer, Refused), answer
    assert answer.sentence.startswith("related_mid: ")
    assert len(await stage.entries(target)) == before
    return answer.kind


@pytest.mark.parametrize("ctype", [11, 12])
async def test_it_is_an_entry_like_any_other(stage: Stage, ctype: int) -> None:
    """In both timelines, with the id of what it relates to; a page of history has only that."""
    first = (await stage.send(1, 2)).first_msg_id
    sent = await stage.send(1, 2, ctype=ctype, content="more", related=first)
    for xid in (1, 2):
        message = (await stage.entries(xid))[1].message
        assert message is not None
        assert (message.msg_id, message.ctype, message.related) == (sent.first_msg_id, ctype, first)
        assert message.content == "more"
        assert await stage.shown(xid, 3 - xid) == [first]


async def test_it_is_not_counted(stage: Stage) -> None:
    """Neither as unread nor as something to list; the conversation's order knows it as its newest."""
    first = (await stage.send(1, 2)).first_msg_id
    await stage.send(3, 2)
    await stage.send(1, 2, **APPEND, related=first)
    assert [(one.conversation_xid, one.unread) for one in await stage.recent(2)] == [(1, 1), (3, 1)]
    group = await stage.group(1, 2)
    first = (await stage.say(1, group)).first_msg_id
    await stage.say(1, group, **APPEND, related=first)
    assert (await stage.recent(2))[0].unread == 1
    assert await stage.shown(2, group) == [first]


async def test_nobody_is_told_of_its_status(stage: Stage) -> None:
    """An ack or a READ of it makes no receipt; the message it relates to was told of before."""
    group = await stage.group(1, 2)
    first, in_group = (await stage.send(1, 2)).first_msg_id, (await stage.say(1, group)).first_msg_id
    await stage.ack(2, 2, 2)
    await stage.ack(2, group, 2)
    await stage.read(2, 1)
    await stage.read(2, group)
    await stage.send(1, 2, **APPEND, related=first)
    await stage.say(1, group, **APPEND, related=in_group)
    assert await stage.ack(2, 2, 3) == await stage.ack(2, group, 3) == []
    assert (await stage.read(2, 1)).changes == (await stage.read(2, group)).changes == []


async def test_only_to_ones_own_message_of_the_same_conversation(stage: Stage) -> None:
    """What is elsewhere is not there, and what is another's is said to be."""
    group, other = await stage.group(1, 2, 3), await stage.group(1)
    mine, theirs = (await stage.send(1, 2)).first_msg_id, (await stage.send(2, 1)).first_msg_id
    to_group, by_other = (await stage.say(1, group)).first_msg_id, (await stage.say(2, group)).first_msg_id
    assert await refusal(stage, 1, 2, 4711) is Kind.MESSAGE_UNKNOWN
    assert await refusal(stage, 1, 3, mine) is Kind.MESSAGE_UNKNOWN
    assert await refusal(stage, 3, 2, mine) is Kind.MESSAGE_UNKNOWN
    assert await refusal(stage, 1, 2, to_group) is Kind.MESSAGE_UNKNOWN
    assert await refusal(stage, 1, 2, theirs) is Kind.FORBIDDEN
    for target, related, kind in (
        (group, mine, Kind.MESSAGE_UNKNOWN),
        (other, to_group, Kind.MESSAGE_UNKNOWN),
        (group, by_other, Kind.FORBIDDEN),
    ):
        answer = await stage.append(await stage.group_text(1, target, **APPEND, related=related))
        assert isinstance(answer, Refused)
        assert answer.kind is kind


async def test_nobody_relates_to_anything_before_being_there(stage: Stage) -> None:
    """A sender or target that is not there yet has no message, and is not made by the refusal."""
    first = (await stage.send(1, 2)).first_msg_id
    for sender, target in ((77, 2), (1, 78)):
        draft = stage.text(sender, target, **APPEND, related=first)
        answer = await stage.append(draft)
        assert isinstance(answer, Refused)
        assert answer.kind is Kind.MESSAGE_UNKNOWN
    assert await stage.store.parties(stage.app.id, [77, 78]) == [None, None]


async def test_of_another_app(stage: Stage) -> None:
    """The same users of another app have a conversation of their own."""
    first = (await stage.send(1, 2)).first_msg_id
    other = await stage.store.create_app("other", "k", b"x" * 64, registered=False, at=NOW)
    assert other is not None
    assert isinstance(await stage.append(stage.text(1, 2, app=other.id)), Appended)
    answer = await stage.append(stage.text(1, 2, app=other.id, **APPEND, related=first))
    assert isinstance(answer, Refused)
    assert answer.kind is Kind.MESSAGE_UNKNOWN


async def test_not_to_what_is_gone_or_folded(stage: Stage) -> None:
    """Nor to what is sent in the same batch: nobody can know its id."""
    first = (await stage.send(1, 2)).first_msg_id
    folded = (await stage.send(1, 2, **APPEND, related=first)).first_msg_id
    assert await refusal(stage, 1, 2, folded) is Kind.MESSAGE_UNKNOWN
    await stage.recall(first)
    assert await refusal(stage, 1, 2, first) is Kind.MESSAGE_UNKNOWN
    drafts = [stage.text(1, 2), stage.text(1, 2, **APPEND, related=folded + 1)]
    appended, refused = await stage.store.append(drafts)
    assert isinstance(appended, Appended)
    assert isinstance(refused, Refused)


async def test_a_bounded_number(stage: Stage) -> None:
    """`related_max` for each, counted in the batch too."""
    await stage.restart(Limits(related_max=3))
    first, second = (await stage.send(1, 2)).first_msg_id, (await stage.send(1, 2)).first_msg_id
    await stage.send(1, 2, **APPEND, related=first)
    draft = stage.text(1, 2, **APPEND, related=first)
    answers = await stage.store.append([draft, draft, draft, stage.text(1, 2, **APPEND, related=second)])
    assert [type(answer).__name__ for answer in answers] == ["Appended", "Appended", "Refused", "Appended"]
    assert await refusal(stage, 1, 2, first) is Kind.BAD_PARAMETER


async def test_a_transaction_key_works_as_ever(stage: Stage) -> None:
    """A repeat gets the first answer, also where it would be refused today."""
    first = (await stage.send(1, 2)).first_msg_id
    draft = stage.text(1, 2, **APPEND, related=first, key="k", digest="d")
    sent = await stage.append(draft)
    assert isinstance(sent, Appended)
    await stage.recall(first)
    assert await stage.append(draft) == Repeated(sent.first_msg_id, sent.first_msg_id)


async def test_a_recall_takes_all_with_it(stage: Stage) -> None:
    """What was folded in is wiped in the same commit, and its entries say so; nothing more is told."""
    group = await stage.group(1, 2)
    for target in (2, group):
        sent = await (stage.say(1, group) if target == group else stage.send(1, 2))
        first = sent.first_msg_id
        ids = [first]
        for _ in range(3):
            draft = stage.text(1, 2, **APPEND, related=first)
            if target == group:
                draft = await stage.group_text(1, group, **APPEND, related=first)
            answer = await stage.append(draft)
            assert isinstance(answer, Appended)
            ids.append(answer.first_msg_id)
        before = len(await stage.entries(target))
        await stage.recall(first)
        entries = await stage.entries(target)
        told = [entry.message.gone for entry in entries if entry.message and entry.message.msg_id >= first]
        assert told == [Gone.RECALLED] * 4
        assert len(entries) == before + 1
        assert entries[-1].recalled == Recalled(conversation_xid=1 if target == 2 else group, msg_id=first)
        for msg_id in ids:
            found = await stage.store.message(stage.app.id, msg_id)
            assert found is not None
            assert (found.content, found.gone) == ("", Gone.RECALLED)


async def test_it_may_be_recalled_by_itself(stage: Stage) -> None:
    """What it was folded into stays; a recall of that one afterwards is whole."""
    first = (await stage.send(1, 2)).first_msg_id
    folded = (await stage.send(1, 2, **APPEND, related=first)).first_msg_id
    await stage.recall(folded)
    assert await stage.shown(2, 1) == [first]
    assert (await stage.entries(2))[-1].recalled == Recalled(conversation_xid=1, msg_id=folded)
    await stage.recall(first)
    assert await stage.shown(2, 1) == []


async def test_a_recall_in_the_batch_of_an_append(stage: Stage) -> None:
    """Before it the append is refused; after it the append is wiped."""
    first = (await stage.send(1, 2)).first_msg_id
    recall = RecallDraft(app=stage.app.id, msg_id=first, at=NOW)
    draft = stage.text(1, 2, **APPEND, related=first)
    answers = await stage.store.append([draft, recall, draft])
    assert [type(answer).__name__ for answer in answers] == ["Appended", "Changed", "Refused"]
    kinds = [entry.kind for entry in await stage.entries(2)]
    assert kinds == [EntryKind.MESSAGE, EntryKind.MESSAGE, EntryKind.RECALLED]


async def test_it_lives_no_longer_than_what_it_is_folded_into(stage: Stage) -> None:
    """The text that a message replaces with goes when the message would have."""
    day = 24 * 3600 * 1000
    for base, own, expected in ((0, 0, 0), (day, 0, day), (0, day, day), (day, 2 * day, day), (day, 5, 5)):
        first = (await stage.send(1, 2, expires_at=base)).first_msg_id
        sent = await stage.send(1, 2, **APPEND, related=first, expires_at=own)
        for msg_id, expires_at in ((first, base), (sent.first_msg_id, expected)):
            found = await stage.store.message(stage.app.id, msg_id)
            assert found is not None
            assert found.expires_at == expires_at


async def test_each_target_keeps_when_it_expires(stage: Stage) -> None:
    """Every message of a draft has its time."""
    sent = await stage.send(1, 2, 3, expires_at=NOW + 5)
    for msg_id in (sent.first_msg_id, sent.first_msg_id + 1):
        found = await stage.store.message(stage.app.id, msg_id)
        assert found is not None
        assert (found.expires_at, found.related) == (NOW + 5, 0)
    assert await stage.shown(2, 1) == [sent.first_msg_id]
