"""Chatrooms by REST: `type` 2 of `/group/*`, and `type` 2 with a chatroom's id of `/message/*` (vendors.md §1.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.domain.limits import Limits
from tests import shapes
from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, open_node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A gateway with small chatrooms, whose store keeps the laws, whatever a test did with it."""
    limits = Limits(room_history_max=4, rooms_per_user_max=2)
    async with open_node(tmp_path / "data", limits) as opened:
        yield opened
        assert shapes.check(opened.folder) == []


@pytest.fixture
async def room(alice: Caller) -> int:
    """A chatroom of Alice's."""
    return await alice.group(kind=2)


class TestGroup:
    """`/group/*` of a chatroom."""

    async def test_create(self, alice: Caller) -> None:
        """It has an owner and nobody in it."""
        told = (await alice.post("/group/create", {"type": 2, "name": "r", "user_list": [ALICE]})).data
        assert (told["type"], told["owner_id"], told["count"], told["user_list"]) == (2, ALICE, 0, [])

    async def test_create_with_members(self, alice: Caller) -> None:
        """A chatroom has none."""
        assert (await alice.post("/group/create", {"type": 2, "user_list": [BOB]})).refused(
            10002, "user_list"
        )

    async def test_so_many(self, alice: Caller, bob: Caller) -> None:
        """Each user owns so many; destroying one makes room."""
        rooms = [await alice.group(kind=2) for _ in range(2)]
        assert (await alice.post("/group/create", {"type": 2})).refused(20008)
        await bob.group(kind=2)
        assert (await alice.change("destroy", rooms[0])).done
        await alice.group(kind=2)

    async def test_it_is_nobodys_group(self, alice: Caller, bob: Caller, room: int) -> None:
        """The list of one's groups has no chatrooms; anybody sees it, and nobody is in it."""
        assert (await alice.get("/group/user_joined")).data == []
        assert (await bob.get("/group/info", group_id=room)).data["count"] == 0
        assert await bob.members(room) == []

    @pytest.mark.parametrize(("what", "users"), [("invite", [BOB]), ("leave", [])])
    async def test_no_members_come_and_go(
        self, alice: Caller, room: int, what: str, users: list[int]
    ) -> None:
        """Devices join and leave it; a yes to these would be a lie."""
        assert (await alice.change(what, room, *users)).refused(10002, "chatroom")

    async def test_kick(self, alice: Caller, bob: Caller, carol: Caller, room: int) -> None:
        """The owner puts out who is in it now; nobody else may."""
        async with bob.device(1) as device:
            await device.hear("live")
            assert (await device.ask("join", room_id=room))["op"] == "ok"
            assert await carol.members(room) == [BOB]
            assert (await carol.change("kick", room, BOB)).refused(20012)
            told = (await alice.change("kick", room, BOB, CAROL, ALICE)).data
            assert [(item["user_id"], item["result"]) for item in told] == [
                (BOB, "success"),
                (CAROL, "fail"),
                (ALICE, "fail"),
            ]
            assert (await device.hear("group"))[-1]["action"] == "kicked"
            assert await carol.members(room) == []

    async def test_block(self, alice: Caller, bob: Caller, carol: Caller, room: int) -> None:
        """Whoever is kept out is put out, joins no more, neither sends nor reads; and may come again."""
        async with bob.device(1) as device:
            await device.hear("live")
            assert (await device.ask("join", room_id=room))["op"] == "ok"
            first = await bob.tell(room, transaction_id=1)
            assert (await alice.change("block", room, BOB)).data == [
                {"user_id": BOB, "result": "success", "reason": ""}
            ]
            assert (await device.hear("group"))[-1]["action"] == "kicked"
            assert (await device.ask("join", room_id=room))["code"] == 20018
            assert (await bob.ask_send([room], type=2)).refused(20018)
            assert await bob.tell(room, transaction_id=1) == first
            assert (await bob.get("/message/conversation", opposite_id=room)).refused(20018)
            assert await carol.history(room) == ["hi"]
            assert await carol.members(room) == []
            assert (await alice.change("unblock", room, BOB)).code == 200
            assert (await device.ask("join", room_id=room))["op"] == "ok"
            await bob.tell(room)

    async def test_ban(self, alice: Caller, bob: Caller, room: int) -> None:
        """Whoever is banned listens, and does not speak; in a chatroom where all are, its owner does."""
        async with bob.device(1) as device:
            await device.hear("live")
            assert (await alice.change("ban", room, BOB)).data[0]["result"] == "success"
            assert (await bob.ask_send([room], type=2)).refused(10010)
            assert (await device.ask("join", room_id=room))["op"] == "ok"
            await alice.tell(room, "heard")
            assert (await device.hear("message"))[-1]["message"]["content"] == "heard"

    async def test_signals_reach_who_is_in_it(self, alice: Caller, bob: Caller, room: int) -> None:
        """And nobody else: signals are of who is connected, as a chatroom is."""
        async with alice.device(1) as typing, bob.device(1) as device:
            for one in (typing, device):
                await one.hear("live")
            assert (await device.ask("join", room_id=room))["op"] == "ok"
            assert (await typing.ask("signal", type=2, target=room, content="..."))["op"] == "ok"
            assert (await device.hear("signal"))[-1]["conversation_id"] == room

    async def test_destroy(self, alice: Caller, bob: Caller, room: int) -> None:
        """By its owner, once; then it is no group any more."""
        await bob.tell(room)
        assert (await bob.change("destroy", room)).refused(20013)
        for _ in range(2):
            assert (await alice.change("destroy", room)).done
        assert (await bob.ask_send([room], type=2)).refused(20001)
        assert (await bob.get("/message/conversation", opposite_id=room)).refused(20001)

    async def test_the_administrator(self, admin: Caller, room: int) -> None:
        """May do what the owner may."""
        assert (await admin.change("destroy", room)).done


class TestMessages:
    """`/message/*` of a chatroom."""

    async def test_anybody_sends(self, node: Node, room: int) -> None:
        """Its owner, strangers, the administrator for itself and for others, a notification, a user just made."""
        alice, bob = await node.users(ALICE, BOB)
        admin = await node.admin()
        ids = [await alice.tell(room, "1"), await bob.tell(room, "2"), await admin.tell(room, "3")]
        ids.append(await admin.tell(room, "4", from_user_id=777))
        ids.append(await admin.notify(room, "5", type=2))
        assert ids == sorted(ids)
        assert await bob.history(room) == ["5", "4", "3", "2", "1"]

    async def test_with_groups_in_one_send(self, alice: Caller, bob: Caller, room: int) -> None:
        """All or none, as ever."""
        mine, foreign = await alice.group(), await bob.group()
        assert (await alice.ask_send([room, foreign], type=2)).refused(20002)
        assert (await alice.ask_send([room, mine], type=2)).done
        assert await bob.history(room) == ["hi"]

    async def test_a_transaction_executes_once(self, bob: Caller, room: int) -> None:
        """For as long as its message is kept; afterwards it is a new send."""
        first = await bob.tell(room, transaction_id=5)
        assert await bob.tell(room, transaction_id=5) == first
        assert (await bob.ask_send([room], "other", type=2, transaction_id=5)).refused(60001)
        for _ in range(12):
            await bob.tell(room)
        assert await bob.tell(room, transaction_id=5) > first

    async def test_history_is_what_is_kept(self, alice: Caller, bob: Caller, room: int) -> None:
        """The newest, page by page, for anybody; nothing older."""
        for number in range(1, 13):
            await alice.tell(room, str(number))
        page = await bob.page(room, limit=3)
        assert [item["content"] for item in page["messages"]] == ["12", "11", "10"]
        rest = await bob.page(room, msg_id_start=page["next_msg_id"])
        assert [item["content"] for item in rest["messages"]] == ["9"]
        assert rest["is_last"] is True

    async def test_nobody_has_read_it(self, alice: Caller, bob: Caller, room: int) -> None:
        """READ is answered and stores nothing; nobody's list has it."""
        msg_id = await alice.tell(room)
        for query in (
            {"conversation_id": room},
            {"msg_id": msg_id},
            {"conversation_id": room, "msg_id": msg_id},
        ):
            assert (await bob.ack(**query)).done
        assert await alice.statuses(room) == await bob.statuses(room) == ["UNREAD"]
        assert await alice.unread() == await bob.unread() == []

    async def test_it_cannot_be_hidden(self, bob: Caller, room: int) -> None:
        """There is nothing of one user's that could be."""
        await bob.tell(room)
        assert (await bob.delete(room)).refused(10002, "conversation_id")

    async def test_recall(self, node: Node, room: int) -> None:
        """By sender, owner and administrator; a stranger may not; what is gone is unknown."""
        alice, bob, carol = await node.users(ALICE, BOB, CAROL)
        admin = await node.admin()
        ids = [await bob.tell(room, str(number)) for number in range(3)]
        assert (await carol.recall(room, ids[0])).refused(10010)
        for caller, msg_id in zip((bob, alice, admin), ids, strict=True):
            assert (await caller.recall(room, msg_id)).done
        assert await bob.history(room) == []
        old = await bob.tell(room)
        for _ in range(8):
            await bob.tell(room)
        assert (await bob.recall(room, old)).refused(60003)

    async def test_who_is_kept_out_is_told_so(self, alice: Caller, bob: Caller, room: int) -> None:
        """By every call alike: nobody is a member of a chatroom, so that it would say nothing."""
        msg_id = await bob.tell(room)
        assert (await alice.change("block", room, BOB)).data[0]["result"] == "success"
        for answer in (
            await bob.ask_send([room], type=2),
            await bob.get("/message/conversation", opposite_id=room),
            await bob.get("/group/info", group_id=room),
            await bob.get("/message/readers", msg_id=msg_id),
            await bob.recall(room, msg_id),
        ):
            assert answer.refused(20018, str(room))

    async def test_as_its_owner(self, node: Node, room: int) -> None:
        """An administrator with its id in the header acts for its owner, there only."""
        owner = await node.admin("demo", group_id=room)
        assert (await owner.ask_send([room], "owner", type=2)).data is True
        assert (await owner.page(room))["messages"][0]["from_xid"]["uid"] == ALICE
        assert await owner.unread() == []

    async def test_other_apps_see_nothing(self, node: Node, room: int) -> None:
        """Its id means nothing there."""
        await node.gateway.directory.create_app("other")
        stranger = await node.user(BOB, "other")
        assert (await stranger.ask_send([room], type=2)).refused(20001)
        assert await stranger.history(room) == []
