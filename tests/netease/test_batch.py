"""POST /conversations/messages: one message to many users (netease.md, Siblings)."""

from __future__ import annotations

import json

from gateway.edge.facades.netease.asking import ALIAS
from tests.netease.stage import Answer, Cloud, signed
from tests.rest.stage import Json

PATH = "/v2/conversations/messages"
HI: Json = {"message_type": 0, "text": "hi"}


async def batch(cloud: Cloud, *receivers: str, trace: str = "", **members: object) -> Answer:
    """Send a text of Ann's to these."""
    asked = {"sender_id": "Ann", "receiver_ids": list(receivers), "message": HI, **members}
    return await cloud.post(PATH, asked, trace=trace)


def failed(data: Json) -> list[tuple[str, int]]:
    """Who did not get it, and by which code."""
    for one in data["failed_list"]:
        assert set(one) == {"account_id", "receiver_id", "error_code", "error_msg"}
        assert one["account_id"] == one["receiver_id"]
        assert one["error_msg"]
    return [(one["account_id"], one["error_code"]) for one in data["failed_list"]]


async def test_everybody_gets_a_message_of_their_own(cloud: Cloud) -> None:
    """Each once, by its account; the answer has ids and accounts."""
    bob, cid = await cloud.phone("bob"), await cloud.phone("cid")
    told = (await batch(cloud, "BOB", "cid", "bob")).data
    assert told["failed_list"] == []
    ids = {one["receiver_id"]: one["message_server_id"] for one in told["success_list"]}
    assert list(ids) == ["bob", "cid"]
    for one in told["success_list"]:
        assert set(one) == {"message_server_id", "message_client_id", "sender_id", "receiver_id"}
        assert one["sender_id"] == "ann"
    assert len({one["message_client_id"] for one in told["success_list"]}) == 2
    ann_xid = await cloud.xid("ann")
    for name, phone in (("bob", bob), ("cid", cid)):
        [item] = (await phone.page(ann_xid))["messages"]
        assert (item["msg_id"], item["content"]) == (ids[name], "hi")
        assert json.loads(item["config"]) == {"nim": {"sender_id": "ann", "message_type": 0}}


async def test_the_whole_of_each_message(cloud: Cloud) -> None:
    """Where details are asked for, each is told as a send to it alone would be."""
    message: Json = {
        "message_type": 100,
        "attachment": {"a": 1},
        "sub_type": 7,
        "text": "x",
        "message_client_id": "c",
    }
    told = (await batch(cloud, "bob", "cid", message=message, need_message_detail=True)).data
    for one, receiver in zip(told["success_list"], ("bob", "cid"), strict=True):
        assert one.pop("message_server_id") > 0
        assert one.pop("create_time") > 1_700_000_000_000
        assert one == message | {"sender_id": "ann", "conversation_type": 1, "receiver_id": receiver}


async def test_some_fail(cloud: Cloud) -> None:
    """Each by its own code, in the order named, and the others get it; even where none does it is a success."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    assert (await bob.post("/roster/block", {"user_id": ann.xid})).done
    told = (await batch(cloud, "no such", "cid", "bob", "system", "", "#77", "dan")).data
    assert [one["receiver_id"] for one in told["success_list"]] == ["cid", "dan"]
    nobody = [("no such", 102404), ("bob", 102426), ("system", 403), ("", 102404), ("#77", 102404)]
    assert failed(told) == nobody
    told = (await batch(cloud, "no such", "bob")).data
    assert told["success_list"] == []
    assert failed(told) == [("no such", 102404), ("bob", 102426)]
    assert failed((await batch(cloud, "no such")).data) == [("no such", 102404)]


async def test_a_retry_gets_the_same_lists(cloud: Cloud) -> None:
    """Whatever has changed since, and by a client's id as by a trace alone."""
    ann, bob, cid = [await cloud.phone(name) for name in ("ann", "bob", "cid")]
    assert (await bob.post("/roster/block", {"user_id": ann.xid})).done
    own = HI | {"message_client_id": "c-1"}
    first = await batch(cloud, "no such", "bob", "cid", trace="t-1", need_message_detail=True)
    other = await batch(cloud, "cid", "bob", trace="t-2", message=own)
    for told in (first, other):
        assert [one["receiver_id"] for one in told.data["success_list"]] == ["cid"]
    assert (await bob.post("/roster/unblock", {"user_id": ann.xid})).done
    assert (await cid.post("/roster/block", {"user_id": ann.xid})).done
    again = await batch(cloud, "no such", "bob", "cid", trace="t-1", need_message_detail=True)
    assert failed(first.data) == [("no such", 102404), ("bob", 102426)]
    assert again.data == first.data
    again = await batch(cloud, "cid", "bob", trace="t-2", message=own)
    assert again.data == other.data
    assert (await batch(cloud, "bob", "cid", trace="t-1")).refused(414, "X-custom-traceid")
    assert (await batch(cloud, "cid", "bob", trace="t-3", message=own)).refused(107306)
    alone = "/v2/conversations/ann|1|cid/messages"
    assert (await cloud.post(alone, {"message": own}, trace="t-2")).refused(107306)
    assert (await ann.history(cid.xid), await ann.history(bob.xid)) == (["hi", "hi"], [])


async def test_options_hold_for_each(cloud: Cloud) -> None:
    """What is not to be counted, whom it is not to reach, what is kept nowhere."""
    ann, bob, cid = [await cloud.phone(name) for name in ("ann", "bob", "cid")]
    assert (await batch(cloud, "bob", "cid", message_config={"unread_enabled": False})).data["success_list"]
    assert await bob.unread() == await cid.unread() == [(ann.xid, 0)]
    assert (await batch(cloud, "bob", "cid", sender_no_sense=True)).data["success_list"]
    assert (await bob.history(ann.xid), await ann.history(bob.xid)) == (["hi", "hi"], ["hi"])
    nowhere = {"offline_enabled": False, "history_enabled": False}
    told = await batch(cloud, "bob", "no such", "cid", trace="t-1", message_config=nowhere)
    assert [one["receiver_id"] for one in told.data["success_list"]] == ["bob", "cid"]
    assert (
        await batch(cloud, "bob", "no such", "cid", trace="t-1", message_config=nowhere)
    ).body == told.body
    assert await bob.history(ann.xid) == ["hi", "hi"]


async def test_what_is_refused(cloud: Cloud) -> None:
    """A request that is wrong is refused whole, and nobody comes into being by it."""
    many = [f"user{number}" for number in range(101)]
    wrong: list[tuple[Json, int, str]] = [
        ({"sender_id": None}, 414, "sender_id"),
        ({"sender_id": 7}, 414, "sender_id"),
        ({"receiver_ids": None}, 414, "receiver_ids"),
        ({"receiver_ids": []}, 414, "receiver_ids"),
        ({"receiver_ids": [7]}, 414, "receiver_ids"),
        ({"receiver_ids": "bob"}, 414, "receiver_ids"),
        ({"receiver_ids": many}, 414, "receiver_ids"),
        ({"message": {"message_type": 0}}, 414, "message.text"),
        ({"need_message_detail": 1}, 414, "need_message_detail"),
        ({"sender_no_sense": True, "receiver_no_sense": True}, 107330, "sender_no_sense"),
        ({"push_config": {"push_forcepush_ids": ["x"] * 101}}, 107316, "push_config"),
        ({"sender_id": "system"}, 403, "sender_id"),
        ({"sender_id": "no such"}, 102404, "sender_id"),
    ]
    for members, code, sentence in wrong:
        asked = {"sender_id": "ann", "receiver_ids": ["bob"], "message": HI, **members}
        assert (await cloud.post(PATH, asked)).refused(code, sentence)
    for account in ("ann", "bob", "user0"):
        assert (await cloud.get(f"/v2/accounts/{account}")).refused(102404)


async def test_a_registered_app(cloud: Cloud) -> None:
    """Only who has registered gets it there, and only who has registered sends."""
    directory = cloud.node.gateway.directory
    app = await directory.create_app("strict", registered=True)
    await directory.credentials.call("strict", ALIAS, "strict0key")
    await directory.credentials.add("strict", ALIAS, "strict0key", "fake")
    for name in ("ann", "bob"):
        await directory.enroll(app, name, "fake-password")
    headers = signed("strict0key", "fake")
    asked: Json = {"sender_id": "ann", "receiver_ids": ["bob", "cid"], "message": HI}
    told = (await cloud.post(PATH, asked, headers=headers)).data
    assert [one["receiver_id"] for one in told["success_list"]] == ["bob"]
    assert failed(told) == [("cid", 102404)]
    refused = await cloud.post(PATH, asked | {"sender_id": "cid"}, headers=headers)
    assert refused.refused(102404, "sender_id")
