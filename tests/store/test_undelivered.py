"""What no device of a user has got yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.limits import Limits
from gateway.domain.model import Action
from tests.store.stage import NOW, Stage


async def count(stage: Stage, xid: int) -> int:
    return await stage.store.undelivered(await stage.id(xid))


async def awaits(stage: Stage, xid: int, msg_id: int) -> bool | None:
    return await stage.store.awaits(await stage.id(xid), msg_id)


async def test_what_lies_above_delivered(stage: Stage) -> None:
    """What others sent to the user, to its groups, and to it alone in one; not its own, and what it acked no more."""
    group = await stage.group(1, 9)
    await stage.send(9, 1)
    await stage.send(9, 9)
    await stage.say(9, group)
    first = await stage.send(1, 9)
    await stage.send(1, 9, notice=True, copied=False)
    said = await stage.say(1, group)
    await stage.whisper(1, group, 9)
    assert await count(stage, 9) == 4
    await stage.ack(9, 9, first.received[0][1])
    assert await count(stage, 9) == 3
    await stage.ack(9, group, said.received[0][1])
    assert await count(stage, 9) == 2
    await stage.read(9, 1)
    assert await count(stage, 9) == 2


async def test_what_is_gone_does_not_count(stage: Stage) -> None:
    """Nor what was folded into another, nor a group one has left, nor what was said before one came."""
    group = await stage.group(1)
    await stage.say(1, group)
    await stage.join(group, 9)
    base = await stage.send(1, 9)
    await stage.send(1, 9, ctype=11, related=base.first_msg_id)
    await stage.recall((await stage.send(1, 9)).first_msg_id)
    await stage.send(1, 9, expires_at=NOW)
    await stage.store.expire(NOW, 10)
    await stage.say(1, group)
    assert await count(stage, 9) == 2
    await stage.change(group, Action.LEFT, 9)
    assert await count(stage, 9) == 1
    await stage.user(8)
    assert await count(stage, 8) == 0


async def test_so_many_entries_are_looked_at(engine: str, tmp_path: Path) -> None:
    """Of the own timeline and of groups together."""
    async with Stage(engine, tmp_path / "few", Limits(undelivered_max=5)) as stage:
        groups = [await stage.group(1, 9) for _ in range(2)]
        for number in range(4):
            await stage.say(1, groups[0])
            assert await count(stage, 9) == min(2 * number + 1, 5)
            await stage.say(1, groups[1])
        await stage.send(1, 9)
        assert await count(stage, 9) == 5


@pytest.mark.parametrize("how", ["ack", "read"])
async def test_a_message_is_awaited_until_it_is_acked_or_read(stage: Stage, how: str) -> None:
    """Of users and of groups; also one that went to the user alone in a group."""
    group = await stage.group(1, 9)
    sent = [await stage.send(1, 9), await stage.say(1, group), await stage.whisper(1, group, 9)]
    ids = [one.first_msg_id for one in sent]
    assert [await awaits(stage, 9, msg_id) for msg_id in ids] == [True] * 3
    if how == "read":
        for opposite in (1, group):
            await stage.read(9, opposite)
    else:
        await stage.ack(9, 9, sent[2].received[0][1])
        await stage.ack(9, group, sent[1].received[0][1])
    assert [await awaits(stage, 9, msg_id) for msg_id in ids] == [False] * 3


async def test_what_is_no_message_for_the_user(stage: Stage) -> None:
    """One's own, others', one recalled, one of a group that one is not in, and none."""
    group = await stage.group(1)
    own = await stage.send(9, 1)
    recalled = await stage.send(1, 9)
    await stage.recall(recalled.first_msg_id)
    others = [own, recalled, await stage.say(1, group), await stage.send(1, 2)]
    found = [await awaits(stage, 9, msg_id) for msg_id in [*(one.first_msg_id for one in others), 4711]]
    assert found == [None] * 5


async def test_what_was_imported_is_awaited_until_it_is_read(stage: Stage) -> None:
    """Nothing of it is ever delivered, nor counted; one that came as read by everybody is awaited by nobody."""
    group = await stage.group(1, 9)
    for target, opposite in ((9, 1), (group, group)):
        unread, settled = await stage.bring(1, target), await stage.bring(1, target, settled=True)
        assert [await awaits(stage, 9, msg_id) for msg_id in (unread, settled)] == [True, False]
        assert await count(stage, 9) == 0
        await stage.read(9, opposite)
        assert await awaits(stage, 9, unread) is False
