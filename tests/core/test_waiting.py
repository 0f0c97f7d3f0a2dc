"""The writer's queue: who is served when, and how much of it one app may hold."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from gateway.core.parties import Waiter
from gateway.core.waiting import Waiting
from gateway.domain.drafts import Answer, DeleteDraft, Draft, MembershipDraft, MessageDraft
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import Action, Scope
from tests.core.stage import refused

LOUD, QUIET, THIRD = 1, 2, 3


def text(app: int, at: int, targets: int = 1, content: str = "") -> MessageDraft:
    return MessageDraft(
        app=app,
        sender_xid=1,
        sender_sn=0,
        scope=Scope.USER,
        targets=tuple(range(10, 10 + targets)),
        ctype=0,
        content=content,
        attachment="",
        config="",
        ext="",
        at=at,
    )


def joined(app: int, at: int) -> MembershipDraft:
    return MembershipDraft(
        app=app, group_id=1, group_xid=1, action=Action.JOINED, user_xids=(5,), judged=0, at=at
    )


def waiting(drafts: Iterable[Draft], limits: Limits | None = None) -> Waiting:
    queue = Waiting(limits or Limits())
    for draft in drafts:
        enter(queue, draft)
    return queue


def enter(queue: Waiting, draft: Draft) -> Waiter:
    waiter = Waiter(draft, unheard)
    queue.admit(waiter)
    queue.append(waiter)
    return waiter


def unheard(_: Answer | Problem) -> None:
    """Nobody is told: here it is about who waits."""


def batches(queue: Waiting) -> list[list[tuple[int, int]]]:
    """Every batch that is cut until nothing waits, as app and `at` of its drafts."""
    cut = []
    while queue:
        cut.append([(waiter.draft.app, waiter.draft.at) for waiter in queue.take()])
    return cut


async def test_one_app_alone() -> None:
    """Its drafts go in their order, as many as fit."""
    queue = waiting([text(LOUD, at) for at in range(5)], Limits(batch_rows_max=14))
    assert batches(queue) == [[(1, 0), (1, 1)], [(1, 2), (1, 3)], [(1, 4)]]


async def test_a_newcomer_is_in_the_next_batch() -> None:
    """However much waits of one app, the first draft of another is in the next batch, and its others soon."""
    drafts = [*(text(LOUD, at) for at in range(6)), text(QUIET, 0), text(QUIET, 1)]
    queue = waiting(drafts, Limits(batch_rows_max=21))
    assert batches(queue) == [[(1, 0), (2, 0), (1, 1)], [(2, 1), (1, 2), (1, 3)], [(1, 4), (1, 5)]]


async def test_who_was_left_out_is_first_in_the_next() -> None:
    """Where a batch has no room for all apps, they take turns."""
    drafts = [text(app, at) for at in range(2) for app in (LOUD, QUIET, THIRD)]
    queue = waiting(drafts, Limits(batch_rows_max=14))
    assert batches(queue) == [[(1, 0), (2, 0)], [(3, 0), (1, 1)], [(2, 1), (3, 1)]]


async def test_a_large_draft_is_passed_over_and_not_left_behind() -> None:
    """What does not fit makes room for others' small ones, and is first in the next batch, by itself."""
    drafts = [text(QUIET, 0), text(LOUD, 0, targets=50), text(LOUD, 1), text(QUIET, 1), text(QUIET, 2)]
    queue = waiting(drafts, Limits(batch_rows_max=14))
    assert batches(queue) == [[(2, 0), (2, 1)], [(1, 0)], [(2, 2), (1, 1)]]


async def test_bytes_cut_too() -> None:
    """A batch ends where its bytes do."""
    queue = waiting([text(LOUD, at, content="x" * 1_000) for at in range(3)], Limits(batch_bytes_max=4_500))
    assert [len(batch) for batch in batches(queue)] == [2, 1]


async def test_memberships_are_a_batch_of_their_own() -> None:
    """In each app the order is kept: nothing overtakes a membership, nor a membership anything."""
    drafts: list[Draft] = [
        text(LOUD, 0),
        joined(LOUD, 1),
        text(LOUD, 2),
        text(QUIET, 0),
        joined(QUIET, 1),
        DeleteDraft(app=QUIET, user_id=1, user_xid=1, opposite_id=2, opposite_xid=2, scope=Scope.USER, at=2),
    ]
    assert batches(waiting(drafts)) == [[(1, 0), (2, 0)], [(1, 1), (2, 1)], [(1, 2), (2, 2)]]


async def test_a_membership_waits_for_its_turn_only() -> None:
    """Messages of others do not push it back for ever: left out of one batch, it begins the next."""
    queue = waiting([text(QUIET, 0), joined(LOUD, 0), text(QUIET, 1)])
    assert [(waiter.draft.app, waiter.draft.at) for waiter in queue.take()] == [(2, 0), (2, 1)]
    enter(queue, text(QUIET, 2))
    assert batches(queue) == [[(1, 0)], [(2, 2)]]


class TestRoom:
    """An app may hold as much as is left free."""

    LIMITS = Limits(queue_rows_max=70)

    def fill(self, queue: Waiting, app: int) -> list[Waiter]:
        """Admit drafts of an app until no more is taken."""
        admitted: list[Waiter] = []
        with refused(Kind.OVERLOADED) as refusal:
            while True:
                waiter = Waiter(text(app, len(admitted)), unheard)
                queue.admit(waiter)
                admitted.append(waiter)
        assert refusal.retry_after_ms
        return admitted

    async def test_half_for_one_and_room_for_the_next(self) -> None:
        """One app alone gets half; the next one gets in all the same, and so does a third."""
        queue = Waiting(self.LIMITS)
        assert [len(self.fill(queue, app)) for app in (LOUD, QUIET, THIRD)] == [5, 3, 1]

    async def test_what_is_released_is_free(self) -> None:
        """After the commit there is as much room as before, for anybody."""
        queue = Waiting(self.LIMITS)
        queue.release(self.fill(queue, LOUD))
        assert len(self.fill(queue, QUIET)) == 5

    async def test_who_was_refused_holds_nothing(self) -> None:
        """A refusal leaves no trace: nothing of it has to be released."""
        queue = Waiting(self.LIMITS)
        held = self.fill(queue, LOUD)
        large = Waiter(text(QUIET, 0, targets=10), unheard)
        with refused(Kind.OVERLOADED):
            queue.admit(large)
        queue.release(held)
        assert not queue._shares
        assert (queue.rows, queue.size) == (0, 0)

    async def test_bytes_count_too(self) -> None:
        """The same holds for bytes."""
        queue = Waiting(Limits(queue_bytes_max=10_000))
        enter(queue, text(LOUD, 0, content="x" * 2_000))
        with refused(Kind.OVERLOADED):
            enter(queue, text(LOUD, 1, content="x" * 2_000))
        enter(queue, text(QUIET, 0, content="x" * 1_000))

    async def test_an_empty_queue_takes_anything(self) -> None:
        """What is larger than the whole queue is no draft that can never be made."""
        queue = Waiting(self.LIMITS)
        enter(queue, text(LOUD, 0, targets=1_000))


@pytest.mark.parametrize("apps", [1, 5])
async def test_nothing_is_lost(apps: int) -> None:
    """Every draft is in one batch, once, in the order of its app."""
    drafts = [text(at % apps + 1, at, targets=1 + at % 7) for at in range(200)]
    cut = [who for batch in batches(waiting(drafts, Limits(batch_rows_max=60))) for who in batch]
    assert sorted(cut) == sorted((draft.app, draft.at) for draft in drafts)
    for app in range(1, apps + 1):
        assert [at for who, at in cut if who == app] == sorted(at for who, at in cut if who == app)
