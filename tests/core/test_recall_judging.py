"""Recalls in groups: facts that change between judging one and committing it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from gateway.core.order import Order
from gateway.core.recalls import JUDGE_TRIES
from gateway.domain.drafts import Answer, Draft, RecallDraft, Stale
from gateway.domain.errors import Kind
from gateway.domain.model import Group, Scope
from tests.core.grouping import MEMBER, OWNER, STRANGER, make
from tests.core.stage import Stage, refused

Happen = Callable[[], Awaitable[object]]


async def say(stage: Stage, xid: int, group: Group) -> int:
    order = Order(scope=Scope.GROUP, targets=(group.xid,), ctype=0, content="hi")
    return (await stage.core.messaging.send(await stage.user(xid), order))[0]


def overtake(stage: Stage, monkeypatch: pytest.MonkeyPatch, happen: Happen, times: int = 1) -> list[Draft]:
    """Let something happen each time a recall has been judged and is about to be committed."""
    drafts: list[Draft] = []
    submit = stage.writer.submit

    async def overtaken(draft: Draft) -> Answer:
        if isinstance(draft, RecallDraft):
            drafts.append(draft)
            if len(drafts) <= times:
                await happen()
        return await submit(draft)

    monkeypatch.setattr(stage.writer, "submit", overtaken)
    return drafts


async def text_of(stage: Stage, group: Group, xid: int = OWNER) -> list[str]:
    page = await stage.core.conversations.page(await stage.user(xid), group.xid, 0, 10)
    return [item.content for item in page.items]


async def test_who_was_put_out_meanwhile(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """May not take back what it said: the recall is judged anew by what is true at its commit."""
    group, owner = await make(stage), await stage.user(OWNER)
    msg_id = await say(stage, MEMBER, group)
    drafts = overtake(stage, monkeypatch, lambda: stage.groups.kick(owner, group.xid, [MEMBER]))
    with refused(Kind.NOT_A_MEMBER):
        await stage.core.messaging.recall(await stage.user(MEMBER), group.xid, msg_id)
    assert len(drafts) == 1
    assert await text_of(stage, group) == ["hi"]


async def test_what_changes_nothing_for_the_asker(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one who joins makes it be judged again, and it is done."""
    group, owner = await make(stage), await stage.user(OWNER)
    msg_id = await say(stage, MEMBER, group)
    drafts = overtake(stage, monkeypatch, lambda: stage.groups.invite(owner, group.xid, [STRANGER]))
    await stage.core.messaging.recall(owner, group.xid, msg_id)
    assert len(drafts) == 2
    assert await text_of(stage, group) == []


async def test_a_group_that_never_rests(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries the caller is asked to come back."""
    group, owner = await make(stage), await stage.user(OWNER)
    msg_id = await say(stage, OWNER, group)

    async def change() -> None:
        await stage.groups.invite(owner, group.xid, [STRANGER])
        await stage.groups.kick(owner, group.xid, [STRANGER])

    drafts = overtake(stage, monkeypatch, change, times=100)
    with refused(Kind.OVERLOADED) as refusal:
        await stage.core.messaging.recall(owner, group.xid, msg_id)
    assert refusal.retry_after_ms
    assert len(drafts) == JUDGE_TRIES
    assert isinstance(await stage.writer.submit(drafts[0]), Stale)


async def test_an_administrator_is_judged_by_no_facts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone it may recall whatever the group does."""
    group, owner = await make(stage), await stage.user(OWNER)
    msg_id = await say(stage, OWNER, group)
    drafts = overtake(stage, monkeypatch, lambda: stage.groups.kick(owner, group.xid, [MEMBER]))
    await stage.core.messaging.recall(await stage.admin(), group.xid, msg_id)
    assert len(drafts) == 1
    assert await text_of(stage, group) == []


async def test_a_groups_admin_has_no_window(stage: Stage) -> None:
    """Whom the owner has made one may take back what others said, at any time; another member may not."""
    group = await make(stage, (MEMBER, STRANGER))
    msg_id = await say(stage, OWNER, group)
    member = await stage.user(MEMBER)
    stage.clock.move(s=10**6)
    with refused(Kind.FORBIDDEN):
        await stage.core.messaging.recall(member, group.xid, msg_id)
    await stage.store._write(
        lambda conn: conn.execute("UPDATE stay SET admin = 1 WHERE usr = ?", (member.user.id,))
    )
    await stage.core.messaging.recall(member, group.xid, msg_id)
    assert await text_of(stage, group) == []
