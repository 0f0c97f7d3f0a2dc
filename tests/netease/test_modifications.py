"""POST modifyMsg: whoever has sent a message changes what it says (netease.md, Siblings)."""

from __future__ import annotations

import json

import pytest

from tests.netease.looking import one, whisper
from tests.netease.stage import Answer, Cloud
from tests.rest.stage import Caller, Json

PATH = "/v2/messages/actions/modifyMsg"


def asked_for(msg_id: object, /, message: Json | None = None, **members: object) -> Json:
    """A change of what Ann has sent to Bob, with the members given in place of the usual ones."""
    usual = {
        "message_server_id": msg_id,
        "sender_id": "ann",
        "receiver_id": "bob",
        "time": 1,
        "message_type": 0,
        "text": "new",
    }
    return {"operator": "ann", "type": 1, "message": usual | (message or {}), **members}


async def modify(cloud: Cloud, msg_id: object, /, message: Json | None = None, **members: object) -> Answer:
    return await cloud.post(PATH, asked_for(msg_id, message, **members))


async def told(cloud: Cloud, msg_id: int, conversation: str = "bob|1|ann") -> Json:
    found: Json = (await one(cloud, conversation, msg_id)).data
    return found


class TestWhatChanges:
    """Text and attachment, where they are given."""

    async def test_a_text(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """Whoever looks finds the newest; devices get it as what replaces the other one, with all that travels."""
        msg_id = await ann.send(bob.xid, "old", ext="kept")
        before = await told(cloud, msg_id)
        async with bob.device(1) as device:
            await device.hear("live")
            members: Json = {"push_config": {"push_content": "see"}, "extension": "x", "p2p_option": {}}
            assert (await modify(cloud, str(msg_id), {"sub_type": 4}, operator="ANN", **members)).data == {}
            item = (await device.hear("message"))[-1]["message"]
            assert (item["ctype"], item["content"], item["related_mid"]) == ("REPLACE", "new", msg_id)
            assert (item["from_xid"]["uid"], item["ext"]) == (ann.xid, "x")
            assert json.loads(item["config"])["nim"] == {
                "sender_id": "ann",
                "message_type": 0,
                "sub_type": 4,
                "push_config": {"push_content": "see"},
            }
        assert await told(cloud, msg_id) == before | {"text": "new"}
        assert (await modify(cloud, msg_id, {"text": "newer"})).data == {}
        assert (await told(cloud, msg_id))["text"] == "newer"
        assert len((await bob.page(ann.xid))["messages"]) == 1

    async def test_what_is_not_given(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """Stays as it is, as it has become."""
        msg_id = await ann.send(bob.xid, "under it", content_type=1, attachment='{"url":"1"}')
        image: Json = {"message_type": 1, "text": None}
        assert (await modify(cloud, msg_id, image | {"text": "below"})).data == {}
        assert (await modify(cloud, msg_id, image | {"attachment": {"url": "2"}})).data == {}
        found = await told(cloud, msg_id)
        assert (found["text"], found["attachment"]) == ("below", {"url": "2"})
        assert (await modify(cloud, msg_id, image | {"text": ""})).data == {}
        found = await told(cloud, msg_id)
        assert ("text" in found, found["attachment"]) == (False, {"url": "2"})

    async def test_what_a_backend_has_sent(self, cloud: Cloud) -> None:
        """Stays what it was but for what it says: its type, and what its client calls it."""
        message: Json = {
            "message_type": 10,
            "text": "tip",
            "message_client_id": "c-1",
            "attachment": {"a": 1},
        }
        sent = await cloud.send("ann|1|bob", message=message)
        assert (await modify(cloud, sent["message_server_id"])).refused(107404)
        assert (await modify(cloud, sent["message_server_id"], {"message_type": 10})).data == {}
        assert await told(cloud, sent["message_server_id"]) == sent | {"text": "new"}

    async def test_what_one_side_knows(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """Changes for that side alone, and what is in no history for devices alone."""
        async with bob.device(1) as device:
            await device.hear("live")
            secret = await cloud.send("ann|1|bob", "secret", receiver_no_sense=True)
            assert (await modify(cloud, secret["message_server_id"])).data == {}
            passing = await cloud.send("ann|1|bob", "passing", message_config={"history_enabled": False})
            assert (await modify(cloud, passing["message_server_id"])).data == {}
            frames = await device.hear("message") + await device.hear("message")
            assert [frame["message"]["content"] for frame in frames] == ["passing", "new"]
        assert await ann.history(bob.xid) == ["secret"]
        assert (await told(cloud, secret["message_server_id"], "ann|1|bob"))["text"] == "new"
        assert (await one(cloud, "bob|1|ann", secret["message_server_id"])).refused(107404)
        assert (await one(cloud, "bob|1|ann", passing["message_server_id"])).refused(107404)

    async def test_after_clearing(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """What its sender does not see any more changes for the other one."""
        msg_id = await ann.send(bob.xid, "under it", content_type=1, attachment="{}")
        await ann.delete(bob.xid)
        image: Json = {"message_type": 1, "text": None, "attachment": {"b": 1}}
        assert (await modify(cloud, msg_id, image)).data == {}
        found = await told(cloud, msg_id)
        assert (found["text"], found["attachment"]) == ("under it", {"b": 1})

    @pytest.mark.parametrize("kind", [2, 3])
    async def test_in_a_team(self, cloud: Cloud, team: int, bob: Caller, kind: int) -> None:
        """Every member sees it."""
        msg_id = await bob.tell(team, "old")
        here: Json = {"sender_id": "bob", "receiver_id": str(team)}
        members: Json = {"operator": "bob", "type": kind}
        assert (await modify(cloud, msg_id, here, **members)).data == {}
        assert (await told(cloud, msg_id, f"cid|{kind}|{team}"))["text"] == "new"

    async def test_over_bans(self, cloud: Cloud, team: int, ann: Caller, bob: Caller) -> None:
        """Where its team's options say so, whoever may not speak changes what was said."""
        msg_id = await bob.tell(team, "old")
        assert (await ann.post("/group/settings/ban_all", {"group_id": team, "duration": 5})).data
        assert (await ann.post("/group/ban", {"group_id": team, "user_list": [bob.xid]})).data
        over = {"ignore_chat_banned": True, "ignore_member_chat_banned": True}
        here: Json = {"sender_id": "bob", "receiver_id": str(team)}
        for kind, option in ((2, "team_option"), (3, "superteam_option")):
            members: Json = {"operator": "bob", "type": kind, option: over}
            assert (await modify(cloud, msg_id, here | {"text": option}, **members)).data == {}
            assert (await told(cloud, msg_id, f"cid|2|{team}"))["text"] == option

    async def test_what_went_to_some_of_a_team(self, cloud: Cloud, team: int, bob: Caller) -> None:
        """Lies with the team; whoever got it gets the change, and nobody else."""
        msg_id = await whisper(cloud, team, "ann", bob.xid)
        assert (await modify(cloud, msg_id)).refused(107404)
        cid = await cloud.phone("cid")
        async with bob.device(1) as device, cid.device(1) as other:
            await device.hear("live")
            await other.hear("live")
            assert (await modify(cloud, msg_id, {"receiver_id": str(team)}, type=2)).data == {}
            item = (await device.hear("message"))[-1]["message"]
            assert (item["ctype"], item["content"], item["related_mid"]) == ("REPLACE", "new", msg_id)
            after = await bob.tell(team, "after")
            assert [frame["message"]["msg_id"] for frame in await other.hear("message")] == [after]
        assert (await told(cloud, msg_id, f"bob|2|{team}"))["text"] == "new"


class TestWhoMayNot:
    """And what is not to be changed."""

    async def test_another_one(self, cloud: Cloud, team: int, ann: Caller, bob: Caller) -> None:
        """403, for a team's owner too."""
        between, in_team = await ann.send(bob.xid, "old"), await bob.tell(team)
        assert (await modify(cloud, between, operator="bob")).refused(403, "operator")
        here: Json = {"sender_id": "bob", "receiver_id": str(team)}
        assert (await modify(cloud, in_team, here, type=2)).refused(403, "operator")
        assert (await told(cloud, between))["text"] == "old"

    async def test_what_does_not_fit(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """107404: its ends and its type must be those of the message."""
        await cloud.name("cid")
        for message, members in (
            ({"sender_id": "bob", "receiver_id": "ann"}, {"operator": "bob"}),
            ({"receiver_id": "cid"}, {}),
            ({"sender_id": "cid"}, {"operator": "cid"}),
            ({"message_type": 10}, {}),
            ({"message_type": 100, "attachment": {}}, {}),
            ({"message_server_id": 4711}, {}),
        ):
            msg_id = await ann.send(bob.xid, "old")
            assert (await modify(cloud, msg_id, message, **members)).refused(107404)
            assert (await told(cloud, msg_id))["text"] == "old"

    async def test_another_kind_of_conversation(
        self, cloud: Cloud, team: int, ann: Caller, bob: Caller
    ) -> None:
        """107404 as well; 108404 where there is no team, 109404 for who has left it."""
        between, in_team = await ann.send(bob.xid), await bob.tell(team)
        here: Json = {"sender_id": "bob", "receiver_id": str(team)}
        assert (await modify(cloud, between, {"receiver_id": str(team)}, type=2)).refused(107404)
        assert (await modify(cloud, in_team, here | {"receiver_id": "ann"}, operator="bob")).refused(107404)
        members: Json = {"operator": "bob", "type": 2}
        assert (await modify(cloud, in_team, here | {"receiver_id": "4711"}, **members)).refused(108404)
        assert (await bob.change("leave", team)).data
        assert (await modify(cloud, in_team, here, **members)).refused(109404, "message.receiver_id: ")

    async def test_what_is_taken_back(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """107404."""
        msg_id = await ann.send(bob.xid)
        await ann.recall(bob.xid, msg_id)
        assert (await modify(cloud, msg_id)).refused(107404)

    async def test_a_change(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """107404: what changes a message is none by itself."""
        msg_id = await ann.send(bob.xid)
        change = await ann.send(bob.xid, "x", content_type=12, related_mid=msg_id)
        assert (await modify(cloud, change, {"message_type": 100, "attachment": {}})).refused(107404)

    async def test_who_may_not_speak(self, cloud: Cloud, team: int, ann: Caller, bob: Caller) -> None:
        """102426 for who is blocked, 108423 where all are muted, 109424 for who is muted, 102422 for who is frozen."""
        between, in_team = await bob.send(ann.xid, "old"), await bob.tell(team, "old")
        to_cid = await bob.send(await cloud.xid("cid"), "old")
        to_ann: Json = {"sender_id": "bob", "receiver_id": "ann"}
        to_team: Json = {"sender_id": "bob", "receiver_id": str(team)}
        assert (await ann.post("/roster/block", user_id=bob.xid)).done
        assert (await modify(cloud, between, to_ann, operator="bob")).refused(102426, "message.receiver_id: ")
        assert (await ann.post("/group/settings/ban_all", {"group_id": team, "duration": 5})).data
        assert (await modify(cloud, in_team, to_team, operator="bob", type=2)).refused(108423)
        assert (await ann.post("/group/ban", {"group_id": team, "user_list": [bob.xid]})).data
        assert (await modify(cloud, in_team, to_team, operator="bob", type=2)).refused(109424)
        over: Json = {"ignore_chat_banned": True}
        members: Json = {"operator": "bob", "type": 2}
        assert (await modify(cloud, in_team, to_team, team_option=over, **members)).refused(109424)
        assert (await cloud.patch("/v2/accounts/bob/actions/disable", {"enabled": False})).data
        assert (await modify(cloud, to_cid, {**to_ann, "receiver_id": "cid"}, operator="bob")).refused(102422)
        for msg_id, conversation in (
            (between, "ann|1|bob"),
            (in_team, f"cid|2|{team}"),
            (to_cid, "cid|1|bob"),
        ):
            assert (await told(cloud, msg_id, conversation))["text"] == "old"

    async def test_what_is_wrong(self, cloud: Cloud) -> None:
        """Is named, before anybody comes into being."""
        for message, members, named in (
            ({"message_server_id": None}, {}, "message.message_server_id"),
            ({"message_server_id": "x"}, {}, "message.message_server_id"),
            ({"sender_id": None}, {}, "message.sender_id"),
            ({"sender_id": 5}, {}, "message.sender_id"),
            ({"receiver_id": ""}, {}, "message.receiver_id"),
            ({"time": "x"}, {}, "message.time"),
            ({"message_type": None}, {}, "message.message_type"),
            ({"message_type": 5}, {}, "message.message_type"),
            ({"text": None}, {}, "message.text"),
            ({"text": "x" * 5001}, {}, "message.text"),
            ({"attachment": "x"}, {}, "message.attachment"),
            ({"sub_type": -1}, {}, "message.sub_type"),
            ({}, {"operator": None}, "operator"),
            ({}, {"type": None}, "type"),
            ({}, {"type": 4}, "type"),
            ({}, {"type": 2}, "message.receiver_id"),
            ({}, {"message": None}, "message"),
            ({}, {"extension": 5}, "extension"),
            ({}, {"extension": "x" * 16_385}, "extension"),
        ):
            assert (await cloud.post(PATH, asked_for(1, message) | members)).refused(414, named)
        assert cloud.node.rows("SELECT name FROM \"user\" WHERE name IN ('ann', 'bob')") == []
