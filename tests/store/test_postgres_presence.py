"""Nodes that die and nodes that race: what is promised where several write to one PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import msgspec
import pytest

from gateway.domain.drafts import JobDraft, JobKind
from gateway.domain.positions import Ack, Advanced, Attach, Attachment, Keep
from gateway.store.base import Store
from gateway.store.postgres.jobs import start
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.presence import LONG_DEAD
from gateway.store.postgres.users import remove_device
from tests.patience import WAIT_S, patient
from tests.postgres import database_of, drop_database
from tests.store.meeting import WAITING, meets
from tests.store.stage import LIMITS, NOW, Stage, open_store

T = TypeVar("T")
NODE, OTHER = 101, 102
BOUNDS = patient(msgspec.structs.replace(LIMITS, devices_per_user_max=3))


class Nodes:
    """Two stores on one database, a user with a message in its timeline, and a connection of the test's own."""

    def __init__(self, stage: Stage, other: Store, conn: Any, user_id: int) -> None:
        self.stage = stage
        self.one = stage.store
        self.other = other
        self.conn = conn
        self.user_id = user_id

    async def attach(self, sn: int = 1, node: int = NODE) -> Attachment:
        store = self.one if node == NODE else self.other
        [number] = await store.attach([Attach(self.user_id, sn, node)])
        return Attachment(self.user_id, sn, number)

    def ack(self, connection: Attachment, seq: int = 1) -> Ack:
        return Ack(self.user_id, 2, connection.device_sn, self.user_id, seq, NOW, connection.attach_no)

    def keep(self, connection: Attachment, cursor: int = 0, at: int = NOW) -> Keep:
        return Keep(
            self.user_id, connection.device_sn, at, {self.user_id: cursor}, (), attach_no=connection.attach_no
        )

    async def silent(self, node: int, times: float) -> None:
        """Let a node not have beaten for so many times as long as makes it dead."""
        await self.conn.execute(
            "UPDATE node SET seen_at = now() - $2 * interval '1 ms' WHERE id = $1",
            node,
            times * BOUNDS.node_timeout_ms,
        )

    async def rows(self, node: int) -> int:
        count: int = await self.conn.fetchval("SELECT count(*) FROM attached WHERE node = $1", node)
        return count

    async def blocked(self, count: int = 1) -> None:
        """Wait until so many transactions wait for another one."""
        async with asyncio.timeout(WAIT_S):
            while await self.conn.fetchval(WAITING) < count:  # noqa: ASYNC110 - another process changes it
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def held(self, sql: str, *args: Any) -> AsyncIterator[None]:
        """Hold what a statement locks for the length of a block."""
        held = await asyncpg.connect(await database_of(self.stage.folder))
        try:
            async with held.transaction():
                await held.execute(sql, *args)
                yield
        finally:
            await held.close()


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    folder = tmp_path / "data"
    async with Stage("postgres", folder, BOUNDS) as stage:
        other = await open_store("postgres", folder, BOUNDS)
        conn = await asyncpg.connect(await database_of(folder))
        await stage.user(1)
        user = await stage.user(2)
        for number in (1, 2, 3):
            await conn.execute(_MESSAGE, number, user.id, await stage.id(1))
        await stage.store.beat(NODE)
        await other.beat(OTHER)
        yield Nodes(stage, other, conn, user.id)
        await conn.close()
        await other.close()
    await drop_database(folder)


_MESSAGE = """
WITH head AS (UPDATE timeline SET head = $1 WHERE id = $2),
said AS (INSERT INTO message (msg_id, target, peer, sender, device_sn, seq, ctype, flags, at, shown)
    VALUES ($1, $2, $3, $3, 0, $1, 0, 0, 0, 1)),
entries AS (INSERT INTO entry (t, seq, kind, msg_id, data) VALUES ($2, $1, 1, $1, ''))
INSERT INTO conversation (usr, opp, last) VALUES ($2, $3, $1) ON CONFLICT (usr, opp) DO UPDATE SET last = $1
"""


async def both(one: Coroutine[Any, Any, T], two: Coroutine[Any, Any, T]) -> list[T]:
    return list(await asyncio.gather(one, two))


# -- nodes that die -----------------------------------------------------------------------------------------


async def test_devices_of_a_dead_node_are_not_connected(nodes: Nodes) -> None:
    """They are in nobody's way; once it beats again they are, for it only stood still."""
    connection = await nodes.attach(1, OTHER)
    await nodes.silent(OTHER, 2)
    assert await nodes.one.attached(nodes.user_id) == []
    assert await nodes.one.present([nodes.user_id]) == set()
    assert (await nodes.one.beat(NODE)).nodes == [NODE]
    assert (await nodes.other.beat(OTHER)).nodes == [NODE, OTHER]
    assert await nodes.one.attached(nodes.user_id) == [1]
    assert await nodes.one.present([nodes.user_id]) == {nodes.user_id}
    assert await nodes.one.replaced([connection]) == []


async def test_a_node_long_dead_is_forgotten(nodes: Nodes) -> None:
    """Once it comes back its connections are no longer their devices'."""
    connection = await nodes.attach(1, OTHER)
    await nodes.silent(OTHER, LONG_DEAD + 1)
    await nodes.one.beat(NODE)
    assert await nodes.rows(OTHER) == 0
    assert (await nodes.other.beat(OTHER)).nodes == [NODE, OTHER]
    assert await nodes.other.replaced([connection]) == [connection]
    assert (await nodes.other.advance([nodes.ack(connection)])).replaced == [connection]


async def test_who_has_not_beaten_for_long_buries_nobody(nodes: Nodes) -> None:
    """After an outage of the database all look dead: the first one back leaves the others time to beat."""
    await nodes.attach(1, OTHER)
    for node in (NODE, OTHER):
        await nodes.silent(node, LONG_DEAD + 1)
    await nodes.one.beat(NODE)
    assert await nodes.rows(OTHER) == 1
    await nodes.one.beat(NODE)
    assert await nodes.rows(OTHER) == 0


async def test_a_device_connected_to_a_living_node_is_never_evicted(nodes: Nodes) -> None:
    """On whichever node; that of a dead one may go."""
    kept = [await nodes.attach(sn, OTHER) for sn in (1, 2, 3)]
    for number, connection in enumerate(kept):
        await nodes.other.keep([nodes.keep(connection, at=NOW + number)])
    last = Attachment(nodes.user_id, 4, 0)
    await nodes.one.keep([nodes.keep(last, at=NOW + 9)])
    assert [device.device_sn for device in await nodes.one.devices(nodes.user_id)] == [1, 2, 3, 4]
    await nodes.silent(OTHER, 2)
    await nodes.one.keep([nodes.keep(last, at=NOW + 9)])
    assert [device.device_sn for device in await nodes.one.devices(nodes.user_id)] == [2, 3, 4]


async def test_devices_of_a_dead_node_leave_room(nodes: Nodes) -> None:
    """Only who is connected to a node that lives counts against the bound."""
    for sn in (1, 2, 3):
        await nodes.attach(sn, OTHER)
    assert (await nodes.attach(4)).attach_no == 0
    await nodes.silent(OTHER, 2)
    assert (await nodes.attach(4)).attach_no > 0


async def test_another_nodes_epoch_is_learnt_by_beating(nodes: Nodes) -> None:
    """Whoever renewed it."""
    epoch = await nodes.one.renew_epoch()
    assert nodes.other.epoch != epoch
    assert (await nodes.other.beat(OTHER)).epoch == epoch == nodes.other.epoch


async def test_epochs_renewed_at_once_jump_one_after_the_other(nodes: Nodes) -> None:
    """No id is given twice, whoever draws meanwhile."""
    first = await nodes.one.reserve(1)
    async with nodes.held("UPDATE meta SET epoch = epoch"):
        renewing = asyncio.create_task(both(nodes.one.renew_epoch(), nodes.other.renew_epoch()))
        await nodes.blocked(2)
    assert len(set(await renewing)) == 2
    assert await nodes.one.reserve(1) > first + 2**33


async def test_answers_of_old_batches_are_forgotten(nodes: Nodes) -> None:
    """After an hour nobody asks for them any more."""
    await nodes.conn.execute(
        "INSERT INTO batch VALUES ('old', '', now() - interval '61 minutes'), ('new', '', now())"
    )
    await nodes.one.beat(NODE)
    keys = {row[0] for row in await nodes.conn.fetch("SELECT key FROM batch")}
    assert keys & {"old", "new"} == {"new"}


# -- races --------------------------------------------------------------------------------------------------


async def test_of_two_nodes_that_attach_a_device_one_holds_it(nodes: Nodes) -> None:
    """The one with the greater number, whichever came to commit first."""
    async with nodes.held('SELECT 1 FROM "user" WHERE id = $1 FOR UPDATE', nodes.user_id):
        attaching = asyncio.create_task(both(nodes.attach(1, NODE), nodes.attach(1, OTHER)))
        await nodes.blocked(2)
    old, new = sorted(await attaching, key=lambda connection: connection.attach_no)
    assert await nodes.one.replaced([old, new]) == [old]


async def test_two_nodes_do_not_both_give_away_the_last_place(nodes: Nodes) -> None:
    """Who waited counts what came before."""
    for sn in (1, 2):
        await nodes.attach(sn)
    async with nodes.held('SELECT 1 FROM "user" WHERE id = $1 FOR UPDATE', nodes.user_id):
        attaching = asyncio.create_task(both(nodes.attach(3, NODE), nodes.attach(4, OTHER)))
        await nodes.blocked(2)
    assert sum(connection.attach_no > 0 for connection in await attaching) == 1


async def test_an_ack_that_waits_for_a_kick_counts_not(nodes: Nodes) -> None:
    """Once the kick is committed, whatever was under way finds its connection gone."""
    connection = await nodes.attach()
    await nodes.one.keep([nodes.keep(connection)])
    async with nodes.held("DELETE FROM attached WHERE usr = $1", nodes.user_id):
        acking = asyncio.create_task(nodes.one.advance([nodes.ack(connection)]))
        await nodes.blocked()
    assert await acking == Advanced([], [connection])
    assert (await nodes.one.standings([(nodes.user_id, 1)]))[0].delivered == 0


async def test_a_kick_waits_for_an_ack_under_way(nodes: Nodes) -> None:
    """Nothing of the connection lands after it: who attaches next starts where it will stay."""
    connection = await nodes.attach()
    await nodes.one.keep([nodes.keep(connection)])
    async with nodes.held("SELECT 1 FROM cursor WHERE usr = $1 FOR UPDATE", nodes.user_id):
        acking = asyncio.create_task(nodes.one.advance([nodes.ack(connection)]))
        await nodes.blocked()
        kicking = asyncio.create_task(nodes.other.dismiss(nodes.user_id))
        attaching = asyncio.create_task(nodes.attach(1, OTHER))
        await nodes.blocked(3)
        assert not kicking.done()
        assert not attaching.done()
    assert (await acking).replaced == []
    await kicking
    await attaching
    assert (await nodes.one.standings([(nodes.user_id, 1)]))[0].delivered == 1


@pytest.mark.parametrize("end", ["removed", "erased"])
async def test_who_acks_while_a_device_goes_leaves_no_cursor(nodes: Nodes, end: str) -> None:
    """Not of a timeline either that the device had none of: the ack finds the device gone, or goes with it."""
    group = await nodes.stage.group(1, 2)
    connection = await nodes.attach()
    await nodes.one.keep([nodes.keep(connection)])
    ack = msgspec.structs.replace(nodes.ack(connection), timeline_id=await nodes.stage.id(group))
    erasure = JobDraft(app=nodes.stage.app.id, kind=JobKind.ERASE, at=NOW, data=str(nodes.user_id))

    async def goes(conn: Conn) -> None:
        if end == "removed":
            await remove_device(conn, nodes.user_id, 1)
        else:
            await start(conn, erasure, BOUNDS)

    await meets(nodes.stage, goes, nodes.other.advance([ack]))
    assert not await nodes.stage.ask(
        "SELECT 1 FROM cursor AS c WHERE NOT EXISTS (SELECT 1 FROM device AS d WHERE d.usr = c.usr AND d.sn = c.sn)"
    )


async def test_a_keep_that_waits_for_a_newer_connection_is_not_kept(nodes: Nodes) -> None:
    """The newer one's cursors stay."""
    old = await nodes.attach()
    async with nodes.held("UPDATE attached SET no = no + 1000 WHERE usr = $1", nodes.user_id):
        keeping = asyncio.create_task(nodes.one.keep([nodes.keep(old, 1)]))
        await nodes.blocked()
    assert await keeping == [old]
    assert not (await nodes.one.standings([(nodes.user_id, 1)]))[0].kept


async def test_two_nodes_that_ack_at_once_tell_once_and_never_go_back(nodes: Nodes) -> None:
    """Two devices of one user: who was first to commit tells, and the lower one comes to nothing."""
    near, far = await nodes.attach(1, NODE), await nodes.attach(2, OTHER)
    async with nodes.held('SELECT 1 FROM "user" WHERE id = $1 FOR UPDATE', nodes.user_id):
        further = asyncio.create_task(nodes.other.advance([nodes.ack(far, 3)]))
        await nodes.blocked()
        nearer = asyncio.create_task(nodes.one.advance([nodes.ack(near, 2)]))
        await nodes.blocked(2)
    told = [
        change.msg_id for advanced in await both(_of(further), _of(nearer)) for change in advanced.changes
    ]
    assert told in ([3], [3, 2])
    assert (await nodes.one.standings([(nodes.user_id, 1)]))[0].delivered == 3


async def _of(task: asyncio.Task[T]) -> T:
    return await task


async def test_the_same_ack_on_two_nodes_is_told_once(nodes: Nodes) -> None:
    """Whichever comes second moves nothing."""
    first, second = await nodes.attach(1, NODE), await nodes.attach(2, OTHER)
    async with nodes.held('SELECT 1 FROM "user" WHERE id = $1 FOR UPDATE', nodes.user_id):
        acking = asyncio.create_task(
            both(nodes.one.advance([nodes.ack(first, 3)]), nodes.other.advance([nodes.ack(second, 3)]))
        )
        await nodes.blocked(2)
    assert [change.msg_id for advanced in await acking for change in advanced.changes] == [3]


async def test_a_read_that_waits_never_goes_back(nodes: Nodes) -> None:
    """Of two reads at once the further one holds, and the other tells no position below it."""
    marks = [await nodes.stage.mark(2, 1, msg_id) for msg_id in (3, 2)]
    async with nodes.held("SELECT 1 FROM conversation WHERE usr = $1 FOR UPDATE", nodes.user_id):
        further = asyncio.create_task(nodes.one.read([marks[0]]))
        await nodes.blocked()
        nearer = asyncio.create_task(nodes.other.read([marks[1]]))
        await nodes.blocked(2)
    await asyncio.gather(further, nearer)
    [done] = await nodes.one.read([marks[1]])
    assert (getattr(done, "msg_id", 0), getattr(done, "moved", True)) == (3, False)


async def test_many_who_ack_attach_and_leave_at_once_come_to_an_end(nodes: Nodes) -> None:
    """All lock in one order: nothing fails, and nobody waits for a deadlock to be found."""
    ids = [(await nodes.stage.user(xid)).id for xid in range(10, 30)]

    async def live(store: Store, node: int, order: list[int]) -> None:
        for turn in range(1, 6):
            numbers = await store.attach([Attach(user_id, 1, node) for user_id in order])
            connections = [
                Attachment(user_id, 1, number) for user_id, number in zip(order, numbers, strict=True)
            ]
            await store.keep(
                [Keep(c.user_id, 1, NOW, {c.user_id: 0}, (), 0, "", c.attach_no) for c in connections]
            )
            await store.advance(
                [Ack(c.user_id, 0, 1, c.user_id, turn, NOW, c.attach_no) for c in connections]
            )
            await store.detach(connections)

    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = await nodes.conn.fetchval(deadlocks)
    await asyncio.gather(live(nodes.one, NODE, ids), live(nodes.other, OTHER, ids[::-1]))
    assert await nodes.conn.fetchval(deadlocks) == before
    assert await nodes.conn.fetchval("SELECT max(seq) <= 5 FROM cursor")
