"""One connection of a device: opened once, then frames in and out of it (design §6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import aiohttp
import msgspec

from gateway.client.cursors import Frame
from gateway.client.errors import ClosedError
from gateway.domain.limits import Limits
from gateway.wire.encoding import Encoding

_CONNECT_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 2.0
# Statuses by which a proxy or a starting server says "later"; any other 4xx will not get better.
_LATER = frozenset({408, 425, 429})
_PROTOCOL_ERROR = 1002


class MalformedError(Exception):
    """The server said what is no frame."""


class Connection:
    """A WebSocket on which frames travel in one encoding. `said_last`: why it was closed, as the close frame says."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, encoding: Encoding) -> None:
        self.ws = ws
        self.said_last = ""
        self._binary = encoding.binary
        self._pauses: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls,
        session: aiohttp.ClientSession,
        url: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        encoding: Encoding,
    ) -> Connection:
        """Connect. Raises `ClosedError` where it is refused for good, else what aiohttp raises, or `TimeoutError`."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                ws = await session.ws_connect(
                    url,
                    params=query,
                    headers=headers,
                    protocols=(encoding.subprotocol,),
                    heartbeat=Limits().heartbeat_ms / 1000,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
                )
        except aiohttp.WSServerHandshakeError as refused:
            if 400 <= refused.status < 500 and refused.status not in _LATER:  # noqa: PLR2004 - HTTP's 4xx
                raise ClosedError(refused.status, refused.message) from None
            raise
        return cls(ws, encoding)

    @property
    def code(self) -> int:
        """Return the code that it was closed by; 0 where there is none."""
        return self.ws.close_code or 0

    async def say(self, frame: Frame) -> None:
        """Write a frame."""
        if self._binary:
            await self.ws.send_bytes(msgspec.msgpack.encode(frame))
        else:
            await self.ws.send_str(msgspec.json.encode(frame).decode())

    def say_later(self, frame: Frame, pause: Callable[[], Awaitable[None]]) -> None:
        """Say a frame after a pause, if this connection lasts so long; one that ends at once begins none."""

        async def wait() -> None:
            await pause()
            with suppress(aiohttp.ClientError, OSError):
                await self.say(frame)

        task = asyncio.create_task(wait())
        self._pauses.add(task)
        task.add_done_callback(self._pauses.discard)

    async def hear(self) -> Frame | None:
        """Return the next frame, None where the connection is at its end; raises `MalformedError`."""
        kind = aiohttp.WSMsgType.BINARY if self._binary else aiohttp.WSMsgType.TEXT
        message = await self.ws.receive()
        if message.type is not kind:
            self.said_last = str(message.extra or "")
            return None
        decode = msgspec.msgpack.decode if self._binary else msgspec.json.decode
        try:
            return decode(message.data, type=Frame)
        except (msgspec.MsgspecError, UnicodeError) as what:
            raise MalformedError from what

    async def refuse(self) -> None:
        """Close it, for the server broke the protocol."""
        await self.ws.close(code=_PROTOCOL_ERROR)

    async def close(self) -> None:
        """Close it, if it is not closed; what was to be said later is not said."""
        for pause in self._pauses:
            pause.cancel()
        await self.ws.close()
