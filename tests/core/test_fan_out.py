"""The fan-out of the hub: those who have all of a timeline are moved together, and each of them is owed the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.core.connection import Connection
from gateway.core.hub import Hub
from gateway.domain.model import Action, Deleted, Entry, EntryKind, Membership
from gateway.wire.close import Close
from gateway.wire.encoding import JSON, Encoding
from gateway.wire.frames import entry_frame
from gateway.wire.session import Pace, Session
from tests.core.stage import Stage, app_of

GROUP, GROUP_XID = 9_001, 77
PACE = Pace(unacked_max=64, page_max=8, heartbeat_ms=30_000, idle_timeout_ms=75_000, reorder_grace_ms=20)
NEVER = 10**15
PING = b"ping"


class Socket:
    """A transport that takes everything, unless a test has it do something else in its next write."""

    encoding: Encoding = JSON
    gone = False

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.closed: Close | None = None
        self.next: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> None:
        now, self.next = self.next, lambda: None
        now()
        self.got.append(data)

    def buffered(self) -> int:
        return 1

    def unacknowledged(self) -> int:
        return 1

    def ping(self) -> None:
        self.write(PING)

    def close(self, code: Close, _reason: str, _retry_after_ms: int | None) -> None:
        self.closed = code


class Group:
    """A group whose members' devices have all of it, on one hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.head = 0
        self.sockets: list[Socket] = []
        self.members: list[Connection] = []

    async def enter(self, stage: Stage, xid: int) -> None:
        principal = await stage.user(xid)
        session = Session(xid, principal.user.id, PACE, stage.clock(), NEVER)
        socket = Socket()
        connection = Connection(await app_of(stage), principal.user, 1, session, socket)
        [track] = session.attach(0, [(GROUP, GROUP_XID, 1)])
        await self.hub.register(connection, track, GROUP_XID)
        session.prime(principal.user.id, 0, 0)
        session.prime(GROUP, 0, 0)
        session.start()
        self.sockets.append(socket)
        self.members.append(connection)

    def send(self, count: int = 1) -> bytes:
        """Dispatch the next entries; return the bytes that each device is owed."""
        entries = [
            Entry(
                seq=self.head + 1 + n,
                kind=EntryKind.DELETED,
                deleted=Deleted(conversation_xid=5, msg_id=n + 1),
            )
            for n in range(count)
        ]
        self.head += count
        self.hub.dispatch(GROUP, entries)
        return b"".join(entry_frame(JSON, entry, f"g:{GROUP_XID}", GROUP_XID) for entry in entries)

    @property
    def sent(self) -> list[int]:
        return [member.session.tracks[GROUP].sent for member in self.members]

    @property
    def together(self) -> list[bool]:
        return [member.session.tracks[GROUP].front is not None for member in self.members]


@pytest.fixture
async def group(stage: Stage) -> Group:
    """A group of three, in which a message has been sent."""
    group = Group(stage.hub)
    for xid in (1, 2, 3):
        await group.enter(stage, xid)
    group.send()
    return group


async def test_all_get_the_same(group: Group) -> None:
    """Whoever has all stands with the others after a run, and gets the next one, the very same bytes."""
    assert group.together == [True, True, True]
    data = group.send(2)
    assert [socket.got[1:] for socket in group.sockets] == [[data]] * 3
    assert group.sent == [3, 3, 3]


async def test_who_comes_later(group: Group, stage: Stage) -> None:
    """A device that has less than the others is given nothing out of turn, and the others don't wait for it."""
    await group.enter(stage, 4)
    group.send()
    assert group.sent == [2, 2, 2, 0]
    assert group.together == [True, True, True, False]
    assert group.sockets[3].got == []


async def test_a_transport_that_fills_up(group: Group) -> None:
    """A transport that is full after a write gets no more of the next run, and its seq stays where it was."""
    second = group.members[1]
    group.sockets[1].next = lambda: group.hub.lag(second)
    group.send()
    assert group.sent == [2, 2, 2]
    assert group.together == [True, False, True]
    group.send()
    assert group.sent == [3, 2, 3]
    assert [len(socket.got) for socket in group.sockets] == [3, 2, 3]


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
async def test_a_write_that_fails(group: Group, error: type[Exception]) -> None:
    """A transport that fails ends its own connection; whoever comes after it gets the run all the same."""

    def fail() -> None:
        raise error

    group.sockets[1].next = fail
    data = group.send()
    assert [socket.got[1:] for socket in group.sockets] == [[data], [], [data]]
    assert [socket.closed for socket in group.sockets] == [None, Close.STORE_FAILED, None]
    assert group.hub.followers(GROUP) == [group.members[0], group.members[2]]


async def test_a_ping_that_fails(group: Group, stage: Stage) -> None:
    """Of a socket that turns out to be gone when it is pinged nothing is kept; the others are pinged all the same."""

    def fail() -> None:
        raise RuntimeError

    group.sockets[1].next = fail
    stage.clock.move(s=PACE.heartbeat_ms // 1000)
    for member in group.members:
        group.hub._look(member, stage.clock())
    assert [socket.got[1:] for socket in group.sockets] == [[PING], [], [PING]]
    assert group.hub.followers(GROUP) == [group.members[0], group.members[2]]


async def test_who_leaves(group: Group) -> None:
    """A device that is gone is written to no more."""
    group.hub.detach(group.members[0])
    group.send()
    assert [len(socket.got) for socket in group.sockets] == [1, 2, 2]


async def test_a_run_again(group: Group) -> None:
    """A run that comes twice is written once."""
    group.send()
    group.head -= 1
    group.send()
    assert [len(socket.got) for socket in group.sockets] == [2, 2, 2]
    assert group.together == [True, True, True]


async def test_a_gap(group: Group) -> None:
    """After a run that skips one nobody is given anything until the store was read."""
    group.head += 1
    group.send()
    assert group.sent == [1, 1, 1]
    assert group.together == [False, False, False]


async def test_after_a_membership_entry(group: Group) -> None:
    """A membership entry is obeyed by each device for itself, and then they stand together again."""
    group.head += 1
    joined = Membership(action=Action.JOINED, group_id=GROUP, group_xid=GROUP_XID, user_xids=(5,), from_seq=3)
    group.hub.dispatch(GROUP, [Entry(seq=group.head, kind=EntryKind.MEMBERSHIP, membership=joined)])
    assert group.sent == [2, 2, 2]
    assert group.together == [True, True, True]


# -- several timelines in one batch


OTHER, OTHER_XID = 9_002, 78


class Pair:
    """The group, and another one that its last two members are in, too."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.hub = group.hub
        self.shared = group.members[1:]

    async def enter(self) -> None:
        for member in self.shared:
            track = member.session._add(OTHER, OTHER_XID, 1)
            await self.hub.register(member, track, OTHER_XID)
            member.session.prime(OTHER, 0, 0)
        self.hub.dispatch(OTHER, [told(1)])
        for socket in self.group.sockets:
            socket.got.clear()

    @property
    def got(self) -> list[list[bytes]]:
        return [socket.got for socket in self.group.sockets]


def told(seq: int) -> Entry:
    return Entry(seq=seq, kind=EntryKind.DELETED, deleted=Deleted(conversation_xid=5, msg_id=seq))


def bytes_of(entry: Entry, xid: int = GROUP_XID) -> bytes:
    return entry_frame(JSON, entry, f"g:{xid}", xid)


@pytest.fixture
async def pair(group: Group) -> Pair:
    """Both groups, with one message in each, of which everybody has all."""
    pair = Pair(group)
    await pair.enter()
    return pair


async def test_what_one_batch_has_of_several_timelines_is_one_write(pair: Pair) -> None:
    """Whoever is in both groups is written to once; who is in one gets the very bytes of its run."""
    pair.hub.dispatch_all({GROUP: [told(2), told(3)], OTHER: [told(2)]})
    ours, theirs = bytes_of(told(2)) + bytes_of(told(3)), bytes_of(told(2), OTHER_XID)
    assert pair.got == [[ours], [ours + theirs], [ours + theirs]]
    pair.hub.dispatch_all({OTHER: [told(3)]})
    assert [len(got) for got in pair.got] == [1, 2, 2]


async def test_a_joined_write_that_fails(pair: Pair) -> None:
    """It ends its own connection, and whoever comes after it gets all the same."""

    def fail() -> None:
        raise RuntimeError

    pair.group.sockets[1].next = fail
    pair.hub.dispatch_all({GROUP: [told(2)], OTHER: [told(2)]})
    assert [len(got) for got in pair.got] == [1, 0, 1]
    assert [socket.closed for socket in pair.group.sockets] == [None, Close.STORE_FAILED, None]


async def test_one_timeline_that_fails(pair: Pair) -> None:
    """What there is of another one is written, before it or after it."""
    broken = Entry(seq=2, kind=EntryKind.MESSAGE)
    pair.hub.dispatch_all({GROUP: [broken], OTHER: [told(2)]})
    pair.hub.dispatch_all({OTHER: [told(3)], GROUP: [broken]})
    assert pair.got == [[], *[[bytes_of(told(seq), OTHER_XID) for seq in (2, 3)]] * 2]


async def test_a_membership_entry_comes_after_what_was_there_before_it(pair: Pair) -> None:
    """What is written before it is not held back behind it: who has obeyed it may follow the other group no more."""
    left = Membership(action=Action.LEFT, group_id=GROUP, group_xid=GROUP_XID, user_xids=(99,), from_seq=0)
    entry = Entry(seq=3, kind=EntryKind.MEMBERSHIP, membership=left)
    pair.hub.dispatch_all({OTHER: [told(2)], GROUP: [told(2), entry, told(4)]})
    joined = bytes_of(told(2), OTHER_XID) + bytes_of(told(2)) + bytes_of(entry)
    assert [b"".join(got) for got in pair.got[1:]] == [joined + bytes_of(told(4))] * 2
