"""The store port on PostgreSQL: a pool that writes, a pool that reads, and what becomes of lost connections."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import asyncpg
import msgspec

from gateway.domain.drafts import Answer, Refused, Stale
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.store.answers import decode_answers, encode_answers
from gateway.store.errors import StoreError
from gateway.store.postgres.accounts import Accounts
from gateway.store.postgres.append import Appending
from gateway.store.postgres.conversations import Conversations
from gateway.store.postgres.credentials import Credentials
from gateway.store.postgres.devices import Devices
from gateway.store.postgres.files import Filing
from gateway.store.postgres.group_lists import GroupLists
from gateway.store.postgres.lane import AGAIN, BAD_DATA, LOST, Conn, known_answers, refuse
from gateway.store.postgres.looking import Looking
from gateway.store.postgres.migrate import migrate
from gateway.store.postgres.pages import Pages
from gateway.store.postgres.parties import Parties
from gateway.store.postgres.positions import Positions
from gateway.store.postgres.presence import Presence
from gateway.store.postgres.upkeep import Upkeep
from gateway.store.told import one_line

T = TypeVar("T")
log = logging.getLogger(__name__)

POSTGRES_MIN = 14
"""The first major version whose lock and upsert behaviour is tested here."""


CLOSE_S = 1.0
"""How long the store waits at its end for what is under way; then whoever waits for it hears that it is lost."""


class _UndoneError(Exception):
    """Carries an answer out of a transaction that is to be undone."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class _LostError(Exception):
    """There is no connection, or no longer."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


class PostgresOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the database. `pooled`: through PgBouncer in transaction mode."""

    url: str
    pooled: bool = False


class PostgresStore(
    Appending,
    Parties,
    Credentials,
    Accounts,
    GroupLists,
    Pages,
    Conversations,
    Looking,
    Positions,
    Devices,
    Presence,
    Upkeep,
    Filing,
):
    """The `Store` port on one database, which many nodes share. Made by `open`, which applies migrations."""

    shared = True

    def __init__(self, limits: Limits, writers: asyncpg.Pool, readers: asyncpg.Pool, epoch: str) -> None:
        super().__init__()
        self._limits = limits
        self._writers = writers
        self._readers = readers
        self._epoch = epoch
        self._reading = 0
        self._failing = False
        self._closed = False
        self._under_way = 0
        self._finished = asyncio.Event()

    @classmethod
    async def open(cls, options: PostgresOptions, limits: Limits) -> PostgresStore:
        """Connect, and make the tables where they are missing. Raises `StoreError` with a sentence."""
        pools: list[asyncpg.Pool] = []
        try:
            pools.append(await _open_pool(options, limits, limits.store_writers))
            pools.append(await _open_pool(options, limits, limits.store_readers))
            conn = await _first_of(pools[0], limits)
            version = conn.get_server_version().major
            if version < POSTGRES_MIN:
                raise StoreError(f"PostgreSQL {POSTGRES_MIN} or newer is needed; the server is {version}")
            epoch = await migrate(conn)
            await pools[0].release(conn)
        except BaseException as error:
            for pool in pools:
                pool.terminate()
            if isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)):
                raise StoreError(f"cannot open the store on PostgreSQL: {one_line(error)}") from error
            raise
        return cls(limits, pools[0], pools[1], epoch)

    @property
    def epoch(self) -> str:
        """Return the store's epoch, as last read."""
        return self._epoch

    @property
    def batches_max(self) -> int:
        """How many batches may be in flight, none two of which have a timeline in common."""
        return max(1, self._limits.store_writers - 2)

    async def close(self) -> None:
        """Finish what is under way, for a second at the most, and leave."""
        if self._closed:
            return
        self._closed = True
        with suppress(TimeoutError):
            # A pool that closes takes connections from those who have waited for one.
            async with asyncio.timeout(CLOSE_S):
                while self._under_way:
                    await self._finished.wait()
        await asyncio.gather(_leave(self._writers), _leave(self._readers))

    async def probe(self) -> None:
        """Commit for real: the only proof that the server can, and is no replica by now."""
        await self._write(lambda conn: conn.execute("UPDATE meta SET epoch = epoch"))

    # -- lanes ------------------------------------------------------------------------------------------

    async def _read(self, work: Callable[[Conn], Awaitable[T]]) -> T:
        if self._reading >= self._limits.reads_queue_max:
            raise Problem(Kind.OVERLOADED, "too many reads wait for the store", retry_after_ms=1000)
        return await self._look(work)

    async def _look(self, work: Callable[[Conn], Awaitable[T]]) -> T:
        self._reading += 1
        try:
            return await self._tried(self._readers, work, self._limits.store_retry_ms)
        finally:
            self._reading -= 1

    async def _write(self, work: Callable[[Conn], Awaitable[T]]) -> T:
        async def transaction(conn: Conn) -> T:
            async with conn.transaction():
                return await work(conn)

        return await self._tried(self._writers, transaction, self._limits.store_retry_ms)

    async def _keyed(self, work: Callable[[Conn, str, bool], Awaitable[T]]) -> T:
        key = secrets.token_hex(16)
        tries = 0
        doubtful = False

        async def run(conn: Conn) -> T:
            nonlocal tries, doubtful
            tries += 1
            try:
                return await work(conn, key, tries == 1)
            except LOST as error:
                # A statement that took too long was undone.
                doubtful = doubtful or not isinstance(error, asyncpg.QueryCanceledError)
                raise

        try:
            return await self._tried(self._writers, run, self._limits.batch_retry_ms)
        except Problem as problem:
            if doubtful:
                problem.sentence = (
                    "the store was lost while committing; the outcome is unknown:"
                    " ask again with the same transaction_id"
                )
            raise

    async def _once(self, work: Callable[[Conn], Awaitable[Answer]]) -> Answer:
        async def transaction(conn: Conn, key: str, first: bool) -> Answer:  # noqa: FBT001 - told by `_keyed`
            if not first and (known := await known_answers(conn, key)) is not None:
                return decode_answers(known)[0]
            try:
                async with conn.transaction():
                    answer = await work(conn)
                    if isinstance(answer, (Refused, Stale)):
                        raise _UndoneError(answer)
                    await conn.execute(
                        "INSERT INTO batch (key, answers) VALUES ($1, $2)", key, encode_answers([answer])
                    )
                    return answer
            except _UndoneError as undone:
                # It may have met what an earlier try, whose connection was lost, has committed after all.
                known = None if first else await known_answers(conn, key)
                return undone.answer if known is None else decode_answers(known)[0]
            except asyncpg.UniqueViolationError:
                if first or (known := await known_answers(conn, key)) is None:
                    raise
                return decode_answers(known)[0]

        return await self._keyed(transaction)

    async def _tried(self, pool: asyncpg.Pool, work: Callable[[Conn], Awaitable[T]], within_ms: int) -> T:
        """Run `work` on a connection, again where it was undone by others or its connection was lost."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_ms / 1000
        pause_s = 0.01
        failure: Exception | None = None
        while True:
            self._want_open()
            self._under_way += 1
            self._finished.clear()
            try:
                done = await self._on_one(pool, work, begun=failure is not None)
            except AGAIN as error:
                failure = error
            except _LostError as error:
                failure = error.cause
            else:
                if pool is self._writers:
                    self._works()
                return done
            finally:
                self._under_way -= 1
                if not self._under_way:
                    self._finished.set()
            if loop.time() + pause_s > deadline:
                raise self._failed(failure) from failure
            # Jittered, so that those who undid each other do not meet again.
            await asyncio.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - nothing secret
            pause_s = min(pause_s * 2, 0.5)

    async def _on_one(self, pool: asyncpg.Pool, work: Callable[[Conn], Awaitable[T]], *, begun: bool) -> T:
        """Run `work` on a connection. Raises one of `AGAIN`, or `_LostError`, where it may be run once more.

        Who has `begun` before goes on until there is a connection: what has become of that may not be known.
        """
        try:
            conn = await pool.acquire(timeout=self._limits.pool_wait_ms / 1000)
        except TimeoutError as error:
            if not begun and _is_exhausted(pool):
                raise Problem(
                    Kind.OVERLOADED, "the store has no connection to spare; try again", retry_after_ms=1000
                ) from error
            raise _LostError(error) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise _LostError(error) from error
        try:
            return await work(conn)
        except AGAIN:
            raise
        except BAD_DATA as error:
            raise _bad_data(error) from error
        except LOST as error:
            if not await _is_lost(pool, conn, error):
                raise
            raise _LostError(error) from error
        except asyncpg.PostgresError as error:
            raise self._failed(error) from error
        finally:
            await _release(pool, conn)

    def _want_open(self) -> None:
        if self._closed:
            raise Problem(Kind.STORE_FAILED, "the store is closed")

    def _works(self) -> None:
        if self._failing:
            log.info("the store works again")
            self._failing = False

    def _failed(self, error: Exception) -> Problem:
        # Every caller is told; the log is told once, until a commit says that it is over.
        if not self._failing:
            log.error("the store failed: %s", one_line(error))
            self._failing = True
        return Problem(
            Kind.STORE_FAILED, "the store cannot keep anything now; try again", retry_after_ms=1000
        )


async def _open_pool(options: PostgresOptions, limits: Limits, size: int) -> asyncpg.Pool:
    timeout_s = limits.statement_timeout_ms / 1000
    settings: dict[str, Any] = {}
    if options.pooled:
        # Each transaction may be another connection of the server: nothing may be left behind on one.
        settings = {"statement_cache_size": 0}
    else:
        settings = {
            "server_settings": {
                "application_name": "gateway",
                "statement_timeout": str(limits.statement_timeout_ms),
                "idle_in_transaction_session_timeout": str(limits.statement_timeout_ms),
                # Neither a firewall between forgets a connection that lies idle, nor the server one that is gone.
                "tcp_keepalives_idle": "30",
                "tcp_keepalives_interval": "10",
                "tcp_keepalives_count": "3",
                # Statements are written so that one plan serves all: planning one anew takes as long as doing it.
                "plan_cache_mode": "force_generic_plan",
                "jit": "off",
            }
        }
    return await asyncpg.create_pool(
        options.url,
        min_size=0,
        max_size=size,
        timeout=timeout_s,
        command_timeout=timeout_s + 1,
        reset=_leave_as_it_is,
        **settings,
    )


async def _first_of(pool: asyncpg.Pool, limits: Limits) -> Any:  # noqa: ANN401 - asyncpg has no types
    """Open a first connection. A server that is starting up, as beside us after a reboot, is waited for."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.store_retry_ms / 1000
    while True:
        try:
            return await pool.acquire()
        except asyncpg.CannotConnectNowError:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(0.1)


async def _leave_as_it_is(_: Conn) -> None:
    """Nothing is ever set on a connection that the next one must not find, and a round trip for it is half a batch's.

    A transaction that was left open is rolled back before this.
    """


def _is_exhausted(pool: asyncpg.Pool) -> bool:
    """Whether all connections are there and in use: else it is the server that keeps one waiting."""
    return bool(pool.get_size() >= pool.get_max_size() and not pool.get_idle_size())


async def _is_lost(pool: asyncpg.Pool, conn: asyncpg.pool.PoolConnectionProxy, error: Exception) -> bool:
    """Whether an error of `LOST` says so; a wrong use of asyncpg does not, and fails the same when it is repeated."""
    if isinstance(error, asyncpg.InterfaceError):
        try:
            return bool(conn.is_closed())
        except asyncpg.InterfaceError:
            # The pool has let go of it already.
            return True
    if isinstance(error, (TimeoutError, asyncpg.InternalClientError)):
        # Nobody is there to say goodbye to, and what cut this one may have cut those that lie idle.
        conn.terminate()
        await pool.expire_connections()
    return True


async def _leave(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await pool.close()
    except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        pool.terminate()


async def _release(pool: asyncpg.Pool, conn: Conn) -> None:
    with suppress(asyncpg.PostgresError, *LOST):
        await pool.release(conn, timeout=5)


def _bad_data(error: Exception) -> Problem:
    refused = refuse(error)
    return Problem(refused.kind, refused.sentence)
