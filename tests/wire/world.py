"""A tiny world around one user: timelines and stays, what was committed, and what was lost since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.domain.model import Action, Membership
from gateway.wire.effects import Run
from gateway.wire.encoding import JSON
from gateway.wire.frames import frame

USER, UID, OTHER = 1, 100, 101
GROUPS = {2: 12, 3: 13, 4: 14, 5: 15, 6: 16}
"""Timeline ids and xids. One more timeline than a session may fetch at the same time, and then some."""

ROOMS = {7: 17, 8: 18}
"""Chatrooms, which the user's connection may be in."""

TIMELINE_NAMES = (
    {USER: "user"}
    | {timeline_id: f"g:{xid}" for timeline_id, xid in GROUPS.items()}
    | {timeline_id: f"r:{xid}" for timeline_id, xid in ROOMS.items()}
)


class Line:
    """One timeline: its entries as frames, the fences among them, and what retention and damage took."""

    def __init__(self, timeline_id: int) -> None:
        self.id = timeline_id
        self.name = TIMELINE_NAMES[timeline_id]
        self.frames: list[bytes] = []
        self.fences: dict[int, Membership] = {}
        self.floor = 0
        self.lost: set[int] = set()

    @property
    def head(self) -> int:
        return len(self.frames)

    def append(self, fence: Membership | None = None) -> int:
        seq = self.head + 1
        self.frames.append(frame(JSON, "group" if fence else "message", timeline=self.name, seq=seq))
        if fence is not None:
            self.fences[seq] = fence
        return seq

    def runs(self, seqs: Iterable[int]) -> list[Run]:
        """Make runs as the hub does: consecutive seqs, a fence last."""
        runs: list[Run] = []
        joined: list[int] = []
        for seq in seqs:
            if joined and (seq != joined[-1] + 1 or joined[-1] in self.fences):
                runs.append(self._run(joined))
                joined = []
            joined.append(seq)
        return [*runs, self._run(joined)] if joined else runs

    def _run(self, seqs: list[int]) -> Run:
        frames = [self.frames[seq - 1] for seq in seqs]
        return Run(seqs[0], frames, b"".join(frames), self.fences.get(seqs[-1]))

    def page(self, from_seq: int, limit: int) -> tuple[list[Run], int, int]:
        """Read a page: runs, floor and head of one snapshot."""
        first = max(from_seq, self.floor + 1)
        kept = [seq for seq in range(first, self.head + 1) if seq not in self.lost]
        return self.runs(kept[:limit]), self.floor, self.head


@dataclass
class Commit:
    """Entries of one timeline that were committed, and are dispatched, together."""

    timeline_id: int
    first: int
    last: int


class World:
    """The committed truth, of one user and some groups."""

    def __init__(self) -> None:
        self.lines = {timeline_id: Line(timeline_id) for timeline_id in TIMELINE_NAMES}
        self.stays: dict[int, int] = {}
        self.spans: dict[int, list[tuple[int, int]]] = {group: [] for group in GROUPS}
        self.destroyed: set[int] = set()

    def send(self, timeline_id: int, count: int) -> Commit:
        line = self.lines[timeline_id]
        first = line.head + 1
        for _ in range(count):
            line.append()
        return Commit(timeline_id, first, line.head)

    def join(self, group: int) -> list[Commit]:
        from_seq = self.lines[group].head + 1
        self.stays[group] = from_seq
        return self._change(group, Action.JOINED, UID, from_seq)

    def leave(self, group: int, action: Action) -> list[Commit]:
        commits = self._change(group, action, UID)
        self.spans[group].append((self.stays.pop(group), commits[0].last))
        if action is Action.DESTROYED:
            self.destroyed.add(group)
        return commits

    def end_room(self, room: int) -> Commit:
        """A chatroom ends: its own timeline says so, and no other."""
        self.destroyed.add(room)
        fence = Membership(
            action=Action.DESTROYED, group_id=room, group_xid=ROOMS[room], user_xids=(), from_seq=0
        )
        seq = self.lines[room].append(fence)
        return Commit(room, seq, seq)

    def other(self, group: int, action: Action) -> Commit:
        """Somebody else comes or goes: the user's own timeline says nothing of it."""
        return self._change(group, action, OTHER, self.lines[group].head + 1)[0]

    def _change(self, group: int, action: Action, xid: int, from_seq: int = 0) -> list[Commit]:
        commits = []
        for timeline_id in (group, USER)[: 2 if xid == UID else 1]:
            fence = Membership(
                action=action,
                group_id=group,
                group_xid=GROUPS[group],
                user_xids=() if action is Action.DESTROYED else (xid,),
                from_seq=from_seq,
            )
            seq = self.lines[timeline_id].append(fence)
            commits.append(Commit(timeline_id, seq, seq))
        return commits

    def owed(self, timeline_id: int, seq: int) -> bool:
        """Say whether the user was there when this entry was appended. In a chatroom everybody is."""
        if timeline_id == USER or timeline_id in ROOMS:
            return True
        start = self.stays.get(timeline_id)
        return (start is not None and seq >= start) or any(
            first <= seq <= last for first, last in self.spans[timeline_id]
        )


def ends_following(fence: Membership, timeline_id: int) -> bool:
    """Say whether a membership entry of that timeline ends the user's following of the group."""
    if fence.action is Action.JOINED:
        return False
    return timeline_id == USER or fence.action is Action.DESTROYED or UID in fence.user_xids
