"""How requests come in: bytes that libraries send, and bytes that only a hand writes (netease.md, Everywhere)."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.limits import Limits
from gateway.edge.facades.netease.routes import ROUTES
from tests.netease.stage import Answer, Cloud, signed
from tests.rest.stage import Json
from tests.rest.test_fuzz_raw import CONTENTS, FRAMING, fuzzed

PATH = "/im/v2/conversations/ann%7C1%7Cbob/messages"
SEND: Json = {"message": {"message_type": 0, "text": "hi"}}
BODY = json.dumps(SEND).encode()
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
NONSENSE = [
    *(b"message=1", b'{"message":{"text":"x"}', b"{}{}", b"{'message':1}", b"[]", b'"x"', b"null"),
    *(b'{"message":NaN}', b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", b'{"a":' + b"[" * 100_000),
    *(
        b'{"a":"\\u0000"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"a":"\x00"}',
        b"\xef\xbb\xbf{}",
        b"1",
    ),
    *(b'{"extension":"\\u0000"}', b'{"message":{"attachment":{"a":"\\u0000"}}}', b"", b"{}"),
]
VERBS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")


def head(*lines: str, verb: str = "POST", path: str = PATH, last: bool = True) -> bytes:
    """The start of a signed request; the connection ends after the `last` one."""
    named = [f"{name}: {value}" for name, value in signed().items()]
    more = ["Connection: close"] if last else []
    return "\r\n".join([f"{verb} {path} HTTP/1.1", "Host: x", *named, *more, *lines, "", ""]).encode()


def chunked(body: bytes) -> bytes:
    """A body in two chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:], b""))


def answers(told: bytes) -> list[Answer]:
    """The final answers in what came back."""
    found = []
    while told:
        first, _, told = told.partition(b"\r\n\r\n")
        match = STATUS.match(first)
        assert match, first
        length = re.search(rb"(?i)content-length: (\d+)", first)
        size = int(length[1]) if length else 0
        if match[1] != b"100":
            found.append(Answer(int(match[1]), {}, told[:size]))
        told = told[size:]
    return found


async def raw(cloud: Cloud, *parts: bytes) -> Answer:
    """Write one request by hand; its answer."""
    [answer] = answers(await cloud.node.raw(parts))
    return answer


class TestBodies:
    """However a body comes."""

    async def test_by_length_or_in_chunks(self, cloud: Cloud) -> None:
        """It is the same, in pieces too."""
        length = head(f"Content-Length: {len(BODY)}")
        for parts in (
            [length + BODY], [length, BODY], [length, BODY[:9], BODY[9:]],
            [head("Transfer-Encoding: chunked"), chunked(BODY)],
        ):  # fmt: skip
            assert (await raw(cloud, *parts)).data["text"] == "hi"
        assert await (await cloud.phone("bob")).history(await cloud.xid("ann")) == ["hi"] * 4

    async def test_a_verb_that_has_none(self, cloud: Cloud) -> None:
        """GET and DELETE have what is in the query: a body is read and is nothing."""
        await cloud.phone("ann")
        told = await raw(
            cloud,
            head(f"Content-Length: {len(BODY)}", verb="GET", path="/im/v2/accounts/ann"),
            BODY,
        )
        assert told.data["account_id"] == "ann"
        told = await raw(
            cloud,
            head("Transfer-Encoding: chunked", verb="GET", path="/im/v2/accounts/ann"),
            chunked(BODY),
        )
        assert told.data["account_id"] == "ann"

    @pytest.mark.parametrize("way", ["length", "chunks"])
    async def test_cut_off(self, cloud: Cloud, way: str, caplog: pytest.LogCaptureFixture) -> None:
        """Half a request does nothing and is nothing to log; the next one is answered."""
        first, rest = (
            (head(f"Content-Length: {len(BODY)}"), BODY[:-1])
            if way == "length"
            else (head("Transfer-Encoding: chunked"), chunked(BODY)[:-7])
        )
        half = asyncio.Event()
        half.set()
        told = answers(await cloud.node.raw([first, rest], until=half))
        assert [answer.json["code"] for answer in told] in ([], [414])
        assert (await cloud.send("ann|1|bob", "whole"))["text"] == "whole"
        assert await (await cloud.phone("bob")).history(await cloud.xid("ann")) == ["whole"]
        assert [record for record in caplog.records if record.exc_info] == []

    @pytest.mark.parametrize("way", ["length", "chunks"])
    async def test_too_large(self, cloud: Cloud, way: str) -> None:
        """256 KiB are read; a byte more is refused in the dialect, and by HTTP 200 like everything."""
        most = Limits().body_bytes_max
        for more in (0, 1):
            body = BODY[:-1] + b" " * (most + more - len(BODY)) + BODY[-1:]
            if way == "length":
                answer = await raw(cloud, head(f"Content-Length: {len(body)}"), body)
            else:
                answer = await raw(cloud, head("Transfer-Encoding: chunked"), chunked(body))
            assert answer.refused(414, f"body: it may have {most} bytes") if more else answer.data

    async def test_expectations(self, cloud: Cloud) -> None:
        """Who waits to be asked for its body is asked, as curl does for a large one; others are not looked at."""
        for expect in ("100-continue", "100-Continue", "wonders"):
            told = await cloud.node.raw([head(f"Expect: {expect}", f"Content-Length: {len(BODY)}"), BODY])
            assert told.startswith(b"HTTP/1.1 100") == (expect.lower() == "100-continue")
            assert answers(told)[0].data["text"] == "hi"

    @pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
    async def test_packed(self, cloud: Cloud, name: str, pack: Callable[[bytes], bytes]) -> None:
        """It is unpacked; one that is not packed as it says is refused, and one that would burst the limit, too."""
        packed = pack(BODY)
        answer = await raw(cloud, head(f"Content-Encoding: {name}", f"Content-Length: {len(packed)}"), packed)
        assert answer.data["text"] == "hi"
        told = await raw(cloud, head(f"Content-Encoding: {name}", f"Content-Length: {len(BODY)}"), BODY)
        assert told.refused(414, "body")
        bomb = pack(b" " * 20_000_000)
        told = await raw(cloud, head(f"Content-Encoding: {name}", f"Content-Length: {len(bomb)}"), bomb)
        assert told.refused(414, "body")

    async def test_whatever_it_is_called(self, cloud: Cloud) -> None:
        """The Content-Type is not looked at, nor what the library accepts."""
        for line in (
            *("Content-Type: text/plain", "Content-Type:", "Content-Type: application/json; charset=latin-1"),
            *("Content-Type: multipart/form-data", "Accept: image/png", "Accept-Encoding: gzip"),
        ):
            answer = await raw(cloud, head(line, f"Content-Length: {len(BODY)}"), BODY)
            assert answer.data["text"] == "hi", line

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_nonsense(self, cloud: Cloud) -> None:
        """No JSON, not an object, or none of it is kept: it is refused by name."""
        for body in NONSENSE:
            told = (await cloud.post("/v2/conversations/ann|1|bob/messages", body)).json
            assert (told["code"], told["data"]) == (414, {}), (body, told)
            assert re.match(r"[\w.]+: ", told["msg"]), (body, told)


class TestConnections:
    """Several requests on one of them."""

    async def test_pipelined(self, cloud: Cloud) -> None:
        """Each gets its own answer, in the order asked; what is refused does not end it."""
        good = head(f"Content-Length: {len(BODY)}", last=False) + BODY
        bad = head("Content-Length: 1", last=False) + b"{"
        lost = head(path="/im/v2/nowhere", verb="GET", last=False)
        told = answers(await cloud.node.raw(good * 5 + bad + lost + good + head(path="/im/", verb="GET")))
        assert [answer.json["code"] for answer in told] == [200] * 5 + [414, 404, 200, 404]
        ids = [answer.data["message_server_id"] for answer in told if answer.json["code"] == 200]
        assert ids == sorted(set(ids))

    async def test_a_body_that_cannot_be_read(self, cloud: Cloud) -> None:
        """Its answer says that the connection ends, so that nobody puts another request into it."""
        lines = ("Content-Encoding: gzip", f"Content-Length: {len(BODY)}")
        told = await cloud.node.raw([head(*lines, last=False), BODY])
        assert b"\r\nConnection: close\r\n" in told
        [answer] = answers(told)
        assert answer.refused(414, "body: it could not be read")

    async def test_a_body_that_nobody_wants(self, cloud: Cloud) -> None:
        """What is refused before its body is read leaves no piece of it to be taken for a request."""
        inner = head(f"Content-Length: {len(BODY)}") + BODY
        for path in ("/im/v2/nowhere", "/nimserver/msg/sendMsg.action"):
            outer = head(f"Content-Length: {len(inner)}", path=path)
            assert (await raw(cloud, outer + inner)).refused(404, "not served")
        assert await (await cloud.phone("bob")).unread() == []

    @pytest.mark.one_node("what the parser refuses by itself")
    @pytest.mark.parametrize(
        "sent",
        [
            b"\x00\x01junk\r\n\r\n",
            b"POST " + PATH.encode() + b" HTTP/9.9\r\n\r\n",
            head("Content-Length: x"),
            head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
            head(path="/im/" + "x" * 9_000),
        ],
    )
    async def test_what_is_no_request(self, cloud: Cloud, sent: bytes) -> None:
        """Never comes as far as the dialect: the parser's own plain 400."""
        [status] = STATUS.findall(await cloud.node.raw(sent))
        assert status == b"400"


SPLIT_AT = st.integers(1, 500)
REQUESTS = st.tuples(st.sampled_from(VERBS), st.lists(FRAMING, max_size=3), CONTENTS, SPLIT_AT)


@pytest.mark.one_node("what the parser and the facade refuse by themselves")
@settings(fuzzed, max_examples=10)
@given(st.lists(REQUESTS, min_size=40, max_size=40))
async def test_framing(cloud: Cloud, caplog: pytest.LogCaptureFixture, drawn: list[Any]) -> None:
    """400 requests whose head says what the body is not, with another one behind: 200, or the parser's 400."""
    read = asyncio.Event()
    connections = []
    for verb, lines, content, cut in drawn:
        framing = [line.decode() for line in lines]
        whole = head(*framing, verb=verb, last=False) + content
        whole += head(f"Content-Length: {len(BODY)}") + BODY
        connections.append(asyncio.create_task(cloud.node.raw([whole[:cut], whole[cut:]], until=read)))
    for _ in range(3):
        assert await cloud.send("ann|1|ann", "neighbour")
    read.set()
    for told in await asyncio.gather(*connections):
        assert set(STATUS.findall(told)) <= {b"100", b"200", b"400"}, told
        assert b'"code":50' not in told
    assert [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info] == []


class TestPaths:
    """What is there, and what is not."""

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_every_route(self, cloud: Cloud) -> None:
        """404 for each verb that no call has, before who asks has proved anything; HEAD without a body."""
        served: dict[str, set[str]] = {}
        for verb, path, _ in ROUTES:
            served.setdefault(path, set()).add(verb)
        for path in served:
            said = path.replace("*", "x")
            has = {verb for other in served for verb in served[other] if fits(other, said)}
            others = [verb for verb in VERBS if verb not in has]
            assert "HEAD" in others
            told = await asyncio.gather(*(cloud.call(verb, f"/{said}", b"{", headers={}) for verb in others))
            for verb, answer in zip(others, told, strict=True):
                if verb == "HEAD":
                    assert (answer.status, answer.body) == (200, b"")
                else:
                    assert answer.refused(404, "not served"), (verb, path)

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_every_route_wants_a_signature(self, cloud: Cloud) -> None:
        """None does anything for whom it does not know, whatever the body."""
        for verb, path, _ in ROUTES:
            said = f"/{path.replace('*', 'ann%7C1%7Cbob')}"
            for headers in ({}, signed(secret="guess"), signed(at_s=1)):
                assert (await cloud.call(verb, said, BODY, headers=headers)).refused(414, "bad http header")
            assert (await cloud.call(verb, said, BODY, headers=signed("nobody"))).refused(101303)
        assert cloud.node.rows("SELECT count(*) FROM user WHERE name IN ('ann', 'bob')") == [(0,)]

    async def test_ways_to_write_one(self, cloud: Cloud) -> None:
        """A slash at its end and an empty query are nothing, a name twice in the query counts once."""
        for more in ("/", "?", "/?", "?a=b&a=c", "?%"):
            assert (await cloud.post(f"/v2/conversations/ann|1|bob/messages{more}", BODY)).data
        whole = f"{cloud.node.url}{PATH}"
        assert (await raw(cloud, head(f"Content-Length: {len(BODY)}", path=whole), BODY)).data

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_what_is_no_path(self, cloud: Cloud) -> None:
        """Other letters, other slashes, another root, a version that there is not."""
        for path in (
            *("//v2/accounts/ann", "/v2//accounts/ann", "/v2/accounts/ann//", "/V2/accounts/ann"),
            *(
                "/v2%2Faccounts/ann",
                "/v3/accounts/ann",
                "/v2/accounts/ann/",
                "/v2/accounts",
                "/v2",
                "/v2/%00",
            ),
        ):
            answer = await cloud.get(path)
            assert answer.refused(102404 if path == "/v2/accounts/ann/" else 404), path
        assert (await cloud.get("/msg/sendMsg.action", root="/nimserver")).refused(404)
        for verb in ("GET", "POST", "DELETE", "OPTIONS"):
            for path in ("/im", "/im/", "/im?a=b", "/nimserver", "/nimserver/"):
                assert (await cloud.call(verb, path, root="")).refused(404, "not served"), (verb, path)
        # What only begins like it is nobody's.
        assert (await cloud.get("/imp", root="")).status == 404


def fits(pattern: str, path: str) -> bool:
    """Whether a path is one that a pattern takes."""
    one, other = pattern.split("/"), path.split("/")
    return len(one) == len(other) and all(a in {"*", b} for a, b in zip(one, other, strict=True))
