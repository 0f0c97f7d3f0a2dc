"""The promises of the blobs port, asked of every engine."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.blobs.base import Blobs
from gateway.blobs.local import LocalBlobs
from gateway.blobs.s3 import S3Blobs, S3Options
from gateway.domain.errors import Kind, Problem
from tests.blobs.conftest import Bucket, Place
from tests.servers import eventually

MIB = 1024 * 1024
LONG = bytes(range(256)) * 4096 * 20
"""20 MiB: more than goes to a bucket in one piece."""


async def chunks(data: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def read(blobs: Blobs, key: str, start: int, length: int) -> bytes:
    found = await blobs.get(key, start, length)
    assert found is not None
    return b"".join([chunk async for chunk in found])


async def listed(blobs: Blobs) -> dict[str, int]:
    return {blob.key: blob.size async for page in blobs.pages() for blob in page}


@pytest.mark.parametrize("data", [b"", b"x", b"abc" * 100_000, LONG], ids=["none", "one", "some", "long"])
async def test_what_is_put_is_there(blobs: Blobs, data: bytes) -> None:
    """Whole, from its first byte to its last, under its size."""
    await blobs.put("7/ab/abc", chunks(data))
    assert await blobs.size("7/ab/abc") == len(data)
    if data:
        assert await read(blobs, "7/ab/abc", 0, len(data)) == data
    assert await listed(blobs) == {"7/ab/abc": len(data)}


@pytest.mark.parametrize(("start", "length"), [(0, 1), (5, 1_000), (299_999, 1), (0, 300_000)])
async def test_a_part_of_it(blobs: Blobs, start: int, length: int) -> None:
    """Any part that lies inside."""
    data = os.urandom(300_000)
    await blobs.put("a", chunks(data))
    assert await read(blobs, "a", start, length) == data[start : start + length]


async def test_what_is_not_there(blobs: Blobs) -> None:
    """It has no size and no bytes, and is removed already."""
    assert await blobs.size("a/b") is None
    assert await blobs.get("a/b", 0, 1) is None
    await blobs.delete(["a/b"])
    assert await listed(blobs) == {}


async def test_it_is_removed(place: Place) -> None:
    """Those that are named, and nothing else."""
    for key in ("1/a", "1/b", "1/b.thumb", "2/b"):
        await place.blobs.put(key, chunks(key.encode()))
    await place.blobs.delete(["1/b", "none", "1/b.thumb"])
    assert await listed(place.blobs) == {"1/a": 3, "2/b": 3}
    assert len(place.held()) == 2


class CutError(Exception):
    """The caller's own."""


async def cut(data: bytes) -> AsyncIterator[bytes]:
    async for chunk in chunks(data):
        yield chunk
    raise CutError


@pytest.mark.parametrize("data", [b"", b"x" * 1_000, LONG], ids=["none", "some", "long"])
async def test_a_put_that_is_cut_leaves_nothing(place: Place, data: bytes) -> None:
    """The caller hears its own error, and not a byte is kept."""
    with pytest.raises(CutError):
        await place.blobs.put("1/a", cut(data))
    assert await place.blobs.size("1/a") is None
    assert place.held() == []


async def test_a_put_that_is_cancelled_leaves_nothing(place: Place) -> None:
    """Not even what was written of it."""
    begun = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        async for chunk in chunks(b"x" * MIB):
            yield chunk
        begun.set()
        await asyncio.Event().wait()

    put = asyncio.create_task(place.blobs.put("1/a", stalling()))
    await begun.wait()
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    await asyncio.to_thread(eventually, lambda: not place.held(), "the last of it to be gone")
    assert await place.blobs.size("1/a") is None


async def test_nobody_sees_a_part(blobs: Blobs) -> None:
    """Before a put is done there is no blob."""
    seen: list[int | None] = []

    async def looking() -> AsyncIterator[bytes]:
        async for chunk in chunks(b"x" * MIB):
            yield chunk
        seen.append(await blobs.size("1/a"))
        yield b"x"

    await blobs.put("1/a", looking())
    assert seen == [None]
    assert await blobs.size("1/a") == MIB + 1


async def test_many_at_once(blobs: Blobs) -> None:
    """Each keeps its own bytes."""
    data = {f"{number}/a": os.urandom(200_000) for number in range(20)}
    await asyncio.gather(*(blobs.put(key, chunks(value)) for key, value in data.items()))
    found = await asyncio.gather(*(read(blobs, key, 0, 200_000) for key in data))
    assert dict(zip(data, found, strict=True)) == data


async def test_a_listing_tells_when(blobs: Blobs) -> None:
    """By the clock of who keeps them, in milliseconds."""
    # Some keep whole seconds only, and a file system's clock is a tick behind.
    before = int(time.time() - 0.1) * 1000
    await blobs.put("a", chunks(b"x"))
    [page] = [page async for page in blobs.pages()]
    assert before <= page[0].at <= time.time() * 1000 + 1000


async def test_many_are_listed(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one page of them."""
    monkeypatch.setattr("gateway.blobs.objects.PAGE", 5)
    keys = {f"1/{number % 4}/{number}" for number in range(12)}
    for key in keys:
        await blobs.put(key, chunks(b""))
    pages = [[blob.key for blob in page] async for page in blobs.pages()]
    assert {key for page in pages for key in page} == keys
    assert max(len(page) for page in pages) <= 5


async def test_what_a_kill_leaves_is_tidied(place: Place) -> None:
    """What was on its way when the process ended, once it is old; and nothing that is whole."""
    left: list[Path] = []
    begun = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        async for chunk in chunks(b"x" * MIB):
            yield chunk
        begun.set()
        await asyncio.Event().wait()

    await place.blobs.put("1/a", chunks(b"whole"))
    whole = place.held()
    put = asyncio.create_task(place.blobs.put("1/b", stalling()))
    await begun.wait()
    for name in set(place.held()) - set(whole):
        # As the killed process leaves it: nobody is there to remove it.
        copy = (place.folder / name).with_name("left#1")
        copy.hardlink_to(place.folder / name)
        left.append(copy)
    put.cancel()
    with suppress(asyncio.CancelledError):
        await put
    assert [path.exists() for path in left] == [True]
    await place.blobs.tidy(int(left[0].stat().st_mtime * 1000) - 1)
    assert left[0].exists()
    await place.blobs.tidy(int(time.time() * 1000) + 1_000)
    assert not left[0].exists()
    assert await listed(place.blobs) == {"1/a": 5}


async def test_a_restart_finds_all(place: Place) -> None:
    """Another process, the same place."""
    await place.blobs.put("1/a", chunks(b"kept"))
    again = place.open()
    assert await read(again, "1/a", 0, 4) == b"kept"
    again.close()


class TestAway:
    """Where the bytes cannot be kept or read now."""

    async def refused(self, blobs: Blobs) -> list[str]:
        sentences = []
        for call in (blobs.put("a", chunks(b"x")), blobs.size("a"), blobs.get("a", 0, 1), listed(blobs)):
            with pytest.raises(Problem) as caught:
                await call
            assert caught.value.kind is Kind.STORE_FAILED
            assert caught.value.retry_after_ms
            sentences.append(caught.value.sentence)
        return sentences

    async def test_no_server(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each call is refused in time, and may be repeated."""
        monkeypatch.setattr("gateway.blobs.s3.RETRIES", 0)
        blobs = S3Blobs(S3Options(bucket="bucket", endpoint="http://127.0.0.1:9"), tmp_path)
        assert await self.refused(blobs) == [
            "files cannot be kept now; try again",
            "files cannot be read now; try again",
            "files cannot be read now; try again",
            "files cannot be listed now; try again",
        ]
        assert os.listdir(tmp_path) == []  # noqa: PTH208 - it is looked at once, and no loop waits for it

    async def test_it_says_once_that_it_failed(
        self, bucket: Bucket, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """And once that it works again."""
        blobs = S3Blobs(S3Options(bucket=bucket.name, endpoint=bucket.endpoint), tmp_path)
        bucket.remove()
        for _ in range(2):
            with pytest.raises(Problem):
                await blobs.put("a", chunks(b"x"))
        assert len(caplog.records) == 1
        Bucket(bucket.endpoint, bucket.name)
        with caplog.at_level("INFO"):
            await blobs.put("a", chunks(b"x"))
            await blobs.put("b", chunks(b"x"))
        assert [record.message for record in caplog.records[1:]] == ["files work again"]


async def test_a_folder_is_its_owners_alone(tmp_path: Path) -> None:
    """Nobody else on the machine may look into it, whatever the umask."""
    blobs = LocalBlobs(tmp_path / "deep" / "blobs")
    assert (tmp_path / "deep" / "blobs").stat().st_mode & 0o777 == 0o700
    blobs.close()


async def test_a_blob_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes, and every folder on the way to it, before `put` returns; where that fails it is not kept."""
    blobs = LocalBlobs(tmp_path)
    synced: list[str] = []

    def sync(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink().relative_to(tmp_path)))

    monkeypatch.setattr("gateway.blobs.local.os.fsync", sync)
    await blobs.put("1/ab/abc", chunks(b"x"))
    assert [name.partition("#")[0] for name in sorted(synced[:2]) + synced[2:]] == [
        ".",
        "1",
        "1/ab/abc",
        "1/ab",
    ]
    synced.clear()
    await blobs.put("1/ab/abd", chunks(b"x"))
    assert [name.partition("#")[0] for name in synced] == ["1/ab/abd", "1/ab"]

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gateway.blobs.local.os.fsync", fail)
    with pytest.raises(Problem, match="there is no room for files"):
        await blobs.put("1/ab/def", chunks(b"x"))
    assert await listed(blobs) == {"1/ab/abc": 1, "1/ab/abd": 1}
    assert not list(tmp_path.rglob("*#*"))  # noqa: ASYNC240 - it is looked at once, and no loop waits for it
    blobs.close()


async def test_a_long_blob_is_synced_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever commits beside it never waits for more than a MiB of it."""
    blobs = LocalBlobs(tmp_path)
    sizes: list[int] = []
    monkeypatch.setattr(
        "gateway.blobs.local._sync_bytes", lambda handle: sizes.append(os.fstat(handle).st_size)
    )
    await blobs.put("1/a", chunks(bytes(3 * MIB)))
    assert sizes == [MIB, 2 * MIB, 3 * MIB]
    blobs.close()


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE as Linux has it")
async def test_a_full_disk(place: Place) -> None:
    """It is said, nothing is left, and the next finds room again."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, limits[1]))
    try:
        with pytest.raises(Problem, match="there is no room for files") as caught:
            await place.blobs.put("1/a", chunks(bytes(MIB)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.kind is Kind.STORE_FAILED
    assert place.held() == []
    await place.blobs.put("1/a", chunks(bytes(MIB)))
