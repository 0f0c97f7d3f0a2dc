"""Retention where several nodes share the store: beside each other, and beside what is being sent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from gateway.domain.drafts import Appended, RecallDraft
from gateway.store.base import Store, Swept
from gateway.store.postgres import retention
from tests.postgres import database_of
from tests.store.meeting import WAITING, meets
from tests.store.stage import LIMITS, NOW, Stage, open_store

OLD, YOUNG = NOW - 1000, NOW + 1000


@pytest.fixture
def engine() -> str:
    return "postgres"


@pytest.fixture
async def other(stage: Stage) -> AsyncIterator[Store]:
    """The same store, as another node has it."""
    opened = await open_store("postgres", stage.folder, LIMITS)
    yield opened
    await opened.close()


async def told(stage: Stage, xid: int) -> list[str]:
    return [entry.message.content for entry in await stage.entries(xid) if entry.message]


async def test_one_page_is_under_way_at_a_time(stage: Stage, other: Store) -> None:
    """Who comes while another is at it finds nothing to do, and does not wait."""
    for _ in range(3):
        await stage.send(1, 2, at=OLD)
    await stage.alter(f"UPDATE message SET expires_at = {OLD}")
    conn = await stage.store._writers.acquire()  # type: ignore[attr-defined] # a transaction that is held open
    transaction = conn.transaction()
    await transaction.start()
    assert (await retention.sweep(conn, NOW, 2)).removed == 2
    assert await other.sweep(NOW, 10) == Swept(0, 0, more=False)
    assert await other.expire(NOW, 10) == 0
    await transaction.commit()
    await stage.store._writers.release(conn)  # type: ignore[attr-defined]
    assert (await other.sweep(NOW, 10)).removed == 1


async def test_what_is_sent_meanwhile_is_not_hidden(stage: Stage, other: Store) -> None:
    """A send to a timeline whose beginning goes waits for it, and stands above the floor."""
    await stage.send(1, 2, at=OLD)
    sent = stage.text(1, 2, at=OLD, content="later")
    swept, [answer] = await meets(stage, lambda conn: retention.sweep(conn, NOW, 10), other.append([sent]))
    assert swept.removed == 1
    assert isinstance(answer, Appended)
    assert await told(stage, 1) == await told(stage, 2) == ["later"]
    assert [item.unread for item in await stage.recent(2)] == [1]


async def test_a_key_that_goes_meanwhile(stage: Stage, other: Store) -> None:
    """Who repeats it waits, and then is the first."""
    await stage.send(1, 2, at=OLD, key="7", digest="d")
    again = stage.text(1, 2, at=YOUNG, key="7", digest="other")
    _, [answer] = await meets(stage, lambda conn: retention.sweep(conn, NOW, 10), other.append([again]))
    assert isinstance(answer, Appended)


async def test_what_commits_late_is_not_hidden(stage: Stage, other: Store) -> None:
    """A page that passes by what is under way with a lower id takes nothing of it along."""
    group = await stage.group(1, 3)
    # What two nodes store for one app they may count by one row, and then one would wait for the other.
    apart = await stage.store.create_app("apart", "k", b"y" * 64, registered=False, at=NOW)
    assert apart is not None
    await stage.say(1, group, at=OLD)
    await stage.store.sweep(NOW, 10)
    conn: Any = await asyncpg.connect(await database_of(stage.folder))
    transaction = conn.transaction()
    await transaction.start()
    # Whoever sends to the group has drawn the message's id when it comes to this row.
    await conn.execute("SELECT 1 FROM newest FOR UPDATE")
    sending = asyncio.ensure_future(other.append([await stage.group_text(3, group, at=OLD, content="late")]))
    while await stage.ask(WAITING) == [(0,)]:
        assert not sending.done()
    passing = (await stage.send(4, 5, at=OLD, app=apart.id)).first_msg_id
    assert await stage.store.sweep(NOW, 10) == Swept(passing, 1, more=False)
    await transaction.commit()
    await conn.close()
    [late] = await sending
    assert isinstance(late, Appended)
    assert late.first_msg_id < passing
    assert await told(stage, group) == ["late"]
    # It would stay for ever, which the laws call a breach. No transaction lives for days, so that it does not happen.
    await stage.alter("UPDATE meta SET swept_to = 0")


@pytest.mark.parametrize("seed", range(3))
async def test_beside_all_that_goes_on(stage: Stage, other: Store, seed: int) -> None:
    """Sends, repeats, recalls and pages of two nodes: each is answered, and the store keeps its laws.

    What is sent while pages go is young: what is old has been there for days, but for the case above.
    """
    chance = random.Random(seed)
    group = await stage.group(1, 2, 3)
    old: list[int] = []

    async def talk(store: Store, at: int) -> None:
        for _ in range(20):
            one, two = chance.sample([1, 2, 3], 2)
            key = str(chance.randint(1, 30))
            [answer] = await store.append([stage.text(one, two, at=at, key=key, digest="d")])
            if isinstance(answer, Appended):
                old.append(answer.first_msg_id)
            if chance.random() < 0.3:
                # It may have gone by then.
                await store.append([RecallDraft(app=stage.app.id, msg_id=chance.choice(old), at=at)])
            await store.append([await stage.group_text(one, group, at=at)])

    async def remove(store: Store) -> None:
        while not talked.done():
            await store.sweep(NOW, chance.randint(1, 9))
            await store.expire(NOW, 5)

    stores = [stage.store, other]
    await asyncio.gather(*(talk(store, OLD) for store in stores))
    talked = asyncio.gather(*(talk(store, YOUNG) for store in stores))
    await asyncio.gather(talked, *(remove(store) for store in stores))
    assert stage.check() == []
    while (await other.sweep(NOW, 5)).more:
        assert stage.check() == []
    assert (await stage.store.oldest()).sent_at == YOUNG
