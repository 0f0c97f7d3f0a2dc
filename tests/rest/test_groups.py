"""The calls of `/group/*` (vendors.md §1.3, §1.4; lanying.md, users, tokens, groups)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.domain.limits import Limits
from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, open_node


def result(xid: int, why: str = "") -> dict[str, Any]:
    return {"user_id": xid, "result": "fail" if why else "success", "reason": why}


class TestCreate:
    """POST /group/create."""

    async def test_answers_the_group(self, alice: Caller) -> None:
        """All that was asked for is told, and who came to be in it."""
        asked = {
            "name": "ü",
            "description": "d",
            "avatar": "a",
            "type": "1",
            "user_list": [BOB, str(CAROL), BOB],
        }
        told = (await alice.post("/group/create", asked)).data
        assert {name: told[name] for name in ("name", "description", "avatar", "type")} == {
            "name": "ü",
            "description": "d",
            "avatar": "a",
            "type": 1,
        }
        assert (told["owner_id"], told["count"], told["capacity"]) == (ALICE, 3, 5000)
        assert told["user_list"] == [result(BOB), result(CAROL)]

    async def test_everything_is_optional(self, alice: Caller) -> None:
        """An empty object makes a private group of oneself."""
        told = (await alice.post("/group/create", {})).data
        assert (told["type"], told["count"], told["name"]) == (0, 1, "")

    async def test_ids_are_of_the_one_space(self, alice: Caller) -> None:
        """Its id is no user's, and counts up."""
        first, second = await alice.group(), await alice.group()
        assert 10**12 < first < second
        assert (await alice.ask_send([first])).refused(10002)

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("kind", [3, -1, "x", 1.5, True])
    async def test_types_that_are_not_there(self, alice: Caller, kind: object) -> None:
        """Temporary groups are refused by name."""
        assert (await alice.post("/group/create", {"type": kind})).refused(10002, "type")

    async def test_users_that_cannot_be(self, alice: Caller, admin: Caller) -> None:
        """Each is told why, and the others are in."""
        other = await alice.group()
        told = (await alice.post("/group/create", {"user_list": [other, admin.xid, BOB]})).data
        assert [item["result"] for item in told["user_list"]] == ["fail", "fail", "success"]
        assert all(item["reason"] for item in told["user_list"][:2])
        assert await alice.members(told["group_id"]) == [ALICE, BOB]

    async def test_limits(self, alice: Caller) -> None:
        """At most 1,000 users a call, and names are bounded; the limit is named."""
        assert (await alice.post("/group/create", {"user_list": [*range(1, 1002)]})).refused(
            10002, "user_list", "1000"
        )
        assert (await alice.post("/group/create", {"name": "x" * 4097})).refused(10002, "name", "4096")

    async def test_an_admin_names_the_owner(self, node: Node, admin: Caller) -> None:
        """`system` owns nothing; with `user_id` the user does."""
        assert (await admin.post("/group/create", {})).refused(10002, "user_id")
        acting = await node.admin(user_id=BOB)
        assert (await acting.post("/group/create", {})).data["owner_id"] == BOB

    async def test_too_many_groups(self, tmp_path: Path) -> None:
        """One may be in so many, and no more: of one's own it is refused, of others one is left out."""
        async with open_node(tmp_path, Limits(groups_per_user_max=2)) as node:
            alice, bob = await node.users(ALICE, BOB)
            for _ in range(2):
                await alice.group()
            assert (await alice.post("/group/create", {})).refused(20008, "2")
            told = (await bob.post("/group/create", {"user_list": [ALICE]})).data
            assert told["user_list"][0]["result"] == "fail"

    async def test_too_many_members(self, tmp_path: Path) -> None:
        """Who no longer fits is told so, one by one."""
        async with open_node(tmp_path, Limits(group_members_max=2)) as node:
            alice = await node.user(ALICE)
            told = (await alice.post("/group/create", {"user_list": [BOB, CAROL]})).data
            assert told["user_list"] == [result(BOB), result(CAROL, "the group is full")]
            answer = await alice.change("invite", told["group_id"], CAROL)
            assert answer.data == [result(CAROL, "the group is full")]


class TestLooking:
    """Info, members, and one's own groups."""

    async def test_info(self, alice: Caller, bob: Caller) -> None:
        """Members see what the owner was told."""
        told = (await alice.post("/group/create", {"name": "n", "user_list": [BOB]})).data
        seen = (await bob.get("/group/info", group_id=told["group_id"])).data
        assert seen == {name: value for name, value in told.items() if name != "user_list"}

    async def test_info_of_others(self, alice: Caller, bob: Caller, admin: Caller) -> None:
        """Strangers see public groups only; admins all."""
        private, public = await alice.group(), await alice.group(kind=1)
        assert (await bob.get("/group/info", group_id=private)).refused(20002)
        assert (await bob.get("/group/info", group_id=public)).code == 200
        assert (await admin.get("/group/info", group_id=private)).code == 200

    @pytest.mark.parametrize("path", ["info", "member_list"])
    async def test_unknown(self, alice: Caller, path: str) -> None:
        """20001, and so is a user's id."""
        for xid in (4711, ALICE):
            assert (await alice.get(f"/group/{path}", group_id=xid)).refused(20001)

    async def test_members_by_pages(self, alice: Caller) -> None:
        """Each page has the cursor of the next, and everyone comes once, by rising id."""
        group = await alice.group(*range(1, 8))
        seen: list[list[int]] = []
        cursor = ""
        while not seen or cursor:
            told = (await alice.get("/group/member_list", group_id=group, cursor=cursor, limit=3)).envelope
            assert set(told) == {"code", "message", "data", "cursor", "version"}
            seen.append([member["user_id"] for member in told["data"]])
            cursor = told["cursor"]
        assert seen == [[1, 2, 3], [4, 5, 6], [7, ALICE]]

    async def test_a_member(self, alice: Caller) -> None:
        """A member is told with the time of joining, in ms."""
        group = await alice.group()
        [member] = (await alice.get("/group/member_list", group_id=group)).data
        assert set(member) == {"user_id", "join_time", "display_name"}
        assert member["join_time"] > 1_700_000_000_000

    async def test_the_version_rises(self, alice: Caller) -> None:
        """Each change of who is in it raises `version`."""
        group = await alice.group()
        before = (await alice.get("/group/member_list", group_id=group)).envelope["version"]
        await alice.change("invite", group, BOB)
        assert (await alice.get("/group/member_list", group_id=group)).envelope["version"] > before

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("name", "wrong"), [("limit", 0), ("limit", "x"), ("cursor", "x"), ("cursor", "-1")]
    )
    async def test_pages_that_cannot_be(self, alice: Caller, name: str, wrong: object) -> None:
        """They are refused by name."""
        group = await alice.group()
        assert (await alice.get("/group/member_list", group_id=group, **{name: wrong})).refused(10002, name)

    async def test_the_page_is_bounded(self, alice: Caller) -> None:
        """At most 1,000 members, whatever limit is asked for."""
        group = await alice.group(*range(1000, 2000))
        told = (await alice.get("/group/member_list", group_id=group, limit=10**18)).envelope
        assert len(told["data"]) == 1000
        assert told["cursor"]

    async def test_user_joined(self, alice: Caller, bob: Caller) -> None:
        """One's groups, owned or not, and none that one has left."""
        own, other, left = await alice.group(), await bob.group(ALICE), await bob.group(ALICE)
        assert (await alice.change("leave", left)).done
        assert (await alice.get("/group/user_joined")).data == [own, other]

    async def test_system_joined_nothing(self, admin: Caller) -> None:
        """The reserved user is in no group."""
        assert (await admin.get("/group/user_joined")).data == []


class TestChanging:
    """Invite, kick, leave, destroy: who may, and what is answered."""

    @pytest.fixture
    async def group(self, alice: Caller) -> int:
        return await alice.group(BOB)

    async def test_invite(self, group: int, alice: Caller) -> None:
        """Per user, in the order named, members included, each once."""
        answer = await alice.change("invite", group, CAROL, BOB, CAROL)
        assert answer.data == [result(CAROL), result(BOB)]
        assert await alice.members(group) == [ALICE, BOB, CAROL]

    async def test_invite_by_members(self, group: int, bob: Caller, alice: Caller) -> None:
        """In a private group the owner and administrators invite, in a public one every member."""
        assert (await bob.change("invite", group, CAROL)).refused(20012)
        public = (await alice.post("/group/create", {"type": 1, "user_list": [BOB]})).data["group_id"]
        assert (await bob.change("invite", public, CAROL)).data == [result(CAROL)]

    @pytest.mark.parametrize("what", ["invite", "kick", "destroy"])
    async def test_by_strangers(self, group: int, carol: Caller, what: str) -> None:
        """20002."""
        users = () if what == "destroy" else (BOB,)
        assert (await carol.change(what, group, *users)).refused(20002)

    async def test_by_members(self, group: int, bob: Caller) -> None:
        """An administrator could put somebody out, only the owner could end it."""
        assert (await bob.change("kick", group, ALICE)).refused(20012)
        assert (await bob.change("destroy", group)).refused(20013)

    async def test_kick(self, group: int, alice: Caller) -> None:
        """Per user: who was in it is out, who was not is told so, the owner stays."""
        answer = await alice.change("kick", group, BOB, CAROL, ALICE)
        assert [item["result"] for item in answer.data] == ["success", "fail", "fail"]
        assert await alice.members(group) == [ALICE]

    async def test_kick_by_delete(self, group: int, alice: Caller) -> None:
        """The other verb does the same."""
        body = {"group_id": group, "user_list": [BOB]}
        assert (await alice.call("DELETE", "/group/kick", body)).data == [result(BOB)]

    async def test_leave(self, group: int, bob: Caller) -> None:
        """A yes, also when one is out already."""
        for _ in range(2):
            assert (await bob.change("leave", group)).done
        assert (await bob.get("/group/user_joined")).data == []

    async def test_leave_by_query(self, group: int, bob: Caller) -> None:
        """DELETE names the group in the query where it has no body."""
        assert (await bob.call("DELETE", "/group/leave", group_id=group)).done
        assert (await bob.get("/group/user_joined")).data == []

    async def test_the_owner_cannot_leave(self, group: int, alice: Caller) -> None:
        """20004, and it is still there."""
        assert (await alice.change("leave", group)).refused(20004)
        assert await alice.members(group) == [ALICE, BOB]

    async def test_destroy(self, group: int, alice: Caller, bob: Caller) -> None:
        """It is gone for all, and a repeat is a yes."""
        for _ in range(2):
            assert (await alice.change("destroy", group)).done
        assert (await bob.get("/group/user_joined")).data == []
        assert (await bob.get("/group/info", group_id=group)).refused(20001)
        assert (await bob.ask_send([group], type=2)).refused(20001)

    async def test_destroy_by_delete(self, group: int, alice: Caller) -> None:
        """The other verb does the same."""
        assert (await alice.call("DELETE", "/group/destroy", group_id=group)).done
        assert (await alice.get("/group/info", group_id=group)).refused(20001)

    async def test_admins_may_everything(self, group: int, admin: Caller) -> None:
        """An admin alone invites, kicks and destroys in any group."""
        assert (await admin.change("invite", group, CAROL)).data == [result(CAROL)]
        assert (await admin.change("kick", group, CAROL)).data == [result(CAROL)]
        assert (await admin.change("destroy", group)).done

    @pytest.mark.parametrize("what", ["invite", "kick"])
    async def test_nobody_and_too_many(self, group: int, alice: Caller, what: str) -> None:
        """1 to 1,000 users, and ids are ids."""
        for users in (None, [], [*range(1, 1002)], [0], ["x"], BOB):
            body = {"group_id": group, "user_list": users}
            assert (await alice.post(f"/group/{what}", body)).refused(10002, "user_list")

    @pytest.mark.parametrize("what", ["invite", "kick", "leave", "destroy"])
    async def test_of_nothing(self, alice: Caller, what: str) -> None:
        """Without a group it is refused by name, an unknown one is 20001."""
        users = {"user_list": [BOB]}
        assert (await alice.post(f"/group/{what}", users)).refused(10002, "group_id")
        assert (await alice.post(f"/group/{what}", users | {"group_id": 4711})).refused(20001)

    async def test_unknown_users_of_a_registered_app(self, node: Node) -> None:
        """Where registration is required, who is not there is told as such, and the rest is done."""
        await node.gateway.directory.create_app("strict", registered=True)
        admin = await node.admin("strict")
        ids = [
            (await admin.post("/user/register/v2", {"username": name, "password": "p"})).data["user_id"]
            for name in ("u", "v")
        ]
        owner = await node.user(ids[0], "strict")
        told = (await owner.post("/group/create", {"user_list": [4711, ids[1]]})).data["user_list"]
        assert told == [result(4711, "there is no such user"), result(ids[1])]
