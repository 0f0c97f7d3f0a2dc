"""The marks of a device: whatever breaks in between, the application gets each entry once and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.client.cursors import Cursors, Frame, Verdict


def entry(seq: int, timeline: str = "user") -> Frame:
    return {"op": "message", "timeline": timeline, "seq": seq, "message": {}}


def attached(cursors: dict[str, int]) -> Cursors:
    marks = Cursors({}, None)
    marks.attach("e1", cursors)
    return marks


def joined(seq: int, group_id: int, from_seq: int, timeline: str = "user") -> Frame:
    return {
        "op": "group",
        "timeline": timeline,
        "seq": seq,
        "action": "joined",
        "group_id": group_id,
        "from_seq": from_seq,
    }


def test_a_frame_outside_timelines_is_always_new() -> None:
    """An online-only message has no seq, so it is never a repeat and moves nothing."""
    marks = attached({"user": 0})
    online_only = {"op": "message", "message": {}}
    assert [marks.judge(online_only), marks.judge(online_only)] == [Verdict.NEW, Verdict.NEW]
    marks.hold(online_only)
    assert marks.settle(online_only) is None


def test_an_entry_of_a_timeline_not_followed_is_a_breach() -> None:
    """Only timelines that `welcome` or a `joined` named may bring entries."""
    assert attached({"user": 0}).judge(entry(1, "g:5")) is Verdict.GAP


def test_a_stale_joined_changes_nothing() -> None:
    """A replayed `joined` of a group that `welcome` already named does not set its timeline back."""
    marks = attached({"user": 0, "g:5": 60})
    assert marks.judge(joined(1, 5, from_seq=50)) is Verdict.NEW
    assert marks.judge(entry(50, "g:5")) is Verdict.DUPLICATE
    assert marks.judge(entry(61, "g:5")) is Verdict.NEW


def test_joined_in_the_groups_own_timeline_starts_nothing() -> None:
    """Somebody else's `joined`, told in the group, is no new stay of this device."""
    marks = attached({"user": 0, "g:5": 9})
    assert marks.judge(joined(10, 5, from_seq=20, timeline="g:5")) is Verdict.NEW
    assert marks.judge(entry(20, "g:5")) is Verdict.GAP


def test_a_group_left_meanwhile_is_not_settled() -> None:
    """An entry still in hand of a timeline that is no longer followed gives nothing to ack."""
    marks = attached({"user": 0, "g:5": 9})
    assert marks.judge(entry(10, "g:5")) is Verdict.NEW
    marks.hold(entry(10, "g:5"))
    marks.attach("e1", {"user": 0})
    assert marks.settle(entry(10, "g:5")) is None
    assert marks.cursors == {"user": 0}


def test_a_forgotten_entry_in_hand_is_not_settled() -> None:
    """Being done with an entry that comes again does not skip it."""
    marks = Cursors({"user": 5}, "e1")
    marks.attach("e1", {"user": 5})
    assert marks.judge(entry(6)) is Verdict.NEW
    marks.hold(entry(6))
    marks.state()
    marks.attach("e1", {"user": 4})
    assert marks.settle(entry(6)) is None
    assert marks.cursors == {"user": 4}
    assert [marks.judge(entry(seq)) for seq in (5, 6)] == [Verdict.NEW, Verdict.NEW]


def test_an_entry_in_hand_of_another_epoch_hides_nothing() -> None:
    """A seq means another entry after a restore, even where the numbers go on."""
    marks = attached({"user": 5})
    assert marks.judge(entry(6)) is Verdict.NEW
    marks.hold(entry(6))
    marks.state()
    marks.attach("e2", {"user": 5})
    assert marks.judge(entry(6)) is Verdict.NEW
    assert marks.settle(entry(6)) is None


def test_what_this_connection_was_not_sent_is_not_to_be_acked() -> None:
    """An entry in hand from before is done with, but may be acked only when it has come again."""
    marks = attached({"user": 5})
    assert marks.judge(entry(6)) is Verdict.NEW
    marks.hold(entry(6))
    marks.state()
    marks.attach("e1", {"user": 5})
    assert marks.settle(entry(6)) is None
    assert (marks.cursors, marks.ackable("user")) == ({"user": 6}, 5)
    assert marks.judge(entry(6)) is Verdict.REPEATED
    assert marks.ackable("user") == 6


def test_a_joined_counts_on_its_own_connection_only() -> None:
    """After coming back, `welcome` says where each timeline starts, and nothing older does."""
    marks = attached({"user": 0})
    assert marks.judge(joined(1, 5, from_seq=30)) is Verdict.NEW
    marks.state()
    marks.attach("e1", {"user": 1, "g:5": 20})
    assert marks.judge(entry(30, "g:5")) is Verdict.GAP


def test_a_rejoined_group_starts_at_its_new_stay() -> None:
    """Where `welcome` names more than the device holds, it goes on from there."""
    marks = attached({"user": 0, "g:5": 9})
    marks.state()
    marks.attach("e1", {"user": 0, "g:5": 40})
    assert marks.cursors["g:5"] == 40
    assert marks.judge(entry(41, "g:5")) is Verdict.NEW


@given(st.data())
def test_every_entry_once_and_in_order(data: st.DataObject) -> None:
    """However connections break and however late the application is, it gets 1, 2, 3 … exactly once each.

    Neither an ack nor a `hello` ever names an entry that the application is not done with, and no ack names
    one that its connection was not sent.
    """
    head = data.draw(st.integers(1, 30), label="head")
    marks = Cursors({}, None)
    given_out: list[int] = []
    settled = 0
    acked = 0
    for _ in range(data.draw(st.integers(1, 6), label="connections")):
        stated = marks.state() if marks.epoch is not None else {}
        assert stated.get("user", 0) <= settled
        in_flight = max(acked, stated.get("user", 0))
        # The application may finish what it has in hand between `hello` and `welcome`.
        if settled < len(given_out) and data.draw(st.booleans(), label="finishes early"):
            settled += 1
            marks.settle(entry(settled))
        marks.attach("e1", {"user": in_flight})
        upto = data.draw(st.integers(in_flight, head), label="sent")
        inbox = []
        for seq in range(in_flight + 1, upto + 1):
            verdict = marks.judge(entry(seq))
            assert verdict in (Verdict.NEW, Verdict.REPEATED)
            if verdict is Verdict.NEW:
                inbox.append(seq)
        for seq in inbox[: data.draw(st.integers(0, len(inbox)), label="read")]:
            # It asks for the next frame: it is done with the one before.
            if settled < len(given_out):
                settled += 1
                marks.settle(entry(settled))
            marks.hold(entry(seq))
            given_out.append(seq)
        assert marks.ackable("user") <= min(settled, upto) or marks.ackable("user") == in_flight
        if data.draw(st.booleans(), label="ack gets through"):
            acked = max(acked, marks.ackable("user"))
    assert given_out == list(range(1, len(given_out) + 1))
