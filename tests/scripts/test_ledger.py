"""The load's accounting: what counts as lost, duplicated and out of order."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scripts.loadlib.ledger import Ledger, Totals


def answered(ledger: Ledger, *seqs: int, timeline: str = "g:1") -> None:
    """Answer one send for each seq; message 100 + n lies at seq n and says it is n."""
    for seq in seqs:
        ledger.timeline(timeline).learn(seq, 100 + seq)
        ledger.owe(100 + seq, seq, [timeline])


def test_everything_once_and_in_order_is_clean() -> None:
    """Two followers that got every answered message in order leave nothing to complain about."""
    ledger = Ledger()
    followers = [ledger.follow("g:1", 0), ledger.follow("g:1", 0)]
    answered(ledger, 1, 2, 3)
    for follower in followers:
        follower.take(1, 3)
        ledger.received += 3
    assert ledger.complete()
    assert ledger.totals() == Totals(3, 6, 6, 0, 0, 0, 0, 0, 0)
    assert ledger.totals().clean


def test_an_answered_message_that_came_to_nobody_is_lost_for_all() -> None:
    """No device ever saw it, so no seq is known for it, and it still counts once per follower."""
    ledger = Ledger()
    ledger.follow("g:1", 0)
    ledger.follow("g:1", 0)
    ledger.owe(101, 1, ["g:1"])
    assert not ledger.complete()
    totals = ledger.totals()
    assert (totals.owed, totals.delivered, totals.lost) == (2, 0, 2)
    assert not totals.clean


def test_a_message_missing_at_one_follower_is_lost_once() -> None:
    """What one device got does not cover for another."""
    ledger = Ledger()
    ledger.follow("g:1", 0).take(1, 2)
    ledger.follow("g:1", 0).take(1, 1)
    answered(ledger, 1, 2)
    ledger.received = 4
    assert not ledger.complete()
    assert (ledger.totals().delivered, ledger.totals().lost) == (3, 1)


def test_a_message_skipped_in_the_middle_is_lost() -> None:
    """A later entry does not hide that an earlier one never came."""
    ledger = Ledger()
    follower = ledger.follow("g:1", 0)
    answered(ledger, 1, 2, 3)
    follower.take(1, 1)
    follower.take(3, 1)
    ledger.received = 3
    assert not ledger.complete()
    assert (ledger.totals().lost, ledger.totals().holes, ledger.totals().out_of_order) == (1, 0, 0)


def test_a_late_entry_is_out_of_order_and_not_lost() -> None:
    """An entry that comes after a later one arrived, but broke the order."""
    ledger = Ledger()
    follower = ledger.follow("g:1", 0)
    answered(ledger, 1, 2)
    follower.take(2, 1)
    follower.take(1, 1)
    assert (ledger.totals().lost, ledger.totals().out_of_order, ledger.totals().duplicated) == (0, 1, 0)


def test_an_entry_twice_is_a_duplicate() -> None:
    """The second frame of a seq counts, also in the middle of a run."""
    ledger = Ledger()
    follower = ledger.follow("g:1", 0)
    answered(ledger, 1, 2, 3)
    follower.take(1, 2)
    follower.take(2, 2)
    assert (ledger.totals().duplicated, ledger.totals().lost, ledger.totals().out_of_order) == (1, 0, 0)


def test_a_message_at_two_seqs_is_a_duplicate() -> None:
    """The law of seqs alone would not notice a message that was appended twice."""
    ledger = Ledger()
    follower = ledger.follow("g:1", 0)
    ledger.timeline("g:1").learn(1, 101)
    ledger.timeline("g:1").learn(2, 101)
    follower.take(1, 2)
    assert ledger.totals().duplicated == 1


def test_two_messages_at_one_seq_is_a_duplicate() -> None:
    """A seq names one entry for ever; two devices that see different ones are told of it."""
    ledger = Ledger()
    for _ in range(2):
        ledger.follow("g:1", 0).take(1, 1)
    ledger.timeline("g:1").learn(1, 101)
    ledger.timeline("g:1").learn(1, 102)
    assert ledger.totals().duplicated == 2


def test_a_skipped_seq_without_an_answered_message_is_a_hole() -> None:
    """Dense means dense: a seq that never came is a breach, whatever it held."""
    ledger = Ledger()
    follower = ledger.follow("g:1", 0)
    answered(ledger, 1, 3)
    follower.take(1, 1)
    follower.take(3, 1)
    assert (ledger.totals().holes, ledger.totals().lost) == (1, 0)
    assert not ledger.totals().clean


def test_a_follower_owes_nothing_from_before_it_started() -> None:
    """A device that starts at seq 5 must get 6 next, and gets no blame for 1 to 5."""
    ledger = Ledger()
    follower = ledger.follow("g:1", 5)
    answered(ledger, 6)
    follower.take(6, 1)
    ledger.received = 1
    assert ledger.complete()
    assert ledger.totals().clean


def test_a_message_below_a_followers_start_is_lost_to_it() -> None:
    """A start above an owed message means the device will never get it."""
    ledger = Ledger()
    ledger.follow("g:1", 1)
    answered(ledger, 1)
    ledger.received = 1
    assert not ledger.complete()
    assert ledger.totals().lost == 1


def test_a_message_owed_in_two_timelines_counts_in_both() -> None:
    """A message to a user is owed to the receiver's and the sender's device."""
    ledger = Ledger()
    ledger.follow("u:1", 0).take(1, 1)
    ledger.follow("u:2", 0)
    ledger.timeline("u:1").learn(1, 101)
    ledger.owe(101, 1, ["u:1", "u:2"])
    assert (ledger.totals().owed, ledger.totals().lost) == (2, 1)


def test_a_message_with_the_text_of_another_is_mixed_up() -> None:
    """The answer's id and the text that came under that id must belong together, whichever comes first."""
    ledger = Ledger()
    ledger.saw(101, 1)
    ledger.owe(101, 2, ["g:1"])
    ledger.owe(102, 3, ["g:1"])
    ledger.saw(102, 3)
    assert ledger.totals().mixed_up == 1


def test_a_send_that_became_two_messages_is_told() -> None:
    """One text under two ids means that a send was stored twice."""
    ledger = Ledger()
    ledger.saw(101, 1)
    ledger.saw(102, 1)
    assert ledger.totals().stored_twice == 1


@given(
    head=st.integers(0, 12),
    start=st.integers(0, 3),
    arrivals=st.lists(st.integers(1, 12), max_size=30),
    owed=st.sets(st.integers(1, 12)),
)
def test_agrees_with_counting_one_by_one(head: int, start: int, arrivals: list[int], owed: set[int]) -> None:
    """For any arrivals the ledger says what a list of all of them would."""
    ledger = Ledger()
    follower = ledger.follow("g:1", start)
    arrivals = [seq for seq in arrivals if start < seq <= head]
    for seq in arrivals:
        follower.take(seq, 1)
    answered(ledger, *owed)
    ledger.received = 1_000

    got = Counter(arrivals)
    seen: set[int] = set()
    late = 0
    for seq in arrivals:
        late += seq not in seen and any(other > seq for other in seen)
        seen.add(seq)
    skipped = set(range(start + 1, max(arrivals, default=start) + 1)) - seen
    totals = ledger.totals()
    assert totals.lost == len(owed - seen)
    assert totals.duplicated == sum(count - 1 for count in got.values())
    assert totals.out_of_order == late
    assert totals.holes == len(skipped - owed)
    if not skipped:
        assert ledger.complete() == (totals.lost == 0)
