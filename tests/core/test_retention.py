"""When retention and expiry run, and when they halt: clocks that jump."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gateway.core.order import Order
from gateway.core.retention import BEHIND_MAX_MS, DAY_MS, Retention, Standing
from gateway.domain.drafts import BroadcastText
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import Scope
from gateway.store.base import Sweeping
from tests.core.stage import Clock, Stage, open_stage
from tests.patience import WAIT_S

STEP_S = 3 * 24 * 3600
MINUTE_S = 60
LIMITS = Limits(sweep_page_max=2, sweep_pause_ms=1)


class Node:
    """A stage whose messages are kept for ten days, and both of its clocks."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.wall = stage.clock
        self.ticks = Clock(5_000)
        self.retention = self.started()

    def started(self, *, days: int = 10) -> Retention:
        """What a process that starts now has."""
        return Retention(
            self.stage.store, self.stage.limits, self.wall, self.ticks, days=days, clock_step_max_s=STEP_S
        )

    def restart(self) -> None:
        self.ticks.now_ms = 7
        self.retention = self.started()

    def move(self, *, s: int) -> None:
        """Let time pass, by both clocks."""
        self.wall.move(s=s)
        self.ticks.move(s=s)

    async def send(self, count: int = 1) -> None:
        order = Order(scope=Scope.USER, targets=(2,), ctype=0, content="hi")
        for _ in range(count):
            await self.stage.core.messaging.send(await self.stage.user(1), order)

    async def left(self) -> int:
        """How many messages user 2 has."""
        app = await self.stage.store.app("demo")
        assert app is not None
        party = await self.stage.store.party(app.id, 2)
        assert party is not None
        return len((await self.stage.store.pages([(party.id, 1)], 100, 100_000))[0].entries)

    async def halted(self) -> int:
        return (await self.retention.standing()).halted_at


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with open_stage(tmp_path / "data", LIMITS) as stage:
        await stage.app()
        yield Node(stage)


async def live(node: Node, *, days: int) -> int:
    """Run once a day, as a node does more often; how many messages went."""
    removed = 0
    for _ in range(days):
        node.move(s=DAY_MS // 1000)
        removed += await node.retention.sweep()
    return removed


class TestSweep:
    """What is older than so many days goes."""

    async def test_by_the_day(self, node: Node) -> None:
        """Not before, and to the millisecond."""
        await node.retention.sweep()
        await node.send(5)
        assert await live(node, days=10) == 0
        node.wall.now_ms += 1
        assert await node.retention.sweep() == 5
        assert await node.left() == 0
        standing = await node.retention.standing()
        assert (standing.days, standing.swept_to, standing.swept_at) == (10, 5, node.wall.now_ms)

    async def test_zero_keeps_all_for_ever(self, node: Node) -> None:
        """It runs, notes when, and removes nothing."""
        node.retention = node.started(days=0)
        await node.send()
        assert await live(node, days=100) == 0
        assert (await node.retention.standing()).swept_at == node.wall.now_ms
        assert await node.left() == 1

    async def test_a_fresh_store_just_begins(self, node: Node) -> None:
        """Whatever the clock says."""
        node.wall.move(s=400 * DAY_MS // 1000)
        await node.retention.sweep()
        assert await node.halted() == 0

    async def test_finished_jobs_are_forgotten(self, node: Node) -> None:
        """30 days after they were begun, also where messages are kept for ever."""
        node.retention = node.started(days=0)
        jobs = node.stage.jobs
        runner = asyncio.create_task(jobs.run())
        text = BroadcastText(ctype=0, content="hi")
        await node.stage.core.broadcasts.send(await node.stage.admin(), text, 5)
        runner.cancel()
        await live(node, days=30)
        assert await keys(node) == ["5"]
        await live(node, days=1)
        assert await keys(node) == []


async def keys(node: Node) -> list[str]:
    return await node.stage.store._writer.run(
        lambda conn: [key for (key,) in conn.execute("SELECT key FROM job")]
    )


async def expiring(node: Node, *, at: int) -> None:
    """Give all messages a time."""
    await node.stage.store._writer.run(lambda conn: conn.execute("UPDATE message SET expires_at = ?", (at,)))


class TestClock:
    """Time is believed only where it fits the last run."""

    async def prepare(self, node: Node) -> None:
        """Five messages of 9 days ago, and a run a moment ago. By any clock the time of their texts has come."""
        await node.retention.sweep()
        await node.send(5)
        assert await live(node, days=9) == 0
        await expiring(node, at=1)

    @pytest.mark.parametrize("jump_s", [STEP_S + 1, 400 * 24 * 3600, -STEP_S - 1])
    async def test_a_jump_halts(self, node: Node, jump_s: int, caplog: pytest.LogCaptureFixture) -> None:
        """Nothing is removed then and later, and the log is told once."""
        await self.prepare(node)
        node.wall.move(s=jump_s)
        at = node.wall.now_ms
        for _ in range(3):
            assert await node.retention.sweep() == 0
            assert await node.retention.expire() == 0
            node.move(s=MINUTE_S)
        assert await node.halted() == at
        errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
        assert len(errors) == 1
        assert "gateway retention resume" in errors[0]
        assert await node.left() == 5

    @pytest.mark.parametrize("jump_s", [STEP_S, -STEP_S, -1])
    async def test_a_small_step_does_not(self, node: Node, jump_s: int) -> None:
        """Up to as much as is allowed, either way."""
        await self.prepare(node)
        node.wall.move(s=jump_s)
        await node.retention.sweep()
        assert await node.halted() == 0

    async def test_time_that_has_passed_is_no_jump(self, node: Node) -> None:
        """A process that was held up runs later, and both clocks say so."""
        await self.prepare(node)
        node.move(s=100 * 24 * 3600)
        assert await node.retention.sweep() == 5

    @pytest.mark.parametrize("days", [0, 10])
    async def test_where_nothing_can_go_nothing_is_doubted(
        self, node: Node, days: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A gateway that was off for long, and keeps all for ever or has nothing: it goes on from there."""
        await node.retention.sweep()
        if not days:
            await node.send()
        node.wall.move(s=100 * DAY_MS // 1000)
        node.restart()
        node.retention = node.started(days=days)
        assert await node.retention.expire() == 0
        assert (await node.retention.standing()).swept_at == node.wall.now_ms
        await node.send()
        await expiring(node, at=node.wall.now_ms)
        assert await node.retention.sweep() == 0
        assert await node.retention.expire() >= 1
        assert await node.halted() == 0
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []

    @pytest.mark.parametrize("expires", [False, True])
    async def test_what_goes_first_halts(self, node: Node, expires: bool) -> None:
        """By a clock that does not fit nothing goes, and nothing halts before something would go."""
        await node.retention.sweep()
        await node.send()
        if expires:
            await expiring(node, at=node.wall.now_ms + 5 * DAY_MS)
        ran = node.wall.now_ms
        node.wall.move(s=STEP_S + 1)
        node.restart()
        node.move(s=DAY_MS // 1000)
        assert (await node.retention.sweep(), await node.retention.expire()) == (0, 0)
        assert await node.retention.standing() == Standing(days=10, swept_to=0, swept_at=ran, halted_at=0)
        node.move(s=DAY_MS // 1000 if expires else 6 * DAY_MS // 1000 - 1)
        assert (await node.retention.sweep(), await node.retention.expire()) == (0, 0)
        assert bool(await node.halted()) is expires
        node.move(s=1)
        assert await node.retention.sweep() == 0
        assert await node.halted()

    async def test_a_clock_that_fits_again_goes_on(self, node: Node) -> None:
        """Where nothing came to be due by the wrong one, nobody has to look."""
        await node.retention.sweep()
        await node.send()
        node.wall.move(s=STEP_S + 1)
        await node.retention.sweep()
        node.wall.move(s=-STEP_S)
        await node.retention.sweep()
        standing = await node.retention.standing()
        assert (standing.swept_at, standing.halted_at) == (node.wall.now_ms, 0)

    @pytest.mark.parametrize(
        ("jump_s", "halts"),
        [(STEP_S, False), (STEP_S + 1, True), (-BEHIND_MAX_MS // 1000, False), (-61, True), (-(10**6), True)],
    )
    async def test_across_a_restart(self, node: Node, jump_s: int, halts: bool) -> None:
        """No clock tells how long nobody ran: far ahead and behind are not believed."""
        await self.prepare(node)
        node.wall.move(s=jump_s)
        node.restart()
        await node.retention.sweep()
        assert bool(await node.halted()) is halts

    async def test_it_stays_halted_across_a_restart(self, node: Node) -> None:
        """And when the clock is right again: somebody has to look."""
        await self.prepare(node)
        node.wall.move(s=STEP_S + 1)
        await node.retention.sweep()
        node.wall.move(s=-STEP_S - 1)
        node.restart()
        await live(node, days=5)
        assert await node.halted()
        assert await node.left() == 5

    @pytest.mark.parametrize("jump_s", [STEP_S + 1, -STEP_S - 1])
    async def test_resume_believes_the_clock_as_it_is(self, node: Node, jump_s: int) -> None:
        """From then on time passes from there; also where another process says so."""
        await self.prepare(node)
        node.wall.move(s=jump_s)
        await node.retention.sweep()
        await node.started().resume()
        assert await node.halted() == 0
        assert await live(node, days=5 if jump_s > 0 else 9) == 5
        assert await node.halted() == 0

    async def test_expiry_halts_by_itself(self, node: Node) -> None:
        """It runs more often, and is the first to see a jump."""
        await self.prepare(node)
        node.wall.move(s=STEP_S + 1)
        await node.retention.expire()
        assert await node.halted() == node.wall.now_ms


class TestManyNodes:
    """Several of them over one store, which they share: each with the clock that its host has."""

    @pytest.fixture(autouse=True)
    def shared(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(type(node.stage.store), "shared", True)

    def other(self, node: Node, *, ahead_s: int = 0) -> Retention:
        """A node whose clock is ahead of the first one's, as clocks are set when it starts."""
        wall = Clock(node.wall.now_ms + ahead_s * 1000)
        return Retention(
            node.stage.store, node.stage.limits, wall, Clock(5), days=10, clock_step_max_s=STEP_S
        )

    async def prepare(self, node: Node) -> None:
        """Five messages that are too old since a moment ago."""
        await node.retention.sweep()
        await node.send(5)
        await live(node, days=9)
        node.move(s=DAY_MS // 1000 + 1)

    async def test_one_run_is_enough(self, node: Node) -> None:
        """Who comes after it finds nothing to do, until it is time again."""
        await self.prepare(node)
        other = self.other(node)
        assert await other.sweep() == 5
        swept_at = (await other.standing()).swept_at
        node.move(s=MINUTE_S - 1)
        assert await node.retention.sweep() == 0
        assert (await node.retention.standing()).swept_at == swept_at
        node.move(s=1)
        await node.retention.sweep()
        assert (await node.retention.standing()).swept_at == node.wall.now_ms

    async def test_clocks_that_differ_a_little(self, node: Node) -> None:
        """Are as good as one."""
        await self.prepare(node)
        await self.other(node, ahead_s=50).sweep()
        node.move(s=MINUTE_S + 51)
        await node.send()
        await node.retention.sweep()
        assert await node.halted() == 0
        assert (await node.retention.standing()).swept_at == node.wall.now_ms

    async def test_a_clock_behind_leaves_it_to_others(
        self, node: Node, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It halts nobody, and says so once."""
        await self.prepare(node)
        late = self.other(node, ahead_s=-DAY_MS // 1000)
        await node.retention.sweep()
        await expiring(node, at=1)
        for _ in range(3):
            assert (await late.sweep(), await late.expire()) == (0, 0)
        [record] = [record for record in caplog.records if record.levelname == "WARNING"]
        assert "leaves it to the others" in record.message
        assert await node.halted() == 0

    async def test_the_log_is_told_of_a_halt_once(self, node: Node, caplog: pytest.LogCaptureFixture) -> None:
        """By whoever was the first of those who saw the jump at the same moment."""
        await self.prepare(node)
        nodes = [self.other(node, ahead_s=STEP_S * 2) for _ in range(3)]
        assert await asyncio.gather(*(each.sweep() for each in nodes)) == [0, 0, 0]
        assert await node.halted()
        assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


class TestExpiry:
    """A message with a time of its own."""

    async def test_when_its_time_has_come(self, node: Node) -> None:
        """All of them, in however many pages."""
        await node.send(5)
        await expiring(node, at=node.wall.now_ms + 1000)
        assert await node.retention.expire() == 0
        node.move(s=1)
        assert await node.retention.expire() == 5
        assert await node.retention.expire() == 0
        assert await node.left() == 5

    async def test_not_while_the_clock_is_not_believed(self, node: Node) -> None:
        """And at once when it is again."""
        await node.retention.sweep()
        await node.send(5)
        await expiring(node, at=node.wall.now_ms + 1000)
        node.wall.move(s=STEP_S + 1)
        assert await node.retention.expire() == 0
        await node.retention.resume()
        assert await node.retention.expire() == 5


async def test_both_run_by_themselves(tmp_path: Path) -> None:
    """Every so often; a store that fails is asked again the next time."""
    limits = msgspec.structs.replace(LIMITS, retention_sweep_ms=1, expiry_sweep_ms=1)
    async with open_stage(tmp_path / "data", limits) as stage:
        await stage.app()
        node = Node(stage)
        real, failures = stage.store.sweeping, iter(range(4))
        ran = asyncio.Event()

        async def sweeping() -> Sweeping:
            if next(failures, None) is not None:
                raise Problem(Kind.STORE_FAILED, "no")
            stored = await real()
            if stored.swept_at:
                ran.set()
            return stored

        stage.store.sweeping = sweeping  # type: ignore[method-assign]
        runs = [asyncio.create_task(run()) for run in (node.retention.run, node.retention.run_expiry)]
        await asyncio.wait_for(ran.wait(), WAIT_S)
        for run in runs:
            assert not run.done()
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
