"""Conversations off the recent list."""

from __future__ import annotations

from gateway.core.order import Order
from gateway.domain.errors import Kind
from gateway.domain.model import Scope
from tests.core.grouping import MEMBER, OWNER, STRANGER, make
from tests.core.stage import Stage, refused


async def listed(stage: Stage, xid: int) -> list[int]:
    return [one.conversation_xid for one in await stage.core.conversations.unread(await stage.user(xid))]


async def say(stage: Stage, target: int, scope: Scope) -> None:
    order = Order(scope=scope, targets=(target,), ctype=0, content="hi")
    await stage.core.messaging.send(await stage.user(OWNER), order)


async def test_a_conversation_is_put_off(stage: Stage) -> None:
    """By the user, or by an administrator for it, until something newer; what nobody knows is none."""
    group = await make(stage)
    await say(stage, MEMBER, Scope.USER)
    await say(stage, group.xid, Scope.GROUP)
    member, admin = await stage.user(MEMBER), await stage.admin(user_id=MEMBER)
    await stage.core.conversations.put_off(member, OWNER)
    assert await listed(stage, MEMBER) == [group.xid]
    await stage.core.conversations.put_off(admin, group.xid)
    await stage.core.conversations.put_off(member, 4711)
    assert await listed(stage, MEMBER) == []
    assert len((await stage.core.conversations.page(member, OWNER, 0, 10)).items) == 1
    await say(stage, MEMBER, Scope.USER)
    assert await listed(stage, MEMBER) == [OWNER]


async def test_a_group_one_is_not_in(stage: Stage) -> None:
    """Is on no list of the user's; who speaks for a group's owner puts off that group only."""
    group, other = await make(stage), await make(stage)
    with refused(Kind.NOT_A_MEMBER):
        await stage.core.conversations.put_off(await stage.user(STRANGER), group.xid)
    with refused(Kind.FORBIDDEN):
        await stage.core.conversations.put_off(await stage.admin(group_id=group.xid), other.xid)
