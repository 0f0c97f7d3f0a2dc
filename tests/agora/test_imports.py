"""POST /messages/users/import and /messages/chatgroups/import: history only (agora.md, The seed's calls)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.clock import now_ms
from gateway.core.imports import Imports
from tests.agora.stage import Answer, Cloud, open_cloud
from tests.rest.stage import Caller, Json

LONG_AGO_MS = 1_656_906_628_428
ASKED: Json = {"from": "ann", "target": "bob", "type": "txt", "body": {"msg": "imported"}}


async def ask(cloud: Cloud, road: str = "users", /, **members: object) -> Answer:
    return await cloud.post(f"/messages/{road}/import", {**ASKED, **members})


async def bring(cloud: Cloud, text: str = "imported", /, **members: object) -> int:
    """Import a text from Ann to Bob; its id."""
    answer = await ask(cloud, **{"body": {"msg": text}, **members})
    assert answer.told["entities"] == []
    assert set(answer.data) == {"msg_id"}
    return int(answer.data["msg_id"])


async def both(cloud: Cloud) -> tuple[Caller, Caller]:
    return await cloud.phone("ann"), await cloud.phone("bob")


class TestUsers:
    """POST /messages/users/import."""

    async def test_no_device_gets_it(self, cloud: Cloud) -> None:
        """Neither those that are connected nor those that come later; history is of both ends."""
        ann, bob = await both(cloud)
        async with ann.device(1) as hers, bob.device(1) as his:
            for device in (hers, his):
                await device.hear("live")
            await bring(cloud)
            await cloud.send("bob", sender="ann", text="sent", sync_device=True)
            for device in (hers, his):
                [frame] = await device.hear("message")
                assert (frame["seq"], frame["message"]["content"]) == (1, "sent")
        async with bob.device(2) as fresh:
            told = [frame["message"]["content"] for frame in await fresh.hear("live") if "message" in frame]
            assert told == ["sent"]
        assert await bob.history(ann.xid) == await ann.history(bob.xid) == ["sent", "imported"]

    async def test_unread_until_it_is_read(self, cloud: Cloud) -> None:
        """It counts as unread, and never as delivered; a read position that passes it has read it."""
        ann, bob = await both(cloud)
        await bring(cloud)
        async with bob.device(1) as device:
            await device.hear("live")
            [msg_id] = (await cloud.send("bob", sender="ann", text="sent")).values()
            await device.hear("message")
            await device.ack("user", 1)
        assert await bob.unread() == [(ann.xid, 2)]
        assert await ann.statuses(bob.xid) == ["DELIVERED", "UNREAD"]
        assert (await bob.ack(msg_id=msg_id)).done
        assert await bob.unread() == [(ann.xid, 0)]
        assert await ann.statuses(bob.xid) == ["READ", "READ"]

    @pytest.mark.parametrize("said", [True, 1, "true"])
    async def test_as_read(self, cloud: Cloud, said: object) -> None:
        """`is_ack_read`: never unread, read for everybody; and what was unread before it is so still."""
        ann, bob = await both(cloud)
        await cloud.send("bob", sender="ann", text="sent")
        await bring(cloud, is_ack_read=said)
        assert await bob.unread() == [(ann.xid, 1)]
        assert await ann.statuses(bob.xid) == ["READ", "UNREAD"]

    async def test_order_and_time(self, cloud: Cloud) -> None:
        """In the order of the imports, whatever time each of them shows; that is told as it was asked for."""
        ann, bob = await both(cloud)
        ids = [await bring(cloud, str(at), msg_timestamp=at) for at in (LONG_AGO_MS, str(LONG_AGO_MS - 5), 1)]
        assert ids == sorted(ids)
        page = (await bob.page(ann.xid))["messages"]
        assert [item["msg_id"] for item in page] == ids[::-1]
        assert [item["timestamp"] for item in page] == [1, LONG_AGO_MS - 5, LONG_AGO_MS]

    async def test_time_of_now(self, cloud: Cloud) -> None:
        """Where none is given; a minute ahead is fine, more is not, nor is what is before 1970."""
        ann, bob = await both(cloud)
        now = (await cloud.get("/users/ann")).told["timestamp"]
        await bring(cloud)
        await bring(cloud, msg_timestamp="")
        await bring(cloud, msg_timestamp=now + 55_000)
        page = (await bob.page(ann.xid))["messages"]
        assert all(now <= item["timestamp"] <= now + 60_000 for item in page)
        odd: list[object] = [0, -1, now + 3_600_000, "soon", 1.5, [], 2**60, 10**30]
        for wrong in odd:
            answer = await ask(cloud, msg_timestamp=wrong)
            assert answer.refused(400, "illegal_argument", "msg_timestamp"), wrong

    async def test_retention_counts_from_the_import(self, cloud: Cloud) -> None:
        """A message of years ago stays as long as one of today."""
        ann, bob = await both(cloud)
        await bring(cloud, msg_timestamp=1)
        store = cloud.node.gateway.store
        assert not (await store.sweep(now_ms() - 60_000, 100)).more
        assert await bob.history(ann.xid) == ["imported"]
        assert not (await store.sweep(now_ms() + 60_000, 100)).more
        assert await bob.history(ann.xid) == []

    async def test_each_type(self, cloud: Cloud) -> None:
        """Is kept as a send would keep it."""
        ann, bob = await both(cloud)
        bodies: dict[str, Json] = {
            "img": {"url": "<YourImageUrl>", "filename": "a.jpg", "size": {"width": 1080, "height": 1920}},
            "audio": {"url": "u", "Length": 10},
            "video": {"url": "u", "thumb": "t", "length": 0},
            "file": {"filename": "a.txt"},
            "loc": {"lat": "39.966", "lng": "116.322", "addr": "x"},
            "cmd": {"action": "run"},
            "custom": {"customEvent": "e"},
        }
        for kind, body in bodies.items():
            await bring(cloud, type=kind, body=body, ext={"k": kind}, need_download=False)
        page = (await bob.page(ann.xid))["messages"]
        told = {json.loads(item["config"])["type"]: item for item in page}
        assert {kind: json.loads(item["attachment"]) for kind, item in told.items()} == bodies
        assert {kind: json.loads(item["ext"]) for kind, item in told.items()} == {
            kind: {"k": kind} for kind in bodies
        }
        assert [item["ctype"] for item in page] == [
            *("COMMAND", "COMMAND", "LOCATION", "FILE", "VIDEO", "AUDIO", "IMAGE")
        ]

    async def test_it_is_recalled_like_any_other(self, cloud: Cloud) -> None:
        """By the time that it shows: one of long ago is late, and goes by `force`."""
        ann, bob = await both(cloud)
        old, new = await bring(cloud, msg_timestamp=LONG_AGO_MS), await bring(cloud)
        for msg_id, force, told in (
            (old, False, "exceed recall time limit"), (old, True, "yes"), (new, False, "yes"),
        ):  # fmt: skip
            asked = {"msg_id": msg_id, "to": "bob", "chat_type": "chat", "force": force}
            assert (await cloud.post("/messages/msg_recall", asked)).data["recalled"] == told
        assert await bob.history(ann.xid) == []

    async def test_from_the_administrator(self, cloud: Cloud) -> None:
        """What a backend had sent as `admin` can be brought along; `admin` receives nothing here either."""
        bob, system = await cloud.phone("bob"), (await cloud.app()).system_xid
        await bring(cloud, **{"from": "admin"})
        assert await bob.history(system) == ["imported"]
        assert (await ask(cloud, target="admin")).refused(404, "service_resource_not_found")

    async def test_who_could_not_send(self, cloud: Cloud) -> None:
        """Is not judged: blocked, or frozen by now."""
        ann, bob = await both(cloud)
        assert (await cloud.post("/users/bob/blocks/users", {"usernames": ["ann"]})).status == 200
        assert (await cloud.post("/users/ann/deactivate")).status == 200
        await bring(cloud)
        assert await bob.history(ann.xid) == ["imported"]

    async def test_numbers_as_names(self, cloud: Cloud) -> None:
        """Strings or integers."""
        await bring(cloud, **{"from": 7001, "target": "7002"})
        assert await (await cloud.node.user(7002)).history(7001) == ["imported"]

    async def test_unknown_users_of_a_registered_app(self, strict: Cloud) -> None:
        """Are not found."""
        answer = await strict.post("/messages/users/import", {**ASKED, "target": "zoe"})
        assert answer.refused(404, "service_resource_not_found")


class TestGroups:
    """POST /messages/chatgroups/import."""

    async def test_history_of_all_members(self, cloud: Cloud) -> None:
        """Whoever sent it need not be a member; no device gets it."""
        group, bob = await cloud.group("bob"), await cloud.phone("bob")
        async with bob.device(1) as device:
            await device.hear("live")
            msg_id = (await ask(cloud, "chatgroups", **{"from": "zoe", "target": group})).data["msg_id"]
            await cloud.tell("chatgroups", [int(group)], text="sent", sender="ann")
            frames = [frame for frame in await device.hear("message") if frame["op"] == "message"]
            assert [frame["message"]["content"] for frame in frames] == ["sent"]
        [sent, imported] = (await bob.page(int(group)))["messages"]
        assert (sent["content"], imported["msg_id"]) == ("sent", int(msg_id))
        assert imported["from_xid"]["uid"] == (await cloud.phone("zoe")).xid
        assert await bob.unread() == [(int(group), 2)]

    async def test_as_read(self, cloud: Cloud) -> None:
        """Nobody has it unread."""
        group, bob = await cloud.group("bob"), await cloud.phone("bob")
        await ask(cloud, "chatgroups", target=int(group), is_ack_read=True)
        assert [number for _, number in await bob.unread()] in ([], [0])
        assert await bob.statuses(int(group)) == ["READ"]

    async def test_where_there_is_no_group(self, cloud: Cloud) -> None:
        """A chatroom is none; it keeps no history."""
        room = await cloud.room()
        for target in ("99", "bob", room, "0", "9" * 30):
            answer = await ask(cloud, "chatgroups", target=target)
            assert answer.refused(404, "service_resource_not_found")


class TestAsking:
    """What is asked."""

    @pytest.mark.parametrize(
        ("members", "described"),
        [
            ({"body": None}, "message body not allow empty"),
            ({"body": {}}, "message body not allow empty"),
            ({"body": "x"}, "message body not allow empty"),
            ({"type": None}, "type not allow empty"),
            ({"type": "gif"}, "type not allow empty"),
            ({"type": []}, "type not allow empty"),
            ({"from": ""}, "param from can't be empty"),
            ({"from": None}, "param from can't be empty"),
            ({"target": ""}, "param target can't be empty"),
            ({"ext": []}, "param ext must be JSONObject"),
        ],
    )
    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_what_is_wrong(self, cloud: Cloud, members: Json, described: str) -> None:
        """In the vendor's words, and nothing is imported."""
        for road in ("users", "chatgroups"):
            answer = await ask(cloud, road, **members)
            assert answer.refused(400, "message_send_error", described)

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("road", ["users", "chatgroups"])
    @pytest.mark.parametrize(
        "members",
        [
            {"is_ack_read": "maybe"},
            {"msg_timestamp": -1},
            {"body": {"text": "x"}},
            {"body": {"msg": "x" * 5_120}},
            {"from": "no name!"},
            {"target": "no name!"},
        ],
    )
    async def test_nobody_comes_into_being_by_what_is_refused(
        self, cloud: Cloud, road: str, members: Json
    ) -> None:
        """Neither its sender nor its target."""
        told = (
            members if road == "users" or "target" in members else {**members, "target": await cloud.group()}
        )
        there = (await cloud.get("/users")).entities
        answer = await ask(cloud, road, **{"from": "new", **told})
        assert answer.status in {400, 404, 413}
        assert (await cloud.get("/users")).entities == there

    async def test_nor_by_what_only_the_core_refuses(self, cloud: Cloud) -> None:
        """A user's number that is a group's, a deleted user's, the reserved user's name, and an app that is full."""
        group = await cloud.group()
        await cloud.send("77")
        await cloud.delete("/users/77")
        there = (await cloud.get("/users")).entities
        for members in (
            {"target": group},
            {"target": "77"},
            {"target": "system"},
            {"from": group},
            {"from": "77"},
            {"from": "system"},
        ):
            answer = await ask(cloud, **{"from": "new", "target": "other", **members})
            assert answer.refused(404, "service_resource_not_found")
        await cloud.node.gateway.directory.set_limits("demo", {"storage_bytes_max": 1})
        assert (await ask(cloud)).refused(403, "message_send_error", "message send reach limit")
        assert (await cloud.get("/users")).entities == there

    async def test_nor_by_what_is_refused_at_its_commit(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where there was room when it was judged, and others have taken that meanwhile."""

        async def let_pass(*_: object) -> None:
            """Judge it as before the others came."""

        group = await cloud.group()
        there = (await cloud.get("/users")).entities
        await cloud.node.gateway.directory.set_limits("demo", {"storage_bytes_max": 1})
        monkeypatch.setattr(Imports, "judge", let_pass)
        for road, target in (("users", "other"), ("users", "newer"), ("chatgroups", group)):
            answer = await ask(cloud, road, **{"from": "newer", "target": target})
            assert answer.refused(403, "message_send_error", "message send reach limit")
        assert (await cloud.get("/users")).entities == there

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_too_large(self, cloud: Cloud) -> None:
        """As a send."""
        answer = await ask(cloud, body={"msg": "x" * 5_120})
        assert answer.refused(413, "message_send_error", "message is too large")

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_a_body_of_another_type(self, cloud: Cloud) -> None:
        """Is named, as in a send."""
        assert (await ask(cloud, body={"text": "x"})).refused(400, "illegal_argument", "body.msg")
        assert (await ask(cloud, is_ack_read="maybe")).refused(400, "illegal_argument", "is_ack_read")

    async def test_downloads(self, cloud: Cloud) -> None:
        """Are not made unless an operator allows them: refused, and nothing is imported."""
        for said in (True, 1, "true"):
            answer = await ask(cloud, need_download=said)
            assert answer.refused(403, "forbidden_op", "need_download")
        ann, bob = await both(cloud)
        assert await bob.history(ann.xid) == []


async def test_after_a_restart(tmp_path: Path) -> None:
    """They are there as before, and the next ones come after them."""
    async with open_cloud(tmp_path / "data") as cloud:
        await bring(cloud, "1", msg_timestamp=LONG_AGO_MS)
    async with open_cloud(tmp_path / "data") as cloud:
        ann, bob = await both(cloud)
        await bring(cloud, "2")
        assert await bob.history(ann.xid) == ["2", "1"]
