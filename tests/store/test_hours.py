"""The messages of an hour: complete, in order, page by page, and nothing that is not to leave."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.domain.drafts import Changed
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, Message, Scope
from gateway.store.base import Record
from gateway.store.hours import HOUR_MS
from tests.postgres import drop_database
from tests.store.stage import LIMITS, MIB, NOW, Stage

HOUR = NOW // HOUR_MS * HOUR_MS


async def page_through(
    stage: Stage, at: int = HOUR, *, limit: int = 10, bytes_max: int = MIB, app: int = 0
) -> list[list[Record]]:
    """Every page of an hour."""
    found, after = [], 0
    while True:
        page = await stage.store.hour(app or stage.app.id, at, at + HOUR_MS, after, limit, bytes_max)
        found.append(page.records)
        assert page.after == 0 or page.after > after
        after = page.after
        if not after:
            return found


async def ids(stage: Stage, at: int = HOUR, limit: int = 10) -> list[int]:
    return [record.message.msg_id for page in await page_through(stage, at, limit=limit) for record in page]


async def test_what_was_sent_in_an_hour(stage: Stage) -> None:
    """By rising id, from its first moment to its last, whatever was sent between in another."""
    sent = {}
    for at in (HOUR, HOUR - 1, HOUR + HOUR_MS - 1, HOUR + HOUR_MS, HOUR + 5):
        sent[at] = (await stage.send(1, 2, at=at)).first_msg_id
    assert await ids(stage) == [sent[HOUR], sent[HOUR + HOUR_MS - 1], sent[HOUR + 5]]
    assert await ids(stage, HOUR - HOUR_MS) == [sent[HOUR - 1]]
    assert await ids(stage, HOUR + HOUR_MS) == [sent[HOUR + HOUR_MS]]
    assert await ids(stage, HOUR + 2 * HOUR_MS) == []


async def test_drafts_of_several_hours_in_one_batch(stage: Stage) -> None:
    """Each is found in its own."""
    times = [HOUR + number * HOUR_MS for number in (0, 2, 1, 0)]
    await stage.store.append([stage.text(1, 2, at=at) for at in times])
    found = [len(await ids(stage, at)) for at in sorted(set(times))]
    assert found == [2, 1, 1]


async def test_a_message_is_told_whole(stage: Stage) -> None:
    """With the names of its ends; a group's is one message, and one to a member names the group."""
    zoe = await stage.store.register(stage.app.id, "zoe", "", NOW)
    assert zoe is not None
    group = await stage.group(zoe.xid, 2)
    told: dict[str, Any] = {"content": "c", "attachment": "a", "config": "f", "ext": "e", "ctype": 3}
    first = (await stage.send(zoe.xid, 2, **told)).first_msg_id
    await stage.say(2, group)
    await stage.whisper(zoe.xid, group, 2)
    [[plain, said, whispered]] = await page_through(stage)
    assert plain == Record(
        Message(
            msg_id=first, scope=Scope.USER, sender_xid=zoe.xid, sender_sn=0, target_xid=2, at=NOW,
            seq=plain.message.seq, **told,
        ),
        "zoe",
        "",
    )  # fmt: skip
    assert (said.message.scope, said.message.target_xid, said.target_name) == (Scope.GROUP, group, "")
    assert (whispered.message.group_xid, whispered.message.target_xid) == (group, 2)
    assert await stage.store.message(stage.app.id, first) == plain.message


async def test_what_does_not_leave(stage: Stage) -> None:
    """What was recalled, what expired, what was folded into another, what a chatroom heard, and what was imported."""
    kept = (await stage.send(1, 2)).first_msg_id
    await stage.recall((await stage.send(1, 2)).first_msg_id)
    await stage.send(1, 2, expires_at=NOW)
    await stage.store.expire(NOW, 10)
    await stage.send(1, 2, ctype=11, related=kept)
    room = await stage.append(stage.creation(1, type=ROOM))
    assert isinstance(room, Changed)
    await stage.say(1, room.xid)
    await stage.bring(1, 2, shown_at=NOW)
    assert await ids(stage) == [kept]


async def test_another_apps_messages_are_its_own(stage: Stage) -> None:
    """They are looked at and left out, so that a page may be empty and not the last."""
    other = await stage.store.create_app("other", "k", b"y" * 64, registered=False, at=NOW)
    assert other is not None
    await stage.store.append([msgspec.structs.replace(stage.text(1, 2), app=other.id) for _ in range(25)])
    own = (await stage.send(1, 2)).first_msg_id
    assert await ids(stage, limit=10) == [own]
    found = [len(page) for page in await page_through(stage, app=other.id)]
    assert sum(found) == 25
    assert max(found) == 10


async def test_a_page_is_bounded(stage: Stage) -> None:
    """By how many it looks at, and by the size of what it finds; one that is too large comes alone."""
    await stage.store.append([stage.text(1, 2, content="x" * size) for size in (10, 10, 5000, 10, 10)])
    assert [len(page) for page in await page_through(stage, limit=3)] == [3, 2]
    found = await page_through(stage, bytes_max=1000)
    assert [[len(one.message.content) for one in page] for page in found] == [[10, 10], [5000], [10, 10]]
    assert [len(page) for page in await page_through(stage, bytes_max=0)] == [1] * 5


async def test_it_is_found_after_a_restart(stage: Stage) -> None:
    """And after an epoch, by which ids jump; what comes then is found with it."""
    first = (await stage.send(1, 2)).first_msg_id
    await stage.restart()
    assert await ids(stage) == [first]
    await stage.store.renew_epoch()
    second = (await stage.send(1, 2)).first_msg_id
    assert await ids(stage) == [first, second]


async def test_an_hour_goes_with_its_messages(stage: Stage) -> None:
    """Retention leaves no row of one that is all removed; what is left of another is found."""
    await stage.send(1, 2, at=HOUR)
    kept = (await stage.send(1, 2, at=HOUR + HOUR_MS)).first_msg_id
    await stage.store.sweep(HOUR + HOUR_MS, 100)
    assert await ids(stage) == []
    assert await ids(stage, HOUR + HOUR_MS) == [kept]
    # Once ids are past what is noted of it.
    await stage.store.renew_epoch()
    await stage.send(1, 2, at=HOUR + 2 * HOUR_MS)
    await stage.send(1, 2, at=HOUR + 9 * HOUR_MS)
    await stage.store.sweep(HOUR + 3 * HOUR_MS, 100)
    assert await stage.ask("SELECT hour FROM hour ORDER BY hour") == [
        ((HOUR + hours * HOUR_MS) // HOUR_MS,) for hours in (2, 9)
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_comes(engine: str, tmp_path: Path, seed: int) -> None:
    """Hours are equal to what the store finds message by message, in pages of any size, clocks going where they may."""
    chance = random.Random(seed)
    limits = msgspec.structs.replace(Limits(), room_history_max=LIMITS.room_history_max)
    async with Stage(engine, tmp_path / "any", limits) as stage:
        group = await stage.group(1, 2, 3)
        times, newest = {}, 0
        for _ in range(12):
            drafts = [
                stage.text(chance.choice([1, 2]), *chance.sample([1, 2, 3, 4], chance.choice([1, 3])), at=at)
                if chance.randrange(3)
                else await stage.group_text(1, group, at=at)
                for at in (HOUR + chance.randrange(3 * HOUR_MS) for _ in range(chance.choice([1, 4])))
            ]
            for draft, answer in zip(drafts, await stage.store.append(drafts), strict=True):
                for msg_id, _ in enumerate(draft.targets, answer.first_msg_id):  # type: ignore[union-attr]
                    times[msg_id] = draft.at
                    newest = max(newest, msg_id)
            if not chance.randrange(3):
                gone = chance.choice(list(times))
                await stage.recall(gone)
                del times[gone]
            if not chance.randrange(4):
                await stage.restart()
        for at in (HOUR, HOUR + HOUR_MS, HOUR + 2 * HOUR_MS):
            expected = sorted(msg_id for msg_id, sent in times.items() if at <= sent < at + HOUR_MS)
            assert await ids(stage, at, limit=chance.choice([1, 2, 5, 100])) == expected
        assert stage.check() == []


async def test_ids_that_were_drawn_first_and_come_last(tmp_path: Path) -> None:
    """On PostgreSQL a batch may have drawn lower ids than the one that an hour began with, and commit after it."""
    async with Stage("postgres", tmp_path / "late") as stage:
        await stage.users(1, 2)
        # As if the other had drawn far higher ones.
        await stage.alter(
            f"INSERT INTO hour (hour, first, last) VALUES ({HOUR // HOUR_MS}, 4000000, 4194303)"
        )
        first = (await stage.send(1, 2)).first_msg_id
        assert first < 4000000
        assert await ids(stage) == [first]
        assert await stage.ask("SELECT first, last FROM hour") == [(first, 4194303)]
    await drop_database(tmp_path / "late")
