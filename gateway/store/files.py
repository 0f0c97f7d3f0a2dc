"""What both engines say of files in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.domain.files import Box, File, Thumb
from gateway.domain.model import State

COLUMNS = """uuid, app, name, type, size, secret_digest, restricted, thumb_width, thumb_height, uploader, at, thumb,
    thumb_size"""
"""Of a `File`, in the order that `file_of` reads and `row_of` writes."""

FILES = "SELECT app, uuid, size FROM file WHERE at > 0 ORDER BY uuid"
"""The files that there are bytes of; those of users that were erased may have lost theirs."""

FILE_LAWS: tuple[str, ...] = (
    f"""
    SELECT 'file ' || f.uuid || CASE
        WHEN a.id IS NULL THEN ' is of app ' || f.app || ', which does not exist'
        WHEN f.size < 0 THEN ' has ' || f.size || ' bytes'
        WHEN f.thumb_size < 0 OR f.thumb NOT BETWEEN {Thumb.UNMADE:d} AND {Thumb.PNG:d}
            THEN ' has a thumbnail that there cannot be'
        ELSE ' is uploaded by who is no user of its app' END
    FROM file AS f LEFT JOIN app AS a ON a.id = f.app LEFT JOIN timeline AS t ON t.id = f.uploader
    WHERE a.id IS NULL OR f.size < 0 OR f.thumb_size < 0 OR f.thumb NOT BETWEEN {Thumb.UNMADE:d} AND {Thumb.PNG:d}
        OR f.uploader <> 0 AND (t.id IS NULL OR t.app <> f.app OR t.state = {State.DELETED:d} AND f.at > 0)
    """,
)


def file_of(row: Sequence[Any]) -> File:
    """Read a row."""
    uuid, app, name, kind, size, digest, restricted, width, height, uploader, at, thumb, thumb_size = row
    return File(
        uuid=uuid,
        app=app,
        name=name,
        type=kind,
        size=size,
        secret_digest=digest,
        restricted=bool(restricted),
        box=Box(width, height),
        uploader=uploader,
        at=at,
        thumb=Thumb(thumb),
        thumb_size=thumb_size,
    )


def row_of(file: File) -> tuple[Any, ...]:
    """Write a row."""
    return (
        file.uuid,
        file.app,
        file.name,
        file.type,
        file.size,
        file.secret_digest,
        int(file.restricted),
        file.box.width,
        file.box.height,
        file.uploader,
        file.at,
        int(file.thumb),
        file.thumb_size,
    )
