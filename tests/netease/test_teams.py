"""Teams and their members, as a backend makes and changes them (netease.md, Siblings)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.domain.limits import Limits
from tests.netease.stage import Answer, Cloud
from tests.rest.stage import Json

PEOPLE = ("ann", "bob", "eve", "zoe")


async def team(cloud: Cloud, *members: str, kind: int = 1, **more: object) -> int:
    """A team of Ann's."""
    asked = {
        "owner_account_id": "ann",
        "team_type": kind,
        "name": "Team",
        "invite_account_ids": members,
        **more,
    }
    told = (await cloud.post("/v2.1/teams", asked)).data
    assert told["failed_list"] == []
    xid: int = told["team_info"]["team_id"]
    return xid


async def invite(cloud: Cloud, team_id: object, *accounts: str, by: str = "ann", **more: object) -> Answer:
    asked = {"operator_id": by, "team_id": team_id, "team_type": 1, "invite_account_ids": accounts, **more}
    return await cloud.post("/v2/team_members", asked)


async def kick(cloud: Cloud, team_id: object, *accounts: str, by: str = "ann") -> Answer:
    query = f"operator_id={by}&team_id={team_id}&team_type=1&kick_account_ids={','.join(accounts)}"
    return await cloud.delete(f"/v2/team_members/actions/kick_member?{query}")


async def leave(cloud: Cloud, team_id: object, account: str) -> Answer:
    query = f"account_id={account}&team_id={team_id}&team_type=1"
    return await cloud.delete(f"/v2/team_members/actions/leave?{query}")


async def mute(
    cloud: Cloud, team_id: object, *accounts: str, by: str = "ann", banned: object = True
) -> Answer:
    asked = {
        "operator_id": by,
        "team_id": team_id,
        "team_type": 1,
        "chat_ban_account_ids": accounts,
        "chat_banned": banned,
    }
    return await cloud.patch("/v2/team_members/actions/batch_mute", asked)


def told(answer: Answer) -> tuple[list[str], list[tuple[str, int]]]:
    """Who succeeded, and who failed with which code."""
    data = answer.data
    assert all(failed["error_msg"] for failed in data["failed_list"])
    return data["success_list"], [
        (failed["account_id"], failed["error_code"]) for failed in data["failed_list"]
    ]


async def members(cloud: Cloud, team_id: int, *among: str) -> list[str]:
    """Who of these is in a team."""
    found = await (await cloud.phone("ann")).members(team_id)
    return [name for name in among if await cloud.xid(name) in found]


class TestMaking:
    """`POST /im/v2.1/teams`."""

    @pytest.mark.parametrize("kind", [1, 2])
    async def test_what_the_sdk_sends(self, cloud: Cloud, kind: int) -> None:
        """Advanced or super, it is a group with all it says of itself, and the invited are in it at once."""
        asked = {
            "owner_account_id": "Ann",
            "team_type": kind,
            "name": "Team",
            "icon": "https://example.com/i",
            "announcement": "Welcome",
            "intro": "What it is about",
            "members_limit": "200",
            "server_extension": "{}",
            "customer_extension": "dropped",
            "invite_account_ids": ["bob", "BOB", "eve", "ann"],
            "invite_msg": "Come",
            "configuration": {"join_mode": 1, "agree_mode": 0, "invite_mode": 0},
        }
        made = (await cloud.post("/v2.1/teams", asked)).data
        info = made["team_info"]
        assert made["failed_list"] == []
        assert info == {
            "team_id": info["team_id"],
            "team_type": kind,
            "name": "Team",
            "owner_account_id": "ann",
            "member_count": 3,
            "members_limit": 200,
            "create_time": info["create_time"],
            "update_time": info["update_time"],
            "icon": "https://example.com/i",
            "announcement": "Welcome",
            "intro": "What it is about",
            "server_extension": "{}",
        }
        path = f"/v2.1/teams/{info['team_id']}?team_type={kind}"
        assert (await cloud.get(path)).data == {"team_info": info}
        assert await members(cloud, info["team_id"], *PEOPLE) == ["ann", "bob", "eve"]

    async def test_no_team_is_larger_than_a_group(self, cloud: Cloud) -> None:
        """Whatever it asks for, it is told what holds."""
        asked = {"owner_account_id": "ann", "name": "Team", "members_limit": 10**9}
        info = (await cloud.post("/v2.1/teams", asked)).data["team_info"]
        assert info["members_limit"] == Limits().group_members_max

    async def test_who_cannot_be_invited(self, cloud: Cloud) -> None:
        """Is named with the reason, and the team is made all the same."""
        asked = {"owner_account_id": "ann", "name": "Team", "invite_account_ids": ["system", "a|b", "bob"]}
        made = (await cloud.post("/v2.1/teams", asked)).data
        assert [(one["account_id"], one["error_code"]) for one in made["failed_list"]] == [
            ("system", 102404),
            ("a|b", 102404),
        ]
        assert (made["team_info"]["member_count"], made["team_info"]["team_type"]) == (2, 1)

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("asked", "code", "sentence"),
        [
            ({"name": None}, 414, "name: "),
            ({"name": ""}, 414, "name: "),
            ({"name": "n" * 4097}, 414, "name: "),
            ({"owner_account_id": None}, 414, "owner_account_id: "),
            ({"owner_account_id": "system"}, 403, "owner_account_id: "),
            ({"owner_account_id": "a|b"}, 102404, "owner_account_id: "),
            ({"team_type": 3}, 414, "team_type: "),
            ({"members_limit": 0}, 414, "members_limit: "),
            ({"announcement": 1}, 414, "announcement: "),
            ({"configuration": 1}, 414, "configuration: "),
            ({"invite_account_ids": "bob"}, 414, "invite_account_ids: "),
            ({"invite_account_ids": [f"a{n}" for n in range(1001)]}, 414, "invite_account_ids: "),
        ],
    )
    async def test_what_may_not_be(self, cloud: Cloud, asked: Json, code: int, sentence: str) -> None:
        """The member is named, and there is no team."""
        good = {"owner_account_id": "ann", "name": "Team"}
        assert (await cloud.post("/v2.1/teams", good | asked)).refused(code, sentence)
        assert (await (await cloud.phone("ann")).get("/group/user_joined")).data == []


class TestChanging:
    """`PATCH` and `DELETE /im/v2.1/teams/{id}`."""

    @pytest.mark.parametrize("verb", ["PATCH", "PUT"])
    async def test_members_that_are_not_said_stay(self, cloud: Cloud, verb: str) -> None:
        """What is told of it changes; what is not kept changes nothing."""
        path = f"/v2.1/teams/{await team(cloud, 'bob', intro='First', announcement='Old')}"
        before = (await cloud.get(path)).data["team_info"]
        asked = {"operator_id": "ann", "team_type": 2, "name": "Renamed", "announcement": "New"}
        after = (await cloud.call(verb, path, asked)).data["team_info"]
        changed = {name for name in before if before[name] != after[name]}
        assert changed - {"update_time"} == {"team_type", "name", "announcement"}
        asked = {"operator_id": "ann", "configuration": {"join_mode": 2}}
        assert (await cloud.call(verb, path, asked)).data["team_info"]["name"] == "Renamed"

    async def test_who_may(self, cloud: Cloud) -> None:
        """The operator, by the rights it has in the team; nobody else's name will do."""
        path = f"/v2.1/teams/{await team(cloud, 'bob')}"
        for operator, code in (("bob", 403), ("eve", 102404), (None, 414)):
            assert (await cloud.patch(path, {"operator_id": operator, "name": "N"})).refused(code)
            query = f"operator_id={operator}" if operator else ""
            assert (await cloud.delete(f"{path}?{query}")).refused(code)
        await cloud.xid("eve")
        assert (await cloud.patch(path, {"operator_id": "eve", "name": "N"})).refused(109404)
        assert (await cloud.delete(f"{path}?operator_id=eve")).refused(109404)
        assert (await cloud.patch(path, {"operator_id": "ann", "name": ""})).refused(414, "name: ")
        assert (await cloud.get(path)).data["team_info"]["name"] == "Team"

    async def test_the_end(self, cloud: Cloud) -> None:
        """Devices are told; again it is a success, and nothing else finds it."""
        team_id = await team(cloud, "bob")
        path = f"/v2.1/teams/{team_id}"
        async with (await cloud.phone("bob")).device(1) as device:
            await device.hear("live")
            for _ in range(2):
                assert (await cloud.delete(f"{path}?operator_id=ann&team_type=1")).data == {}
            assert (await device.hear("group"))[-1]["action"] == "destroyed"
        assert (await cloud.get(path)).refused(108404)
        assert (await cloud.patch(path, {"operator_id": "ann", "name": "N"})).refused(108404)
        assert (await invite(cloud, team_id, "bob")).refused(108404)

    async def test_what_is_no_team(self, cloud: Cloud) -> None:
        """A number that is nobody's, a user's, a chatroom's; what is no number is no team's either."""
        ann = await cloud.phone("ann")
        for number in (7, ann.xid, await ann.group(kind=2)):
            path = f"/v2.1/teams/{number}"
            assert (await cloud.get(path)).refused(108404)
            assert (await cloud.patch(path, {"operator_id": "ann", "name": "N"})).refused(108404)
            assert (await cloud.delete(f"{path}?operator_id=ann")).refused(108404)
            for answer in (
                await invite(cloud, number, "bob"),
                await invite(cloud, number, "system"),
                await kick(cloud, number, "ann"),
                await leave(cloud, number, "ann"),
                await mute(cloud, number, "ann"),
            ):
                assert answer.refused(108404)
        for text in ("x", "0", "-1", "1.0", "9" * 17):
            assert (await cloud.get(f"/v2.1/teams/{text}")).refused(414, "team_id: ")
            assert (await invite(cloud, text, "bob")).refused(414, "team_id: ")
            assert (await kick(cloud, text, "bob")).refused(414, "team_id: ")


class TestMembers:
    """`/im/v2/team_members`."""

    async def test_whoever_is_invited_is_in_it(self, cloud: Cloud) -> None:
        """At once, made by that where need be; whoever is in it already, too."""
        team_id = await team(cloud, "bob")
        async with (await cloud.phone("eve")).device(1) as device:
            await device.hear("live")
            answer = await invite(cloud, str(team_id), "Eve", "bob", "zoe", "eve", "a|b", msg="Come")
            assert told(answer) == (["eve", "bob", "zoe"], [("a|b", 102404)])
            frame = (await device.hear("group"))[-1]
            assert (frame["action"], frame["group_id"]) == ("joined", team_id)
        assert await members(cloud, team_id, *PEOPLE) == list(PEOPLE)

    async def test_whatever_the_group_wants(self, cloud: Cloud) -> None:
        """Where those invited decide, and members invite, whom the backend invites is in it; others are asked."""
        team_id, ann, zoe = await team(cloud), await cloud.phone("ann"), await cloud.xid("zoe")
        asked = {"group_id": team_id, "invite_confirm": True, "member_invite": True}
        assert (await ann.post("/group/settings", asked)).code == 200
        assert told(await invite(cloud, team_id, "bob")) == (["bob"], [])
        assert told(await invite(cloud, team_id, "eve", by="bob")) == (["eve"], [])
        assert (await ann.change("invite", team_id, zoe)).code == 200
        assert await members(cloud, team_id, *PEOPLE) == ["ann", "bob", "eve"]

    async def test_who_is_kept_out(self, cloud: Cloud) -> None:
        """By the group, which stays so."""
        team_id, ann = await team(cloud), await cloud.phone("ann")
        await ann.change("block", team_id, await cloud.xid("bob"))
        assert told(await invite(cloud, team_id, "bob", "eve")) == (["eve"], [("bob", 403)])

    async def test_who_is_put_out(self, cloud: Cloud) -> None:
        """Each by itself: not the owner, and not who is not there."""
        team_id = await team(cloud, "bob", "eve")
        await cloud.xid("zoe")
        answer = await kick(cloud, team_id, "bob", "ann", "zoe", "nobody")
        assert told(answer) == (["bob"], [("ann", 403), ("zoe", 109404), ("nobody", 102404)])
        assert told(await kick(cloud, team_id, "bob")) == ([], [("bob", 109404)])
        assert await members(cloud, team_id, *PEOPLE) == ["ann", "eve"]

    async def test_who_leaves(self, cloud: Cloud) -> None:
        """By itself; again and from outside it is a success, and the owner stays."""
        team_id = await team(cloud, "bob")
        await cloud.xid("eve")
        for account in ("bob", "BOB", "eve"):
            assert (await leave(cloud, team_id, account)).data == {}
        assert (await leave(cloud, team_id, "ann")).refused(403)
        assert (await leave(cloud, team_id, "zoe")).refused(102404)
        assert await members(cloud, team_id, *PEOPLE) == ["ann"]

    async def test_who_is_muted(self, cloud: Cloud) -> None:
        """Reads, and does not speak until no longer muted; again is a success."""
        team_id, bob = await team(cloud, "bob", "eve"), await cloud.phone("bob")
        await cloud.xid("zoe")
        for _ in range(2):
            assert told(await mute(cloud, team_id, "bob", "zoe", "ann")) == (
                ["bob"],
                [("zoe", 109404), ("ann", 403)],
            )
        assert (
            await bob.post("/message/send", {"type": 2, "targets": [team_id], "content_type": 0})
        ).code != 200
        for _ in range(2):
            assert told(await mute(cloud, team_id, "bob", banned=False)) == (["bob"], [])
        await bob.tell(team_id, "again")

    @pytest.mark.parametrize("by", ["bob", "zoe", "nobody", "", "system"])
    async def test_who_may(self, cloud: Cloud, by: str) -> None:
        """The owner, here: not a member, a stranger, or nobody, also where all that are named are nobody."""
        team_id = await team(cloud, "bob", "eve")
        await cloud.xid("zoe")
        code = {"bob": 403, "zoe": 109404, "nobody": 102404, "": 414, "system": 403}[by]
        for call in (invite, kick, mute):
            assert (await call(cloud, team_id, "eve", by=by)).refused(code)
            if by != "bob":
                assert (await call(cloud, team_id, "a|b", by=by)).refused(code)
        assert await members(cloud, team_id, *PEOPLE) == ["ann", "bob", "eve"]

    @pytest.mark.parametrize("accounts", [(), tuple(f"a{n}" for n in range(1001))])
    async def test_how_many(self, cloud: Cloud, accounts: Sequence[str]) -> None:
        """Somebody, and at most a thousand; nobody is made by asking."""
        team_id = await team(cloud)
        for call, member in ((invite, "invite"), (mute, "chat_ban")):
            assert (await call(cloud, team_id, *accounts)).refused(414, f"{member}_account_ids: ")
        assert (await kick(cloud, team_id, *accounts)).refused(414, "kick_account_ids: ")
        assert (await cloud.get("/v2/accounts/a0")).refused(102404)

    async def test_what_is_not_said(self, cloud: Cloud) -> None:
        """Whether to mute, and a type that there is."""
        team_id = await team(cloud, "bob")
        assert (await mute(cloud, team_id, "bob", banned=None)).refused(414, "chat_banned: ")
        assert (await mute(cloud, team_id, "bob", banned="true")).refused(414, "chat_banned: ")
        assert (await invite(cloud, team_id, "eve", team_type=3)).refused(414, "team_type: ")
        assert (await cloud.get(f"/v2.1/teams/{team_id}?team_type=x")).refused(414, "team_type: ")
        assert (await cloud.delete("/v2/team_members/actions/leave?account_id=bob")).refused(414, "team_id: ")
        assert (await leave(cloud, team_id, "")).refused(414, "account_id: ")
