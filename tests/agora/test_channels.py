"""DELETE /users/{username}/user_channel (agora.md, The seed's calls)."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.agora.stage import Answer, Cloud
from tests.rest.stage import Caller, Json

OK = {"result": "ok"}


async def ask(cloud: Cloud, user: str, channel: object, kind: str = "chat", **members: object) -> Answer:
    return await cloud.delete(f"/users/{user}/user_channel", {"channel": channel, "type": kind, **members})


async def delete(cloud: Cloud, user: str, channel: object, kind: str = "chat", **members: object) -> None:
    """Delete a channel, and see the whole answer."""
    told = (await ask(cloud, user, channel, kind, **members)).told
    assert (told["data"], told["entities"]) == (OK, [])


async def pair(cloud: Cloud) -> tuple[Caller, Caller]:
    """Ann and Bob, with three messages between them, the last two unread by Bob."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    for text in ("1", "2", "3"):
        [msg_id] = (await cloud.send("bob", sender="ann", text=text)).values()
        if text == "1":
            assert (await bob.ack(msg_id=msg_id)).done
    return ann, bob


class TestOffTheList:
    """`delete_roam` false: nothing is lost."""

    @pytest.mark.parametrize("said", [{}, {"delete_roam": False}, {"delete_roam": ""}, {"delete_roam": 0}])
    async def test_until_something_new(self, cloud: Cloud, said: Json) -> None:
        """It is on the recent list no more, history stays; with a new message it is there again, with its numbers."""
        ann, bob = await pair(cloud)
        assert await bob.unread() == [(ann.xid, 2)]
        await delete(cloud, "bob", "ann", **said)
        assert await bob.unread() == []
        assert await bob.history(ann.xid) == ["3", "2", "1"]
        await cloud.send("bob", sender="ann", text="4")
        assert await bob.unread() == [(ann.xid, 3)]
        assert await bob.history(ann.xid) == ["4", "3", "2", "1"]

    async def test_the_other_end(self, cloud: Cloud) -> None:
        """Has its list as it was."""
        ann, bob = await pair(cloud)
        await delete(cloud, "bob", "ann")
        assert [xid for xid, _ in await ann.unread()] == [bob.xid]

    async def test_a_group(self, cloud: Cloud) -> None:
        """The same; it is the list of this member alone."""
        group = await cloud.group("bob", "cid")
        bob, cid = await cloud.phone("bob"), await cloud.phone("cid")
        await cloud.tell("chatgroups", [group], sender="ann")
        await delete(cloud, "bob", group, "groupchat")
        assert await bob.unread() == []
        assert await cid.unread() == [(int(group), 1)]
        assert await bob.history(int(group)) == ["hi"]
        await cloud.tell("chatgroups", [group], sender="ann", text="new")
        assert await bob.unread() == [(int(group), 2)]


class TestHistoryToo:
    """`delete_roam` true: the user's own view of the conversation ends."""

    async def test_it_is_gone_for_one(self, cloud: Cloud) -> None:
        """The user's list and history begin anew; the other's stay."""
        ann, bob = await pair(cloud)
        await delete(cloud, "bob", "ann", delete_roam=True)
        assert await bob.unread() == []
        assert await bob.history(ann.xid) == []
        assert await ann.history(bob.xid) == ["3", "2", "1"]
        await cloud.send("bob", sender="ann", text="4")
        assert await bob.history(ann.xid) == ["4"]
        assert await bob.unread() == [(ann.xid, 1)]

    async def test_a_group(self, cloud: Cloud) -> None:
        """By its id, as an integer too."""
        group = await cloud.group("bob", "cid")
        bob, cid = await cloud.phone("bob"), await cloud.phone("cid")
        await cloud.tell("chatgroups", [group], sender="ann")
        await delete(cloud, "bob", int(group), "groupchat", delete_roam="true")
        assert await bob.history(int(group)) == []
        assert await cid.history(int(group)) == ["hi"]

    async def test_the_administrators(self, cloud: Cloud) -> None:
        """What `admin` has sent lies in a conversation like any other."""
        system, bob = (await cloud.app()).system_xid, await cloud.phone("bob")
        await cloud.send("bob")
        assert await bob.unread() == [(system, 1)]
        await delete(cloud, "bob", "Admin")
        assert await bob.unread() == []
        await delete(cloud, "bob", "admin", delete_roam=True)
        assert await bob.history(system) == []


class TestAsking:
    """What is asked, and how."""

    async def test_by_query(self, cloud: Cloud) -> None:
        """As well as by a body."""
        ann, bob = await pair(cloud)
        query = urlencode({"channel": "ann", "type": "chat", "delete_roam": "true"})
        assert (await cloud.delete(f"/users/bob/user_channel?{query}")).data == OK
        assert await bob.history(ann.xid) == []

    async def test_repeats_and_strange_channels(self, cloud: Cloud) -> None:
        """Are as good as done."""
        await cloud.users("bob")
        room = await cloud.room()
        for _ in range(2):
            for channel, kind in (
                ("zoe", "chat"), ("no name!", "chat"), ("admin", "chat"), ("bob", "chat"),
                ("99", "groupchat"), ("g", "groupchat"), (room, "groupchat"),
            ):  # fmt: skip
                await delete(cloud, "bob", channel, kind)
                await delete(cloud, "BOB", channel, kind, delete_roam=True)

    async def test_of_a_group_one_is_not_in(self, cloud: Cloud) -> None:
        """Is refused, with the user's name."""
        group = await cloud.group("bob")
        await cloud.users("zoe")
        for roam in (False, True):
            answer = await ask(cloud, "ZOE", group, "groupchat", delete_roam=roam)
            assert answer.refused(403, "forbidden_op", "users [zoe] are not members of this group!")

    @pytest.mark.parametrize("name", ["zoe", "no%20name!", "admin", "%00"])
    async def test_of_nobody(self, cloud: Cloud, name: str) -> None:
        """Is a 404, and makes nobody."""
        answer = await ask(cloud, name, "bob")
        assert answer.refused(404, "service_resource_not_found")
        directory = cloud.node.gateway.directory
        assert await directory.named(await cloud.app(), ["zoe"], make=False) == [None]

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("members", "named"),
        [
            ({"channel": None}, "channel"),
            ({"channel": ""}, "channel"),
            ({"channel": ["ann"]}, "channel"),
            ({"type": None}, "type"),
            ({"type": "chatroom"}, "type"),
            ({"type": 1}, "type"),
            ({"delete_roam": "maybe"}, "delete_roam"),
        ],
    )
    async def test_what_is_wrong(self, cloud: Cloud, members: Json, named: str) -> None:
        """Is named."""
        asked = {"channel": "ann", "type": "chat", **members}
        answer = await cloud.delete("/users/bob/user_channel", asked)
        assert answer.refused(400, "illegal_argument", named)
        answer = await cloud.delete("/users/bob/user_channel")
        assert answer.refused(400, "illegal_argument", "channel")
