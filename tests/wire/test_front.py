"""The front: sessions that have all of a timeline stand together, and none of them can tell."""

from __future__ import annotations

import pytest

from gateway.domain.model import Action
from gateway.wire.effects import Acked, End, Fetch
from gateway.wire.session import Session
from gateway.wire.track import Front, Track
from tests.wire.stage import GROUP, UID, change, in_group, run, written


def in_front(seq: int = 0) -> tuple[Session, Track, Front]:
    """A session that stands with others at a seq of its group."""
    session, track = in_group(head=seq)
    front = Front()
    front.seq = seq
    track.join(front)
    assert track.front is front
    return session, track, front


def test_a_run_moves_all() -> None:
    """A run that comes next moves everybody who stands there, and what was sent is told from the front."""
    session, track, front = in_front()
    assert front.take(run(1, 3))
    assert track.sent == 3
    assert session.cursors["g:77"] == 3
    assert session.ack("g:77", 3) == [Acked(GROUP, 3)]


def test_an_ack_above_it() -> None:
    """What the front has not come to was not sent: to ack it breaks the protocol."""
    session, _, front = in_front()
    front.take(run(1, 3))
    assert [type(effect) for effect in session.ack("g:77", 4)] == [End]


@pytest.mark.parametrize("first", [1, 2, 3, 5])
def test_only_what_comes_next(first: int) -> None:
    """A run that comes again, overlaps or skips moves nobody: each session obeys the law for itself."""
    _, track, front = in_front(3)
    assert not front.take(run(first, first + 2))
    assert track.sent == 3


def test_a_membership_entry_moves_nobody() -> None:
    """A membership entry is obeyed by each session for itself."""
    _, track, front = in_front(3)
    assert not front.take(run(4, 4, change(Action.KICKED, 5)))
    assert track.sent == 3


def test_who_is_elsewhere_does_not_join() -> None:
    """Only who has all, and stands where the others do, joins them."""
    session, track = in_group(head=3)
    front = Front()
    track.join(front)
    assert track.front is None
    front.seq = 3
    session.hint(GROUP, 4, 0)
    track.join(front)
    assert track.front is None


def test_lagging_parts() -> None:
    """A session whose transport is full stays behind at its exact seq, and reads on from there."""
    session, track, front = in_front()
    front.take(run(1, 2))
    session.lag()
    assert front.take(run(3, 3))
    assert [track.front, track.sent] == [None, 2]
    assert session.offer(GROUP, run(3, 3), 0) == []
    assert session.drained(0) == [Fetch(GROUP, 3)]


def test_an_offer_parts() -> None:
    """A session that is offered a run takes it for itself, from where the front stood."""
    session, track, front = in_front(2)
    assert session.offer(GROUP, run(1, 4), 0) == [written(3, 4)]
    assert [track.front, track.sent, front.seq] == [None, 4, 2]


def test_what_is_known_already_parts_nobody() -> None:
    """A hint of what the front has sent is no news, be the session's own number ever so old."""
    session, track, front = in_front()
    front.take(run(1, 3))
    assert session.hint(GROUP, 3, 0) == []
    assert track.front is front
    session.hint(GROUP, 4, 0)
    assert [track.front, track.sent, track.head] == [None, 3, 4]


def test_a_late_page_parts() -> None:
    """A page that was asked for before all was there finds the session where the front has brought it."""
    session, track = in_group(head=0)
    session.hint(GROUP, 2, 0)
    assert session.tick(20) == [Fetch(GROUP, 1)]
    session.offer(GROUP, run(1, 2), 20)
    front = Front()
    front.seq = 2
    track.join(front)
    front.take(run(3, 3))
    assert session.page(GROUP, 1, [run(1, 2)], 0, 3) == []
    assert [track.front, track.sent] == [None, 3]


def test_who_leaves_parts() -> None:
    """Who follows no more stands nowhere."""
    session, track, front = in_front()
    session.offer(GROUP, run(1, 1, change(Action.KICKED, UID)), 0)
    assert track.front is None
    assert front.changed


def test_told_twice_of_a_head() -> None:
    """A group that is followed twice at once keeps what was sent, with others or alone."""
    session, track, front = in_front()
    front.take(run(1, 3))
    session.prime(GROUP, 0, 3)
    assert [track.front, track.sent, track.settled] == [None, 3, True]


def test_nobody_moves_alone_while_with_others() -> None:
    """Who stands with others must part before it is moved: else all of them would be."""
    _, track, _ = in_front()
    with pytest.raises(AssertionError):
        track.sent = 5
