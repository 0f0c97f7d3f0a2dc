"""POST /conversations/{cid}/messages: who sends to whom, and what is answered (netease.md)."""

from __future__ import annotations

import json
import uuid

import pytest

from gateway.edge.facades.netease.asking import ALIAS
from tests.netease.stage import Cloud, signed
from tests.rest.stage import Json

SEED: Json = json.loads(
    """{
"sender_no_sense": false,
"receiver_no_sense": false,
"extension": "dolore dolor sint qui voluptate",
"message": {
"message_type": 0,
"sub_type": 26357002,
"text": "Lorem laboris cillum ut exercitation",
"attachment": {
"name": "器年众际根开以",
"md5": "esse Excepteur do",
"url": "http://zpcuedkr.nc/yjy",
"ext": "Excepteur consequat",
"width": 83,
"height": 56,
"size": 18
}
},
"message_config": {
"unread_enabled": false,
"mutil_sync_enabled": true,
"offline_enabled": true,
"history_enabled": false,
"roaming_enabled": true,
"conversation_update_enabled": true
},
"route_config": {
"route_enabled": true,
"route_environment": "Lorem anim quis"
},
"push_config": {
"push_enabled": true,
"push_nick_enabled": false,
"push_content": "id do in velit",
"push_payload": null,
"push_forcepush_all": true,
"push_forcepush_ids": [
"22"
],
"push_forcepush_content": "nostrud veniam dolore esse"
},
"antispam_config": {
"antispam_enabled": false,
"antispam_business_id": "44",
"antispam_extension": null,
"antispam_custom_message_enabled": true,
"antispam_custom_message": "laborum non irure et",
"antispam_cheating": "{\\"email\\":\\"123@126.com\\"}"
},
"p2p_option": {
"check_friend": true
},
"team_option": {
"mark_as_read": true,
"ignore_chat_banned": false
},
"superteam_option": {
"ignore_chat_banned": false
},
"robot_config": {
"robot_account_id": null,
"robot_topic": "http://dummyimage.com/400x400",
"robot_function": "ex nisi pariatur qui do",
"robot_custom_content": "quis Lorem"
}
}"""
)
"""The sample of seed 003."""


HI: Json = {"message": {"message_type": 0, "text": "hi"}}


def messages(conversation: str) -> str:
    return f"/v2/conversations/{conversation}/messages"


async def test_the_seeds_sample(cloud: Cloud) -> None:
    """Sent as it stands it is answered with the members of its answer, and the client's id that it came without."""
    told = (await cloud.post(messages("apifoxtest1|1|accid4"), SEED)).data
    assert told.pop("message_server_id") > 0
    assert told.pop("create_time") > 1_700_000_000_000
    assert str(uuid.UUID(told["message_client_id"])) == told.pop("message_client_id")
    assert told == {
        "text": "Lorem laboris cillum ut exercitation",
        "attachment": SEED["message"]["attachment"],
        "sender_id": "apifoxtest1",
        "conversation_type": 1,
        "receiver_id": "accid4",
        "message_type": 0,
        "sub_type": 26357002,
    }


async def test_what_a_device_gets_of_the_seeds_sample(cloud: Cloud) -> None:
    """The usual item; what has no place in it is in its config, and what filters are told is nowhere."""
    phone = await cloud.phone("accid4")
    async with phone.device(1) as device:
        await device.hear("live")
        told = (await cloud.post(messages("apifoxtest1%7C1%7Caccid4"), SEED)).data
        item = (await device.hear("message"))[-1]["message"]
    config = json.loads(item.pop("config"))
    attachment = json.loads(item.pop("attachment"))
    assert attachment == SEED["message"]["attachment"]
    sender = await cloud.xid("apifoxtest1")
    assert item == {
        "msg_id": told["message_server_id"],
        "from_xid": {"uid": sender, "device_sn": 0},
        "to_xid": {"uid": phone.xid, "device_sn": 0},
        "content": "Lorem laboris cillum ut exercitation",
        "ctype": "TEXT",
        "ext": "dolore dolor sint qui voluptate",
        "timestamp": told["create_time"],
        "conversation_id": sender,
    }
    assert config == {
        "nim": {
            "sender_id": "apifoxtest1",
            "message_type": 0,
            "sub_type": 26357002,
            "message_config": {"unread_enabled": False, "history_enabled": False},
            "route_config": {"route_environment": "Lorem anim quis"},
            "push_config": {
                "push_nick_enabled": False,
                "push_content": "id do in velit",
                "push_forcepush_all": True,
                "push_forcepush_ids": ["22"],
                "push_forcepush_content": "nostrud veniam dolore esse",
            },
            "robot_config": {
                "robot_topic": "http://dummyimage.com/400x400",
                "robot_function": "ex nisi pariatur qui do",
                "robot_custom_content": "quis Lorem",
            },
        }
    }


async def test_an_attachment_is_kept_byte_for_byte(cloud: Cloud) -> None:
    """Numbers, escapes and blanks stay what they were, in the answer and on the device."""
    phone = await cloud.phone("bob")
    raw = '{ "a" :1.50,"b":"\\u00e9\\/", "n":[12345678901234567890123, 1e2]}'
    body = f'{{"message":{{"message_type":"100","attachment":{raw}}}}}'
    async with phone.device(1) as device:
        await device.hear("live")
        told = await cloud.post(messages("ann|1|bob"), body.encode())
        assert told.data["message_type"] == 100
        assert raw.encode() in told.body
        item = (await device.hear("message"))[-1]["message"]
    assert (item["ctype"], item["attachment"]) == ("COMMAND", raw)


@pytest.mark.parametrize("kind", [2, 3])
async def test_a_team(cloud: Cloud, kind: int) -> None:
    """A team and a super team are a group by its number; all members get what one of them sends."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    team = await ann.group(bob.xid)
    async with bob.device(1) as device:
        await device.hear("live")
        told = await cloud.send(f"ann|{kind}|{team}")
        item = (await device.hear("message"))[-1]["message"]
    assert (told["conversation_type"], told["receiver_id"], told["sender_id"]) == (kind, str(team), "ann")
    assert (item["msg_id"], item["to_xid"]["uid"]) == (told["message_server_id"], team)
    assert item["conversation_id"] == team
    assert json.loads(item["config"]) == {"nim": {"sender_id": "ann", "message_type": 0}}


async def test_a_team_that_is_none(cloud: Cloud) -> None:
    """A number that is nobody's, a user's and a chatroom's are no team; to who is not in one it is closed."""
    ann = await cloud.phone("ann")
    team, room = await ann.group(), await ann.group(kind=2)
    for number in (4_711, ann.xid, room):
        refused = await cloud.post(
            messages(f"ann|2|{number}"), {"message": {"message_type": 0, "text": "hi"}}
        )
        assert refused.refused(108404)
    stranger = await cloud.post(messages(f"cid|2|{team}"), {"message": {"message_type": 0, "text": "hi"}})
    assert stranger.refused(109404)


@pytest.mark.parametrize("conversation", ["system|1|bob", "bob|1|system", "SYSTEM|2|77"])
async def test_the_reserved_account(cloud: Cloud, conversation: str) -> None:
    """Nobody speaks for it here, and nobody sends to it."""
    assert (await cloud.post(messages(conversation), HI)).refused(403)


async def test_accounts_come_into_being_by_a_send(cloud: Cloud) -> None:
    """Sender and receiver both, in lower case; and by nothing that is refused for what there is not."""
    for refused, code in (
        ("Ann|1|Bob", 414),
        ("Ann|1|no%20such", 102404),
        ("no%20such|1|Bob", 102404),
        ("%2377|1|Bob", 102404),
        ("Ann|1|%2377", 102404),
    ):
        asked = {"message": {"message_type": 0, "text": "hi" if code != 414 else ""}}
        assert (await cloud.post(messages(refused), asked)).refused(code)
    thread = {"thread_config": {"thread_root": {"message_server_id": 1}}}
    assert (await cloud.post(messages("Ann|1|Bob"), HI | thread)).refused(107404, "thread_config: ")
    assert (await cloud.post(messages("Ann|2|4711"), HI)).refused(108404, "conversation_id: ")
    team = await (await cloud.phone("cid")).group()
    assert (await cloud.post(messages(f"Ann|2|{team}"), HI)).refused(109404, "sender_id: ann ")
    for account in ("ann", "bob"):
        assert (await cloud.get(f"/v2/accounts/{account}")).refused(102404)
    told = await cloud.send("Ann|1|Bob")
    assert (told["sender_id"], told["receiver_id"]) == ("ann", "bob")
    for account in ("ann", "bob"):
        assert (await cloud.get(f"/v2/accounts/{account}")).data["account_id"] == account


async def test_an_app_with_registered_users_only(cloud: Cloud) -> None:
    """Nobody comes into being by a send there."""
    directory = cloud.node.gateway.directory
    app = await directory.create_app("strict", registered=True)
    await directory.credentials.call("strict", ALIAS, "strict0key")
    await directory.credentials.add("strict", ALIAS, "strict0key", "fake")
    await directory.enroll(app, "ann", "fake-password")
    headers = signed("strict0key", "fake")
    for conversation in ("ann|1|bob", "bob|1|ann", "bob|2|77"):
        assert (await cloud.post(messages(conversation), HI, headers=headers)).refused(102404, "bob")
    assert (await cloud.post(messages("ann|1|ann"), HI, headers=headers)).data


async def test_a_user_without_a_name(cloud: Cloud) -> None:
    """It is called by its number, both ways."""
    dan = await cloud.node.user(118)
    await cloud.phone("ann")
    told = await cloud.send("%23118|1|ann")
    assert told["sender_id"] == "#118"
    told = await cloud.send("ann|1|%23118")
    assert told["receiver_id"] == "#118"
    assert await dan.history(await cloud.xid("ann")) == ["hi", "hi"]


async def test_a_block_stands_in_the_way(cloud: Cloud) -> None:
    """Who is blocked is refused, though everybody passes for a friend."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    asked = HI | {"p2p_option": {"check_friend": True}}
    assert (await cloud.post(messages("ann|1|bob"), asked)).data
    assert (await bob.post("/roster/block", {"user_id": ann.xid})).done
    assert (await cloud.post(messages("ann|1|bob"), asked)).refused(102426, "conversation_id: ")


async def test_the_conversation_is_named_once_more(cloud: Cloud) -> None:
    """In the body by either name, or in the query, accounts in any case; another one is refused."""
    for more in ({"conversation_id": "ANN|1|bob"}, {"conversationId": "ann|1|BOB"}):
        assert (await cloud.post(messages("ann|1|bob"), HI | more)).data
    assert (await cloud.post(messages("ann|1|bob") + "?conversation_id=Ann%7C1%7Cbob", HI)).data
    for more in (
        {"conversation_id": "ann|1|cid"},
        {"conversationId": "bob|1|ann"},
        {"conversation_id": "ann|2|7"},
    ):
        assert (await cloud.post(messages("ann|1|bob"), HI | more)).refused(110302, "conversation_id")
    assert (await cloud.post(messages("ann|1|bob") + "?conversationId=b|1|a", HI)).refused(110302)
