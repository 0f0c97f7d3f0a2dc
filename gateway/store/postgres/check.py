"""`gateway check`: does a store keep the laws? Reads only, in one snapshot, beside running nodes or without any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec

from gateway.domain.model import EntryKind
from gateway.store.errors import StoreError
from gateway.store.files import FILES
from gateway.store.laws import who
from gateway.store.postgres.laws import LAWS
from gateway.store.postgres.schema import MIGRATIONS
from gateway.store.told import TOLD_MAX, one_line, tell_breaches

FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError)
"""What connecting and reading may raise; ValueError where a URL is none."""

_CONNECT_S = 10

_TELLING = ", ".join(str(int(kind)) for kind in EntryKind if kind is not EntryKind.MESSAGE)
# Before PostgreSQL 16 nothing there tells what JSON is without failing at what is none.
_TOLD_ENTRIES = f"SELECT t, seq, data FROM entry WHERE kind IN ({_TELLING})"
_UNREADABLE = (
    f"SELECT 'the entry at seq ' || $2::bigint || ' of ' || {who('$1::bigint')} || ' cannot be read'"
)


def check_postgres(url: str) -> list[str]:
    """Check the store at a URL, as `check_database` does, for a caller that has no loop."""
    return asyncio.run(check_database(url))


async def check_database(url: str) -> list[str]:
    """Check the store in a database and return one sentence per breach; none: all is well.

    Every failure to read is such a sentence too. Nothing is changed.
    """
    try:
        async with snapshot(url) as conn:
            return await find_breaches(conn)
    except FAILURES as error:
        return [f"the store on PostgreSQL cannot be read: {one_line(error)}"]


def list_files(url: str) -> list[tuple[int, str, int]]:
    """List the files that there are bytes of: app, uuid and size. Raises `StoreError` where that cannot be read."""

    async def read() -> list[tuple[int, str, int]]:
        async with snapshot(url) as conn:
            return [tuple(row) for row in await conn.fetch(FILES)]

    try:
        return asyncio.run(read())
    except FAILURES as error:
        raise StoreError(f"the store on PostgreSQL cannot be read: {one_line(error)}") from error


@asynccontextmanager
async def snapshot(url: str) -> AsyncIterator[Any]:
    """Yield a connection that reads the moment of its first query only, for as long as it takes."""
    # Without prepared statements that outlive the transaction: behind PgBouncer they would be another connection's.
    conn = await asyncpg.connect(url, timeout=_CONNECT_S, statement_cache_size=0)
    try:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            await conn.execute("SET LOCAL statement_timeout = 0")
            await conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            # Groupings of a large store are sorted in this much memory before they go to a file.
            await conn.execute("SET LOCAL work_mem = '64MB'")
            yield conn
    finally:
        await conn.close(timeout=_CONNECT_S)


async def find_schema(conn: Any) -> int:  # noqa: ANN401 - a connection, of a pool or not
    """Which schema the tables have; 0 where there are none."""
    if await conn.fetchval("SELECT to_regclass('schema_version')") is None:
        return 0
    return await conn.fetchval("SELECT version FROM schema_version WHERE one = 1") or 0


async def find_breaches(conn: Any) -> list[str]:  # noqa: ANN401
    """Ask for the breaches of every law, in the transaction that the connection is in."""
    version, known = await find_schema(conn), len(MIGRATIONS)
    if version != known:
        return [f"the store has schema {version}, and this gateway checks schema {known} only"]
    # Nothing is changed after it: whatever law cannot be asked, the others are asked from here.
    await conn.execute("SAVEPOINT laws")
    breaches: list[str] = []
    for law in LAWS:
        breaches += await _told(conn, _ask(conn, law))
    return breaches + await _told(conn, unreadable(conn))


async def _told(conn: Any, asked: Awaitable[list[str]]) -> list[str]:  # noqa: ANN401
    """Tell the breaches of one law. Where damage keeps it from being read, that is the one told."""
    try:
        return tell_breaches(await asked)
    except asyncpg.PostgresError as error:
        await conn.execute("ROLLBACK TO SAVEPOINT laws")
        return [f"the store is damaged: {one_line(error)}"]


async def _ask(conn: Any, law: str) -> list[str]:  # noqa: ANN401
    cursor = await conn.cursor(law)
    return [sentence for (sentence,) in await cursor.fetch(TOLD_MAX + 1)]


async def unreadable(conn: Any) -> list[str]:  # noqa: ANN401
    """Find entries that tell of something and are no JSON."""
    found: list[tuple[int, int]] = []
    async for timeline_id, seq, data in conn.cursor(_TOLD_ENTRIES, prefetch=1000):
        try:
            msgspec.json.decode(data)
        except msgspec.DecodeError:
            found.append((timeline_id, seq))
        if len(found) > TOLD_MAX:
            break
    return [await conn.fetchval(_UNREADABLE, *entry) for entry in found]
