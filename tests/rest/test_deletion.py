"""The end of an account over real sockets: who may, what is left, and what devices are told."""

from __future__ import annotations

from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node

GONE = 10008
NOBODY = 10000


async def finished(node: Node) -> None:
    """Wait until no job is left to do."""
    while jobs := await node.gateway.store.jobs():
        await node.gateway.jobs.follow(jobs[0], 100_000)


async def test_one_may_delete_oneself(node: Node, alice: Caller, bob: Caller) -> None:
    """From then on the token is no more good, and the texts go."""
    await alice.send(BOB, "mine")
    await bob.send(ALICE, "yours")
    assert (await alice.post("/user/delete")).done
    assert (await alice.get("/message/unread")).refused(GONE)
    await finished(node)
    assert await bob.history(ALICE) == ["yours"]
    assert (await bob.ask_send([ALICE])).refused(NOBODY, str(ALICE))


async def test_who_is_connected_is_told_to_go(node: Node, alice: Caller, bob: Caller) -> None:
    """Its devices are closed for good; a receiver that comes back is told `gone` in the text's place."""
    await alice.send(BOB, "mine")
    async with alice.device(1) as device:
        await device.hear("live")
        assert (await alice.post("/user/delete")).done
        assert (await device.hear("bye"))[-1]["code"] == 4500
    await finished(node)
    async with bob.device(2) as device:
        frames = await device.hear("live")
    assert [frame["reason"] for frame in frames if frame["op"] == "gone"] == ["erased"]
    assert not [frame for frame in frames if frame["op"] == "message"]
    assert (await alice.get("/message/unread")).refused(GONE)


async def test_nobody_deletes_others(node: Node, alice: Caller, admin: Caller) -> None:
    """But the app's administrator; not by acting for one and naming another, nor the reserved user."""
    assert (await alice.post("/user/delete", user_id=BOB)).refused(10010, "user_id")
    acting = await node.admin("demo", user_id=ALICE)
    assert (await acting.post("/user/delete", user_id=BOB)).refused(10010, "user_id")
    assert (await admin.post("/user/delete", user_id=admin.xid)).refused(10010, "reserved")
    assert (await admin.post("/user/delete")).refused(10002, "user_id")
    group = await alice.group()
    owner = await node.admin("demo", group_id=group)
    assert (await owner.post("/user/delete")).refused(10002, "group_id")
    assert (await admin.post("/user/delete", user_id=group)).refused(10002, "user_id")
    assert (await alice.get("/message/unread")).data == []
    assert (await acting.post("/user/delete")).done
    assert (await alice.get("/message/unread")).refused(GONE)


async def test_another_apps_user_is_not_there(node: Node, admin: Caller) -> None:
    """An id is of one app."""
    await node.gateway.directory.create_app("other")
    theirs = await node.user(CAROL, "other")
    assert (await admin.post("/user/delete", user_id=CAROL)).refused(NOBODY, str(CAROL))
    assert (await theirs.get("/message/unread")).data == []


async def test_a_group_is_inherited(node: Node, alice: Caller, bob: Caller, carol: Caller) -> None:
    """Its members are told who left; the texts of the one who made it are gone from its history."""
    group = await alice.group(BOB, CAROL)
    await alice.tell(group, "mine")
    await bob.tell(group, "yours")
    async with carol.device(1) as device:
        await device.hear("live")
        assert (await alice.post("/user/delete")).done
        [told] = [frame for frame in await device.hear("group") if frame["op"] == "group"]
    assert (told["action"], told["user_ids"], told["timeline"]) == ("left", [ALICE], f"g:{group}")
    await finished(node)
    assert (await bob.get("/group/info", group_id=group)).data["owner_id"] == BOB
    assert await carol.history(group) == ["yours"]
