"""Who a request speaks for: each sentence of lanying.md, Principals."""

from __future__ import annotations

import pytest

from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, order

SAFE_MAX = 2**53 - 1


class TestUserTokens:
    """A user token speaks for its `sub`."""

    async def test_speaks_for_itself(self, alice: Caller, bob: Caller) -> None:
        """What it sends is from it."""
        await alice.send(BOB)
        assert await bob.unread() == [(ALICE, 1)]

    async def test_naming_itself(self, node: Node) -> None:
        """Its own id in `user_id` is fine."""
        assert (await (await node.user(ALICE, user_id=ALICE)).get("/message/unread")).code == 200

    async def test_naming_another(self, node: Node) -> None:
        """Another id is 10010."""
        assert (await (await node.user(ALICE, user_id=BOB)).get("/message/unread")).refused(10010, "user_id")

    async def test_naming_a_group(self, node: Node, alice: Caller) -> None:
        """`group_id` is 10010, also of a group that it owns."""
        caller = await node.user(ALICE, group_id=await alice.group())
        assert (await caller.get("/message/unread")).refused(10010, "group_id")

    @pytest.mark.parametrize("absent", ["", "0", "000"])
    async def test_naming_nobody(self, node: Node, absent: str) -> None:
        """Empty or 0 is absent."""
        caller = await node.user(ALICE, user_id=absent, group_id=absent)
        assert (await caller.get("/message/unread")).code == 200

    async def test_naming_both(self, node: Node) -> None:
        """Both headers are 10002, whoever asks."""
        caller = await node.user(ALICE, user_id=ALICE, group_id=77)
        assert (await caller.get("/message/unread")).refused(10002)


class TestAdminsAlone:
    """An admin token without acting headers speaks for `system`."""

    async def test_is_system(self, node: Node, admin: Caller, bob: Caller) -> None:
        """Its `sub` is the app's reserved user."""
        await admin.send(BOB)
        assert await bob.unread() == [(admin.xid, 1)]
        assert node.rows("SELECT name FROM user WHERE id = (SELECT system FROM app)") == [("system",)]

    async def test_looks_back_at_what_it_sent(self, admin: Caller) -> None:
        """`system` has no timeline, and yet a history of what it sent."""
        await admin.send(BOB)
        assert await admin.history(BOB) == ["hi"]

    async def test_system_has_no_timeline(self, node: Node, admin: Caller) -> None:
        """What it sends is an entry in the receiver's timeline only."""
        await admin.send(BOB)
        assert node.rows("SELECT t.xid FROM entry AS e JOIN timeline AS t ON t.id = e.t") == [(BOB,)]

    async def test_may_not_be_named(self, node: Node, admin: Caller) -> None:
        """Nobody acts for `system` by header."""
        assert (await (await node.admin(user_id=admin.xid)).get("/message/unread")).refused(10002, "user_id")


class TestAdminsForAUser:
    """With `user_id` an admin token acts for that user."""

    async def test_reads_as_that_user(self, node: Node, alice: Caller) -> None:
        """It sees what the user sees."""
        await alice.send(BOB)
        acting = await node.admin(user_id=BOB)
        assert (await acting.unread(), await acting.history(ALICE)) == ([(ALICE, 1)], ["hi"])

    async def test_acts_as_that_user(self, node: Node, alice: Caller, bob: Caller) -> None:
        """Its ack, delete and send are the user's."""
        msg_id = await alice.send(BOB)
        acting = await node.admin(user_id=BOB)
        assert (await acting.ack(msg_id=msg_id)).done
        assert await alice.statuses(BOB) == ["READ"]
        assert (await acting.delete(ALICE)).done
        assert await bob.history(ALICE) == []

    async def test_may_no_more_than_that_user(self, node: Node, alice: Caller) -> None:
        """The user's rights are all it has: not a member, not the sender."""
        group = await alice.group()
        msg_id = await alice.tell(group)
        acting = await node.admin(user_id=BOB)
        assert (await acting.ask_send([group], type=2)).refused(20002)
        assert (await acting.get("/message/conversation", opposite_id=group)).refused(20002)
        assert (await acting.recall(group, msg_id)).code != 200

    async def test_of_a_group(self, node: Node, alice: Caller) -> None:
        """A group's id is no user."""
        acting = await node.admin(user_id=await alice.group())
        assert (await acting.get("/message/unread")).refused(10002, "user_id")

    @pytest.mark.parametrize("header", ["user_id", "group_id"])
    async def test_headers_that_are_no_ids(self, node: Node, header: str) -> None:
        """They are refused by name."""
        for wrong in ("-1", "x", "1.0", "1e3", "+1", str(SAFE_MAX + 1), "9" * 40, "\uff11", "\x80"):
            caller = await node.admin(**{header: wrong})
            assert (await caller.get("/message/unread")).refused(10002, header)

    async def test_an_unknown_user_of_a_registered_app(self, node: Node) -> None:
        """Where registration is required, an unknown id is 10000."""
        await node.gateway.directory.create_app("strict", registered=True)
        assert (await (await node.admin("strict", user_id=4711)).get("/message/unread")).refused(10000)


class TestAdminsForAGroup:
    """With `group_id` an admin token acts as that group's owner, for that group only."""

    @pytest.fixture
    async def group(self, alice: Caller) -> int:
        return await alice.group(BOB)

    @pytest.fixture
    async def owner(self, node: Node, group: int) -> Caller:
        return await node.admin(group_id=group)

    async def test_is_its_owner(self, owner: Caller, group: int, bob: Caller) -> None:
        """What it sends there is from the owner, whose history it reads."""
        await owner.tell(group)
        assert (await bob.page(group))["messages"][0]["from_xid"]["uid"] == ALICE
        assert await owner.history(group) == ["hi"]

    async def test_targets_must_be_it(self, owner: Caller, alice: Caller) -> None:
        """Another group, though the owner be the same, and any user are 10010."""
        other = await alice.group()
        assert (await owner.ask_send([other], type=2)).refused(10010, "targets")
        assert (await owner.ask_send([BOB])).refused(10010, "targets")

    async def test_all_targets_must_be_it(self, owner: Caller, group: int, alice: Caller) -> None:
        """One other among them refuses all."""
        other = await alice.group()
        assert (await owner.ask_send([group, other], type=2)).refused(10010, "targets")
        assert await alice.history(group) == []

    async def test_opposite_id_must_be_it(self, owner: Caller, alice: Caller) -> None:
        """Pages of other conversations of the owner are 10010."""
        await alice.send(BOB)
        assert (await owner.get("/message/conversation", opposite_id=BOB)).refused(10010, "opposite_id")

    async def test_conversation_id_must_be_it(self, owner: Caller, alice: Caller) -> None:
        """To delete or recall elsewhere is 10010."""
        msg_id = await alice.send(BOB)
        assert (await owner.delete(BOB)).refused(10010, "conversation_id")
        assert (await owner.recall(BOB, msg_id)).refused(10010, "conversation_id")
        assert await alice.history(BOB) == ["hi"]

    async def test_recalls_of_another_group_by_its_own_id(
        self, owner: Caller, group: int, alice: Caller
    ) -> None:
        """A message of another conversation is not in this group, whatever `conversation_id` says."""
        msg_id = await alice.send(BOB)
        assert (await owner.recall(group, msg_id)).refused(60003)

    async def test_unread_lists_only_it(self, owner: Caller, group: int, alice: Caller, bob: Caller) -> None:
        """Of the owner's conversations the others are left out, users and groups."""
        await bob.send(ALICE)
        await bob.tell(group)
        await alice.tell(await alice.group())
        assert await owner.unread() == [(group, 1)]

    async def test_unread_of_a_silent_group(self, owner: Caller, bob: Caller) -> None:
        """Where nothing was said the list is empty."""
        await bob.send(ALICE)
        assert await owner.unread() == []

    async def test_joined_lists_only_it(self, owner: Caller, group: int, alice: Caller) -> None:
        """The owner's other groups are out of reach."""
        await alice.group()
        assert (await owner.get("/group/user_joined")).data == [group]

    async def test_lists_no_groups(self, owner: Caller) -> None:
        """Public groups are others."""
        assert (await owner.get("/group/public_list")).refused(10002, "group_id")

    async def test_learns_nothing_of_other_readers(self, owner: Caller, alice: Caller) -> None:
        """Nor that its owner has sent something to somebody."""
        for msg_id in (await alice.send(BOB), await alice.tell(await alice.group())):
            assert (await owner.get("/message/readers", msg_id=msg_id)).refused(10010, "msg_id")

    async def test_an_unknown_group(self, node: Node) -> None:
        """20001, and so is a user's id and a group that has ended."""
        alice = await node.user(ALICE)
        ended = await alice.group()
        assert (await alice.change("destroy", ended)).done
        for xid in (4711, ALICE, ended):
            assert (await (await node.admin(group_id=xid)).get("/message/unread")).refused(20001, "group_id")

    async def test_both_headers(self, node: Node, group: int) -> None:
        """`user_id` beside it is 10002."""
        both = await node.admin(user_id=ALICE, group_id=group)
        assert (await both.get("/message/unread")).refused(10002)

    async def test_acks_are_refused(self, owner: Caller, group: int) -> None:
        """A group does not read: 10002."""
        assert (await owner.ack(conversation_id=group)).refused(10002, "group_id")

    async def test_makes_no_group(self, owner: Caller) -> None:
        """A new group would be another one."""
        assert (await owner.post("/group/create", {})).refused(10010)

    async def test_does_not_notify(self, owner: Caller, node: Node, group: int) -> None:
        """Notifications refuse both acting headers, by name."""
        body = order([group], type=2)
        assert (await owner.post("/message/notify", body)).refused(10002, "group_id")
        acting = await node.admin(user_id=CAROL)
        assert (await acting.post("/message/notify", order([BOB]))).refused(10002, "user_id")
