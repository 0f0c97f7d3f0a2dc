"""The checker of the fault runs sees every way to break a promise (design §2)."""

from __future__ import annotations

import pytest

from scripts.faultlib.history import Arrived, Line, Row, Sent, Span, Statuses, Truth, judge

SENT = Sent("alpha:1", "alpha", 101, 102, 5)
ROW = Row("alpha", 5, 101, 102, "alpha:1")


def truth(
    rows: tuple[Row, ...] = (ROW,),
    entries: dict[int, int] | None = None,
    group: dict[int, int] | None = None,
    spans: tuple[Span, ...] = (Span(2, 0),),
) -> Truth:
    """A store with one message to user 102, who is in group 900 from its second entry on."""
    own = {1: 5} if entries is None else entries
    ours = {1: 0, 2: 0, 3: 7} if group is None else group
    return Truth(
        rows,
        {("alpha", 102): Line(max(own, default=0), own), ("alpha", 900): Line(max(ours, default=0), ours)},
        {("alpha", 900, 102): spans},
    )


def device(own: dict[int, int] | None = None, group: dict[int, int] | None = None) -> Arrived:
    """A device of user 102 that has got these."""
    made = Arrived("alpha", 102, "the device")
    for seq, msg_id in ({1: 5} if own is None else own).items():
        made.take("user", seq, msg_id)
    for seq, msg_id in ({2: 0, 3: 7} if group is None else group).items():
        made.take("g:900", seq, msg_id)
    return made


def test_a_run_that_kept_its_promises_is_clean() -> None:
    """Where every answered send is stored once and everything owed has come, nothing is said."""
    assert judge([SENT], [device()], truth()) == []


@pytest.mark.parametrize(
    ("sent", "rows", "said"),
    [
        (SENT, (), "which is not stored"),
        (SENT, (ROW._replace(text="alpha:2"),), "which is"),
        (SENT, (ROW._replace(target=103),), "which is"),
        (SENT, (ROW._replace(app="beta"),), "which is"),
        (SENT, (ROW, ROW._replace(msg_id=6)), "stored 2 times"),
        (SENT._replace(msg_id=0), (ROW, ROW._replace(msg_id=6)), "stored 2 times"),
    ],
)
def test_a_send_that_is_not_stored_once_is_a_breach(sent: Sent, rows: tuple[Row, ...], said: str) -> None:
    """Lost, stored otherwise than sent, or stored twice."""
    [breach] = judge([sent], [], truth(rows))
    assert said in breach


def test_a_send_without_an_answer_may_be_stored_or_not() -> None:
    """Nothing was promised."""
    unanswered = SENT._replace(msg_id=0)
    assert judge([unanswered], [], truth()) == judge([unanswered], [], truth(())) == []


def test_the_text_of_a_recalled_message_is_gone_rightly() -> None:
    """A recall wipes it."""
    assert judge([SENT], [], truth((ROW._replace(text=None),))) == []


@pytest.mark.parametrize(
    ("own", "group", "said"),
    [
        ({}, None, "did not get 1 of the seqs 1 to 1 of user"),
        (None, {3: 7}, "did not get 1 of the seqs 2 to 3 of g:900, the first is 2"),
        (None, {2: 0}, "the first is 3"),
        ({1: 6}, None, "with message 6, the store has 5"),
        (None, {1: 0, 2: 0, 3: 7}, "which lies in none of its stays"),
    ],
)
def test_a_device_that_has_other_than_it_is_owed_is_a_breach(
    own: dict[int, int] | None, group: dict[int, int] | None, said: str
) -> None:
    """A hole, another message, or an entry from outside the stay."""
    [breach] = judge([SENT], [device(own, group)], truth())
    assert said in breach


def test_what_is_unsent_of_an_ended_stay_is_not_owed() -> None:
    """Of a stay that is over whatever came is well, and no more need come."""
    ended = truth(spans=(Span(2, 3),))
    assert judge([], [device(group={2: 0})], ended) == []
    assert len(judge([], [device(group={2: 0, 4: 8})], ended)) == 1


def test_a_group_of_which_nothing_came_is_owed_too() -> None:
    """A device that never followed a group its user is in has lost all of it."""
    [breach] = judge([], [device(group={})], truth())
    assert "did not get 2" in breach


def test_a_seq_that_changes_its_message_is_a_breach() -> None:
    """An entry that comes again must be the same."""
    made = device()
    made.take("user", 1, 6)
    assert any("was message 5 and is message 6" in breach for breach in judge([], [made], truth()))


def test_a_frame_of_another_app_is_a_breach() -> None:
    """What the client has noted of foreign texts is told."""
    made = device()
    made.foreign.append("got 'beta:1', a text of another app")
    assert judge([], [made], truth()) == ["the device: got 'beta:1', a text of another app"]


def test_statuses_that_fall_are_a_breach() -> None:
    """UNREAD, DELIVERED, READ, for each who asks."""
    statuses = Statuses()
    for asker, status in ((1, 0), (1, 2), (2, 0), (1, 2)):
        statuses.saw(asker, 5, status)
    assert statuses.breaches == []
    statuses.saw(1, 5, 1)
    assert statuses.breaches == ["message 5 was 2 to 1 and is 1"]


def test_only_so_many_breaches_of_one_kind_are_told() -> None:
    """A run that has lost everything does not fill the screen."""
    lost = [SENT._replace(tag=f"alpha:{number}", msg_id=100 + number) for number in range(50)]
    told = judge(lost, [], truth())
    assert len(told) == 11
    assert told[-1] == "stored once: and 40 more"
