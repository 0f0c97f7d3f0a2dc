"""What is told of a committed batch, here and to other nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from gateway.core.announcing import announce
from gateway.core.hub import Hub
from gateway.domain.drafts import Appended, MessageDraft
from gateway.domain.model import Entry, Scope, Side

ALICE, BOB = 1, 2


class Told:
    """A hub of a node among others that keeps what it is given."""

    alone = False

    def __init__(self) -> None:
        self.hints: dict[int, tuple[int, list[int]]] = {}
        self.dispatched: dict[int, list[int]] = {}

    def publish(self, heads: Mapping[int, int], entries: Mapping[int, Sequence[Entry]]) -> None:
        self.hints = {
            timeline: (head, [entry.seq for entry in entries.get(timeline, ())])
            for timeline, head in heads.items()
        }

    def dispatch_all(self, batch: Mapping[int, Sequence[Entry]]) -> None:
        self.dispatched = {timeline: [entry.seq for entry in entries] for timeline, entries in batch.items()}


def committed(*seqs: int) -> Told:
    """What is told of notices to Bob, each with the seq that it got."""
    hub = Told()
    notice = MessageDraft(
        app=1, scope=Scope.USER, sender_xid=ALICE, sender_sn=0, targets=(BOB,), ctype=0, content="", attachment="",
        config="", ext="", at=0, copied=False,
    )  # fmt: skip
    answers = [Appended(10 + number, [(BOB, seq)], ALICE, [], 0) for number, seq in enumerate(seqs)]
    announce(cast("Hub", hub), [notice] * len(seqs), answers)
    return hub


def test_a_batch_that_was_committed_at_once_is_told_as_it_is() -> None:
    """Its entries follow each other."""
    hub = committed(4, 5, 6)
    assert hub.hints == {BOB: (6, [4, 5, 6])}
    assert hub.dispatched == {BOB: [4, 5, 6]}


@pytest.mark.parametrize(
    ("seqs", "newest"),
    [((6, 5), [5, 6]), ((4, 6, 7), [6, 7]), ((4, 6, 5, 7), [4, 5, 6, 7]), ((7, 4), [7]), ((5, 7, 6, 9), [9])],
)
def test_a_batch_that_was_committed_in_several_steps_is_put_in_order(
    seqs: Sequence[int], newest: Sequence[int]
) -> None:
    """Other nodes commit in between, and who was asked again comes later: a hint says the head and ends at it."""
    hub = committed(*seqs)
    assert hub.hints == {BOB: (max(seqs), newest)}
    assert hub.dispatched == {BOB: sorted(seqs)}


def test_what_is_its_senders_alone_is_told_to_nobody_else() -> None:
    """Its receiver has no entry of it, and no head that moved."""
    hub = Told()
    draft = MessageDraft(
        app=1, scope=Scope.USER, sender_xid=ALICE, sender_sn=0, targets=(BOB, 3), ctype=0, content="", attachment="",
        config="", ext="", at=0, side=Side.SENDER,
    )  # fmt: skip
    announce(cast("Hub", hub), [draft], [Appended(10, [(BOB, 0), (3, 0)], ALICE, [7, 8], 0)])
    assert hub.hints == {ALICE: (8, [7, 8])}
    assert hub.dispatched == {ALICE: [7, 8]}
