"""The blobs port on S3 and what speaks like it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import obstore
from obstore.store import LocalStore, S3Store

from gateway.blobs.base import Blobs
from gateway.blobs.objects import CHUNK_BYTES, Objects

if TYPE_CHECKING:
    from obstore.store import S3Config

RETRIES = 3
"""How often a call is repeated where the server fails."""

_AT_ONCE = 4
_WHOLE_BYTES = 16 * 1024 * 1024
_PART_BYTES = 8 * 1024 * 1024
_TIMEOUT = timedelta(seconds=30)


class S3Options(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bucket is. Without `endpoint` it is at AWS; keys and region are the environment's (`AWS_…`)."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""


class S3Blobs(Objects, Blobs):
    """Blobs in a bucket, under a prefix. Raises `OSError` where the folder cannot be made.

    A part of a multipart upload is 5 MiB at least, and the next waits while one is under way: 200 uploads at once would
    hold 2 GiB in memory. So what comes in is written to a folder first and goes to the bucket when it is whole, a few
    at a time; who is slow, or goes away half-way, never gets as far as the bucket.
    """

    def __init__(self, options: S3Options, spool: Path) -> None:
        where: S3Config = {"endpoint": options.endpoint} if options.endpoint else {}
        super().__init__(
            S3Store(
                options.bucket,
                prefix=options.prefix or None,
                config=where,
                client_options={"allow_http": options.endpoint.startswith("http:"), "timeout": _TIMEOUT},
                retry_config={"max_retries": RETRIES, "retry_timeout": _TIMEOUT},
            )
        )
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = spool.resolve()
        self._spool = LocalStore(self._folder)
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep a blob."""
        name = uuid.uuid4().hex
        path = self._folder / name
        try:
            with self._telling("be kept"):
                await obstore.put_async(self._spool, name, chunks, chunk_size=CHUNK_BYTES, max_concurrency=1)
                async with self._room:
                    await obstore.put_async(
                        self._store,
                        key,
                        path,
                        use_multipart=path.stat().st_size > _WHOLE_BYTES,
                        chunk_size=_PART_BYTES,
                        max_concurrency=1,
                    )
        finally:
            path.unlink(missing_ok=True)

    async def tidy(self, before: int) -> None:
        """Remove what was on its way when its process ended."""
        await asyncio.to_thread(self._tidy, before)

    def _tidy(self, before: int) -> None:
        for path in self._folder.iterdir():
            try:
                if path.stat().st_mtime * 1000 < before:
                    path.unlink()
            except FileNotFoundError:
                continue

    def close(self) -> None:
        """There is nothing to let go of."""
