"""What a device shows of one chatroom: from where it came in, as far as that leads without a hole."""

from __future__ import annotations

import dataclasses
from typing import Any

Frame = dict[str, Any]

ROOM = "r:"


@dataclasses.dataclass
class Room:
    """The entries of a chatroom above `start`, all of them up to `held`. `inside`: more are to come."""

    start: int = 0
    held: int = 0
    inside: bool = False
    line: dict[int, Frame] = dataclasses.field(default_factory=dict)

    def enter(self, seq: int) -> None:
        """Take the answer to a join: entries come from after `seq`, also such as are held."""
        if not self.inside:
            self.start = seq if seq > self.held else min(seq, self.start)
            self.held = seq
            self.line = {at: entry for at, entry in self.line.items() if self.start < at <= seq}
        self.inside = True

    def apply(self, frame: Frame) -> None:
        """Take an entry or a gap of its timeline; nothing comes that was not to come next."""
        first = frame["from"] if frame["op"] == "gap" else frame["seq"]
        assert self.inside, f"outside of the chatroom, and is sent {frame}"
        assert first == self.held + 1, f"held up to {self.held}, and is sent {frame}"
        if frame["op"] == "gap":
            assert frame["reason"] == "retention", frame
            # What was taken back in there is not known.
            self.start = self.held = frame["to"]
            self.line = {}
            return
        self.held = first
        self.line[first] = frame
        if frame["op"] == "group":
            assert frame["action"] == "destroyed", frame
            self.inside = False

    @property
    def items(self) -> list[Frame]:
        """The messages that were not taken back, oldest first."""
        wiped = {entry["msg_id"] for entry in self.line.values() if entry["op"] in ("recalled", "gone")}
        told = [entry["message"] for _, entry in sorted(self.line.items()) if entry["op"] == "message"]
        return [item for item in told if item["msg_id"] not in wiped]
