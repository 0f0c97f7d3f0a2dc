"""Each member of a send: what it may hold, and what becomes of it (netease.md, the table)."""

from __future__ import annotations

import json
from typing import Any

from tests.netease.stage import Cloud
from tests.rest.stage import Caller, Json

ANN_TO_BOB = "/v2/conversations/ann|1|bob/messages"
HI: Json = {"message_type": 0, "text": "hi"}
FILE: Json = {"url": "https://files.example.com/a", "name": "a"}


async def item_on(phone: Caller, opposite: int) -> Json:
    """The newest message of a conversation as its devices have it."""
    found: Json = (await phone.page(opposite))["messages"][0]
    return found


async def test_each_type(cloud: Cloud) -> None:
    """It is a content type of ours, with its words and what it carries; the exact number travels."""
    bob, ann_xid = await cloud.phone("bob"), await cloud.xid("ann")
    types: dict[object, str] = {
        0: "TEXT",
        1: "IMAGE",
        2: "AUDIO",
        3: "VIDEO",
        4: "LOCATION",
        6: "FILE",
        10: "TEXT",
        "100": "COMMAND",
    }
    for kind, ctype in types.items():
        message = {"message_type": kind, "text": "words", "attachment": FILE, "sub_type": 0}
        told = (await cloud.post(ANN_TO_BOB, {"message": message})).data
        number = int(str(kind))
        assert {name: told[name] for name in message} == message | {"message_type": number}
        item = await item_on(bob, ann_xid)
        assert (item["ctype"], item["content"], json.loads(item["attachment"])) == (ctype, "words", FILE)
        travelled = {"sender_id": "ann", "message_type": number, "sub_type": 0}
        assert json.loads(item["config"]) == {"nim": travelled}


async def test_what_was_not_given_is_not_answered(cloud: Cloud) -> None:
    """The answer has no members but those of every message, and those of the request."""
    always = {
        "message_server_id",
        "message_client_id",
        "sender_id",
        "conversation_type",
        "receiver_id",
        "create_time",
    }
    for message in (
        HI,
        {"message_type": 100, "attachment": {}},
        {"message_type": 1, "text": "", "attachment": {}},
    ):
        told = (await cloud.post(ANN_TO_BOB, {"message": message | {"sub_type": None}})).data
        assert set(told) == always | set(message)


async def test_what_is_wrong_is_refused_before_anybody_comes_into_being(cloud: Cloud) -> None:
    """By all codes that a request can be refused by for what it holds."""
    for asked, code in (
        ({"message": {"message_type": 0}}, 414),
        ({"message": HI, "extension": 7}, 414),
        ({"message": HI, "sender_no_sense": True, "receiver_no_sense": True}, 107330),
        ({"message": HI, "push_config": {"push_forcepush_ids": ["a"] * 101}}, 107316),
    ):
        assert (await cloud.post(ANN_TO_BOB, asked)).refused(code)
    assert (await cloud.post(ANN_TO_BOB)).refused(414, "message")
    assert (await cloud.post(ANN_TO_BOB, b"x" * (256 * 1024 + 1))).refused(414, "body")
    for account in ("ann", "bob"):
        assert (await cloud.get(f"/v2/accounts/{account}")).refused(102404)


async def test_members_for_another_kind_of_conversation(cloud: Cloud) -> None:
    """They are ignored, whatever they ask for."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    team = await ann.group(bob.xid)
    wrong = {"inclusive": False, "receiver_account_ids": []}
    more: dict[str, Any] = {"team_option": {"mark_as_read": True}, "target_option": wrong}
    await cloud.send("ann|1|bob", **more)
    assert json.loads((await item_on(bob, ann.xid))["config"])["nim"] == {
        "sender_id": "ann",
        "message_type": 0,
    }
    more = {"p2p_option": {"check_friend": True}, "superteam_option": {"mark_as_read": True}}
    await cloud.send(f"ann|2|{team}", **more)
    assert json.loads((await item_on(bob, team))["config"])["nim"] == {"sender_id": "ann", "message_type": 0}


async def test_the_greatest_of_all(cloud: Cloud) -> None:
    """Lengths are in characters where the vendor counts them, and what has the greatest is let pass."""
    message = {
        "message_type": "0",
        "text": "声" * 5_000,
        "sub_type": str(2**53 - 1),
        "message_client_id": "声" * 128,
        "attachment": {"a": "x" * (65_536 - 9)},
    }
    push = {
        "push_content": "声" * 500,
        "push_payload": "声" * 2_048,
        "push_forcepush_content": "声" * 500,
        "push_forcepush_ids": ["no such account"] * 100,
    }
    told = (
        await cloud.post(
            ANN_TO_BOB,
            {
                "message": message,
                "push_config": push,
                "extension": "x" * 16_384,
                "route_config": {"route_environment": "声" * 64},
            },
        )
    ).data
    assert told["message_client_id"] == message["message_client_id"]
    assert told["sub_type"] == 2**53 - 1
    item = await item_on(await cloud.phone("bob"), await cloud.xid("ann"))
    assert (item["content"], item["ext"]) == (message["text"], "x" * 16_384)
    assert json.loads(item["config"])["nim"]["push_config"] == push


async def test_what_filters_are_told_is_kept_nowhere(cloud: Cloud) -> None:
    """It is no part of what a repeat is compared by, either: it may differ."""
    asked: Json = {"message": HI, "antispam_config": {"antispam_cheating": "ann@example.com"}}
    first = (await cloud.post(ANN_TO_BOB, asked, trace="t-1")).data
    asked["antispam_config"]["antispam_cheating"] = "somebody else"
    assert (await cloud.post(ANN_TO_BOB, asked, trace="t-1")).data == first
    item = await item_on(await cloud.phone("bob"), await cloud.xid("ann"))
    assert "example.com" not in json.dumps(item)


async def test_what_travels_in_a_team(cloud: Cloud) -> None:
    """The option of its own kind counts; that the sender is not to notice it is told to clients."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    team = await ann.group(bob.xid)
    more: dict[str, Any] = {
        "team_option": {"mark_as_read": True},
        "superteam_option": {"mark_as_read": False},
        "sender_no_sense": True,
    }
    for kind, travels in (
        (2, {"sender_no_sense": True, "team_option": {"mark_as_read": True}}),
        (3, {"sender_no_sense": True}),
    ):
        await cloud.send(f"ann|{kind}|{team}", **more)
        config = json.loads((await item_on(bob, team))["config"])
        assert config == {"nim": {"sender_id": "ann", "message_type": 0, **travels}}
