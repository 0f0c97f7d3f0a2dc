"""POST /messages as older clients send, and messages to some members of a group (agora.md, Around them)."""

from __future__ import annotations

import pytest

from tests.agora.stage import Answer, Cloud
from tests.rest.stage import Json

GONE = (404, "service_resource_not_found")


async def ask(
    cloud: Cloud, target: object, road: object = "users", query: str = "", /, **more: object
) -> Answer:
    asked = {
        "target_type": road,
        "target": target,
        "msg": {"type": "txt", "msg": "old"},
        "from": "ann",
        **more,
    }
    return await cloud.post(f"/messages{query}", asked)


class TestLegacy:
    """POST /messages."""

    async def test_users(self, cloud: Cloud) -> None:
        """`success` for each that there is; the type stands in the body, and is not kept there."""
        answer = await ask(cloud, ["bob", "Cid", "no name!"])
        assert answer.data == {"bob": "success", "Cid": "success"}
        assert answer.told["path"] == "/messages"
        [item] = (await (await cloud.phone("bob")).page((await cloud.phone("ann")).xid))["messages"]
        assert (item["content"], item["attachment"], item["config"]) == ("old", "", '{"type":"txt"}')

    @pytest.mark.parametrize("road", ["chatgroups", "chatrooms"])
    async def test_groups(self, cloud: Cloud, road: str) -> None:
        """The same by the other roads."""
        target = await (cloud.group("bob") if road == "chatgroups" else cloud.room())
        assert (await ask(cloud, [target, "99"], road)).data == {target: "success"}
        assert await (await cloud.phone("ann")).history(int(target)) == ["old"]

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ("?useMsgId=true", True),
            ("?useMsgId=TRUE", True),
            ("?useMsgId=false", False),
            ("?useMsgId", False),
        ],
    )
    async def test_ids(self, cloud: Cloud, query: str, ids: bool) -> None:
        """Where they are asked for."""
        [told] = (await ask(cloud, ["bob"], "users", query)).data.values()
        assert told.isdigit() if ids else told == "success"

    async def test_other_types(self, cloud: Cloud) -> None:
        """Keep their body without its type, which newer ones have outside."""
        await ask(cloud, ["bob"], msg={"type": "cmd", "action": "run"}, ext={"a": 1})
        [item] = (await (await cloud.phone("bob")).page((await cloud.phone("ann")).xid))["messages"]
        assert (item["ctype"], item["attachment"], item["ext"]) == ("COMMAND", '{"action":"run"}', '{"a": 1}')

    @pytest.mark.one_node("what the facade refuses by itself")
    @pytest.mark.parametrize(
        ("members", "described"),
        [
            ({"target_type": None}, "param target_type"),
            ({"target_type": "moon"}, "param target_type"),
            ({"target_type": ["users"]}, "param target_type"),
            ({"target": None}, "param to can't be empty"),
            ({"target": []}, "param to can't be empty"),
            ({"msg": None}, "param type can't be empty"),
            ({"msg": "x"}, "param type can't be empty"),
            ({"msg": {"msg": "x"}}, "param type can't be empty"),
            ({"msg": {"type": ["txt"]}}, "param type can't be empty"),
            ({"msg": {"type": "txt"}}, "param body can't be empty"),
            ({"from": ""}, "param from can't be empty"),
            ({"ext": 1}, "param ext must be JSONObject"),
        ],
    )
    async def test_what_is_wrong(self, cloud: Cloud, members: Json, described: str) -> None:
        """Is told in the words of newer calls."""
        whole: Json = {
            "target_type": "users",
            "target": ["bob"],
            "msg": {"type": "txt", "msg": "x"},
            **members,
        }
        assert (await cloud.post("/messages", whole)).refused(400, "message_send_error", described)


class TestSome:
    """POST /messages/chatgroups/users."""

    async def test_these_members_alone(self, cloud: Cloud) -> None:
        """Each gets one, in the group's conversation; who is no member is left out."""
        group = await cloud.group("bob", "cid", "dan")
        asked = {"from": "ann", "to": [int(group)], "users": ["bob", "CID", "zoe"], "type": "txt"}
        answer = await cloud.post("/messages/chatgroups/users", {**asked, "body": {"msg": "some"}})
        assert list(answer.data) == [group]
        for name, told in (("bob", ["some"]), ("cid", ["some"]), ("dan", [])):
            assert await (await cloud.phone(name)).history(int(group)) == told
        [item] = (await (await cloud.phone("bob")).page(int(group)))["messages"]
        assert item["msg_id"] == int(answer.data[group])

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("members", "status", "error"),
        [
            ({"users": ["zoe"]}, *GONE),
            ({"users": ["no name!"]}, *GONE),
            ({"to": ["99"]}, *GONE),
            ({"to": ["room"]}, *GONE),
            ({"to": ["1", "2"]}, 400, "message_send_error"),
            ({"users": None}, 400, "message_send_error"),
            ({"users": []}, 400, "message_send_error"),
            ({"users": [f"u{number}" for number in range(21)]}, 400, "message_send_error"),
            ({"users": "bob"}, 400, "illegal_argument"),
        ],
    )
    async def test_what_is_refused(self, cloud: Cloud, members: Json, status: int, error: str) -> None:
        """Nobody there, or too many."""
        named = {"group": await cloud.group("bob"), "room": await cloud.room()}
        asked: Json = {"to": ["group"], "users": ["bob"], "type": "txt", "body": {"msg": "x"}, **members}
        asked["to"] = [named.get(name, name) for name in asked["to"]]
        assert (await cloud.post("/messages/chatgroups/users", asked)).refused(status, error)
        assert await (await cloud.phone("bob")).history(int(named["group"])) == []


class TestTransactions:
    """The header `X-Transaction-Id`."""

    @pytest.mark.parametrize("road", ["chatgroups", "chatrooms", "legacy", "some", "online"])
    async def test_a_repeat(self, cloud: Cloud, road: str) -> None:
        """Gets the first answer by whatever road, and nothing is sent twice; another message is a conflict."""
        group, room = await cloud.group("bob"), await cloud.room()
        text: Json = {"from": "ann", "type": "txt", "body": {"msg": "x"}}
        path, asked = {
            "chatgroups": ("/chatgroups", {"to": [group, "99"], **text}),
            "chatrooms": ("/chatrooms", {"to": [room], **text}),
            "legacy": (
                "?useMsgId=true", {"target_type": "users", "target": ["bob"], "msg": {"type": "txt", "msg": "x"}},
            ),
            "some": ("/chatgroups/users", {"to": [group], "users": ["bob"], **text}),
            "online": ("/users", {"to": ["bob", "cid"], "routetype": "ROUTE_ONLINE", **text}),
        }[road]  # fmt: skip
        header = {"X-Transaction-Id": "-5"}
        first, again = [(await cloud.post(f"/messages{path}", asked, headers=header)).data for _ in range(2)]
        assert first == again
        other = {**asked, "ext": {"a": 1}}
        assert (await cloud.post(f"/messages{path}", other, headers=header)).refused(409, "illegal_argument")

    @pytest.mark.parametrize("said", ["x", "1.0", str(2**63), "9" * 30, "0x1"])
    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_no_number(self, cloud: Cloud, said: str) -> None:
        """Is named; none and an empty one are none."""
        asked = {"to": ["bob"], "type": "txt", "body": {"msg": "x"}}
        answer = await cloud.post("/messages/users", asked, headers={"X-Transaction-Id": said})
        assert answer.refused(400, "illegal_argument", "X-Transaction-Id")

    async def test_without_one(self, cloud: Cloud) -> None:
        """Equal calls are two messages; 0 and an empty one are none."""
        asked = {"from": "ann", "to": ["bob"], "type": "txt", "body": {"msg": "x"}}
        for header in (
            {},
            {},
            {"X-Transaction-Id": ""},
            {"X-Transaction-Id": "0"},
            {"X-Transaction-Id": "0"},
        ):
            assert (await cloud.post("/messages/users", asked, headers=header)).status == 200
        assert await (await cloud.phone("bob")).history((await cloud.phone("ann")).xid) == ["x"] * 5
