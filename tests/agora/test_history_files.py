"""GET /chatmessages/{hour}: what was sent in one hour, as a file (agora.md)."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.limits import Limits
from tests.agora.stage import Cloud, open_cloud
from tests.rest.stage import Json


def hour(cloud: Cloud, ahead: int = 0) -> str:
    now_s = cloud.node.gateway.directory._clock_ms() // 1000 + ahead * 3600
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%d%H")


async def link(cloud: Cloud) -> str:
    [told] = (await cloud.get(f"/chatmessages/{hour(cloud)}")).data
    url: str = told["url"]
    return url


async def fetch(cloud: Cloud, url: str) -> Any:
    async with cloud.node.http.get(url) as response:
        return response.status, response.headers, await response.read()


async def lines(cloud: Cloud) -> list[Json]:
    status, headers, body = await fetch(cloud, await link(cloud))
    assert status == 200
    assert headers["Content-Type"] == "application/gzip"
    assert "Content-Encoding" not in headers
    told = gzip.decompress(body).decode()
    assert told.endswith("\n")
    return [json.loads(line) for line in told.splitlines()]


async def group_of(cloud: Cloud, *members: str) -> str:
    asked = {"groupname": "g", "owner": members[0], "members": list(members[1:])}
    found: str = (await cloud.post("/chatgroups", asked)).data["groupid"]
    return found


@pytest.mark.usefixtures("ready")
class TestFile:
    """What the link gives."""

    async def test_a_line_for_each_message(self, cloud: Cloud) -> None:
        """By rising id, with these members: to a user, to a group once, and to some of a group by the group."""
        group = await group_of(cloud, "ann", "bob")
        first = await cloud.send("bob", sender="ann", ext={"k": [1]})
        body = {"lat": "39.5", "lng": "x", "addr": "here"}
        sent = await cloud.post(
            "/messages/chatgroups", {"from": "zoe", "to": [group], "type": "loc", "body": body}
        )
        some = {"to": [group], "users": ["bob"], "type": "txt", "body": {"msg": "psst"}}
        directed = await cloud.post("/messages/chatgroups/users", some)
        told = await lines(cloud)
        assert [line["msg_id"] for line in told] == [first["bob"], sent.data[group], directed.data[group]]
        assert [(line["from"], line["to"], line["chat_type"]) for line in told] == [
            ("ann", "bob", "chat"),
            ("zoe", group, "groupchat"),
            ("admin", group, "groupchat"),
        ]
        assert told[0] == {
            "msg_id": first["bob"],
            "timestamp": told[0]["timestamp"],
            "direction": "outgoing",
            "to": "bob",
            "from": "ann",
            "chat_type": "chat",
            "payload": {
                "bodies": [{"msg": "hi", "type": "txt"}],
                "ext": {"k": [1]},
                "from": "ann",
                "to": "bob",
            },
        }
        assert told[1]["payload"]["bodies"] == [{"lat": 39.5, "lng": "x", "addr": "here", "type": "loc"}]

    @pytest.mark.parametrize(
        ("kind", "body", "told"),
        [
            ("audio", {"url": "u", "Length": 10}, {"url": "u", "Length": 10, "length": 10}),
            ("audio", {"url": "u", "Length": 10, "length": 9}, {"url": "u", "Length": 10, "length": 9}),
            ("loc", {"addr": "here"}, {"addr": "here"}),
        ],
    )
    async def test_bodies(self, cloud: Cloud, kind: str, body: Json, told: Json) -> None:
        """How long a sound lasts is in `length`, however the send spelled it; what was not sent is not there."""
        await cloud.post("/messages/users", {"to": ["bob"], "type": kind, "body": body})
        [line] = await lines(cloud)
        assert line["payload"]["bodies"] == [{**told, "type": kind}]

    async def test_numbers_are_told_as_they_were_sent(self, cloud: Cloud) -> None:
        """Those too that no double holds; and however a send was laid out, its line is one."""
        raw = b'{"to": ["bob"], "type": "custom", "body": {"n": 1e999,\n "k": [12345678901234567890123]}, "ext":\n'
        raw += b'{"far": -1e999, "pi": 3.14159265358979323846}}'
        assert (await cloud.post("/messages/users", raw)).status == 200
        _, _, told = await fetch(cloud, await link(cloud))
        [line] = gzip.decompress(told).splitlines()
        assert b'{"n":1e999,"k":[12345678901234567890123],"type":"custom"}' in line
        assert b'"ext":{"far":-1e999,"pi":3.14159265358979323846}' in line

    async def test_other_dialects_messages_are_there_too(self, cloud: Cloud) -> None:
        """In the nearest types."""
        admin = await cloud.node.admin()
        await admin.send(120, "native text", from_user_id=118)
        picture = json.dumps({"url": "https://files.example/1", "filename": "a.png"})
        await admin.send(120, "", content_type=1, attachment=picture, from_user_id=118)
        told = await lines(cloud)
        assert [line["payload"]["bodies"][0] for line in told] == [
            {"msg": "native text", "type": "txt"},
            {"url": "https://files.example/1", "filename": "a.png", "type": "img"},
        ]
        assert [(line["from"], line["to"]) for line in told] == [("118", "120")] * 2

    async def test_nobody_spoils_an_hour(self, cloud: Cloud) -> None:
        """What a user of another dialect nests, however deep, is left out of its line at most."""
        admin = await cloud.node.admin()
        depths = (*range(900, 1_000, 3), 5_000)
        for depth in depths:
            attachment = '{"a":' + "[" * depth + "]" * depth + "}"
            await admin.send(120, "", content_type=1, attachment=attachment, ext=attachment, from_user_id=118)
        await cloud.send("bob")
        told = await lines(cloud)
        assert len(told) == len(depths) + 1
        assert told[-2]["payload"]["bodies"] == [{"type": "img"}]

    async def test_what_is_not_in_it(self, cloud: Cloud) -> None:
        """The recalled, also after the link was told; what was online only, imported, or sent to a chatroom."""
        kept = (await cloud.send("bob", sender="ann"))["bob"]
        gone = (await cloud.send("bob", sender="ann"))["bob"]
        url = await link(cloud)
        await cloud.send("bob", sender="ann", routetype="ROUTE_ONLINE")
        text = {"type": "txt", "body": {"msg": "old"}}
        await cloud.post("/messages/users/import", {"from": "ann", "target": "bob", **text})
        room = (await cloud.post("/chatrooms", {"name": "r", "owner": "ann"})).data["id"]
        await cloud.post("/messages/chatrooms", {"to": [room], **text})
        asked = {"msg_id": gone, "to": "bob", "from": "ann", "chat_type": "chat"}
        assert (await cloud.post("/messages/msg_recall", asked)).data["recalled"] == "yes"
        _, _, body = await fetch(cloud, url)
        assert [json.loads(line)["msg_id"] for line in gzip.decompress(body).splitlines()] == [kept]

    async def test_files_tell_their_length(self, cloud: Cloud) -> None:
        """Where they are ours; custom events have their members twice."""
        custom = {"customEvent": "e", "customExts": {"a": "1"}}
        await cloud.post("/messages/users", {"to": ["bob"], "type": "custom", "body": custom})
        [line] = await lines(cloud)
        assert line["payload"]["bodies"] == [{**custom, "v2:customExts": {"a": "1"}, "type": "custom"}]


@pytest.mark.usefixtures("ready")
class TestLink:
    """Who may have it."""

    async def test_it_names_the_hour_and_is_signed(self, cloud: Cloud) -> None:
        """Anything changed in it, another hour, and a time that has passed are refused."""
        await cloud.send("bob")
        url = await link(cloud)
        assert f"/chatmessages/{hour(cloud)}.gz?Expires=" in url
        assert "OSSAccessKeyId=gateway" in url
        for wrong in (url[:-2], url.replace("Expires=", "Expires=9"), url.partition("?")[0]):
            status, _, body = await fetch(cloud, wrong)
            assert (status, json.loads(body)["error"]) == (403, "forbidden_op")
        other = url.replace(f"{hour(cloud)}.gz", f"{hour(cloud, -1)}.gz")
        assert (await fetch(cloud, other))[0] == 403

    async def test_as_many_at_once_as_may_be(self, tmp_path: Path) -> None:
        """Whoever has a link may follow it as often as they like: each time it is a download like any other."""
        async with open_cloud(tmp_path / "data", Limits(downloads_max=1)) as cloud:
            await cloud.send("bob")
            url = await link(cloud)
            with cloud.node.gateway.core.files.downloading((await cloud.app()).id):
                status, headers, body = await fetch(cloud, url)
                assert (status, json.loads(body)["error"]) == (503, "service_unavailable")
                assert headers["Retry-After"] == "1"
            assert (await fetch(cloud, url))[0] == 200

    async def test_only_for_the_app(self, cloud: Cloud) -> None:
        """A user's token gets no link."""
        token = (
            await cloud.post("/token", {"grant_type": "inherit", "username": "u", "autoCreateUser": True})
        ).told
        answer = await cloud.get(f"/chatmessages/{hour(cloud)}", token=token["access_token"])
        assert answer.refused(401, "unauthorized")


class TestHours:
    """Which hours there are."""

    async def test_one_that_lasts_is_not_ready(self, cloud: Cloud) -> None:
        """Nor is one in which nothing was sent; the vendor's words."""
        await cloud.send("bob")
        for ahead in (0, -1, 1):
            answer = await cloud.get(f"/chatmessages/{hour(cloud, ahead)}")
            assert answer.refused(404, "storage_object_not_found", "Failed to find chat message history")

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("told", ["2018112724", "20181301", "201811271", "20181127-1", "now"])
    async def test_no_such_date(self, cloud: Cloud, told: str) -> None:
        """The vendor's words."""
        answer = await cloud.get(f"/chatmessages/{told}")
        assert answer.refused(400, "illegal_argument", f"time: {told}, maybe chat message history is expired")


@pytest.mark.usefixtures("ready")
async def test_past_retention(tmp_path: Path) -> None:
    """The vendor's words for an hour that is over by then; the last one that is not is looked for."""
    async with open_cloud(tmp_path / "data", retention_days=1) as cloud:
        gone = await cloud.get(f"/chatmessages/{hour(cloud, -25)}")
        assert gone.refused(400, "illegal_argument", "maybe chat message history is expired or unstored")
        kept = await cloud.get(f"/chatmessages/{hour(cloud, -24)}")
        assert kept.refused(404, "storage_object_not_found")
