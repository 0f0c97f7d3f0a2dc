"""Read receipts, between users and in teams (netease.md, Siblings)."""

from __future__ import annotations

import pytest

from gateway.edge.facades.netease import receipts
from tests.netease.stage import Answer, Cloud
from tests.rest.stage import Caller

P2P, TEAM = "/v2/messages/actions/p2p_read_receipt", "/v2/messages/actions/team_read_receipt"


async def mark(cloud: Cloud, msg_id: object, reader: object = "bob", sender: object = "ann") -> Answer:
    """Say that one has read another's message."""
    asked = {"from_account_id": reader, "to_account_id": sender, "message_server_id": msg_id}
    return await cloud.post(P2P, asked)


async def mark_team(cloud: Cloud, team: int, *msg_ids: object, reader: str = "bob") -> Answer:
    """Say that a member has read messages of a team."""
    asked = {"from_account_id": reader, "team_id": str(team), "message_server_ids": [*msg_ids]}
    return await cloud.post(TEAM, asked)


async def readers(cloud: Cloud, team: object, msg_id: object, **said: object) -> Answer:
    """Ask who has read a message of a team."""
    asked = {"team_id": team, "message_server_id": msg_id, **said}
    return await cloud.get(TEAM + "?" + "&".join(f"{name}={value}" for name, value in asked.items()))


class TestBetweenUsers:
    """POST p2p_read_receipt."""

    async def test_up_to_this_message(self, still: int, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """It and all before it are read, and the sender's device is told; the answer says when."""
        first, second, _ = [await ann.send(bob.xid) for _ in range(3)]
        async with ann.device(1) as device:
            await device.hear("live")
            assert (await mark(cloud, str(second), "BOB")).data == {"timestamp": still}
            told = (await device.hear("receipt"))[-1]
            assert (told["msg_id"], told["status"], told["uid"]) == (second, "READ", bob.xid)
        assert await ann.statuses(bob.xid) == ["UNREAD", "READ", "READ"]
        assert (await mark(cloud, first)).data == {"timestamp": still}
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
        await cloud.name("dan", "eve")
        assert (await mark(cloud, 1, "dan", "eve")).data["timestamp"]
        msg_id = await (await cloud.node.admin()).notify(bob.xid)
        assert len(await bob.unread()) == 1
        assert (await mark(cloud, msg_id, "bob", "system")).data["timestamp"]
        assert [num for _, num in await bob.unread()] == [0]

    async def test_what_is_wrong(self, cloud: Cloud) -> None:
        """Is named."""
        await cloud.name("ann", "bob")
        for members, code, named in (
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
        ):
            asked = {"from_account_id": "bob", "to_account_id": "ann", "message_server_id": 1} | members
            assert (await cloud.post(P2P, asked)).refused(code, named)
            assert (await cloud.post(P2P, b"[]")).refused(414, "body")


class TestInATeam:
    """POST team_read_receipt."""

    async def test_up_to_the_newest_of_them(
        self, cloud: Cloud, team: int, ann: Caller, bob: Caller, cid: Caller
    ) -> None:
        """All before it are read too, and who has sent it is told; the answer has the ids in their order."""
        sent = [await ann.tell(team) for _ in range(4)]
        async with ann.device(1) as device:
            await device.hear("live")
            data = (await mark_team(cloud, team, sent[2], str(sent[1]), sent[2])).data
            assert data == {"success_list": [sent[2], sent[1]], "failed_list": []}
            told = (await device.hear("receipt"))[-1]
            assert (told["conversation_id"], told["msg_id"], told["status"]) == (team, sent[2], "READ")
        assert await ann.statuses(team) == ["UNREAD", "READ", "READ", "READ"]
        assert (await readers(cloud, team, sent[0])).data["read_account_ids"] == ["bob"]
        assert await bob.unread() == [(team, 1)]
        assert await cid.unread() == [(team, 4)]

    async def test_what_there_is_not(self, cloud: Cloud, team: int, ann: Caller, bob: Caller) -> None:
        """Is told apart: what lies elsewhere, is taken back, or came before one's stay; nothing is read by it."""
        elsewhere, recalled, kept = await ann.send(bob.xid), await ann.tell(team), await ann.tell(team)
        await ann.recall(team, recalled)
        dan = await cloud.phone("dan")
        await ann.change("invite", team, dan.xid)
        late = await ann.tell(team)
        ids = (elsewhere, recalled, 4711, kept)
        assert (await mark_team(cloud, team, *ids)).data == {
            "success_list": [kept],
            "failed_list": [elsewhere, recalled, 4711],
        }
        assert await bob.unread() == [(team, 1), (ann.xid, 1)]
        data = (await mark_team(cloud, team, *ids, reader="dan")).data
        assert data == {"success_list": [], "failed_list": [*ids]}
        assert await dan.unread() == [(team, 1)]
        data = (await mark_team(cloud, team, late, reader="dan")).data
        assert data == {"success_list": [late], "failed_list": []}
        assert await dan.unread() == [(team, 0)]

    async def test_who_may_not(self, cloud: Cloud, team: int, ann: Caller, bob: Caller) -> None:
        """109404 for a stranger, 108404 where there is no team, 102404 for who cannot be."""
        msg_id = await ann.tell(team)
        await cloud.name("zoe")
        assert (await mark_team(cloud, team, msg_id, reader="zoe")).refused(109404)
        assert (await mark_team(cloud, team, msg_id, reader="a b")).refused(102404, "from_account_id")
        assert (await mark_team(cloud, 4711, msg_id)).refused(108404, "team_id")
        assert (await mark_team(cloud, bob.xid, msg_id)).refused(108404, "team_id")
        assert (await mark_team(cloud, await ann.group(kind=2), msg_id)).refused(108404, "team_id")

    async def test_what_is_wrong(self, cloud: Cloud, team: int) -> None:
        """Is named."""
        for members, named in (
            ({"from_account_id": None}, "from_account_id"),
            ({"team_id": None}, "team_id"),
            ({"team_id": "x"}, "team_id"),
            ({"team_id": 0}, "team_id"),
            ({"message_server_ids": None}, "message_server_ids"),
            ({"message_server_ids": []}, "message_server_ids"),
            ({"message_server_ids": [*range(1, 52)]}, "message_server_ids"),
            ({"message_server_ids": 5}, "message_server_ids"),
            ({"message_server_ids": [None]}, "message_server_ids"),
            ({"message_server_ids": ["x"]}, "message_server_ids"),
        ):
            asked = {"from_account_id": "bob", "team_id": str(team), "message_server_ids": [1]} | members
            assert (await cloud.post(TEAM, asked)).refused(414, named)

    async def test_fifty(self, cloud: Cloud, team: int) -> None:
        """Are as many as there may be."""
        data = (await mark_team(cloud, team, *range(10**6, 10**6 + 50))).data
        assert (data["success_list"], len(data["failed_list"])) == ([], 50)


class TestReaders:
    """GET team_read_receipt."""

    async def test_who_has_and_who_has_not(
        self, cloud: Cloud, team: int, ann: Caller, bob: Caller, cid: Caller
    ) -> None:
        """Of whoever was there when it came, but its sender; a device's READ shows, and so does one who left."""
        msg_id = await bob.tell(team)
        dan = await cloud.phone("dan")
        await ann.change("invite", team, dan.xid)
        assert (await readers(cloud, team, msg_id)).data == {
            "read_size": 0,
            "unread_size": 2,
            "read_account_ids": [],
            "unread_account_ids": ["ann", "cid"],
        }
        async with cid.device(1) as device:
            await device.hear("live")
            assert (await device.ask("read", conversation_id=team, msg_id=msg_id))["op"] == "ok"
        assert (await cid.change("leave", team)).data
        assert (await readers(cloud, team, msg_id, sender_id="BOB", snapshot="true", team_type=1)).data == {
            "read_size": 1,
            "unread_size": 1,
            "read_account_ids": ["cid"],
            "unread_account_ids": ["ann"],
        }

    async def test_who_has_no_name(self, cloud: Cloud, ann: Caller) -> None:
        """Is called by its number."""
        team = await ann.group(4711)
        msg_id = await ann.tell(team)
        assert (await readers(cloud, team, msg_id)).data["unread_account_ids"] == ["#4711"]

    async def test_another_ones(self, cloud: Cloud, team: int, ann: Caller) -> None:
        """403 where the sender is another, or nobody; nobody comes into being by it."""
        msg_id = await ann.tell(team)
        for sender in ("bob", "nobody", "system"):
            assert (await readers(cloud, team, msg_id, sender_id=sender)).refused(403, "sender_id")
        assert cloud.node.rows("SELECT name FROM \"user\" WHERE name = 'nobody'") == []
        notice = await (await cloud.node.admin()).notify(team, type=2)
        assert (await readers(cloud, team, notice, sender_id="system")).data["unread_size"] == 3

    async def test_no_such_message(self, cloud: Cloud, team: int, ann: Caller, bob: Caller) -> None:
        """107404 for what lies elsewhere or is not there, 108404 where there is no team."""
        other = await ann.group(bob.xid)
        between, in_other = await ann.send(bob.xid), await ann.tell(other)
        for msg_id in (between, in_other, 4711):
            assert (await readers(cloud, team, msg_id)).refused(107404)
        for number in (4711, bob.xid, await ann.group(kind=2)):
            assert (await readers(cloud, number, between)).refused(108404, "team_id")

    async def test_where_reads_are_not_told(self, cloud: Cloud, team: int, ann: Caller) -> None:
        """403."""
        msg_id = await ann.tell(team)
        cloud.node.rows("UPDATE grp SET read_ack = 0")
        assert (await readers(cloud, team, msg_id)).refused(403)

    async def test_what_is_wrong(self, cloud: Cloud, team: int) -> None:
        """Is named."""
        for wrong in ("", "x", 0, "1.5"):
            assert (await readers(cloud, team, wrong)).refused(414, "message_server_id")
            assert (await readers(cloud, wrong, 1)).refused(414, "team_id")

    async def test_so_many(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, ann: Caller) -> None:
        """Of either only the first are named; the counts are of all."""
        monkeypatch.setattr(receipts, "LISTED_MAX", 2)
        team = await ann.group(*range(1, 6))
        msg_id = await ann.tell(team)
        assert (await readers(cloud, team, msg_id)).data == {
            "read_size": 0,
            "unread_size": 5,
            "read_account_ids": [],
            "unread_account_ids": ["#1", "#2"],
        }
