"""Thumbnails, by a worker process that may hang, grow or die without the gateway doing so."""

from __future__ import annotations

import asyncio
import logging
import os
import struct
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import msgspec

from gateway.domain.errors import Kind, Problem
from gateway.domain.files import Box, Depicts, Thumb
from gateway.domain.limits import Limits

log = logging.getLogger(__name__)

_RETRY_AFTER_MS = 1_000
_PIXEL_BYTES = 8


LENGTH = struct.Struct(">I")
"""Of a request, before its head."""

ANSWER = struct.Struct(">BI")
"""What has become of the thumbnail (`Thumb`), and how many bytes of it follow."""


class Head(msgspec.Struct, frozen=True):
    """Begins a request: `size` bytes of a file follow it."""

    depicts: Depicts
    box: Box
    size: int
    pixels_max: int


class Made(msgspec.Struct, frozen=True):
    """A thumbnail: `JPEG` or `PNG`, and its bytes."""

    thumb: Thumb
    data: bytes


class _DeadError(Exception):
    """The worker has ended, or says what no worker says."""


class Thumbnails:
    """Makes thumbnails, one at a time. The worker is started when it is first asked for, and lives on."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._worker: Process | None = None
        self._fresh = True

    async def make(
        self, depicts: Depicts, box: Box, size: int, chunks: AsyncGenerator[bytes, None]
    ) -> Made | None:
        """Make a thumbnail of a file of `size` bytes; None where there is none of it.

        None too where the worker takes too long over it, or dies of it. What `chunks` raises comes out of here.

        Raises:
            Problem: `OVERLOADED` where `thumbnails_waiting_max` are asked for already, where no process can be started,
                and where one died that had made others before: who knows of what.
        """
        if self._waiting >= self._limits.thumbnails_waiting_max:
            raise Problem(Kind.OVERLOADED, "too many thumbnails at once", retry_after_ms=_RETRY_AFTER_MS)
        self._waiting += 1
        head = Head(depicts, box, size, self._limits.thumbnail_pixels_max)
        try:
            async with aclosing(chunks), self._turn:
                return await self._ask(head, chunks)
        finally:
            self._waiting -= 1

    async def _ask(self, head: Head, chunks: AsyncGenerator[bytes, None]) -> Made | None:
        whole = False
        try:
            worker = await self._living()
            async with asyncio.timeout(self._limits.thumbnail_timeout_ms / 1000):
                made = await _asked(worker, head, chunks)
            whole, self._fresh = True, False
            return made
        except (_DeadError, TimeoutError) as error:
            log.warning(
                "a thumbnail could not be made, and its worker is replaced: %s",
                str(error) or "it took too long",
            )
            if isinstance(error, _DeadError) and not self._fresh:
                raise Problem(
                    Kind.OVERLOADED, "the thumbnail could not be made now", retry_after_ms=_RETRY_AFTER_MS
                ) from error
            return None
        finally:
            if not whole:
                # In the midst of something: nobody knows what it would answer next.
                await self._kill()

    async def _living(self) -> Process:
        worker = self._worker
        if worker is not None and worker.returncode is None:
            return worker
        limits = self._limits
        try:
            worker = await asyncio.create_subprocess_exec(
                sys.executable,
                # Whatever lies in the folder that the gateway was started in is none of its modules.
                "-P",
                "-m",
                "gateway.core.thumbnailer",
                str(limits.thumbnail_memory_bytes_max),
                str(-(-limits.thumbnail_timeout_ms // 1000)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                # None of our variables, which may be secrets.
                env={"PYTHONPATH": os.pathsep.join(sys.path)},
                # A Ctrl-C on the terminal is not for it: it ends with us, when its input does.
                start_new_session=True,
            )
        except OSError as error:
            log.exception("no worker for thumbnails can be started")
            raise Problem(
                Kind.OVERLOADED, "thumbnails cannot be made now", retry_after_ms=_RETRY_AFTER_MS
            ) from error
        self._worker, self._fresh = worker, True
        return worker

    async def _kill(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            with suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()

    async def close(self) -> None:
        """End the worker. Nobody asks any more."""
        await self._kill()


async def _asked(worker: Process, head: Head, chunks: AsyncGenerator[bytes, None]) -> Made | None:
    """Have the worker make one. Raises `_DeadError`."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    told = msgspec.msgpack.encode(head)
    worker.stdin.write(LENGTH.pack(len(told)) + told)
    async for chunk in chunks:
        try:
            worker.stdin.write(chunk)
            await worker.stdin.drain()
        except ConnectionError as error:
            raise _DeadError("it has died") from error
    try:
        number, length = ANSWER.unpack(await worker.stdout.readexactly(ANSWER.size))
        if length > head.box.width * head.box.height * _PIXEL_BYTES + 65_536:
            raise _DeadError(f"it says {length} bytes")
        made = await worker.stdout.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise _DeadError("it has died") from error
    thumb = Thumb(number)
    return Made(thumb, made) if thumb in {Thumb.JPEG, Thumb.PNG} else None
