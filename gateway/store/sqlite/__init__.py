"""The embedded engine: SQLite through aiosqlite, one process per folder."""

from gateway.store.sqlite.engine import SqliteStore as SqliteStore
