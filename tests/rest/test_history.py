"""Pages of a conversation (lanying.md, conversation GET)."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import Any

import pytest

from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node

SAFE_MAX = 2**53 - 1


async def fill(sender: Caller, target: int, count: int, **members: object) -> list[int]:
    """Send numbered messages; their ids, oldest first."""
    return [await sender.send(target, str(number), **members) for number in range(count)]


async def walk(reader: Caller, opposite: int, limit: int) -> list[list[str]]:
    """The contents of all pages, each fetched by what the one before said."""
    pages, start = [], 0
    while True:
        page = await reader.page(opposite, msg_id_start=start, limit=limit)
        pages.append([item["content"] for item in page["messages"]])
        assert bool(page["next_msg_id"]) is not page["is_last"]
        if page["is_last"]:
            return pages
        start = page["next_msg_id"]


class TestPages:
    """What is on one, and where the next one starts."""

    async def test_newest_first(self, alice: Caller, bob: Caller) -> None:
        """Both directions lie in one order, the newest first, and both see the same."""
        for number, (sender, target) in enumerate([(alice, BOB), (bob, ALICE), (alice, BOB)]):
            await sender.send(target, str(number))
        assert await alice.history(BOB) == ["2", "1", "0"]
        assert await bob.history(ALICE) == ["2", "1", "0"]

    async def test_limit_is_20_by_default(self, alice: Caller) -> None:
        """Without a limit there are 20."""
        await fill(alice, BOB, 21)
        page = await alice.page(BOB)
        assert (len(page["messages"]), page["messages_size"], page["is_last"]) == (20, 20, False)

    async def test_limit_is_clamped(self, alice: Caller) -> None:
        """Above 100 it is 100, however far above."""
        await asyncio.gather(*(alice.send(BOB) for _ in range(101)))
        for limit in (101, 10**18, 2**63 - 1):
            assert len((await alice.page(BOB, limit=limit))["messages"]) == 100

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("limit", [0, -1, -(10**20)])
    async def test_limit_below_1(self, alice: Caller, limit: int) -> None:
        """It is refused by name."""
        assert (await alice.get("/message/conversation", opposite_id=BOB, limit=limit)).refused(
            10002, "limit"
        )

    async def test_start_is_inclusive(self, alice: Caller) -> None:
        """`msg_id_start` is the first of the page."""
        ids = await fill(alice, BOB, 3)
        assert await alice.history(BOB, msg_id_start=ids[1]) == ["1", "0"]

    async def test_start_is_compared(self, alice: Caller, bob: Caller) -> None:
        """It need not be in this conversation: what is at or below it is told."""
        await alice.send(BOB, "0")
        between = await alice.send(CAROL)
        await alice.send(BOB, "1")
        assert await alice.history(BOB, msg_id_start=between) == ["0"]
        assert await alice.history(BOB, msg_id_start=SAFE_MAX) == ["1", "0"]

    async def test_start_0_is_the_newest(self, alice: Caller) -> None:
        """0 and none at all are the same."""
        await fill(alice, BOB, 2)
        assert await alice.history(BOB, msg_id_start=0) == await alice.history(BOB) == ["1", "0"]

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("start", [-1, SAFE_MAX + 1, "x"])
    async def test_starts_that_are_none(self, alice: Caller, start: object) -> None:
        """They are refused by name."""
        answer = await alice.get("/message/conversation", opposite_id=BOB, msg_id_start=start)
        assert answer.refused(10002, "msg_id_start")

    @pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
    async def test_walk_reaches_everything_once(self, alice: Caller, bob: Caller, limit: int) -> None:
        """Page by page everything comes, in order, none twice, and no empty page at the end."""
        for number in range(6):
            await (alice, bob)[number % 2].send((BOB, ALICE)[number % 2], str(number))
        pages = await walk(alice, BOB, limit)
        assert [*chain.from_iterable(pages)] == ["5", "4", "3", "2", "1", "0"]
        assert all(pages)

    async def test_walk_of_a_group(self, alice: Caller, bob: Caller) -> None:
        """The same of a group, with recalled ones between."""
        group = await alice.group(BOB)
        for number in range(6):
            msg_id = await (alice, bob)[number % 2].tell(group, str(number))
            if number in {0, 3, 5}:
                assert (await alice.recall(group, msg_id)).done
        assert await walk(bob, group, 2) == [["4", "2"], ["1"]]

    async def test_next_is_the_first_of_the_next(self, alice: Caller) -> None:
        """`next_msg_id` is the id of a message, and that message comes first."""
        ids = await fill(alice, BOB, 3)
        page = await alice.page(BOB, limit=2)
        assert (page["next_msg_id"], page["is_last"]) == (ids[0], False)

    async def test_the_last_is_known_as_such(self, alice: Caller) -> None:
        """A full page with nothing behind it is the last, and then `next_msg_id` is 0."""
        await fill(alice, BOB, 2)
        page = await alice.page(BOB, limit=2)
        assert (page["next_msg_id"], page["is_last"]) == (0, True)

    async def test_it_is_filled_up(self, alice: Caller) -> None:
        """Recalled ones are left out, and older ones take their place."""
        ids = await fill(alice, BOB, 6)
        for msg_id in ids[3:]:
            assert (await alice.recall(BOB, msg_id)).done
        page = await alice.page(BOB, limit=2)
        assert ([item["content"] for item in page["messages"]], page["next_msg_id"]) == (["2", "1"], ids[0])

    async def test_is_last_looks_past_recalled_ones(self, alice: Caller) -> None:
        """Where only recalled ones are older, nothing is older."""
        ids = await fill(alice, BOB, 4)
        for msg_id in ids[:2]:
            assert (await alice.recall(BOB, msg_id)).done
        assert (await alice.page(BOB, limit=2))["is_last"] is True

    async def test_is_last_looks_past_deleted_ones(self, alice: Caller) -> None:
        """Where only ones that I deleted are older, nothing is older."""
        await fill(alice, BOB, 2)
        assert (await alice.delete(BOB)).done
        await fill(alice, BOB, 2)
        assert (await alice.page(BOB, limit=2))["is_last"] is True

    async def test_other_conversations_are_not_in_it(self, alice: Caller, bob: Caller) -> None:
        """Nothing of a third user, of a group, of oneself."""
        await alice.send(BOB, "here")
        await bob.send(CAROL)
        await alice.send(CAROL)
        await alice.send(ALICE)
        await alice.tell(await alice.group(BOB))
        assert await alice.history(BOB) == ["here"]

    async def test_of_oneself(self, alice: Caller) -> None:
        """What one sent to oneself is there once."""
        await fill(alice, ALICE, 3)
        assert await walk(alice, ALICE, 2) == [["2", "1"], ["0"]]


class TestWhich:
    """`opposite_id`: the peer or the group."""

    @pytest.mark.parametrize("opposite", [BOB, 4711, SAFE_MAX])
    async def test_unknown(self, alice: Caller, opposite: int) -> None:
        """It is an empty page that is the last."""
        page = await alice.page(opposite)
        assert (page["messages"], page["messages_size"], page["is_last"], page["next_msg_id"]) == (
            [],
            0,
            True,
            0,
        )

    async def test_to_ask_makes_nobody(self, alice: Caller, node: Node) -> None:
        """Looking for a conversation does not bring its other side into being."""
        await alice.page(4711)
        assert (await alice.delete(4711)).done
        assert (await alice.ack(conversation_id=4711)).done
        assert node.rows("SELECT count(*) FROM timeline WHERE xid = 4711") == [(0,)]

    async def test_a_group_one_is_not_in(self, alice: Caller, bob: Caller) -> None:
        """20002, and so once one has left, and once it has ended."""
        group = await bob.group(ALICE)
        assert (await alice.change("leave", group)).done
        assert (await alice.get("/message/conversation", opposite_id=group)).refused(20002)
        assert (await bob.change("destroy", group)).done
        assert (await bob.get("/message/conversation", opposite_id=group)).refused(20002)

    async def test_a_group(self, alice: Caller, bob: Caller, carol: Caller) -> None:
        """Everybody in it sees everybody's messages."""
        group = await alice.group(BOB, CAROL)
        await alice.tell(group, "0")
        await bob.tell(group, "1")
        assert await carol.history(group) == ["1", "0"]


class TestItems:
    """One message of a page."""

    async def test_to_a_user(self, alice: Caller, bob: Caller) -> None:
        """Sender and receiver are xids with device 0 for REST."""
        await alice.send(BOB)
        [item] = (await bob.page(ALICE))["messages"]
        assert item["from_xid"] == xid(ALICE)
        assert item["to_xid"] == xid(BOB)

    async def test_to_a_group(self, alice: Caller) -> None:
        """The receiver is the group."""
        group = await alice.group()
        await alice.tell(group)
        [item] = (await alice.page(group))["messages"]
        assert (item["from_xid"], item["to_xid"]) == (xid(ALICE), xid(group))

    async def test_by_a_device(self, alice: Caller, bob: Caller) -> None:
        """`from_xid.device_sn` is the sending device, `to_xid.device_sn` stays 0."""
        async with alice.device(41) as device:
            assert (await device.ask("send", type=1, targets=[BOB], content_type=0, content="x"))[
                "op"
            ] == "ok"
        [item] = (await bob.page(ALICE))["messages"]
        assert (item["from_xid"], item["to_xid"]) == (xid(ALICE, 41), xid(BOB))

    async def test_when(self, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """`timestamp` is the server's time of the send, in ms."""
        monkeypatch.setattr(alice.node.gateway.core.messaging, "_now", lambda: 1_790_000_000_123)
        await alice.send(BOB)
        assert (await alice.page(BOB))["messages"][0]["timestamp"] == 1_790_000_000_123

    async def test_ids_rise(self, alice: Caller, bob: Caller) -> None:
        """Concurrent sends have rising ids in the order of the page."""
        await asyncio.gather(*(alice.send(BOB) for _ in range(30)), *(bob.send(ALICE) for _ in range(30)))
        ids = [item["msg_id"] for item in (await alice.page(BOB, limit=100))["messages"]]
        assert len(set(ids)) == 60
        assert ids == sorted(ids, reverse=True)
        assert [item["msg_id"] for item in (await bob.page(ALICE, limit=100))["messages"]] == ids

    async def test_the_odd_members(self, alice: Caller) -> None:
        """Every member has its `set_` twin, which is true (seed 000)."""
        await alice.send(BOB)
        page = await alice.page(BOB)
        [item] = page["messages"]
        for told in (item, item["from_xid"], item["to_xid"]):
            plain = {name for name in told if not name.startswith("set_")}
            assert {name: told.get(f"set_{name}") for name in plain} == dict.fromkeys(plain, True)
        assert [page[f"set_{name}"] for name in ("is_last", "messages", "next_msg_id")] == [True] * 3
        assert page["messages_iterator"] == {}


def xid(uid: int, device_sn: int = 0) -> dict[str, Any]:
    return {"uid": uid, "device_sn": device_sn, "set_uid": True, "set_device_sn": True}
