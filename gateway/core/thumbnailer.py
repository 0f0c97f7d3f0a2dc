"""The program that makes thumbnails, in a process of its own: what it is given may be made to do harm.

It reads requests from its input and writes what has come of each to its output, until its input ends. It can open no
file and no connection, and has so much memory and time; whoever started it watches the clock.
"""

from __future__ import annotations

import io
import os
import resource
import sys

import av
import msgspec
from PIL import Image, ImageOps

from gateway.core.thumbnails import ANSWER, LENGTH, Head
from gateway.domain.files import Box, Depicts, Thumb

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
"""Of pictures that are read; JPEG's brings MPO along, which cameras write."""

QUALITY = 80

_GENTLE = 10
_CONTAINERS = (
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (8, b"AVI ", "avi"),
    (0, b"FLV", "flv"),
    (0, b"OggS", "ogg"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    *((4, box, "mov") for box in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
)


class _UnreadableError(Exception):
    """There is no thumbnail of it."""


def make(head: Head, data: bytes) -> tuple[Thumb, bytes]:
    """Make a thumbnail: as large as fits the box, never larger than the picture, PNG where it is transparent.

    The size that a picture or video says it has is judged before anything is decoded.
    """
    try:
        if head.depicts is Depicts.IMAGE:
            return _of_picture(head, data)
        return _of_video(head, data)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - whatever a decoder says of what may be made to break it
        return Thumb.NONE, b""


def _of_picture(head: Head, data: bytes) -> tuple[Thumb, bytes]:
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        _judge(picture.width, picture.height, head.pixels_max)
        # What stands on its side fits a box that lies on it.
        turned = picture.getexif().get(0x0112, 1) >= 5  # noqa: PLR2004 - EXIF's Orientation, 5 to 8
        box = (head.box.height, head.box.width) if turned else (head.box.width, head.box.height)
        picture.draft("RGB", box)
        ready = _plain(picture)
        ready.thumbnail(box)
        return _written(ImageOps.exif_transpose(ready))


def _plain(picture: Image.Image) -> Image.Image:
    """Turn palettes and other spaces of colours into what can be scaled and written."""
    if picture.has_transparency_data:
        return picture if picture.mode == "RGBA" else picture.convert("RGBA")
    if picture.mode.startswith("I"):
        # 16 bits of grey.
        picture = picture.point(lambda value: value / 256, "L") if picture.mode == "I;16" else picture
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _of_video(head: Head, data: bytes) -> tuple[Thumb, bytes]:
    # By name, never by guess: some formats are lists of other files.
    kind = next((kind for at, sign, kind in _CONTAINERS if data[at : at + len(sign)] == sign), None)
    if kind is None:
        raise _UnreadableError
    with av.open(io.BytesIO(data), mode="r", format=kind, metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        _judge(stream.codec_context.width, stream.codec_context.height, head.pixels_max)
        frame = next(container.decode(stream))
        _judge(frame.width, frame.height, head.pixels_max)
        picture: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
    # Told in degrees that it is to be turned back by.
    picture = picture.rotate(frame.rotation, expand=True)
    picture.thumbnail((head.box.width, head.box.height))
    return _written(picture)


def _judge(width: int, height: int, pixels_max: int) -> None:
    if not 0 < width * height <= pixels_max:
        raise _UnreadableError


def _written(picture: Image.Image) -> tuple[Thumb, bytes]:
    out = io.BytesIO()
    picture.info.clear()
    if picture.mode == "RGBA":
        picture.save(out, "PNG")
        return Thumb.PNG, out.getvalue()
    picture.save(out, "JPEG", quality=QUALITY)
    return Thumb.JPEG, out.getvalue()


def _rehearse() -> None:
    """Make one of each kind, so that all is loaded which is loaded only when it is needed."""
    side = 16
    picture = Image.new("RGBA", (side, side))
    film, frame = io.BytesIO(), io.BytesIO()
    shot: av.VideoFrame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
    with av.open(film, mode="w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = side, side, "yuvj420p"
        for packets in (stream.encode(shot), stream.encode()):
            container.mux(packets)
    for shape in FORMATS:
        picture.convert("RGB").save(frame, shape)
    for depicts, data in ((Depicts.VIDEO, film.getvalue()), (Depicts.IMAGE, _written(picture)[1])):
        thumb, _ = make(Head(depicts, Box(side, side), len(data), side * side), data)
        assert thumb is not Thumb.NONE


def _confine(memory_bytes: int) -> None:
    """Give away all that is not needed, once everything is loaded."""
    os.nice(_GENTLE)
    Image.MAX_IMAGE_PIXELS = None  # judged here, by a limit that can be set
    _rehearse()
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 1),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(what, (most, most))


def main() -> None:
    """Serve until the input ends. Arguments: bytes of memory, and seconds of work on one request."""
    memory_bytes, cpu_s = int(sys.argv[1]), int(sys.argv[2])
    source, out = sys.stdin.buffer, sys.stdout.buffer
    _confine(memory_bytes)
    decode = msgspec.msgpack.Decoder(Head).decode
    while length := source.read(LENGTH.size):
        head = decode(source.read(*LENGTH.unpack(length)))
        data = source.read(head.size)
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent_s = int(used.ru_utime + used.ru_stime)
        resource.setrlimit(resource.RLIMIT_CPU, (spent_s + cpu_s + 1, resource.RLIM_INFINITY))
        thumb, made = make(head, data)
        out.write(ANSWER.pack(thumb, len(made)) + made)
        out.flush()
        del data, made


if __name__ == "__main__":
    main()
