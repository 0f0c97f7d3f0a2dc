"""One SQLite connection with the thread that works on it."""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiosqlite
import msgspec

from gateway.domain.limits import Limits

if TYPE_CHECKING:
    from gateway.store.sqlite.touched import Touched

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


class Lane(aiosqlite.Connection):
    """An aiosqlite connection that can run a whole piece of work in one visit to its thread.

    Each visit costs a hand-over between threads, and beside a busy event loop each return from C costs up to a
    GIL switch interval. So a batch is one visit of few statements, not one visit per statement.
    """

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the connection's thread and return what it returns; visits are served in order."""
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]
        return result


class Lanes(ABC):
    """How a part of the store port gets its work to a connection: the engine says, and adds the parts together."""

    _limits: Limits

    @abstractmethod
    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a reader for a caller, who can come back: raises `OVERLOADED` where too many wait."""

    @abstractmethod
    async def _look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a reader for what devices, tokens and this node itself need."""

    @abstractmethod
    async def _write(self, work: Callable[[sqlite3.Connection], T], touched: Touched | None = None) -> T:
        """Run `work` as one transaction. Whatever SQLite refuses is a `Problem`, and all of it is undone.

        `touched` is what it changes of conversations, of one that moves no timeline and changes nobody. Where it is
        not given, that may be anything.
        """


async def open_lane(path: Path, *, readonly: bool) -> Lane:
    """Open a connection in autocommit mode: transactions are begun and ended by hand."""

    def connect() -> sqlite3.Connection:
        conn = sqlite3.connect(
            f"{path.as_uri()}?mode={'ro' if readonly else 'rwc'}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        conn.execute("PRAGMA busy_timeout = 5000")
        conn.execute("PRAGMA cache_size = -16384")
        if readonly:
            conn.execute("PRAGMA query_only = ON")
        else:
            # FULL: every commit is on disk before it returns (design promise 1).
            conn.execute("PRAGMA journal_mode = WAL")
            conn.execute("PRAGMA synchronous = FULL")
            # Sends of many users touch pages all over the file, again and again. Folding the log in less often
            # (32 MiB, not 4) writes each of them fewer times: sends between 1,000 users cost a third less than
            # with 4, a tenth less than with 16; twice as much gains nothing more.
            conn.execute("PRAGMA wal_autocheckpoint = 8000")
            conn.execute("PRAGMA cache_size = -65536")
            # What is deleted is overwritten: the text of a recalled message must not stay in the file's free
            # space. Some builds of SQLite do so by themselves, others don't.
            conn.execute("PRAGMA secure_delete = ON")
        return conn

    lane = Lane(connect, iter_chunk_size=64)
    try:
        await lane
    except BaseException:
        # Its thread still has a word to say to this loop, which may end with the caller's sentence.
        await asyncio.to_thread(lane._thread.join)  # noqa: SLF001
        raise
    return lane


@contextmanager
def snapshot(conn: sqlite3.Connection) -> Iterator[None]:
    """Let the queries of a block answer from one snapshot."""
    conn.execute("BEGIN")
    try:
        yield
    finally:
        conn.execute("COMMIT")


def rows(values: Any) -> str:  # noqa: ANN401 - any rows that JSON can carry
    """Encode rows for `json_each(?)`: one statement takes them all, and the GIL changes hands once."""
    return _encode(values).decode()


def one(conn: sqlite3.Connection, sql: str, params: Any = ()) -> Any:  # noqa: ANN401
    """Return the first row of a query, or None."""
    return conn.execute(sql, params).fetchone()


def table(conn: sqlite3.Connection, sql: str, params: Any = ()) -> list[Any]:  # noqa: ANN401
    """Return all rows of a query whose only column is one JSON array of rows."""
    decoded: list[Any] = msgspec.json.decode(conn.execute(sql, params).fetchone()[0])
    return decoded
