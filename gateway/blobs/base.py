"""The blobs port: bytes by key. What every engine promises, and nothing of how.

Promises of every engine:

- **Whole or not at all.** A blob is there once its `put` has returned, and then all of it; before that nobody sees it.
  A put that fails, is cut or is cancelled leaves no blob behind.
- **Durable.** What `put` has returned from survives `kill -9` and power loss.
- **Streams.** No call holds a blob in memory: of each that is put or read there are some hundred KiB.
- **Fixed.** A key is put once, or again with the same bytes; what it holds never changes until it is deleted.

A key is a path of letters, digits, dots and slashes. Errors: `Problem(STORE_FAILED)` where the bytes cannot be kept or
read now (disk full, I/O error, server away): a later call may succeed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Protocol

import msgspec


class Blob(msgspec.Struct, frozen=True):
    """What a listing tells of a blob: `at` is when it was put, by the clock of who keeps it."""

    key: str
    size: int
    at: int


class Blobs(Protocol):
    """The port."""

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep what `chunks` yields. What the iterator raises comes out of here, and nothing is kept."""

    async def get(self, key: str, start: int, length: int) -> AsyncGenerator[bytes, None] | None:
        """Read a part of a blob, at least one byte long and inside it; None where there is no such blob."""

    async def size(self, key: str) -> int | None:
        """Look how large a blob is; None where there is none."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove blobs; those that are not there are removed already."""

    def pages(self) -> AsyncIterator[list[Blob]]:
        """List all blobs, in pages and in no order."""

    async def tidy(self, before: int) -> None:
        """Remove what puts have left behind that were cut by the end of their process, before this time."""

    def close(self) -> None:
        """Let go of every resource. Nothing is asked of it afterwards."""
