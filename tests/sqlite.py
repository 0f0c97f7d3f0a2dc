"""For the tests that look inside a store on SQLite."""

from __future__ import annotations

from gateway.store.base import Store
from gateway.store.sqlite import SqliteStore


def inside(store: Store) -> SqliteStore:
    """The engine behind the port."""
    assert isinstance(store, SqliteStore), store
    return store
