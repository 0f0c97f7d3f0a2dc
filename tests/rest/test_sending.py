"""What a send may be about: content types, targets, senders (lanying.md, send)."""

from __future__ import annotations

import pytest

from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, order

CTYPES = ["TEXT", "IMAGE", "AUDIO", "VIDEO", "FILE", "LOCATION", "COMMAND", "FORWARD"]


class TestContentTypes:
    """What a message of each type needs."""

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("ctype", range(8))
    async def test_are_named_in_pages(self, alice: Caller, ctype: int) -> None:
        """0 to 7 are sent, and told by name."""
        await alice.send(BOB, content_type=ctype, attachment="a")
        [item] = (await alice.page(BOB))["messages"]
        assert item["ctype"] == CTYPES[ctype]

    @pytest.mark.parametrize("content", [None, ""])
    async def test_text_wants_content(self, alice: Caller, content: str | None) -> None:
        """Type 0 without content, or with an empty one, is refused by name."""
        assert (await alice.ask_send([BOB], content)).refused(10002, "content")

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("ctype", [1, 2, 3, 4])
    async def test_files_want_an_attachment(self, alice: Caller, ctype: int) -> None:
        """Types 1 to 4 without one are refused by name, and with one need no content."""
        assert (await alice.ask_send([BOB], content_type=ctype)).refused(10002, "attachment")
        assert (await alice.ask_send([BOB], content_type=ctype, attachment="")).refused(10002, "attachment")
        assert (await alice.ask_send([BOB], None, content_type=ctype, attachment="a")).data is True

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("ctype", [5, 6, 7])
    async def test_the_others_want_nothing(self, alice: Caller, ctype: int) -> None:
        """Types 5 to 7 may be empty."""
        assert (await alice.ask_send([BOB], None, content_type=ctype)).data is True

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("ctype", [8, 13, 99])
    async def test_others_are_refused_by_name(self, alice: Caller, ctype: int) -> None:
        """What is not there is refused, not sent as something else."""
        answer = await alice.ask_send([BOB], content_type=ctype, attachment="a", related_mid=1)
        assert answer.refused(10002, "content_type")
        assert await alice.history(BOB) == []

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("value", ["true", 1, "x", 0, [True]])
    async def test_online_only_is_a_boolean(self, alice: Caller, value: object) -> None:
        """Nothing but true and false says which it is."""
        assert (await alice.ask_send([BOB], online_only=value)).refused(10002, "online_only")


class TestTargets:
    """To whom."""

    async def test_one_is_answered_with_its_id(self, alice: Caller) -> None:
        """`msg_ids` is there with exactly one target, beside `data`."""
        answer = await alice.ask_send([BOB])
        assert answer.envelope == {
            "code": 200,
            "message": None,
            "data": True,
            "msg_ids": [await self._newest(alice)],
        }

    async def _newest(self, alice: Caller) -> int:
        newest: int = (await alice.page(BOB))["messages"][0]["msg_id"]
        return newest

    async def test_many_are_answered_without_ids(self, alice: Caller) -> None:
        """More than one target: a plain yes."""
        assert (await alice.ask_send([BOB, CAROL])).done

    async def test_repeated_ones_count_once(self, alice: Caller, bob: Caller) -> None:
        """One target named three times is one target: one message, one id."""
        answer = await alice.ask_send([BOB, str(BOB), float(BOB)])
        assert len(answer.envelope["msg_ids"]) == 1
        assert await bob.history(ALICE) == ["hi"]

    async def test_none(self, alice: Caller) -> None:
        """An empty list is refused by name."""
        assert (await alice.ask_send([])).refused(10002, "targets")

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("targets", [BOB, str(BOB), {}, "x", [[BOB]], [None], [{}]])
    async def test_are_a_list_of_ids(self, alice: Caller, targets: object) -> None:
        """Anything else is refused by name."""
        assert (await alice.ask_send(targets)).refused(10002, "targets")

    async def test_a_thousand(self, alice: Caller, node: Node) -> None:
        """1,000 targets are sent to at once, repeats not counted."""
        assert (await alice.ask_send([*range(1000, 2000), *range(1000, 2000)])).done
        assert node.rows("SELECT count(*) FROM message") == [(1000,)]

    async def test_above_a_thousand(self, alice: Caller, node: Node) -> None:
        """1,001 are refused, the limit is named, and nobody is sent to."""
        assert (await alice.ask_send([*range(1000, 2001)])).refused(10002, "targets", "1000")
        assert node.rows("SELECT count(*) FROM message") == [(0,)]

    async def test_oneself(self, alice: Caller) -> None:
        """A message to oneself is one message."""
        await alice.send(ALICE, "note")
        assert await alice.history(ALICE) == ["note"]

    async def test_unknown_users_come_into_being(self, alice: Caller, node: Node) -> None:
        """In an open app a message makes its receiver."""
        await alice.send(4711)
        assert await (await node.user(4711)).history(ALICE) == ["hi"]

    async def test_unknown_users_of_a_registered_app(self, node: Node) -> None:
        """Where registration is required, an unknown receiver is refused by id, with 10000."""
        await node.gateway.directory.create_app("strict", registered=True)
        admin = await node.admin("strict")
        assert (await admin.ask_send([4711])).refused(10000, "4711")

    async def test_groups_as_users(self, alice: Caller) -> None:
        """A group's id with type 1 is the wrong kind."""
        group = await alice.group()
        assert (await alice.ask_send([group])).refused(10002, "targets", str(group))

    async def test_users_as_groups(self, alice: Caller) -> None:
        """A user's id with type 2 is no group."""
        await alice.send(BOB)
        assert (await alice.ask_send([BOB], type=2)).refused(20001, str(BOB))

    async def test_unknown_groups(self, alice: Caller) -> None:
        """A group that is not there is refused by id."""
        assert (await alice.ask_send([4711], type=2)).refused(20001, "4711")

    async def test_groups_of_others(self, alice: Caller, bob: Caller) -> None:
        """A group one is not in is refused by id."""
        group = await bob.group()
        assert (await alice.ask_send([group], type=2)).refused(20002, str(group))

    async def test_the_reserved_user(self, alice: Caller, admin: Caller) -> None:
        """`system` has no timeline: it receives nothing, not even from itself."""
        assert (await alice.ask_send([admin.xid])).refused(10010, "targets")
        assert (await admin.ask_send([admin.xid])).refused(10010, "targets")

    async def test_one_bad_group_refuses_all(self, alice: Caller, bob: Caller) -> None:
        """Of three groups the one that refuses is named, and the other two got nothing."""
        mine, foreign, last = await alice.group(), await bob.group(), await alice.group()
        assert (await alice.ask_send([mine, foreign, last], type=2)).refused(20002, str(foreign))
        assert [await alice.history(xid) for xid in (mine, last)] == [[], []]

    async def test_one_bad_user_refuses_all(self, alice: Caller, node: Node) -> None:
        """Of three users one is a group: nothing is half done, and nobody came into being."""
        group = await alice.group()
        assert (await alice.ask_send([4711, group, 4712])).refused(10002, str(group))
        assert await alice.unread() == []
        assert node.rows("SELECT count(*) FROM timeline WHERE xid IN (4711, 4712)") == [(0,)]


class TestSenders:
    """From whom."""

    async def test_the_principal_by_default(self, alice: Caller, bob: Caller) -> None:
        """Without `from_user_id` it is whoever speaks, and REST is device 0."""
        await alice.send(BOB)
        [item] = (await bob.page(ALICE))["messages"]
        assert (item["from_xid"]["uid"], item["from_xid"]["device_sn"]) == (ALICE, 0)

    async def test_a_user_may_name_itself_only(self, alice: Caller) -> None:
        """A user token with another sender is 10010."""
        assert (await alice.ask_send([BOB], from_user_id=ALICE)).data is True
        assert (await alice.ask_send([BOB], from_user_id=CAROL)).refused(10010, "from_user_id")

    async def test_an_admin_alone_may_name_anybody(self, admin: Caller, alice: Caller) -> None:
        """It sends as any user, and the message is in that user's history."""
        await admin.send(BOB, from_user_id=ALICE)
        assert await alice.history(BOB) == ["hi"]

    async def test_an_admin_alone_is_system(self, admin: Caller, bob: Caller) -> None:
        """Without a sender it is the reserved user."""
        await admin.send(BOB)
        [item] = (await bob.page(admin.xid))["messages"]
        assert item["from_xid"]["uid"] == admin.xid

    async def test_an_admin_for_a_user_may_name_that_user_only(self, node: Node) -> None:
        """With `user_id` anybody else is 10010, `system` too."""
        acting = await node.admin(user_id=ALICE)
        assert (await acting.ask_send([BOB], from_user_id=ALICE)).data is True
        for other in (CAROL, (await node.admin()).xid):
            assert (await acting.ask_send([BOB], from_user_id=other)).refused(10010)

    async def test_an_admin_for_a_group_may_name_its_owner_only(self, node: Node, alice: Caller) -> None:
        """With `group_id` the sender is the group's owner."""
        group = await alice.group(BOB)
        acting = await node.admin(group_id=group)
        await acting.tell(group, from_user_id=ALICE)
        assert (await acting.ask_send([group], type=2, from_user_id=BOB)).refused(10010)
        [item] = (await alice.page(group))["messages"]
        assert item["from_xid"]["uid"] == ALICE

    async def test_a_group_does_not_send(self, admin: Caller, alice: Caller) -> None:
        """A group's id is no sender."""
        group = await alice.group()
        assert (await admin.ask_send([BOB], from_user_id=group)).refused(10002, "from_user_id")

    async def test_an_unknown_sender_of_a_registered_app(self, node: Node) -> None:
        """Where registration is required, the sender must be there, too."""
        await node.gateway.directory.create_app("strict", registered=True)
        admin = await node.admin("strict")
        user = (await admin.post("/user/register/v2", {"username": "u", "password": "p"})).data["user_id"]
        assert (await admin.ask_send([user], from_user_id=4711)).refused(10000, "4711")

    async def test_an_admin_is_in_no_group(self, admin: Caller, alice: Caller) -> None:
        """`system` is no member: as itself it cannot send to a group, as a member it can."""
        group = await alice.group(BOB)
        assert (await admin.ask_send([group], type=2)).refused(20002)
        assert await admin.tell(group, from_user_id=BOB)

    async def test_both_verbs(self, alice: Caller, bob: Caller) -> None:
        """PUT sends as POST does."""
        assert (await alice.call("PUT", "/message/send", order([BOB], "by PUT"))).data is True
        assert await bob.history(ALICE) == ["by PUT"]
