"""The part of the store port that knows files, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.domain.files import File, Thumb
from gateway.domain.model import State
from gateway.store.files import COLUMNS, file_of, row_of
from gateway.store.postgres.lane import Conn, Lanes
from gateway.store.postgres.texts import count

# Repeated after its outcome was lost, it finds what it has done.
_ADD = f"""
INSERT INTO file ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (uuid) DO NOTHING RETURNING true
"""
_FULL = """
SELECT true FROM app AS a WHERE a.id = $1 AND a.storage_bytes_max > 0 AND a.storage_bytes_max < coalesce(
    (SELECT sum(u.bytes) FROM usage AS u WHERE u.app = a.id), 0)
"""
# Nobody erases the uploader until this has committed.
_UPLOADER = "SELECT state FROM timeline WHERE id = $1 FOR SHARE"
_FIND = f"SELECT {COLUMNS} FROM file WHERE uuid = $1 AND app = $2 AND at > 0"
_DUE = "SELECT true FROM file WHERE at < $1 LIMIT 1"
# What another node is at is left to it. Looked for once: as a condition of the DELETE it may be asked for each row
# anew, and finds others each time.
_DROP = """
WITH due AS MATERIALIZED (SELECT uuid FROM file WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)
DELETE FROM file USING due WHERE file.uuid = due.uuid RETURNING file.app, file.uuid, file.size
"""
_AMONG = "SELECT uuid FROM file WHERE uuid = ANY ($1::text[])"


class Filing(Lanes):
    """What `PostgresStore` does of files; how work gets to a connection is its own."""

    async def add_file(self, file: File) -> bool:
        """Keep a file's row."""
        return await self._write(lambda conn: _add(conn, file))

    async def file(self, app: int, uuid: str) -> File | None:
        """Find a file."""
        row = await self._read(lambda conn: conn.fetchrow(_FIND, uuid, app))
        return row and file_of(row)

    async def set_thumbnail(self, uuid: str, thumb: Thumb, size: int) -> None:
        """Note what has become of a thumbnail."""
        sql = "UPDATE file SET thumb = $1, thumb_size = $2 WHERE uuid = $3"
        await self._write(lambda conn: conn.execute(sql, int(thumb), size, uuid))

    async def discard_file(self, uuid: str) -> None:
        """Let nobody find a file any more."""
        await self._write(lambda conn: conn.execute("UPDATE file SET at = 0 WHERE uuid = $1", uuid))

    async def drop_files(self, before: int, most: int) -> list[tuple[int, str]]:
        """Forget old files."""
        before = max(before, 1)
        # Every node asks every minute, and mostly there is nothing: then nothing is locked either.
        if not await self._look(lambda conn: conn.fetchval(_DUE, before)):
            return []
        return await self._write(lambda conn: _drop(conn, before, most))

    async def files_among(self, uuids: Sequence[str]) -> set[str]:
        """Tell which files are kept."""
        return {uuid for (uuid,) in await self._look(lambda conn: conn.fetch(_AMONG, list(uuids)))}


async def _add(conn: Conn, file: File) -> bool:
    if await conn.fetchval(_UPLOADER, file.uploader) == State.DELETED:
        # Whose user was erased while it came in goes as those did that were there.
        file = msgspec.structs.replace(file, at=0)
    if not await conn.fetchval(_ADD, *row_of(file)):
        return True
    # Counted first and judged then: whoever else adds a file of the app waits for this count, and finds it.
    await count(conn, {file.app: file.size})
    if not await conn.fetchval(_FULL, file.app):
        return True
    await conn.execute("DELETE FROM file WHERE uuid = $1", file.uuid)
    await count(conn, {file.app: -file.size})
    return False


async def _drop(conn: Conn, before: int, most: int) -> list[tuple[int, str]]:
    gone = await conn.fetch(_DROP, before, most)
    freed: dict[int, int] = {}
    for app, _, size in gone:
        freed[app] = freed.get(app, 0) - size
    await count(conn, freed)
    return [(app, uuid) for app, uuid, _ in gone]
