"""What an administrator is told of a message that is to be taken back."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.order import Order
from gateway.core.recalls import TakenBack
from gateway.domain.drafts import Answer, Draft, RecallDraft, Refused
from gateway.domain.errors import Kind
from gateway.domain.model import ROOM, Scope
from tests.core.grouping import MEMBER, OWNER, STRANGER, make
from tests.core.stage import Stage, app_of, refused

WINDOW_S = 120


async def say(stage: Stage, target: int, *, scope: Scope = Scope.USER, **members: Any) -> int:
    """A message of the owner's to somebody; its id."""
    order = Order(scope=scope, targets=(target,), ctype=0, content="hi", **members)
    return (await stage.core.messaging.send(await stage.user(OWNER), order))[0]


async def take(stage: Stage, conversation: int, msg_id: int, *, force: bool = False) -> TakenBack:
    return await stage.core.messaging.take_back(
        await stage.admin(), conversation, msg_id, window_ms=WINDOW_S * 1000, force=force
    )


async def text_of(stage: Stage, opposite: int) -> list[str]:
    page = await stage.core.conversations.page(await stage.user(OWNER), opposite, 0, 10)
    return [item.content for item in page.items]


@pytest.mark.parametrize("named", [OWNER, MEMBER])
async def test_between_users_either_is_the_conversation(stage: Stage, named: int) -> None:
    """Nobody else's is; once it is done it is so already."""
    msg_id = await say(stage, MEMBER)
    assert await take(stage, STRANGER, msg_id) is TakenBack.ELSEWHERE
    assert await text_of(stage, MEMBER) == ["hi"]
    assert await take(stage, named, msg_id) is TakenBack.DONE
    assert await text_of(stage, MEMBER) == []
    assert await take(stage, named, msg_id) is TakenBack.ALREADY


async def test_in_a_group_it_is_the_groups(stage: Stage) -> None:
    """Also of a message that went to one member of it alone."""
    group = await make(stage)
    said = await say(stage, group.xid, scope=Scope.GROUP)
    directed = await say(stage, group.xid, scope=Scope.GROUP, only=(MEMBER,))
    for msg_id in (said, directed):
        for other in (OWNER, MEMBER):
            assert await take(stage, other, msg_id) is TakenBack.ELSEWHERE
        assert await take(stage, group.xid, msg_id) is TakenBack.DONE
    assert await text_of(stage, group.xid) == []


async def test_a_group_that_has_ended(stage: Stage) -> None:
    """There is no conversation any more."""
    group = await make(stage)
    msg_id = await say(stage, group.xid, scope=Scope.GROUP)
    await stage.groups.destroy(await stage.user(OWNER), group.xid)
    assert await take(stage, group.xid, msg_id) is TakenBack.UNKNOWN


async def test_of_a_chatroom_what_it_keeps(stage: Stage) -> None:
    """What is no longer in its recent history is unknown."""
    room = await make(stage, (), kind=ROOM)
    kept = await say(stage, room.xid, scope=Scope.GROUP)
    assert await take(stage, room.xid, kept) is TakenBack.DONE
    old = await say(stage, room.xid, scope=Scope.GROUP)
    for _ in range(2 * stage.limits.room_history_max):
        await say(stage, room.xid, scope=Scope.GROUP)
    assert await take(stage, room.xid, old, force=True) is TakenBack.UNKNOWN


async def test_the_window_is_the_callers(stage: Stage) -> None:
    """The app's own is not asked; its last moment counts; by force there is none."""
    msg_id = await say(stage, MEMBER)
    stage.clock.move(s=WINDOW_S)
    on_time = await say(stage, MEMBER)
    stage.clock.move(s=WINDOW_S)
    assert await take(stage, MEMBER, msg_id) is TakenBack.TOO_LATE
    assert await text_of(stage, MEMBER) == ["hi", "hi"]
    assert await take(stage, MEMBER, on_time) is TakenBack.DONE
    stage.clock.move(s=(await app_of(stage)).recall_window_ms)
    assert await take(stage, MEMBER, msg_id, force=True) is TakenBack.DONE


async def test_what_is_not_there(stage: Stage) -> None:
    """No such message, one of another app, one whose text went by itself: unknown."""
    msg_id = await say(stage, MEMBER)
    await stage.store._write(
        lambda conn: conn.execute("UPDATE message SET expires_at = 1 WHERE msg_id = ?", (msg_id,))
    )
    await stage.store.expire(2, 10)
    await stage.app("other")
    there = await say(stage, MEMBER)
    for wanted in (msg_id, there + 100):
        assert await take(stage, MEMBER, wanted, force=True) is TakenBack.UNKNOWN
    told = await stage.core.messaging.take_back(
        await stage.admin("other"), MEMBER, there, window_ms=10**6, force=True
    )
    assert told is TakenBack.UNKNOWN


@pytest.mark.parametrize("removed", [False, True])
async def test_of_two_at_once_one_does_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, removed: bool
) -> None:
    """Whoever is overtaken between look and commit hears what is true at the commit."""
    msg_id = await say(stage, MEMBER)
    submit = stage.writer.submit

    async def overtaken(draft: Draft) -> Answer:
        assert isinstance(draft, RecallDraft)
        if removed:
            await stage.store.sweep(stage.clock() + 1, 10)
        else:
            await submit(draft)
        return await submit(draft)

    monkeypatch.setattr(stage.writer, "submit", overtaken)
    assert await take(stage, MEMBER, msg_id) is (TakenBack.UNKNOWN if removed else TakenBack.ALREADY)


async def test_what_fails_is_a_problem(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not said to be done, nor that there is no such message."""
    msg_id = await say(stage, MEMBER)

    async def refuse(_: Draft) -> Answer:
        return Refused(Kind.INTERNAL, "damaged")

    monkeypatch.setattr(stage.writer, "submit", refuse)
    with refused(Kind.INTERNAL):
        await take(stage, MEMBER, msg_id)


async def test_it_is_the_administrators(stage: Stage) -> None:
    """Neither a user may, nor who acts for one or for a group's owner."""
    group = await make(stage)
    msg_id = await say(stage, group.xid, scope=Scope.GROUP)
    for principal in (
        await stage.user(OWNER),
        await stage.admin(user_id=OWNER),
        await stage.admin(group_id=group.xid),
    ):
        with refused(Kind.FORBIDDEN):
            await stage.core.messaging.take_back(principal, group.xid, msg_id, window_ms=10**6)
