"""Files: uploaded as a stream, given back whole or in part, and removed in time."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractContextManager, aclosing, asynccontextmanager

import msgspec

from gateway.blobs.base import Blobs
from gateway.core.flow import Counted, Flow, Inflow, Places
from gateway.core.thumbnails import Thumbnails
from gateway.domain.errors import Kind, Problem
from gateway.domain.files import Box, Depicts, File, Thumb, file_name, media_type
from gateway.domain.limits import Limits
from gateway.domain.model import INT64_MAX, App
from gateway.outlet.base import Fetcher
from gateway.store.base import Store

log = logging.getLogger(__name__)

DAY_MS = 24 * 3600 * 1000

SMALL_BYTES = 10_000
"""What is smaller needs no thumbnail."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SECRET_BYTES = 32
_CLOSE_S = 1.0
_MEDIA_TYPES = {Thumb.JPEG: "image/jpeg", Thumb.PNG: "image/png"}


class FileOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be kept, as its uploader tells of it. `uploader`: a user's id, 0: the app's own.

    `box` is asked for when the last byte has come: it may be told behind them. What it raises comes out of `upload`.
    """

    name: str
    type: str
    restricted: bool
    box: Callable[[], Box]
    uploader: int


class Uploaded(msgspec.Struct, frozen=True):
    """A file that is kept, and its secret, which is told this once."""

    file: File
    secret: str


class Shown(msgspec.Struct, frozen=True):
    """What is given for a file: itself or its thumbnail. `tag` is another one for other bytes."""

    file: File
    key: str
    type: str
    size: int
    tag: str


class Files:
    """The files of all apps. Bytes are in `blobs`, and what is known of them in the store.

    Bytes come first, then the row, and with it the file is there. Where it ends in between, bytes without a row are
    left: `sweep` removes them.
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        thumbnails: Thumbnails,
        fetcher: Fetcher,
        limits: Limits,
        clock_ms: Callable[[], int],
        *,
        days: int,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._thumbnails = thumbnails
        self._fetcher = fetcher
        self._limits = limits
        self._now = clock_ms
        self._days = days
        self._uploads: set[asyncio.Task[object]] = set()
        self._coming = Places("uploads", limits.uploads_max, limits.uploads_per_app_max)
        self._going = Places("downloads", limits.downloads_max, limits.downloads_per_app_max)
        self._flow = Flow(limits.upload_bytes_per_s_max)
        self._inflows: dict[int, Inflow] = {}
        # Thumbnails under way: whoever asks for the same one waits for it too.
        self._making: dict[str, asyncio.Task[Shown]] = {}
        self._strays_swept_at = 0

    # -- in ---------------------------------------------------------------------------------------------

    async def upload(self, app: App, order: FileOrder, chunks: AsyncIterator[bytes]) -> Uploaded:
        """Keep what `chunks` yields; what that raises comes out of here, and nothing is kept.

        Raises:
            Problem: `BAD_PARAMETER` without a name, `TOO_LARGE`, `STORAGE_FULL`, `OVERLOADED`, `STORE_FAILED`.
        """
        uploaded = await self._bring(app, order, chunks)
        await self.keep(uploaded.file, order.uploader)
        return uploaded

    async def _bring(self, app: App, order: FileOrder, chunks: AsyncIterator[bytes]) -> Uploaded:
        """Bring the bytes of a file here; until its row is kept they are nobody's."""
        name = file_name(order.name, self._limits.file_name_bytes_max)
        if not name:
            raise Problem(Kind.BAD_PARAMETER, "file: it has no name")
        task = asyncio.current_task()
        assert task is not None
        with self._coming.taken(app.id):
            self._uploads.add(task)
            try:
                async with self._inflow(app) as inflow:
                    counted = Counted(chunks, order.box, self._flow, inflow, self._limits)
                    return await self._put(app, order, name, counted)
            finally:
                self._uploads.discard(task)

    @asynccontextmanager
    async def _inflow(self, app: App) -> AsyncIterator[Inflow]:
        """What the app has coming in, with what it may store yet."""
        inflow = self._inflows.setdefault(app.id, Inflow())
        inflow.uploads += 1
        try:
            most = app.limits.storage_bytes_max
            inflow.left = most - await self._store.stored_bytes(app.id) if most else INT64_MAX
            yield inflow
        finally:
            inflow.uploads -= 1
            if not inflow.uploads:
                del self._inflows[app.id]

    async def fetch(self, app: App, url: str, box: Box) -> Uploaded:
        """Fetch a file from a public address, unrestricted, under the name that its URL ends with.

        Its bytes are here then, and nobody finds it until `keep` is called.

        Raises:
            Problem: `BAD_PARAMETER` where it cannot be had or is too large, and what `upload` raises besides.
        """
        async with self._fetcher.fetch(url) as found:
            order = FileOrder(
                name=file_name(found.name, self._limits.file_name_bytes_max) or "file",
                type=found.type,
                restricted=False,
                box=lambda: box,
                uploader=0,
            )
            try:
                return await self._bring(app, order, found.chunks)
            except Problem as problem:
                if problem.kind is not Kind.TOO_LARGE:
                    raise
                raise Problem(Kind.BAD_PARAMETER, f"url: {problem.sentence}") from problem

    async def keep(self, file: File, uploader: int) -> None:
        """Keep a file whose bytes are here, as this uploader's. Raises `STORAGE_FULL`, `STORE_FAILED`."""
        if not await self._store.add_file(msgspec.structs.replace(file, uploader=uploader)):
            await self._blobs.delete([key_of(file.app, file.uuid)])
            raise Problem(Kind.STORAGE_FULL, "the app stores as much as it may")

    async def discard(self, file: File) -> None:
        """Take back a file that was fetched for something that did not come about, kept or not."""
        await self._store.discard_file(file.uuid)
        await self._blobs.delete([key_of(file.app, file.uuid)])

    async def _put(self, app: App, order: FileOrder, name: str, counted: Counted) -> Uploaded:
        # Random, not counted: whoever knows one knows no other.
        number, secret = str(uuid.uuid4()), secrets.token_urlsafe(_SECRET_BYTES)
        key = key_of(app.id, number)
        async with aclosing(counted.stream()) as stream:
            await self._blobs.put(key, stream)
        file = File(
            uuid=number,
            app=app.id,
            name=name,
            type=media_type(order.type),
            size=counted.size,
            secret_digest=_digest(secret),
            restricted=order.restricted,
            box=counted.box,
            uploader=order.uploader,
            at=self._now(),
        )
        return Uploaded(file, secret)

    # -- out --------------------------------------------------------------------------------------------

    async def find(self, app: App, number: str, secret: str | None) -> Shown:
        """Find a file by its uuid. A restricted one is shown to who knows its secret.

        Raises:
            Problem: `FILE_UNKNOWN`, `FORBIDDEN`.
        """
        number = number.lower()
        file = await self._store.file(app.id, number) if _UUID.fullmatch(number) else None
        if file is None or self._expired(file):
            raise _unknown()
        if file.restricted and not hmac.compare_digest(_digest(secret or ""), file.secret_digest):
            raise Problem(Kind.FORBIDDEN, "this file is restricted, and the share-secret is not its own")
        return Shown(file, key_of(file.app, file.uuid), file.type, file.size, file.uuid)

    async def size(self, app: App, number: str) -> int | None:
        """How many bytes the file of this uuid has; None where it is no file of the app."""
        file = await self._store.file(app.id, number) if _UUID.fullmatch(number) else None
        return None if file is None else file.size

    async def thumbnail(self, original: Shown) -> Shown:
        """Find or make the thumbnail of a file: the original where it is small, or cannot be read.

        Raises:
            Problem: `FILE_UNKNOWN` where it is no picture and no video, `OVERLOADED`, `STORE_FAILED`.
        """
        file = original.file
        depicts = file.depicts
        if depicts is None:
            raise Problem(Kind.FILE_UNKNOWN, "a file of this type has no thumbnail")
        if file.size < SMALL_BYTES or file.thumb is Thumb.NONE:
            return original
        if file.thumb is not Thumb.UNMADE and await self._blobs.size(_thumb_key(file)) == file.thumb_size:
            return _thumbnail_of(file)
        making = self._making.get(file.uuid)
        if making is None:
            making = asyncio.create_task(self._make(original, depicts), name=f"thumbnail of {file.uuid}")
            self._making[file.uuid] = making
            making.add_done_callback(lambda _: self._making.pop(file.uuid))
        # Whoever goes away leaves it to the others, and to the next who asks.
        return await asyncio.shield(making)

    async def _make(self, original: Shown, depicts: Depicts) -> Shown:
        file = original.file
        if file.size > self._limits.thumbnail_source_bytes_max:
            return original
        chunks = await self._blobs.get(original.key, 0, file.size)
        if chunks is None:
            raise _unknown()
        made = await self._thumbnails.make(depicts, file.box, file.size, chunks)
        if made is not None:
            await self._blobs.put(_thumb_key(file), _whole(made.data))
        thumb, size = (made.thumb, len(made.data)) if made else (Thumb.NONE, 0)
        await self._store.set_thumbnail(file.uuid, thumb, size)
        if made is None:
            return original
        return _thumbnail_of(msgspec.structs.replace(file, thumb=thumb, thumb_size=size))

    @asynccontextmanager
    async def read(self, shown: Shown, start: int, length: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Read a part of what is shown.

        Raises:
            Problem: `OVERLOADED`, `STORE_FAILED`, also in the midst; `FILE_UNKNOWN` where it has gone meanwhile.
        """
        with self.downloading(shown.file.app):
            chunks = await self._blobs.get(shown.key, start, length) if length else _whole(b"")
            if chunks is None:
                raise _unknown()
            async with aclosing(chunks):
                yield chunks

    def downloading(self, app_id: int) -> AbstractContextManager[None]:
        """Download something of an app in here, be it a file or what is made like one. Raises `OVERLOADED`."""
        return self._going.taken(app_id)

    # -- what goes --------------------------------------------------------------------------------------

    def _expired(self, file: File) -> bool:
        return bool(self._days) and file.at < self._now() - self._days * DAY_MS

    async def sweep(self, now: int) -> int:
        """Remove files that are too old at this time, and bytes that belong to none; return how many files.

        `now` is believed: the caller has looked whether the clock may have jumped.
        """
        removed = await self._sweep_files(now)
        before = now - self._limits.stray_blobs_kept_s * 1000
        if before >= self._strays_swept_at:
            self._strays_swept_at = now
            await self._sweep_strays(before)
        return removed

    async def _sweep_files(self, now: int) -> int:
        limits, removed = self._limits, 0
        before = now - self._days * DAY_MS if self._days else 0
        while gone := await self._store.drop_files(before, limits.sweep_page_max):
            # The rows go first: bytes that are left behind here are strays.
            for app, number in gone:
                await self._blobs.delete([key_of(app, number), f"{key_of(app, number)}.thumb"])
            removed += len(gone)
            if len(gone) < limits.sweep_page_max:
                break
            await asyncio.sleep(limits.sweep_pause_ms / 1000)
        if removed:
            log.info("%d files are removed", removed)
        return removed

    async def _sweep_strays(self, before: int) -> None:
        """Remove bytes that have been there since before a time, and no file is theirs."""
        await self._blobs.tidy(before)
        removed = 0
        async for page in self._blobs.pages():
            old = {blob.key: _number(blob.key) for blob in page if blob.at < before}
            kept = await self._store.files_among(sorted(set(old.values()))) if old else set()
            strays = [key for key, number in old.items() if number not in kept]
            await self._blobs.delete(strays)
            removed += len(strays)
        if removed:
            log.info("%d blobs that belonged to no file are removed", removed)

    async def close(self) -> None:
        """Cut what is under way: it had its time."""
        under_way = [*self._making.values(), *self._uploads]
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way, timeout=_CLOSE_S)
        await self._thumbnails.close()
        self._blobs.close()


async def _whole(data: bytes) -> AsyncGenerator[bytes, None]:
    if data:
        yield data


def key_of(app: int, number: str) -> str:
    """Where the bytes of a file are: folders of thousands of files are slow to look into."""
    return f"{app}/{number[:2]}/{number}"


def _thumb_key(file: File) -> str:
    return f"{key_of(file.app, file.uuid)}.thumb"


def _number(key: str) -> str:
    """The uuid of the file whose bytes are under a key."""
    return key.rpartition("/")[2].partition(".")[0]


def _thumbnail_of(file: File) -> Shown:
    return Shown(file, _thumb_key(file), _MEDIA_TYPES[file.thumb], file.thumb_size, f"{file.uuid}-thumb")


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def _unknown() -> Problem:
    return Problem(Kind.FILE_UNKNOWN, "there is no such file")
