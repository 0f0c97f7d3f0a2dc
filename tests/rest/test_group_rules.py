"""Bans, blocks, roles, settings and requests of groups over the wire (vendors.md §1.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.domain.limits import Limits
from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, open_node

DAVE = 121


def result(xid: int, why: str = "") -> dict[str, Any]:
    return {"user_id": xid, "result": "fail" if why else "success", "reason": why}


@pytest.fixture
async def group(alice: Caller, carol: Caller) -> int:
    """Alice's group, with Bob; Carol is an administrator of it."""
    made = await alice.group(BOB, CAROL)
    assert (await alice.change("admin/add", made, CAROL)).data == [result(CAROL)]
    assert carol.xid == CAROL
    return made


async def set_to(caller: Caller, setting: str, group: int, /, **told: object) -> None:
    answer = await caller.call("PUT", f"/group/settings/{setting}", {"group_id": group, **told})
    assert answer.data is not None


class TestBans:
    """Members who may not speak."""

    async def test_they_read_but_do_not_speak(
        self, group: int, alice: Caller, bob: Caller, carol: Caller
    ) -> None:
        """A banned member's send is refused by 10010, and everything else goes on."""
        assert (await carol.post("/group/ban", {"group_id": group, "user_list": [BOB]})).data == [result(BOB)]
        assert (await bob.ask_send([group], type=2)).refused(10010, str(BOB), str(group))
        await alice.tell(group, "told")
        assert await bob.history(group) == ["told"]
        assert (await bob.ack(conversation_id=group)).done
        assert (await carol.change("unban", group, BOB)).data == [result(BOB)]
        await bob.tell(group)

    async def test_on_the_device_channel(self, group: int, alice: Caller, bob: Caller) -> None:
        """A banned member's device hears the group and is refused in it, in the middle of a connection."""
        async with bob.device(1) as device:
            await device.hear("live")
            send = {"type": 2, "targets": [group], "content_type": 0, "content": "hi"}
            assert (await device.ask("send", **send))["op"] == "ok"
            await alice.post("/group/ban", {"group_id": group, "user_list": [BOB], "duration": 5})
            refused = await device.ask("send", **send)
            assert (refused["op"], refused["code"]) == ("error", 10010)
            await alice.tell(group, "told")
            assert (await device.hear("message"))[-1]["message"]["content"] == "told"

    async def test_for_so_long(self, group: int, alice: Caller, bob: Caller) -> None:
        """The list says until when, in ms; -1 stands for good, and all of them for nothing else."""
        for minutes, good in ((5, False), (0, True), (-1, True), (None, True), ("7", False)):
            body = {"group_id": group, "user_list": [BOB], "duration": minutes}
            assert (await alice.post("/group/ban", body)).data == [result(BOB)]
            [told] = (await bob.get("/group/banned_list", group_id=group)).data
            assert set(told) == {"user_id", "join_time", "expired_time", "display_name"}
            assert (told["expired_time"] == -1) is good
            if not good:
                assert 0 < told["expired_time"] - told["join_time"] < 8 * 60_000
        for wrong in (-2, 10**11 + 1, "x", 1.5, True):
            body = {"group_id": group, "user_list": [BOB], "duration": wrong}
            assert (await alice.post("/group/ban", body)).refused(10002, "duration")

    async def test_ban_all(self, group: int, alice: Caller, bob: Caller, carol: Caller) -> None:
        """Owner and administrators speak; the group tells until when, in seconds."""
        told = await carol.post("/group/settings/ban_all", {"group_id": group, "duration": 5})
        ends = told.data["ban_expire_time"]
        info = (await bob.get("/group/info", group_id=group)).data
        assert info["ban_expire_time"] == ends
        assert 0 < ends - info["update_timestamp"] // 1000 <= 300
        assert (await bob.ask_send([group], type=2)).refused(10010)
        for speaker in (alice, carol):
            await speaker.tell(group)
        assert (await carol.change("settings/unban_all", group)).done
        assert (await bob.get("/group/info", group_id=group)).data["ban_expire_time"] == 0
        await bob.tell(group)

    async def test_admins_that_speak_for_users(self, group: int, alice: Caller, admin: Caller) -> None:
        """Are judged as the users; what they notify is not judged."""
        await alice.change("ban", group, BOB)
        assert (await admin.ask_send([group], type=2, from_user_id=BOB)).refused(10010)
        await admin.notify(group, type=2, from_user_id=BOB)

    async def test_bans_survive_a_restart(self, tmp_path: Path) -> None:
        """And leaving, too."""
        async with open_node(tmp_path) as node:
            alice, bob = await node.users(ALICE, BOB)
            group = await alice.group(BOB)
            await alice.change("ban", group, BOB)
            await bob.change("leave", group)
            await alice.change("invite", group, BOB)
        async with open_node(tmp_path) as node:
            bob = await node.user(BOB)
            assert (await bob.ask_send([group], type=2)).refused(10010)


class TestBlocks:
    """Users who may not be in a group."""

    async def test_who_is_inside_is_kicked_live(self, group: int, alice: Caller, bob: Caller) -> None:
        """The device hears it as it hears every kick, and nothing of the group after it."""
        async with bob.device(1) as device:
            await device.hear("live")
            assert (await alice.change("block", group, BOB)).data == [result(BOB)]
            told = (await device.hear("group"))[-1]
            assert (told["action"], told["group_id"], told["user_ids"]) == ("kicked", group, [BOB])
            await alice.tell(group, "secret")
            await alice.send(BOB, "last")
            assert "secret" not in str(await device.hear("message"))
        assert (await bob.get("/group/user_joined")).data == []

    async def test_they_do_not_come_back(self, group: int, alice: Caller, bob: Caller) -> None:
        """Not by invitation (told per user), not by applying (20018)."""
        await alice.change("block", group, BOB, DAVE)
        answer = await alice.change("invite", group, BOB, DAVE)
        assert answer.data == [result(xid, "the user is blocked by the group") for xid in (BOB, DAVE)]
        assert (await bob.change("apply", group)).refused(20018)
        told = (await alice.get("/group/blocked_list", group_id=group)).data
        assert [item["user_id"] for item in told] == [BOB, DAVE]
        assert (await alice.call("DELETE", "/group/unblock", {"group_id": group, "user_list": [BOB]})).data
        assert (await alice.change("invite", group, BOB)).data == [result(BOB)]

    async def test_so_many(self, tmp_path: Path) -> None:
        """A list has its limit, and says so per user."""
        async with open_node(tmp_path, Limits(group_blocks_max=1)) as node:
            alice = await node.user(ALICE)
            group = await alice.group()
            answer = await alice.change("block", group, BOB, CAROL)
            assert answer.data == [result(BOB), result(CAROL, "the list is full")]


class TestRoles:
    """Owner and administrators."""

    async def test_recalls(self, group: int, alice: Caller, bob: Caller, carol: Caller, node: Node) -> None:
        """Owner and administrators recall anybody's message, whenever; members only their own, in time."""
        said = [await speaker.tell(group) for speaker in (alice, bob, alice)]
        node.rows("UPDATE message SET at = at - 90000000")
        node.rows("UPDATE hour SET hour = hour - 25")
        assert (await bob.recall(group, said[0])).refused(10010)
        assert (await bob.recall(group, said[1])).refused(60002)
        for who, msg_id in ((carol, said[0]), (carol, said[1]), (alice, said[2])):
            assert (await who.recall(group, msg_id)).done
        await alice.change("admin/remove", group, CAROL)
        assert (await carol.recall(group, await alice.tell(group))).refused(10010)

    async def test_transfer(self, group: int, alice: Caller, bob: Caller) -> None:
        """To a member only (20005); who gave it away is a member, and may leave then."""
        for heir, code in ((DAVE, 20005), (group, 20005), ("x", 10002), (None, 10002)):
            body = {"group_id": group, "new_owner": heir}
            assert (await alice.post("/group/transfer", body)).refused(code, "new_owner")
        told = await alice.call("PUT", "/group/transfer", {"group_id": group, "new_owner": BOB})
        assert told.data == result(BOB)
        assert (await bob.get("/group/info", group_id=group)).data["owner_id"] == BOB
        assert (await alice.change("destroy", group)).refused(20013)
        assert (await bob.change("leave", group)).refused(20004)
        assert (await alice.change("leave", group)).done

    async def test_the_header_speaks_for_the_new_owner(self, group: int, alice: Caller, node: Node) -> None:
        """An admin with `group_id` is whoever owns the group now."""
        as_owner = await node.admin(group_id=group)
        assert (await as_owner.post("/group/transfer", {"group_id": group, "new_owner": BOB})).data
        assert (await alice.change("destroy", group)).refused(20013)
        msg_id = await as_owner.tell(group)
        page = await as_owner.page(group)
        assert (page["messages"][0]["msg_id"], page["messages"][0]["from_xid"]["uid"]) == (msg_id, BOB)


class TestSettings:
    """What a group is called, and what is allowed in it."""

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("name", ["name", "avatar", "description", "ext"])
    async def test_names(self, group: int, carol: Caller, bob: Caller, name: str) -> None:
        """Byte for byte; `value` is required and bounded."""
        for value in ("ü\n", ""):
            assert (await carol.post(f"/group/info/{name}", {"group_id": group, "value": value})).done
            assert (await bob.get("/group/info", group_id=group)).data[name] == value
        for wrong in (None, 5, "x" * 16_385, "a\0b"):
            body = {"group_id": group, "value": wrong}
            assert (await carol.post(f"/group/info/{name}", body)).refused(10002, "value")

    async def test_several_at_once(self, group: int, alice: Caller) -> None:
        """By the names they are told by; none of them changes the rest."""
        told = {"apply_approval": 2, "invite_confirm": True, "member_invite": True, "history_visible": True}
        before = (await alice.get("/group/settings", group_id=group)).data
        assert (await alice.post("/group/settings", {"group_id": group, **told})).done
        after = (await alice.get("/group/settings", group_id=group)).data
        assert {name: after[name] for name in told} == told
        differ = {name for name in after if after[name] != before[name]}
        assert differ <= {*told, "update_timestamp", "updated_at"}

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("path", "wrong", "named"),
        [
            ("settings", {}, "group_id"),
            ("settings", {"apply_approval": 3}, "apply_approval"),
            ("settings", {"history_visible": 1}, "history_visible"),
            ("settings/history_visible", {}, "value"),
            ("settings/enable_read_ack", {"value": "true"}, "value"),
            ("settings/require_admin_approval", {}, "apply_approval"),
            ("settings/ban_all", {"duration": "x"}, "duration"),
        ],
    )
    async def test_what_cannot_be(
        self, group: int, alice: Caller, path: str, wrong: dict[str, object], named: str
    ) -> None:
        """It is refused by name, and nothing changes."""
        before = (await alice.get("/group/settings", group_id=group)).data
        assert (await alice.post(f"/group/{path}", {"group_id": group, **wrong})).refused(10002, named)
        assert (await alice.get("/group/settings", group_id=group)).data == before

    async def test_a_new_group_may_be_told_them(self, alice: Caller) -> None:
        """`create` takes what settings take."""
        told = {"ext": "e", "apply_approval": 0, "invite_confirm": True, "read_ack": False}
        made = (await alice.post("/group/create", told)).data
        assert {name: made[name] for name in told} == told
        for wrong in ({"apply_approval": 9}, {"ext": "x" * 16_385}, {"read_ack": "no"}):
            assert (await alice.post("/group/create", wrong)).refused(10002, *wrong)

    async def test_history_that_is_visible(self, group: int, alice: Caller, node: Node) -> None:
        """Who joins from then on pages back to the start; it counts as read, and no device is sent it."""
        await alice.tell(group, "old")
        await set_to(alice, "history_visible", group, value=True)
        dave = await node.user(DAVE)
        await alice.change("invite", group, DAVE)
        assert await dave.history(group) == ["old"]
        assert await dave.unread() == [(group, 0)]
        async with dave.device(1) as device:
            assert "old" not in str(await device.hear("live"))
            await alice.tell(group, "new")
            assert (await device.hear("message"))[-1]["message"]["content"] == "new"
        assert await dave.unread() == [(group, 1)]
        await set_to(alice, "history_visible", group, value=False)
        assert await dave.history(group) == ["new", "old"]

    async def test_reads_that_are_not_told(self, group: int, alice: Caller, bob: Caller) -> None:
        """The sender's device hears nothing of a READ there, but the status is READ, and elsewhere it is told."""
        await set_to(alice, "enable_read_ack", group, value=False)
        msg_id = await alice.tell(group)
        direct = await alice.send(BOB)
        async with alice.device(1) as device:
            await device.hear("live")
            assert (await bob.ack(conversation_id=group)).done
            assert (await bob.ack(msg_id=direct)).done
            assert [frame["msg_id"] for frame in await device.hear("receipt")] == [direct]
        assert await alice.statuses(group) == ["READ"]
        await set_to(alice, "enable_read_ack", group, value=True)
        msg_id = await alice.tell(group)
        async with alice.device(1) as device:
            await device.hear("live")
            assert (await bob.ack(conversation_id=group)).done
            assert [frame["msg_id"] for frame in await device.hear("receipt")] == [msg_id]

    async def test_several_groups(self, group: int, alice: Caller, bob: Caller) -> None:
        """Those that one may see, with the owner by both names."""
        public = await alice.group(kind=1)
        own = await alice.group()
        asked = {"group_list": [own, str(public), group, public]}
        told = (await bob.post("/group/info/batch", asked)).data
        assert [(item["group_id"], item["owner"], item["owner_id"]) for item in told] == [
            (xid, ALICE, ALICE) for xid in (public, group)
        ]
        single = (await bob.get("/group/info", group_id=public)).data
        assert {**single, "owner": ALICE} == told[0]
        for wrong in (None, [], ["x"], [*range(1, 102)]):
            assert (await bob.post("/group/info/batch", {"group_list": wrong})).refused(10002, "group_list")


class TestRequests:
    """Applications and invitations."""

    async def test_an_application(self, group: int, alice: Caller, carol: Caller, node: Node) -> None:
        """Filed, listed, approved; the device of who applied hears that it is in, live."""
        dave = await node.user(DAVE)
        async with dave.device(1) as device:
            await device.hear("live")
            assert (await dave.post("/group/apply", {"group_id": group, "reason": "r"})).data == result(DAVE)
            [told] = (await carol.post("/group/application_list", {"group_list": [group]})).data
            assert (told["applicant_id"], told["reason"], told["status"]) == (DAVE, "r", 0)
            body = {"group_id": group, "user_id": DAVE, "approval": True}
            assert (await carol.post("/group/apply/handle", body)).data == result(DAVE)
            frame = (await device.hear("group"))[-1]
            assert (frame["action"], frame["group_id"]) == ("joined", group)
        assert (await carol.post("/group/apply/handle", body)).refused(20014)
        assert (await dave.change("apply", group)).refused(20017)
        assert DAVE in await alice.members(group)

    async def test_an_invitation(self, group: int, alice: Caller, node: Node) -> None:
        """Where who is invited decides."""
        assert (await alice.post("/group/settings", {"group_id": group, "invite_confirm": True})).done
        invite = {"group_id": group, "user_list": [DAVE], "reason": "come"}
        assert (await alice.post("/group/invite", invite)).data == [result(DAVE)]
        dave = await node.user(DAVE)
        [told] = (await dave.get("/group/invitation_list")).data
        assert (told["group_id"], told["inviter_id"], told["invitee_id"]) == (group, ALICE, DAVE)
        assert (await dave.get("/group/info", group_id=group)).refused(20002)
        handle = {"group_id": group, "user_id": ALICE, "approval": False}
        assert (await dave.post("/group/invite/handle", handle)).done
        assert (await dave.post("/group/invite/handle", handle | {"approval": True})).refused(20015)
        await alice.post("/group/invite", invite)
        assert (await dave.post("/group/invite/handle", handle | {"approval": True})).done
        assert DAVE in await alice.members(group)

    @pytest.mark.parametrize("path", ["apply/handle", "invite/handle"])
    async def test_what_cannot_be(self, group: int, alice: Caller, path: str) -> None:
        """Each member is required, and of its type."""
        good = {"group_id": group, "user_id": BOB, "approval": True}
        for name, wrong in (("group_id", None), ("user_id", 0), ("approval", None), ("approval", 1)):
            assert (await alice.post(f"/group/{path}", good | {name: wrong})).refused(10002, name)
        assert (await alice.post(f"/group/{path}", good | {"group_id": 4711})).refused(20001)

    async def test_lists(self, group: int, alice: Caller) -> None:
        """Pages that cannot be, and lists of nothing, are refused by name."""
        for query in ({"cursor": "x"}, {"limit": 0}):
            for verb, path, body in (
                ("POST", "/group/application_list", {"group_list": [group]}),
                ("GET", "/group/invitation_list", None),
                ("GET", "/group/public_list", None),
            ):
                assert (await alice.call(verb, path, body, **query)).refused(10002, *query)
        wrong: tuple[dict[str, object], ...] = ({}, {"group_list": []}, {"group_id": "x"})
        for named in wrong:
            assert (await alice.post("/group/application_list", named)).refused(10002, "group_list")

    async def test_too_many(self, tmp_path: Path) -> None:
        """20009."""
        async with open_node(tmp_path, Limits(group_requests_max=1)) as node:
            alice, bob, carol = await node.users(ALICE, BOB, CAROL)
            group = await alice.group()
            assert (await bob.change("apply", group)).code == 200
            assert (await carol.change("apply", group)).refused(20009)
