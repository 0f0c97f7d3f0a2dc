"""The part of the store port about files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.domain.files import File, Thumb


class Filing(Protocol):
    """The part of the port that knows files; their bytes are elsewhere."""

    async def add_file(self, file: File) -> bool:
        """Keep a file's row, which counts its bytes with its app; False where the app stores as much as it may."""

    async def file(self, app: int, uuid: str) -> File | None:
        """Find a file of an app."""

    async def set_thumbnail(self, uuid: str, thumb: Thumb, size: int) -> None:
        """Note what has become of a file's thumbnail."""

    async def discard_file(self, uuid: str) -> None:
        """Let nobody find a file any more; it goes with the next that are dropped."""

    async def drop_files(self, before: int, most: int) -> list[tuple[int, str]]:
        """Forget files that were uploaded before a time, at most so many, oldest first: their apps and uuids.

        Those that were discarded, and of users that were erased, go whatever the time.
        """

    async def files_among(self, uuids: Sequence[str]) -> set[str]:
        """Which of these are files that are kept."""
