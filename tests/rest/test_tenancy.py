"""Two apps with the same ids for everything: neither sees or touches what is the other's (design promise 7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, order

HERE, THERE = "demo", "other"


class World:
    """One app: Alice and Bob, whom she wrote to, a group of both, and an admin."""

    def __init__(self, alice: Caller, bob: Caller, admin: Caller) -> None:
        self.alice = alice
        self.bob = bob
        self.admin = admin
        self.group = self.msg_id = self.told = 0

    async def fill(self, word: str) -> None:
        self.group = await self.alice.group(BOB)
        self.msg_id = await self.alice.send(BOB, word, transaction_id=7)
        self.told = await self.alice.tell(self.group, word, transaction_id=8)
        assert (await self.alice.post("/user/profile", {"nick_name": word, "private_info": word})).done
        assert (await self.alice.post("/roster/block", user_id=CAROL)).done

    async def seen(self) -> object:
        """Everything that either of the two can see."""
        return [
            (await caller.get(path, **query)).envelope
            for caller in (self.alice, self.bob)
            for path, query in (
                ("/message/unread", {}),
                ("/message/conversation", {"opposite_id": BOB if caller is self.alice else ALICE}),
                ("/message/conversation", {"opposite_id": self.group}),
                ("/group/user_joined", {}),
                ("/group/info", {"group_id": self.group}),
                ("/group/member_list", {"group_id": self.group}),
                ("/user/profile", {}),
                ("/user/profile", {"user_id": ALICE}),
                ("/user/online_status", {}),
                ("/user/device/list", {}),
                ("/roster/blocked_list", {}),
                ("/roster/may_message", {"roster_id": CAROL}),
                ("/group/banned_list", {"group_id": self.group}),
                ("/group/blocked_list", {"group_id": self.group}),
                ("/group/admin_list", {"group_id": self.group}),
                ("/group/public_list", {}),
                ("/group/invitation_list", {}),
            )
        ]


@pytest.fixture
async def worlds(node: Node) -> tuple[World, World]:
    await node.gateway.directory.create_app(THERE)
    made = []
    for app_id, word in ((HERE, "here"), (THERE, "there")):
        alice, bob = await node.users(ALICE, BOB, app_id=app_id)
        world = World(alice, bob, await node.admin(app_id))
        await world.fill(word)
        made.append(world)
    here, there = made
    return here, there


async def test_the_ids_are_the_same(worlds: tuple[World, World]) -> None:
    """Users, groups and `system` have the same numbers in both: nothing below is kept apart by luck."""
    here, there = worlds
    assert (here.group, here.admin.xid) == (there.group, there.admin.xid)
    assert here.msg_id != there.msg_id


Try = Callable[[Caller, World], Awaitable[object]]
TRIES: dict[str, Try] = {
    "page": lambda who, theirs: who.page(BOB, msg_id_start=theirs.msg_id + 1),
    "page of the group": lambda who, theirs: who.get("/message/conversation", opposite_id=theirs.group),
    "recall": lambda who, theirs: who.recall(BOB, theirs.msg_id),
    "recall as its receiver": lambda who, theirs: who.recall(ALICE, theirs.msg_id),
    "recall in the group": lambda who, theirs: who.recall(theirs.group, theirs.told),
    "ack": lambda who, theirs: who.ack(msg_id=theirs.msg_id),
    "ack in the group": lambda who, theirs: who.ack(conversation_id=theirs.group, msg_id=theirs.told),
    "delete": lambda who, theirs: who.delete(BOB),
    "delete the group": lambda who, theirs: who.delete(theirs.group),
    "repeat": lambda who, theirs: who.ask_send([BOB], "mine", transaction_id=7),
    "notify": lambda who, theirs: who.post("/message/notify", order([theirs.group], type=2)),
    "invite": lambda who, theirs: who.change("invite", theirs.group, 4711),
    "kick": lambda who, theirs: who.change("kick", theirs.group, BOB),
    "leave": lambda who, theirs: who.change("leave", theirs.group),
    "ban": lambda who, theirs: who.change("ban", theirs.group, BOB),
    "block": lambda who, theirs: who.change("block", theirs.group, BOB),
    "admin": lambda who, theirs: who.change("admin/add", theirs.group, BOB),
    "ban all": lambda who, theirs: who.change("settings/ban_all", theirs.group),
    "apply": lambda who, theirs: who.change("apply", theirs.group),
    "transfer": lambda who, theirs: who.post("/group/transfer", {"group_id": theirs.group, "new_owner": BOB}),
    "rename": lambda who, theirs: who.post("/group/info/name", {"group_id": theirs.group, "value": "mine"}),
    "destroy": lambda who, theirs: who.change("destroy", theirs.group),
    "profile": lambda who, _: who.post("/user/profile", {"user_id": ALICE, "nick_name": "mine"}),
    "password": lambda who, _: who.post("/user/change_password", {"user_id": ALICE, "new_password": "mine"}),
    "disable": lambda who, _: who.call("PUT", "/user/disable", {"list": [ALICE, BOB]}),
    "kick devices": lambda who, _: who.post("/user/kick", user_id=ALICE),
    "remove": lambda who, _: who.post("/user/device/remove", user_id=ALICE, device_sn=1),
    "block user": lambda who, _: who.post("/roster/block", user_id=BOB if who.xid == ALICE else ALICE),
    "unblock": lambda who, _: who.post("/roster/unblock", user_id=CAROL),
}


@pytest.mark.parametrize("what", TRIES)
async def test_nothing_of_the_other_changes(worlds: tuple[World, World], what: str) -> None:
    """Whatever a user or admin of one app does with the numbers, the other app looks as before."""
    here, there = worlds
    before = await there.seen()
    for who in (here.bob, here.alice, here.admin):
        await TRIES[what](who, there)
    assert await there.seen() == before


@pytest.mark.parametrize("what", ["recall", "recall as its receiver", "recall in the group", "ack"])
async def test_messages_of_the_other_are_not_there(worlds: tuple[World, World], what: str) -> None:
    """A message of the other app is answered like one that never was."""
    here, there = worlds
    for who in (here.alice, here.bob, here.admin):
        answer = await TRIES[what](who, there)
        assert b'"code":60003' in answer.body  # type: ignore[attr-defined]


async def test_groups_of_the_other_are_not_there(worlds: tuple[World, World]) -> None:
    """A group that only the other app has is answered like one that never was."""
    here, there = worlds
    group = await there.alice.group(BOB)
    for who in (here.alice, here.admin):
        for path in ("/group/info", "/group/member_list"):
            assert (await who.get(path, group_id=group)).refused(20001)
        assert (await who.ask_send([group], type=2)).refused(20001)
        assert (await who.page(group))["messages"] == []
        assert (await who.change("leave", group)).refused(20001)
    acting = await here.alice.node.admin(HERE, group_id=group)
    assert (await acting.get("/message/unread")).refused(20001)


async def test_each_sees_its_own(worlds: tuple[World, World]) -> None:
    """Nobody finds a word of the other app."""
    for world, foreign in zip(worlds, ("there", "here"), strict=True):
        assert f"'{foreign}'" not in str(await world.seen())


async def test_tokens_are_of_their_app(worlds: tuple[World, World]) -> None:
    """Each token with the other app's id is forged."""
    for caller in (worlds[0].alice, worlds[0].admin):
        caller.headers["app_id"] = THERE
        assert (await caller.get("/message/unread")).refused(10008)


async def test_devices_get_their_own(worlds: tuple[World, World]) -> None:
    """A device of one app is sent nothing of the other's, live or replayed."""
    here, there = worlds
    async with here.bob.device(1) as device:
        frames = await device.hear("live")
        await there.alice.send(BOB, "there")
        await there.alice.tell(there.group, "there")
        await here.alice.send(BOB, "last")
        while not frames or frames[-1].get("message", {}).get("content") != "last":
            frames += await device.hear("message")
    assert "there" not in str(frames)


async def test_receipts_stay_in_their_app(worlds: tuple[World, World]) -> None:
    """Who reads in one app tells nobody in the other."""
    here, there = worlds
    async with here.alice.device(1) as device:
        await device.hear("live")
        assert (await there.bob.ack(msg_id=there.msg_id)).done
        assert (await here.bob.ack(msg_id=here.msg_id)).done
        assert [frame["msg_id"] for frame in await device.hear("receipt")] == [here.msg_id]


async def test_ids_given_count_for_themselves(worlds: tuple[World, World]) -> None:
    """What one app makes moves no counter of the other."""
    here, there = worlds
    for _ in range(3):
        await here.alice.group()
    assert await there.alice.group() == there.group + 1


async def test_devices_go_in_their_app_only(worlds: tuple[World, World]) -> None:
    """Freezing, kicking and removing end connections of one app's users, not those of the same number elsewhere."""
    here, there = worlds
    async with there.alice.device(1) as device:
        await device.hear("live")
        for what in ("kick devices", "remove", "password", "disable"):
            await TRIES[what](here.admin, there)
        assert (await device.ask("ping"))["op"] == "pong"
        assert (await there.alice.get("/user/online_status")).data == {"online": True}
    found = (await here.admin.get("/user/list")).data
    assert [(user["user_id"], user["status"]) for user in found] == [(ALICE, 1), (BOB, 1), (CAROL, 0)]
    assert {user["status"] for user in (await there.admin.get("/user/list")).data} == {0}


async def test_names_are_each_their_own(worlds: tuple[World, World], node: Node) -> None:
    """A name taken in one app is free in the other."""
    body = {"username": "ann", "password": "p"}
    for app_id in (HERE, THERE):
        assert (await node.caller(app_id).post("/user/register/v2", body)).code == 200
