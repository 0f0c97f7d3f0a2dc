"""The native calls, from the bytes of a request to those of its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.domain.limits import Limits
from gateway.edge.facades.native.decode import decode_send
from tests.core.stage import app_of
from tests.edge.api import Api, open_api

ALICE, BOB = 5001, 6001


def body(*targets: int, content: str = "hi", **more: Any) -> dict[str, Any]:
    return {"type": 1, "targets": list(targets), "content_type": 0, "content": content, **more}


async def send(api: Api, *, sender: int = ALICE, **more: Any) -> int:
    """Send one message; its id."""
    envelope = await api.call("POST", "/message/send", body(BOB, **more), token=await api.token(sender))
    msg_id: int = envelope["msg_ids"][0]
    return msg_id


class TestSend:
    """/message/send and /message/notify."""

    @pytest.mark.parametrize("verb", ["POST", "PUT"])
    async def test_one_target(self, api: Api, verb: str) -> None:
        """With one target, named twice or once, the message's id is told."""
        envelope = await api.call(verb, "/message/send", body(BOB, BOB), token=await api.token(ALICE))
        assert set(envelope) == {"code", "message", "data", "msg_ids"}
        assert envelope["data"] is True
        assert len(envelope["msg_ids"]) == 1

    async def test_more_targets(self, api: Api) -> None:
        """With more targets no id is told."""
        envelope = await api.call("POST", "/message/send", body(BOB, 7), token=await api.token(ALICE))
        assert envelope == {"code": 200, "message": None, "data": True}

    async def test_an_administrator_names_the_sender(self, api: Api) -> None:
        """The vendor's own example: an administrator's token sends for a user."""
        envelope = await api.call(
            "POST", "/message/send", body(BOB, from_user_id="5001"), token=await api.token(None)
        )
        page = await api.data("GET", "/message/conversation", token=await api.token(BOB), opposite_id=ALICE)
        assert [item["msg_id"] for item in page["messages"]] == envelope["msg_ids"]

    async def test_the_acting_headers(self, api: Api) -> None:
        """`user_id` acts for a user, and both headers together are refused."""
        token = await api.token(None)
        await api.data("POST", "/message/send", body(BOB), token=token, headers={"user_id": str(ALICE)})
        assert await api.data("GET", "/message/unread", token=await api.token(BOB))
        both = {"user_id": "1", "group_id": "2"}
        assert await api.code("POST", "/message/send", body(BOB), token=token, headers=both) == 10002

    @pytest.mark.parametrize("verb", ["POST", "PUT"])
    async def test_notify(self, api: Api, verb: str) -> None:
        """A notification comes from `system`; a user's token may not send one."""
        envelope = await api.call(verb, "/message/notify", body(BOB), token=await api.token(None))
        assert len(envelope["msg_ids"]) == 1
        system_xid = (await app_of(api.stage)).system_xid
        page = await api.data(
            "GET", "/message/conversation", token=await api.token(BOB), opposite_id=system_xid
        )
        assert page["messages"][0]["from_xid"]["uid"] == system_xid
        assert await api.code(verb, "/message/notify", body(BOB), token=await api.token(ALICE)) == 10010

    @pytest.mark.parametrize("given", [b"", b"[]", b"{", b"\xff", b'{"type":"x"}', b'{"online_only":true}'])
    async def test_bad_bodies(self, api: Api, given: bytes) -> None:
        """What cannot be decoded is 10002."""
        token = await api.token(None)
        for path in ("/message/send", "/message/notify", "/message/recall"):
            assert await api.code("POST", path, given, token=token) == 10002


class TestConversation:
    """/message/conversation."""

    async def test_an_item(self, api: Api) -> None:
        """Every member of seed 001, and the odd ones of seed 000, with their values."""
        texts: dict[str, Any] = {"attachment": "a", "config": "c", "ext": "e"}
        msg_id = await send(api, content="h\u00e9", **texts)
        page = await api.data("GET", "/message/conversation", token=await api.token(BOB), opposite_id=ALICE)
        named = ["uid", "device_sn"]
        item = {
            "msg_id": msg_id,
            "from_xid": {"uid": ALICE, "device_sn": 0, **{f"set_{name}": True for name in named}},
            "to_xid": {"uid": BOB, "device_sn": 0, **{f"set_{name}": True for name in named}},
            "content": "h\u00e9",
            "ctype": "TEXT",
            "status": "UNREAD",
            "timestamp": api.stage.clock(),
            **texts,
        }
        item |= {f"set_{name}": True for name in list(item)}
        assert page == {
            "is_last": True,
            "messages": [item],
            "messages_size": 1,
            "messages_iterator": {},
            "next_msg_id": 0,
            "set_is_last": True,
            "set_messages": True,
            "set_next_msg_id": True,
        }

    async def test_pages(self, api: Api) -> None:
        """`next_msg_id` fed back walks to older messages; it is 0 exactly on the last page."""
        sent = [await send(api) for _ in range(5)]
        token, start, seen = await api.token(BOB), 0, []
        while True:
            page = await api.data(
                "GET", "/message/conversation", token=token, opposite_id=ALICE, msg_id_start=start, limit=2
            )
            seen.append([item["msg_id"] for item in page["messages"]])
            start = page["next_msg_id"]
            assert page["is_last"] == (start == 0)
            if not start:
                break
        assert seen == [[sent[4], sent[3]], [sent[2], sent[1]], [sent[0]]]

    async def test_limits(self, tmp_path: Path) -> None:
        """`limit` has a default, is cut to what a page may hold, and is at least 1."""
        async with open_api(tmp_path, Limits(page_default=2, page_max=3)) as api:
            asking = {"token": await api.token(BOB), "opposite_id": ALICE}
            for _ in range(4):
                await send(api)
            for limit, size in (("", 2), ("1", 1), ("3", 3), ("4", 3), (str(2**62), 3)):
                page = await api.data("GET", "/message/conversation", **asking, limit=limit)
                assert page["messages_size"] == len(page["messages"]) == size
            for limit in ("0", "-1", "x", "1.5"):
                assert await api.code("GET", "/message/conversation", **asking, limit=limit) == 10002

    async def test_the_sending_device(self, api: Api) -> None:
        """What a device sent carries its number."""
        principal = await api.stage.user(ALICE)
        order = decode_send(msgspec.json.encode(body(BOB)), api.stage.limits)
        await api.stage.core.messaging.send(principal, order, 3)
        page = await api.data("GET", "/message/conversation", token=await api.token(BOB), opposite_id=ALICE)
        item = page["messages"][0]
        assert (item["from_xid"]["device_sn"], item["to_xid"]["device_sn"]) == (3, 0)

    @pytest.mark.parametrize("query", [{}, {"opposite_id": ""}, {"opposite_id": 0}, {"opposite_id": "x"}])
    async def test_with_whom(self, api: Api, query: dict[str, Any]) -> None:
        """`opposite_id` is required."""
        token = await api.token(BOB)
        assert await api.code("GET", "/message/conversation", token=token, **query) == 10002

    async def test_unknown_ones(self, api: Api) -> None:
        """A conversation with nobody is an empty page, and can be deleted."""
        token = await api.token(BOB)
        page = await api.data("GET", "/message/conversation", token=token, opposite_id=999)
        assert (page["messages"], page["is_last"], page["next_msg_id"]) == ([], True, 0)
        assert await api.data("DELETE", "/message/conversation", token=token, conversation_id=999) is True

    async def test_delete(self, api: Api) -> None:
        """What is deleted is gone for the asker alone."""
        await send(api)
        for _ in range(2):
            deleted = await api.data(
                "DELETE", "/message/conversation", token=await api.token(BOB), conversation_id=ALICE
            )
            assert deleted is True
        for asker, opposite, size in ((BOB, ALICE, 0), (ALICE, BOB, 1)):
            page = await api.data(
                "GET", "/message/conversation", token=await api.token(asker), opposite_id=opposite
            )
            assert page["messages_size"] == size


class TestReading:
    """/message/unread, /message/ack and /message/recall."""

    async def test_unread(self, api: Api) -> None:
        """The recent list, newest first, with its odd members."""
        await send(api)
        await send(api)
        await send(api, sender=7)
        found = await api.data("GET", "/message/unread", token=await api.token(BOB))
        xid = {"device_sn": 0, "set_uid": True, "set_device_sn": True}
        assert found == [
            {"conversation_id": {"uid": uid, **xid}, "num": num, "set_conversation_id": True, "set_num": True}
            for uid, num in ((7, 1), (ALICE, 2))
        ]

    @pytest.mark.parametrize("by", ["msg_id", "conversation_id", "both"])
    async def test_ack(self, api: Api, by: str) -> None:
        """By message, by conversation or both: read, and again the same answer."""
        msg_id = await send(api)
        query = {"msg_id": msg_id, "conversation_id": ALICE, "device_sn": 3}
        if by != "both":
            query = {by: query[by]}
        for _ in range(2):
            assert await api.data("GET", "/message/ack", token=await api.token(BOB), **query) is True
        page = await api.data("GET", "/message/conversation", token=await api.token(ALICE), opposite_id=BOB)
        assert page["messages"][0]["status"] == "READ"

    @pytest.mark.parametrize("query", [{}, {"msg_id": 0}, {"msg_id": "x"}, {"msg_id": 5, "device_sn": 2**31}])
    async def test_bad_acks(self, api: Api, query: dict[str, Any]) -> None:
        """An ack names something, by numbers in range."""
        assert await api.code("GET", "/message/ack", token=await api.token(BOB), **query) == 10002

    @pytest.mark.parametrize("verb", ["POST", "PUT"])
    async def test_recall(self, api: Api, verb: str) -> None:
        """A sender takes a message back, and again the same answer; a stranger may not."""
        msg_id = await send(api)
        recalled = {"conversation_id": BOB, "msg_id": str(msg_id)}
        assert await api.code(verb, "/message/recall", recalled, token=await api.token(7)) == 10010
        for _ in range(2):
            assert await api.data(verb, "/message/recall", recalled, token=await api.token(ALICE)) is True


class TestAccounts:
    """/user/register/v2, /token/user and /token/id."""

    async def test_the_way_in(self, api: Api) -> None:
        """Register, log in by name or by id, and send: none of the first three wants a token."""
        account = {"username": "alice", "password": "secret"}
        user = await api.data("POST", "/user/register/v2", account)
        assert user["username"] == "alice"
        by_name = await api.data(
            "POST", "/token/user", {"name": "alice", "password": "secret", "device_guid": "x"}
        )
        by_id = await api.data("POST", "/token/id", {"user_id": str(user["user_id"]), "password": "secret"})
        for granted in (by_name, by_id):
            assert granted["user_id"] == user["user_id"]
            assert granted["expire"] > api.stage.clock()
            assert set(granted) >= {
                "public_key",
                "encrypt_type",
                "store_token",
                "access_key_secret",
                "push_token",
            }
            assert await api.data("POST", "/message/send", body(BOB), token=granted["token"]) is True
        assert await api.code("POST", "/user/register/v2", account) == 10004

    async def test_no_way_in(self, api: Api) -> None:
        """A wrong password is 10010; an app that is not there is 40000; what is missing is 10002."""
        await api.data("POST", "/user/register/v2", {"username": "alice", "password": "secret"})
        guess = {"name": "alice", "password": "guess"}
        assert await api.code("POST", "/token/user", guess) == 10010
        assert await api.code("POST", "/token/user", guess, headers={"app_id": "other"}) == 40000
        for path in ("/user/register/v2", "/token/user", "/token/id"):
            assert await api.code("POST", path, {"password": "secret"}) == 10002
        oversized = {"name": "alice", "password": "x" * 257}
        assert await api.code("POST", "/token/user", oversized) == 10002


class TestGroups:
    """/group/*."""

    async def make(self, api: Api, **more: Any) -> dict[str, Any]:
        asked = {"name": "g", "description": "d", "avatar": "a", "type": 0, "user_list": [BOB], **more}
        made: dict[str, Any] = await api.data("POST", "/group/create", asked, token=await api.token(ALICE))
        return made

    async def test_create(self, api: Api) -> None:
        """The group's own members, and what became of the users named."""
        group = await self.make(api)
        group_id = group["group_id"]
        info = {
            "group_id": group_id,
            "owner_id": ALICE,
            "name": "g",
            "description": "d",
            "avatar": "a",
            "type": 0,
            "count": 2,
            "capacity": 5000,
            "create_timestamp": api.stage.clock(),
            "update_timestamp": api.stage.clock(),
        }
        results = [{"user_id": BOB, "result": "success", "reason": ""}]
        assert group["user_list"] == results
        assert {member: group[member] for member in info} == info
        seen = await api.data("GET", "/group/info", token=await api.token(BOB), group_id=group_id)
        assert {**seen, "user_list": results} == group

    async def test_create_with_nothing(self, api: Api) -> None:
        """All members of the body are optional."""
        group = await api.data("POST", "/group/create", {}, token=await api.token(ALICE))
        assert (group["name"], group["type"], group["count"]) == ("", 0, 1)

    @pytest.mark.parametrize(
        "wrong", [{"type": 2}, {"name": "x" * 4097}, {"user_list": ["x"]}, {"user_list": [0]}, {"name": 5}]
    )
    async def test_create_refused(self, api: Api, wrong: dict[str, Any]) -> None:
        """What a group cannot be is 10002."""
        assert await api.code("POST", "/group/create", wrong, token=await api.token(ALICE)) == 10002

    async def test_member_list(self, api: Api) -> None:
        """Pages with cursor and version beside the data."""
        group_id = (await self.make(api))["group_id"]
        token = await api.token(ALICE)
        first = await api.call(
            "GET", "/group/member_list", token=token, group_id=group_id, cursor="", limit=1
        )
        joined = {"join_time": api.stage.clock(), "display_name": ""}
        assert first["data"] == [{"user_id": ALICE, **joined}]
        rest = await api.call(
            "GET", "/group/member_list", token=token, group_id=group_id, cursor=first["cursor"]
        )
        assert rest["data"] == [{"user_id": BOB, **joined}]
        assert (rest["cursor"], rest["version"]) == ("", first["version"])

    async def test_who_is_in_it(self, api: Api) -> None:
        """Invite and kick answer for each user; leave with yes; user_joined lists the groups."""
        group_id = (await self.make(api))["group_id"]
        token, users = await api.token(ALICE), {"group_id": group_id, "user_list": [7, str(ALICE)]}
        invited = await api.data("POST", "/group/invite", users, token=token)
        assert [(one["user_id"], one["result"]) for one in invited] == [(7, "success"), (ALICE, "success")]
        assert await api.data("GET", "/group/user_joined", token=await api.token(7)) == [group_id]
        for verb in ("POST", "DELETE"):
            kicked = await api.data(verb, "/group/kick", users, token=token)
            assert kicked[1]["result"] == "fail"
            assert kicked[1]["reason"]
        left = await api.data("POST", "/group/leave", {"group_id": group_id}, token=await api.token(BOB))
        assert left is True
        assert await api.code("POST", "/group/leave", {"group_id": group_id}, token=token) == 20004
        assert await api.data("GET", "/group/user_joined", token=await api.token(BOB)) == []

    async def test_delete_names_it_either_way(self, api: Api) -> None:
        """A DELETE names its group in the body, or in the query where it has no body."""
        for call in ("/group/leave", "/group/destroy"):
            asker = await api.token(BOB if call == "/group/leave" else ALICE)
            one, other = (await self.make(api))["group_id"], (await self.make(api))["group_id"]
            assert await api.data("DELETE", call, {"group_id": one}, token=asker) is True
            assert await api.data("DELETE", call, token=asker, group_id=other) is True
            assert await api.code("DELETE", call, token=asker) == 10002

    async def test_as_its_owner(self, api: Api) -> None:
        """An administrator's token with `group_id` does what the owner may, there only."""
        group_id, other = (await self.make(api))["group_id"], (await self.make(api))["group_id"]
        acting = {"token": await api.token(None), "headers": {"group_id": str(group_id)}}
        kick = {"group_id": group_id, "user_list": [BOB]}
        assert (await api.data("POST", "/group/kick", kick, **acting))[0]["result"] == "success"
        assert await api.code("POST", "/group/destroy", {"group_id": other}, **acting) == 10010
        assert await api.data("POST", "/group/destroy", {"group_id": group_id}, **acting) is True

    async def test_messages(self, api: Api) -> None:
        """A group's message is in its members' conversation of the same id, and nobody else's."""
        group_id = (await self.make(api))["group_id"]
        to_group = {**body(group_id), "type": 2}
        envelope = await api.call("POST", "/message/send", to_group, token=await api.token(ALICE))
        asking = {"opposite_id": group_id}
        page = await api.data("GET", "/message/conversation", token=await api.token(BOB), **asking)
        assert [item["msg_id"] for item in page["messages"]] == envelope["msg_ids"]
        assert page["messages"][0]["to_xid"]["uid"] == group_id
        for call in (("POST", "/message/send", to_group), ("GET", "/message/conversation")):
            more = {} if len(call) == 3 else asking
            assert await api.code(*call, token=await api.token(7), **more) == 20002
