"""Messages to some members of a group, as a dialect asks the core for them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.order import Order
from gateway.domain.errors import Kind
from gateway.domain.model import Gone, Group, Scope
from tests.core.grouping import MEMBER, OWNER, STRANGER, make
from tests.core.stage import Stage, refused

THIRD = 121


@pytest.fixture
async def group(stage: Stage) -> Group:
    return await make(stage, (MEMBER, THIRD))


def order(group: Group, *only: int, **members: Any) -> Order:
    told: dict[str, Any] = {"scope": Scope.GROUP, "targets": (group.xid,), "ctype": 0, "content": "psst"}
    return Order(**{**told, "only": only, **members})


async def shown(stage: Stage, xid: int, group: Group) -> list[int]:
    page = await stage.core.conversations.page(await stage.user(xid), group.xid, 0, 100)
    return [item.msg_id for item in page.items]


async def test_each_receiver_has_a_message(stage: Stage, group: Group) -> None:
    """The answer names the first and the last; the others of the group have none."""
    first, last = await stage.core.messaging.send(await stage.user(OWNER), order(group, MEMBER, THIRD))
    assert last == first + 1
    assert await shown(stage, MEMBER, group) == [first]
    assert await shown(stage, THIRD, group) == [last]
    assert await shown(stage, OWNER, group) == [last, first]


async def test_a_repeat_gets_the_first_answer(stage: Stage, group: Group) -> None:
    """To others it is another message."""
    owner = await stage.user(OWNER)
    send = stage.core.messaging.send
    first = await send(owner, order(group, MEMBER, THIRD, transaction_id=7))
    assert await send(owner, order(group, MEMBER, THIRD, transaction_id=7)) == first
    for only in ((MEMBER,), ()):
        with refused(Kind.TRANSACTION_CONFLICT):
            await send(owner, order(group, *only, transaction_id=7))


async def test_who_may(stage: Stage, group: Group) -> None:
    """A member, to members; the refusal names who is none."""
    with refused(Kind.NOT_A_MEMBER) as refusal:
        await stage.core.messaging.send(await stage.user(STRANGER), order(group, MEMBER))
    assert str(STRANGER) in refusal.sentence
    with refused(Kind.NOT_A_MEMBER) as refusal:
        await stage.core.messaging.send(await stage.user(OWNER), order(group, MEMBER, STRANGER))
    assert str(STRANGER) in refusal.sentence
    assert await shown(stage, OWNER, group) == []


async def test_facts_that_changed_are_read_anew(stage: Stage, group: Group) -> None:
    """Who was kicked since it spoke last speaks no more; who is still there does, though the group has changed."""
    member, third = await stage.user(MEMBER), await stage.user(THIRD)
    for sender in (member, third):
        await stage.core.messaging.send(sender, order(group, OWNER))
    await stage.groups.kick(await stage.user(OWNER), group.xid, [MEMBER])
    with refused(Kind.NOT_A_MEMBER):
        await stage.core.messaging.send(member, order(group, OWNER))
    await stage.core.messaging.send(third, order(group, OWNER))


async def test_blocks_are_between_users_only(stage: Stage, group: Group) -> None:
    """In a group they stop nothing, to some of it neither."""
    member, owner = await stage.user(MEMBER), await stage.user(OWNER)
    assert await stage.store.block(member.user.id, owner.user.id, 0)
    await stage.core.messaging.send(owner, order(group, MEMBER))
    with refused(Kind.BLOCKED):
        await stage.core.messaging.send(owner, order(group, scope=Scope.USER, targets=(MEMBER,)))


async def test_what_makes_no_sense(stage: Stage, group: Group) -> None:
    """To users, to two groups, to too many, as a notification, or unstored."""
    owner, other = await stage.user(OWNER), await make(stage)
    for wrong in (
        {"scope": Scope.USER, "targets": (MEMBER,)},
        {"targets": (group.xid, other.xid)},
        {"only": tuple(range(1, 1_002))},
        {"online_only": True},
    ):
        with refused(Kind.BAD_PARAMETER) as refusal:
            await stage.core.messaging.send(owner, order(group, MEMBER, **wrong))
        assert refusal.sentence.startswith("targets: ")
    with refused(Kind.BAD_PARAMETER):
        await stage.core.messaging.notify(await stage.admin(), order(group, MEMBER))


async def test_append_to_one_of_them(stage: Stage, group: Group) -> None:
    """To exactly one member."""
    owner = await stage.user(OWNER)
    first, last = await stage.core.messaging.send(owner, order(group, MEMBER, THIRD))
    await stage.core.messaging.send(owner, order(group, THIRD, ctype=11, related=last))
    with refused(Kind.BAD_PARAMETER):
        await stage.core.messaging.send(owner, order(group, MEMBER, THIRD, ctype=11, related=first))


async def test_recall(stage: Stage, group: Group) -> None:
    """By its sender and the owner, by the group's id; a member that has it may not, nor by the member's id."""
    member, third = await stage.user(MEMBER), await stage.user(THIRD)
    recall, app = stage.core.messaging.recall, member.app.id
    first, last = await stage.core.messaging.send(member, order(group, OWNER, THIRD))
    with refused(Kind.FORBIDDEN):
        await recall(third, group.xid, last)
    with refused(Kind.MESSAGE_UNKNOWN):
        await recall(member, THIRD, last)
    with refused(Kind.NOT_A_MEMBER):
        await recall(await stage.user(STRANGER), group.xid, last)
    await recall(member, group.xid, first)
    await recall(await stage.user(OWNER), group.xid, last)
    for msg_id in (first, last):
        message = await stage.store.message(app, msg_id)
        assert message is not None
        assert message.gone is Gone.RECALLED


async def test_read_by_its_id(stage: Stage, group: Group) -> None:
    """Its conversation is the group; who has not got it learns nothing."""
    owner = await stage.user(OWNER)
    first, _ = await stage.core.messaging.send(owner, order(group, MEMBER))
    await stage.core.receipts.read(await stage.user(MEMBER), 0, first)
    page = await stage.core.conversations.page(owner, group.xid, 0, 10)
    assert [item.status.name for item in page.items] == ["READ"]
    with refused(Kind.MESSAGE_UNKNOWN):
        await stage.core.receipts.read(await stage.user(THIRD), 0, first)
    ask = Order(scope=Scope.GROUP, targets=(group.xid,), ctype=9, content="", related=first)
    assert await stage.core.messaging.send(await stage.user(MEMBER), ask) == (first, first)
    with refused(Kind.MESSAGE_UNKNOWN):
        await stage.core.messaging.send(await stage.user(THIRD), ask)


async def test_its_readers_are_its_status(stage: Stage, group: Group) -> None:
    """It went to one member each: there is no list to ask for."""
    owner = await stage.user(OWNER)
    first, _ = await stage.core.messaging.send(owner, order(group, MEMBER))
    with refused(Kind.BAD_PARAMETER):
        await stage.core.conversations.readers(owner, first, "", 10)
