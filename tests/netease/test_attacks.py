"""What a hostile or unlucky backend tries: retries that come late, accounts made for nothing, bounds that are met."""

from __future__ import annotations

import pytest

from gateway.domain.limits import Limits
from tests.netease.stage import Answer, Cloud
from tests.rest.stage import Json
from tests.rest.test_deletion import finished
from tests.rest.test_limits import limit

ANN_BOB = "/v2/conversations/ann|1|bob/messages"
BATCH = "/v2/conversations/messages"
NOWHERE: Json = {"message_config": {"offline_enabled": False, "history_enabled": False}}
HI: Json = {"message_type": 0, "text": "hi"}


async def delete(cloud: Cloud, *accounts: str) -> None:
    """End accounts for good."""
    for account in accounts:
        assert (await (await cloud.phone(account)).post("/user/delete")).done
    await finished(cloud.node)


async def unmade(cloud: Cloud, *accounts: str) -> bool:
    """Whether none of these is anybody."""
    told = [(await cloud.get(f"/v2/accounts/{account}")).json["code"] for account in accounts]
    return told == [102404] * len(accounts)


def ids(told: Answer) -> dict[str, int]:
    """Which message each receiver of a batch got."""
    return {one["receiver_id"]: one["message_server_id"] for one in told.data["success_list"]}


class TestRetriesAfterAnAccountEnded:
    """They get the first answer, whoever is gone by then, and nobody comes into being by them."""

    @pytest.mark.parametrize("more", [{}, NOWHERE])
    @pytest.mark.parametrize("client_id", [None, "c-1"])
    async def test_to_one(self, cloud: Cloud, client_id: str | None, more: Json) -> None:
        """By a client's id as by the trace alone, stored or not; what is not the same is refused for what it is."""
        asked = {"message": HI | {"message_client_id": client_id}, **more}
        first = await cloud.post(ANN_BOB, asked, trace="t-1")
        assert first.data["create_time"] > 0
        await delete(cloud, "bob")
        assert (await cloud.post(ANN_BOB, asked, trace="t-1")).body == first.body
        other = asked | {"message": asked["message"] | {"text": "other"}}
        assert (await cloud.post(ANN_BOB, other, trace="t-1")).refused(107306 if client_id else 414)
        assert await unmade(cloud, "bob")

    async def test_to_one_by_number(self, cloud: Cloud) -> None:
        """Who has no name is nobody any more, too."""
        bob = await cloud.node.user(777)
        path = f"/v2/conversations/ann|1|%23{bob.xid}/messages"
        first = await cloud.post(path, {"message": HI}, trace="t-1")
        assert first.data["receiver_id"] == "#777"
        assert (await bob.post("/user/delete")).done
        assert (await cloud.post(path, {"message": HI}, trace="t-1")).body == first.body
        assert (await cloud.post(path, {"message": HI}, trace="t-2")).refused(102404)

    @pytest.mark.parametrize("strict", [True, False])
    async def test_to_some_members(self, cloud: Cloud, team: int, *, strict: bool) -> None:
        """Of a team, whether strangers were refused or left out."""
        path, option = f"/v2/conversations/ann|2|{team}/messages", {"check_team_member_valid": strict}
        asked = {"message": HI, "target_option": {"receiver_account_ids": ["bob", "cid"], **option}}
        first = await cloud.post(path, asked, trace="t-1")
        assert first.data["message_server_id"]
        await delete(cloud, "bob")
        assert (await cloud.post(path, asked, trace="t-1")).body == first.body
        await delete(cloud, "cid")
        assert (await cloud.post(path, asked, trace="t-1")).body == first.body
        assert await unmade(cloud, "bob", "cid")

    @pytest.mark.parametrize("more", [{}, NOWHERE])
    async def test_of_a_batch(self, cloud: Cloud, more: Json) -> None:
        """Where all got it, all of the lists."""
        asked = more | {
            "sender_id": "ann",
            "receiver_ids": ["bob", "cid"],
            "message": HI,
            "need_message_detail": True,
        }
        first = await cloud.post(BATCH, asked, trace="t-1")
        assert list(ids(first)) == ["bob", "cid"]
        await delete(cloud, "bob")
        assert (await cloud.post(BATCH, asked, trace="t-1")).body == first.body
        assert await unmade(cloud, "bob")

    @pytest.mark.parametrize("more", [{}, NOWHERE])
    async def test_of_a_batch_that_some_got(self, cloud: Cloud, more: Json) -> None:
        """Nobody is told the message of another one: whoever was refused then has failed still."""
        ann, bob, _ = [await cloud.phone(name) for name in ("ann", "bob", "cid")]
        assert (await bob.post("/roster/block", {"user_id": ann.xid})).done
        asked = more | {"sender_id": "ann", "receiver_ids": ["system", "bob", "dan", "cid"], "message": HI}
        first = await cloud.post(BATCH, asked, trace="t-1")
        await delete(cloud, "dan")
        assert list(ids(first)) == ["dan", "cid"]
        failed = [(one["receiver_id"], one["error_code"]) for one in first.data["failed_list"]]
        assert failed == [("system", 403), ("bob", 102426)]
        assert (await bob.post("/roster/unblock", {"user_id": ann.xid})).done
        assert (await cloud.post(BATCH, asked, trace="t-1")).body == first.body
        other = asked | {"receiver_ids": ["cid"]}
        assert (await cloud.post(BATCH, other, trace="t-1")).refused(414, "X-custom-traceid")
        assert await unmade(cloud, "dan")


class TestWhatIsTooLarge:
    """For an app whose messages have a bound of their own."""

    async def test_nobody_comes_into_being(self, cloud: Cloud, team: int) -> None:
        """By what is refused for its size, whichever call it is."""
        await limit(cloud.node, message_bytes_max=100)
        big: Json = {"message": HI | {"text": "x" * 101}}
        ends = {"sender_id": "dan", "receiver_ids": ["eve"]}
        for path, more in (
            ("/v2/conversations/dan|1|eve/messages", {}),
            (f"/v2/conversations/dan|2|{team}/messages", {}),
            ("/v2/conversations/ann|1|eve/messages", {}),
            (BATCH, ends),
        ):
            assert (await cloud.post(path, big | more)).refused(414, "message.text")
        assert await unmade(cloud, "dan", "eve")

    async def test_a_retry(self, cloud: Cloud) -> None:
        """Of what was sent before there was a bound gets its first answer, though its receiver is gone."""
        first = await cloud.post(ANN_BOB, {"message": HI}, trace="t-1")
        await delete(cloud, "bob")
        await limit(cloud.node, message_bytes_max=1)
        assert (await cloud.post(ANN_BOB, {"message": HI}, trace="t-1")).body == first.body


async def test_changed_too_often(cloud: Cloud) -> None:
    """A message is changed a bounded number of times; what is refused is named as this dialect calls it."""
    msg_id = (await cloud.send("ann|1|bob"))["message_server_id"]
    message = HI | {"message_server_id": msg_id, "sender_id": "ann", "receiver_id": "bob"}
    asked = {"operator": "ann", "type": 1, "message": message}
    path = "/v2/messages/actions/modifyMsg"
    for _ in range(Limits().related_max):
        assert (await cloud.post(path, asked)).data == {}
    assert (await cloud.post(path, asked)).refused(414, "message.message_server_id: ")
