"""The session in chatrooms, one fact at a time: no acks, no cursor, no stay (design §3, Chatroom)."""

from __future__ import annotations

from gateway.domain.model import Action, Membership
from gateway.wire.effects import Effect, Fetch, Unfollow, Wake, Write
from gateway.wire.session import FETCHES_MAX, Session
from gateway.wire.track import RoomTrack
from tests.wire.stage import GROUP, PACE, USER, attached, gap, in_group, run, written

ROOM = 9
AT = 1_790_000_000_000


def in_room(start: int = 0, head: int = 0) -> tuple[Session, list[Effect]]:
    """Return a live session that enters a chatroom after `start`, and what comes of it."""
    session, _ = attached()
    session.join(ROOM, 77, AT)
    return session, session.prime(ROOM, start, head)


def test_join_returns_the_track_to_register() -> None:
    """The timeline has the channel's name, and the track says since when the device is in it."""
    session, _ = attached()
    track = session.join(ROOM, 77, AT)
    assert (track.timeline_id, track.name, track.joined_at) == (ROOM, "r:77", AT)
    assert session.rooms == [track]


def test_at_the_head_runs_are_written() -> None:
    """Nothing is missing, and the fan-out's short way is open."""
    session, effects = in_room(5, 5)
    assert effects == []
    assert session.tracks[ROOM].settled
    assert session.offer(ROOM, run(6, 7), 0) == [written(6, 7)]


def test_below_the_head_a_page_is_read() -> None:
    """What is kept above the seq that was asked for comes from the store."""
    session, effects = in_room(3, 5)
    assert effects == [Fetch(ROOM, 4)]
    assert session.page(ROOM, 4, [run(4, 5)], 0, 5) == [written(4, 5)]


def test_runs_before_the_head_is_known() -> None:
    """They are not written before the answer, but remembered as the head."""
    session, _ = attached()
    session.join(ROOM, 77, AT)
    assert session.offer(ROOM, run(6, 7), 0) == []
    assert session.prime(ROOM, 5, 5) == [Fetch(ROOM, 6)]


def test_replay_waits_for_no_ack() -> None:
    """Page after page, far beyond the window of other timelines."""
    session, effects = in_room(0, 100)
    sent = 0
    while sent < 10 * PACE.unacked_max:
        assert effects[-1] == Fetch(ROOM, sent + 1)
        effects = session.page(ROOM, sent + 1, [run(sent + 1, sent + 3)], 0, 100)
        sent += 3


def test_a_full_transport_stops_the_replay() -> None:
    """The transport is all that it waits for."""
    session, _ = in_room(0, 9)
    session.lag()
    assert session.page(ROOM, 1, [run(1, 3)], 0, 9) == [written(1, 3)]
    assert session.drained(0) == [Fetch(ROOM, 4)]


def test_acks_of_a_chatroom_are_ignored() -> None:
    """Also beyond what was sent: it is no timeline that can be acked."""
    session, _ = in_room(0, 0)
    assert session.ack("r:77", 0) == []
    assert session.ack("r:77", 99) == []
    assert not session.ended


def test_chatrooms_are_not_among_the_cursors() -> None:
    """Cursors are what a client may come back with."""
    session, _ = in_room(5, 5)
    assert session.cursors == {"user": 0}


def test_what_is_gone_is_passed_over() -> None:
    """Below the floor, at any seq and however new: the connection goes on after it."""
    session, _ = in_room(3, 5)
    session.hint(ROOM, 300, 0)
    effects = session.page(ROOM, 4, [run(251, 253)], 250, 300)
    assert effects == [gap(4, 250, "retention", "r:77"), written(251, 253), Fetch(ROOM, 254)]
    assert session.tracks[ROOM].gaps == ()


def test_damage_is_passed_over() -> None:
    """It can hide no change of who is where."""
    session, _ = in_room(3, 9)
    assert session.page(ROOM, 4, [run(8, 9)], 0, 9) == [gap(4, 7, "lost", "r:77"), written(8, 9)]


def test_its_end_is_written_and_then_nothing() -> None:
    """The entry comes, and the rest of the page is dropped."""
    session, _ = in_room(3, 5)
    fence = Membership(action=Action.DESTROYED, group_id=ROOM, group_xid=77, user_xids=())
    assert session.page(ROOM, 4, [run(4, 4, fence), run(5, 5)], 0, 5) == [written(4, 4), Unfollow(ROOM)]
    assert session.rooms == []
    assert session.offer(ROOM, run(5, 5), 0) == []


def test_leave_stops_following() -> None:
    """Nothing of it is written any more, pages on their way neither."""
    session, _ = in_room(3, 5)
    assert session.leave(ROOM) == [Unfollow(ROOM)]
    assert session.page(ROOM, 4, [run(4, 5)], 0, 5) == []
    assert session.rooms == []


def test_leave_of_what_is_no_chatroom() -> None:
    """A group is not left by it, and what is not followed has nothing to leave."""
    session, _ = in_group()
    assert session.leave(GROUP) == []
    assert session.leave(ROOM) == []
    assert GROUP in session.tracks


def test_a_late_page_serves_who_comes_back() -> None:
    """Entered again at the same seq: the page that was asked for before is that of now."""
    session, _ = in_room(3, 5)
    session.leave(ROOM)
    session.join(ROOM, 77, AT)
    assert session.prime(ROOM, 3, 5) == [Fetch(ROOM, 4)]
    assert session.page(ROOM, 4, [run(4, 5)], 0, 5) == [written(4, 5)]
    assert session.page(ROOM, 4, [run(4, 5)], 0, 5) == []


def test_live_does_not_wait_for_a_chatroom() -> None:
    """`live` has come, and does not come again."""
    session, _ = in_room(0, 3)
    effects = session.page(ROOM, 1, [run(1, 3)], 0, 3)
    assert effects == [written(1, 3)]


def test_hints_and_graces_are_those_of_any_timeline() -> None:
    """What is only out of order gets a grace to arrive."""
    session, _ = in_room(5, 5)
    assert session.hint(ROOM, 6, 0) == [Wake(PACE.reorder_grace_ms)]
    assert session.tick(PACE.reorder_grace_ms) == [Fetch(ROOM, 6)]


def test_busy_chatrooms_take_turns_with_the_user() -> None:
    """However many never catch up, the user's own timeline comes to its turn."""
    session, _ = attached()
    busy = range(ROOM, ROOM + FETCHES_MAX + 1)
    fetches = []
    for room in busy:
        session.join(room, room, AT)
        fetches += session.prime(room, 0, 1_000)
    fetches += session.hint(USER, 1, 0)
    session.tick(PACE.reorder_grace_ms)
    turns = 0
    while Fetch(USER, 1) not in fetches:
        turns += 1
        assert turns < 3 * len(busy), "the user's timeline waits for ever"
        effect = fetches.pop(0)
        if isinstance(effect, Fetch):
            page = [run(effect.from_seq, effect.from_seq + 2)]
            fetches += session.page(effect.timeline_id, effect.from_seq, page, 0, 1_000)


def test_a_track_of_a_chatroom_is_not_acked() -> None:
    """Whatever it has sent, no entry of it waits for an ack."""
    track = RoomTrack(ROOM, "r:77", AT)
    track.sent = 1_000
    assert track.unacked == 0


def test_writes_are_bytes_as_they_were_offered() -> None:
    """The very same object goes to every device."""
    session, _ = in_room(0, 0)
    offered = run(1, 2)
    [effect] = session.offer(ROOM, offered, 0)
    assert isinstance(effect, Write)
    assert effect.data is offered.data


def test_a_chatroom_has_no_start() -> None:
    """What is stored of where a connection began are its user's timeline and its groups."""
    session, _ = attached((GROUP, 77, 4), starts=(2, 6), heads=(2, 6))
    session.join(ROOM, 78, AT)
    session.prime(ROOM, 5, 5)
    assert session.starts == {USER: 2, GROUP: 6}
    session.offer(USER, run(3, 3), 0)
    assert session.starts == {USER: 2, GROUP: 6}
