"""What calls answer of messages that retention has removed, or whose time has come."""

from __future__ import annotations

import pytest

from gateway.clock import now_ms
from tests.rest.stage import ALICE, BOB, Caller, Node


async def forget(node: Node) -> None:
    """Let retention remove all there is."""
    while (await node.gateway.store.sweep(now_ms() + 60_000, 3)).more:
        pass


async def expire(node: Node, *msg_ids: int) -> None:
    """Let the time of messages come."""
    for msg_id in msg_ids:
        node.rows("UPDATE message SET expires_at = 1 WHERE msg_id = ?", msg_id)
    assert await node.gateway.retention.expire() == len(msg_ids)


class TestRemoved:
    """As if it had never been, but for ids and transactions that go on."""

    async def test_history_and_unread(self, node: Node, alice: Caller, bob: Caller) -> None:
        """Empty, and then only what came since."""
        for number in range(5):
            await alice.send(BOB, str(number))
        await forget(node)
        assert (await bob.page(ALICE))["is_last"] is True
        assert (await bob.history(ALICE), await bob.unread(), await alice.unread()) == ([], [], [])
        await alice.send(BOB, "since")
        assert (await bob.history(ALICE), await bob.unread()) == (["since"], [(ALICE, 1)])
        assert await alice.statuses(BOB) == ["UNREAD"]

    async def test_a_page_that_starts_at_it(self, node: Node, alice: Caller, bob: Caller) -> None:
        """What a client kept as `next_msg_id` leads to the end."""
        for _ in range(3):
            await alice.send(BOB)
        start = (await bob.page(ALICE, limit=1))["next_msg_id"]
        await forget(node)
        page = await bob.page(ALICE, msg_id_start=start)
        assert (page["messages"], page["is_last"], page["next_msg_id"]) == ([], True, 0)

    async def test_recall(self, node: Node, alice: Caller) -> None:
        """60003."""
        msg_id = await alice.send(BOB)
        await forget(node)
        assert (await alice.recall(BOB, msg_id)).refused(60003)

    @pytest.mark.parametrize("named", ["msg_id", "conversation_id", "both"])
    async def test_ack(self, node: Node, alice: Caller, bob: Caller, named: str) -> None:
        """True, and nothing is read by it."""
        msg_id = await alice.send(BOB)
        await forget(node)
        asked = {"msg_id": msg_id, "conversation_id": ALICE}
        query = asked if named == "both" else {named: asked[named]}
        assert (await bob.ack(**query)).done
        await alice.send(BOB)
        assert await alice.statuses(BOB) == ["UNREAD"]

    async def test_ack_of_what_was_never_there(self, node: Node, alice: Caller, bob: Caller) -> None:
        """60003 as ever."""
        msg_id = await alice.send(BOB)
        await forget(node)
        assert (await bob.ack(msg_id=msg_id + 1)).refused(60003)

    async def test_delete(self, node: Node, alice: Caller, bob: Caller) -> None:
        """True, and hides nothing that comes."""
        await alice.send(BOB)
        await forget(node)
        assert (await bob.delete(ALICE)).done
        await alice.send(BOB, "since")
        assert await bob.history(ALICE) == ["since"]

    async def test_read_and_hidden_before(self, node: Node, alice: Caller, bob: Caller) -> None:
        """The positions of nothing don't reach what comes."""
        await alice.send(BOB)
        assert (await bob.ack(conversation_id=ALICE)).done
        assert (await bob.delete(ALICE)).done
        await forget(node)
        await alice.send(BOB, "since")
        assert (await bob.history(ALICE), await bob.unread()) == (["since"], [(ALICE, 1)])

    async def test_in_a_group(self, node: Node, alice: Caller, bob: Caller) -> None:
        """The same; members are members, and who has read further has."""
        group = await alice.group(BOB)
        for number in range(3):
            await alice.tell(group, str(number))
        assert (await bob.ack(conversation_id=group)).done
        await forget(node)
        assert (await bob.history(group), await bob.unread()) == ([], [])
        assert (await bob.ack(conversation_id=group)).done
        assert (await bob.delete(group)).done
        await alice.tell(group, "since")
        assert (await bob.history(group), await bob.unread()) == (["since"], [(group, 1)])
        assert await alice.statuses(group) == ["UNREAD"]
        assert sorted(await alice.members(group)) == [ALICE, BOB]

    async def test_a_transaction(self, node: Node, alice: Caller) -> None:
        """Its id is free again with its message."""
        first = await alice.send(BOB, transaction_id=5)
        assert await alice.send(BOB, transaction_id=5) == first
        await forget(node)
        assert await alice.send(BOB, "other", transaction_id=5) > first


class TestExpired:
    """Its text is gone; its place is not."""

    async def test_history_and_unread(self, node: Node, alice: Caller, bob: Caller) -> None:
        """Left out, and the page filled with older ones."""
        ids = [await alice.send(BOB, str(number)) for number in range(5)]
        await expire(node, ids[1], ids[4])
        assert await bob.history(ALICE, limit=2) == ["3", "2"]
        assert await bob.unread() == [(ALICE, 3)]

    async def test_recall(self, node: Node, alice: Caller, bob: Caller) -> None:
        """It may be recalled, as any message: devices that have it take it away."""
        msg_id = await alice.send(BOB)
        await expire(node, msg_id)
        assert (await alice.recall(BOB, msg_id)).done
        assert await bob.history(ALICE) == []

    async def test_ack(self, node: Node, alice: Caller, bob: Caller) -> None:
        """It is read up to it, as up to any."""
        ids = [await alice.send(BOB) for _ in range(2)]
        await expire(node, ids[1])
        assert (await bob.ack(msg_id=ids[1])).done
        assert await alice.statuses(BOB) == ["READ"]

    async def test_a_repeat(self, node: Node, alice: Caller, bob: Caller) -> None:
        """It is answered as before, and sends nothing anew."""
        msg_id = await alice.send(BOB, transaction_id=5)
        await expire(node, msg_id)
        assert await alice.send(BOB, transaction_id=5) == msg_id
        assert await bob.history(ALICE) == []
