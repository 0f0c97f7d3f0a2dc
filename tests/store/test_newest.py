"""Conversations whose newest message is told late: nobody can tell, and nothing is lost (`sqlite/newest.py`)."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from gateway.domain.drafts import Draft
from gateway.domain.errors import Problem
from tests.store.faulty import crash, lanes
from tests.store.stage import LIMITS, NOW, Stage

BEHIND = msgspec.structs.replace(LIMITS, conversations_behind_max=40)
USERS = range(1, 13)


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A store that is behind by 40 conversations, and tells four more than come."""
    monkeypatch.setattr("gateway.store.sqlite.newest.LEAST", 4)
    async with Stage("sqlite", tmp_path / "data", BEHIND) as made:
        await made.users(*USERS)
        yield made
    assert made.check() == []


async def talk(stage: Stage, rng: random.Random, sends: int) -> dict[tuple[int, int], int]:
    """Send between any two users, and return the newest message of each conversation."""
    newest: dict[tuple[int, int], int] = {}
    for _ in range(sends):
        sender, target = rng.sample(USERS, 2)
        newest[sender, target] = newest[target, sender] = (await stage.send(sender, target)).first_msg_id
    return newest


async def listed(stage: Stage) -> dict[tuple[int, int], int]:
    """Rank each user's conversations as they are listed."""
    return {
        (user, recent.conversation_xid): rank
        for user in USERS
        for rank, recent in enumerate(await stage.recent(user))
    }


def ranked(newest: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    """Rank each user's conversations by their newest messages."""
    found = {}
    for user in USERS:
        theirs = sorted((-msg_id, pair) for pair, msg_id in newest.items() if pair[0] == user)
        found.update({pair: rank for rank, (_, pair) in enumerate(theirs)})
    return found


async def told_to(stage: Stage) -> int:
    [(number,)] = await stage.ask("SELECT told_to FROM meta")
    return int(number)


async def test_lists_are_in_order_however_far_behind(stage: Stage) -> None:
    """After every few sends, through many rounds; and the laws hold all the while."""
    rng, newest = random.Random(6), {}
    for _ in range(30):
        newest.update(await talk(stage, rng, 7))
        assert await listed(stage) == ranked(newest)
        assert stage.check() == []


async def test_how_far_behind_is_bounded(stage: Stage) -> None:
    """What is held stays near the limit, and so does what a start has to read."""
    rng, passed = random.Random(7), []
    for _ in range(40):
        await talk(stage, rng, 10)
        held = [len(lanes(stage)._newest.held(await stage.id(user))) for user in USERS]
        assert sum(held) <= 44
        passed.append(await told_to(stage))
    assert passed == sorted(passed)
    assert max(b - a for a, b in pairwise(passed)) <= 100
    assert passed[-1] > 250


async def test_one_who_writes_to_everybody_is_told_in_pieces(stage: Stage) -> None:
    """However many conversations one user has, a batch tells no more than it brings and a few."""
    await stage.users(*range(100, 160))
    for other in range(100, 160):
        before = (await stage.ask("SELECT count(*) FROM conversation"))[0][0]
        await stage.send(1, other)
        assert (await stage.ask("SELECT count(*) FROM conversation"))[0][0] - before <= 6


async def test_messages_that_are_in_no_conversation_move_it_on(stage: Stage) -> None:
    """Where only groups talk, a start has no more to read than else."""
    group = await stage.group(1, 2)
    await stage.send(1, 2)
    for _ in range(100):
        await stage.say(1, group)
    assert await told_to(stage) > 1


async def test_what_a_batch_brings_is_not_told_by_the_round_it_begins(stage: Stage) -> None:
    """Users whom nobody has written to before, in every batch: a round knows only whom it has found."""
    await stage.users(*range(100, 300))
    for other in range(299, 100, -2):
        await stage.send(other, other - 1)
        if await told_to(stage) > 0:
            assert stage.check() == []
    assert await told_to(stage) > 0


async def test_a_crash_loses_nothing(stage: Stage) -> None:
    """What was held in memory is read anew from the messages."""
    newest = await talk(stage, random.Random(8), 60)
    before = await listed(stage)
    assert before == ranked(newest)
    await crash(stage)
    assert await listed(stage) == before
    assert stage.check() == []


async def test_a_store_at_rest_is_told_all(stage: Stage) -> None:
    """What is closed in peace is behind by nothing."""
    newest = await talk(stage, random.Random(9), 20)
    await stage.store.close()
    await stage.restart()
    assert (await stage.ask("SELECT count(*) FROM conversation"))[0][0] == len(newest)
    assert await told_to(stage) == max(newest.values())


async def test_positions_are_of_the_newest(stage: Stage) -> None:
    """READ and deletion go up to a message that the table was not told of, and count in the list at once."""
    first = await stage.send(1, 2)
    assert (await stage.read(2, 1)).msg_id == first.first_msg_id
    assert [recent.unread for recent in await stage.recent(2)] == [0]
    second = await stage.send(1, 2)
    assert [recent.unread for recent in await stage.recent(2)] == [1]
    answers: list[Draft] = [stage.text(1, 2), await stage.deletion(2, 1)]
    await stage.store.append(answers)
    assert await stage.recent(2) == []
    assert (await stage.read(1, 2)).msg_id == second.first_msg_id + 1


async def test_a_row_does_not_go_back(stage: Stage) -> None:
    """Not where the batch that tells it has brought a newer message, and hidden all up to that."""
    stage.limits = msgspec.structs.replace(BEHIND, conversations_behind_max=0)
    await stage.send(1, 2)
    await stage.restart()
    for _ in range(3):
        batch: list[Draft] = [stage.text(1, 2), await stage.deletion(2, 1), await stage.deletion(1, 2)]
        await stage.store.append(batch)
        assert stage.check() == []


async def test_what_is_held_while_the_store_is_opened_anew(stage: Stage) -> None:
    """Stays what it was until all of it is read: lists are read meanwhile, on connections of their own."""
    await stage.send(1, 2)
    store, user = lanes(stage), await stage.id(1)
    before = store._newest.held(user)
    seen: list[dict[int, int]] = []

    def look() -> int:
        seen.append(store._newest.held(user))
        return 0

    def load(conn: sqlite3.Connection) -> None:
        conn.set_progress_handler(look, 1)
        store._newest.load(conn)
        conn.set_progress_handler(None, 1)

    await store._writer.run(load)
    assert before == store._newest.held(user) != {}
    assert seen
    assert all(held == before for held in seen)


async def test_what_retention_removes_does_not_come_back(stage: Stage) -> None:
    """A conversation that was removed before it was told is not told."""
    await stage.send(1, 2, at=NOW - 10)
    await stage.send(3, 4, at=NOW)
    await stage.send(3, 2, at=NOW - 5)
    assert (await stage.store.sweep(NOW - 1, 10)).removed == 1
    await stage.restart()
    assert await stage.ask("SELECT count(*) FROM conversation") == [(4,)]


async def test_retention_spares_what_was_not_told(stage: Stage) -> None:
    """A conversation with an old row and a newer message keeps its row, and what was read of it."""
    await stage.send(1, 2, at=NOW - 10)
    read = await stage.read(2, 1)
    await stage.send(1, 2, at=NOW)
    await stage.store.sweep(NOW - 1, 10)
    assert await stage.ask("SELECT read, last FROM conversation WHERE read > 0") == [
        (read.msg_id, read.msg_id + 1)
    ]


async def test_a_batch_that_is_undone_leaves_no_trace(stage: Stage) -> None:
    """Neither of what it brought nor of what it told."""
    newest = await talk(stage, random.Random(10), 60)
    store = lanes(stage)
    held = {user: sorted(store._newest.held(await stage.id(user)).items()) for user in USERS}
    await store._writer.run(lambda conn: conn.set_progress_handler(lambda: 1, 400))
    with pytest.raises(Problem):
        await store.append([stage.text(1, target) for target in range(2, 13)])
    await store.probe()
    assert await listed(stage) == ranked(newest)
    for user in USERS:
        assert set(held[user]) <= set(store._newest.held(await stage.id(user)).items())
