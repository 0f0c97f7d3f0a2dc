"""A WebSocket client of bare bytes, for what a well-behaved client library would not do."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
from typing import Any

import msgspec

from tests.patience import WAIT_S

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


def handshake(port: int, path: str = "/ws", **headers: str) -> bytes:
    """The bytes of an upgrade request; underscores in header names stand for hyphens."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, bits: int = 0
) -> bytes:
    """One frame as a client sends it (RFC 6455 §5.2); `bits` are the reserved ones."""
    size = len(payload)
    mask = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | bits | opcode])
    if size < 126:
        head += bytes([mask | size])
    elif size < 1 << 16:
        head += struct.pack("!BH", mask | 126, size)
    else:
        head += struct.pack("!BQ", mask | 127, size)
    if not masked:
        return head + payload
    key = b"\x11\x22\x33\x44"
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def text(**members: Any) -> bytes:
    """A whole text frame with a JSON object."""
    return frame(TEXT, msgspec.json.encode(members))


class Raw:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, *, lazy: bool = False) -> Raw:
        """Connect; a `lazy` one takes next to nothing that it is not asked to read."""
        sock = socket.socket()
        sock.setblocking(False)
        if lazy:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        async with asyncio.timeout(WAIT_S):
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            return cls(*await asyncio.open_connection(sock=sock, limit=512 if lazy else 1 << 16))

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        """Read the head of the answer to a handshake."""
        async with asyncio.timeout(WAIT_S):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def read(self) -> tuple[int, bytes]:
        """Read one frame of the server, which masks and fragments nothing."""
        async with asyncio.timeout(WAIT_S):
            first, size = await self.reader.readexactly(2)
            assert first & 0xF0 == 0x80
            assert size < 128
            if size == 126:
                [size] = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                [size] = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(size)

    async def hear(self) -> dict[str, Any]:
        """Read the next text frame; control frames are skipped."""
        while (told := await self.read())[0] != TEXT:
            assert told[0] != CLOSE, told
        frame: dict[str, Any] = msgspec.json.decode(told[1])
        return frame

    async def until(self, op: str) -> list[dict[str, Any]]:
        frames = [await self.hear()]
        while frames[-1]["op"] != op:
            frames.append(await self.hear())
        return frames

    async def end(self) -> tuple[list[dict[str, Any]], int, str]:
        """Read to the close: the frames before it, its code and its reason. Nothing may follow it."""
        frames = []
        while (told := await self.read())[0] != CLOSE:
            if told[0] == TEXT:
                frames.append(msgspec.json.decode(told[1]))
        code, reason = int.from_bytes(told[1][:2]), told[1][2:].decode()
        self.write(frame(CLOSE, told[1][:2]))
        async with asyncio.timeout(WAIT_S):
            assert await self.reader.read() == b""
        self.cut()
        return frames, code, reason

    async def eof(self) -> None:
        """Read until the server is gone, however it went."""
        try:
            async with asyncio.timeout(WAIT_S):
                while await self.reader.read(1 << 16):
                    pass
        except ConnectionError:
            pass

    def cut(self) -> None:
        """End the connection without a word."""
        self.writer.transport.abort()
