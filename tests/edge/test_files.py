"""Files at the edge: forms that are read as they come, and answers that a browser cannot take for more than bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest
from aiohttp import web

from gateway.core.files import FileOrder, Shown
from gateway.domain.errors import Kind, Problem
from gateway.domain.files import Box
from gateway.domain.limits import Limits
from gateway.edge.answering import Answering, Switch
from gateway.edge.download import content_disposition, send_file
from gateway.edge.port import Port
from gateway.edge.upload import Upload
from gateway.listening import bind
from tests.core.stage import Stage, app_of, open_stage
from tests.patience import WAIT_S
from tests.servers import eventually

LIMITS = Limits(
    file_bytes_max=300_000,
    form_parts_max=4,
    form_part_bytes_max=50,
    body_timeout_ms=300_000,
    drain_ms=2_000,
)
HASTY = msgspec.structs.replace(LIMITS, body_timeout_ms=400, body_bytes_per_s_min=100_000)
"""Times that a test can see pass."""

DATA = os.urandom(200_000)
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 200300\r\n\r\n"
"""Of a form whose end is never sent."""


class Server(NamedTuple):
    """A port at which files are uploaded and downloaded."""

    stage: Stage
    url: str
    port: int
    client: aiohttp.ClientSession

    async def upload(self, *parts: str | bytes, **headers: str) -> tuple[int, dict[str, Any]]:
        """Send a form of these parts, each with its headers."""
        body = b"".join(
            b"--B\r\n" + (part.encode() if isinstance(part, str) else part) + b"\r\n" for part in parts
        )
        told = {"Content-Type": "multipart/form-data; boundary=B", **headers}
        async with self.client.post(self.url, data=body + b"--B--\r\n", headers=told) as response:
            return response.status, await response.json()

    async def get(
        self, number: str, method: str = "GET", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.request(method, f"{self.url}/{number}", headers=named) as response:
            return (
                response.status,
                {name.lower(): value for name, value in response.headers.items()},
                await response.read(),
            )


def a_part(data: bytes | str = DATA, name: str = "file", filename: str = "a.txt", more: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\n{more}\r\n'
    return head.encode() + (data.encode() if isinstance(data, str) else data)


def a_field(name: str, value: str) -> str:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'


def _told(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await answer(request)
        except Problem as problem:
            return web.json_response({"kind": problem.kind.value, "sentence": problem.sentence}, status=400)

    return handle


@asynccontextmanager
async def serve(stage: Stage) -> AsyncIterator[Server]:
    limits = stage.limits

    async def upload(request: web.Request) -> web.StreamResponse:
        form = await Upload.begin(request, limits)
        if form is None:
            return web.json_response({"kind": "none"})

        def box() -> Box:
            return Box(int(form.fields.get("width", "7")), 7)

        order = FileOrder(name=form.name, type=form.type, restricted=False, box=box, uploader=0)
        uploaded = await stage.files.upload(await app_of(stage), order, form.chunks())
        file = uploaded.file
        return web.json_response(
            {
                "uuid": file.uuid,
                "name": file.name,
                "type": file.type,
                "size": file.size,
                "width": file.box.width,
            }
        )

    async def download(request: web.Request) -> web.StreamResponse:
        shown = await stage.files.find(await app_of(stage), request.match_info["uuid"], None)
        return await send_file(request, stage.files, shown, limits)

    app = web.Application()
    app.router.add_post("/", _told(upload))
    app.router.add_get("/{uuid}", _told(download))
    port, listener = Port(app, limits), bind("127.0.0.1", 0)
    await port.open(listener, 100, Answering(stage.core, limits, Switch()), front_door=True)
    running = asyncio.create_task(port.run())
    number = listener.getsockname()[1]
    url = f"http://127.0.0.1:{number}"
    async with aiohttp.ClientSession() as client:
        yield Server(stage, url, number, client)
    running.cancel()
    port.stop_listening()
    await port.close(asyncio.get_running_loop().time() + 2)


@asynccontextmanager
async def open_server(folder: Path, limits: Limits = LIMITS) -> AsyncIterator[Server]:
    async with open_stage(folder, limits) as stage:
        await stage.app()
        async with serve(stage) as made:
            yield made


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with open_server(tmp_path) as made:
        yield made


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that soon cuts who is slow."""
    async with open_server(tmp_path, HASTY) as made:
        yield made


def held(server: Server) -> list[Path]:
    return [path for path in server.stage.blobs._folder.rglob("*") if path.is_file()]


class TestUpload:
    """Forms."""

    async def test_a_file(self, server: Server) -> None:
        """Its bytes, its name and its type, as the form tells them."""
        status, told = await server.upload(
            a_part(filename="Übung.pdf", more="Content-Type: application/pdf\r\n")
        )
        assert status == 200, told
        assert (told["name"], told["type"], told["size"]) == ("Übung.pdf", "application/pdf", 200_000)
        assert (await server.get(told["uuid"]))[2] == DATA

    async def test_a_part_that_calls_itself_a_form(self, server: Server) -> None:
        """As of ease-restapi: it has no boundary, so that it holds bytes."""
        _, told = await server.upload(a_part(more="Content-Type: multipart/form-data\r\n"))
        assert (told["type"], told["size"]) == ("application/octet-stream", 200_000)
        assert (await server.get(told["uuid"]))[2] == DATA

    @pytest.mark.parametrize("before", [True, False])
    async def test_other_parts(self, server: Server, before: bool) -> None:
        """Before the file or behind it."""
        parts = [a_part(), a_field("width", "9")]
        _, told = await server.upload(*(reversed(parts) if before else parts))
        assert told["width"] == 9

    @pytest.mark.parametrize("data", ["", "\r\n", "x--B", "\r\n--", "x\r\n--C\r\n"])
    async def test_what_looks_like_an_end(self, server: Server, data: str) -> None:
        """Only the form's own boundary is one."""
        status, told = await server.upload(a_part(data))
        assert status == 200, told
        assert (await server.get(told["uuid"]))[2] == data.encode()

    async def test_without_a_file(self, server: Server) -> None:
        """There is none, whatever else there is."""
        assert await server.upload(a_field("width", "9")) == (200, {"kind": "none"})
        assert await server.upload(a_part(name="other", data="x")) == (200, {"kind": "none"})

    async def test_up_to_the_last_byte(self, server: Server) -> None:
        """One more is too large: told by the length of the form, or where it shows."""
        assert (await server.upload(a_part(bytes(300_000))))[0] == 200
        kept = len(held(server))
        for size in (300_001, 400_000):
            _, told = await server.upload(a_part(bytes(size)))
            assert told["kind"] == Kind.TOO_LARGE.value
        assert len(held(server)) == kept

    @pytest.mark.parametrize(
        ("parts", "sentence"),
        [
            ([a_field("a", "x")] * 4 + [a_part("x")], "body: a form may have 4 parts"),
            ([a_part("x"), *[a_field("a", "x")] * 4], "body: a form may have 4 parts"),
            ([a_field("a", "x" * 51), a_part("x")], "a: this part of the form may have 50 bytes"),
            ([a_part("x"), a_field("a", "x" * 51)], "a: this part of the form may have 50 bytes"),
            (
                [a_part("eA==", more="Content-Transfer-Encoding: base64\r\n")],
                "body: parts of a form are neither encoded nor forms themselves",
            ),
            (
                [a_part("x", more="Content-Type: multipart/mixed; boundary=C\r\n")],
                "body: parts of a form are neither encoded nor forms themselves",
            ),
            ([a_part("x", more="X: " + "x" * 10_000 + "\r\n")], "body: it is no form, or not all of it"),
            ([a_part("x", more="X: x\r\n" * 200)], "body: it is no form, or not all of it"),
            ([a_part("x"), a_field("width", "5000")], "thumbnail: its sides are 1 to 1024 pixels"),
        ],
    )
    async def test_forms_that_are_refused(
        self, server: Server, parts: list[str | bytes], sentence: str
    ) -> None:
        """What is too much, and what nobody sends; nothing of it is kept."""
        status, told = await server.upload(*parts)
        assert (status, told.get("sentence")) == (400, sentence)
        assert held(server) == []

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"", "multipart/form-data; boundary=B"),
            (b"hello", "multipart/form-data; boundary=B"),
            (b"--B\r\n" + a_part("x"), "multipart/form-data; boundary=B"),
            (
                b"x\r\n" * 30_000 + b"--B\r\n" + a_part("x") + b"\r\n--B--\r\n",
                "multipart/form-data; boundary=B",
            ),
            (b"--B\r\n" + a_part("x") + b"\r\n--B\r\n", "multipart/form-data; boundary=B"),
            (b"--B\r\n" + a_part("x") + b"\r\n--B--\r\n", "multipart/form-data"),
            (b"--B\r\n" + a_part("x") + b"\r\n--B--\r\n", "multipart/form-data; boundary=" + "B" * 99),
            (b"--B\r\n" + a_part("x") + b"\r\n--B--\r\n", "multipart/mixed; boundary=B"),
            (b"{}", "application/json"),
        ],
        ids=[
            "empty",
            "text",
            "cut in the file",
            "a long way to it",
            "cut behind it",
            "no boundary",
            "a long one",
            "mixed",
            "json",
        ],
    )
    async def test_what_is_no_form(self, server: Server, body: bytes, kind: str) -> None:
        """Is refused, and nothing is kept."""
        async with server.client.post(server.url, data=body, headers={"Content-Type": kind}) as response:
            assert (response.status, (await response.json())["kind"]) == (400, "bad_parameter")
        assert held(server) == []

    async def test_who_goes_away(self, server: Server) -> None:
        """Leaves nothing behind."""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HEAD + b"--B\r\n" + a_part()[:150_000])
        await writer.drain()
        await asyncio.to_thread(_until, lambda: bool(held(server)))
        writer.transport.abort()
        await asyncio.to_thread(_until, lambda: not held(server))
        assert not await reader.read()

    async def test_who_is_slow(self, hasty: Server) -> None:
        """Has a second more for each 100,000 bytes that have come, and no longer."""
        server = hasty
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        loop = asyncio.get_running_loop()
        began = loop.time()
        writer.write(HEAD + b"--B\r\n" + a_part()[:60_000])
        assert await reader.read() == b""
        assert loop.time() - began > 1.0
        await asyncio.to_thread(_until, lambda: not held(server))
        writer.close()


def _until(seen: Callable[[], bool]) -> None:
    eventually(seen, "what is kept")


class TestDownload:
    """Answers."""

    @pytest.fixture
    async def number(self, server: Server) -> str:
        part = a_part(filename='<b>"q" Übung%.html', more="Content-Type: text/html\r\n")
        _, told = await server.upload(part.replace(b'"q"', b'\\"q\\"'))
        return str(told["uuid"])

    async def test_it_is_an_attachment(self, server: Server, number: str) -> None:
        """A page that somebody has uploaded never runs in our name."""
        status, headers, body = await server.get(number)
        assert (status, body) == (200, DATA)
        assert headers["content-type"] == "text/html"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert headers["content-disposition"].startswith("attachment; ")
        assert (headers["content-length"], headers["accept-ranges"]) == ("200000", "bytes")

    @pytest.mark.parametrize(
        ("asked", "start", "end"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=0-", 0, 200_000),
            ("bytes=1000-70999", 1_000, 71_000),
            ("bytes=199999-", 199_999, 200_000),
            ("bytes=199990-999999999999", 199_990, 200_000),
            ("bytes=-5", 199_995, 200_000),
            ("bytes=-999999", 0, 200_000),
        ],
    )
    async def test_a_range(self, server: Server, number: str, asked: str, start: int, end: int) -> None:
        """Of it as much as is there."""
        status, headers, body = await server.get(number, Range=asked)
        assert (status, body) == (206, DATA[start:end])
        assert headers["content-range"] == f"bytes {start}-{end - 1}/200000"
        assert headers["content-length"] == str(end - start)

    @pytest.mark.parametrize("asked", ["bytes=200000-", "bytes=200000-200001", "bytes=-0"])
    async def test_a_range_that_is_not_there(self, server: Server, number: str, asked: str) -> None:
        """Is told how much there is."""
        status, headers, body = await server.get(number, Range=asked)
        assert (status, headers["content-range"], body) == (416, "bytes */200000", b"")

    @pytest.mark.parametrize(
        "asked", ["bytes=0-1,5-6", "bytes=-", "bytes=5-1", "lines=1-2", "bytes=a-b", "bytes=1"]
    )
    async def test_a_range_that_is_none(self, server: Server, number: str, asked: str) -> None:
        """Several, or none at all: all of it is given."""
        status, headers, body = await server.get(number, Range=asked)
        assert (status, body) == (200, DATA)
        assert "content-range" not in headers

    async def test_what_somebody_has_already(self, server: Server, number: str) -> None:
        """Is not given again; a range of something else is not given at all."""
        tag = (await server.get(number))[1]["etag"]
        for known in (tag, f'"other", W/{tag}', "*"):
            status, headers, body = await server.get(number, If_None_Match=known)
            assert (status, headers["etag"], body) == (304, tag, b"")
        assert (await server.get(number, If_None_Match='"other"'))[0] == 200
        assert (await server.get(number, Range="bytes=0-1", If_Range=tag))[0] == 206
        assert (await server.get(number, Range="bytes=0-1", If_Range='"other"'))[0] == 200

    async def test_its_head_alone(self, server: Server, number: str) -> None:
        """HEAD tells what GET does, without the bytes."""
        status, headers, body = await server.get(number, "HEAD")
        assert (status, headers["content-length"], body) == (200, "200000", b"")

    async def test_an_empty_file(self, server: Server) -> None:
        """Has no part."""
        _, told = await server.upload(a_part(""))
        assert (await server.get(told["uuid"]))[0::2] == (200, b"")
        assert (await server.get(told["uuid"], Range="bytes=0-"))[0] == 416

    async def test_bytes_that_end_too_soon(
        self, server: Server, number: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The connection is cut: nobody takes what came for all there is."""

        async def failing(*_: object) -> AsyncIterator[bytes]:
            async def chunks() -> AsyncIterator[bytes]:
                yield DATA[:100_000]
                raise Problem(Kind.STORE_FAILED, "away")

            return chunks()

        monkeypatch.setattr(server.stage.blobs, "get", failing)
        with pytest.raises(aiohttp.ClientPayloadError):
            await server.get(number)

    async def test_who_takes_nothing(self, hasty: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """Is cut off, so that it keeps nothing from others."""
        server = hasty
        ended = asyncio.Event()
        size = 200_000_000

        async def get(*_: object) -> AsyncIterator[bytes]:
            async def chunks() -> AsyncIterator[bytes]:
                try:
                    for _ in range(0, size, 100_000):
                        yield bytes(100_000)
                finally:
                    ended.set()

            return chunks()

        async def find(*_: object) -> Shown:
            return msgspec.structs.replace(shown, size=size)

        _, told = await server.upload(a_part("x"))
        shown = await server.stage.files.find(await app_of(server.stage), told["uuid"], None)
        monkeypatch.setattr(server.stage.blobs, "get", get)
        monkeypatch.setattr(server.stage.files, "find", find)
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        writer.write(f"GET /{told['uuid']} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        async with asyncio.timeout(WAIT_S):
            await ended.wait()
        await asyncio.to_thread(_until, lambda: not server.stage.files._going._taken)
        writer.close()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a b-1.txt", 'attachment; filename="a b-1.txt"'),
        ('a"b\\c.txt', "attachment; filename=\"a_b_c.txt\"; filename*=UTF-8''a%22b%5Cc.txt"),
        ("Übung.pdf", "attachment; filename=\"_bung.pdf\"; filename*=UTF-8''%C3%9Cbung.pdf"),
        ("100%;.txt", "attachment; filename=\"100__.txt\"; filename*=UTF-8''100%25%3B.txt"),
    ],
)
def test_what_an_attachment_is_called(name: str, told: str) -> None:
    """As RFC 6266 has it: no name ends the header or begins another parameter."""
    assert content_disposition(name) == told
