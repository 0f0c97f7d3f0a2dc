"""The writer with several batches in flight: order, promises of the port, and nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.writer import Writer
from gateway.domain.drafts import Answer, DeleteDraft, Draft, MembershipDraft, Refused
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import Action, Scope
from gateway.store.base import Store

GROUPS = range(20, 23)


class SlowStore:
    """Takes batches and keeps them in flight until the test lets one land."""

    def __init__(self, batches_max: int) -> None:
        self.batches_max = batches_max
        self.flights: dict[asyncio.Future[None], Sequence[Draft]] = {}
        self.landed: list[Draft] = []

    async def append(self, batch: Sequence[Draft]) -> list[Answer]:
        parties = places(batch)
        for flying in self.flights.values():
            assert not parties & places(flying), "two batches in flight name a party in common"
        landing = asyncio.get_running_loop().create_future()
        self.flights[landing] = batch
        assert len(self.flights) <= self.batches_max
        assert len({isinstance(draft, MembershipDraft) for draft in batch}) == 1, "memberships among others"
        try:
            await landing
        finally:
            del self.flights[landing]
        self.landed += batch
        return [Refused(Kind.INTERNAL, str(draft.at)) for draft in batch]

    def land(self, number: int, error: Exception | None = None) -> None:
        flying = [landing for landing in self.flights if not landing.done()]
        landing = flying[number % len(flying)]
        if error is None:
            landing.set_result(None)
        else:
            landing.set_exception(error)


def places(batch: Sequence[Draft]) -> set[tuple[int, int]]:
    return {(draft.app, party) for draft in batch for party in draft.parties}


def deletion(at: int, one: int, other: int, app: int = 1) -> DeleteDraft:
    return DeleteDraft(
        app=app, user_id=one, user_xid=one, opposite_id=other, opposite_xid=other, scope=Scope.USER, at=at
    )


def membership(at: int, group: int, *users: int, app: int = 1) -> MembershipDraft:
    return MembershipDraft(
        app=app, group_id=group, group_xid=group, action=Action.JOINED, user_xids=users, judged=0, at=at
    )


users = st.integers(1, 6)
drafts = st.lists(
    st.tuples(st.integers(1, 2), users, users, st.sampled_from([0, 0, 0, *GROUPS])).map(
        lambda told: (
            membership(0, told[3], told[1], told[2], app=told[0])
            if told[3]
            else deletion(0, told[1], told[2], app=told[0])
        )
    ),
    max_size=40,
)


class Run:
    """A writer over a slow store, and what was announced and answered."""

    def __init__(self, batches_max: int, **limits: int) -> None:
        self.store = SlowStore(batches_max)
        self.told: list[Draft] = []
        patient = Limits(**{"batch_patience_ms": 0, **limits})
        self.writer = Writer(cast("Store", self.store), patient, self._announce)
        self.callers: list[asyncio.Task[Answer]] = []

    def _announce(self, batch: Sequence[Draft], _: Sequence[Answer]) -> None:
        self.told += batch

    def ask(self, draft: Draft) -> None:
        self.callers.append(asyncio.create_task(self.writer.submit(draft)))

    async def settle(self) -> None:
        """Let everything happen that can, short of a landing."""
        for _ in range(24):
            await asyncio.sleep(0)

    async def land_all(self, chance: Random) -> None:
        await self.settle()
        while self.store.flights:
            self.store.land(chance.randrange(100))
            await self.settle()


@given(
    asked=drafts, batches_max=st.integers(1, 4), seed=st.integers(0, 1_000), rows=st.sampled_from([14, 4_000])
)
def test_whatever_lands_first_each_party_sees_its_drafts_in_order(
    asked: list[Draft], batches_max: int, seed: int, rows: int
) -> None:
    """Every draft commits once, is announced in the order of its parties, is answered, and gives its room back."""

    async def play() -> None:
        chance, run = Random(seed), Run(batches_max, batch_rows_max=rows)
        numbered = [msgspec.structs.replace(draft, at=at) for at, draft in enumerate(asked)]
        for draft in numbered:
            run.ask(draft)
            if chance.random() < 0.3:
                await run.settle()
            if any(not landing.done() for landing in run.store.flights) and chance.random() < 0.3:
                run.store.land(chance.randrange(100))
        await run.land_all(chance)
        answers = [cast("Refused", await caller).sentence for caller in run.callers]
        assert answers == [str(at) for at in range(len(asked))]
        assert run.told == run.store.landed
        assert sorted(draft.at for draft in run.told) == list(range(len(asked)))
        for party in places(numbered):
            ats = [draft.at for draft in run.told if party in places([draft])]
            assert ats == sorted(ats), party
        waiting = run.writer.waiting
        assert (waiting.rows, waiting.size, waiting._shares, waiting._apps) == (0, 0, {}, {})
        assert waiting._parties is None or not waiting._parties._lines
        await run.writer.close()

    asyncio.run(play())


async def test_strangers_do_not_wait_for_each_other() -> None:
    """While one batch is in flight, who has nothing to do with it is committed."""
    run = Run(2)
    run.ask(deletion(0, 1, 2))
    await run.settle()
    run.ask(deletion(1, 3, 4))
    await run.settle()
    run.store.land(1)
    await run.settle()
    assert [caller.done() for caller in run.callers] == [False, True]
    await run.land_all(Random(1))


async def test_a_batch_that_lands_soon_is_waited_for() -> None:
    """Who comes meanwhile shares the next one: a batch by itself costs as much as many drafts."""
    run = Run(3, batch_patience_ms=3_600_000)
    run.ask(deletion(0, 1, 2))
    await run.settle()
    run.ask(deletion(1, 3, 4))
    run.ask(deletion(2, 5, 6))
    await run.settle()
    assert [[draft.at for draft in batch] for batch in run.store.flights.values()] == [[0]]
    run.store.land(0)
    await run.settle()
    assert [[draft.at for draft in batch] for batch in run.store.flights.values()] == [[1, 2]]
    await run.land_all(Random(1))
    await run.writer.close()
    assert all(caller.done() for caller in run.callers)


async def test_what_did_not_fit_is_another_batch_at_once() -> None:
    """Who was left out of a batch need not wait until it lands."""
    run = Run(3)
    run.ask(deletion(0, 1, 2))
    run.ask(membership(1, 20, 3))
    run.ask(deletion(2, 4, 5))
    await run.settle()
    assert [[draft.at for draft in batch] for batch in run.store.flights.values()] == [[0], [1], [2]]
    await run.land_all(Random(1))


async def test_what_waits_for_a_busy_party_goes_as_one_batch() -> None:
    """Group commit holds for them too: all that came while it was busy is the next batch."""
    run = Run(3)
    for at in range(10):
        run.ask(deletion(at, 1, 2 + at))
        await run.settle()
    assert [len(batch) for batch in run.store.flights.values()] == [1]
    run.store.land(0)
    await run.settle()
    assert [len(batch) for batch in run.store.flights.values()] == [9]
    await run.land_all(Random(1))


async def test_who_is_behind_two_batches_waits_for_both() -> None:
    """A draft of two parties, each in another flight, goes when the later one has landed."""
    run = Run(3)
    run.ask(deletion(0, 1, 2))
    await run.settle()
    run.ask(deletion(1, 3, 4))
    await run.settle()
    run.ask(deletion(2, 2, 3))
    run.ask(deletion(3, 3, 5))
    await run.settle()
    run.store.land(0)
    await run.settle()
    assert [draft.at for draft in run.store.landed] == [0]
    assert len(run.store.flights) == 1
    run.store.land(0)
    await run.settle()
    assert [[draft.at for draft in batch] for batch in run.store.flights.values()] == [[2, 3]]
    await run.land_all(Random(1))


@pytest.mark.parametrize("batches_max", [1, 2])
async def test_a_failed_batch_fails_its_own_callers_only(batches_max: int) -> None:
    """They hear the store's sentence, and whoever waited behind them is tried."""
    run = Run(batches_max)
    run.ask(deletion(0, 1, 2))
    await run.settle()
    run.ask(deletion(1, 2, 3))
    await run.settle()
    run.store.land(0, Problem(Kind.STORE_FAILED, "the disk is full", retry_after_ms=7))
    await run.settle()
    run.store.land(0)
    failed, kept = await asyncio.gather(*run.callers, return_exceptions=True)
    assert isinstance(failed, Problem)
    assert (failed.kind, failed.sentence, failed.retry_after_ms) == (Kind.STORE_FAILED, "the disk is full", 7)
    assert kept == Refused(Kind.INTERNAL, "1")


async def test_a_batch_that_broke_tells_that_its_outcome_is_unknown(caplog: pytest.LogCaptureFixture) -> None:
    """Who asked is told what to do; what broke is in the log."""
    run = Run(2)
    run.ask(deletion(0, 1, 2))
    await run.settle()
    run.store.land(0, RuntimeError("boom"))
    [failed] = await asyncio.gather(*run.callers, return_exceptions=True)
    assert isinstance(failed, Problem)
    assert "the outcome is unknown: ask again with the same transaction_id" in failed.sentence
    assert "boom" in caplog.text


async def test_what_cannot_be_announced_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    """The entries are committed, and devices find them in the store."""

    def broken(_drafts: Sequence[Draft], _answers: Sequence[Answer]) -> None:
        raise RuntimeError("nobody hears")

    run = Run(2)
    run.writer._announce = broken
    run.ask(deletion(0, 1, 2))
    await run.land_all(Random(1))
    assert await run.callers[0] == Refused(Kind.INTERNAL, "0")
    assert "nobody hears" in caplog.text


async def test_a_caller_that_goes_away_leaves_its_draft() -> None:
    """What was asked for is committed, whoever is there to hear of it."""
    run = Run(2)
    run.ask(deletion(0, 1, 2))
    await run.settle()
    run.callers[0].cancel()
    await run.land_all(Random(1))
    assert [draft.at for draft in run.told] == [0]


async def test_close_finishes_what_waits() -> None:
    """The drain ends when everything that was taken is committed; nothing new is."""
    run = Run(2)
    for at in range(3):
        run.ask(deletion(at, 1, 2))
        await run.settle()
    closing = asyncio.create_task(run.writer.close())
    await run.settle()
    assert not closing.done()
    with pytest.raises(Problem) as refused:
        await run.writer.submit(deletion(9, 1, 2))
    assert refused.value.kind is Kind.DRAINING
    await run.land_all(Random(1))
    await closing
    assert len(run.told) == 3
