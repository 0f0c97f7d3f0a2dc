"""Thumbnails: what they are made of, and what the worker is spared and survives."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.core.thumbnailer import make
from gateway.core.thumbnails import Head, Made, Thumbnails
from gateway.domain.errors import Kind, Problem
from gateway.domain.files import Box, Depicts, Thumb
from gateway.domain.limits import Limits
from tests.core.pictures import RED, bomb, chunks, lying, noise, opened, picture, video
from tests.core.stage import refused
from tests.patience import patient

BOX = Box(100, 100)
PIXELS_MAX = 40_000_000


def made_of(
    data: bytes, box: Box = BOX, *, depicts: Depicts = Depicts.IMAGE, most: int = PIXELS_MAX
) -> Made | None:
    thumb, made = make(Head(depicts, box, len(data), most), data)
    return None if thumb is Thumb.NONE else Made(thumb, made)


def is_red(data: bytes) -> bool:
    pixel = opened(data).convert("RGB").getpixel((5, 5))
    assert isinstance(pixel, tuple)
    return all(abs(a - b) < 12 for a, b in zip(pixel, RED, strict=True))


class TestPictures:
    """Of pictures."""

    @pytest.mark.parametrize(
        ("shape", "mode"),
        [
            ("JPEG", "RGB"),
            ("JPEG", "CMYK"),
            ("PNG", "RGB"),
            ("PNG", "P"),
            ("WEBP", "RGB"),
            ("BMP", "RGB"),
            ("GIF", "P"),
        ],
    )
    def test_opaque_ones_become_jpeg(self, shape: str, mode: str) -> None:
        """Whatever they were, in the same proportions."""
        made = made_of(picture(shape, mode))
        assert made is not None
        assert made.thumb is Thumb.JPEG
        assert opened(made.data).format == "JPEG"
        assert opened(made.data).size == (100, 50)
        assert is_red(made.data)

    @pytest.mark.parametrize(("shape", "mode"), [("PNG", "RGBA"), ("WEBP", "RGBA"), ("PNG", "LA")])
    def test_transparent_ones_become_png(self, shape: str, mode: str) -> None:
        """What can be seen through stays so."""
        made = made_of(picture(shape, mode))
        assert made is not None
        assert made.thumb is Thumb.PNG
        assert (opened(made.data).format, opened(made.data).mode) == ("PNG", "RGBA")

    @pytest.mark.parametrize(
        ("box", "size"), [(Box(100, 20), (40, 20)), (Box(20, 100), (20, 10)), (Box(1024, 1024), (400, 200))]
    )
    def test_it_fits_and_is_never_enlarged(self, box: Box, size: tuple[int, int]) -> None:
        """Neither side is longer than the box's, nor than the picture's own."""
        made = made_of(picture(), box)
        assert made is not None
        assert opened(made.data).size == size

    def test_a_camera_on_its_side(self) -> None:
        """EXIF's orientation is honoured, and nothing else of what a camera tells is kept."""
        made = made_of(lying(), Box(100, 60))
        assert made is not None
        assert opened(made.data).size == (30, 60)
        assert not opened(made.data).getexif()

    def test_only_the_first_frame(self) -> None:
        """Of what moves."""
        second = opened(picture("PNG")).convert("L").convert("P")
        made = made_of(picture("GIF", "P", save_all=True, append_images=[second]))
        assert made is not None
        assert is_red(made.data)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"x" * 20_000,
            picture("TIFF"),
            picture("ICO", size=(64, 64)),
            noise()[:9_000],
            picture("PNG")[:60],
            picture("WEBP")[:40],
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        ],
        ids=["empty", "noise", "tiff", "ico", "cut jpeg", "cut png", "cut webp", "eps", "svg"],
    )
    def test_what_cannot_be_read(self, data: bytes) -> None:
        """Other formats, and what is cut off or none at all: there is no thumbnail of it."""
        assert made_of(data) is None

    def test_the_size_is_judged_before_the_pixels(self) -> None:
        """By what the head says; one pixel too many is too many."""
        assert made_of(bomb(60_000, 60_000)) is None
        assert made_of(picture(), most=80_000) is not None
        assert made_of(picture(), most=79_999) is None
        assert made_of(picture("WEBP"), most=79_999) is None


class TestVideos:
    """Of videos."""

    @pytest.mark.parametrize(
        ("container", "codec"), [("mp4", "mpeg4"), ("webm", "libvpx"), ("avi", "mpeg4"), ("flv", "flv1")]
    )
    def test_the_first_frame(self, container: str, codec: str) -> None:
        """As a JPEG that fits."""
        made = made_of(video(container, codec), depicts=Depicts.VIDEO)
        assert made is not None
        assert (made.thumb, opened(made.data).size) == (Thumb.JPEG, (100, 50))
        assert is_red(made.data)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            video()[:900],
            b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n",
            b"ffconcat version 1.0\nfile /etc/hostname\n",
        ],
        ids=["empty", "cut", "list", "other list"],
    )
    def test_what_cannot_be_read(self, data: bytes) -> None:
        """What is cut off, and what is a list of other files."""
        assert made_of(data, depicts=Depicts.VIDEO) is None

    def test_the_size_is_judged(self) -> None:
        """Before a frame is decoded."""
        assert made_of(video(), depicts=Depicts.VIDEO, most=51_199) is None
        assert made_of(video(), depicts=Depicts.VIDEO, most=51_200) is not None


Making = Callable[..., Thumbnails]


@pytest.fixture
async def making() -> AsyncIterator[Making]:
    """Makes makers of thumbnails, whose workers end with the test."""
    made: list[Thumbnails] = []

    def begin(**limits: int) -> Thumbnails:
        made.append(Thumbnails(patient(Limits(**limits))))
        return made[-1]

    yield begin
    for thumbnails in made:
        await thumbnails.close()


async def ask(thumbnails: Thumbnails, data: bytes, depicts: Depicts = Depicts.IMAGE) -> Made | None:
    return await thumbnails.make(depicts, BOX, len(data), chunks(data))


def pid_of(thumbnails: Thumbnails) -> int:
    assert thumbnails._worker is not None
    return thumbnails._worker.pid


class TestWorker:
    """The process that makes them."""

    async def test_one_process_makes_them_all(self, making: Making) -> None:
        """Pictures, videos, and what is neither, in the same one."""
        thumbnails = making()
        first = await ask(thumbnails, noise())
        pid = pid_of(thumbnails)
        found = [
            await ask(thumbnails, data) for data in (b"none", bomb(60_000, 60_000), picture("PNG", "RGBA"))
        ]
        film = await ask(thumbnails, video(), Depicts.VIDEO)
        assert [made and made.thumb for made in (first, *found, film)] == [
            Thumb.JPEG,
            None,
            None,
            Thumb.PNG,
            Thumb.JPEG,
        ]
        assert pid_of(thumbnails) == pid

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
    async def test_it_can_reach_nothing(self, making: Making, monkeypatch: pytest.MonkeyPatch) -> None:
        """No file, no connection, little memory, and none of our variables."""
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        thumbnails = making(thumbnail_memory_bytes_max=900_000_000)
        await ask(thumbnails, noise())
        process = Path(f"/proc/{pid_of(thumbnails)}")
        limits = await asyncio.to_thread((process / "limits").read_text)
        told = {line[:25].strip(): line[25:].split()[1] for line in limits.splitlines()[1:]}
        assert {
            name: told[name] for name in ("Max open files", "Max address space", "Max core file size")
        } == {
            "Max open files": "0",
            "Max address space": "900000000",
            "Max core file size": "0",
        }
        assert b"secret" not in await asyncio.to_thread((process / "environ").read_bytes)

    async def test_one_that_grows_is_replaced(self, making: Making) -> None:
        """What needs more memory than a new one has is without a thumbnail, and the next has one."""
        thumbnails = making(thumbnail_memory_bytes_max=210_000_000)
        assert await ask(thumbnails, noise()) is not None
        pid = pid_of(thumbnails)
        grown = picture("PNG", size=(4_000, 5_000))
        with refused(Kind.OVERLOADED):
            await ask(thumbnails, grown)
        assert await ask(thumbnails, grown) is None
        assert await ask(thumbnails, noise()) is not None
        assert pid_of(thumbnails) != pid

    async def test_one_that_dies_is_replaced(self, making: Making) -> None:
        """Whatever it died of: at once where that is known, else with the next request."""
        thumbnails = making()
        await ask(thumbnails, noise())
        os.kill(pid_of(thumbnails), 9)
        with suppress(Problem):
            await ask(thumbnails, noise())
        assert await ask(thumbnails, noise()) is not None

    async def test_one_that_hangs_is_killed(
        self, making: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When its time is over, and the next is another."""
        self.pretend(tmp_path, monkeypatch, "import time; time.sleep(600)")
        thumbnails = making(thumbnail_timeout_ms=300)
        assert await ask(thumbnails, noise()) is None
        assert thumbnails._worker is None

    async def test_one_that_says_too_much_is_killed(
        self, making: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """More bytes than a thumbnail can have are not waited for."""
        self.pretend(
            tmp_path,
            monkeypatch,
            r"import os; os.write(1, b'\x02\xff\xff\xff\xff' + bytes(99)); os.read(0, 9)",
        )
        thumbnails = making()
        assert await ask(thumbnails, noise()) is None
        assert thumbnails._worker is None

    def pretend(self, folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
        """Have another program run as the worker."""
        package = folder / "gateway" / "core"
        package.mkdir(parents=True)
        for path in (package.parent, package):
            (path / "__init__.py").touch()
        (package / "thumbnailer.py").write_text(textwrap.dedent(program), encoding="utf-8")
        monkeypatch.setattr(sys, "path", [str(folder), *sys.path])

    async def test_what_the_bytes_come_from_may_fail(self, making: Making) -> None:
        """The caller hears it, and the next request is not taken for the rest of this one."""
        thumbnails = making()

        async def failing() -> AsyncGenerator[bytes, None]:
            yield b"x" * 1_000
            raise LookupError

        with pytest.raises(LookupError):
            await thumbnails.make(Depicts.IMAGE, BOX, 100_000, failing())
        assert await ask(thumbnails, noise()) is not None

    async def test_what_waits_is_bounded(self, making: Making) -> None:
        """Past the bound the caller comes back later."""
        thumbnails = making(thumbnails_waiting_max=2)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(thumbnails, noise())) for _ in range(2)]
            await asyncio.sleep(0)
            with refused(Kind.OVERLOADED) as refusal:
                await ask(thumbnails, noise())
        assert refusal.retry_after_ms
        assert all(task.result() for task in asked)

    async def test_it_ends_with_us(self, making: Making) -> None:
        """Closed, or without us at the other end."""
        thumbnails = making()
        await ask(thumbnails, noise())
        worker = thumbnails._worker
        assert worker is not None
        assert worker.stdin is not None
        worker.stdin.close()
        assert await worker.wait() == 0
