"""What an asker's devices have not got yet."""

from __future__ import annotations

from gateway.core.order import Order
from gateway.domain.errors import Kind
from gateway.domain.model import Scope
from tests.core.grouping import MEMBER, OWNER, make
from tests.core.stage import Stage, refused


async def test_it_is_counted_and_told_one_by_one(stage: Stage) -> None:
    """To the user, or to an administrator who acts for it; of what is no message for the user nothing is told."""
    group = await make(stage)
    ids = []
    for scope, target in ((Scope.USER, MEMBER), (Scope.GROUP, group.xid)):
        order = Order(scope=scope, targets=(target,), ctype=0, content="hi")
        ids.append((await stage.core.messaging.send(await stage.user(OWNER), order))[0])
    for principal in (await stage.user(MEMBER), await stage.admin(user_id=MEMBER)):
        assert await stage.core.conversations.undelivered(principal) == 2
        assert [await stage.core.conversations.awaits(principal, msg_id) for msg_id in ids] == [True, True]
    await stage.core.receipts.read(await stage.user(MEMBER), OWNER, 0, 0)
    assert not await stage.core.conversations.awaits(await stage.user(MEMBER), ids[0])
    with refused(Kind.MESSAGE_UNKNOWN):
        await stage.core.conversations.awaits(await stage.user(OWNER), ids[0])
