"""Whole requests with their whole answers: every example of the seed (seed 004), and what goes before it.

Each story in `golden/` is played on a new gateway, step by step (`tests/golden.py`). `<base>` stands for the app's URL,
and `<name>` for what an earlier step has kept of its answer under `keep`. Where the seed's samples contradict its own
text (`path` without the user, a comma that is none, a group called like a user), agora.md decides, and the sample is
played as it stands, too.
"""

from __future__ import annotations

import functools
import gzip
import json
import operator
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.agora.stage import APP, ORG, Answer, Cloud
from tests.golden import Stories, fits
from tests.rest.stage import Json

STORIES = Stories(Path(__file__).parent / "golden")


def filled(told: Any, kept: Json) -> Any:
    """Put what was kept in the place of its names."""
    if isinstance(told, dict):
        return {filled(name, kept): filled(value, kept) for name, value in told.items()}
    if isinstance(told, list):
        return [filled(value, kept) for value in told]
    if not isinstance(told, str):
        return told
    return re.sub(r"<(\w+)>", lambda found: str(kept.get(found[1], found[0])), told)


@pytest.mark.parametrize("name", STORIES.names)
async def test_story(cloud: Cloud, name: str) -> None:
    """Each step is answered exactly as told."""
    kept: Json = {"base": f"{cloud.node.url}/{ORG}/{APP}"}
    for number, step in enumerate(STORIES.steps(name)):
        body = step["text"].encode() if "text" in step else filled(step.get("body"), kept)
        answer = await cloud.call(step["verb"], filled(step["path"], kept), body, headers=step.get("headers"))
        expected = filled(step["answer"], kept)
        assert answer.status == step.get("status", 200), (number, step["path"], answer.body)
        assert answer.headers["Content-Type"].startswith("application/json")
        assert fits(answer.json, expected), (number, step["path"], answer.json, expected)
        for what, where in step.get("keep", {}).items():
            kept[what] = functools.reduce(operator.getitem, where, answer.json)


FILE = b"\xff\xd8\xff\xe0 not quite a picture"


async def test_files(cloud: Cloud) -> None:
    """The seed's upload, download and thumbnail: curl's own form, and the headers of the samples."""
    form = aiohttp.FormData()
    form.add_field("file", FILE, filename="IMG_2953.JPG", content_type="image/jpeg")
    headers = {"Authorization": f"Bearer {cloud.token}", "restrict-access": "true"}
    url = f"{cloud.node.url}{cloud.base}/chatfiles"
    async with cloud.node.http.post(url, data=form, headers=headers) as response:
        told = Answer(response.status, response.headers, await response.read()).told
    around = {
        "action": "post", "application": "$uuid", "path": "/chatfiles", "uri": url, "timestamp": "$ms",
        "duration": "$count", "organization": ORG, "applicationName": APP,
    }  # fmt: skip
    entity = {"uuid": "$uuid", "type": "chatfile", "share-secret": "$text"}
    assert fits(told, {**around, "entities": [entity]}), told
    [kept] = told["entities"]
    asked = {"Accept": "application/octet-stream", "share-secret": kept["share-secret"]}
    for more in ({}, {"thumbnail": "true"}):
        got = await cloud.get(f"/chatfiles/{kept['uuid']}", headers={**asked, **more})
        assert (got.status, got.body) == (200, FILE)


@pytest.mark.usefixtures("ready")
async def test_history_files(cloud: Cloud) -> None:
    """The seed's hour: one link, signed, and a line in it as the seed's samples have it."""
    body = {"customExts": {"name": "flower", "size": "16", "price": "100"}, "customEvent": "gift_1"}
    asked = {"from": "user1", "to": ["user2"], "type": "custom", "body": body, "ext": {"key1": "value1"}}
    sent = (await cloud.post("/messages/users", asked)).told
    hour = datetime.fromtimestamp(sent["timestamp"] / 1000, UTC).strftime("%Y%m%d%H")
    path = f"/chatmessages/{hour}"
    told = (await cloud.get(path, headers={"Accept": "application/json"})).told
    base = f"{cloud.node.url}/{ORG}/{APP}"
    around = {
        "action": "get", "application": "$uuid", "path": path, "uri": base + path, "timestamp": "$ms",
        "duration": "$count", "organization": ORG, "applicationName": APP,
    }  # fmt: skip
    assert fits(told, {**around, "data": [{"url": "$text"}]}), told
    url = told["data"][0]["url"]
    assert re.fullmatch(
        re.escape(base + path) + r"\.gz\?Expires=\d{10}&OSSAccessKeyId=gateway&Signature=[\w-]+", url
    )
    async with cloud.node.http.get(url) as response:
        [line] = gzip.decompress(await response.read()).splitlines()
    bodies = [{**body, "v2:customExts": body["customExts"], "type": "custom"}]
    payload = {"bodies": bodies, "ext": {"key1": "value1"}, "from": "user1", "to": "user2"}
    expected = {
        "msg_id": sent["data"]["user2"], "timestamp": "$ms", "direction": "outgoing", "to": "user2",
        "from": "user1", "chat_type": "chat", "payload": payload,
    }  # fmt: skip
    assert fits(json.loads(line), expected), line


async def test_a_token_that_is_not_ours(cloud: Cloud) -> None:
    """The seed's one sample of an error, member by member."""
    told = (await cloud.get("/chatfiles/7f456bf0-ecb2-11e8-b630-777db304f26c", token="YourAppToken")).json
    assert fits(
        told,
        {
            "error": "auth_bad_access_token",
            "timestamp": "$ms",
            "duration": "$count",
            "exception": "org.apache.usergrid.rest.exceptions.SecurityException",
            "error_description": "Unable to authenticate due to corrupt access token",
        },
    ), told


def test_every_example_is_in_a_story() -> None:
    """Of each road nine sends, the eight types and one to who is connected; and each other call of the seed."""
    for road in ("users", "chatgroups", "chatrooms"):
        sent = [step["body"] for step in STORIES.steps(road) if step["path"] == f"/messages/{road}"]
        assert [body["type"] for body in sent] == [
            *("txt", "txt", "img", "audio", "video", "file", "loc", "cmd", "custom")
        ]
        assert [body.get("routetype") for body in sent] == [None, "ROUTE_ONLINE", *[None] * 7]
    played = {(step["verb"], step["path"]) for step in STORIES.all_steps if "status" not in step}
    assert played >= {
        ("POST", "/messages/msg_recall"),
        ("DELETE", "/users/u1/user_channel"),
        ("POST", "/messages/users/import"),
        ("POST", "/messages/chatgroups/import"),
    }
