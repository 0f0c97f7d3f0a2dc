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


def check_store(config: Config) -> list[str]:
    """Check the store that the configuration names: one sentence per breach of its laws. It only reads."""
    if config.store.url:
        from gateway.store.postgres.check import check_postgres

        return check_postgres(config.store.url)
    from gateway.store.sqlite.check import check_store as check_sqlite

    return check_sqlite(Path(config.server.data))


def list_files(config: Config) -> list[tuple[int, str, int]]:
    """List the files that the store knows: app, uuid and size. Raises `StoreError` where that cannot be read."""
    if config.store.url:
        from gateway.store.postgres.check import list_files as list_postgres

        return list_postgres(config.store.url)
    from gateway.store.sqlite.check import list_files as list_sqlite

    return list_sqlite(Path(config.server.data))


def export_lines(config: Config, app: str, user: str) -> Iterator[str]:
    """Every line about an app, or about a user of it, as of one moment. Raises `ExportError`."""
    if config.store.url:
        from gateway.store.postgres.export import export_lines as export_postgres

        return export_postgres(config.store.url, app, user)
    from gateway.store.sqlite.export import export_lines as export_sqlite

    return export_sqlite(Path(config.server.data), app, user)
