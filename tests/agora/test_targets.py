"""Whom a send reaches and whom it leaves out (agora.md, Partial, Names, `roam_ignore_users`, `ROUTE_ONLINE`)."""

from __future__ import annotations

import asyncio

import pytest

from gateway.domain.limits import Limits
from tests.agora.stage import Cloud
from tests.rest.stage import Json

TEXT: Json = {"type": "txt", "body": {"msg": "hi"}}
NOT_FOUND = (404, "service_resource_not_found")


class TestPartial:
    """Targets that are not there."""

    async def test_users_of_a_registered_app(self, strict: Cloud) -> None:
        """Are left out; where there is none left, nobody was found, and nobody has come into being."""
        assert set(await strict.send("bob", "zoe", sender="ann")) == {"bob"}
        answer = await strict.post("/messages/users", {"from": "ann", "to": ["zoe", "yan"], **TEXT})
        assert answer.refused(*NOT_FOUND)
        assert (await strict.get("/users/zoe")).refused(*NOT_FOUND)

    async def test_a_sender_of_a_registered_app(self, strict: Cloud) -> None:
        """Must be there."""
        answer = await strict.post("/messages/users", {"from": "zoe", "to": ["bob"], **TEXT})
        assert answer.refused(*NOT_FOUND)
        group = await strict.group("bob")
        answer = await strict.post("/messages/chatgroups", {"from": "zoe", "to": [group], **TEXT})
        assert answer.refused(*NOT_FOUND)

    async def test_users_of_an_open_app(self, cloud: Cloud) -> None:
        """Come into being, targets and sender alike."""
        assert set(await cloud.send("bob", "zoe", sender="ann")) == {"bob", "zoe"}
        for name in ("ann", "bob", "zoe"):
            assert (await cloud.get(f"/users/{name}")).status == 200

    @pytest.mark.parametrize("road", ["chatgroups", "chatrooms"])
    async def test_groups(self, cloud: Cloud, road: str) -> None:
        """A group is no chatroom and a chatroom no group; what is no id is neither."""
        group, room = await cloud.group("bob"), await cloud.room()
        mine, other = (group, room) if road == "chatgroups" else (room, group)
        odd = ["0", f"0{mine}", f" {mine}"] if road == "chatrooms" else []
        assert set(await cloud.tell(road, [other, mine, *odd])) == {mine}
        answer = await cloud.post(f"/messages/{road}", {"to": [other], **TEXT})
        assert answer.refused(*NOT_FOUND)
        answer = await cloud.post(f"/messages/{road}", {"to": ["g", "-1"], **TEXT})
        assert answer.refused(*NOT_FOUND)

    async def test_a_group_that_is_gone(self, cloud: Cloud) -> None:
        """Is left out like one that never was."""
        gone, stands = await cloud.group("bob"), await cloud.group("bob")
        assert (await cloud.delete(f"/chatgroups/{gone}")).status == 200
        assert set(await cloud.tell("chatgroups", [gone, stands])) == {stands}


class TestRepeats:
    """The header `X-Transaction-Id`."""

    async def test_a_group_has_gone_since(self, cloud: Cloud) -> None:
        """The repeat gets the first answer, also where none of the groups stands any more."""
        one, other = await cloud.group("bob"), await cloud.group("bob")
        asked, header = {"from": "ann", "to": [one, other, "99"], **TEXT}, {"X-Transaction-Id": "1"}
        first = (await cloud.post("/messages/chatgroups", asked, headers=header)).data
        assert set(first) == {one, other}
        for gone in (one, other):
            await cloud.delete(f"/chatgroups/{gone}")
            assert (await cloud.post("/messages/chatgroups", asked, headers=header)).data == first
        assert (await cloud.post("/messages/chatgroups", asked)).refused(*NOT_FOUND)

    @pytest.mark.parametrize("delete", [["bob"], ["bob", "dan"], ["bob", "cid", "dan"]])
    async def test_users_have_gone_since(self, cloud: Cloud, delete: list[str]) -> None:
        """The repeat gets the first answer, name by name, also once another has come by the name of one of them."""
        to = ["bob", "no name!", "BOB", "cid", "dan", "admin"]
        asked, header = {"from": "ann", "to": to, **TEXT}, {"X-Transaction-Id": "1"}
        first = (await cloud.post("/messages/users", asked, headers=header)).data
        assert set(first) == {"bob", "cid", "dan"}
        for name in delete:
            await cloud.delete(f"/users/{name}")
            assert (await cloud.post("/messages/users", asked, headers=header)).data == first
        await cloud.users("bob")
        assert (await cloud.post("/messages/users", asked, headers=header)).data == first
        other = {**asked, "to": ["cid", "dan"]}
        assert (await cloud.post("/messages/users", other, headers=header)).refused(409, "illegal_argument")

    async def test_of_some_users_who_were_there(self, strict: Cloud) -> None:
        """Where a name was never anybody's: the first answer, whoever of them is still there."""
        asked, header = {"from": "ann", "to": ["zoe", "bob", "ann"], **TEXT}, {"X-Transaction-Id": "1"}
        first = (await strict.post("/messages/users", asked, headers=header)).data
        assert set(first) == {"bob", "ann"}
        assert (await strict.post("/messages/users", asked, headers=header)).data == first
        await strict.delete("/users/bob")
        assert (await strict.post("/messages/users", asked, headers=header)).data == first
        await strict.users("zoe")
        assert (await strict.post("/messages/users", asked, headers=header)).data == first

    @pytest.mark.parametrize("online", [{}, {"routetype": "ROUTE_ONLINE"}], ids=["stored", "online"])
    async def test_whoever_was_left_out_counts(self, strict: Cloud, online: Json) -> None:
        """Each name is told as at first: of two who are nobody by now, one got a message."""
        to = ["zoe", "BOB", "bob", "ann", "admin", "no name!"]
        asked, header = {"from": "ann", "to": to, **online, **TEXT}, {"X-Transaction-Id": "1"}
        first = (await strict.post("/messages/users", asked, headers=header)).data
        assert set(first) == {"BOB", "ann"}
        await strict.delete("/users/bob")
        assert (await strict.post("/messages/users", asked, headers=header)).data == first
        assert (await strict.post("/messages/users", {**asked, "to": ["BOB"]}, headers=header)).status == 409

    @pytest.mark.parametrize(("road", "kind"), [("chatgroups", "group"), ("chatrooms", "room")])
    async def test_what_was_online_only_has_gone_since(self, cloud: Cloud, road: str, kind: str) -> None:
        """A group or room is told as at first, like what never was any."""
        gone = await (cloud.group() if kind == "group" else cloud.room())
        asked = {"from": "ann", "to": ["99", gone, "x"], "routetype": "ROUTE_ONLINE", **TEXT}
        first = (await cloud.post(f"/messages/{road}", asked, headers={"X-Transaction-Id": "1"})).data
        assert set(first) == {gone}
        assert (await cloud.delete(f"/{road}/{gone}")).status == 200
        again = await cloud.post(f"/messages/{road}", asked, headers={"X-Transaction-Id": "1"})
        assert again.data == first

    async def test_a_hidden_one_has_gone_since(self, cloud: Cloud) -> None:
        """Of whom a group's message was to be hidden from, and of some members whom alone it went to."""
        group = await cloud.group("bob", "cid")
        hidden: Json = {"from": "ann", "to": [group], "roam_ignore_users": ["bob"], **TEXT}
        some: Json = {"from": "ann", "to": [group], "users": ["bob"], **TEXT}
        calls = [("/messages/chatgroups", hidden, "1"), ("/messages/chatgroups/users", some, "2")]
        first = [
            (await cloud.post(path, asked, headers={"X-Transaction-Id": key})).data
            for path, asked, key in calls
        ]
        await cloud.delete("/users/bob")
        again = [
            (await cloud.post(path, asked, headers={"X-Transaction-Id": key})).data
            for path, asked, key in calls
        ]
        assert again == first

    @pytest.mark.parametrize("number", [-(2**63), 2**63 - 1])
    async def test_any_int64(self, cloud: Cloud, number: int) -> None:
        """Is one."""
        asked, header = {"to": ["bob"], **TEXT}, {"X-Transaction-Id": str(number)}
        first = (await cloud.post("/messages/users", asked, headers=header)).data
        assert (await cloud.post("/messages/users", asked, headers=header)).data == first

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("told", ["9223372036854775808", "-9223372036854775809", "+1", "1.0", "one"])
    async def test_what_is_none(self, cloud: Cloud, told: str) -> None:
        """Is named."""
        answer = await cloud.post(
            "/messages/users", {"to": ["bob"], **TEXT}, headers={"X-Transaction-Id": told}
        )
        assert answer.refused(400, "illegal_argument", "X-Transaction-Id")


class TestNames:
    """How targets are told back, and who they are."""

    async def test_upper_case(self, cloud: Cloud) -> None:
        """Is the same user, told as it was named; of two ways to write one, the first counts."""
        data = await cloud.send("BOB", "bob", "Bob", sender="ANN", text="once")
        assert list(data) == ["BOB"]
        ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
        assert await bob.history(ann.xid) == ["once"]

    async def test_letters_of_other_scripts(self, cloud: Cloud) -> None:
        """Are in no name, though one of them is a k in lower case."""
        assert set(await cloud.send("\N{KELVIN SIGN}im", "bob")) == {"bob"}
        users = (await cloud.get("/users")).entities
        assert [user["username"] for user in users] == ["bob"]

    async def test_numbers(self, cloud: Cloud) -> None:
        """A name of digits is the user of this number; as a JSON integer too, and so is a sender."""
        assert set(await cloud.tell("users", ["7001", 7002], sender=7000)) == {"7001", "7002"}
        for xid in (7001, 7002):
            phone = await cloud.node.user(xid)
            assert await phone.history(7000) == ["hi"]
        assert (await cloud.get("/users/7001")).entities[0]["username"] == "7001"

    async def test_leading_zeros_are_a_name(self, cloud: Cloud) -> None:
        """Of somebody else."""
        await cloud.send("007")
        assert await (await cloud.node.user(7)).unread() == []

    async def test_uuids(self, cloud: Cloud) -> None:
        """A user's UUID means the user, in any case."""
        await cloud.users("bob")
        uuid = (await cloud.get("/users/bob")).entities[0]["uuid"]
        assert set(await cloud.send(uuid, uuid.upper(), sender="ann")) == {uuid}
        assert await (await cloud.phone("bob")).history((await cloud.phone("ann")).xid) == ["hi"]

    async def test_group_ids_as_integers(self, cloud: Cloud) -> None:
        """Are told back as strings."""
        group, room = await cloud.group("bob"), await cloud.room()
        assert set(await cloud.tell("chatgroups", [int(group)])) == {group}
        assert set(await cloud.tell("chatrooms", [int(room), room])) == {room}

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("to", ["bob", {"a": "bob"}, [None], [["bob"]], [True], [1.5]])
    async def test_what_is_no_list_of_names(self, cloud: Cloud, to: object) -> None:
        """Is named."""
        answer = await cloud.post("/messages/users", {"to": to, **TEXT})
        assert answer.refused(400, "illegal_argument", "to")


class TestSoMany:
    """600, 3 and 10."""

    async def test_users(self, cloud: Cloud) -> None:
        """600 users get a message each."""
        data = await cloud.send(*(f"u{number}" for number in range(600)), sender="ann")
        assert len(data) == len(set(data.values())) == 600

    @pytest.mark.parametrize(("road", "most"), [("chatgroups", 3), ("chatrooms", 10)])
    async def test_groups(self, cloud: Cloud, road: str, most: int) -> None:
        """Are counted as they are named, whether there or not."""
        there = await (cloud.group("bob") if road == "chatgroups" else cloud.room())
        assert set(await cloud.tell(road, [there, *map(str, range(1, most))])) == {there}
        answer = await cloud.post(f"/messages/{road}", {"to": [there, *map(str, range(1, most + 1))], **TEXT})
        assert answer.refused(400, "message_send_error", f"params to's size can't exceed limit {most}")


class TestOnline:
    """`routetype` of `ROUTE_ONLINE`."""

    async def test_who_is_connected_gets_it(self, cloud: Cloud) -> None:
        """Each target has an id, connected or not; nothing of it is kept, and nothing recalled."""
        bob, ann = await cloud.phone("bob"), await cloud.phone("ann")
        async with bob.device(1) as device:
            await device.hear("live")
            data = await cloud.send("bob", "cid", sender="ann", text="now", routetype="ROUTE_ONLINE")
            assert set(data) == {"bob", "cid"}
            assert len(set(data.values())) == 2
            item = (await device.hear("message"))[-1]["message"]
            assert (item["content"], item["msg_id"]) == ("now", int(data["bob"]))
        assert await bob.history(ann.xid) == await ann.history(bob.xid) == []
        asked = {"msg_id": data["bob"], "to": "bob", "chat_type": "chat", "force": True}
        assert (await cloud.post("/messages/msg_recall", asked)).data["recalled"] == "not_found msg"

    async def test_groups(self, cloud: Cloud) -> None:
        """One id per group, and nothing to hide from anybody's history."""
        group, bob = await cloud.group("bob"), await cloud.phone("bob")
        async with bob.device(1) as device:
            await device.hear("live")
            asked: Json = {"routetype": "ROUTE_ONLINE", "roam_ignore_users": ["bob"]}
            data = await cloud.tell("chatgroups", [group, "99"], text="now", sender="zoe", **asked)
            assert set(data) == {group}
            assert (await device.hear("message"))[-1]["message"]["content"] == "now"
        assert await bob.history(int(group)) == []

    async def test_rooms(self, cloud: Cloud) -> None:
        """Reach who is in them, as ever."""
        room, bob = await cloud.room(), await cloud.phone("bob")
        async with bob.device(1) as device:
            await device.hear("live")
            assert (await device.ask("join", room_id=int(room)))["op"] == "ok"
            await cloud.tell("chatrooms", [room], text="now", routetype="ROUTE_ONLINE")
            assert (await device.hear("message"))[-1]["message"]["content"] == "now"

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("other", ["", "ROUTE_ALL", "route_online", 1, ["ROUTE_ONLINE"], None])
    async def test_other_values_are_ignored(self, cloud: Cloud, other: object) -> None:
        """It is sent like any other."""
        await cloud.send("bob", sender="ann", routetype=other)
        assert await (await cloud.phone("bob")).history((await cloud.phone("ann")).xid) == ["hi"]

    async def test_unknown_users_of_a_registered_app(self, strict: Cloud) -> None:
        """Are left out here too."""
        assert set(await strict.send("bob", "zoe", routetype="ROUTE_ONLINE")) == {"bob"}
        asked = {"to": ["zoe"], "routetype": "ROUTE_ONLINE", **TEXT}
        assert (await strict.post("/messages/users", asked)).refused(*NOT_FOUND)


class TestHiddenHistory:
    """`roam_ignore_users`."""

    async def test_it_is_delivered_and_not_on_their_pages(self, cloud: Cloud) -> None:
        """Those named get it live like all others; their pages of history do not have it."""
        group = await cloud.group("bob", "cid")
        bob, cid = await asyncio.gather(cloud.phone("bob"), cloud.phone("cid"))
        async with bob.device(1) as device:
            await device.hear("live")
            await cloud.tell("chatgroups", [group], text="hidden", roam_ignore_users=["BOB", "nobody!"])
            await cloud.tell("chatgroups", [group], text="seen", roam_ignore_users=[])
            told = [(await device.hear("message"))[-1]["message"]["content"] for _ in range(2)]
        assert told == ["hidden", "seen"]
        assert await bob.history(int(group)) == ["seen"]
        assert await cid.history(int(group)) == ["seen", "hidden"]

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("named", [[f"u{number}" for number in range(21)], "bob", [{}]])
    async def test_so_many(self, cloud: Cloud, named: object) -> None:
        """At most 20 in a list."""
        group = await cloud.group("bob")
        answer = await cloud.post("/messages/chatgroups", {"to": [group], "roam_ignore_users": named, **TEXT})
        assert answer.refused(400, "illegal_argument", "roam_ignore_users")


@pytest.mark.two_nodes_once
@pytest.mark.parametrize("level", ["high", "normal", "low", None])
async def test_levels_of_rooms(cloud: Cloud, level: str | None) -> None:
    """Three words that are only kept."""
    room = await cloud.room()
    assert set(await cloud.tell("chatrooms", [room], chatroom_msg_level=level)) == {room}


@pytest.mark.two_nodes_once
@pytest.mark.parametrize("level", ["", "HIGH", 1, ["high"], {}])
async def test_other_levels(cloud: Cloud, level: object) -> None:
    """Are named."""
    answer = await cloud.post("/messages/chatrooms", {"to": ["1"], "chatroom_msg_level": level, **TEXT})
    assert answer.refused(400, "illegal_argument", "chatroom_msg_level")


async def test_levels_are_of_rooms_alone(cloud: Cloud) -> None:
    """Elsewhere the member is unknown, and ignored like any other."""
    group = await cloud.group("bob")
    assert set(await cloud.tell("chatgroups", [group], chatroom_msg_level="urgent")) == {group}
    assert set(await cloud.tell("users", ["bob"], chatroom_msg_level="urgent")) == {"bob"}


def test_a_request_has_room_for_all_names() -> None:
    """600 names of 64 characters and a whole message are within what a request may be."""
    assert Limits().body_bytes_max > 600 * (64 + 3) + 5_120
