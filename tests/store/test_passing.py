"""Messages that are not counted, and messages that only pass: devices get them, and who looks back does not."""

from __future__ import annotations

from pathlib import Path

from gateway.domain.drafts import Appended, Refused
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import Gone
from tests.store.stage import NOW, Stage


async def listed(stage: Stage, xid: int) -> dict[int, int]:
    return {one.conversation_xid: one.unread for one in await stage.recent(xid)}


async def test_what_is_not_counted_is_there(stage: Stage) -> None:
    """In timelines, pages and lists, with a status and receipts like any other: it is unread for no count."""
    group = await stage.group(1, 9)
    await stage.send(1, 9)
    await stage.say(1, group)
    await stage.whisper(1, group, 9)
    sent = await stage.send(1, 9, uncounted=True)
    await stage.say(1, group, uncounted=True)
    whispered = await stage.whisper(1, group, 9, uncounted=True)
    assert await listed(stage, 9) == {1: 1, group: 2}
    assert len(await stage.shown(9, 1)) == 2
    assert len(await stage.shown(9, group)) == 4
    assert await stage.store.undelivered(await stage.id(9)) == 6
    assert [change.msg_id for change in (await stage.read(9, 1)).changes] == [sent.first_msg_id]
    assert (await stage.read(9, group)).changes[-1].msg_id == whispered.first_msg_id
    lone = await stage.send(2, 9, uncounted=True)
    assert await listed(stage, 9) == {2: 0, group: 0, 1: 0}
    assert await stage.statuses(2, 9) == {lone.first_msg_id: "UNREAD"}


async def test_a_count_looks_at_so_many_messages_only(engine: str, tmp_path: Path) -> None:
    """However many of them do not count; what is beyond is not unread by them."""
    async with Stage(engine, tmp_path / "data", Limits(unread_scan_max=5)) as stage:
        group = await stage.group(1, 9)
        first = [stage.text(1, 9), await stage.group_text(1, group), await stage.directed(1, group, 9)]
        await stage.store.append(first)
        assert await listed(stage, 9) == {1: 1, group: 2}
        silent = {"uncounted": True}
        for _ in range(6):
            await stage.send(1, 9, **silent)
            await stage.say(1, group, **silent)
            await stage.whisper(1, group, 9, **silent)
        assert await listed(stage, 9) == {1: 0, group: 0}
        await stage.send(1, 9)
        assert (await listed(stage, 9))[1] == 1


async def test_what_passes_is_delivered_and_not_seen(stage: Stage) -> None:
    """It has its entries; no page, count or list has it, and nobody is told of its status."""
    group = await stage.group(1, 2)
    for draft in (
        stage.text(1, 2, passing=True),
        await stage.group_text(1, group, passing=True),
        await stage.directed(1, group, 2, passing=True),
    ):
        sent = await stage.append(draft)
        assert isinstance(sent, Appended)
        found = await stage.store.message(stage.app.id, sent.first_msg_id)
        assert found is not None
        assert (found.passing, found.content, found.gone) == (True, "hello", None)
        assert await stage.store.awaits(await stage.id(2), sent.first_msg_id) is None
        assert sent.received[0][1] > 0
    assert await stage.shown(2, 1) == [] == await stage.shown(2, group)
    assert await listed(stage, 2) == {} == await listed(stage, 1)
    assert await stage.store.undelivered(await stage.id(2)) == 0
    assert await stage.ack(2, 2, 3) == [] == await stage.ack(2, group, 2)
    assert (await stage.read(2, 1)).changes == [] == (await stage.read(2, group)).changes
    assert (await stage.store.hour(stage.app.id, NOW, NOW + 1, 0, 10, 1000)).records == []


async def test_what_passes_is_the_newest_of_its_conversation(stage: Stage) -> None:
    """As what is folded is: by it the list is ordered, and a deletion goes up to it."""
    await stage.send(1, 9)
    await stage.send(2, 9)
    sent = await stage.send(1, 9, passing=True)
    assert list(await listed(stage, 9)) == [1, 2]
    await stage.delete(9, 1)
    deleted = (await stage.entries(9))[-1].deleted
    assert deleted is not None
    assert deleted.msg_id == sent.first_msg_id


async def test_what_passes_may_be_taken_back(stage: Stage) -> None:
    """As any message; it expires and is removed as others are."""
    sent = await stage.send(1, 2, passing=True)
    await stage.recall(sent.first_msg_id)
    assert (await stage.entries(2))[-1].recalled is not None
    second = await stage.send(1, 2, passing=True, expires_at=NOW + 5)
    assert await stage.store.expire(NOW + 5, 10) == 1
    for msg_id, gone in ((sent.first_msg_id, Gone.RECALLED), (second.first_msg_id, Gone.EXPIRED)):
        found = await stage.store.message(stage.app.id, msg_id)
        assert found is not None
        assert found.gone is gone
    assert (await stage.store.sweep(NOW + 9, 10)).removed == 2


async def test_nobody_answers_what_has_passed(stage: Stage) -> None:
    """Its sender may still replace it, for whoever got it."""
    sent = await stage.send(1, 2, passing=True)
    answer = await stage.append(stage.text(2, 1, related=sent.first_msg_id))
    assert isinstance(answer, Refused)
    assert answer.kind is Kind.MESSAGE_UNKNOWN
    await stage.send(1, 2, ctype=12, related=sent.first_msg_id)
    assert await stage.shown(2, 1) == []
