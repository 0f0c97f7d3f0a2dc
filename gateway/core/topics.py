"""The timelines that somebody here follows, by whom each is followed, and the runs that are made for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from gateway.core.connection import Connection
from gateway.domain.model import Entry
from gateway.wire.effects import Run
from gateway.wire.encoding import Encoding
from gateway.wire.frames import entry_frame
from gateway.wire.track import Front, Track


class Crowd:
    """Followers who are more than one. Those who have all stand together, and are moved by one number (`Front`).

    `writes`: how each of those is written to. `apart`: all others, each to be looked at. Both are made anew when
    somebody has joined or parted, and not before they are needed.
    """

    __slots__ = ("_apart", "_writes", "front", "tracks")

    def __init__(self) -> None:
        self.tracks: dict[Connection, Track] = {}
        self.front = Front()
        self._writes: list[Callable[[bytes], None]] = []
        self._apart: list[tuple[Connection, Track]] = []

    def put(self, connection: Connection, track: Track) -> None:
        """Take a follower in, or give one that is there another track."""
        self.drop(connection)
        self.tracks[connection] = track

    def drop(self, connection: Connection) -> None:
        """Forget a follower, if it is one."""
        track = self.tracks.pop(connection, None)
        if track is not None:
            track.part()
        self.front.changed = True

    def take(self, run: Run) -> tuple[list[Callable[[bytes], None]], list[tuple[Connection, Track]]]:
        """Move the front over a run; return who must be written it, and who must be offered it."""
        front = self.front
        took = front.take(run)
        if not took and run.last > front.seq:
            # Each for itself: it is no run that comes next, or a change that each obeys.
            for track in self.tracks.values():
                track.part()
            front.seq = run.last
        if front.changed:
            self._sort()
        return self._writes if took else [], self._apart

    def _sort(self) -> None:
        front = self.front
        front.changed = False
        followers = self.tracks.items()
        self._writes = [connection.sink.write for connection, track in followers if track.front is front]
        self._apart = [(connection, track) for connection, track in followers if track.front is not front]

    def gather(self, followers: Iterable[tuple[Connection, Track]]) -> None:
        """Have those stand together who have come to have all."""
        for connection, track in followers:
            if self.tracks.get(connection) is track and not connection.session.lagging:
                track.join(self.front)


class Audience:
    """The followers of one timeline that speak one encoding: they are written the very same bytes.

    One alone, as a user's only device is, is held without a crowd: there are as many such timelines as users.
    """

    __slots__ = ("_lone", "_lone_track", "crowd", "encoding")

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self._lone: Connection | None = None
        self._lone_track: Track | None = None
        self.crowd: Crowd | None = None

    def __bool__(self) -> bool:
        return self._lone is not None or (self.crowd is not None and bool(self.crowd.tracks))

    @property
    def followers(self) -> Collection[tuple[Connection, Track]]:
        """Return who follows, and each one's track."""
        if self.crowd is not None:
            return self.crowd.tracks.items()
        if self._lone is None or self._lone_track is None:
            return ()
        return ((self._lone, self._lone_track),)

    def put(self, connection: Connection, track: Track) -> None:
        """Take a follower in, or give one that is there another track."""
        if self.crowd is None and self._lone in {None, connection}:
            self._lone, self._lone_track = connection, track
            return
        if self.crowd is None:
            crowd = Crowd()
            for follower in self.followers:
                crowd.put(*follower)
            self.crowd = crowd
            self._lone = self._lone_track = None
        self.crowd.put(connection, track)

    def drop(self, connection: Connection) -> None:
        """Forget a follower, if it is one."""
        if self.crowd is not None:
            self.crowd.drop(connection)
        elif self._lone is connection:
            self._lone = self._lone_track = None


class Topic(Audience):
    """One timeline that somebody on this node follows; the audience of those who speak what its first follower did."""

    __slots__ = ("_others", "dispatched", "name", "owner_xid", "unheard")

    def __init__(self, name: str, owner_xid: int, encoding: Encoding) -> None:
        super().__init__(encoding)
        self.name = name
        self.owner_xid = owner_xid
        # The greatest seq that anybody here was given: the store cannot know less, but as another one.
        self.dispatched = 0
        # Nearly always none.
        self._others: tuple[Audience, ...] = ()
        # Until the bus has confirmed that this node hears the timeline; not kept longer, as it has half a kilobyte.
        self.unheard: asyncio.Event | None = asyncio.Event()

    def add(self, connection: Connection, track: Track) -> None:
        """Take a follower in, or give one that is there another track."""
        encoding = connection.sink.encoding
        for audience in (self, *self._others):
            if audience.encoding is encoding:
                break
        else:
            audience = Audience(encoding)
            self._others = (*self._others, audience)
        audience.put(connection, track)

    def remove(self, connection: Connection) -> None:
        """Forget a follower, if it is one."""
        for audience in (self, *self._others):
            audience.drop(connection)

    @property
    def audiences(self) -> list[Audience]:
        """Return those that have followers; nothing is encoded for nobody."""
        return [audience for audience in (self, *self._others) if audience]

    @property
    def connections(self) -> list[Connection]:
        """Return all who follow, whatever they speak."""
        return [connection for audience in self.audiences for connection, _ in audience.followers]


def make_runs(entries: Iterable[Entry], topic: Topic, encoding: Encoding) -> list[Run]:
    """Encode entries of one timeline into runs: consecutive seqs, a membership entry last."""
    runs: list[Run] = []
    first = 0
    frames: list[bytes] = []
    for entry in entries:
        if frames and entry.seq != first + len(frames):
            runs.append(Run(first, frames, b"".join(frames)))
            frames = []
        if not frames:
            first = entry.seq
        frames.append(entry_frame(encoding, entry, topic.name, topic.owner_xid))
        if entry.membership is not None:
            runs.append(Run(first, frames, b"".join(frames), entry.membership))
            frames = []
    if frames:
        runs.append(Run(first, frames, b"".join(frames)))
    return runs
