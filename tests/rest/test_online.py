"""`online_only`: handed to whoever is connected, and stored nowhere (lanying.md, online_only)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.domain.limits import Limits
from tests.rest.stage import ALICE, BOB, CAROL, Caller, Device, Json, Node, open_node, order


async def heard(device: Device) -> list[Json]:
    """What has come to a device until now."""
    frames = []
    await device._socket.send_json({"op": "ping", "ref": "now"})
    while (frame := (await device.hear_one()))["op"] != "pong":
        frames.append(frame)
    return frames


async def came(device: Device) -> int:
    """The next message that comes to a device."""
    msg_id: int = (await device.hear("message"))[-1]["message"]["msg_id"]
    return msg_id


async def online(caller: Caller, target: int, content: str = "now", **members: object) -> int:
    return await caller.send(target, content, online_only=True, **members)


class TestBetweenUsers:
    """To the target's devices and the sender's others."""

    async def test_reaches_who_is_connected(self, alice: Caller, bob: Caller, node: Node) -> None:
        """A message without timeline and seq; nothing of it is stored, and a device that comes later has nothing."""
        before = node.rows("SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM entry)")
        async with alice.device(1) as mine, bob.device(1) as one, bob.device(2) as two:
            for device in (mine, one, two):
                await device.hear("live")
            msg_id = await online(alice, BOB, "psst", ext="e")
            frames = [(await device.hear("message"))[-1] for device in (one, two, mine)]
        assert [frame["message"].pop("conversation_id") for frame in frames] == [ALICE, ALICE, BOB]
        assert frames[0] == frames[1] == frames[2]
        assert set(frames[0]) == {"op", "message"}
        told = frames[0]["message"]
        assert (told["msg_id"], told["content"], told["ext"]) == (msg_id, "psst", "e")
        assert node.rows("SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM entry)") == before
        async with bob.device(3) as later:
            assert [frame["op"] for frame in await later.hear("live")] == ["welcome", "live"]
        assert await bob.page(ALICE) == await bob.page(CAROL)
        assert await bob.unread() == []

    async def test_not_the_device_that_sends(self, alice: Caller) -> None:
        """It knows; to oneself all devices have it."""
        async with alice.device(1) as one, alice.device(2) as two:
            for device in (one, two):
                await device.hear("live")
            await one._socket.send_json({"op": "send", **order([BOB], "psst", online_only=True)})
            assert [frame["op"] for frame in await one.hear("ok")] == ["ok"]
            assert (await two.hear("message"))[-1]["message"]["from_xid"]["device_sn"] == 1
            assert await heard(one) == []
            assert (await two.ask("send", **order([ALICE], "note", online_only=True)))["op"] == "ok"
            assert [frame["message"]["content"] for frame in await heard(one)] == ["note"]

    async def test_to_many(self, alice: Caller, bob: Caller, carol: Caller) -> None:
        """One id each, rising; on the channel all are told."""
        async with alice.device(1) as mine, bob.device(1) as theirs, carol.device(1) as others:
            for device in (mine, theirs, others):
                await device.hear("live")
            first, second = (await mine.ask("send", **order([BOB, CAROL], "x", online_only=True)))["msg_ids"]
            assert second == first + 1
            assert (await theirs.hear("message"))[-1]["message"]["msg_id"] == first
            assert (await others.hear("message"))[-1]["message"]["msg_id"] == second

    async def test_makes_nobody(self, alice: Caller, node: Node) -> None:
        """A user that nobody has named yet is not made by it, and no sender either."""
        before = node.rows("SELECT count(*) FROM timeline")
        assert await online(alice, 4711) > 0
        admin = await node.admin()
        assert await online(admin, BOB, from_user_id=4712) > 0
        assert node.rows("SELECT count(*) FROM timeline") == before

    async def test_a_notice(self, admin: Caller, bob: Caller) -> None:
        """It says that it is one."""
        async with bob.device(1) as device:
            await device.hear("live")
            await admin.notify(BOB, "soon", online_only=True)
            told = (await device.hear("message"))[-1]
        assert told["message"]["is_system"] is True
        assert told["message"]["conversation_id"] == admin.xid


class TestInAGroup:
    """To all who follow it."""

    async def test_reaches_its_members(self, alice: Caller, bob: Caller, carol: Caller) -> None:
        """The sender's devices too, and nobody else's."""
        group = await alice.group(BOB)
        async with alice.device(1) as mine, bob.device(1) as theirs, carol.device(1) as others:
            for device in (mine, theirs, others):
                await device.hear("live")
            msg_id = await online(alice, group, type=2)
            for device in (mine, theirs):
                told = (await device.hear("message"))[-1]
                assert set(told) == {"op", "message"}
                assert (told["message"]["msg_id"], told["message"]["conversation_id"]) == (msg_id, group)
            assert await heard(others) == []

    async def test_where_nobody_is_connected(self, alice: Caller) -> None:
        """It is handed to nobody, and that is well."""
        assert await online(alice, await alice.group(BOB), type=2) > 0

    async def test_membership_is_read_anew(self, alice: Caller, bob: Caller) -> None:
        """Who was kicked speaks no more, whatever this process remembers of it."""
        group = await alice.group(BOB)
        await bob.tell(group)
        await online(bob, group, type=2)
        assert (await alice.change("kick", group, BOB)).data
        assert (await bob.ask_send([group], type=2, online_only=True)).refused(20002)


class TestRules:
    """Those of a send."""

    async def test_what_is_refused(self, alice: Caller, admin: Caller) -> None:
        """The body, the kinds and who is there are judged as ever."""
        group = await alice.group()
        for members, code, word in (
            ({"content_type": 1}, 10002, "attachment"),
            ({"content": ""}, 10002, "content"),
            ({"targets": [group]}, 10002, "targets"),
            ({"targets": [admin.xid]}, 10010, "targets"),
            ({"targets": [4711], "type": 2}, 20001, "targets"),
            ({"targets": [BOB], "type": 2}, 20001, "targets"),
            ({"from_user_id": BOB}, 10010, "from_user_id"),
            ({"expire_s": 60}, 10002, "expire_s"),
        ):
            asked = order([BOB], online_only=True) | members
            assert (await alice.post("/message/send", asked)).refused(code, word)
        asked = order([BOB], online_only=True, from_user_id=group)
        assert (await admin.post("/message/send", asked)).refused(10002, "from_user_id")

    async def test_where_users_must_be_registered(self, node: Node) -> None:
        """Who is not there is not sent to, and sends nothing."""
        await node.gateway.directory.create_app("closed", registered=True)
        made = await node.caller("closed").post("/user/register/v2", {"username": "a", "password": "b"})
        admin, user = await node.admin("closed"), made.data["user_id"]
        assert await online(admin, user) > 0
        assert (await admin.ask_send([user, 4711], online_only=True)).refused(10000, "targets", "4711")
        refused = await admin.ask_send([user], online_only=True, from_user_id=4711)
        assert refused.refused(10000, "from_user_id")

    async def test_blocks_and_frozen_users(self, alice: Caller, bob: Caller, admin: Caller) -> None:
        """A block stops it both ways, but no notice; who is frozen sends nothing, also in an admin's hand."""
        assert (await bob.post("/roster/block", {"user_id": ALICE})).data is True
        for caller, target in ((alice, BOB), (bob, ALICE)):
            assert (await caller.ask_send([target], online_only=True)).refused(10006)
        assert await admin.notify(BOB, from_user_id=ALICE, online_only=True) > 0
        assert (await admin.call("PUT", "/user/disable", {"list": [ALICE]})).code == 200
        for target, kind in ((CAROL, 1), (await bob.group(ALICE), 2)):
            asked = await admin.ask_send([target], type=kind, from_user_id=ALICE, online_only=True)
            assert asked.refused(10010, "frozen")


class TestTransactions:
    """Remembered in bounded memory."""

    async def test_execute_once(self, alice: Caller, bob: Caller) -> None:
        """A repeat gets the first answer and hands nothing over, also two at the same time."""
        async with bob.device(1) as device:
            await device.hear("live")
            sent = await asyncio.gather(*(online(alice, BOB, transaction_id=7) for _ in range(5)))
            assert await online(alice, BOB, transaction_id=7) == sent[0]
            assert len(set(sent)) == 1
            # Whatever came of those comes before it.
            last = await online(alice, BOB)
            assert [await came(device) for _ in range(2)] == [sent[0], last]

    async def test_are_answered_though_refused_today(self, alice: Caller, bob: Caller) -> None:
        """Who was kicked since still gets the first answer."""
        group = await alice.group(BOB)
        first = await online(bob, group, type=2, transaction_id=7)
        assert (await alice.change("kick", group, BOB)).data
        assert await online(bob, group, type=2, transaction_id=7) == first

    async def test_conflict(self, alice: Caller) -> None:
        """The same id for something else, stored or not, is 60001."""
        await online(alice, BOB, transaction_id=7)
        assert (await alice.ask_send([BOB], "other", online_only=True, transaction_id=7)).refused(60001)
        assert (await alice.ask_send([BOB], "now", transaction_id=7)).refused(60001)
        await alice.send(BOB, transaction_id=8)
        assert (await alice.ask_send([BOB], online_only=True, transaction_id=8)).refused(60001)
        assert await alice.history(BOB) == ["hi"]

    async def test_are_their_senders_own(self, alice: Caller, bob: Caller) -> None:
        """Another sender's id is another's."""
        assert await online(alice, BOB, transaction_id=7) != await online(bob, ALICE, transaction_id=7)

    async def test_the_oldest_are_forgotten(self, tmp_path: Path) -> None:
        """Past the limit it is sent once more."""
        async with open_node(tmp_path, Limits(remembered_online_max=2)) as node:
            alice = await node.user(ALICE)
            first = await online(alice, BOB, transaction_id=1)
            for transaction_id in (2, 3):
                await online(alice, BOB, transaction_id=transaction_id)
            assert await online(alice, BOB, transaction_id=1) != first


class TestIds:
    """From blocks of the store's."""

    async def test_never_come_twice(self, tmp_path: Path) -> None:
        """Across stored messages, blocks and restarts."""
        found = []
        for _ in range(2):
            async with open_node(tmp_path) as node:
                alice = await node.user(ALICE)
                for _ in range(3):
                    found += [await online(alice, BOB), await alice.send(BOB)]
                assert (await alice.ask_send([*range(1, 701)], online_only=True)).done
                found.append(await online(alice, BOB))
        assert len(set(found)) == len(found)

    async def test_cost_a_commit_for_many(self, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """The store is asked once for so many."""
        store = alice.node.gateway.store
        asked: list[int] = []
        reserve = store.reserve

        async def counting(count: int) -> int:
            asked.append(count)
            return await reserve(count)

        monkeypatch.setattr(store, "reserve", counting)
        await asyncio.gather(*(online(alice, BOB) for _ in range(20)))
        assert asked == [1_000]
