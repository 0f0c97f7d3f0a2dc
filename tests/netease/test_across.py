"""What a backend sees of what devices and backends of other dialects do (netease.md, Siblings)."""

from __future__ import annotations

import copy

import pytest

from gateway.edge.facades.agora.asking import ALIAS
from tests.agora import stage as agora
from tests.netease.stage import Cloud


@pytest.fixture
async def easemob(cloud: Cloud) -> agora.Cloud:
    """The same app as a backend of Agora Chat knows it."""
    credentials = cloud.node.gateway.directory.credentials
    await credentials.call("demo", ALIAS, f"{agora.ORG}/{agora.APP}")
    await credentials.add("demo", ALIAS, agora.CLIENT_ID, agora.CLIENT_SECRET)
    opened = agora.Cloud(cloud.node)
    await opened.sign_in()
    return opened


async def read_by(cloud: Cloud, team: int, msg_id: int) -> tuple[list[str], list[str]]:
    """Who has read a message of a team, and who has not, as the backend is told."""
    path = f"/v2/messages/actions/team_read_receipt?team_id={team}&message_server_id={msg_id}&sender_id=ann"
    told = (await cloud.get(path)).data
    assert told["read_size"] == len(told["read_account_ids"])
    assert told["unread_size"] == len(told["unread_account_ids"])
    return told["read_account_ids"], told["unread_account_ids"]


async def test_a_device_that_reads(cloud: Cloud) -> None:
    """Shows in the receipts of a team's message; one that has only got it does not."""
    bob, ann, cid = [await cloud.phone(name) for name in ("bob", "ann", "cid")]
    team = await ann.group(bob.xid, cid.xid)
    async with bob.device(1) as device:
        await device.hear("live")
        sent = (await cloud.send(f"ann|2|{team}"))["message_server_id"]
        frame = (await device.hear("message"))[-1]
        await device.ack(frame["timeline"], frame["seq"])
        assert await read_by(cloud, team, sent) == ([], ["bob", "cid"])
        assert (await device.ask("read", conversation_id=team, msg_id=sent))["op"] == "ok"
    assert await read_by(cloud, team, sent) == (["bob"], ["cid"])


async def test_a_backend_that_reads(cloud: Cloud) -> None:
    """Is told to the sender's device, as if a device of the reader had read."""
    bob, ann = await cloud.phone("bob"), await cloud.phone("ann")
    sent = (await cloud.send("ann|1|bob"))["message_server_id"]
    async with ann.device(1) as device:
        await device.hear("live")
        asked = {"from_account_id": "bob", "to_account_id": "ann", "message_server_id": sent}
        assert (await cloud.post("/v2/messages/actions/p2p_read_receipt", asked)).data["timestamp"] > 0
        receipt = (await device.hear("receipt"))[-1]
    assert (receipt["conversation_id"], receipt["msg_id"]) == (bob.xid, sent)
    assert (receipt["status"], receipt["uid"]) == ("READ", bob.xid)
    assert await ann.statuses(bob.xid) == ["READ"]


async def pages(cloud: Cloud, conversation: str) -> list[tuple[object, ...]]:
    """What there is in a conversation, the oldest first."""
    path = f"/v2.1/conversations/{conversation}/messages?descending=false"
    items = (await cloud.get(path)).data["items"]
    members = ("conversation_type", "sender_id", "receiver_id", "message_type", "text", "attachment")
    return [tuple(item.get(name) for name in members) for item in items]


FILE = {"filename": "a.jpg", "url": "https://example.com/a.jpg"}


async def test_three_dialects_in_one_conversation(cloud: Cloud, easemob: agora.Cloud) -> None:
    """What a device has written, and a backend of Agora Chat, is in the pages, each with what it is here."""
    bob, ann = await cloud.phone("bob"), await cloud.phone("ann")
    async with bob.device(1) as device:
        await device.hear("live")
        told = await device.ask("send", type=1, targets=[ann.xid], content_type=0, content="from a device")
        assert told["op"] == "ok"
    asked = {"from": "ann", "to": ["bob"], "type": "img", "body": FILE}
    assert (await easemob.post("/messages/users", asked)).data
    await cloud.send("ann|1|bob", "from a backend")
    assert await pages(cloud, "ann|1|bob") == [
        (1, "bob", "ann", 0, "from a device", None),
        (1, "ann", "bob", 1, None, FILE),
        (1, "ann", "bob", 0, "from a backend", None),
    ]
    assert await pages(cloud, "bob|1|ann") == await pages(cloud, "ann|1|bob")
    assert len(await bob.history(ann.xid)) == 3


async def test_three_dialects_in_one_team(cloud: Cloud, easemob: agora.Cloud) -> None:
    """The same; what is taken back or changed by the native dialect is, here too."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    team = str(await ann.group(bob.xid))
    first = await bob.tell(int(team), "frist")
    gone = await bob.tell(int(team), "gone")
    asked = {"from": "bob", "to": [team], "type": "cmd", "body": {"action": "wave"}}
    assert (await easemob.post("/messages/chatgroups", asked)).data
    await cloud.send(f"ann|2|{team}", "from a backend")
    assert (await bob.recall(int(team), gone)).done
    await bob.tell(int(team), "first", content_type=12, related_mid=first)
    assert await pages(cloud, f"ann|2|{team}") == [
        (2, "bob", team, 0, "first", None),
        (2, "bob", team, 100, None, {"action": "wave"}),
        (2, "ann", team, 0, "from a backend", None),
    ]


async def test_a_retry_by_another_node(cloud: Cloud) -> None:
    """Has the first answer: whoever retries may come by a road of its own; what was sent here is seen there."""
    there = Cloud(copy.copy(cloud.node))
    there.node.url = cloud.node.far.url
    path = "/v2/conversations/ann|1|bob/messages"
    asked = {"message": {"message_type": 0, "text": "once", "message_client_id": "c-1"}}
    first = (await cloud.post(path, asked, trace="t-1")).data
    assert (await there.post(path, asked, trace="t-1")).data == first
    assert (await there.post(path, asked, trace="t-2")).refused(107306)
    one = f"/v2.1/conversations/bob|1|ann/messages/{first['message_server_id']}"
    assert (await there.get(one)).data == first
    many = {
        "sender_id": "ann",
        "receiver_ids": ["bob", "a b", "cid"],
        "message": {"message_type": 0, "text": "x"},
    }
    sent = (await there.post("/v2/conversations/messages", many, trace="t-3")).data
    assert (await cloud.post("/v2/conversations/messages", many, trace="t-3")).data == sent
    assert [len(sent[which]) for which in ("success_list", "failed_list")] == [2, 1]
    assert await (await cloud.phone("bob")).unread() == [(await cloud.xid("ann"), 2)]
