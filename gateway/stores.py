"""Which store a configuration means: the one place that knows the engines."""

from __future__ import annotations

from collections.abc import Iterator
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


def check(config: Config) -> list[str]:
    """Verify the laws of the store, reading only: one sentence for each breach, none where all is well."""
    if config.store.url:
        from gateway.store.postgres.check import check_postgres

        return check_postgres(config.store.url)
    from gateway.store.sqlite.check import check_store

    return check_store(Path(config.server.data))


def export_lines(config: Config, app: str, user: str) -> Iterator[str]:
    """Every line about an app, or about its user of this id or name, as of one moment. Raises `ExportError`."""
    if config.store.url:
        from gateway.store.postgres import export

        return export.export_lines(config.store.url, app, user)
    from gateway.store.sqlite import export as of_folder

    return of_folder.export_lines(Path(config.server.data), app, user)
