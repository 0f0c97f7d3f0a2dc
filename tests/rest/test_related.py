"""Content types 9 to 12: what is asked of a message, and what is folded into one (lanying.md, content types)."""

from __future__ import annotations

import pytest

from tests.rest.stage import ALICE, BOB, CAROL, Answer, Caller, Node, open_node

READ_ACK, RECALL, APPEND, REPLACE = 9, 10, 11, 12
SECRET = "only-for-bobs-eyes"


async def about(caller: Caller, ctype: int, target: int, related: int, **members: object) -> Answer:
    """Send something about a message."""
    return await caller.ask_send(
        [target], members.pop("content", "more"), content_type=ctype, related_mid=related, **members
    )


def answered(answer: Answer, msg_id: int) -> bool:
    return answer.envelope == {"code": 200, "message": None, "data": True, "msg_ids": [msg_id]}


class TestReadAck:
    """9: a READ by the sender."""

    async def test_reads_up_to_it(self, alice: Caller, bob: Caller, node: Node) -> None:
        """Cumulative, without content, answered with the id it was about; nothing is stored."""
        first, second, third = [await alice.send(BOB) for _ in range(3)]
        before = node.rows("SELECT count(*) FROM message")
        assert answered(await about(bob, READ_ACK, ALICE, second, content=None), second)
        assert await alice.statuses(BOB) == ["UNREAD", "READ", "READ"]
        assert await bob.unread() == [(ALICE, 1)]
        assert node.rows("SELECT count(*) FROM message") == before
        assert first < second < third

    async def test_in_a_group(self, alice: Caller, bob: Caller) -> None:
        """Its conversation is the group's."""
        group = await alice.group(BOB)
        msg_id = await alice.tell(group)
        assert answered(await about(bob, READ_ACK, group, msg_id, type=2), msg_id)
        assert await alice.statuses(group) == ["READ"]

    async def test_tells_the_sender(self, alice: Caller, bob: Caller) -> None:
        """By the receipt that a READ always makes; a device of the reader hears it too, not the one that asks."""
        msg_id = await alice.send(BOB)
        async with alice.device(1) as device, bob.device(7) as reader:
            await device.hear("live")
            await reader.hear("live")
            asked = {"type": 1, "targets": [ALICE], "content_type": READ_ACK, "related_mid": str(msg_id)}
            assert (await reader.ask("send", **asked))["msg_ids"] == [msg_id]
            receipt = (await device.hear("receipt"))[-1]
        assert receipt == {
            "op": "receipt",
            "conversation_id": BOB,
            "msg_id": msg_id,
            "status": "READ",
            "uid": BOB,
            "device_sn": 7,
        }

    async def test_by_an_admin_for_a_user(self, admin: Caller, alice: Caller, bob: Caller) -> None:
        """`from_user_id` reads; by itself an admin is the app's `system`, which has received nothing."""
        msg_id = await alice.send(BOB)
        assert (await about(admin, READ_ACK, ALICE, msg_id)).refused(60003)
        assert (await about(admin, READ_ACK, ALICE, msg_id, from_user_id=CAROL)).refused(
            10000, "from_user_id"
        )
        assert (await admin.call("PUT", "/user/disable", {"list": [BOB]})).code == 200
        assert (await about(admin, READ_ACK, ALICE, msg_id, from_user_id=BOB)).refused(10010, "frozen")
        assert (await admin.call("PUT", "/user/enable", {"list": [BOB]})).code == 200
        assert answered(await about(admin, READ_ACK, ALICE, msg_id, from_user_id=BOB), msg_id)
        assert await alice.statuses(BOB) == ["READ"]
        assert await bob.unread() == [(ALICE, 0)]

    async def test_elsewhere(self, alice: Caller, bob: Caller, carol: Caller) -> None:
        """What does not lie in the conversation named, or is not one's own conversation, is 60003."""
        group = await alice.group(BOB)
        msg_id, said = await alice.send(BOB), await alice.tell(group)
        for answer in (
            await about(bob, READ_ACK, CAROL, msg_id),
            await about(bob, READ_ACK, ALICE, msg_id + 4711),
            await about(carol, READ_ACK, ALICE, msg_id),
            await about(bob, READ_ACK, ALICE, said),
            await about(bob, READ_ACK, group, said),
            await about(bob, READ_ACK, ALICE, msg_id, type=2),
            await about(bob, READ_ACK, group, msg_id, type=2),
        ):
            assert answer.refused(60003)
        assert (await about(carol, READ_ACK, group, said, type=2)).refused(20002)
        assert await alice.statuses(BOB) == ["UNREAD"]

    async def test_not_for_the_owners_header(self, node: Node, alice: Caller) -> None:
        """An admin that acts as a group's owner reads nothing, as by GET /message/ack."""
        group = await alice.group(BOB)
        msg_id = await alice.tell(group)
        owner = await node.admin(group_id=group)
        assert (await about(owner, READ_ACK, group, msg_id, type=2)).refused(10002, "group_id")


class TestRecall:
    """10: a recall by the sender."""

    async def test_takes_it_back(self, alice: Caller, bob: Caller) -> None:
        """By the rules of /message/recall; again: the same answer."""
        msg_id = await alice.send(BOB)
        for _ in range(2):
            assert answered(await about(alice, RECALL, BOB, msg_id, content=None), msg_id)
        assert await bob.history(ALICE) == []

    async def test_by_whom(self, alice: Caller, bob: Caller, carol: Caller) -> None:
        """Sender and owner may; receiver and stranger may not."""
        group = await alice.group(BOB, CAROL)
        msg_id, said = await alice.send(BOB), await bob.tell(group)
        assert (await about(bob, RECALL, ALICE, msg_id)).refused(10010)
        assert (await about(carol, RECALL, group, said, type=2)).refused(10010)
        assert (await about(alice, RECALL, BOB, said)).refused(60003)
        assert answered(await about(alice, RECALL, group, said, type=2), said)
        assert await bob.history(group) == []

    async def test_by_an_admin(self, admin: Caller, alice: Caller, bob: Caller) -> None:
        """Alone it may recall anything; in a user's name it may what that user may."""
        first, second, third = [await alice.send(BOB) for _ in range(3)]
        assert (await about(admin, RECALL, ALICE, first, from_user_id=BOB)).refused(10010)
        assert answered(await about(admin, RECALL, BOB, first, from_user_id=ALICE), first)
        assert answered(await about(admin, RECALL, BOB, second), second)
        assert [item["msg_id"] for item in (await bob.page(ALICE))["messages"]] == [third]

    async def test_may_not_speak_for_others(self, alice: Caller) -> None:
        """`from_user_id` is the sender's own for a user."""
        msg_id = await alice.send(BOB)
        assert (await about(alice, RECALL, BOB, msg_id, from_user_id=BOB)).refused(10010, "from_user_id")


class TestFolded:
    """11 and 12: messages that clients fold into another."""

    @pytest.mark.parametrize(("ctype", "name"), [(APPEND, "APPEND"), (REPLACE, "REPLACE")])
    async def test_goes_to_devices_only(self, alice: Caller, bob: Caller, ctype: int, name: str) -> None:
        """Live and on return, with what it relates to; in no history and no count."""
        msg_id = await alice.send(BOB)
        async with bob.device(1) as live:
            await live.hear("live")
            answer = await about(alice, ctype, BOB, msg_id)
            [more] = answer.envelope["msg_ids"]
            told = (await live.hear("message"))[-1]
        async with bob.device(2) as later:
            replayed = [frame for frame in await later.hear("live") if frame["op"] == "message"][-1]
        for frame in (told, replayed):
            assert frame["message"]["related_mid"] == msg_id
            assert (frame["message"]["ctype"], frame["message"]["msg_id"]) == (name, more)
        for caller, opposite in ((alice, BOB), (bob, ALICE)):
            assert [item["msg_id"] for item in (await caller.page(opposite))["messages"]] == [msg_id]
        assert await bob.unread() == [(ALICE, 1)]

    async def test_whose_and_where(self, alice: Caller, bob: Caller) -> None:
        """One's own, in the same conversation, not gone; each by its code."""
        group = await alice.group(BOB)
        mine, theirs, said = await alice.send(BOB), await bob.send(ALICE), await alice.tell(group)
        assert (await about(alice, APPEND, BOB, theirs)).refused(10010, "related_mid")
        for target, related in ((BOB, said), (CAROL, mine), (BOB, 4711)):
            assert (await about(alice, APPEND, target, related)).refused(60003, "related_mid")
        assert (await about(alice, APPEND, group, said, type=2)).data is True
        assert (await alice.recall(BOB, mine)).done
        assert (await about(alice, REPLACE, BOB, mine)).refused(60003)
        assert await bob.history(ALICE) == ["hi"]

    async def test_exactly_one_target(self, alice: Caller) -> None:
        """Of all four."""
        msg_id = await alice.send(BOB)
        for ctype in (READ_ACK, RECALL, APPEND, REPLACE):
            answer = await alice.ask_send([BOB, CAROL], "x", content_type=ctype, related_mid=msg_id)
            assert answer.refused(10002, "targets")

    async def test_what_is_required(self, alice: Caller) -> None:
        """`related_mid` of all four; and they are stored."""
        msg_id = await alice.send(BOB)
        for ctype in (READ_ACK, RECALL, APPEND, REPLACE):
            for value in (None, 0, "x", -1):
                answer = await alice.ask_send([BOB], "x", content_type=ctype, related_mid=value)
                assert answer.refused(10002, "related_mid")
            assert (await about(alice, ctype, BOB, msg_id, online_only=True)).refused(10002, "online_only")

    async def test_a_transaction_executes_once(self, alice: Caller) -> None:
        """The repeat gets the first id; the same id for another message is a conflict."""
        first, second = await alice.send(BOB), await alice.send(BOB)
        answers = [await about(alice, APPEND, BOB, first, transaction_id=7) for _ in range(2)]
        assert answers[0].envelope == answers[1].envelope
        assert (await about(alice, APPEND, BOB, second, transaction_id=7)).refused(60001)

    async def test_so_many_and_no_more(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """100 by default."""
        async with open_node(tmp_path_factory.mktemp("data")) as node:
            alice = await node.user(ALICE)
            msg_id = await alice.send(BOB)
            for _ in range(100):
                assert (await about(alice, APPEND, BOB, msg_id)).data is True
            assert (await about(alice, APPEND, BOB, msg_id)).refused(10002, "related_mid", "100")

    async def test_a_recall_wipes_it_all(self, alice: Caller, bob: Caller, node: Node) -> None:
        """No text of what was folded in leaves again, to old devices or new ones."""
        msg_id = await alice.send(BOB, SECRET)
        for ctype in (APPEND, REPLACE):
            assert (await about(alice, ctype, BOB, msg_id, content=SECRET, ext=SECRET)).data is True
        assert (await alice.recall(BOB, msg_id)).done
        async with bob.device(1) as device:
            frames = await device.hear("live")
        assert SECRET not in str(frames)
        assert [frame["op"] for frame in frames[1:]] == ["gone", "gone", "gone", "recalled", "live"]
        assert node.rows("SELECT count(*) FROM body") == [(0,)]


class TestExpiry:
    """`expire_s` (ours)."""

    async def test_is_kept_with_the_message(self, alice: Caller, node: Node) -> None:
        """By send and notify; none without it."""
        await alice.send(BOB)
        await alice.send(BOB, expire_s="60")
        await (await node.admin()).notify(BOB, expire_s=60)
        found = node.rows("SELECT expires_at - at FROM message ORDER BY msg_id")
        assert found[1:] == [(60_000,), (60_000,)]
        assert found[0][0] < 0

    async def test_is_part_of_what_is_the_same(self, alice: Caller) -> None:
        """Another time is another message."""
        await alice.send(BOB, transaction_id=7, expire_s=60)
        assert (await alice.ask_send([BOB], transaction_id=7, expire_s=61)).refused(60001)
        assert (await alice.ask_send([BOB], transaction_id=7)).refused(60001)
