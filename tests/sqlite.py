"""SQLite for tests: folders that have their tables already, and a look inside a store."""

from __future__ import annotations

import functools
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from gateway.store.base import Store
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite.folder import migrate, private
from tests.patience import WAIT_S


@functools.cache
def _tables() -> bytes:
    """The file of a store that has all tables and was never opened: whoever opens it gives it an epoch."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as conn:
            conn.execute("PRAGMA journal_mode = WAL")
            migrate(conn)
            conn.execute("DELETE FROM meta")
        return path.read_bytes()


def lay_tables(folder: Path) -> None:
    """Have all tables in a folder where no store has been yet: making them takes most of what opening it takes.

    A store of its own makes them in the tests of that, and wherever a process is started.
    """
    path = folder / "gateway.db"
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(private(str(path), os.O_WRONLY), "wb") as file:
            file.write(_tables())


def hold(folder: Path, place: str, most: int) -> None:
    """Let no row come past this in a `table.column`, until `release`: whoever writes it there is refused.

    A test that wants to be in the middle of something may come late to it, by as long as it likes.
    """
    table, _, column = place.partition(".")
    _change(
        folder,
        f"""CREATE TRIGGER held BEFORE UPDATE OF {column} ON {table} WHEN new.{column} > {most}
        BEGIN SELECT RAISE(ABORT, 'held'); END""",
    )


def release(folder: Path) -> None:
    """Take back what `hold` has done."""
    _change(folder, "DROP TRIGGER held")


def _change(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / "gateway.db", timeout=WAIT_S)) as conn, conn:
        conn.execute(sql)


def inside(store: Store) -> SqliteStore:
    """The engine behind the port."""
    assert isinstance(store, SqliteStore), store
    return store
