"""Messages between users that one of the two has, and the other has not."""

from __future__ import annotations

import pytest

from gateway.core.erasing import erase_draft
from gateway.domain.drafts import Appended, MessageDraft, Refused, Started
from gateway.domain.errors import Kind
from gateway.domain.model import EntryKind, Gone, Recalled, Side, Status
from tests.store.stage import NOW, Stage


def to_receiver(stage: Stage, sender: int, *targets: int, **told: object) -> MessageDraft:
    return stage.text(sender, *targets, side=Side.RECEIVER, copied=False, **told)


def to_sender(stage: Stage, sender: int, *targets: int, **told: object) -> MessageDraft:
    return stage.text(sender, *targets, side=Side.SENDER, **told)


async def appended(stage: Stage, draft: MessageDraft) -> Appended:
    answer = await stage.append(draft)
    assert isinstance(answer, Appended), answer
    return answer


async def listed(stage: Stage, xid: int) -> list[tuple[int, int]]:
    return [(one.conversation_xid, one.unread) for one in await stage.recent(xid)]


async def test_its_receivers_alone(stage: Stage) -> None:
    """For the receiver it is like any other; of the sender it is in no timeline, page or list, and no receipt tells."""
    await stage.users(1, 2)
    sent = await appended(stage, to_receiver(stage, 1, 2))
    assert (len(sent.received), sent.copies) == (1, [])
    assert await stage.entries(1) == []
    assert await stage.shown(1, 2) == [] == await listed(stage, 1)
    assert await stage.shown(2, 1) == [sent.first_msg_id]
    assert await listed(stage, 2) == [(1, 1)]
    assert await stage.store.undelivered(await stage.id(2)) == 1
    assert await stage.store.awaits(await stage.id(2), sent.first_msg_id) is True
    assert await stage.ack(2, 2, 1) == []
    assert (await stage.read(2, 1)).changes == []
    assert await stage.statuses(2, 1) == {sent.first_msg_id: Status.READ.name}


async def test_a_block_stops_it(stage: Stage) -> None:
    """As it stops any message, though there is no copy of it."""
    await stage.users(1, 2)
    await stage.store.block(await stage.id(2), await stage.id(1), NOW)
    answer = await stage.append(to_receiver(stage, 1, 2))
    assert isinstance(answer, Refused)
    assert answer.kind is Kind.BLOCKED


async def test_its_senders_alone(stage: Stage) -> None:
    """It is UNREAD for ever, whatever the other reads; the other has no entry, page, count or row of it."""
    await stage.users(1, 2)
    sent = await appended(stage, to_sender(stage, 1, 2))
    assert sent.received == [(await stage.id(2), 0)]
    assert sent.copies == [1]
    [entry] = await stage.entries(1)
    assert entry.message is not None
    assert (entry.message.msg_id, entry.message.seq, entry.message.side) == (
        sent.first_msg_id,
        0,
        Side.SENDER,
    )
    assert await stage.entries(2) == []
    assert await stage.shown(2, 1) == [] == await listed(stage, 2)
    assert await listed(stage, 1) == [(2, 0)]
    assert await stage.store.undelivered(await stage.id(2)) == 0
    assert await stage.store.awaits(await stage.id(2), sent.first_msg_id) is None
    last = await stage.send(1, 2)
    assert await listed(stage, 2) == [(1, 1)]
    await stage.ack(2, 2, 1)
    changes = (await stage.read(2, 1)).changes
    assert [change.msg_id for change in changes] == [last.first_msg_id]
    assert await stage.statuses(1, 2) == {sent.first_msg_id: "UNREAD", last.first_msg_id: "READ"}


async def test_a_read_that_reaches_only_what_is_the_senders(stage: Stage) -> None:
    """Nobody is told, for nothing of what was sent was read by it."""
    first = await stage.send(1, 2)
    await stage.read(2, 1)
    await appended(stage, to_sender(stage, 1, 2))
    await appended(stage, to_receiver(stage, 1, 2))
    assert (await stage.read(2, 1)).changes == []
    assert (await stage.statuses(1, 2))[first.first_msg_id] == "READ"


@pytest.mark.parametrize("side", [Side.SENDER, Side.RECEIVER])
async def test_to_oneself_and_to_others(stage: Stage, side: Side) -> None:
    """What one says to oneself is one's own, on whichever side the others' are."""
    sent = await appended(stage, stage.text(1, 2, 1, 3, side=side, copied=side is Side.SENDER))
    ids = [sent.first_msg_id + number for number in range(3)]
    assert await stage.shown(1, 1) == [ids[1]]
    assert (await listed(stage, 1))[-1 if side is Side.RECEIVER else 1] == (1, 0)
    for place, xid in ((0, 2), (2, 3)):
        mine, theirs = await stage.shown(1, xid), await stage.shown(xid, 1)
        assert (mine, theirs) == (([ids[place]], []) if side is Side.SENDER else ([], [ids[place]]))
    found = await stage.store.message(stage.app.id, ids[1])
    assert found is not None
    assert (found.side, found.seq > 0) == (Side.BOTH, True)


async def test_who_was_never_there_is_made(stage: Stage) -> None:
    """Also where there is no entry to be made of."""
    await appended(stage, to_sender(stage, 1, 77))
    assert (await stage.party(77)).xid == 77
    assert await stage.entries(77) == []


async def test_a_recall_is_told_where_it_was(stage: Stage) -> None:
    """To the one side that has it, and its text goes."""
    told = {Side.SENDER: 1, Side.RECEIVER: 2}
    for draft in (to_sender(stage, 1, 2), to_receiver(stage, 1, 2)):
        sent = await appended(stage, draft)
        before = {xid: len(await stage.entries(xid)) for xid in (1, 2)}
        changed = await stage.recall(sent.first_msg_id)
        [placed] = changed.placed
        owner = told[draft.side]
        assert placed.owner_xid == owner
        assert placed.entry.recalled == Recalled(conversation_xid=3 - owner, msg_id=sent.first_msg_id)
        assert len(await stage.entries(owner)) == before[owner] + 1
        assert len(await stage.entries(3 - owner)) == before[3 - owner]
        assert await stage.shown(owner, 3 - owner) == []


@pytest.mark.parametrize("ctype", [11, 12])
async def test_what_is_folded_into_it_is_on_its_side(stage: Stage, ctype: int) -> None:
    """Whoever has not the one has not the other."""
    for draft, owner in ((to_sender(stage, 1, 2), 1), (to_receiver(stage, 1, 2), 2)):
        sent = await appended(stage, draft)
        before = len(await stage.entries(3 - owner))
        await appended(stage, stage.text(1, 2, ctype=ctype, related=sent.first_msg_id))
        assert len(await stage.entries(3 - owner)) == before
        newest = (await stage.entries(owner))[-1].message
        assert newest is not None
        assert (newest.related, newest.side) == (sent.first_msg_id, draft.side)
        await stage.recall(sent.first_msg_id)
        folded = await stage.store.message(stage.app.id, newest.msg_id)
        assert folded is not None
        assert folded.gone is Gone.RECALLED


async def test_retention_removes_it(stage: Stage) -> None:
    """With its conversation, and no floor but of the timeline that had it."""
    await appended(stage, to_sender(stage, 1, 2))
    await appended(stage, to_receiver(stage, 3, 4))
    await stage.store.sweep(NOW + 1, 10)
    pages = await stage.store.pages([(await stage.id(xid), 1) for xid in (1, 2, 3, 4)], 10, 1000)
    assert [page.floor for page in pages] == [1, 0, 0, 1]
    assert [await listed(stage, xid) for xid in (1, 2, 3, 4)] == [[]] * 4


async def test_what_only_the_erased_had_goes_with_them(stage: Stage) -> None:
    """Nobody else can see it; what another one has of what was sent to them stays."""
    theirs = await appended(stage, to_receiver(stage, 1, 2))
    others = await appended(stage, to_sender(stage, 1, 2))
    answer = await stage.append(erase_draft(stage.app, await stage.user(2), NOW))
    assert isinstance(answer, Started)
    await stage.finish(answer.job)
    for sent, gone in ((theirs, Gone.ERASED), (others, None)):
        found = await stage.store.message(stage.app.id, sent.first_msg_id)
        assert found is not None
        assert found.gone is gone


async def test_a_key_works_as_ever(stage: Stage) -> None:
    """Once, and to several."""
    draft = to_sender(stage, 1, 2, 3, key="c7", digest="d")
    sent = await appended(stage, draft)
    again = await stage.append(draft)
    assert (again.first_msg_id, again.last_msg_id) == (sent.first_msg_id, sent.first_msg_id + 1)  # type: ignore[union-attr]
    assert [entry.kind for entry in await stage.entries(1)] == [EntryKind.MESSAGE] * 2


async def test_side_by_side_in_a_batch(stage: Stage) -> None:
    """Entries stay dense and in order, whichever of them have none."""
    drafts = [to_sender(stage, 1, 2), stage.text(1, 2), to_receiver(stage, 1, 2), stage.text(2, 1)]
    answers = await stage.store.append(drafts)
    ids = [answer.first_msg_id for answer in answers if isinstance(answer, Appended)]
    assert [entry.message and entry.message.msg_id for entry in await stage.entries(1)] == [
        ids[0],
        ids[1],
        ids[3],
    ]
    assert [entry.message and entry.message.msg_id for entry in await stage.entries(2)] == ids[1:]


async def test_the_messages_of_an_hour_are_all_that_were_sent(stage: Stage) -> None:
    """On whichever side they are."""
    sent = [await appended(stage, draft) for draft in (to_sender(stage, 1, 2), to_receiver(stage, 1, 2))]
    found = await stage.store.hour(stage.app.id, NOW, NOW + 1, 0, 10, 1000)
    assert [record.message.msg_id for record in found.records] == [one.first_msg_id for one in sent]
