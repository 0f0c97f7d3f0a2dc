"""The chatrooms that a device is in, and how it comes back into them, without I/O."""

from __future__ import annotations

from gateway.client.cursors import Frame, Verdict, span

_PREFIX = "r:"
_ENDS = frozenset({"kicked", "destroyed"})
_PASSING = frozenset({20000, 60004})
"""Codes of refusals that say nothing about the chatroom: the server is busy or goes, or it was asked too fast."""


def is_of_room(frame: Frame) -> bool:
    """Whether a frame is an entry, or a gap, of a chatroom's timeline."""
    return str(frame.get("timeline", "")).startswith(_PREFIX)


class Rooms:
    """Two marks for each chatroom, both a greatest seq: *sent* on this connection, *held* by the application.

    The server forgets all of it with the connection, so that a new one joins again from what is held.
    """

    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        self._sent: dict[str, int] = {}
        # The joins of `rejoin` that are not answered yet.
        self._asked: dict[str, Frame] = {}

    def rejoin(self, *, forgotten: bool) -> list[Frame]:
        """Return what to say at the start of a connection; `forgotten`: the store is another, and no seq counts."""
        self._sent.clear()
        if forgotten:
            self._held = dict.fromkeys(self._held, 0)
        self._asked = {
            timeline: {"op": "join", "ref": timeline, "room_id": int(timeline.removeprefix(_PREFIX))}
            | ({} if forgotten else {"seq": seq})
            for timeline, seq in self._held.items()
        }
        return list(self._asked.values())

    def enter(self, ok: Frame) -> None:
        """Note the answer to a join: entries come from after the seq that it names."""
        if (timeline := ok.get("timeline")) is not None:
            self._sent[timeline] = ok["seq"]
            self._held.setdefault(timeline, ok["seq"])

    def ask_again(self, answer: Frame) -> Frame | None:
        """Return the frame of `rejoin` that this refuses for a while only, to say it again; None where it is none."""
        timeline = answer.get("ref")
        return (
            self._asked.get(timeline) if timeline in self._held and answer.get("code") in _PASSING else None
        )

    def take_rejoined(self, answer: Frame) -> bool:
        """Take the answer to one of `rejoin`'s frames, if it is one; False where the application is to know it."""
        timeline = answer.get("ref")
        if timeline not in self._asked:
            return False
        del self._asked[timeline]
        if answer["op"] == "error":
            # Who has left meanwhile need not know.
            return self._held.pop(timeline, None) is None
        self._sent[timeline] = answer["seq"]
        # Not of one that was left meanwhile: that would bring the device back into it.
        if timeline in self._held:
            self._held[timeline] = answer["seq"]
        return True

    def comes_again(self, frame: Frame) -> bool:
        """Whether a new connection brings an entry of a chatroom again: not where the device does not come back."""
        return frame["timeline"] in self._held

    def leave(self, room_id: int) -> None:
        """Come back into it no more; what is on its way still comes."""
        self._held.pop(f"{_PREFIX}{room_id}", None)

    def judge(self, frame: Frame) -> Verdict:
        """Judge a frame of a chatroom that has just come."""
        first, last = span(frame)
        sent = self._sent.get(frame["timeline"], -1)
        if last <= sent:
            return Verdict.DUPLICATE
        if first != sent + 1:
            return Verdict.GAP
        self._sent[frame["timeline"]] = last
        return Verdict.NEW

    def note(self, frame: Frame) -> None:
        """Note what ends this device's being in a chatroom: its own end, or that one was put out."""
        if frame["op"] == "group" and frame["action"] in _ENDS and frame.get("timeline") != "user":
            self.leave(frame["group_id"])

    def hold(self, frame: Frame) -> None:
        """Note that the application was handed this frame."""
        if frame["timeline"] in self._held:
            self._held[frame["timeline"]] = span(frame)[1]
