"""POST /chatfiles and GET /chatfiles/{uuid} (agora.md; the seed's sections on uploading and downloading files)."""

from __future__ import annotations

import asyncio
import io
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.domain.limits import Limits
from tests.agora.stage import Answer, Cloud, open_cloud
from tests.core.pictures import noise, opened, video
from tests.rest.stage import Json
from tests.servers import eventually

GONE = (404, "service_resource_not_found")


async def upload(
    cloud: Cloud, data: bytes = b"hello", name: str = "a.txt", *, kind: str = "text/plain", **headers: str
) -> Answer:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("file", io.BytesIO(data), filename=name, content_type=kind)
    body = form()
    told = {
        "Authorization": f"Bearer {cloud.token}",
        **{key.replace("_", "-"): value for key, value in headers.items()},
    }
    url = f"{cloud.node.url}{cloud.base}/chatfiles"
    async with cloud.node.http.post(url, data=body, headers=told) as response:
        return Answer(response.status, response.headers, await response.read())


async def kept(cloud: Cloud, *args: Any, **more: Any) -> Json:
    [entity] = (await upload(cloud, *args, **more)).entities
    found: Json = entity
    return found


async def get(
    cloud: Cloud, entity: Json, query: str = "", token: str | None = None, **headers: str
) -> Answer:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return await cloud.get(f"/chatfiles/{entity['uuid']}{query}", headers=named, token=token)


async def user_token(cloud: Cloud, name: str) -> str:
    await cloud.users(name)
    asked = {"grant_type": "password", "username": name, "password": name}
    token: str = (await cloud.post("/token", asked, token="")).told["access_token"]
    return token


async def test_the_answer(cloud: Cloud) -> None:
    """One entity with these three members, the secret always among them."""
    answer = await upload(cloud)
    assert answer.told["path"] == "/chatfiles"
    [entity] = answer.entities
    assert set(entity) == {"uuid", "type", "share-secret"}
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", entity["uuid"])
    assert entity["type"] == "chatfile"
    assert len(entity["share-secret"]) > 30


async def test_who_has_no_place_comes_back_later(tmp_path: Path) -> None:
    """An app that has all its uploads under way is told so, and when to try again."""
    limits = Limits(uploads_per_app_max=0)
    async with open_cloud(tmp_path / "data", limits) as cloud:
        answer = await upload(cloud)
        assert answer.refused(503, "service_unavailable")
        assert answer.headers["Retry-After"] == "1"


async def test_what_goes_in_comes_out(cloud: Cloud) -> None:
    """As an attachment under its name, which no browser takes for anything else."""
    entity = await kept(cloud, b"<script>alert(1)</script>", "/home/me/page.html", kind="text/html")
    answer = await get(cloud, entity)
    assert (answer.status, answer.body) == (200, b"<script>alert(1)</script>")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="page.html"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    part = await get(cloud, entity, Range="bytes=1-6")
    assert (part.status, part.body) == (206, b"script")


async def test_a_user_may(cloud: Cloud) -> None:
    """Upload and download, each other's too; and whoever is erased takes its files along."""
    anna, bert = [await user_token(cloud, name) for name in ("anna", "bert")]
    cloud.token, app = anna, cloud.token
    entity = await kept(cloud)
    assert (await get(cloud, entity, token=bert)).body == b"hello"
    cloud.token = app
    assert (await cloud.delete("/users/anna")).status == 200
    assert (await get(cloud, entity)).refused(*GONE)


async def test_nobody_may_not(cloud: Cloud) -> None:
    """Without a token nothing is taken and nothing is given."""
    entity = await kept(cloud)
    assert (await get(cloud, entity, token="")).refused(401, "unauthorized")
    cloud.token = "forged"
    assert (await upload(cloud)).refused(401, "auth_bad_access_token")


@pytest.mark.parametrize("asked", ["true", "1", "yes", "TRUE"])
async def test_a_restricted_one(cloud: Cloud, asked: str) -> None:
    """Wants its secret, by header or query."""
    entity = await kept(cloud, restrict_access=asked)
    secret = entity["share-secret"]
    assert (await get(cloud, entity)).refused(403, "forbidden_op")
    assert (await get(cloud, entity, share_secret="wrong")).refused(403, "forbidden_op")
    assert (await get(cloud, entity, share_secret=secret)).body == b"hello"
    assert (await get(cloud, entity, f"?share-secret={secret}")).body == b"hello"


@pytest.mark.parametrize("asked", ["false", "0", "", "False"])
async def test_an_unrestricted_one(cloud: Cloud, asked: str) -> None:
    """Wants none."""
    assert (await get(cloud, await kept(cloud, restrict_access=asked))).body == b"hello"


async def test_open_downloads(tmp_path: Path) -> None:
    """Where they are allowed, an unrestricted file needs no token; a restricted one needs both."""
    async with open_cloud(tmp_path / "data", open_downloads=True) as cloud:
        free, restricted = await kept(cloud), await kept(cloud, restrict_access="true")
        secret = restricted["share-secret"]
        assert (await get(cloud, free, token="")).body == b"hello"
        assert (await get(cloud, restricted, token="", share_secret=secret)).refused(401, "unauthorized")
        assert (await get(cloud, restricted, share_secret=secret)).body == b"hello"


@pytest.mark.parametrize("asked", ["true", "false", ""])
async def test_a_thumbnail(cloud: Cloud, asked: str) -> None:
    """Whatever the header says; a box of 170 by 170 where nobody said another."""
    entity = await kept(cloud, noise(), "a.jpg", kind="image/jpeg")
    answer = await get(cloud, entity, thumbnail=asked)
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert opened(answer.body).size == (170, 85)


async def test_its_box(cloud: Cloud) -> None:
    """By headers, or by parts of the form; of a video too."""
    headers = {"thumbnail_width": "40", "thumbnail_height": "1024"}
    picture = await kept(cloud, noise(), "a.jpg", kind="image/jpeg", **headers)
    film = await kept(cloud, video() + bytes(10_000), "a.mp4", kind="video/mp4", **headers)
    sizes = [opened((await get(cloud, entity, thumbnail="true")).body).size for entity in (picture, film)]
    assert sizes == [(40, 20), (40, 20)]
    form = aiohttp.FormData()
    form.add_field("file", noise(), filename="a.jpg", content_type="image/jpeg")
    form.add_field("thumbnail-height", "16")
    url, told = f"{cloud.node.url}{cloud.base}/chatfiles", {"Authorization": f"Bearer {cloud.token}"}
    async with cloud.node.http.post(url, data=form(), headers=told) as response:
        [entity] = (await response.json())["entities"]
    assert opened((await get(cloud, entity, thumbnail="true")).body).size == (32, 16)


@pytest.mark.two_nodes_once
@pytest.mark.parametrize("side", ["15", "1025", "x", "-1", "1e2"])
async def test_a_box_that_is_none(cloud: Cloud, side: str) -> None:
    """Each side is 16 to 1,024."""
    answer = await upload(cloud, thumbnail_width=side)
    assert answer.refused(400, "illegal_argument", "thumbnail-width")


async def test_others_have_no_thumbnail(cloud: Cloud) -> None:
    """A text has none; what is no picture, whatever it says, is given as it is."""
    text = await kept(cloud, b"x" * 20_000)
    assert (await get(cloud, text, thumbnail="true")).refused(*GONE)
    liar = await kept(cloud, b"x" * 20_000, "a.jpg", kind="image/jpeg")
    assert (await get(cloud, liar, thumbnail="true")).body == b"x" * 20_000


async def test_what_is_not_there(cloud: Cloud) -> None:
    """Whatever it is called."""
    for uuid in ("x", "00000000-0000-4000-8000-000000000000", "..%2F..%2Fetc%2Fpasswd"):
        assert (await cloud.get(f"/chatfiles/{uuid}")).refused(*GONE)


async def test_forms_that_are_none(cloud: Cloud) -> None:
    """JSON, a form without a file, a file without a name."""
    assert (await cloud.post("/chatfiles", {"file": "x"})).refused(400, "illegal_argument", "multipart")
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    head = b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\nx\r\n--B--\r\n'
    assert (await cloud.post("/chatfiles", head % b"other", headers=headers)).refused(
        400, "illegal_argument", "file"
    )
    assert (await cloud.post("/chatfiles", head % b"file", headers=headers)).refused(
        400, "illegal_argument", "name"
    )


async def test_up_to_ten_mib(cloud: Cloud) -> None:
    """The last byte of them is taken, one more is not."""
    entity = await kept(cloud, bytes(10 * 1024 * 1024))
    assert (await get(cloud, entity, Range="bytes=-1")).body == b"\x00"
    assert (await upload(cloud, bytes(10 * 1024 * 1024 + 1))).refused(413, "web_application")


async def test_a_stop_in_the_midst(tmp_path: Path) -> None:
    """An upload that does not end in time is cut, and nothing of it is left; nor is the maker of thumbnails."""
    async with open_cloud(tmp_path / "data", Limits(drain_ms=1_500)) as cloud:
        entity = await kept(cloud, noise(), "a.jpg", kind="image/jpeg")
        await get(cloud, entity, thumbnail="true")
        gateway = cloud.node.gateway
        worker = gateway.core.files._thumbnails._worker
        assert worker is not None
        blobs = tmp_path / "data" / "blobs"
        whole = held(blobs)
        reader, writer = await asyncio.open_connection(*cloud.node.url.removeprefix("http://").split(":"))
        head = (
            f"POST {cloud.base}/chatfiles HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {cloud.token}\r\n"
            "Content-Type: multipart/form-data; boundary=B\r\nContent-Length: 1000000\r\n\r\n"
            '--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        )
        writer.write(head.encode() + bytes(900_000))
        await asyncio.to_thread(eventually, lambda: len(held(blobs)) > len(whole), "the begin of the upload")
        await gateway.stop()
        await asyncio.to_thread(eventually, lambda: held(blobs) == whole, "the begin to be gone")
        assert worker.returncode is not None
        told = b""
        # Where some of the upload was still on its way, what it is told goes with it.
        with suppress(ConnectionError):
            told = await reader.read()
        assert not told.startswith(b"HTTP/1.1 200")
        writer.close()


def held(blobs: Path) -> list[Path]:
    return sorted(path for path in blobs.rglob("*") if path.is_file())
