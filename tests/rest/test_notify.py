"""System notifications (lanying.md, notify)."""

from __future__ import annotations

import pytest

from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, order


class TestWho:
    """An admin alone."""

    async def test_users_may_not(self, alice: Caller) -> None:
        """A user token is 10010, also to notify itself."""
        for target in (ALICE, BOB):
            assert (await alice.post("/message/notify", order([target]))).refused(10010)

    async def test_admins_may(self, admin: Caller, bob: Caller) -> None:
        """The sender is `system`, device 0."""
        await admin.notify(BOB)
        [item] = (await bob.page(admin.xid))["messages"]
        assert (item["from_xid"]["uid"], item["from_xid"]["device_sn"]) == (admin.xid, 0)

    async def test_by_both_verbs(self, admin: Caller, bob: Caller) -> None:
        """PUT notifies as POST does."""
        assert (await admin.call("PUT", "/message/notify", order([BOB]))).data is True
        assert await bob.history(admin.xid) == ["hi"]

    @pytest.mark.parametrize("header", ["user_id", "group_id"])
    async def test_acting_headers_are_refused(self, node: Node, alice: Caller, header: str) -> None:
        """10002 by name, even where the rest is right."""
        group = await alice.group()
        acting = await node.admin(**{header: ALICE if header == "user_id" else group})
        body = order([group], type=2) if header == "group_id" else order([BOB])
        assert (await acting.post("/message/notify", body)).refused(10002, header)

    async def test_acting_headers_that_are_absent(self, node: Node) -> None:
        """0 and empty are no acting headers."""
        admin = await node.admin(user_id="0", group_id="")
        assert await admin.notify(BOB)

    async def test_another_sender(self, admin: Caller, bob: Caller) -> None:
        """`from_user_id` names any user as the sender."""
        await admin.notify(BOB, from_user_id=ALICE)
        [item] = (await bob.page(ALICE))["messages"]
        assert item["from_xid"]["uid"] == ALICE


class TestToAUser:
    """It is in the receiver's history and unread only."""

    async def test_receiver(self, admin: Caller, bob: Caller) -> None:
        """There it is, unread."""
        await admin.notify(BOB)
        assert (await bob.history(admin.xid), await bob.unread()) == (["hi"], [(admin.xid, 1)])

    async def test_not_the_named_sender(self, admin: Caller, alice: Caller) -> None:
        """It is not in the history or list of the user it says it is from."""
        await admin.notify(BOB, from_user_id=ALICE)
        assert (await alice.history(BOB), await alice.unread()) == ([], [])

    async def test_not_among_the_senders_other_messages(
        self, admin: Caller, alice: Caller, bob: Caller
    ) -> None:
        """Where the two have talked, only the receiver finds it between the others."""
        await alice.send(BOB, "0")
        await admin.notify(BOB, "1", from_user_id=ALICE)
        await bob.send(ALICE, "2")
        assert await bob.history(ALICE) == ["2", "1", "0"]
        assert await alice.history(BOB) == ["2", "0"]

    async def test_pages_of_the_sender_stay_exact(self, admin: Caller, alice: Caller) -> None:
        """What the sender cannot see does not make its page look unfinished."""
        for number in range(3):
            await admin.notify(BOB, from_user_id=ALICE)
            await alice.send(BOB, str(number))
        page = await alice.page(BOB, limit=3)
        assert ([item["content"] for item in page["messages"]], page["is_last"]) == (["2", "1", "0"], True)

    async def test_one_entry(self, admin: Caller, node: Node) -> None:
        """One entry, in the receiver's timeline."""
        await admin.notify(BOB, from_user_id=ALICE)
        assert node.rows("SELECT t.xid FROM entry AS e JOIN timeline AS t ON t.id = e.t") == [(BOB,)]

    async def test_the_senders_devices_get_nothing(self, admin: Caller, alice: Caller) -> None:
        """The named sender's device hears the next message, not the notification."""
        async with alice.device(1) as device:
            await device.hear("live")
            await admin.notify(BOB, from_user_id=ALICE)
            await alice.send(BOB, "own")
            [frame] = await device.hear("message")
        assert frame["message"]["content"] == "own"

    async def test_is_marked_on_the_channel(self, admin: Caller, alice: Caller, bob: Caller) -> None:
        """`is_system` is true on it, live and replayed, and on nothing else."""
        async with bob.device(1) as device:
            await device.hear("live")
            await admin.notify(BOB)
            [live] = await device.hear("message")
        await alice.send(BOB)
        async with bob.device(2) as device:
            replayed = [frame for frame in await device.hear("live") if frame["op"] == "message"]
        assert [frame["message"].get("is_system", False) for frame in (live, *replayed)] == [
            True,
            True,
            False,
        ]

    async def test_to_oneself_by_name(self, admin: Caller, bob: Caller) -> None:
        """From and to the same user it is in that user's history once."""
        await admin.notify(BOB, from_user_id=BOB)
        assert await bob.history(BOB) == ["hi"]

    async def test_is_read_like_a_message(self, admin: Caller, bob: Caller) -> None:
        """An ack makes it READ and takes it out of the count."""
        msg_id = await admin.notify(BOB)
        assert (await bob.ack(msg_id=msg_id)).done
        assert (await bob.statuses(admin.xid), await bob.unread()) == (["READ"], [(admin.xid, 0)])

    async def test_is_recalled_by_an_admin(self, admin: Caller, bob: Caller) -> None:
        """The receiver may not, the admin may."""
        msg_id = await admin.notify(BOB)
        assert (await bob.recall(admin.xid, msg_id)).refused(10010)
        assert (await admin.recall(BOB, msg_id)).done
        assert (await bob.history(admin.xid), await bob.unread()) == ([], [])


class TestToAGroup:
    """It is an entry of the group's timeline, and membership is not asked."""

    async def test_no_membership(self, admin: Caller, alice: Caller, bob: Caller) -> None:
        """`system` is no member, nor is the sender named here, and yet all see it."""
        group = await alice.group(BOB)
        await admin.notify(group, "0", type=2)
        await admin.notify(group, "1", type=2, from_user_id=CAROL)
        assert await bob.history(group) == ["1", "0"]
        assert await alice.unread() == [(group, 2)]

    async def test_does_not_make_a_member(self, admin: Caller, alice: Caller, carol: Caller) -> None:
        """The named sender cannot look into the group for it."""
        group = await alice.group()
        await admin.notify(group, type=2, from_user_id=CAROL)
        assert (await carol.get("/message/conversation", opposite_id=group)).refused(20002)

    async def test_unknown(self, admin: Caller) -> None:
        """A group must be there, all the same."""
        assert (await admin.post("/message/notify", order([4711], type=2))).refused(20001, "4711")


class TestAnswers:
    """It is answered and judged like a send."""

    async def test_one_target(self, admin: Caller) -> None:
        """`msg_ids` with exactly one."""
        answer = await admin.post("/message/notify", order([BOB]))
        assert answer.envelope == {"code": 200, "message": None, "data": True, "msg_ids": [1]}

    async def test_many_targets(self, admin: Caller) -> None:
        """A plain yes with more."""
        assert (await admin.post("/message/notify", order([BOB, CAROL]))).done

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("wrong", "member"),
        [
            ({"type": 3}, "type"),
            ({"targets": []}, "targets"),
            ({"targets": [*range(1, 1002)]}, "targets"),
            ({"content_type": 8}, "content_type"),
            ({"content_type": 9, "related_mid": 1}, "content_type"),
            ({"content_type": 11, "related_mid": 1}, "content_type"),
            ({"content": ""}, "content"),
            ({"online_only": "yes"}, "online_only"),
            ({"expire_s": 0}, "expire_s"),
            ({"transaction_id": "x"}, "transaction_id"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    async def test_what_is_wrong(self, admin: Caller, wrong: dict[str, object], member: str) -> None:
        """The same members are judged by the same rules."""
        assert (await admin.post("/message/notify", order([BOB]) | wrong)).refused(10002, member)
