"""A device channel whose server side is played by the test, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

import aiohttp
import msgspec
from aiohttp import web

from gateway.client.device import Device
from tests.patience import WAIT_S

Frame = dict[str, Any]


class Connection:
    """One device connection, seen from the server."""

    def __init__(self, request: web.Request, ws: web.WebSocketResponse) -> None:
        self.query = dict(request.query)
        self.token = request.headers.get("access-token")
        self.protocol = ws.ws_protocol
        self._ws = ws
        self._heard: asyncio.Queue[Frame | None] = asyncio.Queue()

    async def listen(self) -> None:
        async for message in self._ws:
            assert message.type is (aiohttp.WSMsgType.BINARY if self.binary else aiohttp.WSMsgType.TEXT)
            decode = msgspec.msgpack.decode if self.binary else msgspec.json.decode
            self._heard.put_nowait(decode(message.data))
        self._heard.put_nowait(None)

    async def say(self, *frames: Frame) -> None:
        for frame in frames:
            if self.binary:
                await self._ws.send_bytes(msgspec.msgpack.encode(frame))
            else:
                await self._ws.send_str(msgspec.json.encode(frame).decode())

    async def say_raw(self, payload: str | bytes) -> None:
        """Say something that may be no frame: text as text, bytes as binary."""
        if isinstance(payload, bytes):
            await self._ws.send_bytes(payload)
        else:
            await self._ws.send_str(payload)

    async def hear(self) -> Frame | None:
        """Return the client's next frame, None once it is gone."""
        async with asyncio.timeout(WAIT_S):
            return await self._heard.get()

    async def hear_rest(self) -> list[Frame]:
        """Return everything the client says until it is gone."""
        frames = []
        while (frame := await self.hear()) is not None:
            frames.append(frame)
        return frames

    @property
    def binary(self) -> bool:
        """Whether this connection speaks MessagePack."""
        return self.protocol == "gateway.v1.msgpack"

    @property
    def close_code(self) -> int | None:
        return self._ws.close_code

    async def close(self, code: int, reason: str = "") -> None:
        await self._ws.close(code=code, message=reason.encode())

    def cut(self) -> None:
        """End the connection as a broken network would."""
        transport = self._ws._req.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.abort()


class Stage:
    """A server that hands each connection to the test; `refusals` are the statuses of the first upgrades."""

    def __init__(self, *refusals: int) -> None:
        self._refusals = list(refusals)
        self._connections: asyncio.Queue[Connection] = asyncio.Queue()
        self.base_url = ""
        self._runner: web.AppRunner | None = None

    async def open(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_get("/ws", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self._refusals:
            return web.Response(status=self._refusals.pop(0))
        ws = web.WebSocketResponse(protocols=("gateway.v1", "gateway.v1.msgpack"))
        await ws.prepare(request)
        connection = Connection(request, ws)
        self._connections.put_nowait(connection)
        await connection.listen()
        return ws

    async def accept(self) -> Connection:
        """Return the next connection that a client makes."""
        async with asyncio.timeout(WAIT_S):
            return await self._connections.get()

    def device(self, **options: Any) -> Device:
        """Return a device of this server that does not wait between connections."""
        return Device(self.base_url, "demo", "the-token", **({"sleep": Naps()} | options))

    @property
    def untouched(self) -> bool:
        """Whether no connection waits that the test has not accepted."""
        return self._connections.empty()


def welcome(cursors: dict[str, int] | None = None, *, epoch: str = "e1", unacked_max: int = 500) -> Frame:
    return {
        "op": "welcome",
        "uid": 7,
        "device_sn": 41,
        "session": "s",
        "epoch": epoch,
        "server_time": 1_700_000_000_000,
        "heartbeat_ms": 30_000,
        "limits": {"unacked_max": unacked_max},
        "cursors": {"user": 0} if cursors is None else cursors,
    }


def entry(seq: int, timeline: str = "user") -> Frame:
    return {"op": "message", "timeline": timeline, "seq": seq, "message": {"msg_id": 1000 + seq}}


async def take(device: Device, count: int) -> list[Frame]:
    """Return the device's next frames; the last of them stays at hand."""
    async with asyncio.timeout(WAIT_S):
        return [await anext(device) for _ in range(count)]


def seqs(frames: list[Frame]) -> list[int]:
    return [frame["seq"] for frame in frames if "seq" in frame]


class Naps:
    """Stands for the clock: notes how long the device would have stayed away, and does not wait."""

    def __init__(self, during: Callable[[], Awaitable[None]] | None = None) -> None:
        self.taken: list[float] = []
        self._during = during

    async def __call__(self, delay_s: float) -> None:
        self.taken.append(delay_s)
        if self._during is not None:
            await self._during()
        await asyncio.sleep(0)
