"""A floor: a bare aiohttp handler on uvloop that reads the body of a call and answers a constant.

    aiohttp_handler.py VERB PATH BYTES

BYTES is the length of the answer's body, which begins as a success of the gateway does.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web

_HEADERS = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}
_BACKLOG = 4_096


async def _serve(verb: str, path: str, size: int) -> None:
    start, end = b'{"code":200,"message":"', b'"}'
    body = start + b"x" * (size - len(start) - len(end)) + end

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=body, headers=_HEADERS)

    app = web.Application()
    app.router.add_route(verb, path, answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=_BACKLOG).start()
    _, port = runner.addresses[0]
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
