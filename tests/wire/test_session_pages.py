"""The session: pages from the store, and membership changes among them."""

from __future__ import annotations

import pytest

from gateway.domain.model import Action
from gateway.wire.close import Close
from gateway.wire.effects import Acked, End, Fetch, Follow, Unfollow, Wake
from gateway.wire.session import FETCH_RETRY_MS, FETCHES_MAX
from tests.wire.stage import GROUP, LIVE, UID, USER, attached, change, gap, in_group, rejoined, run, written

# -- pages ------------------------------------------------------------------------------------------------


def test_page_by_page() -> None:
    """A replay asks for the next page when one has come."""
    session, _ = attached(starts=(0,), heads=(9,))
    assert session.page(USER, 1, [run(1, 3)], 0, 9) == [written(1, 3), Fetch(USER, 4)]


def test_window_closes() -> None:
    """Replay stops where a page more would not fit into `unacked_max`, and an ack opens it again."""
    session, _ = attached(starts=(0,), heads=(9,))
    session.page(USER, 1, [run(1, 3)], 0, 9)
    assert session.page(USER, 4, [run(4, 6)], 0, 9) == [written(4, 6)]
    assert session.ack("user", 2) == [Acked(USER, 2)]
    assert session.ack("user", 3) == [Acked(USER, 3), Fetch(USER, 7)]


def test_grace_over_while_the_window_was_closed() -> None:
    """An ack that opens the window asks for the page whose grace ended meanwhile: no wake-up comes again."""
    session, _ = attached()
    session.offer(USER, run(1, 6), 0)
    session.hint(USER, 7, 0)
    assert session.tick(20) == []
    assert session.ack("user", 6) == [Acked(USER, 6), Fetch(USER, 7)]


def test_wide_gap_closes_no_window() -> None:
    """What retention removed is not waited for: nobody acks what never came."""
    session, _ = attached(starts=(0,), heads=(1_003,))
    assert session.page(USER, 1, [run(1_001, 1_003)], 1_000, 1_005) == [
        gap(1, 1_000, "retention"),
        written(1_001, 1_003),
        LIVE,
        Fetch(USER, 1_004),
    ]


def test_ack_inside_a_gap() -> None:
    """An ack in the middle of a gap leaves the rest of it uncounted."""
    session, _ = attached(starts=(0,), heads=(20,))
    session.page(USER, 1, [run(13, 15)], 12, 20)
    assert session.tracks[USER].unacked == 3
    session.ack("user", 7)
    assert session.tracks[USER].unacked == 3


def test_acked_gap_is_forgotten() -> None:
    """An ack above a gap lets it go: what is kept of gaps is bounded by the window."""
    session, _ = attached(starts=(0,), heads=(20,))
    session.page(USER, 1, [run(13, 15)], 12, 20)
    session.ack("user", 14)
    assert session.tracks[USER].gaps == ()
    assert session.tracks[USER].unacked == 1


def test_live_pushes_do_not_wait_for_acks() -> None:
    """Only replay waits for acks."""
    session, _ = attached()
    session.offer(USER, run(1, 50), 0)
    assert session.offer(USER, run(51, 51), 0) == [written(51, 51)]


def test_fetches_are_bounded() -> None:
    """At most `FETCHES_MAX` pages are on their way, and each that comes makes room for the next."""
    groups = [(GROUP + number, 70 + number, 1) for number in range(FETCHES_MAX)]
    session, effects = attached(*groups, starts=[0] * (FETCHES_MAX + 1), heads=[1] * (FETCHES_MAX + 1))
    assert len(effects) == FETCHES_MAX
    assert session.page(USER, 1, [run(1, 1)], 0, 1) == [written(1, 1), Fetch(groups[-1][0], 1)]


def test_page_of_an_ended_stay_makes_room() -> None:
    """A page of a timeline that is no longer followed is dropped, and the next one asked for."""
    groups = [(GROUP + number, 77 + number, 1) for number in range(FETCHES_MAX)]
    zeros, ones = [0] * (FETCHES_MAX + 1), [1] * (FETCHES_MAX + 1)
    session, _ = attached(*groups, starts=zeros, heads=ones, user_head=0)
    session.offer(USER, run(1, 1, change(Action.KICKED, UID)), 0)
    assert session.page(GROUP, 1, [run(1, 1)], 0, 1) == [Fetch(groups[-1][0], 1)]


def test_failed_page_of_an_ended_stay_makes_room() -> None:
    """A page that failed of a timeline that is no longer followed is not asked for again, but the next one is."""
    groups = [(GROUP + number, 77 + number, 1) for number in range(FETCHES_MAX)]
    zeros, ones = [0] * (FETCHES_MAX + 1), [1] * (FETCHES_MAX + 1)
    session, _ = attached(*groups, starts=zeros, heads=ones, user_head=0)
    session.offer(USER, run(1, 1, change(Action.KICKED, UID)), 0)
    assert session.page_failed(GROUP, 1, 0) == [Fetch(groups[-1][0], 1)]


def test_failed_page_of_an_earlier_stay() -> None:
    """A page of an earlier stay that fails is none of the later stay's business."""
    session, _ = rejoined()
    session.prime(GROUP, 9, 12)
    assert session.page_failed(GROUP, 1, 0) == []
    assert session.page(GROUP, 10, [run(10, 12)], 0, 12) == [written(10, 12)]


def test_page_of_an_earlier_stay() -> None:
    """A page that was asked for in an earlier stay is dropped: it lies below this one."""
    session, effects = rejoined()
    assert effects == [written(2, 2), Follow(GROUP, 77, 10)]
    assert session.prime(GROUP, 9, 12) == [Fetch(GROUP, 10)]
    assert session.page(GROUP, 1, [run(1, 3)], 0, 12) == []
    assert session.page(GROUP, 10, [run(10, 12)], 0, 12) == [written(10, 12)]


def test_retention_is_told() -> None:
    """What retention has removed is one `gap`, and the entries above it follow."""
    session, _ = attached(starts=(0,), heads=(6,))
    assert session.page(USER, 1, [run(5, 6)], 4, 6) == [gap(1, 4, "retention"), written(5, 6), LIVE]


def test_retention_of_everything() -> None:
    """A timeline that is empty by retention is caught up with by its gap."""
    session, _ = attached(starts=(0,), heads=(4,))
    assert session.page(USER, 1, [], 4, 4) == [gap(1, 4, "retention"), LIVE]


def test_lost_rows_inside() -> None:
    """Rows that are missing above the floor are told as lost."""
    session, _ = attached(starts=(0,), heads=(4,))
    assert session.page(USER, 1, [run(1, 1), run(4, 4)], 0, 4) == [
        written(1, 1),
        gap(2, 3, "lost"),
        written(4, 4),
        LIVE,
    ]


def test_lost_rows_at_the_end() -> None:
    """Where no row is left up to the page's head, that is told, and no more: above it nothing was looked for."""
    session, _ = attached(starts=(0,), heads=(4,))
    session.hint(USER, 5, 0)
    assert session.page(USER, 1, [], 0, 4) == [gap(1, 4, "lost"), LIVE, Fetch(USER, 5)]


def gone(timeline: str) -> End:
    return End(Close.STORE_FAILED, f"{timeline} has lost entries that were not sent yet")


def test_retention_that_overtakes_the_connection() -> None:
    """What retention took of what came after attaching may have told of a kick: the device must come back."""
    session, _ = attached((GROUP, 77, 1), starts=(0, 0), heads=(0, 3))
    assert session.page(GROUP, 1, [run(5, 6)], 4, 6) == [gone("g:77")]
    assert session.ended


def test_fresh_rows_that_are_lost() -> None:
    """Rows that are lost may have told of a kick where they came after attaching; what is above is withheld."""
    session, _ = attached((GROUP, 77, 1), starts=(0, 0), heads=(0, 3))
    assert session.page(GROUP, 1, [run(1, 3), run(5, 6)], 0, 6) == [written(1, 3), gone("g:77")]


def test_fresh_rows_that_are_lost_at_the_end() -> None:
    """Rows that are lost at the end of a page end the connection as others do."""
    session, _ = attached(starts=(3,), heads=(4,), user_head=3)
    assert session.page(USER, 4, [], 0, 4) == [gone("user")]


def test_rows_lost_in_a_group_just_joined() -> None:
    """In a group that was joined on this connection nothing but its first entry may be missing."""
    session, _ = attached()
    session.offer(USER, run(1, 1, change(Action.JOINED, UID, from_seq=10)), 0)
    session.prime(GROUP, 9, 13)
    assert session.page(GROUP, 10, [run(11, 11), run(13, 13)], 0, 13) == [
        gap(10, 10, "lost", "g:77"),
        written(11, 11),
        gone("g:77"),
    ]


def test_page_that_knows_less_than_a_hint() -> None:
    """A page that ends below what was announced is asked for again after a while, not in circles."""
    session, _ = attached(starts=(4,), heads=(9,))
    assert session.page(USER, 5, [], 0, 4) == [Wake(FETCH_RETRY_MS)]
    assert session.tick(FETCH_RETRY_MS) == [Fetch(USER, 5)]


def test_page_overtaken_by_live_pushes() -> None:
    """A page that was overtaken brings nothing, and is no sign of damage."""
    session, _ = attached(starts=(0,), heads=(1,))
    session.offer(USER, run(1, 3), 0)
    assert session.page(USER, 1, [run(1, 1)], 0, 1) == []


def test_failed_page_is_tried_again() -> None:
    """A page that could not be read is asked for again after a while."""
    session, _ = attached(starts=(0,), heads=(1,))
    assert session.page_failed(USER, 1, 100) == [Wake(100 + FETCH_RETRY_MS)]
    assert session.hint(USER, 2, 200) == []
    assert session.tick(100 + FETCH_RETRY_MS) == [Fetch(USER, 1)]


# -- membership -------------------------------------------------------------------------------------------


def test_joined_starts_following() -> None:
    """A `joined` in the user's own timeline starts following, from where the stay starts."""
    session, _ = attached()
    assert session.offer(USER, run(1, 1, change(Action.JOINED, UID, from_seq=10)), 0) == [
        written(1, 1),
        Follow(GROUP, 77, 10),
    ]
    assert session.prime(GROUP, 9, 10) == [Fetch(GROUP, 10)]


def test_hint_before_the_head_of_a_joined_group() -> None:
    """A group that was just joined is read from when its head is known, and not before."""
    session, _ = attached()
    session.offer(USER, run(1, 1, change(Action.JOINED, UID, from_seq=10)), 0)
    assert session.hint(GROUP, 12, 0) == []
    assert session.offer(GROUP, run(10, 10), 0) == []
    assert session.prime(GROUP, 9, 11) == [Fetch(GROUP, 10)]


def test_joined_group_is_not_waited_for() -> None:
    """A group that was joined on this connection does not hold up `live`."""
    session, _ = attached(starts=(0,), heads=(2,), user_head=0)
    session.offer(USER, run(1, 1, change(Action.JOINED, UID, from_seq=10)), 0)
    session.prime(GROUP, 9, 12)
    assert LIVE in session.page(USER, 1, [run(1, 2)], 0, 2)


def test_joined_twice_starts_anew() -> None:
    """A `joined` of a group that is followed drops what was: the entry between them is lost or expired."""
    session, _ = in_group(head=4)
    assert session.offer(USER, run(1, 1, change(Action.JOINED, UID, from_seq=10)), 0) == [
        written(1, 1),
        Unfollow(GROUP),
        Follow(GROUP, 77, 10),
    ]


def test_joined_in_the_group_starts_nothing() -> None:
    """A `joined` in a group's timeline, one's own too, changes nothing."""
    session, track = in_group()
    assert session.offer(GROUP, run(1, 1, change(Action.JOINED, UID, from_seq=1)), 0) == [written(1, 1)]
    assert session.tracks[GROUP] is track


@pytest.mark.parametrize("action", [Action.LEFT, Action.KICKED, Action.DESTROYED])
def test_own_leaving_in_the_user_timeline(action: Action) -> None:
    """Whatever ends a stay ends following when the user's own timeline tells it."""
    session, _ = in_group()
    assert session.offer(USER, run(1, 1, change(action, UID)), 0) == [written(1, 1), Unfollow(GROUP)]


@pytest.mark.parametrize("action", [Action.LEFT, Action.KICKED])
def test_own_leaving_in_the_group(action: Action) -> None:
    """Whatever ends a stay ends following when the group's timeline tells it first."""
    session, _ = in_group()
    assert session.offer(GROUP, run(1, 1, change(action, 5, UID)), 0) == [written(1, 1), Unfollow(GROUP)]


def test_destroyed_group() -> None:
    """A destroyed group is nobody's any more, whomever its entry names."""
    session, _ = in_group()
    assert session.offer(GROUP, run(1, 1, change(Action.DESTROYED)), 0) == [written(1, 1), Unfollow(GROUP)]


def test_others_leave() -> None:
    """Another member's leaving changes nothing."""
    session, _ = in_group()
    assert session.offer(GROUP, run(1, 1, change(Action.KICKED, 5)), 0) == [written(1, 1)]
    assert GROUP in session.tracks


def test_leaving_is_told_twice() -> None:
    """The second of the two entries that tell a leaving is written, and has no effect."""
    session, _ = in_group()
    session.offer(GROUP, run(1, 1, change(Action.KICKED, UID)), 0)
    assert session.offer(USER, run(1, 1, change(Action.KICKED, UID)), 0) == [written(1, 1)]


def test_nothing_after_leaving() -> None:
    """The rest of the page after one's own leaving is dropped."""
    session, _ = attached((GROUP, 77, 1), starts=(0, 0), heads=(0, 3))
    fence = run(1, 1, change(Action.KICKED, UID))
    assert session.page(GROUP, 1, [fence, run(2, 3)], 0, 3) == [written(1, 1), Unfollow(GROUP), LIVE]
    assert session.offer(GROUP, run(2, 3), 0) == []


def test_changes_that_attaching_knew() -> None:
    """A membership entry at or below the snapshot's head changes nothing: the stays have it already."""
    session, _ = attached((GROUP, 77, 1), starts=(0, 0), heads=(1, 0))
    assert session.page(USER, 1, [run(1, 1, change(Action.KICKED, UID))], 0, 1) == [written(1, 1), LIVE]
    assert GROUP in session.tracks
