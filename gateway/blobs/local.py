"""The blobs port on a folder."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock

from obstore.store import LocalStore

from gateway.blobs.base import Blobs
from gateway.blobs.objects import CHUNK_BYTES, Objects

_WRITERS = 4
_UNSYNCED_BYTES_MAX = 1024 * 1024

_sync_bytes = getattr(os, "fdatasync", os.fsync)


class LocalBlobs(Objects, Blobs):
    """Blobs in a folder that nobody else on the machine may look into. Raises `OSError` where it cannot be made.

    A blob is written under another name (`…#7`, which no listing shows) and renamed when it is whole. `obstore` would
    leave its bytes to the kernel until the end, and whoever commits a message then waits while all of them go to disk:
    beside 32 MB/s of files p99 of a commit was 4.6 ms, and is 0.8 ms where each MiB is synced as it comes.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder.resolve()
        super().__init__(LocalStore(self._folder))
        # The disk does what is asked of it at once as fast as one thing after the other, and others want it too.
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="blobs")
        # Folders in which others were made that may not be on disk yet, told once for all that were.
        self._unsynced: set[Path] = set()
        self._folders = Lock()

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep a blob."""
        writing = _Writing(self._folder / key)
        try:
            await self._do(partial(self._begin, writing))
            gathered = bytearray()
            async for chunk in chunks:
                gathered += chunk
                if len(gathered) >= CHUNK_BYTES:
                    await self._do(partial(writing.write, bytes(gathered)))
                    gathered.clear()
            await self._do(partial(writing.write, bytes(gathered)))
            await self._do(partial(self._finish, writing))
        except (Exception, asyncio.CancelledError):
            # A step may still run; this one waits for it.
            await self._do(writing.drop)
            raise

    async def _do(self, step: Callable[[], None]) -> None:
        with self._telling("be kept"):
            try:
                await asyncio.get_running_loop().run_in_executor(self._writers, step)
            except OSError as error:
                raise self._failed("be kept", error) from error

    def _begin(self, writing: _Writing) -> None:
        with self._folders:
            for folder in reversed(writing.path.parents):
                if self._folder in folder.parents and not folder.exists():
                    folder.mkdir(mode=0o700)
                    self._unsynced.add(folder.parent)
        writing.open()

    def _finish(self, writing: _Writing) -> None:
        with self._folders:
            for folder in self._unsynced.intersection(writing.path.parents):
                _sync(folder)
                self._unsynced.discard(folder)
        writing.finish()

    async def tidy(self, before: int) -> None:
        """Remove what was being written when its process ended."""
        await asyncio.to_thread(self._tidy, before)

    def _tidy(self, before: int) -> None:
        for path in self._folder.rglob("*#*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime * 1000 < before:
                    path.unlink()

    def close(self) -> None:
        """Let go of the threads."""
        self._writers.shutdown(wait=False, cancel_futures=True)


class _Writing:
    """A file on its way. Its steps run in threads; each waits for the one before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Another node may be writing the same one.
        self._partial = path.with_name(f"{path.name}#{secrets.randbits(48)}")
        self._handle = -1
        self._unsynced = 0
        self._step = Lock()

    def open(self) -> None:
        with self._step:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            self._handle = os.open(self._partial, flags, 0o600)

    def write(self, data: bytes) -> None:
        with self._step:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._handle, rest) :]
            self._unsynced += len(data)
            if self._unsynced >= _UNSYNCED_BYTES_MAX:
                _sync_bytes(self._handle)
                self._unsynced = 0

    def finish(self) -> None:
        with self._step:
            os.fsync(self._handle)
            self._partial.rename(self.path)
            self._partial = self.path
            _sync(self.path.parent)
            self._close()

    def drop(self) -> None:
        """Remove what is there of it, under whichever name."""
        with self._step:
            self._close()
            self._partial.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _sync(folder: Path) -> None:
    """Have the names in a folder on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
