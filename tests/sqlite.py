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


def inside(store: Store) -> SqliteStore:
    """The engine behind the port."""
    assert isinstance(store, SqliteStore), store
    return store
