"""The one law of design §3, under everything that can go wrong around a session."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.domain.model import Action
from gateway.wire.close import Close
from tests.wire.node import PACE, ROOMY, Node
from tests.wire.world import GROUPS, ROOMS, TIMELINE_NAMES, USER, Commit, World

GROUP_A = USER + 1
ROOM_A = min(ROOMS)

picks = st.integers(0, 7)
few = st.integers(0, 3)
# Much on few timelines meets itself; a little on all of them fills what is bounded.
lines = st.sampled_from([USER, GROUP_A, USER, GROUP_A, ROOM_A, *TIMELINE_NAMES])
groups = st.sampled_from([GROUP_A, GROUP_A, GROUP_A, *(set(GROUPS) - {GROUP_A})])
rooms = st.sampled_from([ROOM_A, ROOM_A, *ROOMS])
ways = st.sampled_from(["live", "live", "hint", "held", "lost"])
leavings = st.sampled_from([Action.KICKED, Action.LEFT, Action.KICKED, Action.LEFT, Action.DESTROYED])
cursors = st.dictionaries(lines, st.integers(0, 30))


class LawMachine(RuleBasedStateMachine):
    """Drives one user's connection, and the world that changes around it."""

    @initialize(
        joined=st.lists(st.booleans(), min_size=5, max_size=5),
        backlog=st.lists(st.integers(0, 8), min_size=8, max_size=8),
        steps=st.integers(0, 4),
    )
    def begin(self, joined: list[bool], backlog: list[int], steps: int) -> None:
        self.world = World()
        for timeline_id, count in zip(TIMELINE_NAMES, backlog, strict=True):
            if timeline_id in GROUPS and joined[timeline_id - GROUP_A]:
                self.world.join(timeline_id)
            self.world.send(timeline_id, count)
        self.node = Node(self.world)
        for _ in range(steps):
            self.node.attach_step({})

    # -- what is committed, and how it becomes known ----------------------------------------------------

    def announce(self, commit: Commit, way: str) -> None:
        if way == "live":
            self.node.dispatch(commit)
        elif way == "hint":
            self.node.hint(commit.timeline_id, commit.last)
        elif way == "held":
            self.node.held.append(commit)

    @rule(sends=st.lists(st.tuples(lines, st.integers(1, 4), ways), min_size=1, max_size=4))
    def send(self, sends: list[tuple[int, int, str]]) -> None:
        for timeline_id, count, way in sends:
            self.announce(self.world.send(timeline_id, count), way)

    @rule(
        changes=st.lists(
            st.tuples(groups, leavings, ways, ways, st.booleans(), few, few), min_size=1, max_size=3
        )
    )
    def come_or_go(self, changes: list[tuple[int, Action, str, str, bool, int, int]]) -> None:
        """Who is in a group leaves it, who is not joins it; messages before and after are dispatched with it."""
        for group, leaving, way, own_way, own_first, before, after in changes:
            if group in self.world.destroyed:
                continue
            first = self.world.send(group, before).first
            member = group in self.world.stays
            _, own = self.world.leave(group, leaving) if member else self.world.join(group)
            both = [(Commit(group, first, self.world.send(group, after).last), way), (own, own_way)]
            for commit, its_way in reversed(both) if own_first else both:
                self.announce(commit, its_way)

    @rule(group=groups, action=st.sampled_from([Action.JOINED, Action.LEFT, Action.KICKED]), way=ways)
    def others_come_or_go(self, group: int, action: Action, way: str) -> None:
        self.announce(self.world.other(group, action), way)

    @rule(room=rooms, seq=st.none() | st.integers(0, 30), steps=st.sampled_from([2, 2, 2, 1, 0]))
    def enter(self, room: int, seq: int | None, steps: int) -> None:
        """The device enters a chatroom, if it is live; what waits for the store may go on at once."""
        for _ in range(4):
            self.node.attach_step({})
        self.node.join_room(room, seq)
        for _ in range(steps):
            if self.node.joins:
                self.node.join_step(-1)

    @rule(room=rooms, seen=st.integers(0, 30), count=st.integers(1, 9), kept=st.integers(1, 4))
    def come_back(self, room: int, seen: int, count: int, kept: int) -> None:
        """A chatroom goes on and lets go of what is old, also of what this device has not got; it enters anew."""
        self.node.leave_room(room)
        if room not in self.world.destroyed:
            line = self.world.lines[room]
            self.world.send(room, count)
            line.floor = max(line.floor, line.head - kept)
            self.enter(room, seen, 2)

    @rule(room=rooms, end=st.integers(0, 20), way=ways)
    def leave_or_end(self, room: int, end: int, way: str) -> None:
        """The device leaves a chatroom or is put out; now and then it ends."""
        if end < 10:
            self.node.leave_room(room)
        elif end == 20 and room not in self.world.destroyed:
            self.announce(self.world.end_room(room), way)

    @rule(late=st.lists(st.tuples(picks, st.booleans(), st.booleans()), min_size=1, max_size=4))
    def announce_late(self, late: list[tuple[int, bool, bool]]) -> None:
        """What was held up comes in any order, as frames or as a hint, once or again and again."""
        held = self.node.held
        for pick, as_hint, again in late:
            if held:
                index = pick % len(held)
                commit = held[index] if again else held.pop(index)
                self.announce(commit, "hint" if as_hint else "live")

    @rule(timeline_id=lines, back=few, count=st.integers(1, 5))
    def announce_next(self, timeline_id: int, back: int, count: int) -> None:
        """What is missing comes after all, cut otherwise than it was committed."""
        if (seen := self.node.seen.get(timeline_id)) is not None:
            first = max(1, seen.sent + 1 - back)
            self.announce(
                Commit(timeline_id, first, min(first + count - 1, self.world.lines[timeline_id].head)), "live"
            )

    @rule()
    def sweep(self) -> None:
        self.node.sweep()

    # -- what the store loses ---------------------------------------------------------------------------

    @rule(timeline_id=lines, above=st.integers(1, 6), fresh=few)
    def expire(self, timeline_id: int, above: int, fresh: int) -> None:
        line = self.world.lines[timeline_id]
        spared = self.node.spared(timeline_id, fresh=fresh == 3)
        line.floor = max(line.floor, min(line.floor + above, spared - 1, line.head))

    @rule(timeline_id=lines, ahead=st.integers(1, 5), count=st.integers(1, 3), fresh=few)
    def damage(self, timeline_id: int, ahead: int, count: int, fresh: int) -> None:
        line, seen = self.world.lines[timeline_id], self.node.seen.get(timeline_id)
        first = ahead + (seen.sent if seen else 0)
        spared = self.node.spared(timeline_id, fresh=fresh == 3)
        line.lost |= set(range(first, min(first + count, spared, line.head + 1)))

    # -- pages, and following ---------------------------------------------------------------------------

    @rule(
        moves=st.lists(
            st.tuples(
                st.sampled_from(["read", "deliver", "deliver", "fail"]), picks, st.integers(1, PACE.page_max)
            ),
            min_size=1,
            max_size=4,
        )
    )
    def pages(self, moves: list[tuple[str, int, int]]) -> None:
        """Pages are read, arrive or fail: late, short, and in any order."""
        for move, pick, limit in moves:
            if not self.node.fetches:
                return
            index = pick % len(self.node.fetches)
            if move == "read":
                self.node.read_page(index, limit)
            elif move == "deliver":
                self.node.deliver_page(index)
            else:
                self.node.fail_page(index)

    @rule(steps=st.lists(picks, min_size=1, max_size=4), stated=cursors)
    def attach_or_follow(self, steps: list[int], stated: dict[int, int]) -> None:
        """Whatever waits for the store or the bus goes on: attaching, following, and entering chatrooms."""
        for pick in steps:
            self.node.attach_step(stated)
            if self.node.follows:
                self.node.follow_step(pick % len(self.node.follows))
            if self.node.joins:
                self.node.join_step(pick % len(self.node.joins))

    # -- the device, the transport and the clock --------------------------------------------------------

    @rule(acks=st.lists(st.tuples(picks, st.sampled_from([0, 0, 0, 1, 2, 5])), min_size=1, max_size=4))
    def ack(self, acks: list[tuple[int, int]]) -> None:
        greatest = self.node.greatest
        for pick, back in acks:
            if greatest and not self.node.session.ended:
                name = sorted(greatest)[pick % len(greatest)]
                self.node.ack(name, max(0, greatest[name] - back))

    @rule(room=st.sampled_from([0, 0, 1, 3]))
    def fill(self, room: int) -> None:
        """The transport takes only so many writes more."""
        if self.node.stage == "live":
            self.node.room = room
            if not room:
                self.node.session.lag()

    @rule()
    def drain(self) -> None:
        if self.node.room < ROOMY:
            self.node.drain()

    @rule(pauses_ms=st.lists(st.sampled_from([1, 10, 20, 21, 1_000]), min_size=1, max_size=3))
    def pass_time(self, pauses_ms: list[int]) -> None:
        for pause_ms in pauses_ms:
            self.node.pass_time(pause_ms)

    @rule()
    def wake_early(self) -> None:
        """Timers may go off a little too early."""
        if self.node.wakes:
            at = min(self.node.wakes)
            self.node.now = max(self.node.now, at - 1)
            self.node.wake(at)

    # -- the connection ---------------------------------------------------------------------------------

    @rule(stated=cursors, steps=st.integers(0, 4), lie=st.booleans(), sure=few)
    def reconnect(self, stated: dict[int, int], steps: int, lie: bool, sure: int) -> None:
        """The device breaks the protocol, or is replaced; then it comes back with cursors."""
        node = self.node
        if node.stage != "live" or not (sure == 3 or node.session.ended):
            return
        if lie and not node.session.ended:
            node.ack("user", node.seen[USER].sent + 1)
            assert node.ends == [Close.PROTOCOL]
            return
        node.perform(node.session.end(Close.REPLACED, "another"), "end")
        node.connect()
        for _ in range(steps):
            node.attach_step(stated)

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        self.node.check()

    def teardown(self) -> None:
        if hasattr(self, "node"):
            self.node.check_rest()


TestSessionLaw = pytest.mark.no_cover(LawMachine.TestCase)
TestSessionLaw.settings = settings(
    max_examples=320,
    stateful_step_count=80,
    deadline=None,
    derandomize=True,
    database=None,
    # Shrinking takes minutes. Whoever has to look into a failure adds Phase.shrink.
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
