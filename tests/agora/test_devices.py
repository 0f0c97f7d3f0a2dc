"""What devices receive of what a backend sends: eight types by three roads (agora.md, the table of types)."""

from __future__ import annotations

import json

import pytest

from tests.agora.stage import Cloud
from tests.rest.stage import Json

FILE = "https://cloud.example.com/easy-org/demo-app/chatfiles/55f12940-0000-8000-8a5b-ff2336f03252"
TYPES: list[tuple[str, Json, str, str]] = [
    ("txt", {"msg": "testmessages"}, "TEXT", "testmessages"),
    ("txt", {"msg": "more", "kept": [1, None]}, "TEXT", "more"),
    (
        "img",
        {"filename": "a.jpg", "secret": "Vf", "url": FILE, "size": {"width": 480, "height": 720}},
        "IMAGE",
        "",
    ),
    ("audio", {"url": FILE, "filename": "a.amr", "length": 10, "secret": "Hf"}, "AUDIO", ""),
    (
        "video",
        {"thumb": FILE, "length": 0, "secret": "Vf", "file_length": 58103, "thumb_secret": "Zy", "url": FILE},
        "VIDEO",
        "",
    ),
    ("file", {"filename": "a.txt", "secret": "1-", "url": FILE}, "FILE", ""),
    ("loc", {"lat": "39.966", "lng": 116.322, "addr": "中国北京市海淀区中关村"}, "LOCATION", ""),
    ("cmd", {"action": "action1"}, "COMMAND", ""),
    ("cmd", {"kept": True}, "COMMAND", ""),
    ("custom", {"customEvent": "custom_event", "customExts": {"a": "1", "b": 2}}, "COMMAND", ""),
]
"""Type, body, and the content type and content of the message."""


def expected(kind: str, body: Json, ctype: str, content: str) -> Json:
    """What a message of ours says, but for who and when."""
    alone = kind == "txt" and set(body) == {"msg"}
    return {
        "ctype": ctype,
        "content": content,
        "attachment": "" if alone else json.dumps(body),
        "ext": '{"k": ["v"]}',
        "config": json.dumps({"type": kind}, separators=(",", ":")),
    }


async def place(cloud: Cloud, road: str) -> str:
    """Somewhere that a message may go by this road, so that Bob gets it."""
    if road == "users":
        return "bob"
    return await (cloud.group("bob") if road == "chatgroups" else cloud.room())


@pytest.mark.parametrize("road", ["users", "chatgroups", "chatrooms"])
async def test_each_type_arrives(cloud: Cloud, road: str) -> None:
    """Live, in the order of the sends, with the ids that were answered, and as history has it afterwards."""
    bob, ann = await cloud.phone("bob"), await cloud.phone("ann")
    target = await place(cloud, road)
    async with bob.device(1) as device:
        await device.hear("live")
        if road == "chatrooms":
            assert (await device.ask("join", room_id=int(target)))["op"] == "ok"
        received = []
        for kind, body, *_ in TYPES:
            asked = {"from": "ann", "to": [target], "type": kind, "body": body, "ext": {"k": ["v"]}}
            [msg_id] = (await cloud.post(f"/messages/{road}", asked)).data.values()
            item = (await device.hear("message"))[-1]["message"]
            assert item["msg_id"] == int(msg_id)
            assert item["from_xid"]["uid"] == ann.xid
            assert item["to_xid"]["uid"] == (bob.xid if road == "users" else int(target))
            received.append(item)
    told = [expected(*each) for each in TYPES]
    assert [{name: item[name] for name in told[0]} for item in received] == told
    page = await bob.page(ann.xid if road == "users" else int(target))
    kept = [{name: item[name] for name in told[0]} for item in reversed(page["messages"])]
    assert kept == told


async def test_what_is_only_kept(cloud: Cloud) -> None:
    """Members of a send without an effect here are in the message's config."""
    group = await cloud.group("bob")
    more: Json = {"need_group_ack": True, "env": {"a": [1]}, "msg_timestamp": 7, "chatroom_msg_level": "low"}
    await cloud.tell("chatgroups", [group], **more)
    [item] = (await (await cloud.phone("bob")).page(int(group)))["messages"]
    assert json.loads(item["config"]) == {"type": "txt", **more}


async def test_a_backend_hears_of_no_device(cloud: Cloud) -> None:
    """What devices do shows in history and status: an acknowledged message is read."""
    bob, ann = await cloud.phone("bob"), await cloud.phone("ann")
    [msg_id] = (await cloud.send("bob", sender="ann")).values()
    assert await ann.statuses(bob.xid) == ["UNREAD"]
    assert (await bob.ack(msg_id=msg_id)).done
    assert await ann.statuses(bob.xid) == ["READ"]


async def test_devices_answer(cloud: Cloud) -> None:
    """A user that a backend has named is one that devices write to, and the other way round."""
    bob, ann = await cloud.phone("bob"), await cloud.phone("ann")
    await cloud.send("bob", sender="ann", text="from a backend")
    async with bob.device(9) as device:
        await device.hear("live")
        told = await device.ask("send", type=1, targets=[ann.xid], content_type=0, content="from a device")
        assert told["op"] == "ok", told
    assert await ann.history(bob.xid) == ["from a device", "from a backend"]
