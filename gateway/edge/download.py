"""A file that goes out: whole or one range of it, never something that a browser would run in our name."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import msgspec
from aiohttp import hdrs, web

from gateway.core.files import Files, Shown
from gateway.domain.errors import Problem
from gateway.domain.limits import Limits
from gateway.edge.untaken import unacknowledged

log = logging.getLogger(__name__)

OK, PARTIAL, UNCHANGED, NO_RANGE = 200, 206, 304, 416

_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")
_ODD = re.compile(r"[^ !#$&-\[\]^-~]|[%*;]")


class Span(msgspec.Struct, frozen=True):
    """What goes out of a file; `partial` where a part of it was asked for, be it all of it."""

    start: int
    length: int
    partial: bool = True


async def send_file(request: web.Request, files: Files, shown: Shown, limits: Limits) -> web.StreamResponse:
    """Answer with a file, as RFC 9110 has it: `ETag`, one `Range`, `If-None-Match`, `If-Range`, HEAD.

    It is an attachment of the type that its uploader told, and no browser guesses another one. Whoever takes nothing
    for `Limits.body_timeout_ms` is cut off.

    Raises:
        Problem: what `Files.read` raises, before a byte has gone out. In the midst the connection is cut.
    """
    tag = f'"{shown.tag}"'
    headers = _headers(shown, tag)
    if _names(request.headers.get(hdrs.IF_NONE_MATCH, ""), tag):
        return web.Response(status=UNCHANGED, headers=headers)
    span = _span(request, tag, shown.size)
    if span is None:
        headers[hdrs.CONTENT_RANGE] = f"bytes */{shown.size}"
        return web.Response(status=NO_RANGE, headers=headers)
    if span.partial:
        headers[hdrs.CONTENT_RANGE] = f"bytes {span.start}-{span.start + span.length - 1}/{shown.size}"
    response = web.StreamResponse(status=PARTIAL if span.partial else OK, headers=headers)
    response.content_length = span.length
    if request.method == hdrs.METH_HEAD:
        await response.prepare(request)
        return response
    async with files.read(shown, span.start, span.length) as chunks:
        await send_chunks(request, response, chunks, limits)
    return response


async def send_chunks(
    request: web.Request, response: web.StreamResponse, chunks: AsyncIterator[bytes], limits: Limits
) -> None:
    """Begin a response and send what is yielded; where that fails, or the peer takes nothing, it is cut."""
    await response.prepare(request)
    transport = request.transport
    if transport is not None and not await _sent(response, chunks, transport, limits.body_timeout_ms / 1000):
        transport.abort()


async def _sent(
    response: web.StreamResponse,
    chunks: AsyncIterator[bytes],
    transport: asyncio.Transport,
    patience_s: float,
) -> bool:
    try:
        async for chunk in chunks:
            await _write(response, chunk, transport, patience_s)
    except Problem as problem:
        log.warning("a download was cut: %s", problem.sentence)
        return False
    except (TimeoutError, ConnectionError):
        return False
    return True


async def _write(
    response: web.StreamResponse, chunk: bytes, transport: asyncio.Transport, patience_s: float
) -> None:
    """Write one chunk, however long it takes a peer that goes on taking; raises `TimeoutError` for another."""
    writing = asyncio.create_task(response.write(chunk))
    try:
        # It begins; what it adds is nothing that was taken.
        await asyncio.wait((writing,), timeout=0)
        before = None
        while not writing.done():
            left = unacknowledged(transport)
            if left == before:
                raise TimeoutError
            before = left
            await asyncio.wait((writing,), timeout=patience_s)
        writing.result()
    finally:
        writing.cancel()


def _headers(shown: Shown, tag: str) -> dict[str, str]:
    return {
        hdrs.CONTENT_TYPE: shown.type,
        hdrs.CONTENT_DISPOSITION: content_disposition(shown.file.name),
        hdrs.ETAG: tag,
        hdrs.ACCEPT_RANGES: "bytes",
        hdrs.CACHE_CONTROL: "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        # For who opens it all the same: nothing in it runs, and nothing is fetched for it.
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def content_disposition(name: str) -> str:
    """Say what an attachment is called (RFC 6266): by letters that all understand, and as it is where that differs."""
    plain = _ODD.sub("_", name)
    told = f'attachment; filename="{plain}"'
    return told if plain == name else f"{told}; filename*=UTF-8''{quote(name, safe='')}"


def _names(header: str, tag: str) -> bool:
    """Whether a list of entity tags has this one in it (RFC 9110 §13.1.2, compared weakly)."""
    return any(named.strip().removeprefix("W/") in {tag, "*"} for named in header.split(","))


def _span(request: web.Request, tag: str, size: int) -> Span | None:
    """The part that is asked for; None where there is no such part. What is not understood asks for all of it."""
    whole = Span(0, size, partial=False)
    asked = _RANGE.fullmatch(request.headers.get(hdrs.RANGE, "").strip())
    if asked is None or request.headers.get(hdrs.IF_RANGE, tag) != tag:
        return whole
    first, last = asked[1], asked[2]
    if not first:
        if not last:
            return whole
        length = min(int(last), size)
        return Span(size - length, length) if length else None
    start, end = int(first), min(int(last), size - 1) if last else size - 1
    if last and int(last) < start:
        return whole
    return Span(start, end - start + 1) if start < size else None
