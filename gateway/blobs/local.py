"""The blobs port on a folder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import obstore
from obstore.store import LocalStore

from gateway.blobs.base import Blobs
from gateway.blobs.objects import CHUNK_BYTES, Objects

_SYNCERS = 4


class LocalBlobs(Objects, Blobs):
    """Blobs in a folder that nobody else on the machine may look into. Raises `OSError` where it cannot be made.

    A blob is written under another name (`…#1`) and renamed when it is whole.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder.resolve()
        super().__init__(LocalStore(self._folder))
        # The disk does what is asked of it at once as fast as one thing after the other, and others want it too.
        self._syncers = ThreadPoolExecutor(_SYNCERS, thread_name_prefix="blobs")

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep a blob."""
        with self._telling("be kept"):
            await obstore.put_async(self._store, key, chunks, chunk_size=CHUNK_BYTES, max_concurrency=1)
        path = self._folder / key
        try:
            await asyncio.get_running_loop().run_in_executor(self._syncers, self._sync, path)
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise self._failed("be kept", error) from error
            raise

    def _sync(self, path: Path) -> None:
        """Have a blob on disk, and the names that lead to it."""
        for part in (path, *path.parents):
            handle = os.open(part, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            if part == self._folder:
                return

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
        self._syncers.shutdown(wait=False, cancel_futures=True)
