"""The session, one fact at a time: what goes in, and which effects come out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.domain.model import Action, Membership
from gateway.wire.close import Close
from gateway.wire.frames import frame
from gateway.wire.session import (
    DAY_MS,
    FETCH_RETRY_MS,
    FETCHES_MAX,
    Acked,
    Effect,
    End,
    Fetch,
    Follow,
    Pace,
    Ping,
    Run,
    Session,
    Track,
    Unfollow,
    Wake,
    Write,
)

USER, GROUP, UID = 1, 2, 100
PACE = Pace(unacked_max=6, page_max=3, heartbeat_ms=30_000, idle_timeout_ms=75_000, reorder_grace_ms=20)
NEVER = 10**15
LIVE = Write(frame("live"))


def entry(seq: int) -> bytes:
    return b"<%d>" % seq


def run(first: int, last: int, fence: Membership | None = None) -> Run:
    frames = [entry(seq) for seq in range(first, last + 1)]
    return Run(first, frames, b"".join(frames), fence)


def written(first: int, last: int) -> Write:
    return Write(run(first, last).data)


def gap(first: int, last: int, reason: str, timeline: str = "user") -> Write:
    return Write(frame("gap", timeline=timeline, **{"from": first}, to=last, reason=reason))


def change(action: Action, *user_xids: int, from_seq: int = 0) -> Membership:
    return Membership(action=action, group_id=GROUP, group_xid=77, user_xids=user_xids, from_seq=from_seq)


def attached(
    *groups: tuple[int, int, int],
    starts: Sequence[int] = (0,),
    heads: Sequence[int] = (0,),
    user_head: int | None = None,
    expires_at: int = NEVER,
) -> tuple[Session, list[Effect]]:
    """Attach a user's timeline and groups, each with its start and its head, at time 0."""
    session = Session(UID, USER, PACE, 0, expires_at)
    tracks = session.attach(heads[0] if user_head is None else user_head, groups)
    for track, start, head in zip(tracks, starts, heads, strict=True):
        assert session.prime(track.timeline_id, start, head) == []
    return session, session.start()


def in_group(head: int = 0, from_seq: int = 1) -> tuple[Session, Track]:
    """Return a session that is live in its own timeline and in a group's, with its track of the group."""
    session, effects = attached((GROUP, 77, from_seq), starts=(0, head), heads=(0, head))
    assert effects == [LIVE]
    return session, session.tracks[GROUP]


# -- attaching --------------------------------------------------------------------------------------------


def test_attach_returns_tracks_to_register() -> None:
    """Attaching follows the user's timeline and that of each open stay, by the channel's names."""
    tracks = Session(UID, USER, PACE, 0, NEVER).attach(0, [(GROUP, 77, 5)])
    assert [(track.timeline_id, track.name) for track in tracks] == [(USER, "user"), (GROUP, "g:77")]


def test_live_at_once() -> None:
    """Where nothing is missing, `live` is all there is to say."""
    assert attached(starts=(4,), heads=(4,))[1] == [LIVE]


def test_replay_begins_with_a_page() -> None:
    """What is missing at attach is read at once: no grace, since nothing is only out of order."""
    assert attached(starts=(4,), heads=(9,))[1] == [Fetch(USER, 5)]


def test_cursors_are_the_starting_points() -> None:
    """`cursors` tell where each timeline starts, and a stay starts nothing below it."""
    session, _ = attached((GROUP, 77, 8), starts=(3, 2), heads=(3, 9))
    assert session.cursors == {"user": 3, "g:77": 7}


def test_start_above_the_snapshot() -> None:
    """A cursor above the snapshot of the stays is taken back to it: its membership changes must be obeyed."""
    session, effects = attached(starts=(9,), heads=(9,), user_head=7)
    assert session.cursors == {"user": 7}
    assert effects == [Fetch(USER, 8)]


def test_runs_before_the_head_is_known() -> None:
    """A run that comes before `prime` is not written, but remembered as the head."""
    session = Session(UID, USER, PACE, 0, NEVER)
    session.attach(0, [])
    assert session.offer(USER, run(1, 2), 0) == []
    session.prime(USER, 0, 1)
    assert session.start() == [Fetch(USER, 1)]
    assert session.tracks[USER].head == 2


def test_runs_before_the_start() -> None:
    """A run that comes before `start` is not written: nothing goes before `welcome`."""
    session = Session(UID, USER, PACE, 0, NEVER)
    session.attach(0, [])
    session.prime(USER, 0, 0)
    assert session.offer(USER, run(1, 2), 0) == []
    assert session.start() == [Fetch(USER, 1), LIVE]


def test_hint_before_the_start() -> None:
    """A hint that comes before `start` asks for no page yet."""
    session = Session(UID, USER, PACE, 0, NEVER)
    session.attach(0, [])
    session.prime(USER, 0, 0)
    assert session.hint(USER, 5, 0) == []
    assert session.start() == [Fetch(USER, 1), LIVE]


def test_prime_of_an_unknown_timeline() -> None:
    """The head of a timeline that is no longer followed says nothing."""
    assert attached()[0].prime(GROUP, 0, 9) == []


def test_second_prime_is_news_of_the_head() -> None:
    """A group left and joined again at once is followed twice: the later head counts, the start does not."""
    session, track = in_group()
    assert session.prime(GROUP, 0, 4) == [Fetch(GROUP, 1)]
    assert (track.sent, track.settled) == (0, False)


def test_second_prime_before_the_start() -> None:
    """A head that comes twice has no effect before the start."""
    session = Session(UID, USER, PACE, 0, NEVER)
    session.attach(0, [])
    session.prime(USER, 0, 0)
    assert session.prime(USER, 0, 4) == []


def test_live_waits_for_the_heads_of_attach() -> None:
    """`live` comes when the last timeline has reached the head it had at attach, not the head it has now."""
    session, _ = attached((GROUP, 77, 1), starts=(0, 0), heads=(2, 1))
    assert session.page(USER, 1, [run(1, 2)], 0, 2) == [written(1, 2)]
    assert session.page(GROUP, 1, [run(1, 1)], 0, 5) == [written(1, 1), LIVE, Fetch(GROUP, 2)]


def test_live_comes_once() -> None:
    """`live` does not come again when the next timeline is caught up with."""
    session, _ = attached()
    session.hint(USER, 1, 0)
    session.tick(20)
    assert session.page(USER, 1, [run(1, 1)], 0, 1) == [written(1, 1)]


def test_live_when_the_last_goal_is_dropped() -> None:
    """A timeline that is no longer followed is not waited for."""
    session, _ = attached((GROUP, 77, 1), starts=(0, 0), heads=(0, 4))
    assert session.offer(USER, run(1, 1, change(Action.KICKED, UID)), 0) == [
        written(1, 1),
        Unfollow(GROUP),
        LIVE,
    ]


# -- the law ----------------------------------------------------------------------------------------------


def test_next_run_is_written() -> None:
    """A run that starts at sent + 1 is written as the one object it is."""
    session, _ = attached()
    whole = run(1, 3)
    [effect] = session.offer(USER, whole, 0)
    assert isinstance(effect, Write)
    assert effect.data is whole.data


def test_repeated_run_is_dropped() -> None:
    """A run that was sent is dropped."""
    session, _ = attached(starts=(3,), heads=(3,))
    assert session.offer(USER, run(2, 3), 0) == []


def test_overlapping_run_is_cut() -> None:
    """Of a run that was sent in part only the rest is written."""
    session, _ = attached(starts=(2,), heads=(2,))
    assert session.offer(USER, run(1, 4), 0) == [written(3, 4)]


def test_run_of_an_unknown_timeline() -> None:
    """A run of a timeline that is not followed is dropped."""
    assert attached()[0].offer(GROUP, run(1, 1), 0) == []


def test_run_above_waits_for_the_one_before() -> None:
    """A run above sent + 1 gets the one before it a grace to arrive."""
    session, _ = attached()
    assert session.offer(USER, run(2, 2), 5) == [Wake(25)]


def test_run_that_was_only_out_of_order() -> None:
    """The run that was missing is written when it comes; what followed it is read, since it is not kept."""
    session, _ = attached()
    session.offer(USER, run(2, 2), 5)
    assert session.offer(USER, run(1, 1), 6) == [written(1, 1)]
    assert session.tick(25) == [Fetch(USER, 2)]


def test_nothing_to_do_when_the_grace_ends() -> None:
    """A grace that ends with nothing missing has no effect."""
    session, _ = attached()
    session.offer(USER, run(2, 2), 5)
    session.offer(USER, run(1, 2), 6)
    assert session.tick(25) == []


def test_wake_up_that_comes_early() -> None:
    """A timer that goes off too early is set again, or the page would not be asked for."""
    session, _ = attached()
    session.hint(USER, 1, 0)
    assert session.tick(19) == [Wake(20)]


def test_one_wake_up_serves_all() -> None:
    """A timeline whose grace ends later than another's needs no wake-up of its own until then."""
    session, _ = in_group()
    assert session.hint(USER, 1, 0) == [Wake(20)]
    assert session.hint(GROUP, 1, 7) == []
    assert session.tick(20) == [Fetch(USER, 1), Wake(27)]


def test_earlier_wake_up() -> None:
    """A pause that ends before the one that is waited for gets a wake-up of its own."""
    session, _ = attached((GROUP, 77, 1), starts=(0, 0), heads=(1, 0))
    assert session.page_failed(USER, 1, 0) == [Wake(FETCH_RETRY_MS)]
    assert session.hint(GROUP, 1, 0) == [Wake(20)]


def test_hint_asks_for_a_page() -> None:
    """A hint of a head above *sent* leads to a page once the grace is over."""
    session, _ = attached()
    assert session.hint(USER, 2, 0) == [Wake(20)]
    assert session.tick(20) == [Fetch(USER, 1)]


def test_stale_hint() -> None:
    """A hint of a head that is known is dropped."""
    session, _ = attached(starts=(3,), heads=(3,))
    assert session.hint(USER, 3, 0) == []


def test_hint_of_an_unknown_timeline() -> None:
    """A hint of a timeline that is not followed is dropped."""
    assert attached()[0].hint(GROUP, 3, 0) == []


def test_second_hint_while_behind() -> None:
    """Another hint prolongs no grace and asks for no second page."""
    session, _ = attached()
    session.hint(USER, 1, 0)
    assert session.hint(USER, 2, 15) == []
    assert session.tick(20) == [Fetch(USER, 1)]
    assert session.hint(USER, 3, 21) == []


def test_live_push_during_a_page() -> None:
    """A run at sent + 1 is written while a page is on its way, and cut out of the page then."""
    session, _ = attached(starts=(0,), heads=(2,))
    assert session.offer(USER, run(1, 1), 0) == [written(1, 1)]
    assert session.page(USER, 1, [run(1, 2)], 0, 2) == [written(2, 2), LIVE]


def test_settled_after_catching_up() -> None:
    """Only a track that is settled takes the fan-out's short way: none that is behind."""
    session, _ = attached(starts=(0,), heads=(1,))
    track = session.tracks[USER]
    settled = [track.settled]
    session.page(USER, 1, [run(1, 1)], 0, 1)
    settled.append(track.settled)
    session.hint(USER, 5, 0)
    settled.append(track.settled)
    assert settled == [False, True, False]


def test_time_does_not_go_back() -> None:
    """A clock that jumps back starts no grace anew."""
    session, _ = attached()
    session.heard(1_000)
    assert session.hint(USER, 1, 5) == [Wake(1_020)]


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


def rejoined() -> tuple[Session, list[Effect]]:
    """Return a session in whose group a page was on its way when its user was kicked and joined again."""
    session, effects = attached((GROUP, 77, 1), starts=(0, 0), heads=(0, 4))
    assert effects == [Fetch(GROUP, 1)]
    session.offer(USER, run(1, 1, change(Action.KICKED, UID)), 0)
    return session, session.offer(USER, run(2, 2, change(Action.JOINED, UID, from_seq=10)), 0)


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


# -- acks -------------------------------------------------------------------------------------------------


def test_ack_is_committed() -> None:
    """An ack of what was sent is to be committed."""
    session, _ = attached()
    session.offer(USER, run(1, 3), 0)
    assert session.ack("user", 2) == [Acked(USER, 2)]


def test_repeated_ack() -> None:
    """An ack that says nothing new is ignored."""
    session, _ = attached()
    session.offer(USER, run(1, 3), 0)
    session.ack("user", 2)
    assert session.ack("user", 2) == []
    assert session.ack("user", 1) == []


def test_ack_above_sent() -> None:
    """An ack of what was not sent breaks the protocol."""
    session, _ = attached()
    [effect] = session.ack("user", 1)
    assert isinstance(effect, End)
    assert effect.code is Close.PROTOCOL
    assert session.ended


def test_ack_of_an_unknown_timeline() -> None:
    """An ack of a timeline that is not followed any more is ignored."""
    session, _ = in_group()
    session.offer(GROUP, run(1, 1, change(Action.KICKED, UID)), 0)
    assert session.ack("g:77", 1) == []


def test_late_ack_of_an_earlier_stay() -> None:
    """A late ack of an earlier stay does no harm, even before the later one's head is known."""
    session, _ = rejoined()
    assert session.ack("g:77", 4) == []
    assert not session.ended


# -- the transport ----------------------------------------------------------------------------------------


def test_lagging_session_gets_no_live_push() -> None:
    """A full transport gets nothing; when it has drained, the session reads on from the store."""
    session, _ = attached()
    session.lag()
    assert session.offer(USER, run(1, 1), 0) == []
    assert session.drained(5) == [Fetch(USER, 1)]


def test_hint_while_lagging() -> None:
    """A hint that comes while the transport is full is not forgotten."""
    session, _ = attached()
    session.lag()
    assert session.hint(USER, 1, 0) == []
    assert session.drained(5) == [Fetch(USER, 1)]


def test_page_while_lagging() -> None:
    """A page that was on its way when the transport filled up is written, and no further one asked for."""
    session, _ = attached(starts=(0,), heads=(9,))
    session.lag()
    assert session.page(USER, 1, [run(1, 3)], 0, 9) == [written(1, 3)]
    assert session.drained(5) == [Fetch(USER, 4)]


def test_drained_with_nothing_missing() -> None:
    """A transport that drains before anything was missed has no effect."""
    session, _ = attached()
    session.lag()
    assert session.drained(5) == []
    assert session.offer(USER, run(1, 1), 5) == [written(1, 1)]


# -- time -------------------------------------------------------------------------------------------------


def test_silence_is_asked_for_life() -> None:
    """After a heartbeat of silence one ping goes out, not one at each tick."""
    session, _ = attached()
    assert session.tick(29_999) == []
    assert session.tick(30_000) == [Ping()]
    assert session.tick(40_000) == []


def test_sign_of_life() -> None:
    """Any sign of life starts the silence anew."""
    session, _ = attached()
    session.tick(30_000)
    session.heard(31_000)
    assert session.tick(60_999) == []
    assert session.tick(61_000) == [Ping()]


def test_draining_is_a_sign_of_life() -> None:
    """Bytes that drain count as life."""
    session, _ = attached()
    session.lag()
    session.drained(70_000)
    assert session.tick(80_000) == []


def test_idle_connection_ends() -> None:
    """Silence for the idle timeout ends the session, with leave to come back."""
    session, _ = attached()
    assert session.tick(75_000) == [End(Close.IDLE, "nothing heard for 75000 ms")]


def test_token_expires() -> None:
    """A session ends with its token, whatever it says."""
    session, effects = attached(expires_at=500)
    assert effects == [LIVE, Wake(500)]
    session.heard(499)
    assert session.tick(499) == []
    assert session.tick(500) == [End(Close.TOKEN_EXPIRED, "the token has expired")]


def test_token_of_a_day() -> None:
    """A token that expires within a day gets a wake-up of its own."""
    assert attached(expires_at=DAY_MS)[1] == [LIVE, Wake(DAY_MS)]


def test_token_of_more_than_a_day() -> None:
    """A token that expires later is left to the regular ticks: timers cannot be set for years."""
    assert attached(expires_at=DAY_MS + 1)[1] == [LIVE]


# -- the end ----------------------------------------------------------------------------------------------


def test_end_comes_once() -> None:
    """A session ends once, for its first reason."""
    session, _ = attached()
    assert session.end(Close.REPLACED, "a") == [End(Close.REPLACED, "a")]
    assert session.end(Close.IDLE, "b") == []


def test_ended_session_reads_nothing() -> None:
    """An ended session asks for no more pages."""
    session, _ = attached(starts=(0,), heads=(9,))
    session.end(Close.REPLACED, "a")
    assert session.page_failed(USER, 1, 0) == [Wake(FETCH_RETRY_MS)]
    assert session.tick(FETCH_RETRY_MS) == []


def test_run_knows_its_last_seq() -> None:
    """The last seq of a run follows from its first and its frames."""
    assert run(5, 7).last == 7
