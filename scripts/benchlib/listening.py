"""Devices that tell how long a message was under way, from when its send was due to its frame's arrival."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic_ns
from typing import cast

from scripts.loadlib.histogram import Histogram
from scripts.loadlib.server import Signer

_MARK = re.compile(rb"due:(\d{1,20}):")
_MARK_BYTES_MAX = 32
_TIMEOUT_S = 30.0


def marked(due_ns: int, text_bytes: int) -> bytes:
    """Return a text of this length that says when its send was due."""
    return (b"due:%d:" % due_ns).ljust(text_bytes, b"x")


class Arrivals:
    """What all devices of a round have got."""

    def __init__(self) -> None:
        self.latency = Histogram()
        self._due = 0
        self._whole = asyncio.Event()

    def take(self, now_ns: int, due_ns: list[int]) -> None:
        """Take note of texts that have come."""
        self.latency.add_since(now_ns, due_ns)
        if self._due and self.latency.count >= self._due:
            self._whole.set()

    async def wait(self, count: int) -> None:
        """Return when so many texts have come in all. Raises `RuntimeError` where they don't come."""
        self._due = count
        if self.latency.count < count:
            try:
                await asyncio.wait_for(self._whole.wait(), _TIMEOUT_S)
            except TimeoutError:
                raise RuntimeError(
                    f"{self.latency.count:,} of {count:,} messages reached their device"
                ) from None
        if self.latency.count > count:
            raise RuntimeError(f"{self.latency.count:,} messages came, and only {count:,} were sent")


class _Device(asyncio.Protocol):
    """One device: it looks for marks in what comes, and for nothing else once it is live."""

    def __init__(self, handshake: bytes, arrivals: Arrivals) -> None:
        self.live = asyncio.Event()
        self.cut = ""
        self._handshake = handshake
        self._arrivals = arrivals
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._handshake)

    def connection_lost(self, exc: Exception | None) -> None:
        self.cut = self.cut or f"a device was cut off: {exc or self._rest!r}"
        self.live.set()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        now_ns = monotonic_ns()
        data = self._rest + data
        if not self.live.is_set():
            self._rest = data
            if b'{"op":"live"' in data:
                self._rest = b""
                self.live.set()
            return
        end = 0
        due_ns = []
        for found in _MARK.finditer(data):
            due_ns.append(int(found[1]))
            end = found.end()
        if due_ns:
            self._arrivals.take(now_ns, due_ns)
        # A mark that two reads have cut in two is still to come.
        self._rest = data[max(end, len(data) - _MARK_BYTES_MAX) :]


@asynccontextmanager
async def listening(port: int, signer: Signer, uids: range) -> AsyncIterator[Arrivals]:
    """Connect a device for each of these users, and hang up afterwards. Raises `RuntimeError` where it cannot."""
    arrivals = Arrivals()
    devices = []
    try:
        loop = asyncio.get_running_loop()
        for uid in uids:
            device = _Device(_handshake(port, signer, uid), arrivals)
            devices.append(device)
            await loop.create_connection(lambda device=device: device, "127.0.0.1", port)  # type: ignore[misc]
            try:
                await asyncio.wait_for(device.live.wait(), _TIMEOUT_S)
            except TimeoutError:
                raise RuntimeError(f"a device was not live after {_TIMEOUT_S:.0f} s") from None
            if device.cut:
                raise RuntimeError(device.cut)
        yield arrivals
    finally:
        for device in devices:
            device.close()


def _handshake(port: int, signer: Signer, uid: int) -> bytes:
    lines = (
        f"GET /ws?app_id={signer.app_id}&device_sn=1 HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: bG9hZCBsb2FkIGxvYWQgbA==",
        "Sec-WebSocket-Protocol: gateway.v1",
        f"access-token: {signer.token(uid)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
