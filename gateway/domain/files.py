"""Files of an app: what is known of one, what it may be called, and what a thumbnail of it would be made of."""

from __future__ import annotations

import enum
import mimetypes
import re
import unicodedata

import msgspec

ANY_TYPE = "application/octet-stream"
"""What is said of bytes of which nothing is known."""

TYPE_MAX = 127
"""Characters of a media type, as RFC 6838 §4.2 has it."""

_TOKEN = r"[A-Za-z0-9!#$&^_.+-]+"  # noqa: S105 - the word is HTTP's
_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}")


class Depicts(enum.Enum):
    """What a file shows, as its type tells."""

    IMAGE = "image"
    VIDEO = "video"


class Thumb(enum.IntEnum):
    """What has become of a file's thumbnail."""

    UNMADE = 0
    NONE = 1  # it cannot be made: the original stands for it
    JPEG = 2
    PNG = 3


class Box(msgspec.Struct, frozen=True):
    """What a thumbnail fits into, in pixels."""

    width: int
    height: int


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is kept. Its bytes never change.

    `secret_digest` is the SHA-256 of the secret that a restricted one is told to. `uploader` is a user's id, 0 where
    the app itself has uploaded it.
    """

    uuid: str
    app: int
    name: str
    type: str
    size: int
    secret_digest: bytes
    restricted: bool
    box: Box
    uploader: int
    at: int
    thumb: Thumb = Thumb.UNMADE
    thumb_size: int = 0

    @property
    def depicts(self) -> Depicts | None:
        """What it shows: by its type, or by its name where the type says nothing."""
        kind = self.type if self.type != ANY_TYPE else mimetypes.guess_type(self.name)[0] or ""
        family = kind.partition("/")[0]
        return Depicts(family) if family in {"image", "video"} else None


def file_name(told: str, bytes_max: int) -> str:
    """The last component of a path, whichever system it is of; empty where there is none.

    Without what is not to be seen, and cut to so many bytes of UTF-8, the ending kept.
    """
    name = re.split(r"[/\\]", told)[-1]
    name = "".join(char for char in name if unicodedata.category(char)[0] != "C").strip()
    if name in {".", ".."}:
        return ""
    stem, dot, ending = name.rpartition(".")
    ending = f".{ending}" if dot and stem and len(ending.encode()) <= min(16, bytes_max - 2) else ""
    body = name.removesuffix(ending).encode()[: bytes_max - len(ending.encode())]
    return body.decode(errors="ignore") + ending


def media_type(told: str) -> str:
    """A media type without its parameters, in lower case; `ANY_TYPE` where it is none."""
    kind = told.partition(";")[0].strip().lower()
    return kind if len(kind) <= TYPE_MAX and _TYPE.fullmatch(kind) else ANY_TYPE
