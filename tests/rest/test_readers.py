"""`GET /message/readers`: who has read a group's message. Not the vendor's call but ours."""

from __future__ import annotations

import pytest

from tests.rest.stage import BOB, CAROL, Answer, Caller, Node


async def readers(caller: Caller, msg_id: int, **query: object) -> Answer:
    return await caller.get("/message/readers", msg_id=msg_id, **query)


@pytest.fixture
async def group(alice: Caller) -> int:
    return await alice.group(BOB, CAROL)


class TestWhatItSays:
    """Names and numbers."""

    async def test_who_has_and_who_has_not(
        self, group: int, alice: Caller, bob: Caller, carol: Caller
    ) -> None:
        """Members around the message but its sender; a later member is not among them."""
        msg_id = await bob.tell(group)
        assert (await alice.change("invite", group, 4711)).data
        assert (await readers(bob, msg_id)).data == {"read": 0, "unread": 2, "readers": []}
        assert (await carol.ack(msg_id=msg_id)).done
        assert (await bob.ack(msg_id=msg_id)).done
        assert (await readers(bob, msg_id)).data == {"read": 1, "unread": 1, "readers": [{"user_id": CAROL}]}

    async def test_pages(self, node: Node, alice: Caller) -> None:
        """By rising id; `cursor` fetches the next one, and the counts are of all."""
        group = await alice.group(*range(1, 6))
        msg_id = await alice.tell(group)
        for xid in range(5, 0, -1):
            assert (await (await node.user(xid)).ack(conversation_id=group)).done
        found, cursor = [], ""
        for _ in range(3):
            answer = await readers(alice, msg_id, cursor=cursor, limit=2)
            assert (answer.data["read"], answer.data["unread"]) == (5, 0)
            found.append([reader["user_id"] for reader in answer.data["readers"]])
            cursor = answer.envelope["cursor"]
        assert (found, cursor) == ([[1, 2], [3, 4], [5]], "")
        assert (await readers(alice, msg_id, limit=99_999)).envelope["cursor"] == ""


class TestWhoMayAsk:
    """The sender, the owner, an admin."""

    async def test_those(self, group: int, node: Node, alice: Caller, bob: Caller, admin: Caller) -> None:
        """An admin also as the owner, of that group only."""
        msg_id = await bob.tell(group)
        for caller in (alice, bob, admin, await node.admin(group_id=group)):
            assert (await readers(caller, msg_id)).data["unread"] == 2
        other = await node.admin(group_id=await alice.group())
        assert (await readers(other, msg_id)).refused(10010, "msg_id")

    async def test_a_groups_admin(self, group: int, node: Node, bob: Caller, carol: Caller) -> None:
        """Whom the owner has made one."""
        msg_id = await bob.tell(group)
        node.rows("UPDATE stay SET admin = 1 WHERE usr = (SELECT id FROM timeline WHERE xid = ?)", CAROL)
        assert (await readers(carol, msg_id)).data["unread"] == 2

    async def test_another_member_and_a_stranger(
        self, group: int, node: Node, bob: Caller, carol: Caller
    ) -> None:
        """10010 and 20002."""
        msg_id = await bob.tell(group)
        assert (await readers(carol, msg_id)).refused(10010)
        assert (await readers(await node.user(4711), msg_id)).refused(20002)

    async def test_where_reads_are_not_told(
        self, group: int, node: Node, alice: Caller, admin: Caller
    ) -> None:
        """10010, for an admin too."""
        msg_id = await alice.tell(group)
        node.rows("UPDATE grp SET read_ack = 0")
        for caller in (alice, admin):
            assert (await readers(caller, msg_id)).refused(10010, "read")


class TestWhich:
    """A group's message."""

    async def test_not_one_between_users(
        self, alice: Caller, bob: Caller, carol: Caller, admin: Caller
    ) -> None:
        """10002 for its parties and admins; for others it is not there."""
        msg_id = await alice.send(BOB)
        for caller in (alice, bob, admin):
            assert (await readers(caller, msg_id)).refused(10002, "msg_id")
        assert (await readers(carol, msg_id)).refused(60003)

    async def test_unknown(self, alice: Caller, group: int) -> None:
        """60003; 20001 where its group has ended; 10002 where no id is given."""
        assert (await readers(alice, 4711)).refused(60003)
        msg_id = await alice.tell(group)
        assert (await alice.change("destroy", group)).done
        assert (await readers(alice, msg_id)).refused(20001)
        for value in ("", 0, "x"):
            assert (await alice.get("/message/readers", msg_id=value)).refused(10002, "msg_id")

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("query", [{"cursor": "x"}, {"cursor": "9" * 17}, {"limit": 0}, {"limit": -1}])
    async def test_bad_pages(self, alice: Caller, group: int, query: dict[str, object]) -> None:
        """10002, named."""
        msg_id = await alice.tell(group)
        [name] = query
        assert (await readers(alice, msg_id, **query)).refused(10002, name)
