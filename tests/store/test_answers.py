"""Messages that answer another one: of `related` they have the id, and else they are like any other."""

from __future__ import annotations

import pytest

from gateway.domain.drafts import Appended, Draft, Refused
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import Side
from tests.store.stage import NOW, Stage


async def taken(stage: Stage, draft: Draft) -> bool:
    """Whether an answer is; one that is not names what is not there, and leaves no trace."""
    answer = await stage.append(draft)
    if isinstance(answer, Appended):
        return True
    assert isinstance(answer, Refused), answer
    assert answer.kind is Kind.MESSAGE_UNKNOWN
    assert answer.sentence.startswith("related_mid: ")
    return False


async def test_it_is_shown_and_counted(stage: Stage) -> None:
    """To either side's message; entries name what it answers."""
    first = (await stage.send(1, 2)).first_msg_id
    back = (await stage.send(2, 1, related=first)).first_msg_id
    again = (await stage.send(2, 1, related=back)).first_msg_id
    assert await stage.shown(1, 2) == [again, back, first]
    assert [(one.conversation_xid, one.unread) for one in await stage.recent(1)] == [(2, 2)]
    told = [entry.message.related for entry in await stage.entries(1) if entry.message]
    assert told == [0, first, back]


async def test_in_a_group(stage: Stage) -> None:
    """To any member's message, to all or to some; what went to some, whoever of them it went to may answer."""
    group, other = await stage.group(1, 2, 3), await stage.group(1, 2)
    said = (await stage.say(1, group)).first_msg_id
    whispered = (await stage.whisper(1, group, 2)).first_msg_id
    assert await taken(stage, await stage.group_text(2, group, related=said))
    assert await taken(stage, await stage.directed(3, group, 1, related=said))
    for sender, seen in ((1, True), (2, True), (3, False)):
        assert await taken(stage, await stage.group_text(sender, group, related=whispered)) is seen
        assert await taken(stage, await stage.directed(sender, group, 2, related=whispered)) is seen
    assert not await taken(stage, await stage.group_text(1, other, related=said))
    assert not await taken(stage, stage.text(1, 2, related=said))
    assert not await taken(stage, stage.text(1, 2, related=whispered))
    private = (await stage.send(1, 2)).first_msg_id
    assert not await taken(stage, await stage.group_text(1, group, related=private))


async def test_only_what_lies_there_and_is_seen(stage: Stage) -> None:
    """Not what is elsewhere, gone, folded, another's alone, or not sent yet."""
    first = (await stage.send(1, 2)).first_msg_id
    folded = (await stage.send(1, 2, ctype=11, related=first)).first_msg_id
    notice = (await stage.send(1, 2, notice=True, copied=False)).first_msg_id
    mine = (await stage.send(1, 2, side=Side.SENDER)).first_msg_id
    theirs = (await stage.send(1, 2, side=Side.RECEIVER, copied=False)).first_msg_id
    own = (await stage.send(1, 1)).first_msg_id
    for related in (folded, own, 4711):
        assert not await taken(stage, stage.text(1, 2, related=related))
    for sender, seen in ((1, {mine}), (2, {notice, theirs})):
        for related in (notice, mine, theirs):
            draft = stage.text(sender, 3 - sender, related=related)
            assert await taken(stage, draft) is (related in seen)
    assert await taken(stage, stage.text(1, 1, related=own))
    assert not await taken(stage, stage.text(1, 3, related=first))
    assert not await taken(stage, stage.text(77, 2, related=first))
    await stage.recall(first)
    assert not await taken(stage, stage.text(2, 1, related=first))


async def test_it_outlives_what_it_answers(stage: Stage) -> None:
    """It has its own time, and neither goes nor is hidden with it."""
    first = (await stage.send(1, 2, expires_at=NOW + 5)).first_msg_id
    sent = await stage.send(2, 1, related=first)
    timed = await stage.send(2, 1, related=first, expires_at=NOW + 9)
    assert (sent.expires_at, timed.expires_at) == (0, NOW + 9)
    await stage.recall(first)
    await stage.store.expire(NOW + 5, 10)
    assert await stage.shown(1, 2) == [timed.first_msg_id, sent.first_msg_id]
    assert (await stage.store.sweep(NOW + 1, 1)).removed == 1
    assert await stage.shown(1, 2) == [timed.first_msg_id, sent.first_msg_id]


async def test_any_number(stage: Stage) -> None:
    """`related_max` bounds what is folded into a message, and counts no answers."""
    await stage.restart(Limits(related_max=2))
    first = (await stage.send(1, 2)).first_msg_id
    for _ in range(4):
        await stage.send(2, 1, related=first)
    for _ in range(2):
        await stage.send(1, 2, ctype=11, related=first)
    answer = await stage.append(stage.text(1, 2, ctype=11, related=first))
    assert isinstance(answer, Refused)
    assert answer.kind is Kind.BAD_PARAMETER
    await stage.recall(first)
    assert len(await stage.shown(1, 2)) == 4


@pytest.mark.parametrize("ctype", [11, 12])
async def test_an_answer_may_be_folded_into(stage: Stage, ctype: int) -> None:
    """And goes with what is folded into it when it is recalled."""
    first = (await stage.send(1, 2)).first_msg_id
    back = (await stage.send(2, 1, related=first)).first_msg_id
    await stage.send(2, 1, ctype=ctype, related=back)
    await stage.recall(back)
    assert await stage.shown(1, 2) == [first]
