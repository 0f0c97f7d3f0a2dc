"""What holds for every call: envelopes, statuses, headers, odd requests."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from gateway.domain.drafts import Answer, Draft
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.edge.facades.native.routes import ROUTES
from tests.edge.api import Api, open_api
from tests.patience import WAIT_S

SEND = {"type": 1, "targets": [6001], "content_type": 0, "content": "hi"}
ASKING = {"Origin": "https://chat.example.org", "Access-Control-Request-Method": "POST"}
PATHS = sorted({path for _, path, _ in ROUTES})


class TestStatuses:
    """HTTP statuses and the envelope that goes with them."""

    async def test_unknown_paths(self, api: Api) -> None:
        """404 in the envelope, whatever the verb."""
        for path in ("/", "/message", "/message/send/", "/message/nothing", "/\udcff", "/%00", "/a" * 3000):
            response = await api.raw("GET", path)
            assert (response.status, (await response.json())["code"]) == (404, 404)

    @pytest.mark.parametrize("path", PATHS)
    async def test_unknown_verbs(self, api: Api, path: str) -> None:
        """405 in the envelope with the verbs there are; HEAD is not one of them (lanying.md, Envelope)."""
        verbs = {verb for verb, other, _ in ROUTES if other == path}
        for verb in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - verbs:
            response = await api.raw(verb, path)
            assert (response.status, (await response.json())["code"]) == (405, 405)
            assert set(response.headers["Allow"].split(", ")) == verbs
        assert (await api.raw("HEAD", path)).status == 405

    @pytest.mark.parametrize(("verb", "path"), [(verb, path) for verb, path, _ in ROUTES])
    async def test_without_anything(self, api: Api, verb: str, path: str) -> None:
        """Every call that is there answers an empty request with a code and HTTP 200."""
        code = await api.code(verb, path)
        assert code == (10002 if path.startswith(("/user/register/v2", "/token")) else 10003)

    async def test_an_oversized_body(self, tmp_path: Path) -> None:
        """A body of the limit's size is read, one byte more is 413 with the limit told."""
        async with open_api(tmp_path, Limits(body_bytes_max=1000)) as api:
            assert (await api.raw("POST", "/message/send", b" " * 1000)).status == 200
            response = await api.raw("POST", "/message/send", b" " * 1001)
            assert response.status == 413
            assert (await response.json())["code"] == 413
            assert "1000" in (await response.json())["message"]

    async def test_a_bug(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A failure of the gateway itself is 500, told without its reason and logged with it."""

        async def broken(*_: object) -> None:
            raise LookupError("a secret")

        monkeypatch.setattr(type(api.stage.directory), "principal", broken)
        with caplog.at_level(logging.ERROR):
            response = await api.raw("POST", "/message/send", SEND)
        assert response.status == 500
        assert await response.json() == {"code": 500, "message": "the gateway failed", "data": None}
        assert "a secret" in caplog.text

    @pytest.mark.parametrize("kind", [Kind.OVERLOADED, Kind.STORE_FAILED])
    async def test_what_passes_by_itself(self, api: Api, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
        """Overload and a failing disk are 503, code 20000, with the time to come back."""

        async def failing(*_: object) -> None:
            raise Problem(kind, "not now", retry_after_ms=2500)

        monkeypatch.setattr(type(api.stage.core.messaging), "send", failing)
        response = await api.raw("POST", "/message/send", SEND, token=await api.token(5))
        assert (response.status, (await response.json())["code"]) == (503, 20000)
        assert response.headers["Retry-After"] == "3"

    async def test_draining(self, api: Api) -> None:
        """Once the gateway stops, calls are refused as unavailable; the probes go on."""
        api.switch.draining = True
        response = await api.raw("POST", "/message/send", SEND, token=await api.token(5))
        assert (response.status, (await response.json())["code"]) == (503, 20000)
        assert response.headers["Retry-After"]
        assert (await api.raw("GET", "/healthz")).status == 200


class TestHeaders:
    """Headers of requests and responses."""

    async def test_nothing_is_cached(self, api: Api) -> None:
        """Every answer is JSON that nobody may keep."""
        for verb, path in (("POST", "/message/send"), ("GET", "/nowhere"), ("GET", "/message/send")):
            response = await api.raw(verb, path)
            assert response.headers["Cache-Control"] == "no-store"
            assert response.content_type == "application/json"

    @pytest.mark.parametrize(
        "content_type",
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=nonsense", "x"],
    )
    async def test_the_content_type_is_not_looked_at(self, api: Api, content_type: str) -> None:
        """The body is JSON whatever it calls itself."""
        headers = {"Content-Type": content_type}
        assert (
            await api.data("POST", "/message/send", SEND, token=await api.token(5), headers=headers) is True
        )

    async def test_a_compressed_body(self, api: Api) -> None:
        """A body may come compressed, and counts as what it unpacks to."""
        headers, token = {"Content-Encoding": "gzip"}, await api.token(5)
        packed = gzip.compress(msgspec.json.encode(SEND))
        assert await api.data("POST", "/message/send", packed, token=token, headers=headers) is True
        bomb = gzip.compress(b" " * 10_000_000)
        assert (await api.raw("POST", "/message/send", bomb, token=token, headers=headers)).status == 413

    async def test_a_body_that_is_not_what_it_says(self, api: Api) -> None:
        """A broken encoding is a bad request, no failure of the gateway, and told to be the connection's last."""
        headers = {"Content-Encoding": "gzip"}
        response = await api.raw("POST", "/message/send", b"no gzip at all", headers=headers)
        assert (response.status, response.headers.get("Connection")) == (200, "close")
        assert (await response.json())["message"] == "body: it could not be read"

    async def test_header_names_in_any_case(self, api: Api) -> None:
        """Headers are headers: their names have no case."""
        token = await api.token(5)
        headers = {"APP_ID": "demo", "Access-Token": token}
        async with api.client.get("/message/unread", headers=headers) as response:
            assert (await response.json())["code"] == 200


class TestRaw:
    """What only a socket can say."""

    @staticmethod
    async def spoken(api: Api, *, data: bytes, cut: bool = False) -> bytes:
        """What comes back for these bytes, until the server hangs up."""
        reader, writer = await asyncio.open_connection(api.host, api.port)
        writer.write(data)
        if cut:
            writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), WAIT_S)
        writer.close()
        await writer.wait_closed()
        return answer

    @pytest.mark.parametrize(
        "line",
        [b"app_id: \xff\xfe", b"access-token: \xff", b"user_id: \xe2\x82", b"group_id: \x80", b"X: \xff"],
    )
    async def test_headers_that_are_no_text(self, api: Api, line: bytes) -> None:
        """Bytes in headers that are no UTF-8 are a refusal like any other."""
        token = (await api.token(None)).encode()
        headers = b"app_id: demo\r\naccess-token: " + token + b"\r\n"
        name = line.partition(b":")[0]
        kept = b"".join(one + b"\r\n" for one in headers.split(b"\r\n") if one and not one.startswith(name))
        answer = await self.spoken(api, data=b"GET /message/unread HTTP/1.0\r\n" + kept + line + b"\r\n\r\n")
        assert answer.startswith((b"HTTP/1.0 200", b"HTTP/1.0 400"))

    @pytest.mark.parametrize(
        "query", [b"opposite_id=%ff", b"opposite_id=\xff", b"cursor=%00", b"%ff=%", b"&&=&;"]
    )
    async def test_queries_that_are_no_text(self, api: Api, query: bytes) -> None:
        """So are bytes in a query."""
        token = (await api.token(5)).encode()
        for path in (b"/message/conversation", b"/group/member_list"):
            answer = await self.spoken(
                api,
                data=b"GET %b?%b HTTP/1.0\r\napp_id: demo\r\naccess-token: %b\r\n\r\n" % (path, query, token),
            )
            assert answer.startswith((b"HTTP/1.0 200", b"HTTP/1.0 400"))

    async def test_a_body_cut_off(self, api: Api, caplog: pytest.LogCaptureFixture) -> None:
        """A client that dies in the middle of its body leaves no traceback."""
        await self.spoken(
            api, data=b"POST /message/send HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{", cut=True
        )
        assert "Traceback" not in caplog.text


class TestGoneClient:
    """A client that goes away after it has asked."""

    async def test_its_send_is_done(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hanging up does not take back what was asked for."""
        asked, hung_up, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
        submit = api.stage.writer.submit

        async def slow(draft: Draft) -> Answer:
            asked.set()
            await hung_up.wait()
            answer = await submit(draft)
            done.set()
            return answer

        monkeypatch.setattr(api.stage.writer, "submit", slow)
        token = await api.token(5)
        call = asyncio.create_task(api.raw("POST", "/message/send", SEND, token=token))
        await asked.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        hung_up.set()
        await asyncio.wait_for(done.wait(), WAIT_S)
        found = await api.data("GET", "/message/conversation", token=token, opposite_id=6001)
        assert found["messages_size"] == 1


class TestOps:
    """The probes."""

    async def test_alive(self, api: Api) -> None:
        """`/healthz` says that the process answers."""
        response = await api.raw("GET", "/healthz")
        assert (response.status, await response.json()) == (200, {"status": "ok"})

    async def test_ready(self, api: Api) -> None:
        """`/readyz` is 200 while nothing speaks against it, and else says what does."""
        response = await api.raw("GET", "/readyz")
        assert (response.status, await response.json()) == (200, {"ready": True, "reasons": []})
        api.reasons = ["the disk is full"]
        response = await api.raw("GET", "/readyz")
        assert (response.status, await response.json()) == (
            503,
            {"ready": False, "reasons": ["the disk is full"]},
        )

    async def test_the_channel(self, api: Api) -> None:
        """`/ws` is the device channel's."""
        response = await api.raw("GET", "/ws")
        assert await response.text() == "the channel"

    async def test_what_the_channel_refuses(self, api: Api) -> None:
        """A problem of the channel's is an envelope; what it says to a client that is no WebSocket stays."""

        async def draining(_: web.Request) -> web.StreamResponse:
            raise Problem(Kind.DRAINING, "not now")

        async def upgrading(_: web.Request) -> web.StreamResponse:
            raise web.HTTPUpgradeRequired(text="a WebSocket is wanted")

        api.channel = draining
        response = await api.raw("GET", "/ws")
        assert (response.status, (await response.json())["code"]) == (503, 20000)
        api.channel = upgrading
        response = await api.raw("GET", "/ws")
        assert (response.status, await response.text()) == (426, "a WebSocket is wanted")


class TestCors:
    """Web pages of other origins."""

    @pytest.fixture
    async def open_to(self, tmp_path: Path) -> AsyncIterator[Api]:
        async with open_api(tmp_path, cors_origins=["https://chat.example.org"]) as api:
            yield api

    async def test_it_is_off_by_default(self, api: Api) -> None:
        """No page of another origin may call, and OPTIONS is no verb."""
        response = await api.raw("OPTIONS", "/message/send", headers=ASKING)
        assert response.status == 405
        assert not [name for name in response.headers if name.startswith("Access-Control")]

    async def test_a_known_origin(self, open_to: Api) -> None:
        """A page that may call is told so beforehand, and may read answers and refusals."""
        response = await open_to.raw("OPTIONS", "/message/send", headers=ASKING)
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "https://chat.example.org"
        assert {"app_id", "access-token", "user_id", "group_id", "content-type"} == set(
            response.headers["Access-Control-Allow-Headers"].split(", ")
        )
        assert "PUT" in response.headers["Access-Control-Allow-Methods"]
        for verb, path in (("POST", "/message/send"), ("GET", "/nowhere")):
            response = await open_to.raw(verb, path, headers={"Origin": "https://chat.example.org"})
            assert response.headers["Access-Control-Allow-Origin"] == "https://chat.example.org"
            assert response.headers["Access-Control-Expose-Headers"] == "Retry-After"
            assert response.headers["Vary"] == "Origin"

    async def test_an_unknown_origin(self, open_to: Api) -> None:
        """A page that may not is told nothing."""
        for origin in ("https://evil.example.org", "null", ""):
            response = await open_to.raw("OPTIONS", "/message/send", headers={**ASKING, "Origin": origin})
            assert response.status == 405
            assert "Access-Control-Allow-Origin" not in response.headers

    async def test_any_origin(self, tmp_path: Path) -> None:
        """With "*" every page may."""
        async with open_api(tmp_path, cors_origins=["*"]) as api:
            response = await api.raw("OPTIONS", "/message/send", headers=ASKING)
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == "*"
