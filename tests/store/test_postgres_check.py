"""`check_database`: each law, broken by hand in a store that keeps them all, is told as exactly that breach.

The store that is harmed is the one of `test_sqlite_check.py`, row by row, so that both engines are harmed by the same
words (`breaches.py`). Each harm is done in a transaction that is undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.store.postgres.check import check_database, check_postgres, find_breaches, snapshot
from gateway.store.postgres.laws import LAWS
from gateway.store.told import TOLD_MAX
from tests.postgres import beside, database_of, server_url
from tests.store.breaches import NAMES
from tests.store.carried import carry
from tests.store.postgres_breaches import POSTGRES_BREACHES
from tests.store.stage import NOW, Stage
from tests.store.test_sqlite_check import make


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a bit of everything in it."""
    folder = tmp_path_factory.mktemp("sound") / "data"
    asyncio.run(make(folder))
    found = beside(database_of(folder))
    beside(carry(folder / "gateway.db", found))
    return found


@pytest.fixture
async def conn(url: str) -> AsyncIterator[Any]:
    """A connection in a transaction that will be undone."""
    opened: Any = await asyncpg.connect(url)
    transaction = opened.transaction()
    await transaction.start()
    yield opened
    await transaction.rollback()
    await opened.close()


async def test_a_sound_store_breaks_no_law(url: str) -> None:
    """Nothing is told of it, with a loop or without one."""
    assert await check_database(url) == []
    assert await asyncio.to_thread(check_postgres, url) == []


@pytest.mark.parametrize("breach", POSTGRES_BREACHES)
async def test_each_breach_is_told(conn: Any, breach: str) -> None:
    """By one sentence each, and nothing else is."""
    script, *sentences = POSTGRES_BREACHES[breach]
    await conn.execute(script)
    assert sorted(await find_breaches(conn)) == sorted(sentence.format_map(NAMES) for sentence in sentences)


async def test_every_law_is_seen_broken(url: str) -> None:
    """No law is without a case above that breaks it."""
    kept = set(LAWS)
    opened: Any = await asyncpg.connect(url)
    for script, *_ in POSTGRES_BREACHES.values():
        transaction = opened.transaction()
        await transaction.start()
        await opened.execute(script)
        kept -= {law for law in kept if await opened.fetchrow(law)}
        await transaction.rollback()
    await opened.close()
    assert kept == set()


async def test_many_breaches_of_one_law_are_cut(conn: Any) -> None:
    """A damaged store does not fill the screen; other laws are still told."""
    await conn.execute(
        """INSERT INTO body SELECT i, 1, 0, '', '', '', '' FROM generate_series(30, 70) AS n (i);
        UPDATE entry SET data = '{' WHERE kind = 3;
        UPDATE "user" SET delivered = 99 WHERE id = 2"""
    )
    told = await find_breaches(conn)
    assert told[TOLD_MAX] == "and more like: text 50 counts 1 messages, and 0 have it"
    assert told[TOLD_MAX + 1].startswith("user 11 of app demo has delivered seq 99")
    assert all("cannot be read" in sentence for sentence in told[TOLD_MAX + 2 :])


async def test_what_retention_removed_is_no_breach(conn: Any) -> None:
    """Entries at or below the floor are owed by nobody, in a timeline that is emptied too."""
    await conn.execute(
        "UPDATE timeline SET floor = head WHERE id IN (2, 3, 5); DELETE FROM entry WHERE t IN (2, 3, 5)"
    )
    assert await find_breaches(conn) == []


async def test_a_table_that_is_not_there_is_told(conn: Any) -> None:
    """Each law that asks for it says so, and the others are asked all the same."""
    await conn.execute("""DROP TABLE usage; UPDATE "user" SET delivered = 99 WHERE id = 2""")
    told = await find_breaches(conn)
    assert 'the store is damaged: relation "usage" does not exist' in told
    assert any("has delivered seq 99" in sentence for sentence in told)
    await conn.execute("ALTER TABLE entry RENAME TO gone")
    assert (await find_breaches(conn))[-1] == 'the store is damaged: relation "entry" does not exist'


@pytest.mark.parametrize("schema", [0, 99])
async def test_another_schema_is_not_checked(conn: Any, schema: int) -> None:
    """Its laws may be others."""
    await conn.execute(f"UPDATE schema_version SET version = {schema}")
    [told] = await find_breaches(conn)
    assert f"has schema {schema}" in told


async def test_no_store_is_one_sentence() -> None:
    """Of a database without tables, of none, and of what is no URL."""
    [told] = await check_database(server_url())
    assert "has schema 0" in told
    for url in ("postgresql://nobody@127.0.0.1:1/none", "postgresql://nobody@127.0.0.1:none/none"):
        [told] = await check_database(url)
        assert told.startswith("the store on PostgreSQL cannot be read: ")


async def test_it_is_of_one_moment_and_changes_nothing(url: str) -> None:
    """What is committed meanwhile is not seen, and nothing can be written."""
    other: Any = await asyncpg.connect(url)
    async with snapshot(url) as conn:
        assert await find_breaches(conn) == []
        await other.execute("UPDATE body SET refs = refs + 1")
        assert await find_breaches(conn) == []
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await conn.execute("UPDATE body SET refs = 0")
    await other.execute("UPDATE body SET refs = refs - 1")
    await other.close()
    assert await check_database(url) == []


async def test_a_new_store_is_sound(tmp_path: Path) -> None:
    """With an app and a user or two, as the store itself has made them."""
    async with Stage("postgres", tmp_path / "data") as stage:
        await stage.users(11, 12)
        assert await stage.store.register(stage.app.id, "zoe", "record", NOW)
        assert await check_database(await database_of(tmp_path / "data")) == []
