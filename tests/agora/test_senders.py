"""Who sends, who may, and whose history it is in (agora.md, `from`, `sync_device`, the *unjudged* draft)."""

from __future__ import annotations

import pytest

from tests.agora.stage import Answer, Cloud
from tests.rest.stage import Device, Json


async def heard(device: Device, count: int) -> list[str]:
    """The contents of so many messages that a device is sent next."""
    return [(await device.hear("message"))[-1]["message"]["content"] for _ in range(count)]


class TestNobody:
    """`from` that is absent, or `admin`."""

    @pytest.mark.parametrize("named", [{}, {"from": None}, {"from": "admin"}, {"from": "Admin"}])
    async def test_the_administrator(self, cloud: Cloud, named: Json) -> None:
        """Sends as the app's reserved user; only the receiver sees it, and `sync_device` is nobody's."""
        bob, system = await cloud.phone("bob"), (await cloud.app()).system_xid
        [msg_id] = (await cloud.tell("users", ["bob"], sync_device=True, **named)).values()
        [item] = (await bob.page(system))["messages"]
        assert (item["msg_id"], item["from_xid"]["uid"]) == (int(msg_id), system)
        assert await bob.unread() == [(system, 1)]
        assert await (await cloud.node.admin()).unread() == []

    async def test_nobody_at_all(self, cloud: Cloud) -> None:
        """A name that can be none is a 404, and an empty one the vendor's 400; both before anything is sent."""
        answer = await cloud.post(
            "/messages/users", {"from": "no name!", "to": ["bob"], "type": "txt", "body": {"msg": "x"}}
        )
        assert answer.refused(404, "service_resource_not_found")
        assert await (await cloud.phone("bob")).unread() == []


class TestOwnDevices:
    """`sync_device`."""

    @pytest.mark.parametrize("synced", [False, True])
    async def test_history_is_of_both(self, cloud: Cloud, synced: bool) -> None:
        """Always; the sender's devices are sent it only where that is asked for."""
        ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
        async with ann.device(1) as device:
            await device.hear("live")
            await cloud.send("bob", sender="ann", text="first", sync_device=synced)
            await cloud.send("ann", sender="bob", text="last")
            assert await heard(device, 2 if synced else 1) == [*["first"] * synced, "last"]
        assert await ann.history(bob.xid) == ["last", "first"]
        assert await bob.history(ann.xid) == ["last", "first"]
        # One's own message is not unread.
        assert await ann.unread() == [(bob.xid, 1)]

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("said", [1, "true", "1", "TRUE"])
    async def test_other_ways_to_say_yes(self, cloud: Cloud, said: object) -> None:
        """A bool is as well a 1 or a word."""
        ann = await cloud.phone("ann")
        async with ann.device(1) as device:
            await device.hear("live")
            await cloud.send("bob", sender="ann", text="copied", sync_device=said)
            assert await heard(device, 1) == ["copied"]

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("said", [2, "yes", [], {}, 1.5])
    async def test_what_is_neither(self, cloud: Cloud, said: object) -> None:
        """Is named."""
        asked = {"to": ["bob"], "type": "txt", "body": {"msg": "x"}, "sync_device": said}
        assert (await cloud.post("/messages/users", asked)).refused(400, "illegal_argument", "sync_device")

    async def test_a_group_has_one_entry(self, cloud: Cloud) -> None:
        """It is everybody's, the sender's as well, whatever is asked for."""
        group, ann = await cloud.group("bob"), await cloud.phone("ann")
        async with ann.device(1) as device:
            await device.hear("live")
            await cloud.tell("chatgroups", [group], text="to all", sender="ann", sync_device=False)
            assert await heard(device, 1) == ["to all"]


async def stopped(cloud: Cloud, how: str, group: str) -> Answer:
    """Let something stand in the way of what Ann sends herself."""
    inside = f"/chatgroups/{group}"
    calls: dict[str, tuple[str, str, object]] = {
        "blocked": ("POST", "/users/bob/blocks/users", {"usernames": ["ann"]}),
        "muted": ("POST", f"{inside}/mute", {"usernames": ["ann"], "mute_duration": 60_000}),
        "all banned": ("POST", f"{inside}/ban", None),
        "no member": ("DELETE", f"{inside}/users/ann", None),
        "kept out": ("POST", f"{inside}/blocks/users/ann", None),
        "disabled": ("POST", f"{inside}/disable", None),
        "frozen": ("POST", "/users/ann/deactivate", None),
    }
    verb, path, body = calls[how]
    return await cloud.call(verb, path, body)


class TestUnjudged:
    """What a backend sends in a user's name is not judged."""

    @pytest.mark.parametrize(
        "how", ["blocked", "muted", "all banned", "no member", "kept out", "disabled", "frozen"]
    )
    async def test_nothing_stands_in_its_way(self, cloud: Cloud, how: str) -> None:
        """Though the user itself could not send, it arrives as the user's."""
        ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
        group = await cloud.group("ann", "cid", owner="bob")
        assert (await stopped(cloud, how, group)).status == 200
        road, target = ("users", "bob") if how == "blocked" else ("chatgroups", group)
        to = bob.xid if how == "blocked" else int(group)
        own = await ann.ask_send([to], "own", type=1 if how == "blocked" else 2)
        assert own.code != 200
        await cloud.tell(road, [target], text="unjudged", sender="ann")
        page = await bob.page(ann.xid if how == "blocked" else int(group))
        assert (page["messages"][0]["content"], page["messages"][0]["from_xid"]["uid"]) == (
            "unjudged",
            ann.xid,
        )
