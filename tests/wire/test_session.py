"""The session, one fact at a time: what goes in, and which effects come out."""

from __future__ import annotations

from gateway.domain.model import Action
from gateway.wire.close import Close
from gateway.wire.effects import Acked, End, Fetch, Ping, Unfollow, Wake, Write
from gateway.wire.session import FETCH_RETRY_MS, Session
from tests.wire.stage import (
    GROUP,
    LIVE,
    NEVER,
    PACE,
    UID,
    USER,
    attached,
    change,
    in_group,
    rejoined,
    run,
    written,
)

# -- attaching --------------------------------------------------------------------------------------------


def test_attach_returns_tracks_to_register() -> None:
    """The user's timeline is followed from the start, that of each open stay by attaching, by the channel's names."""
    session = Session(UID, USER, PACE, 0, NEVER)
    assert [(track.timeline_id, track.name) for track in session.tracks.values()] == [(USER, "user")]
    tracks = session.attach(0, [(GROUP, 77, 5)])
    assert [(track.timeline_id, track.name) for track in tracks] == [(GROUP, "g:77")]
    assert [*session.tracks] == [USER, GROUP]


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
    session, _ = attached(expires_at=500)
    session.heard(499)
    assert session.tick(499) == []
    assert session.tick(500) == [End(Close.TOKEN_EXPIRED, "the token has expired")]


def test_next_look_at_the_silent() -> None:
    """A session is looked at when its silence is as long as a heartbeat."""
    session, _ = attached()
    assert session.due == 30_000
    session.heard(100)
    assert session.due == 30_100


def test_next_look_after_a_ping() -> None:
    """After a ping a session is looked at a little later than the answer, but no later than its idle timeout ends."""
    session, _ = attached()
    session.tick(30_000)
    assert session.due == 63_750
    session.tick(63_750)
    assert session.due == 75_000


def test_next_look_at_the_end_of_a_token() -> None:
    """No look comes later than the end of the token."""
    session, _ = attached(expires_at=500)
    assert session.due == 500


def test_next_look_for_a_page() -> None:
    """A session that waits before it asks for a page is looked at then."""
    session, _ = attached()
    session.hint(USER, 1, 5)
    assert session.due == 25


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
