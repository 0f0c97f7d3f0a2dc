"""The part of the store port that knows files, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from gateway.domain.files import File, Thumb
from gateway.domain.model import State
from gateway.store.files import COLUMNS, file_of, row_of
from gateway.store.sqlite.lane import Lanes, one, rows
from gateway.store.sqlite.texts import count

_ADD = f"INSERT INTO file ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ERASED = f"SELECT 1 FROM timeline WHERE id = ? AND state = {State.DELETED:d}"
_FULL = "SELECT 1 FROM app WHERE id = ? AND storage_bytes_max > 0 AND stored_bytes + ? > storage_bytes_max"
_FIND = f"SELECT {COLUMNS} FROM file WHERE uuid = ? AND app = ? AND at > 0"
_OLD = "SELECT uuid FROM file WHERE at < ? ORDER BY at LIMIT ?"
_DROP = "DELETE FROM file WHERE uuid IN (SELECT value FROM json_each(?)) RETURNING app, uuid, size"
_AMONG = "SELECT uuid FROM file WHERE uuid IN (SELECT value FROM json_each(?))"


class Filing(Lanes):
    """What `SqliteStore` does of files; how work gets to a connection is its own."""

    async def add_file(self, file: File) -> bool:
        """Keep a file's row."""
        return await self._write(lambda conn: _add(conn, file))

    async def file(self, app: int, uuid: str) -> File | None:
        """Find a file."""
        row = await self._read(lambda conn: one(conn, _FIND, (uuid, app)))
        return row and file_of(row)

    async def set_thumbnail(self, uuid: str, thumb: Thumb, size: int) -> None:
        """Note what has become of a thumbnail."""
        sql = "UPDATE file SET thumb = ?, thumb_size = ? WHERE uuid = ?"
        await self._write(lambda conn: conn.execute(sql, (thumb, size, uuid)))

    async def discard_file(self, uuid: str) -> None:
        """Let nobody find a file any more."""
        await self._write(lambda conn: conn.execute("UPDATE file SET at = 0 WHERE uuid = ?", (uuid,)))

    async def drop_files(self, before: int, most: int) -> list[tuple[int, str]]:
        """Forget old files."""
        # Asked every minute, and mostly in vain: the writer is troubled only where there is something to do.
        before = max(before, 1)
        if not await self._look(lambda conn: conn.execute(_OLD, (before, 1)).fetchall()):
            return []
        return await self._write(lambda conn: _drop(conn, before, most))

    async def files_among(self, uuids: Sequence[str]) -> set[str]:
        """Tell which files are kept."""
        found = await self._look(lambda conn: conn.execute(_AMONG, (rows(list(uuids)),)).fetchall())
        return {uuid for (uuid,) in found}


def _add(conn: sqlite3.Connection, file: File) -> bool:
    if one(conn, _FULL, (file.app, file.size)):
        return False
    if one(conn, _ERASED, (file.uploader,)):
        # Whose user was erased while it came in goes as those did that were there.
        file = msgspec.structs.replace(file, at=0)
    conn.execute(_ADD, row_of(file))
    count(conn, {file.app: file.size})
    return True


def _drop(conn: sqlite3.Connection, before: int, most: int) -> list[tuple[int, str]]:
    old = [uuid for (uuid,) in conn.execute(_OLD, (before, most)).fetchall()]
    gone = conn.execute(_DROP, (rows(old),)).fetchall()
    freed: dict[int, int] = {}
    for app, _, size in gone:
        freed[app] = freed.get(app, 0) - size
    count(conn, freed)
    return [(app, uuid) for app, uuid, _ in gone]
