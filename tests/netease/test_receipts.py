"""Read receipts, between users and in teams (netease.md, Siblings)."""

from __future__ import annotations

import time

import pytest

from tests.netease.stage import Answer, Cloud
from tests.rest.stage import Caller, Json

P2P = "/v2/messages/actions/p2p_read_receipt"


@pytest.fixture
async def ann(cloud: Cloud) -> Caller:
    return await cloud.phone("ann")


@pytest.fixture
async def bob(cloud: Cloud) -> Caller:
    return await cloud.phone("bob")


async def mark(cloud: Cloud, msg_id: object, reader: object = "bob", sender: object = "ann") -> Answer:
    """Say that one has read another's message."""
    asked = {"from_account_id": reader, "to_account_id": sender, "message_server_id": msg_id}
    return await cloud.post(P2P, asked)


class TestBetweenUsers:
    """POST p2p_read_receipt."""

    async def test_up_to_this_message(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """It and all before it are read, and the sender's device is told; the answer says when."""
        first, second, _ = [await ann.send(bob.xid) for _ in range(3)]
        async with ann.device(1) as device:
            await device.hear("live")
            begun = int(time.time() * 1000)
            data = (await mark(cloud, str(second), "BOB")).data
            assert set(data) == {"timestamp"}
            assert begun <= data["timestamp"] <= int(time.time() * 1000)
            told = (await device.hear("receipt"))[-1]
            assert (told["msg_id"], told["status"], told["uid"]) == (second, "READ", bob.xid)
        assert await ann.statuses(bob.xid) == ["UNREAD", "READ", "READ"]
        assert (await mark(cloud, first)).data["timestamp"] >= data["timestamp"]
        assert await ann.statuses(bob.xid) == ["UNREAD", "READ", "READ"]
        assert await bob.unread() == [(ann.xid, 1)]

    async def test_above_the_newest(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """Is the newest; what comes later is unread."""
        msg_id = await ann.send(bob.xid)
        assert (await mark(cloud, msg_id + 1000)).data
        await ann.send(bob.xid)
        assert await ann.statuses(bob.xid) == ["UNREAD", "READ"]

    async def test_what_nobody_wrote(self, cloud: Cloud, bob: Caller) -> None:
        """A conversation that there is not has nothing to be read in it; of `system` there are notifications."""
        assert (await mark(cloud, 1, "dan", "eve")).data["timestamp"]
        msg_id = await (await cloud.node.admin()).notify(bob.xid)
        assert len(await bob.unread()) == 1
        assert (await mark(cloud, msg_id, "bob", "system")).data["timestamp"]
        assert [num for _, num in await bob.unread()] == [0]

    @pytest.mark.parametrize(
        ("members", "code", "named"),
        [
            ({"from_account_id": None}, 414, "from_account_id"),
            ({"from_account_id": ""}, 414, "from_account_id"),
            ({"from_account_id": 5}, 414, "from_account_id"),
            ({"to_account_id": None}, 414, "to_account_id"),
            ({"to_account_id": ["ann"]}, 414, "to_account_id"),
            ({"message_server_id": None}, 414, "message_server_id"),
            ({"message_server_id": 0}, 414, "message_server_id"),
            ({"message_server_id": True}, 414, "message_server_id"),
            ({"message_server_id": "x"}, 414, "message_server_id"),
            ({"message_server_id": 2**53}, 414, "message_server_id"),
            ({"from_account_id": "system"}, 403, "from_account_id"),
            ({"from_account_id": "a b"}, 102404, "from_account_id"),
            ({"to_account_id": "#4711"}, 102404, "to_account_id"),
        ],
    )
    async def test_what_is_wrong(self, cloud: Cloud, members: Json, code: int, named: str) -> None:
        """Is named."""
        asked = {"from_account_id": "bob", "to_account_id": "ann", "message_server_id": 1} | members
        assert (await cloud.post(P2P, asked)).refused(code, named)
        assert (await cloud.post(P2P, b"[]")).refused(414, "body")
