"""What every answer looks like, whatever was asked (lanying.md, Envelope, HTTP status)."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gateway.config import Edge
from gateway.domain.errors import Kind, Problem
from gateway.edge.facades.native.routes import ROUTES
from tests.rest.stage import BOB, Caller, Node, open_node, order

pytestmark = pytest.mark.one_node("what the edge answers by itself")

PATHS = sorted({path for _, path, _ in ROUTES})
VERBS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"}
PAGE = "https://chat.example.org"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}


class TestAnswers:
    """200, and what is always there."""

    async def test_success(self, alice: Caller) -> None:
        """A success has all three members, and `message` is null."""
        answer = await alice.get("/message/unread")
        assert (answer.status, answer.envelope) == (200, {"code": 200, "message": None, "data": []})

    async def test_refusals_are_200(self, alice: Caller) -> None:
        """What the API refuses is HTTP 200 with another code, a sentence and no data."""
        answer = await alice.get("/message/ack")
        assert answer.status == 200
        assert answer.refused(10002)

    async def test_authentication_errors_are_200(self, node: Node) -> None:
        """The vendor's web client reads the code from the body."""
        for caller in (node.caller(), node.caller("demo", "x"), node.caller("nobody"), node.caller(None)):
            assert (await caller.get("/message/unread")).status == 200

    async def test_is_json(self, alice: Caller) -> None:
        """Every answer says that it is JSON."""
        for answer in (await alice.get("/message/unread"), await alice.get("/nowhere")):
            assert answer.headers["Content-Type"] == "application/json; charset=utf-8"

    async def test_nothing_is_cached(self, alice: Caller) -> None:
        """Successes, refusals and errors say no-store."""
        for verb, path in (
            ("GET", "/message/unread"),
            ("GET", "/message/ack"),
            ("GET", "/nowhere"),
            ("PATCH", "/message/send"),
            ("HEAD", "/message/unread"),
        ):
            assert (await alice.call(verb, path)).headers["Cache-Control"] == "no-store", path
        assert (await alice.post("/message/send", b"x" * 300_000)).headers["Cache-Control"] == "no-store"


class TestStatuses:
    """The few that are not 200."""

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/message",
            "/message/send/",
            "/Message/send",
            "/message/send%2f",
            "/message/nothing",
            "/%00/%ff",
        ],
    )
    async def test_unknown_paths(self, alice: Caller, path: str) -> None:
        """404 with the same code, whatever the verb."""
        for verb in ("GET", "POST", "DELETE"):
            answer = await alice.call(verb, path)
            assert answer.status == 404
            assert answer.refused(404)

    @pytest.mark.parametrize("path", PATHS)
    async def test_unknown_verbs(self, alice: Caller, path: str) -> None:
        """405 with the same code and the verbs there are; HEAD and OPTIONS are none of them."""
        there = {verb for verb, known, _ in ROUTES if known == path}
        for verb in sorted(VERBS - there):
            answer = await alice.call(verb, path)
            assert answer.status == 405, verb
            assert answer.headers["Allow"] == ", ".join(sorted(there))
            assert verb == "HEAD" or answer.refused(405)

    async def test_a_large_body(self, alice: Caller) -> None:
        """256 KiB are read, one byte more is 413 with the same code, and the limit is named."""
        whole = b" " * (256 * 1024 - len(_send()))
        assert (await alice.post("/message/send", whole + _send())).data is True
        answer = await alice.post("/message/send", b" " + whole + _send())
        assert answer.status == 413
        assert answer.refused(413, "body", str(256 * 1024))

    async def test_a_large_body_in_chunks(self, node: Node, alice: Caller) -> None:
        """A body that does not say its length is measured as it comes."""
        head = _head(alice, "Transfer-Encoding: chunked", "Connection: close")
        chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
        answer = await node.raw(head + chunk * 20 + b"0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"code":413' in answer

    async def test_an_unpacked_large_body(self, node: Node, alice: Caller) -> None:
        """A small body that unpacks to a large one is as large as that."""
        import gzip

        packed = gzip.compress(b" " * 50_000_000)
        head = _head(alice, "Content-Encoding: gzip", f"Content-Length: {len(packed)}", "Connection: close")
        assert (await node.raw(head + packed)).startswith(b"HTTP/1.1 413 ")

    async def test_a_bug(
        self, alice: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """500 with the same code; the log has the cause, the answer does not."""

        async def broken(*_: object) -> None:
            raise ZeroDivisionError("the secret cause")

        monkeypatch.setattr(alice.node.gateway.core.conversations, "unread", broken)
        answer = await alice.get("/message/unread")
        assert answer.status == 500
        assert answer.refused(500)
        assert b"cause" not in answer.body
        assert any(record.exc_info for record in caplog.records)

    @pytest.mark.parametrize("kind", [Kind.STORE_FAILED, Kind.OVERLOADED, Kind.DRAINING])
    async def test_not_now(self, alice: Caller, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
        """A full disk, overload and drain are 503, code 20000, with the time to come back."""

        async def failing(*_: object) -> None:
            raise Problem(kind, "not now", retry_after_ms=1500)

        monkeypatch.setattr(alice.node.gateway.store, "append", failing)
        answer = await alice.ask_send([BOB])
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert answer.refused(20000)

    async def test_what_never_became_a_request(self, node: Node, caplog: pytest.LogCaptureFixture) -> None:
        """It is a plain 400, and no traceback in the log."""
        with caplog.at_level(logging.INFO):
            for sent in (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n"):
                assert (await node.raw(sent)).startswith(b"HTTP/1.0 400 Bad Request\r\n")
        assert [record.getMessage() for record in caplog.records if record.exc_info] == []

    async def test_an_expectation(self, node: Node, alice: Caller) -> None:
        """Who asks first whether to send the body is told to."""
        head = _head(alice, "Expect: 100-continue", f"Content-Length: {len(_send())}", "Connection: close")
        answer = await node.raw(head + _send())
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")

    async def test_an_unknown_expectation(self, node: Node, alice: Caller) -> None:
        """What nobody knows to expect is not looked at: the answer is the API's, in its envelope."""
        head = _head(alice, "Expect: wonders", f"Content-Length: {len(_send())}", "Connection: close")
        answer = await node.raw(head + _send())
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b'"code":200' in answer


def _send() -> bytes:
    import json

    return json.dumps(order([BOB])).encode()


def _head(caller: Caller, *lines: str) -> bytes:
    """The start of a POST /message/send."""
    named = [f"{name}: {value}" for name, value in caller.headers.items()]
    return "\r\n".join(["POST /message/send HTTP/1.1", "Host: x", *named, *lines, "", ""]).encode()


class TestPages:
    """CORS: who may read the answers in a browser."""

    async def test_off_by_default(self, alice: Caller) -> None:
        """No page of any origin is let in, and OPTIONS is a verb that is not there."""
        alice.headers |= PREFLIGHT
        assert "Access-Control-Allow-Origin" not in (await alice.get("/message/unread")).headers
        answer = await alice.call("OPTIONS", "/message/send")
        assert (answer.status, answer.envelope["code"]) == (405, 405)

    @pytest.mark.parametrize(("origins", "allowed"), [((PAGE,), PAGE), (("*",), "*")])
    async def test_of_a_known_origin(self, tmp_path: Path, origins: tuple[str, ...], allowed: str) -> None:
        """Its pages may ask, with the headers and verbs of the API, and may read every answer."""
        async with open_node(tmp_path, edge=Edge(cors_origins=origins)) as node:
            caller = node.caller(**PREFLIGHT)
            asked = await caller.call("OPTIONS", "/message/send")
            assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == (200, allowed)
            assert "PUT" in asked.headers["Access-Control-Allow-Methods"]
            for header in ("access-token", "app_id", "user_id", "group_id", "content-type"):
                assert header in asked.headers["Access-Control-Allow-Headers"]
            for path in ("/message/unread", "/nowhere"):
                assert (await caller.get(path)).headers["Access-Control-Allow-Origin"] == allowed

    async def test_of_another_origin(self, tmp_path: Path) -> None:
        """Its pages are not let in."""
        async with open_node(tmp_path, edge=Edge(cors_origins=(PAGE,))) as node:
            caller = node.caller(**{**PREFLIGHT, "Origin": "https://evil.example.org"})
            for verb in ("OPTIONS", "POST"):
                assert "Access-Control-Allow-Origin" not in (await caller.call(verb, "/message/send")).headers
