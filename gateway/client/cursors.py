"""What a device holds of its timelines: the client's side of the one law, without I/O."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from gateway.wire.frames import USER_TIMELINE

Frame = dict[str, Any]
"""One frame of the device channel as it came: `op` and the members the design lists for it."""


class Verdict(enum.Enum):
    """What to do with a frame that has just come."""

    NEW = "new"
    """Hand it to the application."""
    REPEATED = "repeated"
    """Drop it: an earlier connection brought it, and its ack had not reached the store."""
    DUPLICATE = "duplicate"
    """Drop it: this same connection brought it already, which breaks the protocol."""
    GAP = "gap"
    """Don't take it: entries before it are missing, which breaks the protocol. Come back with `hello`."""


class Cursors:
    """Three marks for each timeline, all of them a greatest seq.

    *sent*: what the server has written on this connection. *held*: what the application was handed, on any
    connection. `cursors`: what the application is done with; this is what acks and `hello` say, so that a
    crash in the middle of an entry brings that entry again.
    """

    def __init__(self, cursors: Mapping[str, int], epoch: str | None) -> None:
        self.cursors = dict(cursors)
        self.epoch = epoch
        self._held = dict(cursors)
        self._stated: dict[str, int] = {}
        self._sent: dict[str, int] = {}
        self._starts: dict[str, int] = {}

    def state(self) -> dict[str, int]:
        """Return what to say in the `hello` of a new connection."""
        self._stated = dict(self.cursors)
        return self._stated

    def attach(self, epoch: str, cursors: Mapping[str, int]) -> None:
        """Begin a connection at the starting points its `welcome` names.

        Of another epoch nothing held counts any more; of the same one, whatever lies above `cursors` is
        forgotten and comes again. Timelines that are not named are no longer followed.
        """
        if epoch != self.epoch:
            self._held.clear()
            self.cursors.clear()
        # What was stated counts, not what is held: the application may have gone on since `hello`.
        kept = {timeline for timeline, seq in cursors.items() if self._stated.get(timeline, 0) <= seq}
        for marks in (self._held, self.cursors):
            told = {t: max(seq, marks.get(t, 0)) if t in kept else seq for t, seq in cursors.items()}
            marks.clear()
            marks.update(told)
        self.epoch = epoch
        self._sent = dict(cursors)
        self._starts = {}

    def judge(self, frame: Frame) -> Verdict:
        """Judge a frame that has just come; frames outside every timeline are always new."""
        timeline = frame.get("timeline")
        if timeline is None:
            return Verdict.NEW
        first, last = span(frame)
        sent = self._sent.get(timeline, -1)
        if last <= sent:
            return Verdict.DUPLICATE
        # A stay that began on this connection starts where its `joined` said, whatever was sent before it.
        if first not in (sent + 1, self._starts.get(timeline)):
            return Verdict.GAP
        self._sent[timeline] = last
        if frame["op"] == "group" and "from_seq" in frame and timeline == USER_TIMELINE:
            self._starts[f"g:{frame['group_id']}"] = frame["from_seq"]
        return Verdict.NEW if last > self._held.get(timeline, 0) else Verdict.REPEATED

    def hold(self, frame: Frame) -> None:
        """Note that the application was handed this frame."""
        if (timeline := frame.get("timeline")) is not None:
            self._held[timeline] = max(span(frame)[1], self._held.get(timeline, 0))

    def settle(self, frame: Frame) -> str | None:
        """Note that the application is done with this frame; return its timeline if there is more to ack."""
        timeline: str | None = frame.get("timeline")
        # A frame of an earlier connection says nothing about a timeline that this one does not follow, or
        # had to forget.
        if timeline is None or timeline not in self._sent:
            return None
        last = span(frame)[1]
        if self._held.get(timeline, 0) < last:
            return None
        self.cursors[timeline] = max(last, self.cursors.get(timeline, 0))
        return timeline if last <= self._sent[timeline] else None

    def ackable(self, timeline: str) -> int:
        """How far the timeline may be acked: an ack above *sent* would break the protocol."""
        return min(self.cursors.get(timeline, 0), self._sent.get(timeline, 0))


def span(frame: Frame) -> tuple[int, int]:
    """First and last seq that a frame of a timeline stands for."""
    if frame["op"] == "gap":
        return frame["from"], frame["to"]
    return frame["seq"], frame["seq"]
