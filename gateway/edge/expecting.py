"""Whoever waits to be asked for a body is asked for it."""

from __future__ import annotations

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11


async def expected(request: web.Request) -> None:
    """Tell who waits for it to send the body. Other expectations are not looked at: aiohttp's 417 is no envelope."""
    if request.version == HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # As in aiohttp's own handler: these bytes are no part of the response.
        request.writer.output_size = 0
