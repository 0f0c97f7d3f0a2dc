"""Which requests the front door answers itself: native calls that are plain HTTP/1.1, understood to the last byte."""

from __future__ import annotations

import re

import msgspec

from gateway.edge.facades.native.routes import BEGINNINGS, ROUTES, Beginning, Call
from gateway.edge.frontdoor.head import Head, read_head
from gateway.edge.frontdoor.query import read_query

REMEMBERED_MAX = 2_048
"""Blocks of headers that are remembered; a block is remembered up to this many bytes."""
REMEMBERED_BYTES_MAX = 1_024

_QUERY = re.compile(rb"([A-Za-z0-9_.~%+&=,:;@/!*()$'?-]*) HTTP/1\.1\r\n")
_LENGTH = re.compile(r"0|[1-9][0-9]{0,8}")
_NOT_HERE = frozenset(
    {
        "content-encoding",
        "expect",
        "http2-settings",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that ask for what the front door does not do, or that llhttp takes for another."""
_NO_QUERY: dict[str, str] = {}


class Route(msgspec.Struct, frozen=True):
    """A call, what the query of its request says, whether a body belongs to it, and how it is begun if it can be."""

    call: Call
    query: dict[str, str]
    bodiless: bool
    beginning: Beginning | None = None


class Block(msgspec.Struct, frozen=True):
    """The headers of a request, how long its body is, and whether the connection ends with its answer."""

    headers: dict[str, str]
    length: int
    last: bool


class Plain:
    """Finds the call and the headers of a request, by the bytes of its first line and of the lines after it.

    A backend says the same headers again and again: those are read once and remembered by their bytes, which takes
    a twentieth of the time. Where web pages may call (`pages`), what a browser asks is aiohttp's.
    """

    def __init__(self, *, body_bytes_max: int, pages: bool) -> None:
        self._body_bytes_max = body_bytes_max
        self._not_here = _NOT_HERE | {"origin"} if pages else _NOT_HERE
        # With the space and the version: a line that is found is plain as a whole.
        self._lines: dict[bytes, Route] = {}
        self._starts: dict[bytes, Route] = {}
        for verb, path, call in ROUTES:
            route = Route(call, _NO_QUERY, verb == "GET", BEGINNINGS.get(call))
            self._lines[f"{verb} {path} HTTP/1.1\r\n".encode()] = route
            self._starts[f"{verb} {path}".encode()] = route
        self._blocks: dict[bytes, Block] = {}

    def route(self, line: bytes) -> Route | None:
        """The call that a first line, with its line end, asks for; None if it is not one of ours."""
        route = self._lines.get(line)
        if route is not None:
            return route
        start, mark, rest = line.partition(b"?")
        route = self._starts.get(start)
        if route is None or not mark:
            return None
        query = _QUERY.fullmatch(rest)
        if query is None:
            return None
        return Route(route.call, read_query(query[1].decode()), route.bodiless, route.beginning)

    def block(self, line: bytes, block: bytes) -> Block | None:
        """The headers after such a line, up to and with the empty line; None if they are not plain."""
        known = self._blocks.get(block)
        if known is not None:
            return known
        head = read_head(line + block)
        found = None if head is None else self._read(head)
        if found is not None and len(block) <= REMEMBERED_BYTES_MAX:
            if len(self._blocks) >= REMEMBERED_MAX:
                self._blocks.clear()
            self._blocks[block] = found
        return found

    def _read(self, head: Head) -> Block | None:
        headers = head.headers
        # Of a repeated header aiohttp finds the first, and what else it may make of it is not for us to know.
        if head.repeated or not self._not_here.isdisjoint(headers):
            return None
        length = headers.get("content-length", "0")
        if not _LENGTH.fullmatch(length) or int(length) > self._body_bytes_max:
            return None
        connection = headers.get("connection", "keep-alive").lower()
        if connection not in {"keep-alive", "close"}:
            return None
        return Block(headers, int(length), connection == "close")
