"""The codec against Autobahn's cases, on real sockets: an echo server that is made of nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import kosoku

from gateway.wire.websocket import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    MalformedError,
    Reader,
    accept_key,
    binary_frame,
    close_frame,
    pong_frame,
    text_frame,
)

COMPRESSION = ["12.*", "13.*"]
MOST = 16 << 20
"""Of the largest message that a case sends."""

CASES_MIN = 290
"""There are some more; with fewer, something was left out."""


TRIES = 4
"""How often a case that has failed is tried again: it waits for a second, and a busy machine takes longer."""


class Echo(asyncio.Protocol):
    """Says what it is told."""

    def __init__(self) -> None:
        self._head: bytes | None = b""
        self._reader: Reader | None = Reader(MOST)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return
            self._head = None
            self._accept(head.decode())
        if self._reader is not None:
            self._reader.feed(data)
            try:
                self._answer(self._reader)
            except MalformedError as error:
                self._close(close_frame(error.code, str(error)))

    def _accept(self, head: str) -> None:
        key = re.search(r"(?im)^sec-websocket-key: *(\S+)", head)
        assert key is not None
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nServer: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key[1]).encode() + b"\r\n\r\n"
        )

    def _answer(self, reader: Reader) -> None:
        while (said := reader.next()) is not None:
            kind, payload = said
            if kind == TEXT:
                self._transport.write(text_frame(payload))
            elif kind == BINARY:
                self._transport.write(binary_frame(payload))
            elif kind == PING:
                self._transport.write(pong_frame(payload))
            elif kind == CLOSE:
                self._close(close_frame(int.from_bytes(payload[:2]) or 1000))
                return

    def _close(self, frame: bytes) -> None:
        self._reader = None
        self._transport.write(frame)
        self._transport.close()


async def tried(url: str, cases: list[str] | None) -> Sequence[Any]:
    """What became of these cases, or of all."""
    try:
        found: Sequence[Any] = await kosoku.run_fuzzingclient(
            url, cases, exclude_cases=COMPRESSION, concurrency=8 if cases is None else 1
        )
    except kosoku.FailureError as failure:
        return failure.results
    return found


async def test_autobahn() -> None:
    """Every case that needs no compression is passed."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"ws://127.0.0.1:{port}"
    async with server:
        results = await tried(url, None)
        passed = [one for one in results if one.passed]
        for _ in range(TRIES):
            failed = [one for one in results if not one.passed]
            if failed:
                results = await tried(url, [one.case_id for one in failed])
                passed += [one for one in results if one.passed]
    assert not [f"{one.case_id}: {one.result} {one.result_close}" for one in results if not one.passed]
    assert len(passed) > CASES_MIN
