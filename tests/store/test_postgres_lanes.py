"""What becomes of a call on PostgreSQL that cannot go on: it ends as what it is, and leaves its connection clean."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import pytest

from gateway.domain.drafts import Appended
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.store.postgres.engine import PostgresOptions, PostgresStore
from gateway.store.postgres.lane import Conn
from tests.patience import LATE_S, WAIT_S, patient
from tests.postgres import database_of
from tests.store.far import Far, beyond
from tests.store.meeting import WAITING, until_waiting
from tests.store.stage import Stage

WRITERS = 3
FEW = patient(Limits(store_writers=WRITERS))


@pytest.fixture
def engine() -> str:
    return "postgres"


@pytest.fixture
async def few(stage: Stage) -> AsyncIterator[PostgresStore]:
    """The same store, as a node with few connections has it."""
    opened = await PostgresStore.open(PostgresOptions(url=await database_of(stage.folder)), FEW)
    yield opened
    await opened.close()


@pytest.fixture
async def holder(stage: Stage) -> AsyncIterator[Any]:
    """A connection of somebody else."""
    conn = await asyncpg.connect(await database_of(stage.folder))
    yield conn
    await conn.close()


async def hold(holder: Any, stage: Stage, xid: int) -> Any:
    """Begin a transaction that holds a head."""
    held = holder.transaction()
    await held.start()
    await holder.execute("SELECT 1 FROM timeline WHERE id = $1 FOR UPDATE", await stage.id(xid))
    return held


async def test_a_mistake_is_not_tried_again(few: PostgresStore) -> None:
    """To ask asyncpg for what it cannot do fails the same ever after: whoever wrote it hears so at once."""
    tries = 0

    async def mistaken(conn: Conn) -> None:
        nonlocal tries
        tries += 1
        await conn.fetchval("SELECT $1::bigint")

    for lane in (few._read, few._write):
        with pytest.raises(asyncpg.InterfaceError, match="expects 1 argument"):
            await lane(mistaken)
    assert tries == 2
    await few.probe()


async def test_a_caller_who_goes_away_leaves_nothing(stage: Stage, few: PostgresStore, holder: Any) -> None:
    """What was under way is undone and waits for nothing any more, and every connection is good for the next."""
    await stage.users(1, 2)
    held = await hold(holder, stage, 2)
    waiting = [asyncio.create_task(few.append([stage.text(1, 2)])) for _ in range(WRITERS)]
    await until_waiting(stage, WRITERS)
    for task in waiting:
        task.cancel()
    assert all(
        isinstance(done, asyncio.CancelledError)
        for done in await asyncio.gather(*waiting, return_exceptions=True)
    )
    while await holder.fetchval(WAITING):
        pass
    await held.rollback()
    answers = await asyncio.gather(*(few.append([stage.text(1, 2)]) for _ in range(2 * WRITERS)))
    assert all(isinstance(answer, Appended) for [answer] in answers)
    assert len(await stage.entries(2)) == 2 * WRITERS


async def test_no_connection_to_spare_is_told_plainly(stage: Stage, holder: Any) -> None:
    """Who finds all connections in use for too long may come back; who has one goes on."""
    hasty = msgspec.structs.replace(FEW, pool_wait_ms=200)
    few = await PostgresStore.open(PostgresOptions(url=await database_of(stage.folder)), hasty)
    await stage.users(1, 2)
    held = await hold(holder, stage, 2)
    waiting = [asyncio.create_task(few.append([stage.text(1, 2)])) for _ in range(WRITERS)]
    await until_waiting(stage, WRITERS)
    with pytest.raises(Problem) as caught:
        await few.append([stage.text(1, 2)])
    assert caught.value.kind is Kind.OVERLOADED
    assert caught.value.sentence == "the store has no connection to spare; try again"
    await held.rollback()
    assert all(isinstance(answer, Appended) for [answer] in await asyncio.gather(*waiting))
    await few.close()


@pytest.mark.parametrize("state", ["53100", "53200"])
async def test_a_server_without_room(
    stage: Stage, few: PostgresStore, holder: Any, caplog: pytest.LogCaptureFixture, state: str
) -> None:
    """A disk or memory that is full is the store's failure, told once in the log until something is kept again."""
    await stage.users(1, 2)
    await holder.execute(
        f"""CREATE FUNCTION full_up() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '{state}'; END $$;
        CREATE TRIGGER full_up BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION full_up()"""
    )
    with caplog.at_level(logging.INFO, "gateway.store.postgres.engine"):
        for draft in (stage.text(1, 2), stage.text(1, 2, key="k", digest="d")):
            with pytest.raises(Problem) as caught:
                await few.append([draft])
            assert caught.value.kind is Kind.STORE_FAILED
            # What can be read says nothing of what can be kept.
            assert await few.party(stage.app.id, 2)
        await holder.execute("DROP FUNCTION full_up CASCADE")
        await few.append([stage.text(1, 2, key="k", digest="d")])
    assert [record.message for record in caplog.records] == [
        "the store failed: no room",
        "the store works again",
    ]
    assert len(await stage.entries(2)) == 1


async def test_damage_is_no_fault_of_the_callers(few: PostgresStore) -> None:
    """A number that is given twice is told as what it is, whatever call meets it."""
    with pytest.raises(Problem) as caught:
        await few._write(lambda conn: conn.execute("INSERT INTO meta (one, epoch) VALUES (1, '')"))
    assert caught.value.kind is Kind.INTERNAL


async def test_closing_ends_every_call(
    stage: Stage, few: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is under way is answered or told that the store is closed; nobody hangs, and nothing else is raised."""
    # What takes longer than a second is given up, and may have been kept.
    monkeypatch.setattr("gateway.store.postgres.engine.CLOSE_S", LATE_S)
    calls = [asyncio.ensure_future(few.append([stage.text(1, 2)])) for _ in range(20)]
    calls += [
        asyncio.ensure_future(few.append([stage.text(1, 3, key=str(n), digest="d")])) for n in range(20)
    ]
    await calls[0]
    await few.close()
    done = await asyncio.gather(*calls, return_exceptions=True)
    failed = [error for error in done if isinstance(error, BaseException)]
    assert {error.kind for error in failed if isinstance(error, Problem)} <= {Kind.STORE_FAILED}
    assert all(isinstance(error, Problem) for error in failed)
    kept = await stage.ask("SELECT count(*) FROM message")
    assert kept == [(len(done) - len(failed),)]


async def test_the_server_knows_the_time_too(few: PostgresStore) -> None:
    """It ends by itself a statement that takes too long, and what whoever is gone has begun: locks go with it."""
    names = ["statement_timeout", "idle_in_transaction_session_timeout"]
    asked = "SELECT setting::int FROM pg_settings WHERE name = ANY ($1)"
    told = await few._read(lambda conn: conn.fetch(asked, names))
    assert [setting for (setting,) in told] == [FEW.statement_timeout_ms] * 2


async def test_a_server_that_says_nothing(stage: Stage) -> None:
    """A half-open connection, and others that cannot be opened either: the batch is kept once the network is back."""
    limits = Limits(statement_timeout_ms=300, pool_wait_ms=300, batch_retry_ms=100_000)
    async with beyond(stage, limits) as far:
        await far.store.append([stage.text(1, 2)])
        far.proxy.pause()
        asked = asyncio.ensure_future(far.store.append([stage.text(1, 2)]))
        await _given_up(far, 3)
        far.proxy.resume()
        [answer] = await asked
        assert isinstance(answer, Appended)
        # What lay idle all the while was given up too: nobody else waits for it.
        assert await far.store.party(stage.app.id, 2)
    assert len(await stage.entries(2)) == 2


@pytest.mark.parametrize(
    "call", [lambda store: store.party(1, 2), lambda store: store.probe()], ids=["read", "write"]
)
async def test_a_server_that_stays_away(
    stage: Stage, call: Callable[[PostgresStore], Awaitable[object]]
) -> None:
    """What can be asked again is tried for a while, and then whoever asked is told."""
    async with beyond(stage, Limits(store_retry_ms=300)) as far:
        await call(far.store)
        far.proxy.refuse()
        far.proxy.cut_all()
        before = far.proxy.opened
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(Problem) as caught:
                await call(far.store)
        assert caught.value.kind is Kind.STORE_FAILED
        assert far.proxy.opened > before


async def _given_up(far: Far, count: int) -> None:
    """Return once so many connections were opened after the first ones."""
    before = far.proxy.opened
    async with asyncio.timeout(WAIT_S):
        while far.proxy.opened < before + count:  # noqa: ASYNC110 - the store opens them
            await asyncio.sleep(0.01)
