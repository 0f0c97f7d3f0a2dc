"""Imports with `need_download` (agora.md): what a message names comes here with it, or neither does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.agora.stage import Cloud, open_cloud
from tests.rest.stage import Json

PUBLIC = "127.0.0.1"
"""Counts as such in these tests."""


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """A server with two files."""

    async def answer(request: web.Request) -> web.Response:
        if request.path not in {"/a.png", "/thumb.png"}:
            return web.Response(status=404)
        return web.Response(body=request.path.encode(), content_type="image/png")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, PUBLIC, 0).start()
    yield f"http://{PUBLIC}:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    async with open_cloud(tmp_path / "data", import_download=True) as opened:
        opened.node.gateway.core.files._fetcher._is_public = lambda address: address == PUBLIC  # type: ignore[attr-defined]
        yield opened


def asked(**body: str) -> Json:
    return {"from": "anna", "target": "bert", "type": "video", "body": body, "need_download": True}


async def stored(cloud: Cloud) -> int:
    app = await cloud.node.gateway.store.app("demo")
    assert app is not None
    return await cloud.node.gateway.store.stored_bytes(app.id)


async def test_what_it_names_comes_with_it(cloud: Cloud, site: str) -> None:
    """Its members lead here from then on, with secrets of ours; the others stay as they are."""
    told = (
        await cloud.post(
            "/messages/users/import", asked(url=f"{site}/a.png", thumb=f"{site}/thumb.png", length="9")
        )
    ).data
    app = await cloud.node.gateway.store.app("demo")
    assert app is not None
    message = await cloud.node.gateway.store.message(app.id, int(told["msg_id"]))
    assert message is not None
    body = json.loads(message.attachment)
    assert set(body) == {"url", "secret", "thumb", "thumb_secret", "length"}
    for member, path in (("url", b"/a.png"), ("thumb", b"/thumb.png")):
        own, _, number = body[member].rpartition("/chatfiles/")
        assert own == f"{cloud.node.url}{cloud.base}"
        answer = await cloud.get(f"/chatfiles/{number}")
        assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, path, "image/png")


async def test_all_or_nothing(cloud: Cloud, site: str) -> None:
    """Where one of them cannot be had, the message is not there, and the other one and its users are not either."""
    before = await stored(cloud)
    for url, thumb in (
        (f"{site}/a.png", f"{site}/none"),
        (f"{site}/a.png", "http://127.0.0.2:1/x"),
        ("x", ""),
    ):
        answer = await cloud.post("/messages/users/import", asked(url=url, thumb=thumb))
        assert answer.refused(400, "illegal_argument", "url")
    assert await stored(cloud) == before
    assert [path for path in (cloud.node.folder / "blobs").rglob("*") if path.is_file()] == []
    assert (await cloud.get("/users")).entities == []


async def test_nothing_is_fetched_unasked(cloud: Cloud) -> None:
    """Without the member, addresses are kept as they are."""
    sent = {**asked(url="http://127.0.0.2:1/x"), "need_download": False}
    assert (await cloud.post("/messages/users/import", sent)).status == 200


async def test_where_it_is_not_allowed(tmp_path: Path) -> None:
    """Nothing is fetched, and nothing kept."""
    async with open_cloud(tmp_path / "other") as cloud:
        answer = await cloud.post("/messages/users/import", asked(url="http://127.0.0.2:1/x"))
        assert answer.refused(403, "forbidden_op")
