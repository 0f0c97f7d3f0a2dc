"""POST /messages/msg_recall and /messages/recall (agora.md, The seed's calls)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.core.principal import Principal
from gateway.core.recalls import TakenBack
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from tests import shapes
from tests.agora.stage import Answer, Cloud, open_cloud
from tests.rest.stage import Json

LATE_MS = 121_000
FAILURES = {
    "gone": "not_found msg",
    "late": "exceed recall time limit",
    "elsewhere": "can't find msg to",
}


async def ask(cloud: Cloud, msg_id: object, to: object = "bob", /, **members: object) -> Answer:
    asked = {"msg_id": msg_id, "to": to, "chat_type": "chat", **members}
    return await cloud.post("/messages/msg_recall", asked)


async def recall(cloud: Cloud, msg_id: object, to: object = "bob", /, **members: object) -> str:
    """Recall one message; what is told of it."""
    data = (await ask(cloud, msg_id, to, **members)).data
    told: str = data["recalled"]
    more = [] if told == "yes" else ["msgs"]
    assert sorted(data) == sorted(["recalled", "chattype", "from", "to", "msg_id", *more])
    if more:
        assert data["msgs"] == [{"msg_id": str(msg_id), "recalled": told}]
    return told


async def grow_old(cloud: Cloud, msg_id: str) -> None:
    """Let a message have been sent long ago."""
    cloud.node.rows("UPDATE message SET at = at - ? WHERE msg_id = ?", LATE_MS, int(msg_id))


class TestOne:
    """POST /messages/msg_recall."""

    async def test_it_is_gone(self, cloud: Cloud) -> None:
        """From both histories, and from the device that had it; `from` is a label only."""
        ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
        async with bob.device(1) as device:
            await device.hear("live")
            [msg_id] = (await cloud.send("bob", sender="ann")).values()
            await device.hear("message")
            told = (await ask(cloud, msg_id, **{"from": "zoe", "force": False})).data
            assert told == {
                "recalled": "yes", "chattype": "chat", "from": "zoe", "to": "bob", "msg_id": msg_id,
            }  # fmt: skip
            assert (await device.hear("recalled"))[-1]["msg_id"] == int(msg_id)
        for mine, other in ((ann, bob), (bob, ann)):
            assert [item["ctype"] for item in (await mine.page(other.xid))["messages"]] == []

    @pytest.mark.parametrize("named", [{}, {"from": ""}, {"from": None}])
    async def test_nobody_recalls(self, cloud: Cloud, named: Json) -> None:
        """Nobody is `admin`."""
        [msg_id] = (await cloud.send("bob", sender="ann")).values()
        assert (await ask(cloud, msg_id, **named)).data["from"] == "admin"

    async def test_twice(self, cloud: Cloud) -> None:
        """What has been recalled, and what never was, is not found; an id in another shape neither."""
        [msg_id] = (await cloud.send("bob", sender="ann")).values()
        assert await recall(cloud, int(msg_id)) == "yes"
        for other in (msg_id, "999999999999", f"0{msg_id}", "5I02W-XX-8278a", f"{msg_id}0000000000", "-1"):
            assert await recall(cloud, other) == FAILURES["gone"]

    async def test_elsewhere(self, cloud: Cloud) -> None:
        """In another conversation, or with one that there is not, and not in one of another type."""
        msg_id = (await cloud.send("bob", "cid", sender="ann"))["bob"]
        group, room = await cloud.group("bob"), await cloud.room()
        for to, kind in (
            ("zoe", "chat"),
            ("no name!", "chat"),
            ("cid", "chat"),
            (group, "chat"),
            (group, "groupchat"),
            (room, "chatroom"),
            (room, "groupchat"),
            ("99", "groupchat"),
            ("bob", "groupchat"),
        ):
            assert await recall(cloud, msg_id, to, chat_type=kind, force=True) == FAILURES["elsewhere"], to
        assert await recall(cloud, msg_id) == "yes"

    async def test_either_end(self, cloud: Cloud) -> None:
        """A message between users lies in the conversation of both; names are in any case."""
        first, second = [(await cloud.send("bob", sender="ann"))["bob"] for _ in range(2)]
        assert await recall(cloud, first, "ANN") == "yes"
        assert await recall(cloud, second, "Bob") == "yes"

    async def test_a_group(self, cloud: Cloud) -> None:
        """By its id, as a string or an integer."""
        group, bob = await cloud.group("bob"), await cloud.phone("bob")
        first, second = [(await cloud.tell("chatgroups", [group], sender="ann"))[group] for _ in range(2)]
        assert await recall(cloud, first, group, chat_type="groupchat") == "yes"
        answer = await ask(cloud, int(second), int(group), chat_type="groupchat")
        assert answer.data == {
            "recalled": "yes", "chattype": "groupchat", "from": "admin", "to": group, "msg_id": second,
        }  # fmt: skip
        assert await bob.history(int(group)) == []

    async def test_a_room(self, cloud: Cloud) -> None:
        """What its recent history holds."""
        room = await cloud.room()
        [msg_id] = (await cloud.tell("chatrooms", [room], sender="ann")).values()
        ann = await cloud.phone("ann")
        assert await ann.history(int(room)) == ["hi"]
        assert await recall(cloud, msg_id, room, chat_type="chatroom") == "yes"
        assert await ann.history(int(room)) == []
        assert await recall(cloud, msg_id, room, chat_type="chatroom") == FAILURES["gone"]

    async def test_a_directed_one(self, cloud: Cloud) -> None:
        """Lies in its group."""
        group = await cloud.group("bob")
        asked = {"from": "ann", "to": [group], "users": ["bob"], "type": "txt", "body": {"msg": "x"}}
        [msg_id] = (await cloud.post("/messages/chatgroups/users", asked)).data.values()
        assert await recall(cloud, msg_id, "bob") == FAILURES["elsewhere"]
        assert await recall(cloud, msg_id, group, chat_type="groupchat") == "yes"

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("members", "named"),
        [
            ({"msg_id": None}, "msg_id"),
            ({"msg_id": ""}, "msg_id"),
            ({"msg_id": []}, "msg_id"),
            ({"to": None}, "to"),
            ({"chat_type": None}, "chat_type"),
            ({"chat_type": "group"}, "chat_type"),
            ({"chat_type": ["chat"]}, "chat_type"),
            ({"from": 5}, "from"),
            ({"force": "maybe"}, "force"),
        ],
    )
    async def test_what_is_missing_or_wrong(self, cloud: Cloud, members: Json, named: str) -> None:
        """Is named."""
        assert (await ask(cloud, "1", **members)).refused(400, "illegal_argument", named)


class TestMany:
    """POST /messages/recall."""

    async def test_each_by_itself(self, cloud: Cloud) -> None:
        """In the order asked for."""
        data = await cloud.send("bob", "cid", sender="ann")
        group = await cloud.group("bob")
        [in_group] = (await cloud.tell("chatgroups", [group])).values()
        chat = {"chat_type": "chat"}
        many = [
            {"msg_id": data["bob"], "to": "bob", **chat},
            {"msg_id": data["bob"], "to": "bob", **chat},
            {"msg_id": data["cid"], "to": "zoe", **chat},
            {"msg_id": int(in_group), "to": int(group), "chat_type": "groupchat"},
        ]
        answer = await cloud.post("/messages/recall", {"msgs": many})
        assert answer.data == {
            "msgs": [
                {"msg_id": data["bob"], "recalled": "yes"},
                {"msg_id": data["bob"], "recalled": "not_found msg"},
                {"msg_id": data["cid"], "recalled": "can't find msg to"},
                {"msg_id": in_group, "recalled": "yes"},
            ]
        }

    async def test_one_that_is_no_list(self, cloud: Cloud) -> None:
        """Is as good as a list of one."""
        [msg_id] = (await cloud.send("bob", sender="ann")).values()
        one = {"msg_id": msg_id, "to": "bob", "chat_type": "chat"}
        answer = await cloud.post("/messages/recall", {"msgs": one})
        assert answer.data == {"msgs": [{"msg_id": msg_id, "recalled": "yes"}]}

    async def test_so_many(self, cloud: Cloud) -> None:
        """1 to 100; one that is wrong refuses all, before any is recalled."""
        [msg_id] = (await cloud.send("bob", sender="ann")).values()
        one = {"msg_id": msg_id, "to": "bob", "chat_type": "chat"}
        for wrong in (None, [], [one] * 101, "x", [1]):
            answer = await cloud.post("/messages/recall", {"msgs": wrong})
            assert answer.refused(400, "illegal_argument", "msgs")
        answer = await cloud.post("/messages/recall", {"msgs": [one, {**one, "to": ""}]})
        assert answer.refused(400, "illegal_argument", "to")
        told = (await cloud.post("/messages/recall", {"msgs": [one] * 100})).data["msgs"]
        assert [each["recalled"] for each in told] == ["yes", *["not_found msg"] * 99]


async def test_a_window_of_nothing(tmp_path: Path) -> None:
    """Where an operator has closed it, nothing is recalled, with `force` neither."""
    async with open_cloud(tmp_path / "data", recall_window_s=0) as cloud:
        [msg_id] = (await cloud.send("bob", sender="ann")).values()
        answer = await ask(cloud, msg_id, force=True)
        assert answer.refused(403, "forbidden_op", "message recall service is unopened")
        one = {"msg_id": msg_id, "to": "bob", "chat_type": "chat"}
        answer = await cloud.post("/messages/recall", {"msgs": [one]})
        assert answer.refused(403, "forbidden_op", "message recall service is unopened")


async def test_past_retention(tmp_path: Path) -> None:
    """What history does not show any more is late, and `force` reaches it while its row is left."""
    async with open_cloud(tmp_path / "data", Limits()) as cloud:
        [msg_id] = (await cloud.send("bob", sender="ann")).values()
        cloud.node.rows("UPDATE message SET at = 1 WHERE msg_id = ?", int(msg_id))
        cloud.node.rows("INSERT INTO hour (hour, first, last) VALUES (0, ?, ?)", int(msg_id), int(msg_id))
        assert await recall(cloud, msg_id) == FAILURES["late"]
        assert await recall(cloud, msg_id, force=True) == "yes"
        assert await recall(cloud, msg_id, force=True) == FAILURES["gone"]
        assert shapes.check(cloud.node.folder) == []


async def test_the_window(tmp_path: Path) -> None:
    """120 s, for a backend too; `force` lifts it."""
    # Its messages are made older behind its back, so that laws about their hours need not hold.
    async with open_cloud(tmp_path / "data") as cloud:
        [msg_id] = (await cloud.send("bob", sender="ann")).values()
        await grow_old(cloud, msg_id)
        assert await recall(cloud, msg_id) == FAILURES["late"]
        assert await recall(cloud, msg_id, force="") == FAILURES["late"]
        assert await (await cloud.phone("bob")).history((await cloud.phone("ann")).xid) == ["hi"]
        assert await recall(cloud, msg_id, force="true") == "yes"
        assert await recall(cloud, msg_id, force=True) == FAILURES["gone"]


async def test_a_store_that_fails(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is said of the message that it failed for: the others are recalled."""
    ids = [(await cloud.send("bob", sender="ann"))["bob"] for _ in range(3)]
    messaging = cloud.node.gateway.core.messaging
    take_back = messaging.take_back

    async def fail_once(principal: Principal, conversation: int, msg_id: int, **how: Any) -> TakenBack:
        if msg_id == int(ids[1]):
            raise Problem(Kind.STORE_FAILED, "the disk is gone")
        return await take_back(principal, conversation, msg_id, **how)

    monkeypatch.setattr(messaging, "take_back", fail_once)
    asked = {"msgs": [{"msg_id": each, "to": "bob", "chat_type": "chat"} for each in ids]}
    told = (await cloud.post("/messages/recall", asked)).data["msgs"]
    assert [each["recalled"] for each in told] == ["yes", "internal error", "yes"]
    assert await recall(cloud, ids[1]) == "internal error"
