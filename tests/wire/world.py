"""A tiny world around one pure session: timelines and stays, a store that is read late, a full transport, a clock.

`World` is the truth: what was committed. `Node` drives a `Session` as the hub does (`gateway/core/hub.py`), but one
step at a time, so that anything may come in between; it judges every byte that the session writes by the one law.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from gateway.domain.model import Action, Membership
from gateway.wire import session as subject
from gateway.wire.close import Close
from gateway.wire.frames import frame
from gateway.wire.session import (
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

USER, UID, OTHER = 1, 100, 101
GROUPS = {2: 12, 3: 13, 4: 14, 5: 15, 6: 16}
"""Timeline ids and xids. One more timeline than a session may fetch at the same time, and then some."""

PACE = Pace(unacked_max=6, page_max=3, heartbeat_ms=30_000, idle_timeout_ms=75_000, reorder_grace_ms=20)
NEVER = 10**15
ROOMY = 10**9
Stage = Literal["snapshot", "registered", "read", "primed", "live"]
TIMELINE_NAMES = {USER: "user"} | {timeline_id: f"g:{xid}" for timeline_id, xid in GROUPS.items()}
IDS = {name: timeline_id for timeline_id, name in TIMELINE_NAMES.items()}


def split(data: bytes) -> Iterator[bytes]:
    """Yield the WebSocket frames that were joined into one write."""
    while data:
        size = data[1]
        assert data[0] == 0x81, "whole text frames only"
        header = 2
        if size == 126:
            size, header = int.from_bytes(data[2:4]), 4
        yield data[: header + size]
        data = data[header + size :]


def told(data: bytes) -> dict[str, Any]:
    """Return what one frame says."""
    members: dict[str, Any] = msgspec.json.decode(data[4 if data[1] == 126 else 2 :])
    return members


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
        self.frames.append(frame("group" if fence else "message", timeline=self.name, seq=seq))
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
        """Say whether the user was there when this entry was appended."""
        if timeline_id == USER:
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


@dataclass
class Reading:
    """A page on its way: first asked for, then read, at last delivered."""

    fetch: Fetch
    page: tuple[list[Run], int, int] | None = None


@dataclass
class Following:
    """A `Follow` on its way: first registered, then the head read, at last primed."""

    follow: Follow
    head: int = -1
    registered: bool = False


@dataclass
class Seen:
    """What the device knows of one timeline that it follows."""

    start: int
    sent: int
    primed: bool = True
    acked: int = 0
    entries: list[int] = field(default_factory=list)
    replayed: list[int] = field(default_factory=list)

    @property
    def unacked(self) -> int:
        return sum(seq > self.acked for seq in self.entries)


class Node:
    """A node with one connection, which may be replaced by the next."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = 1_000
        self.cursors: dict[int, int] = {}
        self.held: list[Commit] = []
        self.sound = True
        self.connect()

    # -- attaching, in the four steps of gateway/core/attaching.py --------------------------------------

    def connect(self) -> None:
        """Begin a connection: read the snapshot of stays and head."""
        world = self.world
        self.session = Session(UID, USER, PACE, self.now, NEVER)
        self.stage: Stage = "snapshot"
        self.attach_head = world.lines[USER].head
        self.snapshot = {timeline_id: line.head for timeline_id, line in world.lines.items()}
        self.tracks = self.session.attach(
            self.attach_head, [(group, GROUPS[group], first) for group, first in world.stays.items()]
        )
        self.stays = dict(world.stays)
        self.followers: dict[int, Track] = {}
        self.fetches: list[Reading] = []
        self.follows: list[Following] = []
        self.wakes: list[int] = []
        self.room = ROOMY
        self.seen: dict[int, Seen] = {}
        self.known: dict[int, int] = {}
        self.greatest: dict[str, int] = {}
        self.goals: dict[int, int] = {}
        self.live = False
        self.ends: list[Close] = []

    def attach_step(self, stated: dict[int, int]) -> None:
        """Go one step on: register, read heads and cursors, prime, start."""
        lines = self.world.lines
        match self.stage:
            case "snapshot":
                self.followers = {track.timeline_id: track for track in self.tracks}
                self.stage = "registered"
            case "registered":
                cursors = self.cursors | {
                    # A cursor of a group lies in a stay that the snapshot knows.
                    timeline_id: min(
                        seq, lines[USER].head if timeline_id == USER else self.snapshot[timeline_id]
                    )
                    for timeline_id, seq in stated.items()
                }
                self.bearings = {
                    timeline_id: (cursors.get(timeline_id, 0), lines[timeline_id].head)
                    for timeline_id in self.session.tracks
                }
                self.stage = "read"
            case "read":
                for timeline_id, (cursor, head) in self.bearings.items():
                    self._know(timeline_id, head)
                    assert self.session.prime(timeline_id, cursor, head) == [], "nothing before the start"
                    start = max(cursor, self.stays.get(timeline_id, 1) - 1)
                    if timeline_id == USER:
                        start = min(cursor, self.attach_head)
                    self.seen[timeline_id] = Seen(start, start, acked=start)
                    self.goals[timeline_id] = head
                assert self.session.cursors == {
                    TIMELINE_NAMES[timeline_id]: seen.sent for timeline_id, seen in self.seen.items()
                }, "welcome tells where each timeline starts"
                self.stage = "primed"
            case "primed":
                self.stage = "live"
                self.perform(self.session.start(), "start")
            case "live":
                pass

    # -- dispatch, as gateway/core/hub.py does it -------------------------------------------------------

    def dispatch(self, commit: Commit) -> None:
        line = self.world.lines[commit.timeline_id]
        for run in line.runs(range(commit.first, commit.last + 1)):
            track = self.followers.get(commit.timeline_id)
            if track is not None:
                self._know(commit.timeline_id, run.last)
                self._fan_out(track, run)

    def _fan_out(self, track: Track, run: Run) -> None:
        session = self.session
        if run.fence is None and track.settled and track.sent == run.first - 1 and not session.lagging:
            track.sent = track.head = run.last
            self.perform([Write(run.data)], "offer")
        else:
            self.perform(session.offer(track.timeline_id, run, self.now), "offer")

    def hint(self, timeline_id: int, head: int) -> None:
        if timeline_id in self.followers:
            self._know(timeline_id, head)
            self.perform(self.session.hint(timeline_id, head, self.now), "hint")

    def sweep(self) -> None:
        for timeline_id in list(self.followers):
            self.hint(timeline_id, self.world.lines[timeline_id].head)

    def _know(self, timeline_id: int, head: int) -> None:
        self.known[timeline_id] = max(self.known.get(timeline_id, 0), head)

    def follow_step(self, index: int) -> None:
        """Go one step on with a timeline that is about to be followed."""
        following = self.follows[index]
        timeline_id = following.follow.timeline_id
        if not following.registered:
            track = self.session.tracks.get(timeline_id)
            if track is None or self.session.ended:
                del self.follows[index]
                return
            self.followers[timeline_id] = track
            following.registered = True
        elif following.head < 0:
            following.head = self.world.lines[timeline_id].head
        else:
            del self.follows[index]
            if timeline_id in self.seen:
                self.seen[timeline_id].primed = True
                self._know(timeline_id, following.head)
            start = following.follow.from_seq - 1
            self.perform(self.session.prime(timeline_id, start, following.head), "prime")

    # -- reading ----------------------------------------------------------------------------------------

    def read_page(self, index: int, limit: int) -> None:
        reading = self.fetches[index]
        line = self.world.lines[reading.fetch.timeline_id]
        reading.page = reading.page or line.page(reading.fetch.from_seq, limit)

    def deliver_page(self, index: int) -> None:
        self.read_page(index, PACE.page_max)
        reading = self.fetches.pop(index)
        assert reading.page is not None
        runs, floor, head = reading.page
        timeline_id, from_seq = reading.fetch.timeline_id, reading.fetch.from_seq
        seen = self.seen.get(timeline_id)
        if not self.session.ended:
            if seen is not None and from_seq > seen.start:
                self._know(timeline_id, head)
            self.perform(self.session.page(timeline_id, from_seq, runs, floor, head), "page")

    def fail_page(self, index: int) -> None:
        fetch = self.fetches.pop(index).fetch
        if not self.session.ended:
            effects = self.session.page_failed(fetch.timeline_id, fetch.from_seq, self.now)
            self.perform(effects, "failed")

    # -- the device, the transport and the clock --------------------------------------------------------

    def ack(self, name: str, seq: int) -> None:
        self.perform(self.session.ack(name, seq), "ack")
        seen = self.seen.get(IDS[name])
        if seen is not None:
            seen.acked = max(seen.acked, seq)

    def drain(self) -> None:
        self.room = ROOMY
        if self.session.lagging and not self.session.ended:
            self.perform(self.session.drained(self.now), "drained")

    def pass_time(self, pause_ms: int) -> None:
        self.now += pause_ms
        if self.now - self.session.heard_at > PACE.heartbeat_ms:
            self.session.heard(self.now)
        while self.wakes and min(self.wakes) <= self.now:
            self.wake(min(self.wakes))

    def wake(self, at: int) -> None:
        self.wakes.remove(at)
        if not self.session.ended:
            self.perform(self.session.tick(self.now), "tick")

    # -- effects ----------------------------------------------------------------------------------------

    def perform(self, effects: Sequence[Effect], cause: str) -> None:
        """Carry out effects in order; what they made of the transport meanwhile, the session did not know."""
        session = self.session
        was_lagging = session.lagging
        self.sound = False
        for effect in effects:
            match effect:
                case Write(data):
                    if not session.ended:
                        assert cause != "offer" or not was_lagging, "a full transport gets no live push"
                        self._judge(data, cause)
                        self.room -= 1
                        if self.room <= 0:
                            session.lag()
                case Fetch():
                    assert not was_lagging, "a full transport takes no pages"
                    self._judge_fetch(effect)
                    self.fetches.append(Reading(effect))
                case Follow():
                    self.follows.append(Following(effect))
                case Unfollow(timeline_id):
                    self.followers.pop(timeline_id, None)
                case Acked(timeline_id, seq):
                    seen = self.seen[timeline_id]
                    assert seen.acked < seq <= seen.sent, "an ack that is news, of what was sent"
                    self.cursors[timeline_id] = seq
                case Wake(at):
                    self.wakes.append(at)
                case Ping():
                    pass
                case End(code, _reason):
                    self.ends.append(code)
                    self.followers.clear()
        self.sound = True

    # -- the law ----------------------------------------------------------------------------------------

    def _judge(self, data: bytes, cause: str) -> None:
        assert self.stage == "live", "nothing is written before the start"
        for one in split(data):
            members = told(one)
            match members["op"]:
                case "live":
                    self._judge_live()
                case "gap":
                    self._judge_gap(members)
                case _:
                    self._judge_entry(one, members, cause)

    def _judge_fetch(self, fetch: Fetch) -> None:
        assert self.stage == "live", "pages are read for who has been welcomed"
        assert not self.session.ended, "pages are read for who is still here"
        seen = self.seen.get(fetch.timeline_id)
        assert seen is not None, "a page of a timeline that is not followed"
        assert seen.primed, "a page before the head is known"
        assert fetch.from_seq == seen.sent + 1, "a page goes on from what was sent"
        assert not self._reading(fetch.timeline_id), "one page of a timeline at a time"

    def _reading(self, timeline_id: int) -> bool:
        """Say whether a page of the stay that is followed is on its way; one of an earlier stay lies below it."""
        start = self.seen[timeline_id].start
        fetches = [reading.fetch for reading in self.fetches]
        return any(fetch.timeline_id == timeline_id and fetch.from_seq > start for fetch in fetches)

    def _judge_live(self) -> None:
        assert not self.live, "live comes once"
        self.live = True
        for timeline_id, goal in self.goals.items():
            assert self.seen[timeline_id].sent >= goal, "live comes when all that was there has been sent"

    def _judge_gap(self, members: dict[str, Any]) -> None:
        timeline_id = IDS[members["timeline"]]
        assert timeline_id in self.seen, "a gap of a timeline that is not followed"
        seen, line = self.seen[timeline_id], self.world.lines[timeline_id]
        assert members["from"] == seen.sent + 1 <= members["to"], "a gap goes on from what was sent"
        if members["reason"] == "retention":
            assert members["to"] <= line.floor, "retention took all of it"
        else:
            missing = set(range(members["from"], members["to"] + 1))
            assert missing <= line.lost, "damage took all of it"
        seen.sent = self.greatest[line.name] = members["to"]

    def _judge_entry(self, one: bytes, members: dict[str, Any], cause: str) -> None:
        timeline_id, seq = IDS[members["timeline"]], members["seq"]
        assert timeline_id in self.seen, "an entry of a timeline that is not followed"
        seen, line = self.seen[timeline_id], self.world.lines[timeline_id]
        assert seq == seen.sent + 1, "the one law"
        assert one == line.frames[seq - 1], "the frame of that entry"
        assert self.world.owed(timeline_id, seq), "nothing outside a stay"
        seen.sent = self.greatest[line.name] = seq
        seen.entries.append(seq)
        if cause == "page":
            seen.replayed.append(seq)
            assert sum(old > seen.acked for old in seen.replayed) <= PACE.unacked_max, "replay waits for acks"
        fence = line.fences.get(seq)
        if fence is None or (timeline_id == USER and seq <= self.attach_head):
            return
        if ends_following(fence, timeline_id):
            self.seen.pop(fence.group_id, None)
            self.known.pop(fence.group_id, None)
            self.goals.pop(fence.group_id, None)
        elif timeline_id == USER:
            start = fence.from_seq - 1
            self.seen[fence.group_id] = Seen(start, start, primed=False, acked=start)

    def check(self) -> None:
        """Judge what must hold after every step: the bound on fetches, and that nobody waits for nothing."""
        assert len(self.fetches) <= subject.FETCHES_MAX
        assert len(self.ends) <= 1
        if self.stage != "live" or self.session.ended or self.session.lagging:
            return
        for timeline_id, seen in self.seen.items():
            due = self.session.tracks[timeline_id].due
            assert (
                not seen.primed
                or (due > self.now and min(self.wakes, default=NEVER) <= due)
                or seen.sent >= self.known.get(timeline_id, 0)
                or len(self.fetches) == subject.FETCHES_MAX
                or seen.unacked + PACE.page_max > PACE.unacked_max
                or self._reading(timeline_id)
            ), f"{TIMELINE_NAMES[timeline_id]} is behind and nothing will wake it"

    def unsafe(self, timeline_id: int) -> int:
        """Return the first seq that retention and damage must leave alone.

        An entry that ends following, committed after the snapshot and not written yet. Where the device cannot learn
        that it has left, no session can know; retention is days, and a connection that old is another one.
        """
        line, seen = self.world.lines[timeline_id], self.seen.get(timeline_id)
        done = max(self.snapshot[timeline_id], seen.sent if seen else 0)
        waiting = [seq for seq in line.fences if seq > done]
        return min(waiting, default=line.head + 1)

    # -- the end ----------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let everything arrive that is on its way; the device acks as seldom as it may."""
        for _ in range(10_000):
            if not self._settle_step():
                return
        raise AssertionError("the session never comes to rest")

    def _settle_step(self) -> bool:
        if self.session.ended:
            return False
        if self.stage != "live":
            self.attach_step({})
        elif self.follows:
            self.follow_step(0)
        elif self.session.lagging:
            self.drain()
        elif self.fetches:
            self.deliver_page(0)
        elif late := [t for t, seen in self.seen.items() if seen.unacked >= PACE.unacked_max // 2]:
            self.ack(TIMELINE_NAMES[late[0]], self.seen[late[0]].sent)
        elif self.wakes:
            self.pass_time(max(0, min(self.wakes) - self.now))
        else:
            return False
        return True

    def check_rest(self) -> None:
        """Judge the end: first all that was announced has arrived, then, after a sweep, all there is."""
        if not self.sound:
            return  # It has failed already.
        self.settle()
        if self.session.ended:
            return
        assert self.live, "live comes"
        for timeline_id, seen in self.seen.items():
            assert seen.sent >= self.known[timeline_id], (
                f"{TIMELINE_NAMES[timeline_id]} stays behind what is known"
            )
        self.sweep()
        self.settle()
        self.room = ROOMY
        lines, followed = self.world.lines, {USER, *self.world.stays}
        assert {t: seen.sent for t, seen in self.seen.items()} == {t: lines[t].head for t in followed}
        assert set(self.session.tracks) == set(self.followers) == followed
        assert all(track.settled for track in self.session.tracks.values()), "the fan-out's short way is open"
        for timeline_id in followed:
            self.dispatch(self.world.send(timeline_id, 1))
            assert self.seen[timeline_id].sent == lines[timeline_id].head, (
                "at rest, live pushes go out at once"
            )
