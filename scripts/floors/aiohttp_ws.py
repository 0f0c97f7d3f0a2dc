"""What a connection costs with aiohttp's `WebSocketResponse` and a handler that only waits. Says its port."""

from __future__ import annotations

import sys
from pathlib import Path

import uvloop
from aiohttp import web

# A program is started by its path: make the project's own modules importable from wherever that is.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.floors.upgrade import serve


async def _channel(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=("gateway.v1",), compress=False)
    await socket.prepare(request)
    async for _ in socket:
        pass
    return socket


async def main() -> None:
    """Serve until SIGTERM."""
    app = web.Application()
    app.add_routes([web.get("/ws", _channel)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None, "it was set up"
    await serve(runner.server)
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main())
