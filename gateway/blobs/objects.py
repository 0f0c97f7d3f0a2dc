"""What both engines have in common: blobs in an object store, by `obstore`."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from gateway.blobs.base import Blob
from gateway.domain.errors import Kind, Problem

log = logging.getLogger(__name__)

CHUNK_BYTES = 128 * 1024
"""What is handed over at once. Larger chunks gain little, and of each blob that moves there are two or three."""

PAGE = 1_000
"""Blobs of one page of a listing."""
_RETRY_AFTER_MS = 1_000
_FULL = ("No space left on device", "File too large", "Disk quota exceeded")


class Objects:
    """The part of the port that is the same on every object store."""

    def __init__(self, store: LocalStore | S3Store) -> None:
        self._store = store
        self._failing = False

    async def get(self, key: str, start: int, length: int) -> AsyncGenerator[bytes, None] | None:
        """Read a part of a blob."""
        with self._telling("be read"):
            try:
                found = await obstore.get_async(self._store, key, options={"range": (start, start + length)})
            except FileNotFoundError:
                return None
        return self._chunks(found)

    async def _chunks(self, found: obstore.GetResult) -> AsyncGenerator[bytes, None]:
        with self._telling("be read"):
            async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    async def size(self, key: str) -> int | None:
        """Look how large a blob is."""
        with self._telling("be read"):
            try:
                return (await obstore.head_async(self._store, key))["size"]
            except FileNotFoundError:
                return None

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove blobs."""
        with self._telling("be removed"):
            for key in keys:
                try:
                    await obstore.delete_async(self._store, key)
                except FileNotFoundError:
                    continue

    async def pages(self) -> AsyncIterator[list[Blob]]:
        """List all blobs."""
        with self._telling("be listed"):
            async for page in obstore.list(self._store, chunk_size=PAGE):
                yield [
                    Blob(found["path"], found["size"], int(found["last_modified"].timestamp() * 1000))
                    for found in page
                ]

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Whatever the object store refuses is a `Problem`.

        Every caller is told; the log is told once, until it works again.
        """
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            # What is not there is told by those who look for it: here it is the folder or the bucket.
            raise self._failed(what, error) from error
        if self._failing:
            log.info("files work again")
            self._failing = False

    def _failed(self, what: str, error: Exception) -> Problem:
        if not self._failing:
            log.error("files cannot %s: %s", what, str(error).partition("\n")[0])
            self._failing = True
        full = any(sign in str(error) for sign in _FULL)
        return Problem(
            Kind.STORE_FAILED,
            "there is no room for files" if full else f"files cannot {what} now; try again",
            retry_after_ms=_RETRY_AFTER_MS,
        )
