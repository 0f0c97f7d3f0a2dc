"""Opening a store on PostgreSQL: the tables are made once, however many nodes start at the same moment."""

from __future__ import annotations

import asyncio
from math import inf
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.domain.errors import Problem
from gateway.domain.limits import Limits
from gateway.store.errors import StoreError
from gateway.store.postgres.engine import PostgresOptions, PostgresStore, _first_of
from tests.patience import WAIT_S, patient
from tests.postgres import database_of, drop_database, named, server_url
from tests.store.far import opened

LIMITS = patient(Limits())

_WHO_WAITS = """
SELECT pid, backend_start FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND backend_type = 'client backend'
"""


async def test_nodes_that_start_together_make_the_tables_once(tmp_path: Path) -> None:
    """Of many nodes that find an empty database one makes the tables, and all see one epoch."""
    url = await database_of(tmp_path)
    conn = await asyncpg.connect(url)
    await conn.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await conn.close()
    stores = await asyncio.gather(*(PostgresStore.open(PostgresOptions(url=url), LIMITS) for _ in range(5)))
    assert len({store.epoch for store in stores}) == 1
    for store in stores:
        await store.close()
    await drop_database(tmp_path)


async def test_a_node_waits_for_one_that_changes_the_tables(tmp_path: Path) -> None:
    """However long that takes: no statement of the start is cancelled for it, by the server or on this side."""
    url = await database_of(tmp_path)
    hasty = Limits(statement_timeout_ms=100)
    changing, watch = await asyncpg.connect(url), await asyncpg.connect(url)
    async with changing.transaction():
        await changing.execute("SELECT 1 FROM schema_version FOR UPDATE")
        # On a busy machine more than one may be needed to come so far.
        opening = asyncio.ensure_future(opened(url, hasty))
        while not (waits := await watch.fetch(_WHO_WAITS)):
            assert not opening.done()
        # What this side adds to the server's limit is over, too.
        await changing.execute("SELECT pg_sleep(1.2)")
        assert await watch.fetch(_WHO_WAITS) == waits
    await (await opening).close()
    for conn in (changing, watch):
        await conn.close()
    await drop_database(tmp_path)


class Starting:
    """A pool whose server is starting up for so many tries."""

    def __init__(self, tries: float) -> None:
        self.left = tries

    async def acquire(self) -> str:
        self.left -= 1
        if self.left >= 0:
            raise asyncpg.CannotConnectNowError("the database system is starting up")
        return "connection"


@pytest.mark.parametrize(("tries", "retry_ms", "found"), [(2, 100_000, True), (inf, 1, False)])
async def test_a_server_that_is_starting_up(tries: float, retry_ms: int, found: bool) -> None:
    """Is waited for, as beside us after a reboot; not for ever."""
    pool: Any = Starting(tries)
    async with asyncio.timeout(WAIT_S):
        first = _first_of(pool, Limits(store_retry_ms=retry_ms))
        if found:
            assert await first == "connection"
            return
        with pytest.raises(asyncpg.CannotConnectNowError):
            await first


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """A gateway does not touch tables that a newer one has made."""
    url = await database_of(tmp_path)
    conn = await asyncpg.connect(url)
    await conn.execute("UPDATE schema_version SET version = 99")
    await conn.close()
    with pytest.raises(StoreError, match="schema 99, newer"):
        await PostgresStore.open(PostgresOptions(url=url), LIMITS)
    await drop_database(tmp_path)


async def test_a_database_that_is_not_there_is_one_sentence() -> None:
    """What keeps the store from being opened is told in a sentence."""
    with pytest.raises(StoreError, match="cannot open the store on PostgreSQL"):
        await PostgresStore.open(PostgresOptions(url=named(server_url(), "nobody")), LIMITS)


async def test_a_probe_commits_for_real(tmp_path: Path) -> None:
    """A server that answers and takes no writes, as a replica does, is no store; and it works again when it does."""
    url = await database_of(tmp_path)
    name = url.partition("?")[0].rpartition("/")[2]
    store = await PostgresStore.open(PostgresOptions(url=url), LIMITS)
    conn = await asyncpg.connect(server_url())
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    await store.probe()
    await conn.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on; {cut}")
    with pytest.raises(Problem):
        await store.probe()
    await conn.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off; {cut}")
    await store.probe()
    await conn.close()
    await store.close()
    await drop_database(tmp_path)
