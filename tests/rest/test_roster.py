"""Block lists by REST (vendors.md §1.3, `roster/`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.limits import Limits
from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, open_node


async def block(who: Caller, xid: object, what: str = "block") -> None:
    assert (await who.post(f"/roster/{what}", user_id=xid)).done


class TestBlock:
    """What a block stops and what it does not."""

    async def test_both_ways(self, alice: Caller, bob: Caller, carol: Caller) -> None:
        """Whoever set it, with the pair named; one blocked target refuses all."""
        await block(alice, BOB)
        assert (await alice.ask_send([BOB])).refused(10006, str(ALICE), str(BOB))
        assert (await bob.ask_send([CAROL, ALICE])).refused(10006, str(ALICE), str(BOB))
        assert await carol.page(BOB) == await carol.page(4711)
        await carol.send(ALICE)
        await block(alice, BOB, "unblock")
        await bob.send(ALICE)

    async def test_what_goes_on(self, alice: Caller, bob: Caller, admin: Caller) -> None:
        """Groups, notifications and the app's own messages; what was sent before is still there, and recalled."""
        before = await alice.send(BOB, "before", transaction_id=7)
        group = await alice.group(BOB)
        await block(bob, ALICE)
        await alice.tell(group)
        await admin.notify(BOB, from_user_id=ALICE)
        await admin.send(BOB)
        assert await alice.send(BOB, "before", transaction_id=7) == before
        assert (await admin.ask_send([BOB], from_user_id=ALICE)).refused(10006)
        assert await bob.history(ALICE) == ["hi", "before"]
        assert (await alice.recall(BOB, before)).done
        assert (await bob.ack(conversation_id=ALICE)).done

    async def test_devices_are_told_the_same(self, alice: Caller, bob: Caller) -> None:
        """A send over the channel is refused alike."""
        await block(bob, ALICE)
        async with alice.device(1) as device:
            await device.hear("live")
            told = await device.ask("send", type=1, targets=[BOB], content_type=0, content="hi")
            assert (told["op"], told["code"]) == ("error", 10006)


class TestCalls:
    """Who is on a list, and whose it is."""

    async def test_who_cannot_be_blocked(self, alice: Caller, admin: Caller) -> None:
        """Oneself, `system`, a group, what is no id; and nobody then is."""
        group = await alice.group(BOB)
        for xid in (ALICE, admin.xid, group, 0, "x", ""):
            assert (await alice.post("/roster/block", user_id=xid)).refused(10002, "user_id")
        assert (await alice.get("/roster/blocked_list")).data == []

    async def test_a_user_who_is_not_there(self, node: Node, alice: Caller) -> None:
        """Comes into being where it may, and is unknown where registration is required."""
        await block(alice, 4711)
        assert (await (await node.user(4711)).ask_send([ALICE])).refused(10006)
        await node.gateway.directory.create_app("closed", registered=True)
        user = await node.gateway.directory.token_for("demo", "1")
        assert user.xid == 1
        made = await node.gateway.store.register(2, "ann", "", 1)
        assert made is not None
        ann = await node.user(made.xid, "closed")
        assert (await ann.post("/roster/block", user_id=4711)).refused(10000)
        assert (await ann.post("/roster/unblock", user_id=4711)).done
        assert (await ann.get("/roster/may_message", roster_id=4711)).data is False

    async def test_whose_list(self, node: Node, alice: Caller, admin: Caller) -> None:
        """One's own, or that of the user an administrator acts for; alone, or for a group, it has none."""
        await block(await node.admin(user_id=ALICE), BOB)
        assert (await alice.get("/roster/blocked_list")).data == [BOB]
        owner = await node.admin(group_id=await alice.group())
        for who, header in ((admin, "user_id"), (owner, "group_id")):
            assert (await who.get("/roster/blocked_list")).refused(10002, header)
            for what in ("block", "unblock"):
                assert (await who.post(f"/roster/{what}", user_id=BOB)).refused(10002, header)
        assert (await owner.get("/roster/may_message", roster_id=BOB)).refused(10002, "group_id")

    async def test_may_message(self, node: Node, alice: Caller, admin: Caller) -> None:
        """Just what a send would be told: blocked both ways, frozen, no such target."""
        bob, carol = await node.users(BOB, CAROL)
        await block(alice, BOB)
        assert (await admin.call("PUT", "/user/disable", {"list": [CAROL]})).done
        ask = "/roster/may_message"
        told = [(await admin.get(ask, user_id=a, roster_id=b)).data for a, b in ((ALICE, BOB), (BOB, ALICE))]
        assert told == [False, False]
        assert (await admin.get(ask, user_id=CAROL, roster_id=BOB)).data is False
        assert (await admin.get(ask, user_id=BOB, roster_id=CAROL)).data is True
        assert (await admin.get(ask, user_id=admin.xid, roster_id=BOB)).data is True
        assert (await bob.get(ask, roster_id=admin.xid)).data is False
        assert (await bob.get(ask, roster_id=4711)).data is True
        assert (await bob.get(ask, user_id=ALICE, roster_id=BOB)).refused(10010, "user_id")
        assert (await bob.get(ask)).refused(10002, "roster_id")
        assert (await admin.get(ask, roster_id=BOB)).refused(10002, "user_id")
        group = await alice.group()
        assert (await bob.get(ask, roster_id=group)).refused(10002, "roster_id", "group")
        assert (await admin.get(ask, user_id=group, roster_id=BOB)).refused(10002, "user_id", "group")
        assert (await carol.get(ask, roster_id=BOB)).refused(10010)

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("cursor", ["x", "-1", "1" * 17])
    async def test_cursors_of_nobody(self, alice: Caller, cursor: str) -> None:
        """A cursor is what the page before gave."""
        assert (await alice.get("/roster/blocked_list", cursor=cursor)).refused(10002, "cursor")


async def test_lists_are_bounded_and_paged(tmp_path: Path) -> None:
    """Past the limit nobody more is blocked; pages follow each other without a gap."""
    async with open_node(tmp_path / "data", Limits(blocks_max=5, member_page_max=2)) as node:
        alice = await node.user(ALICE)
        for xid in range(5, 0, -1):
            await block(alice, xid)
        assert (await alice.post("/roster/block", user_id=6)).refused(20009, "5")
        await block(alice, 5)
        pages: list[list[int]] = []
        cursor = ""
        while not pages or cursor:
            told = (await alice.get("/roster/blocked_list", cursor=cursor)).envelope
            pages.append(told["data"])
            cursor = told["cursor"]
        assert pages == [[1, 2], [3, 4], [5]]
