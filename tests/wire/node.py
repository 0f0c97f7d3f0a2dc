"""A node with one connection, which drives a `Session` as the hub does, but one step at a time.

So anything may come in between (compare `gateway/core/hub.py` and `gateway/core/attaching.py`). Every byte that the
session writes is judged by the one law (design §3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from gateway.wire import session as subject
from gateway.wire.close import Close
from gateway.wire.effects import Acked, Effect, End, Fetch, Follow, Ping, Run, Unfollow, Wake, Write
from gateway.wire.session import Pace, Session
from gateway.wire.track import Front, Track
from tests.wire.parts import Following, Joining, Reading, Seen, split, told
from tests.wire.world import GROUPS, ROOMS, TIMELINE_NAMES, UID, USER, Commit, World, ends_following

PACE = Pace(unacked_max=6, page_max=3, heartbeat_ms=30_000, idle_timeout_ms=75_000, reorder_grace_ms=20)
NEVER = 10**15
ROOMY = 10**9
Stage = Literal["admitted", "snapshot", "registered", "read", "primed", "live"]
IDS = {name: timeline_id for timeline_id, name in TIMELINE_NAMES.items()}


class Node:
    """A node with one connection, which may be replaced by the next."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = 1_000
        self.cursors: dict[int, int] = {}
        self.held: list[Commit] = []
        self.sound = True
        self.connect()

    # -- attaching, in the five steps of gateway/core/attaching.py --------------------------------------

    def connect(self) -> None:
        """Begin a connection: register the user's own track."""
        self.session = Session(UID, USER, PACE, self.now, NEVER)
        self.stage: Stage = "admitted"
        self.attach_head = 0
        self.snapshot: dict[int, int] = {}
        self.tracks: list[Track] = []
        self.stays: dict[int, int] = {}
        self.followers: dict[int, Track] = dict(self.session.tracks)
        self.fronts: dict[int, Front] = {}
        self.fetches: list[Reading] = []
        self.follows: list[Following] = []
        self.joins: list[Joining] = []
        self.rooms: set[int] = set()
        self.wakes: list[int] = []
        self.room = ROOMY
        self.seen: dict[int, Seen] = {}
        self.known: dict[int, int] = {}
        self.greatest: dict[str, int] = {}
        self.goals: dict[int, int] = {}
        self.live = False
        self.ends: list[Close] = []

    def attach_step(self, stated: dict[int, int]) -> None:
        """Go one step on: read the snapshot of stays and head, register, read the groups' heads, prime, start."""
        lines = self.world.lines
        match self.stage:
            case "admitted":
                stays = self.world.stays
                self.attach_head = lines[USER].head
                self.snapshot = {timeline_id: line.head for timeline_id, line in lines.items()}
                self.tracks = self.session.attach(
                    self.attach_head, [(group, GROUPS[group], first) for group, first in stays.items()]
                )
                self.stays = dict(stays)
                self.stage = "snapshot"
            case "snapshot":
                self.followers |= {track.timeline_id: track for track in self.tracks}
                self.stage = "registered"
            case "registered":
                cursors = self.cursors | {
                    # A cursor of a group lies in a stay that the snapshot knows, one of the user below its head.
                    timeline_id: min(seq, self.snapshot[timeline_id])
                    for timeline_id, seq in stated.items()
                }
                heads = {timeline_id: line.head for timeline_id, line in lines.items()} | {
                    USER: self.attach_head
                }
                self.bearings = {
                    timeline_id: (cursors.get(timeline_id, 0), heads[timeline_id])
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
                    base = self.attach_head if timeline_id == USER else head
                    self.seen[timeline_id] = Seen(start, start, base, acked=start)
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
        """Write a run as to one of many: the others, who have all, move the front on also without this one."""
        session, timeline_id = self.session, track.timeline_id
        front = self.fronts.setdefault(timeline_id, Front())
        took = front.take(run)
        if not took and run.last > front.seq:
            track.part()
            front.seq = run.last
        if track.front is not None:
            assert track.front is front, "one front of each timeline"
            assert not session.lagging, "a full transport gets no live push"
            if took:
                self.perform([Write(run.data)], "offer")
            return
        if run.fence is None and track.settled and track.sent == run.first - 1 and not session.lagging:
            track.sent = track.head = run.last
            self.perform([Write(run.data)], "offer")
        else:
            self.perform(session.offer(timeline_id, run, self.now), "offer")
        if self.followers.get(timeline_id) is track and not session.lagging:
            track.join(front)

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

    # -- chatrooms, as gateway/core/rooms.py does it ----------------------------------------------------

    def join_room(self, room: int, seq: int | None) -> None:
        """Begin to enter a chatroom, unless the connection is in it or about to be."""
        if self.stage == "live" and not (self.session.ended or room in self.session.tracks):
            track = self.session.join(room, ROOMS[room], self.now)
            self.followers[room] = track
            self.joins.append(Joining(room, track, seq))

    def join_step(self, index: int) -> None:
        """Go one step on with a chatroom that is about to be entered."""
        joining = self.joins[index]
        room = joining.room
        if self.session.ended or self.session.tracks.get(room) is not joining.track:
            del self.joins[index]
        elif joining.head < 0:
            joining.head = self.world.lines[room].head
            if room in self.world.destroyed:
                self.leave_room(room)
        else:
            del self.joins[index]
            start = joining.head if joining.seq is None else min(joining.seq, joining.head)
            self.seen[room] = Seen(start, start, NEVER, acked=NEVER)
            self.rooms.add(room)
            self._know(room, joining.head)
            self.perform(self.session.prime(room, start, joining.head), "prime")

    def leave_room(self, room: int) -> None:
        """Leave a chatroom, or be put out of it."""
        self.perform(self.session.leave(room), "leave")
        self._forget(room)

    def _forget(self, timeline_id: int) -> None:
        self.seen.pop(timeline_id, None)
        self.known.pop(timeline_id, None)
        self.goals.pop(timeline_id, None)
        self.rooms.discard(timeline_id)
        self._outdate(timeline_id)

    def _outdate(self, timeline_id: int) -> None:
        """Pages on their way were asked for by who has left since; whoever comes back may still use them."""
        for reading in self.fetches:
            reading.stale = reading.stale or reading.fetch.timeline_id == timeline_id

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
        track = self.session.tracks.get(timeline_id)
        if not self.session.ended:
            if track is not None and track.fetching == from_seq:
                self._outdate(timeline_id)
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
                    assert timeline_id not in ROOMS, "nobody acks a chatroom"
                    seen = self.seen[timeline_id]
                    assert seen.acked < seq <= seen.sent, "an ack that is news, of what was sent"
                    self.cursors[timeline_id] = seq
                case Wake(at):
                    self.wakes.append(at)
                case End(code, _reason):
                    self._judge_end(code, cause)
                    self.ends.append(code)
                    self.followers.clear()
                case Ping():
                    pass
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
        fetches = [reading.fetch for reading in self.fetches if not reading.stale]
        return any(fetch.timeline_id == timeline_id and fetch.from_seq > start for fetch in fetches)

    def _judge_end(self, code: Close, cause: str) -> None:
        if code is not Close.STORE_FAILED:
            return
        assert cause == "page", "only a page can show that entries are gone"
        assert any(
            seq <= line.floor or seq in line.lost
            for line in self.world.lines.values()
            if (seen := self.seen.get(line.id)) is not None
            for seq in range(max(seen.sent, seen.base) + 1, line.head + 1)
        ), "entries are gone that came after the stays were read, and were not sent"

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
        assert members["to"] <= seen.base, "a gap hides no change of who is where"
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
            self._forget(fence.group_id)
        elif timeline_id == USER:
            start = fence.from_seq - 1
            self.seen[fence.group_id] = Seen(start, start, fence.from_seq, primed=False, acked=start)

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

    def spared(self, timeline_id: int, fresh: bool) -> int:
        """Return the first seq that retention and damage leave alone.

        Nobody can know of a fence that is lost between the two queries of attaching, so none is. What is newer than
        the stays is lost only where the case is to be tried (`fresh`): it ends the connection.
        """
        line, seen = self.world.lines[timeline_id], self.seen.get(timeline_id)
        # Before there is a snapshot nothing is known that could be lost.
        known = self.snapshot.get(timeline_id, line.head)
        base, done = (known, 0) if seen is None else (seen.base, seen.sent)
        between = [seq for seq in line.fences if max(done, known) < seq <= base]
        first = min(between, default=line.head + 1)
        return first if fresh and seen is not None else min(first, max(base, done) + 1)

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
        elif self.joins:
            self.join_step(0)
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
            self.connect()
            self.settle()
        assert self.live, "live comes"
        for timeline_id, seen in self.seen.items():
            assert seen.sent >= self.known[timeline_id], (
                f"{TIMELINE_NAMES[timeline_id]} stays behind what is known"
            )
        self.sweep()
        self.settle()
        self.room = ROOMY
        lines, followed = self.world.lines, {USER, *self.world.stays, *self.rooms}
        assert {t: seen.sent for t, seen in self.seen.items()} == {t: lines[t].head for t in followed}
        assert set(self.session.tracks) == set(self.followers) == followed
        assert all(track.settled for track in self.session.tracks.values()), "the fan-out's short way is open"
        for timeline_id in followed:
            self.dispatch(self.world.send(timeline_id, 1))
            assert self.seen[timeline_id].sent == lines[timeline_id].head, (
                "at rest, live pushes go out at once"
            )
