"""The front door's readers of heads and queries, beside aiohttp's own."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp.http import HttpProcessingError, HttpRequestParser
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from gateway.edge.facades.native.envelope import Reply
from gateway.edge.frontdoor.answers import Answers
from gateway.edge.frontdoor.head import HEADERS_MAX, Head, read_head
from gateway.edge.frontdoor.plain import REMEMBERED_BYTES_MAX, REMEMBERED_MAX, Plain
from gateway.edge.frontdoor.query import read_query

GET = b"GET /message/ack HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /message/send HTTP/1.1\r\nHost: x\r\n"

WORDS = b": , 0 2 - x chunked close keep-alive upgrade websocket HTTP/1.1 GET app_id %41 a=b".split()
BITS = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b" ", b"\t", b": ", b"\0", b"\x7f", b"\xff", b"\xc3\xa4", *WORDS]
)
NAMES = st.sampled_from(
    b"Host Content-Length Transfer-Encoding Connection Upgrade Expect app_id access-token X".split()
    + b"Content-Type Proxy-Connection Sec-WebSocket-Key1 ETag User-Agent".split()
)
JUNK = st.lists(BITS | st.binary(max_size=2), max_size=4).map(b"".join)
VALUES = JUNK | st.sampled_from([b"x", b"0", b"2", b"close", b"keep-alive", b"a b"])
HEADERS = st.one_of(
    st.tuples(NAMES, st.sampled_from([b": ", b":", b" : ", b":\t"]), VALUES, st.just(b"\r\n")).map(b"".join),
    st.tuples(NAMES, st.just(b": "), VALUES, st.just(b"\r\n")).map(b"".join),
    JUNK.map(lambda junk: junk + b"\r\n"),
)
VERBS = st.sampled_from(b"GET POST PUT DELETE HEAD OPTIONS CONNECT PRI get".split())
PATHS = st.sampled_from(b"/message/ack / * http://x/message/ack //x /ws".split())
VERSIONS = st.sampled_from([b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/1.1 \r\n", b" http/1.1\r\n", b"\r\n"])
LINES = st.one_of(
    st.sampled_from([GET, POST, GET.replace(b" HTTP", b"?a=1&b=%20 HTTP")]),
    st.tuples(
        VERBS | JUNK,
        st.sampled_from([b" ", b"  ", b"\t"]),
        PATHS | JUNK,
        JUNK.map(lambda junk: b"?" + junk) | JUNK,
        VERSIONS,
        st.sampled_from([b"Host: x\r\n", b""]),
    ).map(b"".join),
)
WILD = st.tuples(LINES, st.lists(HEADERS, max_size=5).map(b"".join))
TAME = st.tuples(
    st.sampled_from([GET, POST, GET.replace(b" HTTP", b"?a=1&b=%20 HTTP")]),
    st.dictionaries(
        st.sampled_from(b"app_id access-token X Connection Content-Length Content-Type Origin x y z".split()),
        st.sampled_from([b"x", b"0", b"2", b"close", b"Keep-Alive", b"a b", b" x ", b"x\t"]),
        max_size=4,
    ).map(lambda headers: b"".join(b"%b: %b\r\n" % header for header in headers.items())),
)
HEADS = (WILD | TAME).map(lambda parts: b"".join(parts) + b"\r\n")

LOOP = asyncio.new_event_loop()
LOOP.close()


def read_by_aiohttp(raw: bytes) -> Any:
    """The message that aiohttp makes of a head, or None."""
    parser = HttpRequestParser(Mock(), LOOP, 2**16)
    try:
        messages, _, _ = parser.feed_data(raw)
    except HttpProcessingError:
        return None
    return messages[0][0] if messages else None


def plain(*, pages: bool = False) -> Plain:
    return Plain(body_bytes_max=1000, pages=pages)


def cut(raw: bytes) -> tuple[bytes, bytes]:
    """A head as the first line, and the lines after it."""
    end = raw.find(b"\r\n") + 2
    return raw[:end], raw[end : raw.find(b"\r\n\r\n") + 4]


@settings(max_examples=500)
@given(HEADS)
def test_heads(raw: bytes) -> None:
    """Whatever is read as a head, aiohttp reads as the same head."""
    raw = raw[: raw.find(b"\r\n\r\n") + 4]
    head = read_head(raw)
    if head is None:
        return
    message = read_by_aiohttp(raw)
    assert message is not None
    assert (message.method, tuple(message.version)) == (head.method, (1, 1))
    assert (message.url.raw_path, message.url.raw_query_string) == (head.path, head.query)
    joined = {name.lower(): ", ".join(message.headers.getall(name)) for name in message.headers}
    assert joined == head.headers
    assert head.repeated is (len(message.headers) > len(joined))


@settings(max_examples=500)
@given(HEADS)
def test_calls(raw: bytes) -> None:
    """Whatever is done in place, aiohttp would do with the same headers, query and length, and as long a connection."""
    line, lines = cut(raw)
    found = plain()
    route, block = found.route(line), found.block(line, lines)
    if route is None or block is None:
        return
    message = read_by_aiohttp(line + lines)
    assert message is not None
    assert not any((message.upgrade, message.chunked, message.compression))
    assert (message.method == "GET") is route.bodiless
    assert dict(message.headers) == {name: block.headers[name.lower()] for name in message.headers}
    assert message.should_close is block.last
    assert int(message.headers.get("Content-Length", 0)) == block.length
    assert {name: message.url.query[name] for name in message.url.query} == route.query


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([*"&&==+;%", "%41", "%e4", "%C3%A4", "%zz", "%00", "a", "b", "1"]), max_size=12)
)
def test_queries(parts: list[str]) -> None:
    """A query holds for the front door what it holds for aiohttp: of a repeated name the first."""
    raw = "".join(parts)
    query = URL.build(path="/", query_string=raw, encoded=True).query
    assert read_query(raw) == {name: query[name] for name in query}


@pytest.mark.parametrize("path", ["/message/ack", "/message/ack?a=1"])
def test_a_remembered_block(path: str) -> None:
    """Headers said again are known by their bytes, whatever the first line is."""
    found = plain()
    line, lines = cut(GET + b"app_id: demo\r\n\r\n")
    first = found.block(line, lines)
    assert found.block(f"GET {path} HTTP/1.1\r\n".encode(), lines) is first


def test_what_is_remembered_is_bounded() -> None:
    """As many blocks are remembered as may be, and no long ones."""
    found = plain()
    line, _ = cut(GET + b"\r\n")
    for number in range(REMEMBERED_MAX + 10):
        assert found.block(line, b"Host: x\r\nX: %d\r\n\r\n" % number)
    assert len(found._blocks) == 10
    assert found.block(line, b"Host: x\r\nX: %b\r\n\r\n" % (b"y" * REMEMBERED_BYTES_MAX))
    assert len(found._blocks) == 10


def test_pages_of_other_origins() -> None:
    """What a web page asks is aiohttp's where pages may call."""
    line, lines = cut(GET + b"Origin: https://chat.example.org\r\n\r\n")
    assert plain().block(line, lines) is not None
    assert plain(pages=True).block(line, lines) is None


def test_too_many_headers() -> None:
    """Heads with very many headers are aiohttp's."""
    lines = [b"h%d: x\r\n" % number for number in range(HEADERS_MAX)]
    assert read_head(GET + b"".join(lines[1:]) + b"\r\n") is not None
    assert read_head(GET + b"".join(lines) + b"\r\n") is None


def test_an_upgrade() -> None:
    """A handshake is a head like any other: whether it is taken is not for its reader to say."""
    head = read_head(b"GET /ws?a=%31&b HTTP/1.1\r\nHOST: x\r\nUpgrade: websocket\r\nX: 1\r\nx:2 \r\n\r\n")
    assert head == Head(
        "GET", "/ws", "a=%31&b", {"host": "x", "upgrade": "websocket", "x": "1, 2"}, repeated=True
    )


def test_the_date_of_answers() -> None:
    """Answers tell the time of their second."""
    now = 0.5
    answers = Answers({"X": "y"}, lambda: now)
    assert b"X: y\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n" in answers.bytes_of(Reply(200, b""), last=False)
    now = 86_400.9
    for reply in (Reply(200, b""), Reply(503, b"", 3)):
        assert b"\r\nDate: Fri, 02 Jan 1970 00:00:00 GMT\r\n" in answers.bytes_of(reply, last=False)


def test_whole_answers() -> None:
    """An answer is its status, the headers of all, its own, and the body behind its length."""
    answers = Answers({"X": "y"}, lambda: 0)
    date = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    assert answers.bytes_of(Reply(200, b"{}"), last=False) == (
        b"HTTP/1.1 200 OK\r\nX: y\r\n" + date + b"Content-Length: 2\r\n\r\n{}"
    )
    assert answers.bytes_of(Reply(503, b"%d", 3), last=True) == (
        b"HTTP/1.1 503 Service Unavailable\r\nX: y\r\n"
        + date
        + b"Retry-After: 3\r\nConnection: close\r\nContent-Length: 2\r\n\r\n%d"
    )
