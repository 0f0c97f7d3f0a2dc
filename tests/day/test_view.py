"""The view that the law is checked with: whatever order things come in, it shows the same."""

from __future__ import annotations

from typing import Any

import pytest

from tests.day.view import USER, Frame, Item, View

ME, FRIEND, GROUP = 1, 2, 70
NOW = 1_000


def item(msg_id: int, conversation: int = FRIEND) -> Item:
    return {
        "msg_id": msg_id,
        "from_xid": {"uid": FRIEND, "device_sn": 0},
        "to_xid": {"uid": ME, "device_sn": 0},
        "content": f"text {msg_id}",
        "ctype": "TEXT",
        "attachment": "",
        "config": "",
        "ext": "",
        "timestamp": 0,
        "conversation_id": conversation,
    }


def welcome(**cursors: int) -> Frame:
    named = {name.replace("_", ":"): seq for name, seq in cursors.items()}
    return {"op": "welcome", "epoch": "e", "cursors": named}


def message(seq: int, msg_id: int, conversation: int = FRIEND, timeline: str = USER) -> Frame:
    return {"op": "message", "timeline": timeline, "seq": seq, "message": item(msg_id, conversation)}


def entry(op: str, seq: int, timeline: str = USER, **members: Any) -> Frame:
    return {"op": op, "timeline": timeline, "seq": seq, **members}


def group(action: str, seq: int, *, timeline: str = USER, **members: Any) -> Frame:
    return entry("group", seq, timeline, action=action, group_id=GROUP, user_ids=[ME], **members)


def view_of(*frames: Frame) -> View:
    view = View(ME, lambda: NOW)
    for frame in frames:
        view.apply(frame)
    return view


def shown(view: View, conversation: int = FRIEND) -> list[int]:
    return [message.msg_id for message in view.conversations.get(conversation, [])]


def test_a_deletion_hides_what_comes_after_it() -> None:
    """A deletion is a position: a group's older message that comes later is hidden too."""
    deleted = entry("deleted", 1, conversation_id=GROUP, msg_id=5)
    line = [message(1, 5, GROUP, "g:70"), message(2, 6, GROUP, "g:70")]
    start = welcome(user=0, g_70=0)
    assert shown(view_of(start, deleted, *line), GROUP) == shown(view_of(start, *line, deleted), GROUP) == [6]


def test_a_recall_wipes_what_is_read_later() -> None:
    """A page that was read before a recall, and is taken after it, brings nothing back."""
    view = view_of(welcome(user=3), entry("recalled", 4, conversation_id=FRIEND, msg_id=8))
    view.history(FRIEND, [item(7), item(8)])
    assert shown(view) == [7]


def test_what_a_later_reading_lacks_is_gone() -> None:
    """What told of it may have been skipped."""
    view = view_of(welcome(user=0), message(1, 7), message(2, 8), welcome(user=9))
    assert view.missing == {USER}
    view.history(FRIEND, [item(8)])
    assert shown(view) == [8]


def test_only_the_open_stay_is_shown() -> None:
    """What came of a closed stay is kept; the group is shown again from where the new one starts."""
    first = [welcome(user=0), group("joined", 1, from_seq=4), message(5, 50, GROUP, "g:70")]
    view = view_of(*first)
    assert shown(view, GROUP) == [50]
    view.apply(group("kicked", 6, timeline="g:70"))
    assert view.windows == {}
    assert shown(view, GROUP) == []
    view.apply(group("kicked", 2))
    view.apply(group("joined", 3, from_seq=9))
    view.apply(message(10, 60, GROUP, "g:70"))
    assert shown(view, GROUP) == [60]
    assert 5 in view.lines["g:70"]


def test_what_lies_above_a_welcome_comes_again() -> None:
    view = view_of(welcome(user=0), message(1, 7), message(2, 8), welcome(user=1))
    assert shown(view) == [7]
    view.apply(message(2, 8))
    assert shown(view) == [7, 8]


def test_a_seq_yields_one_frame_for_ever() -> None:
    """Only a text can go."""
    view = view_of(welcome(user=0), message(1, 7), welcome(user=0))
    with pytest.raises(AssertionError):
        view.apply(message(1, 8))
    view.apply(entry("gone", 1, conversation_id=FRIEND, msg_id=7, reason="recalled"))
    assert shown(view) == []


def test_nothing_is_held_of_another_epoch() -> None:
    view = view_of(welcome(user=0), message(1, 7))
    view.apply(welcome(user=0) | {"epoch": "f"})
    assert shown(view) == []
    assert view.held == {USER: 0}


# -- what goes by itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("expires_at", "left"), [(NOW + 1, [7, 8]), (NOW, [8]), (1, [8])])
def test_what_is_due_is_hidden(expires_at: int, left: list[int]) -> None:
    """By itself, to the millisecond, be it from a frame or a page."""
    due = message(1, 7)
    due["message"]["expires_at"] = expires_at
    assert shown(view_of(welcome(user=0), due, message(2, 8))) == left
    view = view_of(welcome(user=2))
    view.history(FRIEND, [item(8), item(7) | {"expires_at": expires_at}])
    assert shown(view) == left


# -- chatrooms ----------------------------------------------------------------------------------------------

ROOM = 80


def entered(seq: int) -> Frame:
    return {"op": "ok", "ref": "j", "timeline": "r:80", "seq": seq}


def of_room(seq: int) -> Frame:
    return message(seq, 100 + seq, ROOM, "r:80")


def shown_of_room(view: View) -> list[int]:
    return [message.msg_id for message in view.shown_of_room(ROOM)]


def test_a_chatroom_from_where_it_left_off() -> None:
    """What came before is shown still, and is in no conversation; a new connection is outside at first."""
    view = view_of(welcome(user=0), entered(3), of_room(4), of_room(5), welcome(user=0))
    assert not view.rooms[ROOM].inside
    for frame in (entered(5), of_room(6), entry("recalled", 7, "r:80", conversation_id=ROOM, msg_id=104)):
        view.apply(frame)
    assert shown_of_room(view) == [105, 106]
    assert (view.rooms[ROOM].start, view.rooms[ROOM].held, view.conversations) == (3, 7, {})


def test_a_hole_in_a_chatroom() -> None:
    """What lies before it is forgotten: a recall of it may have been in there."""
    told = {"op": "gap", "timeline": "r:80", "from": 6, "to": 8, "reason": "retention"}
    start = [welcome(user=0), entered(3), of_room(4), of_room(5)]
    for hole in ([told], [welcome(user=0), entered(8)]):
        view = view_of(*start, *hole, of_room(9))
        assert (shown_of_room(view), view.rooms[ROOM].start) == ([109], 8)


def test_a_chatroom_comes_in_order() -> None:
    """Nothing is left out, and nothing comes to who is outside."""
    view = view_of(welcome(user=0), entered(3))
    with pytest.raises(AssertionError):
        view.apply(of_room(5))
    view.apply({"op": "group", "action": "kicked", "group_id": ROOM, "user_ids": [ME]})
    with pytest.raises(AssertionError):
        view.apply(of_room(4))
