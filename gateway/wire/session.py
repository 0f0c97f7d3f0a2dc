"""The session: what one connection has been sent, and the law that decides what is next (design §3, §4).

    An entry is written to a device iff seq == sent + 1; lower is dropped, higher means fetch the gap from the
    store.

Live push, offline replay, a lost, repeated or reordered hint, a slow device and a bus outage are all this
law. The session does no I/O and reads no clock: runs, pages, acks and ticks go in; effects come out, and the
caller must carry them out in order. A run is written whole or from the middle on, never out of turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.domain.model import Action, Membership
from gateway.wire.close import Close
from gateway.wire.effects import Acked, Effect, End, Fetch, Follow, Ping, Run, Unfollow, Wake, Write
from gateway.wire.encoding import JSON, Encoding
from gateway.wire.following import Following
from gateway.wire.frames import USER_TIMELINE, frame
from gateway.wire.track import RoomTrack, Track

FETCHES_MAX = 4
"""Pages one session may have in flight: enough to keep a link busy, few enough to bound memory."""

FETCH_RETRY_MS = 1_000
"""How long to wait after a page could not be read, or had nothing of what is known to exist."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds a session lives by (milliseconds, entries)."""

    unacked_max: int
    page_max: int
    heartbeat_ms: int
    idle_timeout_ms: int
    reorder_grace_ms: int


class Session(Following):
    """The state of one authenticated connection."""

    __slots__ = (
        "_alarm", "_attach_head", "_behind", "_encoding", "_expires_at", "_fetches", "_goals", "_now", "_pace",
        "_pinged", "ended", "heard_at", "lagging", "started", "uid",
    )  # fmt: skip

    def __init__(
        self, uid: int, user_timeline: int, pace: Pace, now: int, expires_at: int, encoding: Encoding = JSON
    ) -> None:
        super().__init__(user_timeline)
        self.uid = uid
        self._pace = pace
        self._encoding = encoding
        # What is not settled; None while all is, for a dict would be dear to an idle connection.
        self._behind: dict[Track, None] | None = None
        self._fetches = 0
        self._goals = 0
        self._attach_head = 0
        self._expires_at = expires_at
        # The latest time that anybody told; pages, acks and effects come without one.
        self._now = now
        # When a page may be asked for again, 0 for never: one is enough, since each tick sees to the next.
        self._alarm = 0
        self.heard_at = now
        self._pinged = False
        self.lagging = False
        self.started = False
        self.ended = False

    # -- attaching --------------------------------------------------------------------------------------

    def attach(self, user_head: int, groups: Sequence[tuple[int, int, int]]) -> list[Track]:
        """Take the snapshot of attaching: the user's head; (timeline id, xid, from_seq) of each open stay.

        Membership entries at or below that head change nothing. The caller has registered the user's own track
        before the head was read; it registers those of the groups, which are returned, and primes all of them.
        """
        self._attach_head = user_head
        return [self._add(*group) for group in groups]

    def prime(self, timeline_id: int, start: int, head: int) -> list[Effect]:
        """Tell where a followed timeline stands; `start` is where the device does. Effects only once started.

        The head is news also where it comes twice: a group left and joined again at once is followed twice.
        """
        track = self.track(timeline_id)
        if track is None:
            return []
        track.part()
        track.head = max(track.head, head)
        if not track.primed:
            track.primed = True
            track.start = start
            if track is self._own:
                # A membership change above the snapshot of the stays is obeyed when written, so it must be.
                start = min(start, self._attach_head)
            track.sent = track.acked = max(start, track.sent)
            if not self.started:
                track.goal = head
                track.base = self._attach_head if track is self._own else head
        return self._go_on(track) if self.started else []

    def start(self) -> list[Effect]:
        """All timelines are primed and `welcome` is written: begin the replay."""
        self.started = True
        tracks = self.tracks.values()
        self._goals = sum(track.sent < track.goal for track in tracks)
        effects: list[Effect] = []
        for track in tracks:
            if track.sent >= track.goal:
                track.goal = -1
            effects += self._go_on(track)
        if not self._goals:
            effects.append(Write(frame(self._encoding, "live")))
        return effects

    # -- the law ----------------------------------------------------------------------------------------

    def offer(self, timeline_id: int, run: Run, now: int) -> list[Effect]:
        """Take a run as it was committed, or as another node hinted it."""
        self._now = max(self._now, now)
        track = self.track(timeline_id)
        if track is None:
            return []
        track.part()
        track.head = max(track.head, run.last)
        if not (track.primed and self.started) or self.lagging or run.first > track.sent + 1:
            return self._miss(track)
        effects = self._write(track, run)
        return effects + self._go_on(track)

    def hint(self, timeline_id: int, head: int, now: int) -> list[Effect]:
        """Learn that a timeline reaches up to `head`, without its frames."""
        self._now = max(self._now, now)
        track = self.track(timeline_id)
        if track is None or head <= max(track.head, track.sent):
            return []
        track.part()
        track.head = head
        return self._miss(track)

    def _miss(self, track: Track) -> list[Effect]:
        """Note that the session is below the known head; what is only out of order gets a grace to arrive."""
        if not (track.primed and self.started) or track.sent >= track.head:
            return []
        effects: list[Effect] = []
        if track.settled and not self.lagging:
            effects = self._postpone(track, self._pace.reorder_grace_ms)
        track.settled = False
        self._fall_behind(track)
        return effects + self._fetch_next()

    def page(
        self, timeline_id: int, from_seq: int, runs: Sequence[Run], floor: int, head: int
    ) -> list[Effect]:
        """Take a page that a `Fetch` asked for: its runs are dense but for damage and retention."""
        self._fetches -= 1
        track = self.track(timeline_id)
        if track is None or track.fetching != from_seq:
            # Of a stay that has ended since; its place among the fetches is free again.
            return self._fetch_next()
        track.fetching = 0
        track.part()
        track.head = max(track.head, head)
        effects: list[Effect] = []
        if floor > track.sent:
            effects += self._gap(track, floor, "retention")
        for run in runs:
            if run.first > track.sent + 1:
                effects += self._gap(track, run.first - 1, "lost")
            if self.ended:
                return effects
            effects += self._write(track, run)
            if self.track(timeline_id) is None:
                return effects + self._fetch_next()
        if track.sent < from_seq:
            if track.sent < head:
                effects += self._gap(track, head, "lost")
            else:
                # It knows less than was announced: asking again at once would go round in circles.
                effects += self._postpone(track, FETCH_RETRY_MS)
        return effects + self._go_on(track)

    def page_failed(self, timeline_id: int, from_seq: int, now: int) -> list[Effect]:
        """Learn that a page could not be read: it is asked for again after a while."""
        self._now = max(self._now, now)
        self._fetches -= 1
        track = self.track(timeline_id)
        if track is None or track.fetching != from_seq:
            return self._fetch_next()
        track.fetching = 0
        return self._postpone(track, FETCH_RETRY_MS) + self._fetch_next()

    def _postpone(self, track: Track, pause_ms: int) -> list[Effect]:
        """Ask for no page of the timeline for a while."""
        track.due = self._now + pause_ms
        return self._wake_by(track.due)

    def _wake_by(self, at: int) -> list[Effect]:
        if 0 < self._alarm <= at:
            return []
        self._alarm = at
        return [Wake(at)]

    def _gap(self, track: Track, to: int, reason: str) -> list[Effect]:
        """Tell what is no more, and go on after it.

        What came after the stays were read may have told who comes and goes: where that is gone unsent, only
        attaching again knows what this device may see.
        """
        if to > track.base:
            return self.end(Close.STORE_FAILED, f"{track.name} has lost entries that were not sent yet")
        first = track.sent + 1
        track.sent = to
        if not isinstance(track, RoomTrack):
            track.gaps = (*track.gaps, (first, to))
        told = frame(self._encoding, "gap", timeline=track.name, **{"from": first}, to=to, reason=reason)
        return [Write(told)]

    def _write(self, track: Track, run: Run) -> list[Effect]:
        last = run.last
        if last <= track.sent:
            return []
        skip = track.sent + 1 - run.first
        effects: list[Effect] = [Write(b"".join(run.frames[skip:]) if skip else run.data)]
        track.sent = last
        if run.fence is not None:
            effects += self._obey(track, run.fence, last)
        return effects

    def _obey(self, track: Track, fence: Membership, seq: int) -> list[Effect]:
        """Start or stop following as a membership entry says, at the moment it is written (design §3)."""
        own = track is self._own
        if own and seq <= self._attach_head:
            return []
        if fence.action is Action.JOINED:
            if not own:
                return []
            known = self.track(fence.group_id)
            effects = [] if known is None else self._drop(known)
            self._add(fence.group_id, fence.group_xid, fence.from_seq)
            return [*effects, Follow(fence.group_id, fence.group_xid, fence.from_seq)]
        if not own and fence.action is not Action.DESTROYED and self.uid not in fence.user_xids:
            return []
        followed = self.track(fence.group_id)
        return [] if followed is None else self._drop(followed)

    def _drop(self, track: Track) -> list[Effect]:
        self._forget(track)
        track.part()
        self._catch_up(track)
        effects: list[Effect] = [Unfollow(track.timeline_id)]
        return effects + self._reached(track)

    def _reached(self, track: Track) -> list[Effect]:
        """Count down to `live`: once, when all followed at attach has reached the heads read then."""
        if track.goal < 0:
            return []
        track.goal = -1
        self._goals -= 1
        return [] if self._goals else [Write(frame(self._encoding, "live"))]

    def _go_on(self, track: Track) -> list[Effect]:
        if self.track(track.timeline_id) is None:
            return self._fetch_next()
        effects: list[Effect] = []
        if 0 <= track.goal <= track.sent:
            effects += self._reached(track)
        if track.sent >= track.head:
            track.settled = True
            track.due = 0
            self._catch_up(track)
        else:
            track.settled = False
            # Behind the others now: a few that never catch up must not take all the turns.
            self._catch_up(track)
            self._fall_behind(track)
        return effects + self._fetch_next()

    def _fall_behind(self, track: Track) -> None:
        if self._behind is None:
            self._behind = {}
        self._behind[track] = None

    def _catch_up(self, track: Track) -> None:
        if self._behind is not None:
            self._behind.pop(track, None)
            if not self._behind:
                self._behind = None

    def _fetch_next(self) -> list[Effect]:
        """Ask for pages of what is behind, as far as windows, fetches in flight and the transport allow."""
        effects: list[Effect] = []
        if self._behind is None or self.lagging or self.ended:
            return effects
        pace = self._pace
        for track in self._behind:
            if self._fetches >= FETCHES_MAX:
                break
            if track.fetching or track.due > self._now:
                continue
            if track.unacked + pace.page_max > pace.unacked_max:
                continue
            track.fetching = track.sent + 1
            self._fetches += 1
            effects.append(Fetch(track.timeline_id, track.sent + 1))
        return effects

    # -- what the client and the transport say ----------------------------------------------------------

    def ack(self, name: str, seq: int) -> list[Effect]:
        """Take an ack. Above *sent* it breaks the protocol; of a timeline not followed it is ignored."""
        track = self._own if name == USER_TIMELINE else self._named(name)
        if track is None:
            return []
        if seq > track.sent:
            return self.end(Close.PROTOCOL, f"ack of {name} at {seq}, which was not sent")
        if seq <= track.acked:
            return []
        track.acked = seq
        if track.gaps:
            track.gaps = tuple(gap for gap in track.gaps if gap[1] > seq)
        acked = Acked(track.timeline_id, seq)
        return [acked] if self._behind is None else [acked, *self._fetch_next()]

    def leave(self, timeline_id: int) -> list[Effect]:
        """Leave a chatroom, if this connection is in it; nothing of it is written any more."""
        track = self.track(timeline_id)
        return self._drop(track) if isinstance(track, RoomTrack) else []

    def lag(self) -> None:
        """Learn that the transport is full: no more live writes until it has drained."""
        self.lagging = True
        for track in self.tracks.values():
            track.part()

    def drained(self, now: int) -> list[Effect]:
        """Learn that the transport took everything: read on from the store."""
        self.lagging = False
        self.heard(now)
        return self._fetch_next()

    def heard(self, now: int) -> None:
        """Any byte that comes or drains is a sign of life."""
        self._now = self.heard_at = max(self._now, now)
        self._pinged = False

    def tick(self, now: int) -> list[Effect]:
        """Let time pass: pings, the end of silence, and graces that ran out."""
        self._now = max(self._now, now)
        if now >= self._expires_at:
            return self.end(Close.TOKEN_EXPIRED, "the token has expired")
        silent = now - self.heard_at
        if silent >= self._pace.idle_timeout_ms:
            return self.end(Close.IDLE, f"nothing heard for {silent} ms")
        effects: list[Effect] = []
        # Also where a timer went off too early: whoever still has to wait is woken again.
        self._alarm = 0
        if self._behind is not None:
            effects += self._fetch_next()
            due = [track.due for track in self._behind if track.due > self._now]
            if due:
                effects += self._wake_by(min(due))
        if silent >= self._pace.heartbeat_ms and not self._pinged:
            self._pinged = True
            effects.append(Ping())
        return effects

    @property
    def due(self) -> int:
        """Return when `tick` is to be called, at the latest. What is heard until then only makes it later.

        A ping is nearly always answered at once, and the next one is due a heartbeat after the answer. To look right
        then, and not an eighth later, would take a second look each time, for all those who were just too early.
        """
        heartbeat_ms = self._pace.heartbeat_ms
        if self._pinged:
            at = min(self.heard_at + self._pace.idle_timeout_ms, self._now + heartbeat_ms * 9 // 8)
        else:
            at = self.heard_at + heartbeat_ms
        at = min(at, self._expires_at)
        return min(at, self._alarm) if self._alarm else at

    def end(self, code: Close, reason: str) -> list[Effect]:
        """End the session; nothing is written after its `bye`."""
        if self.ended:
            return []
        self.ended = True
        return [End(code, reason)]
