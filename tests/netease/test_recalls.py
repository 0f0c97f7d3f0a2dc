"""DELETE …/messages/{id} and …/messages: messages are taken back, conversations cleared (netease.md, Siblings)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.bus.base import Forget
from gateway.edge.facades.netease.asking import ALIAS
from tests.netease.looking import whisper
from tests.netease.stage import Answer, Cloud, signed
from tests.rest.stage import Caller

ONE_SIDED, BY_USER, BY_APP = 1, 2, 3
ROAMING, HISTORY, BOTH = 1, 2, 3


async def recall(
    cloud: Cloud, conversation: str, msg_id: object, kind: object = BY_USER, /, **more: Any
) -> Answer:
    return await cloud.delete(f"/v2/conversations/{conversation}/messages/{msg_id}?type={kind}", **more)


async def clear(cloud: Cloud, conversation: str, kind: object = BOTH) -> Answer:
    return await cloud.delete(f"/v2/conversations/{conversation}/messages?type={kind}")


async def close_window(cloud: Cloud) -> None:
    """Let it be too late for whatever was sent until now."""
    app = await cloud.app()
    cloud.node.rows("UPDATE app SET recall_window_ms = -1")
    cloud.node.gateway.directory.known.forget(Forget(app_id=app.app_id, app=app.id))


class TestByAUser:
    """`type` 2."""

    @pytest.mark.parametrize("conversation", ["ann|1|bob", "ann%7C1%7Cbob", "ANN%7c1|Bob"])
    async def test_the_sender(self, cloud: Cloud, ann: Caller, bob: Caller, conversation: str) -> None:
        """It is gone for both, and the device that had it is told; what would be pushed or said of it is dropped."""
        async with bob.device(1) as device:
            await device.hear("live")
            msg_id = await ann.send(bob.xid)
            await device.hear("message")
            more = "&description=why&push_content=x&conversation_id=ann%7C1%7Cbob"
            assert (await recall(cloud, conversation, msg_id, f"2{more}")).data == {}
            told = (await device.hear("recalled"))[-1]
            assert (told["msg_id"], told["conversation_id"]) == (msg_id, ann.xid)
        assert (await ann.history(bob.xid), await bob.history(ann.xid)) == ([], [])

    async def test_again(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """Nothing more happens, and that is a success, also when it is late."""
        msg_id = await ann.send(bob.xid)
        for _ in range(2):
            assert (await recall(cloud, "ann|1|bob", msg_id)).data == {}
            await close_window(cloud)
        assert cloud.node.rows("SELECT count(*) FROM entry WHERE kind = 2") == [(2,)]

    async def test_the_receiver(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """107303: between users it is the sender's alone."""
        msg_id = await ann.send(bob.xid)
        assert (await recall(cloud, "bob|1|ann", msg_id)).refused(107303)
        assert await bob.history(ann.xid) == ["hi"]

    async def test_too_late(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """107314 when the app's window is over."""
        msg_id = await ann.send(bob.xid)
        await close_window(cloud)
        assert (await recall(cloud, "ann|1|bob", msg_id)).refused(107314)
        assert await bob.history(ann.xid) == ["hi"]

    async def test_to_oneself(self, cloud: Cloud, ann: Caller) -> None:
        """107429; the app may."""
        msg_id = await ann.send(ann.xid)
        assert (await recall(cloud, "ann|1|Ann", msg_id)).refused(107429)
        assert await ann.history(ann.xid) == ["hi"]
        assert (await recall(cloud, "ann|1|ann", msg_id, BY_APP)).data == {}
        assert await ann.history(ann.xid) == []

    @pytest.mark.parametrize("kind", [2, 3])
    async def test_in_a_team(self, cloud: Cloud, team: int, ann: Caller, bob: Caller, kind: int) -> None:
        """Its sender in the window, its owner whenever; a super team is a team like any other."""
        first, second = [await bob.tell(team) for _ in range(2)]
        assert (await recall(cloud, f"bob|{kind}|{team}", first)).data == {}
        await close_window(cloud)
        assert (await recall(cloud, f"bob|{kind}|{team}", second)).refused(107314)
        assert (await recall(cloud, f"ann|{kind}|{team}", second)).data == {}
        assert await ann.history(team) == []

    async def test_others_of_a_team(self, cloud: Cloud, team: int, bob: Caller) -> None:
        """107303 for a member, 109404 for a stranger, 108404 where there is no team."""
        msg_id = await bob.tell(team)
        assert (await recall(cloud, f"cid|2|{team}", msg_id)).refused(107303)
        assert (await recall(cloud, f"zoe|2|{team}", msg_id)).refused(109404)
        assert (await recall(cloud, f"bob|2|{bob.xid}", msg_id)).refused(108404, "conversation_id")
        assert (await recall(cloud, "bob|2|4711", msg_id)).refused(108404, "conversation_id")

    async def test_an_admin_of_a_team(self, cloud: Cloud, team: int, bob: Caller, cid: Caller) -> None:
        """As its owner."""
        msg_id = await bob.tell(team)
        cloud.node.rows(
            "UPDATE stay SET admin = 1 WHERE usr = (SELECT id FROM timeline WHERE xid = ?)", cid.xid
        )
        await close_window(cloud)
        assert (await recall(cloud, f"cid|2|{team}", msg_id)).data == {}


class TestByTheApp:
    """`type` 3."""

    @pytest.mark.parametrize("conversation", ["ann|1|bob", "bob|1|ann"])
    async def test_whenever(self, cloud: Cloud, ann: Caller, bob: Caller, conversation: str) -> None:
        """By either end, without a window; devices are told as of any other recall."""
        msg_id = await ann.send(bob.xid)
        await close_window(cloud)
        async with bob.device(1) as device:
            await device.hear("live")
            for _ in range(2):
                assert (await recall(cloud, conversation, msg_id, BY_APP)).data == {}
            assert (await device.hear("recalled"))[-1]["msg_id"] == msg_id
        assert await ann.history(bob.xid) == []

    async def test_in_a_team(self, cloud: Cloud, team: int, ann: Caller, bob: Caller) -> None:
        """Whoever is named as the first: it is the app that takes it back."""
        first, second = [await bob.tell(team) for _ in range(2)]
        assert (await recall(cloud, f"bob|2|{team}", first, BY_APP)).data == {}
        assert (await recall(cloud, f"cid|3|{team}", second, BY_APP)).data == {}
        assert await ann.history(team) == []

    async def test_a_notification(self, cloud: Cloud, ann: Caller) -> None:
        """Lies between its user and `system`, who is spoken for by nobody."""
        msg_id = await (await cloud.node.admin()).notify(ann.xid)
        assert (await recall(cloud, "ann|1|system", msg_id)).refused(107303)
        assert (await recall(cloud, "system|1|ann", msg_id, BY_APP)).refused(403, "system")
        assert (await recall(cloud, "ann|1|system", msg_id, BY_APP)).data == {}


class TestWhatIsRefused:
    """Before anything is done."""

    async def test_one_sided(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """107315, whatever it is."""
        msg_id = await ann.send(bob.xid)
        assert (await recall(cloud, "ann|1|bob", msg_id, ONE_SIDED)).refused(107315, "type")
        assert await ann.history(bob.xid) == ["hi"]

    @pytest.mark.parametrize("kind", [BY_USER, BY_APP])
    async def test_elsewhere(self, cloud: Cloud, team: int, ann: Caller, bob: Caller, kind: int) -> None:
        """107404 for what lies in another conversation, another app, or is not there."""
        between, in_team = await ann.send(bob.xid), await ann.tell(team)
        for conversation, msg_id in (
            ("ann|1|cid", between),
            ("cid|1|bob", between),
            ("ann|1|ann2", between),
            (f"ann|2|{team}", between),
            ("ann|1|bob", in_team),
            ("ann|1|bob", 4711),
        ):
            assert (await recall(cloud, conversation, msg_id, kind)).refused(107404, "message_server_id")
        directory = cloud.node.gateway.directory
        await directory.create_app("other")
        await directory.credentials.call("other", ALIAS, "otherkey")
        await directory.credentials.add("other", ALIAS, "otherkey", "fake")
        theirs = await recall(cloud, "ann|1|bob", between, kind, headers=signed("otherkey", "fake"))
        assert theirs.refused(107404)
        assert await bob.history(ann.xid) == ["hi"]

    async def test_a_directed_one(self, cloud: Cloud, team: int, bob: Caller) -> None:
        """Lies with its team, and not between the two."""
        msg_id = await whisper(cloud, team, "ann", bob.xid)
        assert (await recall(cloud, "ann|1|bob", msg_id, BY_APP)).refused(107404)
        assert (await recall(cloud, f"ann|2|{team}", msg_id)).data == {}
        assert await bob.history(team) == []

    async def test_what_is_wrong(self, cloud: Cloud) -> None:
        """Is named."""
        for conversation, msg_id, kind, named in (
            ("ann|1|bob", "x", 2, "message_server_id"),
            ("ann|1|bob", "0", 2, "message_server_id"),
            ("ann|1|bob", "-1", 2, "message_server_id"),
            ("ann|1|bob", "9007199254740992", 2, "message_server_id"),
            ("ann|1|bob", "%ff", 2, "path"),
            ("ann|1|bob", "1", "", "type"),
            ("ann|1|bob", "1", 0, "type"),
            ("ann|1|bob", "1", 4, "type"),
            ("ann|1|bob", "1", "true", "type"),
            ("ann|1", "1", 2, "conversation_id"),
            ("ann|1|bob|x", "1", 2, "conversation_id"),
            ("|1|bob", "1", 2, "conversation_id"),
            ("ann|4|bob", "1", 2, "conversation_id"),
            ("ann|2|bob", "1", 2, "conversation_id"),
        ):
            assert (await recall(cloud, conversation, msg_id, kind)).refused(414, named)

    async def test_another_conversation_in_the_query(self, cloud: Cloud) -> None:
        """110302; the same in other letters is the same."""
        assert (await recall(cloud, "ann|1|bob", 1, "2&conversation_id=bob|1|ann")).refused(110302)
        assert (await recall(cloud, "ann|1|bob", 1, "2&conversationId=ANN|1|bob")).refused(107404)

    async def test_accounts_that_there_are_not(self, cloud: Cloud) -> None:
        """Come into being; 102404 for what none may be called, and where they are to be registered."""
        assert (await recall(cloud, "dan|1|eve", 1)).refused(107404)
        assert cloud.node.rows("SELECT name FROM \"user\" WHERE name IN ('dan', 'eve') ORDER BY 1") == [
            ("dan",),
            ("eve",),
        ]
        assert (await recall(cloud, "a%20b|1|eve", 1)).refused(102404)
        assert (await recall(cloud, "ann|1|a%20b", 1)).refused(102404)
        assert (await recall(cloud, "ann|1|%234711", 1)).refused(102404)


class TestClearing:
    """`DELETE …/messages`."""

    @pytest.mark.parametrize("kind", [HISTORY, BOTH])
    async def test_for_one_alone(self, cloud: Cloud, ann: Caller, bob: Caller, kind: int) -> None:
        """The first account sees nothing of it any more; its devices are told, and the other side sees all."""
        msg_id = await bob.send(ann.xid)
        async with ann.device(1) as device:
            await device.hear("live")
            assert (await clear(cloud, "ann|1|bob", kind)).data == {}
            assert (await device.hear("deleted"))[-1]["msg_id"] == msg_id
        assert (await ann.history(bob.xid), await bob.history(ann.xid)) == ([], ["hi"])
        await bob.send(ann.xid, "new")
        assert await ann.history(bob.xid) == ["new"]

    async def test_a_team(self, cloud: Cloud, team: int, ann: Caller, bob: Caller) -> None:
        """By its members, each for oneself; 109404 for a stranger."""
        await bob.tell(team)
        assert (await clear(cloud, f"ann|2|{team}")).data == {}
        assert (await ann.history(team), await bob.history(team)) == ([], ["hi"])
        assert (await clear(cloud, f"zoe|2|{team}")).refused(109404)
        assert (await clear(cloud, "ann|2|4711")).refused(108404)

    async def test_what_roams(self, cloud: Cloud, ann: Caller, bob: Caller) -> None:
        """Is nothing by itself: nothing is done."""
        await bob.send(ann.xid)
        assert (await clear(cloud, "ann|1|bob", ROAMING)).data == {}
        assert await ann.history(bob.xid) == ["hi"]

    async def test_wrong(self, cloud: Cloud) -> None:
        """414 names it; 102404 for an account that cannot be."""
        for kind in ("", 0, 4, "x"):
            assert (await clear(cloud, "ann|1|bob", kind)).refused(414, "type")
        assert (await clear(cloud, "ann|1")).refused(414, "conversation_id")
        assert (await clear(cloud, "a%20b|1|bob")).refused(102404)


async def test_at_the_same_time(cloud: Cloud, ann: Caller, bob: Caller) -> None:
    """Of many who take it back one does, and all are told that it is gone."""
    msg_id = await ann.send(bob.xid)
    told = await asyncio.gather(*(recall(cloud, "ann|1|bob", msg_id, kind) for kind in (2, 3) * 4))
    assert [answer.data for answer in told] == [{}] * 8
    assert cloud.node.rows("SELECT count(*) FROM entry WHERE kind = 2") == [(2,)]
