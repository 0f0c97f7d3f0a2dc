"""Files that come in while messages are sent: what they cost the server's memory, and how long the messages take."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import cast

from scripts.benchlib.calls import ADMIN_UID, Calls
from scripts.benchlib.figures import Figure
from scripts.benchlib.http import answer_end
from scripts.benchlib.loading import calling, load
from scripts.benchlib.programs import Programs, Running, Served
from scripts.benchlib.scenario import Measured, Rounds, Scenario, column

_UPLOADS = 200
_FILE_BYTES = 10 * 1000 * 1000
_UNDER_WAY_BYTES = 128 * 1024
_CALLERS = 32
_SENDS = 20_000
"""For as long as the uploads take, at the rate that they are let in by (`upload_bytes_per_s_max`)."""

_RATE = 300.0
_USERS = 200
_TEXT_BYTES = 100
_LOOK_S = 0.05
_UPLOADS_S = 300.0
_TIMES_MAX = 3.0
_HELD_KB_MAX = 1_024
"""Of each upload: what aiohttp has read of it, what is being handed over, and what is being written."""

_ORG = "bench/demo"


class _Uploader(asyncio.Protocol):
    """One connection that uploads a file."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their class.
        self._transport = cast("asyncio.Transport", transport)
        # As much under way as a network holds. Without it the kernel takes some MB of each at once, and the load, which
        # copies a GB then, measures itself.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNDER_WAY_BYTES)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if answer_end(self._rest) and not self.answered.done():
            if self._rest.startswith(b"HTTP/1.1 200 "):
                self.answered.set_result(None)
            else:
                self.answered.set_exception(RuntimeError(f"an upload was refused: {self._rest[:300]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answered.done():
            self.answered.set_exception(RuntimeError(f"an upload was lost: {exc or 'closed by the server'}"))

    def close(self) -> None:
        self.answered.cancel()
        if self._transport is not None:
            self._transport.abort()


async def _contend(programs: Programs, *, uploads: int) -> Measured:
    """Sends at a rate, while so many upload.

    Raises:
        RuntimeError: A send or an upload was refused, or a connection lost.
    """
    with programs.gateway() as served:
        calls = Calls(served.signer)
        async with calling(served.program.port, _CALLERS) as callers:
            await callers.load(_USERS, calls.introductions(_USERS))
            before_kb = served.program.cost.pss_kb
            async with _uploading(served, programs.count(uploads) if uploads else 0) as uploaders:
                began = time.monotonic()
                uploaded = asyncio.create_task(_all_of(uploaders))
                sampling = asyncio.create_task(_most_kb(served.program))
                count = programs.count(_SENDS)
                measured = await load(
                    served.program, callers, count, calls.sends(count, _USERS, _TEXT_BYTES), _RATE
                )
                seconds = await uploaded - began
                sampling.cancel()
                grown_mb = (await sampling - before_kb) / 1024
    return measured | {
        "grown_mb": grown_mb,
        "uploads": len(uploaders),
        "mb_per_s": len(uploaders) * _FILE_BYTES / 1e6 / seconds,
    }


@asynccontextmanager
async def _uploading(served: Served, count: int) -> AsyncIterator[list[_Uploader]]:
    _name_app(served.data)
    form = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n', b"\r\n--B--\r\n"
    token = served.signer.token(ADMIN_UID, admin=True)
    head = (
        f"POST /{_ORG}/chatfiles HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: multipart/form-data; boundary=B\r\n"
        f"Content-Length: {_FILE_BYTES + sum(map(len, form))}\r\n\r\n"
    )
    # One for all of them: what is under way is held by the kernel, not copied here.
    request = head.encode() + form[0] + bytes(_FILE_BYTES) + form[1]
    loop = asyncio.get_running_loop()
    uploaders: list[_Uploader] = []
    try:
        for _ in range(count):
            _, uploader = await loop.create_connection(
                lambda: _Uploader(request), "127.0.0.1", served.program.port
            )
            uploaders.append(uploader)
        yield uploaders
    finally:
        for uploader in uploaders:
            uploader.close()


async def _all_of(uploaders: list[_Uploader]) -> float:
    """Wait for all answers, and say when the last came."""
    async with asyncio.timeout(_UPLOADS_S):
        await asyncio.gather(*(uploader.answered for uploader in uploaders))
    return time.monotonic()


def _name_app(data: Path) -> None:
    """Let the dialect that has files find the app."""
    command = [sys.executable, "-m", "gateway", "app", "agora", "demo", "--name", _ORG, "--data", str(data)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


async def _most_kb(program: Running) -> float:
    """How much memory a program has taken at most, when this is cancelled."""
    most = program.cost.pss_kb
    try:
        while True:
            await asyncio.sleep(_LOOK_S)
            most = max(most, program.cost.pss_kb)
    except asyncio.CancelledError:
        return most


def _figures(rounds: Rounds) -> list[Figure]:
    alone = column(rounds, "alone", "p99_ms")
    held_mb = median(column(rounds, "uploading", "uploads")) * _HELD_KB_MAX / 1024
    return [
        Figure(
            name="uploads: p99 of sends beside them, by that of the same sends alone",
            unit="ms",
            values=column(rounds, "uploading", "p99_ms"),
            floors=alone,
            reach=f"≤ {_TIMES_MAX:g} times the floor",
            most=_TIMES_MAX * median(alone),
        ),
        Figure(
            name="uploads: the server's memory (PSS) grows by",
            unit="MB",
            values=column(rounds, "uploading", "grown_mb"),
            floors=column(rounds, "alone", "grown_mb"),
            reach=f"≤ 1 MiB for each, {held_mb:.0f} MB",
            most=held_mb,
        ),
        Figure(
            name="uploads: files that come in",
            unit="MB/s",
            values=column(rounds, "uploading", "mb_per_s"),
        ),
    ]


UPLOADS = Scenario(
    "uploads",
    f"{_UPLOADS} uploads of 10 MB at once, beside {_RATE:.0f} sends a second",
    {"uploading": partial(_contend, uploads=_UPLOADS), "alone": partial(_contend, uploads=0)},
    _figures,
)
"""Files that come in while messages are sent."""
