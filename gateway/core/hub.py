"""The hub: the sessions of this node, and how committed entries reach them (design §4, Rules of dispatch).

Fan-out never awaits a peer: a run's bytes object is written to each transport without waiting, and a
transport that is full turns its session to reading from the store, at its own pace.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import repeat

from gateway.bus.base import Bus, Hint
from gateway.core.attached import Attached
from gateway.core.connection import Connection
from gateway.core.fetches import Fetches
from gateway.core.joined_writes import JoinedWrites, WriteTo
from gateway.core.tasks import Tasks
from gateway.core.topics import Audience, Topic, make_runs
from gateway.core.wheel import Wheel
from gateway.domain.errors import Problem
from gateway.domain.limits import Limits
from gateway.domain.model import Entry
from gateway.domain.positions import Attachment, Bearing
from gateway.store.base import Store
from gateway.wire.close import Close
from gateway.wire.effects import Acked, Effect, Fetch, Follow, Ping, Run, Unfollow, Wake, Write
from gateway.wire.frames import Told
from gateway.wire.track import ROOM_PREFIX, Track

log = logging.getLogger(__name__)


class Hub:
    """All attached devices of this node, by timeline and by user."""

    def __init__(self, store: Store, bus: Bus, limits: Limits, ticks_ms: Callable[[], int]) -> None:
        self._store = store
        self._bus = bus
        self._now = ticks_ms
        self._tasks = Tasks()
        self._wheel = Wheel(ticks_ms, self._look)
        self._topics: dict[int, Topic] = {}
        self._attached = Attached()
        # With what their peers had not taken when they were looked at last.
        self._lagging: dict[Connection, int] = {}
        # While a batch for several timelines is dispatched, what of it is to be written yet.
        self._joined: JoinedWrites | None = None
        self.fetches = Fetches(store, limits, ticks_ms, self._topics, self.perform)
        self.deliveries = 0
        self.on_ack: Callable[[Connection, int, int], None] = lambda _connection, _timeline, _seq: None
        self.on_detach: Callable[[Connection], None] = lambda _connection: None
        self.on_replaced: Callable[[Sequence[Attachment]], None] = lambda _replaced: None

    @property
    def alone(self) -> bool:
        """Whether there is no other node that could follow anything."""
        return self._bus.alone

    # -- who is here ------------------------------------------------------------------------------------

    @property
    def connections(self) -> list[Connection]:
        """Return all attached connections."""
        return self._attached.connections

    def devices_of(self, user_id: int) -> dict[int, Connection]:
        """Return a user's connections on this node by `device_sn`."""
        return {connection.device_sn: connection for connection in self._attached.get(user_id, ())}

    @property
    def connections_by_app(self) -> dict[int, int]:
        """Return how many devices of each app are attached here."""
        return self._attached.by_app

    @property
    def lagging(self) -> int:
        """Return how many connections take no live writes now, being slow."""
        return len(self._lagging)

    def connections_of(self, app: int) -> int:
        """Return how many devices of an app are attached here."""
        return self._attached.by_app.get(app, 0)

    def admit(self, connection: Connection) -> None:
        """Take a connection in; an older one of the same device is replaced, and told so."""
        older = self._attached.put(connection)
        self._wheel.set(connection, connection.session.due)
        if older is not None:
            self.perform(older, older.session.end(Close.REPLACED, "a newer connection of this device"))

    def detach(self, connection: Connection) -> None:
        """Forget a connection: its socket is gone, or about to be."""
        connection.session.ended = True
        for timeline_id in connection.session.tracks:
            self._unregister(connection, timeline_id)
        self._lagging.pop(connection, None)
        self._wheel.drop(connection)
        self._attached.drop(connection)
        if not connection.detached:
            connection.detached = True
            self.on_detach(connection)

    async def register(self, connection: Connection, track: Track, owner_xid: int) -> None:
        """Give a connection's track the runs of its timeline from now on; heads are to be read after this."""
        topic = self._topics.get(track.timeline_id)
        if topic is not None:
            topic.add(connection, track)
            if topic.unheard is not None:
                await topic.unheard.wait()
            return
        topic = self._topics[track.timeline_id] = Topic(track.name, owner_xid, connection.sink.encoding)
        topic.add(connection, track)
        unheard = topic.unheard
        try:
            await self._bus.subscribe(track.timeline_id)
        finally:
            topic.unheard = None
            if unheard is not None:
                unheard.set()

    def _unregister(self, connection: Connection, timeline_id: int) -> None:
        topic = self._topics.get(timeline_id)
        if topic is not None:
            topic.remove(connection)
            if not topic.connections:
                del self._topics[timeline_id]
                self._bus.unsubscribe(timeline_id)

    def follows(self, timeline_id: int) -> bool:
        """Say whether anybody here would get an entry of this timeline: nothing is encoded for nobody."""
        return timeline_id in self._topics

    def followers(self, timeline_id: int) -> list[Connection]:
        """Return the connections of this node that follow a timeline."""
        topic = self._topics.get(timeline_id)
        return [] if topic is None else topic.connections

    @property
    def rooms(self) -> dict[int, tuple[int, list[Connection]]]:
        """Return the chatrooms that somebody here is in, each with its xid and who that is."""
        return {
            timeline_id: (topic.owner_xid, topic.connections)
            for timeline_id, topic in self._topics.items()
            if topic.name.startswith(ROOM_PREFIX)
        }

    # -- dispatch ---------------------------------------------------------------------------------------

    def dispatch_all(self, batch: Mapping[int, Sequence[Entry]]) -> None:
        """Hand over, as `dispatch` does, what one batch has for each of these timelines."""
        joined = self._joined = JoinedWrites() if len(batch) > 1 else None
        try:
            for timeline_id, entries in batch.items():
                try:
                    self.dispatch(timeline_id, entries)
                except Exception:
                    # One timeline's trouble is not another's; its own devices find the entries in the store.
                    log.exception("dispatching timeline %d failed", timeline_id)
        finally:
            self._joined = None
            if joined is not None:
                self._write_all(joined.take())

    def dispatch(self, timeline_id: int, entries: Sequence[Entry]) -> None:
        """Hand committed entries of one timeline, in order, to whoever follows it here."""
        topic = self._topics.get(timeline_id)
        if topic is None:
            return
        topic.dispatched = max(topic.dispatched, entries[-1].seq)
        for audience in topic.audiences:
            for run in make_runs(entries, topic, audience.encoding):
                self._fan_out(audience, timeline_id, run)

    def _fan_out(self, audience: Audience, timeline_id: int, run: Run) -> None:
        """Write one run to every follower. Who has all that came before it is not looked at, only written to."""
        joined, crowd = self._joined, audience.crowd
        followers = audience.followers
        self.deliveries += len(followers) * len(run.frames)
        if joined is not None and run.fence is not None:
            # Who obeys it may follow a group no more: what was there of that before is written before.
            self._write_all(joined.take())
        if crowd is None:
            self._write_each(followers, timeline_id, run)
            return
        writes, apart = crowd.take(run)
        if joined is None:
            self._write_all(zip(writes, repeat(run.data)))
        else:
            joined.put(writes, run.data)
        if apart:
            self._write_each(apart, timeline_id, run)
            crowd.gather(apart)

    def _write_all(self, writes: Iterable[tuple[WriteTo, bytes]]) -> None:
        """Write to those who have been moved over what is written."""
        failed = []
        # One object each, and their transports: the connection, its session, its track and its sink would each be a
        # miss of the cache, which for a thousand followers is what a delivery costs beyond the kernel's part.
        for write, data in writes:
            try:
                write(data)
            except Exception:  # noqa: BLE001 - whatever it is: all were moved over it, and the rest must get theirs
                failed.append(write)
        if failed:
            # Rare, so that it may take a look at all who are here.
            followers = {one for topic in self._topics.values() for one in topic.connections}
            for connection in [one for one in followers if one.sink.write in failed]:
                self.close(connection, Close.STORE_FAILED, "it could not be written to")

    def _write_each(
        self, followers: Collection[tuple[Connection, Track]], timeline_id: int, run: Run
    ) -> None:
        """Write a run to those who must be looked at, each for itself."""
        before, last, data = run.first - 1, run.last, run.data
        plain = run.fence is None
        slow: list[Connection] = []
        gone: list[Connection] = []
        for connection, track in followers:
            if plain and track.settled and track.sent == before and connection not in self._lagging:
                track.sent = track.head = last
                try:
                    connection.sink.write(data)
                except RuntimeError:
                    gone.append(connection)
            else:
                slow.append(connection)
        for connection in gone:
            self.detach(connection)
        if slow:
            now = self._now()
            for connection in slow:
                self.perform(connection, connection.session.offer(timeline_id, run, now))

    def publish(self, heads: Mapping[int, int], entries: Mapping[int, Sequence[Entry]]) -> None:
        """Tell the other nodes, where there are any, how far timelines reach, and by which entries they do."""
        if not self._bus.alone:
            hints = [
                Hint(timeline_id, head, entries.get(timeline_id, ())) for timeline_id, head in heads.items()
            ]
            self._bus.publish(hints)

    def hear(self, hints: Sequence[Hint]) -> None:
        """Take what other nodes have published: entries are dispatched, a bare head is known from now on."""
        for hint in hints:
            try:
                if hint.entries:
                    self.dispatch(hint.timeline_id, hint.entries)
                else:
                    self._know(hint.timeline_id, hint.head)
            except Exception:
                # As with one's own batches: its devices find the entries in the store.
                log.exception("a hint of timeline %d failed", hint.timeline_id)

    def _know(self, timeline_id: int, head: int) -> None:
        topic = self._topics.get(timeline_id)
        if topic is not None:
            now = self._now()
            # To those who have that much it is nothing new: nearly always all.
            behind = [
                connection
                for audience in topic.audiences
                for connection, track in audience.followers
                if track.sent < head
            ]
            for connection in behind:
                self.perform(connection, connection.session.hint(timeline_id, head, now))

    def tell(self, user_id: int, told: Told, *, but: int = 0) -> None:
        """Write a frame outside timelines to a user's devices; it may be lost, and a lagging device does lose it."""
        for connection in self._attached.get(user_id, ()):
            if connection.device_sn != but and connection.session.started and not connection.session.lagging:
                self.write(connection, told.frame(connection.sink.encoding))

    def tell_followers(self, timeline_id: int, told: Told, *, but: Connection | None = None) -> None:
        """Write a frame outside timelines to whoever has all of this one, as `tell` does.

        Who is behind is left out: what it has not read yet may say that it follows no more.
        """
        topic = self._topics.get(timeline_id)
        for connection in () if topic is None else topic.connections:
            session = connection.session
            track = session.track(timeline_id)
            settled = track is not None and track.settled and session.started and not session.lagging
            if settled and connection is not but:
                self.write(connection, told.frame(connection.sink.encoding))

    # -- effects ----------------------------------------------------------------------------------------

    def perform(self, connection: Connection, effects: Iterable[Effect]) -> None:
        """Carry out what a session asks for, in order."""
        for effect in effects:
            # The frequent ones first, and without `match`, which takes three times as long: this runs for every ack.
            if isinstance(effect, Write):
                self.write(connection, effect.data)
            elif isinstance(effect, Acked):
                self.on_ack(connection, effect.timeline_id, effect.seq)
            elif isinstance(effect, Fetch):
                self.fetches.ask(connection, effect.timeline_id, effect.from_seq)
            elif isinstance(effect, Wake):
                if not connection.session.ended:
                    self._wheel.set(connection, min(effect.at, connection.session.due))
            elif isinstance(effect, Ping):
                self._ping(connection)
            elif isinstance(effect, Follow):
                self._tasks.start(self._follow(connection, effect), "follow")
            elif isinstance(effect, Unfollow):
                self._unregister(connection, effect.timeline_id)
            else:
                self.close(connection, effect.code, effect.reason)

    def write(self, connection: Connection, data: bytes) -> None:
        """Write finished frames to one connection."""
        if connection.session.ended:
            return
        try:
            connection.sink.write(data)
        except RuntimeError:
            self.detach(connection)

    def _ping(self, connection: Connection) -> None:
        try:
            connection.sink.ping()
        except RuntimeError:
            self.detach(connection)

    def close(
        self, connection: Connection, code: Close, reason: str, retry_after_ms: int | None = None
    ) -> None:
        """End a connection with a `bye`."""
        self.detach(connection)
        connection.sink.close(code, reason, retry_after_ms)

    async def _follow(self, connection: Connection, follow: Follow) -> None:
        session = connection.session
        track = session.track(follow.timeline_id)
        if track is None or session.ended:
            return
        await self.register(connection, track, follow.group_xid)
        try:
            [bearing] = await self._store.bearings(
                [(connection.user.id, connection.device_sn, follow.timeline_id)]
            )
        except Problem as problem:
            self.perform(connection, session.end(Close.STORE_FAILED, problem.sentence))
            return
        self.perform(connection, session.prime(follow.timeline_id, follow.from_seq - 1, bearing.head))

    # -- slow peers -------------------------------------------------------------------------------------

    def lag(self, connection: Connection) -> None:
        """Learn from a sink that its transport is full: nothing live is written there until it has drained.

        May be called from within `Sink.write`, and so may `drained`.
        """
        session = connection.session
        if not session.lagging and not session.ended:
            session.lag()
            self._lagging[connection] = connection.sink.unacknowledged()

    def drained(self, connection: Connection) -> None:
        """Learn from a sink that its transport has room again: what was held back is read from the store."""
        if self._lagging.pop(connection, None) is not None:
            self.perform(connection, connection.session.drained(self._now()))

    # -- time -------------------------------------------------------------------------------------------

    def _look(self, connection: Connection, now: int) -> None:
        """Let time pass for one connection: pings, silence, the end of its token, and pages that may be asked for."""
        session = connection.session
        before = self._lagging.get(connection)
        if before is not None:
            # While its transport is full it is not read, so that nothing but this shows its life.
            left = self._lagging[connection] = connection.sink.unacknowledged()
            if left < before:
                session.heard(now)
        self.perform(connection, session.tick(now))
        if not session.ended:
            self._wheel.set(connection, session.due)

    def followed(self, part: int = 0, parts: int = 1) -> dict[int, int]:
        """Return the timelines that somebody here follows, each with the greatest seq that was dispatched.

        `parts`: into so many parts they are divided, of which only one is returned.
        """
        return {
            timeline_id: topic.dispatched
            for timeline_id, topic in self._topics.items()
            if timeline_id % parts == part
        }

    def know(self, bearings: Iterable[Bearing]) -> None:
        """Learn from the store how far timelines reach: whoever is behind reads on."""
        for bearing in bearings:
            self._know(bearing.timeline_id, bearing.head)

    async def stop(self) -> None:
        """End the background work; every connection has had its `bye` before."""
        self._wheel.stop()
        await self._tasks.stop()
