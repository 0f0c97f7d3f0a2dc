"""Messages of a conversation: one, some, and who sees which (netease.md, Siblings: v2.1)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.domain.limits import Limits
from gateway.edge.facades.agora.asking import ALIAS as AGORA
from gateway.edge.facades.netease.asking import ALIAS
from tests.agora import stage as agora
from tests.netease.looking import one, page, some, texts
from tests.netease.stage import Cloud, open_cloud, signed
from tests.rest.stage import Caller, Json


@pytest.fixture
async def easemob(cloud: Cloud) -> agora.Cloud:
    """The same app as a backend of Agora Chat knows it."""
    credentials = cloud.node.gateway.directory.credentials
    await credentials.call("demo", AGORA, f"{agora.ORG}/{agora.APP}")
    await credentials.add("demo", AGORA, agora.CLIENT_ID, agora.CLIENT_SECRET)
    opened = agora.Cloud(cloud.node)
    await opened.sign_in()
    return opened


class TestOne:
    """GET …/messages/{id}."""

    async def test_as_it_was_sent(self, cloud: Cloud) -> None:
        """What a send was answered with is what is told of the message, to either side."""
        message: Json = {
            "message_type": 100,
            "text": "hey",
            "sub_type": 3,
            "attachment": {"b": 1, "a": [1.50]},
        }
        for given in ({}, {"message_client_id": "c-1"}):
            sent = await cloud.send("ann|1|bob", message=message | given, extension="{}")
            for conversation in ("ann|1|bob", "ANN%7C1%7Cbob", "bob|1|ann"):
                assert (await one(cloud, conversation, sent["message_server_id"])).data == sent

    async def test_of_a_device(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """All that a message needs; what it has not is not there."""
        msg_id = await ann.send(bob.xid, "", content_type=1, attachment="file-7")
        data = (await one(cloud, "bob|1|ann", str(msg_id))).data
        assert isinstance(data.pop("message_client_id"), str)
        assert data.pop("create_time") > 0
        assert data == {
            "message_server_id": msg_id,
            "message_type": 1,
            "attachment": {"raw": "file-7"},
            "sender_id": "ann",
            "conversation_type": 1,
            "receiver_id": "bob",
        }

    async def test_to_oneself(self, cloud: Cloud, ann: Caller) -> None:
        """A note is from its owner, to its owner."""
        msg_id = await ann.send(ann.xid)
        data = (await one(cloud, "ann|1|ann", msg_id)).data
        assert (data["sender_id"], data["receiver_id"]) == ("ann", "ann")

    async def test_of_nobody_with_a_name(self, cloud: Cloud, bob: Caller) -> None:
        """Whoever has none is called by its number, both ways."""
        nameless = await cloud.node.user(4711)
        msg_id = await nameless.send(bob.xid)
        data = (await one(cloud, "bob|1|%234711", msg_id)).data
        assert (data["sender_id"], data["receiver_id"]) == ("#4711", "bob")

    async def test_a_notification(self, cloud: Cloud, bob: Caller) -> None:
        """Is from `system`."""
        msg_id = await (await cloud.node.admin()).notify(bob.xid)
        data = (await one(cloud, "bob|1|system", msg_id)).data
        assert (data["sender_id"], data["receiver_id"]) == ("system", "bob")

    @pytest.mark.parametrize("kind", [2, 3])
    async def test_in_a_team(self, cloud: Cloud, team: int, bob: Caller, kind: int) -> None:
        """Its receiver is the team, by its number as a string, and its type as it was asked for."""
        msg_id = await bob.tell(team)
        data = (await one(cloud, f"ann|{kind}|{team}", msg_id)).data
        assert (data["sender_id"], data["receiver_id"], data["conversation_type"]) == ("bob", str(team), kind)

    async def test_what_may_not_be_seen(self, cloud: Cloud, team: int, ann: Caller, bob: Caller) -> None:
        """107404 where it lies elsewhere, is taken back, or cleared away; 109404 and 108404 for a team's."""
        msg_id, in_team = await ann.send(bob.xid), await ann.tell(team)
        await cloud.name("dan", "eve", "zoe")
        for conversation, other in (
            ("ann|1|cid", msg_id),
            ("cid|1|bob", msg_id),
            (f"ann|2|{team}", msg_id),
            ("ann|1|bob", in_team),
            ("ann|1|bob", 4711),
            ("dan|1|eve", msg_id),
        ):
            assert (await one(cloud, conversation, other)).refused(107404, "message_server_id")
        assert (await one(cloud, f"zoe|2|{team}", in_team)).refused(109404)
        assert (await one(cloud, "ann|2|4711", in_team)).refused(108404)
        assert (await one(cloud, f"ann|2|{bob.xid}", msg_id)).refused(108404)
        await bob.delete(ann.xid)
        assert (await one(cloud, "bob|1|ann", msg_id)).refused(107404)
        assert (await one(cloud, "ann|1|bob", msg_id)).data
        await ann.recall(bob.xid, msg_id)
        assert (await one(cloud, "ann|1|bob", msg_id)).refused(107404)

    async def test_what_is_wrong(self, cloud: Cloud) -> None:
        """Is named."""
        for msg_id in ("x", "0", "-1", str(2**53), "1.0"):
            assert (await one(cloud, "ann|1|bob", msg_id)).refused(414, "message_server_id")
        assert (await one(cloud, "ann|1", 1)).refused(414, "conversation_id")
        assert (await one(cloud, "a%2Fb|1|bob", 1)).refused(102404, "conversation_id")
        assert (await one(cloud, "ann|1|%ff", 1)).refused(414, "path")
        assert (await one(cloud, "system|1|ann", 1)).refused(403, "conversation_id")
        assert (await one(cloud, "ann|1|bob", "1?conversation_id=ann|1|cid")).refused(110302)


class TestSome:
    """POST …/batch_messages."""

    async def test_each_once_in_the_order_asked_for(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """Those that are not there are told apart, each with what was said of it."""
        first, second = await ann.send(bob.xid, "1"), await bob.send(ann.xid, "2")
        data = (
            await some(
                cloud,
                "ann%7C1%7Cbob",
                {"message_server_id": second, "create_time": 5},
                {"message_server_id": "4711", "create_time": "7"},
                first,
                4712,
                second,
                conversationId="ann|1|bob",
            )
        ).data
        assert set(data) == {"success_list", "failed_list"}
        assert [item["message_server_id"] for item in data["success_list"]] == [second, first]
        assert data["success_list"][1] == (await one(cloud, "ann|1|bob", first)).data
        sentence = "message_server_id: there is no message {} in this conversation"
        assert data["failed_list"] == [
            {
                "message_server_id": 4711,
                "error_code": 107404,
                "error_msg": sentence.format(4711),
                "create_time": 7,
            },
            {"message_server_id": 4712, "error_code": 107404, "error_msg": sentence.format(4712)},
        ]

    async def test_none_of_them(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """Is a success too; so it is with what is taken back or of others."""
        recalled, other = await ann.send(bob.xid), await bob.send(bob.xid)
        await ann.recall(bob.xid, recalled)
        data = (await some(cloud, "ann|1|bob", recalled, other)).data
        assert data["success_list"] == []
        assert [each["message_server_id"] for each in data["failed_list"]] == [recalled, other]

    async def test_a_hundred(self, cloud: Cloud) -> None:
        """And not more."""
        await cloud.name("ann", "bob")
        assert len((await some(cloud, "ann|1|bob", *range(1, 101))).data["failed_list"]) == 100
        assert (await some(cloud, "ann|1|bob", *range(1, 102))).refused(414, "messages")

    async def test_what_is_wrong(self, cloud: Cloud) -> None:
        """Is named."""
        for messages, named in (
            ([], "messages"),
            (None, "messages"),
            ("x", "messages"),
            ([1], "messages"),
            ([None], "messages"),
            ([{}], "message_server_id"),
            ([{"message_server_id": None}], "message_server_id"),
            ([{"message_server_id": -1}], "message_server_id"),
            ([{"message_server_id": [1]}], "message_server_id"),
            ([{"message_server_id": 1, "create_time": "now"}], "create_time"),
        ):
            answer = await cloud.post("/v2.1/conversations/ann|1|bob/batch_messages", {"messages": messages})
            assert answer.refused(414, named)

    async def test_who_may_not(self, cloud: Cloud, team: int) -> None:
        """109404 for a stranger; 110302 where the body names another conversation."""
        await cloud.name("zoe")
        assert (await some(cloud, f"zoe|2|{team}", 1)).refused(109404)
        assert (await some(cloud, "ann|1|bob", 1, conversation_id="bob|1|ann")).refused(110302)
        assert (await some(cloud, "ann|1|bob", 1, conversationId="ann|1|cid")).refused(110302)
        assert (await some(cloud, "ann|1|bob", 1, conversation_id=5)).refused(414, "conversation_id")


class TestWhoSeesWhat:
    """What is in the pages of whom."""

    async def test_three_dialects(self, cloud: Cloud, easemob: agora.Cloud, ann: Caller, bob: Caller) -> None:
        """A device's, an Agora backend's and a NetEase one's messages of one conversation are all there."""
        native = await ann.send(bob.xid, "a device's", ext="{}")
        [agoras] = (await easemob.send("bob", text="an Agora one's", sender="ann")).values()
        [picture] = (
            await easemob.post(
                "/messages/users",
                {
                    "from": "bob",
                    "to": ["ann"],
                    "type": "img",
                    "body": {"filename": "a.jpg", "url": "https://x.io/1"},
                },
            )
        ).data.values()
        ours = await cloud.send("ann|1|bob", message={"message_type": 10, "text": "a NetEase one's"})
        items = (await page(cloud, "bob|1|ann", descending="false")).data["items"]
        told = [
            (
                item["message_server_id"],
                item["message_type"],
                item["sender_id"],
                item["receiver_id"],
                item.get("text"),
                json.dumps(item.get("attachment")),
            )
            for item in items
        ]
        assert told == [
            (native, 0, "ann", "bob", "a device's", "null"),
            (int(agoras), 0, "ann", "bob", "an Agora one's", "null"),
            (int(picture), 1, "bob", "ann", None, '{"filename": "a.jpg", "url": "https://x.io/1"}'),
            (ours["message_server_id"], 10, "ann", "bob", "a NetEase one's", "null"),
        ]
        assert items[-1] == ours

    async def test_what_is_gone(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """What is taken back, has expired, or was never to be looked back at is in no page, get or batch."""
        recalled, kept = await ann.send(bob.xid, "recalled"), await ann.send(bob.xid, "kept")
        await ann.recall(bob.xid, recalled)
        expired = await ann.send(bob.xid, "expired", expire_s=60)
        cloud.node.rows("UPDATE message SET expires_at = 1 WHERE msg_id = ?", expired)
        assert await cloud.node.gateway.retention.expire() == 1
        hidden = await cloud.send("ann|1|bob", "hidden", message_config={"history_enabled": False})
        for conversation in ("ann|1|bob", "bob|1|ann"):
            assert await texts(cloud, conversation) == ["kept"]
            for msg_id in (recalled, expired, hidden["message_server_id"]):
                assert (await one(cloud, conversation, msg_id)).refused(107404)
            data = (await some(cloud, conversation, kept, expired, hidden["message_server_id"])).data
            assert [item["text"] for item in data["success_list"]] == ["kept"]

    async def test_what_one_has_cleared(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """Is there for the other one."""
        await ann.send(bob.xid, "old")
        assert (await cloud.delete("/v2/conversations/ann|1|bob/messages?type=2")).data == {}
        await bob.send(ann.xid, "new")
        assert await texts(cloud, "ann|1|bob") == ["new"]
        assert await texts(cloud, "bob|1|ann") == ["new", "old"]

    async def test_a_stay(self, cloud: Cloud, team: int, ann: Caller, bob: Caller) -> None:
        """Whoever joins sees what comes from then on, and whoever has left nothing."""
        await ann.tell(team, "before")
        assert (await ann.change("kick", team, bob.xid)).data
        dan = await cloud.phone("dan")
        assert (await ann.change("invite", team, dan.xid)).data
        await ann.tell(team, "after")
        assert await texts(cloud, f"ann|2|{team}") == ["after", "before"]
        assert await texts(cloud, f"dan|2|{team}") == ["after"]
        assert (await page(cloud, f"bob|2|{team}")).refused(109404)

    async def test_what_was_changed(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """Is told as it stands, and what changed it is no message by itself."""
        msg_id = await ann.send(bob.xid, "draft")
        await ann.send(bob.xid, "final", content_type=12, related_mid=msg_id)
        await ann.send(bob.xid, "!", content_type=11, related_mid=msg_id)
        assert await texts(cloud, "bob|1|ann") == ["final!"]
        assert (await one(cloud, "bob|1|ann", msg_id)).data["text"] == "final!"

    async def test_another_app(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """Sees nothing, whoever is called the same there."""
        msg_id = await ann.send(bob.xid)
        directory = cloud.node.gateway.directory
        await directory.create_app("other")
        await directory.credentials.call("other", ALIAS, "otherkey")
        await directory.credentials.add("other", ALIAS, "otherkey", "fake")
        theirs = signed("otherkey", "fake")
        await cloud.name("ann", "bob", app_id="other")
        assert (await one(cloud, "ann|1|bob", msg_id, headers=theirs)).refused(107404)
        pages = await cloud.get("/v2.1/conversations/ann|1|bob/messages", headers=theirs)
        assert pages.data["items"] == []


async def test_too_much_at_once(tmp_path: Path) -> None:
    """What reads messages waits for room, each call for what it may need, and is told to come back where none is."""
    async with open_cloud(tmp_path / "data", Limits(answers_bytes_max=1, answers_wait_ms=1)) as cloud:
        root = (await cloud.send("ann|1|bob"))["message_server_id"]
        thread = f"/v2.1/messages/actions/thread_messages?message_server_id={root}"
        asked = (
            ("GET", "/v2.1/conversations/ann|1|bob/messages", None),
            ("GET", "/v2.1/conversations/ann|1|bob/messages?message_type=0", None),
            ("GET", f"/v2.1/conversations/ann|1|bob/messages/{root}", None),
            (
                "POST",
                "/v2.1/conversations/ann|1|bob/batch_messages",
                {"messages": [{"message_server_id": root}]},
            ),
            ("GET", f"{thread}&conversation_type=1&sender_id=ann&receiver_id=bob", None),
        )
        async with cloud.node.gateway.core.answers.space(1):
            for verb, path, body in asked:
                refused = await cloud.call(verb, path, body)
                assert refused.refused(503, "too many"), path
                assert refused.headers["Retry-After"] == "1"
        for verb, path, body in asked:
            assert (await cloud.call(verb, path, body)).data
