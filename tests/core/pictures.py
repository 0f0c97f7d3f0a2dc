"""Pictures and videos of all kinds, made here; and some that were made to do harm."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import AsyncGenerator
from typing import Any

import av
from PIL import Image

RED = (250, 10, 10)


def picture(
    shape: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (400, 200), **options: Any
) -> bytes:
    """A picture of one colour."""
    made = Image.new("RGBA", size, (*RED, 128)) if "A" in mode else Image.new("RGB", size, RED)
    made = made.convert(mode)
    out = io.BytesIO()
    made.save(out, shape, **options)
    return out.getvalue()


def noise(size: tuple[int, int] = (400, 200)) -> bytes:
    """A JPEG of some tens of kB."""
    out = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def lying() -> bytes:
    """A photograph that is to be turned: taken with the camera on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(exif=exif)


def video(container: str = "mp4", codec: str = "mpeg4", size: tuple[int, int] = (320, 160)) -> bytes:
    """Five frames of one colour."""
    out = io.BytesIO()
    with av.open(out, mode="w", format=container) as film:
        stream: Any = film.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        shot: Any = av.VideoFrame
        for _ in range(5):
            film.mux(stream.encode(shot.from_image(Image.new("RGB", size, RED))))
        film.mux(stream.encode())
    return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of 200 bytes that says it has so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(9)))
        + chunk(b"IEND", b"")
    )


async def chunks(data: bytes, size: int = 64 * 1024) -> AsyncGenerator[bytes, None]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))
