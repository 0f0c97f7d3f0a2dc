"""What an app may store: judged in the batch, against what is stored and what the batch adds."""

from __future__ import annotations

from gateway.domain.drafts import Appended, Changed, RecallDraft, Refused, Repeated
from gateway.domain.errors import Kind
from gateway.domain.model import AppLimits
from tests.store.stage import NOW, Stage

FULL = Refused(Kind.STORAGE_FULL, "the app stores as much as it may")


async def bound(stage: Stage, storage_bytes_max: int) -> None:
    assert await stage.store.set_limits("demo", {"storage_bytes_max": storage_bytes_max})


async def stored(stage: Stage) -> int:
    return await stage.store.stored_bytes(stage.app.id)


async def test_a_message_counts_its_texts_and_300(stage: Stage) -> None:
    """Bytes, not characters; the text of many targets once, and 300 for each of them."""
    await stage.send(1, 2, 3, content="ä", ext="bc")
    assert await stored(stage) == 2 * 300 + 4


async def test_up_to_the_last_byte(stage: Stage) -> None:
    """What just fits is stored; one byte more is refused, alone, and leaves no trace."""
    await bound(stage, 615)
    assert isinstance(await stage.append(stage.text(1, 2, content="x" * 10)), Appended)
    assert await stage.append(stage.text(1, 2, content="x" * 6)) == FULL
    assert isinstance(await stage.append(stage.text(1, 2, content="x" * 5)), Appended)
    assert await stored(stage) == 615
    assert stage.check() == []


async def test_a_batch_counts_what_it_adds(stage: Stage) -> None:
    """Of those that come together only as many are stored as fit, in their order; a smaller one may still fit."""
    await bound(stage, 1_000)
    drafts = [stage.text(1, 2, content="x" * size) for size in (10, 200, 400, 100)]
    answers = await stage.store.append(drafts)
    assert [type(answer) for answer in answers] == [Appended, Appended, Refused, Refused]
    assert await stored(stage) == 810
    assert len(await stage.entries(2)) == 2


async def test_a_repeat_has_its_answer(stage: Stage) -> None:
    """Dedup comes first: what was stored before is no more to store."""
    draft = stage.text(1, 2, key="7", digest="d")
    first = await stage.append(draft)
    assert isinstance(first, Appended)
    await bound(stage, 1)
    assert await stage.append(draft) == Repeated(first.first_msg_id, first.first_msg_id)
    assert await stage.append(stage.text(1, 2, key="8", digest="d")) == FULL


async def test_a_recall_in_the_same_batch_makes_room(stage: Stage) -> None:
    """What a recall frees is there for whoever comes after it in the batch, and not for whoever came before."""
    sent = await stage.send(1, 2, content="x" * 500)
    await bound(stage, 1_200)
    recall = RecallDraft(app=stage.app.id, msg_id=sent.first_msg_id, at=NOW)
    answers = await stage.store.append([stage.text(1, 2, content="y" * 200), recall, stage.text(1, 2)])
    assert [type(answer) for answer in answers] == [Refused, Changed, Appended]
    assert stage.check() == []


async def test_another_app_stores_on(stage: Stage) -> None:
    """In one batch the one is full and the other is not."""
    other = await stage.store.create_app("other", "k", b"y" * 64, registered=False, at=NOW)
    assert other is not None
    await bound(stage, 1)
    answers = await stage.store.append([stage.text(1, 2), stage.text(1, 2, app=other.id), stage.text(3, 4)])
    assert [type(answer) for answer in answers] == [Refused, Appended, Refused]
    assert await stage.store.stored_bytes(other.id) == 305


async def test_limits_are_set_one_by_one(stage: Stage) -> None:
    """What is not named stays; a restart forgets nothing; an app that is not there has none."""
    assert stage.app.limits == AppLimits()
    await stage.store.set_limits("demo", {"sends_per_s": 5, "connections_max": 6})
    app = await stage.store.set_limits("demo", {"connections_max": 0, "message_bytes_max": 2**53 - 1})
    assert app is not None
    assert app.limits == AppLimits(sends_per_s=5, message_bytes_max=2**53 - 1)
    await stage.restart()
    assert await stage.store.app("demo") == app
    assert await stage.store.set_limits("nowhere", {"sends_per_s": 1}) is None
    assert [found.limits for found in await stage.store.apps()] == [app.limits]
