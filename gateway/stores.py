"""Which store a configuration means: the one place that knows the engines."""

from __future__ import annotations

from pathlib import Path

from gateway.config import Config
from gateway.store.base import Store


async def open_store(config: Config) -> Store:
    """Open the store that the configuration names. Raises `StoreError` with a sentence."""
    # Each engine brings its driver, and a command that uses one need not wait for the other.
    if config.store.url:
        from gateway.store.postgres.engine import PostgresOptions, PostgresStore

        options = PostgresOptions(url=config.store.url, pooled=config.store.pgbouncer)
        return await PostgresStore.open(options, config.limits)
    from gateway.store.sqlite import SqliteStore

    return await SqliteStore.open(Path(config.server.data), config.limits)
