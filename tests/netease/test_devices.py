"""What devices receive of what a backend sends, live, by each kind of conversation (netease.md, Travels)."""

from __future__ import annotations

import json

import pytest

from tests.netease.stage import Cloud
from tests.rest.stage import Json

FILE: Json = {"url": "https://files.example.com/a.amr", "name": "声", "dur": 1.50}
MESSAGES: list[tuple[Json, str]] = [
    ({"message_type": 0, "text": "words"}, "TEXT"),
    ({"message_type": 0, "text": "more", "sub_type": 1, "attachment": {"mention": ["bob"]}}, "TEXT"),
    ({"message_type": 1, "attachment": FILE, "text": "a picture"}, "IMAGE"),
    ({"message_type": 2, "attachment": FILE}, "AUDIO"),
    ({"message_type": 3, "attachment": FILE}, "VIDEO"),
    ({"message_type": 4, "attachment": {"lat": 39.9, "lng": 116.3, "title": "北京"}}, "LOCATION"),
    ({"message_type": 6, "attachment": FILE}, "FILE"),
    ({"message_type": 10, "text": "Ann has joined", "message_client_id": "c-1"}, "TEXT"),
    ({"message_type": 100, "sub_type": 26, "attachment": {}}, "COMMAND"),
]
"""Messages, and the content type that devices have of each."""

TRAVELS = ("message_type", "sub_type", "message_client_id")


@pytest.mark.parametrize("kind", [1, 2, 3])
async def test_each_type_arrives(cloud: Cloud, kind: int) -> None:
    """Live and in the order of the sends, as the usual item with numbers; the account is in its config."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    target = "bob" if kind == 1 else str(await ann.group(bob.xid))
    to_xid, conversation_id = (bob.xid, ann.xid) if kind == 1 else (int(target), int(target))
    async with bob.device(1) as device:
        await device.hear("live")
        for message, ctype in MESSAGES:
            asked = {"message": message, "extension": '{"k": ["v"]}'}
            told = (await cloud.post(f"/v2/conversations/ann|{kind}|{target}/messages", asked)).data
            item = (await device.hear("message"))[-1]["message"]
            travelled = {name: message[name] for name in TRAVELS if name in message}
            config: Json = {"nim": {"sender_id": "ann", **travelled}}
            assert item == {
                "msg_id": told["message_server_id"],
                "from_xid": {"uid": ann.xid, "device_sn": 0},
                "to_xid": {"uid": to_xid, "device_sn": 0},
                "content": message.get("text", ""),
                "ctype": ctype,
                "attachment": json.dumps(message["attachment"]) if "attachment" in message else "",
                "ext": '{"k": ["v"]}',
                "config": json.dumps(config, separators=(",", ":")),
                "timestamp": told["create_time"],
                "conversation_id": conversation_id,
            }


async def test_the_senders_own_devices(cloud: Cloud) -> None:
    """They are told what a backend has sent for their user."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    async with ann.device(1) as device:
        await device.hear("live")
        told = await cloud.send("ann|1|bob")
        item = (await device.hear("message"))[-1]["message"]
    assert (item["msg_id"], item["conversation_id"]) == (told["message_server_id"], bob.xid)


async def test_a_backend_hears_of_no_device(cloud: Cloud) -> None:
    """What devices do shows in status and counts."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    told = await cloud.send("ann|1|bob")
    assert (await ann.statuses(bob.xid), await bob.unread()) == (["UNREAD"], [(ann.xid, 1)])
    async with bob.device(1) as device:
        await device.hear("live")
        await device.ack("user", 1)
    assert await ann.statuses(bob.xid) == ["DELIVERED"]
    assert (await bob.ack(msg_id=told["message_server_id"])).done
    assert (await ann.statuses(bob.xid), await bob.unread()) == (["READ"], [(ann.xid, 0)])


async def test_devices_answer(cloud: Cloud) -> None:
    """An account that a backend has named is one that devices write to, and the other way round."""
    bob, ann = await cloud.phone("bob"), await cloud.phone("ann")
    await cloud.send("ann|1|bob", text="from a backend")
    async with bob.device(9) as device:
        await device.hear("live")
        told = await device.ask("send", type=1, targets=[ann.xid], content_type=0, content="from a device")
        assert told["op"] == "ok", told
    assert await ann.history(bob.xid) == ["from a device", "from a backend"]
