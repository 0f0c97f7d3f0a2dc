"""A device that is attached, the timelines that somebody here follows, and the runs that go between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from gateway.domain.model import App, Entry, Page, User
from gateway.wire.close import Close
from gateway.wire.effects import Run
from gateway.wire.encoding import Encoding
from gateway.wire.frames import entry_frame
from gateway.wire.session import Session
from gateway.wire.track import Track


class Sink(Protocol):
    """The transport of one connection, as the hub needs it. Nothing here waits.

    `write` and `ping` raise `RuntimeError` where the socket is gone and nobody has noticed yet; `close` never does.
    Whoever makes one tells the hub, by `Hub.lag` and `Hub.drained`, when more than `transport_buffer_bytes_max` waits
    for the peer and when a quarter of that or less does: a fan-out asks nobody how full he is.
    """

    @property
    def encoding(self) -> Encoding:
        """What the frames that are written here must be encoded in."""

    def write(self, data: bytes) -> None:
        """Queue finished frames."""

    def buffered(self) -> int:
        """Return how many bytes the peer has not taken yet."""

    def ping(self) -> None:
        """Queue a WebSocket ping."""

    def close(self, code: Close, reason: str, retry_after_ms: int | None) -> None:
        """Say `bye` and close; the socket is gone soon after, whatever the peer does."""


class Connection:
    """A device that is attached: its session, its transport, and what the node must remember of it.

    `attach_no`: what the store calls this connection, 0 until it has been asked. `detached`: the hub has forgotten it.
    """

    __slots__ = (
        "alarms", "app", "attach_no", "detached", "device_sn", "kept", "platform", "session", "sink", "starts",
        "user", "user_agent",
    )  # fmt: skip

    def __init__(self, app: App, user: User, device_sn: int, session: Session, sink: Sink) -> None:
        self.app = app
        self.user = user
        self.device_sn = device_sn
        self.session = session
        self.sink = sink
        self.platform = 0
        self.user_agent = ""
        self.attach_no = 0
        self.detached = False
        self.kept = False
        self.starts: dict[int, int] = {}
        self.alarms: tuple[asyncio.TimerHandle, ...] = ()


class Audience:
    """The followers of one timeline that speak one encoding: they are written the very same bytes."""

    __slots__ = ("encoding", "followers")

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.followers: dict[Connection, Track] = {}


class Topic:
    """One timeline that somebody on this node follows."""

    __slots__ = ("audiences", "dispatched", "name", "owner_xid", "unheard")

    def __init__(self, name: str, owner_xid: int) -> None:
        self.name = name
        self.owner_xid = owner_xid
        # The greatest seq that anybody here was given: the store cannot know less, but as another one.
        self.dispatched = 0
        # Nearly always one; none of them is without followers.
        self.audiences: tuple[Audience, ...] = ()
        # Until the bus has confirmed that this node hears the timeline; not kept longer, as it has half a kilobyte.
        self.unheard: asyncio.Event | None = asyncio.Event()

    def add(self, connection: Connection, track: Track) -> None:
        """Take a follower in, or give one that is there another track."""
        encoding = connection.sink.encoding
        for audience in self.audiences:
            if audience.encoding is encoding:
                break
        else:
            audience = Audience(encoding)
            self.audiences = (*self.audiences, audience)
        audience.followers[connection] = track

    def remove(self, connection: Connection) -> None:
        """Forget a follower, if it is one."""
        for audience in self.audiences:
            if audience.followers.pop(connection, None) is not None and not audience.followers:
                self.audiences = tuple(other for other in self.audiences if other is not audience)

    @property
    def followers(self) -> list[Connection]:
        """Return all who follow, whatever they speak."""
        return [connection for audience in self.audiences for connection in audience.followers]


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


def is_damaged(page: Page, from_seq: int) -> bool:
    """Whether entries above the floor are missing from a page (design §3, Timeline)."""
    first = max(from_seq, page.floor + 1)
    if not page.entries:
        return first <= page.head
    above = sum(entry.seq >= first for entry in page.entries)
    return page.entries[-1].seq - first + 1 > above
