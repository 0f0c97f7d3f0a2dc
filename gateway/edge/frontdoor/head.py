"""The head of a request, read by llhttp and by rules that are stricter than aiohttp's.

Whatever is not plain is no `Head` here: it goes to aiohttp, unread, and is answered as aiohttp answers it. So this
reader need not know how to refuse, and must never understand a head otherwise than aiohttp does.
"""

from __future__ import annotations

import re

import httptools
import msgspec

HEAD_BYTES_MAX = 8_190
"""Of a whole head; aiohttp, which gets what is longer, allows as much to the first line and to each header."""

HEADERS_MAX = 64
"""Half of what aiohttp takes."""

# The first line, with a verb that has calls here, a path that needs no decoding and a query of which only percent and
# plus stand for something else.
_LINE = re.compile(
    rb"(GET|POST|PUT|DELETE) (/[A-Za-z0-9_./-]*)(?:\?([A-Za-z0-9_.~%+&=,:;@/!*()$'?-]*))? HTTP/1\.1\r\n"
)
# All that a plain head is of: visible ASCII, spaces and line ends. Looked for by a table, a head at a time: as an
# expression it took as long as all the rest.
_PLAIN = bytes(range(0x20, 0x7F)) + b"\r\n"
_VALUELESS = re.compile(rb": *\r")
_SINGLE = frozenset(
    {
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "etag",
        "host",
        "max-forwards",
        "server",
        "transfer-encoding",
        "user-agent",
    }
)
"""Headers that aiohttp refuses when they are repeated."""
_REFUSED = "sec-websocket-key1"
"""Of a WebSocket before there was a standard."""


class Head(msgspec.Struct, frozen=True):
    """A request without its body: the path and query undecoded, headers under their lower-case names.

    Those that were repeated are one, joined by ", ", and `repeated` tells that there were such.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    repeated: bool = False


class _Headers:
    """What llhttp calls, header by header."""

    def __init__(self) -> None:
        self.found: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.found.append((name, value))

    def on_headers_complete(self) -> None:
        self.complete = True


def read_head(raw: bytes) -> Head | None:
    """Read a head, from its first byte to the empty line that ends it; None where it is not plain."""
    line = _LINE.match(raw)
    if line is None or len(raw) > HEAD_BYTES_MAX or raw.translate(None, _PLAIN) or _VALUELESS.search(raw):
        return None
    headers = _Headers()
    try:
        httptools.HttpRequestParser(headers).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    if not headers.complete or len(headers.found) > HEADERS_MAX:
        return None
    found: dict[str, str] = {}
    for raw_name, raw_value in headers.found:
        name, value = raw_name.decode().lower(), raw_value.rstrip().decode()
        if name not in found:
            found[name] = value
        elif name in _SINGLE:
            return None
        else:
            found[name] += f", {value}"
    if "host" not in found or _REFUSED in found:
        return None
    method, path, query = line.groups(b"")
    return Head(
        method.decode(), path.decode(), query.decode(), found, repeated=len(found) < len(headers.found)
    )
