"""What waits for the bus: merged, split and bounded."""

from __future__ import annotations

import pytest

from gateway.bus.base import Forget, Hint, Tell
from gateway.bus.codec import Heard, decode_payload
from gateway.bus.counts import Counts
from gateway.bus.options import BusOptions
from gateway.bus.waiting import Channels, Waiting
from gateway.domain.limits import Limits
from gateway.domain.model import Deleted, Entry, EntryKind

OPTIONS = BusOptions(url="redis://h", partitions=4)
ENTRY_BYTES = 60


def entries(first: int, last: int) -> tuple[Entry, ...]:
    return tuple(
        Entry(seq=seq, kind=EntryKind.DELETED, deleted=Deleted(conversation_xid=1, msg_id=1))
        for seq in range(first, last + 1)
    )


def tell(user_id: int, size: int = 0) -> Tell:
    return Tell(user_id=user_id, op="x", members={"a": "x" * size})


class Desk:
    """What waits under some limits, and a peer that hears everything of a few timelines."""

    def __init__(self, **limits: int) -> None:
        self.counts = Counts()
        self.waiting = Waiting(1, Channels(OPTIONS, 1), Limits(**limits), self.counts)
        self.payloads: list[bytes] = []

    def take(self) -> list[tuple[bytes, Heard]]:
        """What goes out now: channels, and what a peer makes of it."""
        told = []
        publishes, _ = self.waiting.take()
        self.payloads = [publish.payload for publish in publishes]
        for publish in publishes:
            heard = decode_payload(publish.payload, 2, "", range(1000))
            assert heard is not None
            told.append((publish.channel, heard))
        return told

    def hints(self) -> list[Hint]:
        return [hint for _, heard in self.take() for hint in heard.hints]


def test_one_payload_per_partition() -> None:
    """However much waits, each partition gets one payload, and what everybody hears another."""
    desk = Desk()
    for head in (1, 2, 3):
        desk.waiting.put([Hint(topic, head) for topic in range(1, 101)], [tell(5), Forget(app_id="a", app=1)])
    told = desk.take()
    assert len(told) == len({channel for channel, _ in told}) == 5
    assert sum(len(heard.hints) for _, heard in told) == 100


def test_taking_leaves_nothing() -> None:
    """What is taken waits no more."""
    desk = Desk()
    desk.waiting.put([Hint(1, 1)], [])
    assert desk.waiting.some.is_set()
    desk.take()
    assert not desk.waiting.some.is_set()
    assert desk.take() == []


def test_nothing_waits_after_an_empty_flush() -> None:
    """An empty flush is no reason to publish."""
    desk = Desk()
    desk.waiting.put([], [])
    assert not desk.waiting.some.is_set()


@pytest.mark.parametrize(
    ("told", "heard"),
    [
        ([Hint(1, 3), Hint(1, 5)], [Hint(1, 5)]),
        ([Hint(1, 5), Hint(1, 3)], [Hint(1, 5)]),
        ([Hint(1, 2, entries(1, 2)), Hint(1, 3, entries(3, 3))], [Hint(1, 3, entries(1, 3))]),
        ([Hint(1, 2, entries(2, 2)), Hint(1, 2, entries(2, 2))], [Hint(1, 2, entries(2, 2))]),
        (
            [Hint(1, 2, entries(1, 2)), Hint(1, 4, entries(4, 4))],
            [Hint(1, 2, entries(1, 2)), Hint(1, 4, entries(4, 4))],
        ),
        ([Hint(1, 2, entries(1, 2)), Hint(1, 3)], [Hint(1, 2, entries(1, 2)), Hint(1, 3)]),
        ([Hint(1, 3), Hint(1, 4, entries(4, 4))], [Hint(1, 3), Hint(1, 4, entries(4, 4))]),
    ],
    ids=["bare", "older", "consecutive", "same", "hole", "bare after entries", "entries after bare"],
)
def test_hints_of_one_timeline_merge_where_nothing_is_lost(told: list[Hint], heard: list[Hint]) -> None:
    """Of bare heads the newest goes; entries are joined where they follow each other."""
    desk = Desk()
    for hint in told:
        desk.waiting.put([hint], [])
    assert desk.hints() == heard


def test_joined_entries_stay_within_the_limit_of_a_hint() -> None:
    """Entries that would make a hint too large go in another one, behind it."""
    desk = Desk(hint_bytes_max=3 * ENTRY_BYTES)
    for seq in range(1, 9):
        desk.waiting.put([Hint(1, seq, entries(seq, seq))], [])
    hints = desk.hints()
    assert 1 < len(hints) < 8
    assert [entry for hint in hints for entry in hint.entries] == list(entries(1, 8))


def test_large_entries_are_left_out_of_their_hint() -> None:
    """A hint whose entries are too large goes bare, and is counted."""
    desk = Desk(hint_bytes_max=3 * ENTRY_BYTES)
    desk.waiting.put([Hint(1, 9, entries(1, 9))], [])
    assert desk.hints() == [Hint(1, 9)]
    assert desk.counts.hints_bare == 1


def test_payloads_are_split() -> None:
    """No payload is larger than one may be, and all of it arrives."""
    desk = Desk(publish_bytes_max=1000)
    hints = [Hint(4 * n, 2, entries(1, 2)) for n in range(1, 101)]
    notes = [tell(4 * n, size=100) for n in range(1, 51)]
    desk.waiting.put(hints, notes)
    told = desk.take()
    assert max(map(len, desk.payloads)) <= 1000
    assert len(desk.payloads) > 10
    assert [hint for _, heard in told for hint in heard.hints] == hints
    assert [note for _, heard in told for note in heard.notes] == notes


def test_note_larger_than_a_publish_is_dropped() -> None:
    """A note that fits no payload is not said, and is counted."""
    desk = Desk(publish_bytes_max=1000)
    desk.waiting.put([], [tell(4, size=1000), tell(4)])
    [(_, heard)] = desk.take()
    assert heard.notes == [tell(4)]
    assert (desk.counts.notes_dropped, desk.counts.notes_published) == (1, 1)


def test_past_the_bytes_hints_go_bare_and_notes_are_dropped() -> None:
    """Where too many bytes wait, entries are left out first, and heads still go."""
    desk = Desk(bus_queue_bytes_max=10 * ENTRY_BYTES)
    desk.waiting.put([Hint(topic, 1, entries(1, 1)) for topic in range(1, 101)], [tell(1)])
    hints = desk.hints()
    assert len(hints) == 100
    assert 5 < sum(bool(hint.entries) for hint in hints) < 20
    assert desk.counts.hints_bare == sum(not hint.entries for hint in hints)
    assert desk.counts.notes_dropped == 1


def test_past_the_count_hints_are_dropped() -> None:
    """Where too many hints wait, others are dropped and counted; timelines that wait already may still grow."""
    desk = Desk(bus_queue_max=10)
    desk.waiting.put([Hint(topic, 1) for topic in range(1, 21)], [tell(1)])
    desk.waiting.put([Hint(1, 5)], [])
    hints = desk.hints()
    assert len(hints) == 10
    assert Hint(1, 5) in hints
    assert (desk.counts.hints_dropped, desk.counts.notes_dropped) == (10, 1)


def test_stripping_keeps_the_heads_only() -> None:
    """What has waited too long is told as bare heads, the newest of each timeline; notes are gone."""
    desk = Desk()
    desk.waiting.put([Hint(1, 2, entries(1, 2)), Hint(1, 9, entries(9, 9)), Hint(2, 1)], [tell(1)])
    desk.waiting.strip()
    assert sorted(desk.hints(), key=lambda hint: hint.timeline_id) == [Hint(1, 9), Hint(2, 1)]
    assert desk.counts.notes_dropped == 1
