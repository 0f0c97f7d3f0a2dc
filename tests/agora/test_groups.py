"""Groups as a backend keeps them, and what their rules do to devices (agora.md, Around them; vendors.md §3.7)."""

from __future__ import annotations

import pytest

from tests.agora.stage import Cloud
from tests.rest.stage import Device, Json

GONE = (404, "service_resource_not_found")
NOBODY = "no name!"
"""Can be no user's name, in whatever app."""


async def speaks(device: Device, group: str) -> bool:
    """Whether a device may write to a group."""
    told = await device.ask("send", type=2, targets=[int(group)], content_type=0, content="x")
    assert told["op"] in {"ok", "error"}
    return bool(told["op"] == "ok")


async def shown(cloud: Cloud, group: str) -> Json:
    [found] = (await cloud.get(f"/chatgroups/{group}/")).data
    told: Json = found
    return told


class TestGroup:
    """The group itself."""

    async def test_made_and_shown(self, cloud: Cloud) -> None:
        """With all that was said of it, member by member."""
        asked = {
            "groupname": "g", "desc": "d", "public": False, "maxusers": 10, "allowinvites": False,
            "members_only": True, "owner": "Ann", "members": ["bob"], "custom": "c",
        }  # fmt: skip
        data = (await cloud.post("/chatgroups/", asked)).data
        assert set(data) == {"groupid"}
        told = await shown(cloud, data["groupid"])
        assert told == {
            "id": data["groupid"], "name": "g", "description": "d", "membersonly": True, "allowinvites": False,
            "maxusers": 10, "owner": "ann", "created": told["created"], "custom": "c", "affiliations_count": 2,
            "affiliations": [{"member": "bob"}, {"owner": "ann"}], "public": False, "mute": False,
            "disabled": False,
        }  # fmt: skip

    @pytest.mark.parametrize("road", ["chatgroups", "chatrooms"])
    async def test_so_many_at_once(self, cloud: Cloud, road: str) -> None:
        """A hundred ids, each counted once; of more none is told, so that nobody takes a part for all."""
        group = await (cloud.group() if road == "chatgroups" else cloud.room())
        others = [str(number) for number in range(1, 100)]
        [told] = (await cloud.get(f"/{road}/{','.join([group, *others, group])}")).data
        assert told["id"] == group
        answer = await cloud.get(f"/{road}/{','.join([group, *others, '100'])}")
        assert answer.refused(400, "illegal_argument", "id: it must name at most 100")

    async def test_listed(self, cloud: Cloud) -> None:
        """By pages; several at once by a comma list, without those that are not there."""
        first, second = await cloud.group("bob"), await cloud.group(owner="bob")
        room = await cloud.room()
        told = (await cloud.get("/chatgroups?limit=1")).told
        assert told["data"] == [
            {
                "owner": "easy-org#demo-app_ann", "groupid": first, "affiliations": 2, "type": "group",
                "last_modified": told["data"][0]["last_modified"], "groupname": "g",
            }
        ]  # fmt: skip
        assert told["data"][0]["last_modified"].isdigit()
        more = (await cloud.get(f"/chatgroups?limit=1&cursor={told['cursor']}")).told
        assert [group["groupid"] for group in more["data"]] == [second]
        assert "cursor" not in more
        several = (await cloud.get(f"/chatgroups/{first},99,{second},{room}")).data
        assert {group["id"] for group in several} == {first, second}
        for nothing in ("99", room, "x"):
            assert (await cloud.get(f"/chatgroups/{nothing}")).refused(*GONE)
        joined = (await cloud.get("/users/ann/joined_chatgroups")).data
        assert joined == [{"groupid": first, "groupname": "g"}]

    async def test_changed(self, cloud: Cloud) -> None:
        """What was changed is told, by the words of POST too; what is empty or not named stays."""
        group = await cloud.group("bob")
        asked: Json = {"groupname": "h", "description": "d", "maxusers": 20}
        assert (await cloud.put(f"/chatgroups/{group}", asked)).data == dict.fromkeys(asked, True)
        asked = {"desc": "e", "members_only": True, "public": False}
        assert (await cloud.put(f"/chatgroups/{group}", asked)).data == {
            "description": True, "membersonly": True, "public": True,
        }  # fmt: skip
        told = await shown(cloud, group)
        assert told["public"] is False
        assert (told["name"], told["description"], told["maxusers"], told["membersonly"]) == (
            "h",
            "e",
            20,
            True,
        )
        asked = {"public": "", "membersonly": "", "allowinvites": None, "groupname": "i"}
        assert (await cloud.put(f"/chatgroups/{group}", asked)).status == 200
        assert await shown(cloud, group) == {**told, "name": "i"}
        assert (await cloud.put(f"/chatgroups/{group}", {"public": 1})).data == {"public": True}
        assert (await shown(cloud, group))["public"] is True

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"groupname": "g" * 129}, "groupname"),
            ({"description": "d" * 513}, "description"),
            ({"custom": "c" * 1025}, "custom"),
            ({"maxusers": 0}, "maxusers: it must be 1 to 5000"),
            ({"maxusers": 5_001}, "maxusers: it must be 1 to 5000"),
        ],
    )
    async def test_too_much(self, cloud: Cloud, asked: Json, said: str) -> None:
        """Is named."""
        group = await cloud.group()
        assert (await cloud.put(f"/chatgroups/{group}", asked)).refused(400, "illegal_argument", said)
        whole = {"groupname": "g", "owner": "ann", **asked}
        assert (await cloud.post("/chatgroups", whole)).refused(400, "illegal_argument", said)

    async def test_a_new_owner(self, cloud: Cloud) -> None:
        """Who may come into the group by that."""
        group = await cloud.group("bob")
        for owner in ("bob", "zoe"):
            assert (await cloud.put(f"/chatgroups/{group}", {"newowner": owner})).data == {"newowner": True}
            assert (await shown(cloud, group))["owner"] == owner

    async def test_ended(self, cloud: Cloud) -> None:
        """Once."""
        group = await cloud.group("bob")
        assert (await cloud.delete(f"/chatgroups/{group}")).data == {"success": True, "groupid": group}
        assert (await cloud.delete(f"/chatgroups/{group}")).refused(*GONE)

    async def test_an_announcement(self, cloud: Cloud) -> None:
        """Is kept, up to 512 characters."""
        group = await cloud.group()
        path = f"/chatgroups/{group}/announcement"
        assert (await cloud.post(path, {"announcement": "a" * 512})).data == {"id": group, "result": True}
        assert (await cloud.get(path)).data == {"announcement": "a" * 512}
        assert (await cloud.post(path, {"announcement": "a" * 513})).refused(400, "illegal_argument")


class TestMembers:
    """Who is in it."""

    async def test_pages(self, cloud: Cloud) -> None:
        """By number, the owner first."""
        path = f"/chatgroups/{await cloud.group('bob', 'cid')}/users"
        first = (await cloud.get(f"{path}?pagenum=1&pagesize=2")).told
        assert (first["data"], first["count"]) == ([{"owner": "ann"}, {"member": "bob"}], 2)
        assert (await cloud.get(f"{path}?pagenum=2&pagesize=2")).data == [{"member": "cid"}]

    async def test_added(self, cloud: Cloud) -> None:
        """One, or many: those who are in it then; who can be nobody is left out."""
        group = await cloud.group()
        path = f"/chatgroups/{group}/users"
        assert (await cloud.post(f"{path}/bob")).data == {
            "result": True, "groupid": group, "action": "add_member", "user": "bob",
        }  # fmt: skip
        assert (await cloud.post(path, {"usernames": ["cid", "dan", NOBODY]})).data == {
            "newmembers": ["cid", "dan"], "groupid": group, "action": "add_member",
        }  # fmt: skip
        assert (await cloud.post(f"{path}/no%20name!")).refused(*GONE)

    async def test_removed(self, cloud: Cloud) -> None:
        """One, or many by a comma list: each is told of, with the reason where it was not in the group."""
        group = await cloud.group("bob", "cid", "dan")
        path, told = f"/chatgroups/{group}/users", {"groupid": group, "action": "remove_member"}
        assert (await cloud.delete(f"{path}/bob")).data == {"result": True, **told, "user": "bob"}
        assert (await cloud.delete(f"{path}/bob")).refused(
            403, "forbidden_op", "users [bob] are not members of this group!"
        )
        strange = f"user: {NOBODY} doesn't exist in group: {group}"
        assert (await cloud.delete(f"{path}/cid%2Cbob,no%20name!,dan")).data == [
            {"result": True, **told, "user": "cid"},
            {"result": False, **told, "user": "bob", "reason": "not a member of the group"},
            {"result": True, **told, "user": "dan"},
            {"result": False, **told, "user": NOBODY, "reason": strange},
        ]
        assert (await cloud.delete(f"{path}/ann")).refused(403, "forbidden_op")
        many = ",".join(f"u{number}" for number in range(101))
        assert (await cloud.delete(f"{path}/{many}")).refused(400, "illegal_argument", "100")

    async def test_admins(self, cloud: Cloud) -> None:
        """Are members."""
        group = await cloud.group("bob")
        await cloud.users("zoe")
        path = f"/chatgroups/{group}/admin"
        assert (await cloud.post(path, {"newadmin": "bob"})).data == {"result": "success", "newadmin": "bob"}
        assert (await cloud.get(path)).data == ["bob"]
        assert (await cloud.post(path, {"newadmin": "zoe"})).refused(403, "forbidden_op", "users [zoe]")
        assert (await cloud.delete(f"{path}/bob")).data == {"result": "success", "oldadmin": "bob"}
        assert (await cloud.get(path)).data == []

    async def test_blocked(self, cloud: Cloud) -> None:
        """Is out, and does not come back before it is unblocked."""
        group = await cloud.group("bob", "cid")
        path, told = f"/chatgroups/{group}/blocks/users", {"groupid": group, "action": "add_blocks"}
        assert (await cloud.post(f"{path}/bob")).data == {"result": True, **told, "user": "bob"}
        strange = f"user: zoe doesn't exist in group: {group}"
        assert (await cloud.post(path, {"usernames": ["cid", "zoe"]})).data == [
            {"result": True, **told, "user": "cid"},
            {"result": False, **told, "user": "zoe", "reason": strange},
        ]
        assert (await cloud.get(path)).data == ["bob", "cid"]
        assert (await cloud.post(f"/chatgroups/{group}/users/bob")).refused(403, "forbidden_op")
        told = {"groupid": group, "action": "remove_blocks"}
        assert (await cloud.delete(f"{path}/bob")).data == {"result": True, **told, "user": "bob"}
        assert (await cloud.post(f"/chatgroups/{group}/users/bob")).status == 200


class TestSpeaking:
    """Rules bind devices; what a backend sends in a user's name is taken all the same."""

    async def test_muted(self, cloud: Cloud) -> None:
        """For a while, or for good (-1), until it is taken back."""
        group = await cloud.group("bob", "cid")
        path = f"/chatgroups/{group}/mute"
        bob = await cloud.phone("bob")
        async with bob.device(1) as device:
            await device.hear("live")
            asked = {"usernames": ["bob", "zoe"], "mute_duration": 60_000}
            mine, strange = (await cloud.post(path, asked)).data
            assert mine == {"result": True, "expire": mine["expire"], "user": "bob"}
            assert strange == {**mine, "result": False, "user": "zoe", "reason": strange["reason"]}
            assert not await speaks(device, group)
            assert list(await cloud.tell("chatgroups", [group], sender="bob")) == [group]
            await cloud.post(path, {"usernames": ["cid"], "mute_duration": -1})
            assert [each["user"] for each in (await cloud.get(path)).data] == ["bob", "cid"]
            assert (await cloud.delete(f"{path}/bob,cid")).data == [
                {"result": True, "user": "bob"},
                {"result": True, "user": "cid"},
            ]
            assert await speaks(device, group)

    async def test_all_are_muted(self, cloud: Cloud) -> None:
        """But the owner, admins and who is on the white list."""
        group = await cloud.group("bob", "cid")
        path, white = f"/chatgroups/{group}/ban", f"/chatgroups/{group}/white/users"
        bob = await cloud.phone("bob")
        async with bob.device(1) as device:
            await device.hear("live")
            assert (await cloud.post(path)).data == {"mute": True}
            assert (await shown(cloud, group))["mute"] is True
            assert not await speaks(device, group)
            assert list(await cloud.tell("chatgroups", [group], sender="bob")) == [group]
            told = {"groupid": group, "action": "add_user_whitelist"}
            assert (await cloud.post(f"{white}/bob")).data == {"result": True, **told, "user": "bob"}
            assert [each["result"] for each in (await cloud.post(white, {"usernames": ["cid", "zoe"]})).data] == [
                True, False,
            ]  # fmt: skip
            assert (await cloud.get(white)).data == ["bob", "cid"]
            assert await speaks(device, group)
            told = {"groupid": group, "action": "remove_user_whitelist"}
            assert (await cloud.delete(f"{white}/bob")).data == {"result": True, **told, "user": "bob"}
            assert not await speaks(device, group)
            assert (await cloud.delete(path)).data == {"mute": False}
            assert await speaks(device, group)

    async def test_disabled(self, cloud: Cloud) -> None:
        """Nobody speaks in it, the owner neither, until it is enabled."""
        group = await cloud.group("bob")
        ann = await cloud.phone("ann")
        async with ann.device(1) as device:
            await device.hear("live")
            assert (await cloud.post(f"/chatgroups/{group}/disable")).data == {"disabled": True}
            assert (await shown(cloud, group))["disabled"] is True
            assert not await speaks(device, group)
            assert list(await cloud.tell("chatgroups", [group], sender="ann")) == [group]
            assert (await cloud.post(f"/chatgroups/{group}/enable")).data == {"disabled": False}
            assert await speaks(device, group)
