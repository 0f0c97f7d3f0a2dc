"""Files: in as a stream, out whole or in part, shown small, and gone in time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import now_ms
from gateway.core.files import DAY_MS, FileOrder, Shown, Uploaded
from gateway.domain.errors import Kind, Problem
from gateway.domain.files import Box, Thumb
from gateway.domain.limits import Limits
from gateway.outlet.base import Fetched
from tests.core.pictures import chunks, noise, opened, video
from tests.core.stage import Stage, app_of, open_stage, refused

LIMITS = Limits(file_bytes_max=300_000, uploads_max=3, downloads_max=2, sweep_page_max=2, sweep_pause_ms=1)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, LIMITS) as made:
        await made.app()
        yield made


def held(stage: Stage) -> list[str]:
    folder = stage.blobs._folder
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def upload(stage: Stage, data: bytes = b"hello", **members: Any) -> Uploaded:
    told: dict[str, Any] = {
        "name": "a.txt",
        "type": "text/plain",
        "restricted": False,
        "box": lambda: Box(100, 100),
        "uploader": 0,
    }
    return await stage.files.upload(await app_of(stage), FileOrder(**{**told, **members}), chunks(data))


async def find(stage: Stage, number: str, secret: str | None = None) -> Shown:
    return await stage.files.find(await app_of(stage), number, secret)


async def read(stage: Stage, shown: Shown, start: int = 0, length: int | None = None) -> bytes:
    async with stage.files.read(shown, start, shown.size if length is None else length) as found:
        return b"".join([chunk async for chunk in found])


class TestIn:
    """Uploads."""

    async def test_what_goes_in_comes_out(self, stage: Stage) -> None:
        """Its bytes, its name, its type, and parts of it."""
        data = os.urandom(200_000)
        uploaded = await upload(stage, data, name="/home/me/Übung 1.PDF", type="Application/PDF; x=1")
        shown = await find(stage, uploaded.file.uuid.upper())
        assert shown.file == uploaded.file
        assert (shown.file.name, shown.type, shown.size) == ("Übung 1.PDF", "application/pdf", 200_000)
        assert await read(stage, shown) == data
        assert await read(stage, shown, 1_000, 70_000) == data[1_000:71_000]

    async def test_an_empty_one(self, stage: Stage) -> None:
        """Is one like any other."""
        uploaded = await upload(stage, b"")
        assert await read(stage, await find(stage, uploaded.file.uuid)) == b""

    async def test_up_to_the_last_byte(self, stage: Stage) -> None:
        """One more is too large, and nothing of it is kept."""
        await upload(stage, bytes(300_000))
        kept = held(stage)
        with refused(Kind.TOO_LARGE):
            await upload(stage, bytes(300_001))
        assert held(stage) == kept
        assert await stage.store.stored_bytes((await app_of(stage)).id) == 300_000

    async def test_what_is_too_large_is_not_read_to_its_end(self, stage: Stage) -> None:
        """It is refused while it comes in."""
        asked = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal asked
            while asked < 10_000:
                asked += 1
                yield bytes(100_000)

        with refused(Kind.TOO_LARGE):
            await stage.files.upload(
                await app_of(stage),
                FileOrder(name="a", type="", restricted=False, box=lambda: Box(1, 1), uploader=0),
                endless(),
            )
        assert asked == 4

    async def test_one_that_is_cut(self, stage: Stage) -> None:
        """The uploader's own error comes out, and neither row nor bytes are left."""

        async def cut() -> AsyncIterator[bytes]:
            yield b"x" * 100_000
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await stage.files.upload(
                await app_of(stage),
                FileOrder(name="a", type="", restricted=False, box=lambda: Box(1, 1), uploader=0),
                cut(),
            )
        assert held(stage) == []
        assert await stage.store.stored_bytes((await app_of(stage)).id) == 0

    @pytest.mark.parametrize("name", ["", "/", "a/", "..", "\\", "\x00", " "])
    async def test_it_has_a_name(self, stage: Stage, name: str) -> None:
        """One without is refused before a byte is read."""
        with refused(Kind.BAD_PARAMETER):
            await upload(stage, name=name)

    @pytest.mark.parametrize("box", [Box(0, 9), Box(9, 1_025)])
    async def test_its_thumbnail_has_bounds(self, stage: Stage, box: Box) -> None:
        """Sides of 1 to 1,024 pixels."""
        with refused(Kind.BAD_PARAMETER):
            await upload(stage, box=lambda: box)
        assert held(stage) == []

    async def test_an_app_that_is_full(self, stage: Stage) -> None:
        """Files count with its texts; what does not fit leaves nothing."""
        await stage.store.set_limits("demo", {"storage_bytes_max": 10})
        await upload(stage, b"0123456789")
        kept = held(stage)
        with refused(Kind.STORAGE_FULL):
            await upload(stage, b"x")
        assert held(stage) == kept

    async def test_not_all_at_once(self, stage: Stage) -> None:
        """Past the bound the caller comes back later."""
        go = asyncio.Event()

        async def waiting() -> AsyncIterator[bytes]:
            await go.wait()
            yield b"x"

        order = FileOrder(name="a", type="", restricted=False, box=lambda: Box(1, 1), uploader=0)
        app = await app_of(stage)
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(stage.files.upload(app, order, waiting()))
            await asyncio.sleep(0)
            with refused(Kind.OVERLOADED) as refusal:
                await upload(stage)
            go.set()
        assert refusal.retry_after_ms
        await upload(stage)

    async def test_one_app_leaves_places_to_others(self, tmp_path: Path) -> None:
        """Past its own bound it comes back later, while another app uploads and downloads."""
        limits = Limits(uploads_per_app_max=1, downloads_per_app_max=1)
        async with open_stage(tmp_path, limits) as stage:
            await stage.app()
            other = await stage.app("other")
            go = asyncio.Event()

            async def waiting() -> AsyncIterator[bytes]:
                await go.wait()
                yield b"x"

            order = FileOrder(name="a", type="", restricted=False, box=lambda: Box(1, 1), uploader=0)
            shown = await find(stage, (await upload(stage)).file.uuid)
            async with asyncio.TaskGroup() as group:
                group.create_task(stage.files.upload(await app_of(stage), order, waiting()))
                await asyncio.sleep(0)
                with refused(Kind.OVERLOADED) as refusal:
                    await upload(stage)
                assert refusal.retry_after_ms
                theirs = (await stage.files.upload(other, order, chunks(b"theirs"))).file.uuid
                go.set()
            async with stage.files.read(shown, 0, 5):
                with refused(Kind.OVERLOADED):
                    await read(stage, shown)
                assert await read(stage, await stage.files.find(other, theirs, None)) == b"theirs"

    async def test_uploads_at_once_take_no_more_than_the_app_may_store(self, stage: Stage) -> None:
        """What cannot be kept is stopped while it comes; what is kept is within the bound, and one that went frees."""
        await stage.store.set_limits("demo", {"storage_bytes_max": 250_000})
        await upload(stage, bytes(50_000))
        most = 0

        async def slow() -> AsyncIterator[bytes]:
            nonlocal most
            for _ in range(10):
                await asyncio.sleep(0)
                most = max(most, sum(inflow._coming for inflow in stage.files._inflows.values()))
                yield bytes(10_000)

        order = FileOrder(name="a", type="", restricted=False, box=lambda: Box(1, 1), uploader=0)
        app = await app_of(stage)
        told = await asyncio.gather(
            *(stage.files.upload(app, order, slow()) for _ in range(3)), return_exceptions=True
        )
        kinds = [one.kind for one in told if isinstance(one, Problem)]
        assert kinds == [Kind.STORAGE_FULL]
        assert most <= 200_000
        assert await stage.store.stored_bytes(app.id) == 250_000
        assert len(held(stage)) == 3
        assert stage.files._inflows == {}


class TestOut:
    """Downloads."""

    async def test_a_restricted_one_wants_its_secret(self, stage: Stage) -> None:
        """Its own and nobody else's; the store does not hold it."""
        uploaded, other = [await upload(stage, restricted=True) for _ in range(2)]
        for secret in (None, "", other.secret, uploaded.secret[:-1], "\ud800"):
            with refused(Kind.FORBIDDEN):
                await find(stage, uploaded.file.uuid, secret)
        assert (await find(stage, uploaded.file.uuid, uploaded.secret)).size == 5
        assert uploaded.secret.encode() not in uploaded.file.secret_digest

    async def test_an_open_one_wants_none(self, stage: Stage) -> None:
        """A wrong one does no harm."""
        uploaded = await upload(stage)
        for secret in (None, "wrong", uploaded.secret):
            assert (await find(stage, uploaded.file.uuid, secret)).size == 5

    @pytest.mark.parametrize(
        "number", ["", "x", "00000000-0000-4000-8000-000000000000", "a\x00b", "../" * 9, "é" * 36]
    )
    async def test_one_that_is_not_there(self, stage: Stage, number: str) -> None:
        """Whatever it is called."""
        with refused(Kind.FILE_UNKNOWN):
            await find(stage, number)

    async def test_of_another_app(self, stage: Stage) -> None:
        """Apps don't see each other's."""
        uploaded = await upload(stage)
        other = await stage.app("other")
        with refused(Kind.FILE_UNKNOWN):
            await stage.files.find(other, uploaded.file.uuid, uploaded.secret)

    async def test_not_all_at_once(self, stage: Stage) -> None:
        """Past the bound the caller comes back later; one that ends half-way makes room."""
        shown = await find(stage, (await upload(stage)).file.uuid)
        async with stage.files.read(shown, 0, 5), stage.files.read(shown, 0, 5):
            with refused(Kind.OVERLOADED):
                await read(stage, shown)
        assert await read(stage, shown) == b"hello"

    async def test_bytes_that_are_lost(self, stage: Stage) -> None:
        """The file is not there any more, as far as its reader is concerned."""
        uploaded = await upload(stage)
        shown = await find(stage, uploaded.file.uuid)
        await stage.blobs.delete([shown.key])
        with refused(Kind.FILE_UNKNOWN):
            await read(stage, shown)


class TestThumbnails:
    """What is shown instead of a picture or video."""

    async def test_it_is_made_once(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """When it is first asked for, for all who ask then; later it is there."""
        uploaded = await upload(stage, noise(), name="a.jpg", type="image/jpeg")
        shown = await find(stage, uploaded.file.uuid)
        small = await asyncio.gather(*(stage.files.thumbnail(shown) for _ in range(3)))
        assert opened(await read(stage, small[0])).size == (100, 50)
        assert (small[0].type, small[0].tag != shown.tag) == ("image/jpeg", True)
        monkeypatch.setattr(stage.thumbnails, "make", None)
        again = await find(stage, uploaded.file.uuid)
        assert await stage.files.thumbnail(again) == small[0] == small[1] == small[2]

    async def test_a_type_that_says_nothing(self, stage: Stage) -> None:
        """There the name tells what it is."""
        uploaded = await upload(stage, noise(), name="a.jpg", type="application/octet-stream")
        shown = await find(stage, uploaded.file.uuid)
        assert (await stage.files.thumbnail(shown)).size < shown.size

    async def test_of_a_video(self, stage: Stage) -> None:
        """Its first frame."""
        data = video() + bytes(10_000)
        uploaded = await upload(stage, data, name="a.mp4", type="video/mp4")
        small = await stage.files.thumbnail(await find(stage, uploaded.file.uuid))
        assert opened(await read(stage, small)).size == (100, 50)

    async def test_a_small_one_is_its_own(self, stage: Stage) -> None:
        """Nobody makes one for it."""
        uploaded = await upload(stage, b"x" * 9_999, name="a.jpg", type="image/jpeg")
        shown = await find(stage, uploaded.file.uuid)
        assert await stage.files.thumbnail(shown) == shown
        assert (await find(stage, uploaded.file.uuid)).file.thumb is Thumb.UNMADE

    async def test_one_that_cannot_be_read_is_its_own(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And is not tried again."""
        uploaded = await upload(stage, b"x" * 20_000, name="a.jpg", type="image/jpeg")
        shown = await find(stage, uploaded.file.uuid)
        assert await stage.files.thumbnail(shown) == shown
        monkeypatch.setattr(stage.thumbnails, "make", None)
        again = await find(stage, uploaded.file.uuid)
        assert await stage.files.thumbnail(again) == again

    async def test_others_have_none(self, stage: Stage) -> None:
        """What is neither picture nor video."""
        uploaded = await upload(stage, b"x" * 20_000)
        with refused(Kind.FILE_UNKNOWN):
            await stage.files.thumbnail(await find(stage, uploaded.file.uuid))

    async def test_one_that_was_lost_is_made_again(self, stage: Stage) -> None:
        """It can be."""
        uploaded = await upload(stage, noise(), name="a.jpg", type="image/jpeg")
        small = await stage.files.thumbnail(await find(stage, uploaded.file.uuid))
        await stage.blobs.delete([small.key])
        again = await stage.files.thumbnail(await find(stage, uploaded.file.uuid))
        assert opened(await read(stage, again)).size == (100, 50)


class TestGoing:
    """What goes."""

    async def test_the_old_go(self, stage: Stage) -> None:
        """With their bytes and their thumbnails, page by page; none that is young."""
        old = [await upload(stage, noise(), name="a.jpg", type="image/jpeg") for _ in range(5)]
        await stage.files.thumbnail(await find(stage, old[0].file.uuid))
        stage.clock.move(s=1)
        young = await upload(stage)
        now = old[-1].file.at + 30 * DAY_MS
        assert await stage.files.sweep(now) == 0
        assert await stage.files.sweep(now + 1) == 5
        assert [name.rpartition("/")[2] for name in held(stage)] == [young.file.uuid]

    async def test_who_is_too_old_is_not_found(self, stage: Stage) -> None:
        """Before it is removed, too."""
        uploaded = await upload(stage)
        stage.clock.now_ms += 30 * DAY_MS
        await find(stage, uploaded.file.uuid)
        stage.clock.now_ms += 1
        with refused(Kind.FILE_UNKNOWN):
            await find(stage, uploaded.file.uuid)

    async def test_strays_go(self, stage: Stage) -> None:
        """Bytes without a row, once they are an hour old; looked for once an hour, and nothing else goes."""
        stage.clock.now_ms = now_ms()
        kept = await upload(stage, noise(), name="a.jpg", type="image/jpeg")
        await stage.files.thumbnail(await find(stage, kept.file.uuid))
        number = f"{kept.file.uuid[:-4]}ffff"
        for key in (f"1/{number[:2]}/{number}", f"1/{number[:2]}/{number}.thumb"):
            await stage.blobs.put(key, chunks(b"stray"))
        [page] = [page async for page in stage.blobs.pages()]
        put_at = min(blob.at for blob in page)
        for minutes in (60, 100, 119):
            await stage.files.sweep(put_at + minutes * 60_000)
            assert len(held(stage)) == 4
        await stage.files.sweep(put_at + 120 * 60_000)
        assert [name.rpartition("/")[2].partition(".")[0] for name in held(stage)] == [kept.file.uuid] * 2

    async def test_a_row_that_fails_leaves_a_stray_only(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The caller hears that it is not kept."""

        async def fail(_: object) -> bool:
            raise Problem(Kind.STORE_FAILED, "not now")

        monkeypatch.setattr(stage.store, "add_file", fail)
        with refused(Kind.STORE_FAILED):
            await upload(stage)
        assert len(held(stage)) == 1


class TestFetched:
    """Files from elsewhere."""

    def pretend(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes) -> None:
        @asynccontextmanager
        async def fetch(_: str) -> AsyncIterator[Fetched]:
            yield Fetched(name, "image/png", chunks(data))

        monkeypatch.setattr(stage.files._fetcher, "fetch", fetch)

    @pytest.mark.parametrize(("said", "name"), [("a.png", "a.png"), ("", "file"), ("..", "file")])
    async def test_it_is_kept(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, said: str, name: str
    ) -> None:
        """Like one that was uploaded, under whatever name there is."""
        self.pretend(stage, monkeypatch, said, b"hello")
        fetched = await stage.files.fetch(await app_of(stage), "http://example.org/a.png", Box(9, 9))
        with refused(Kind.FILE_UNKNOWN):
            await find(stage, fetched.file.uuid)
        await stage.files.keep(fetched.file, 0)
        shown = await find(stage, fetched.file.uuid)
        assert (shown.file.name, shown.type, await read(stage, shown)) == (name, "image/png", b"hello")

    async def test_one_that_is_taken_back(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Kept or not, nothing is left of it."""
        self.pretend(stage, monkeypatch, "a.png", b"hello")
        for kept in (False, True):
            fetched = await stage.files.fetch(await app_of(stage), "http://example.org/a.png", Box(9, 9))
            if kept:
                await stage.files.keep(fetched.file, 0)
            await stage.files.discard(fetched.file)
            assert held(stage) == []
            with refused(Kind.FILE_UNKNOWN):
                await find(stage, fetched.file.uuid)

    async def test_one_that_is_too_large(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Is a mistake of the URL's, and nothing of it is kept."""
        self.pretend(stage, monkeypatch, "a.png", bytes(300_001))
        with refused(Kind.BAD_PARAMETER) as refusal:
            await stage.files.fetch(await app_of(stage), "http://example.org/a.png", Box(9, 9))
        assert refusal.sentence.startswith("url: ")
        assert held(stage) == []
