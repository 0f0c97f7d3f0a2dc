"""A gateway, or two, that can be restarted on the same ports, the users, and what the store holds for certain."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from gateway.app import Gateway
from gateway.config import Config, Retention, Server
from gateway.domain.limits import Limits
from gateway.store.rows import ERASED
from scripts.loadlib.services import free_port
from tests import shapes
from tests.patience import WAIT_S
from tests.rest.stage import Caller, Node

HOUR_MS = 3_600_000
LIMITS = Limits(
    ack_flush_ms=10,
    reorder_grace_ms=5,
    drain_ms=HOUR_MS,
    sweep_ms=HOUR_MS,
    retention_sweep_ms=HOUR_MS,
    expiry_sweep_ms=HOUR_MS,
    sweep_page_max=3,
    sweep_pause_ms=1,
    erase_page_max=4,
)
"""Times short enough for a test to see them pass; and no sweep of heads, which would heal what was never dispatched.
What is old or due goes when a test says so, in pages of a few."""

RETENTION = Retention(days=1, clock_step_max_s=366 * 24 * 3600)

NOW_MS = 1_790_000_000_000
TOKEN_TTL_S = 10 * 365 * 24 * 3600


class Clock:
    """The wall clock of a town; it stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms

    def move(self, *, s: int) -> None:
        self.now_ms += s * 1000


class Town:
    """Users of one app `demo`, each with a token, the groups and chatrooms they made, and the clock of the place."""

    def __init__(self, node: Node, limits: Limits, clock: Clock) -> None:
        self.node = node
        self.clock = clock
        self.rooms: list[int] = []
        self.erased: set[int] = set()
        self.people: dict[int, Caller] = {}
        self.groups: list[int] = []
        self._limits = limits

    @property
    def url(self) -> str:
        """Where devices connect."""
        return self.node.far.url

    @property
    def http(self) -> aiohttp.ClientSession:
        return self.node.http

    async def settle(self, *xids: int) -> None:
        """Let users move in; and the administrator, as user 0."""
        for xid in xids:
            grant = await self.node.gateway.directory.token_for("demo", str(xid), TOKEN_TTL_S)
            self.people[xid] = self.node.caller("demo", grant.token)
            self.people[xid].xid = xid
        self.people[0] = await self.node.admin()
        grant = await self.node.gateway.directory.token_for("demo", None, TOKEN_TTL_S)
        self.people[0].headers["access-token"] = grant.token

    async def group(self, owner: int, *members: int) -> int:
        group = await self.people[owner].group(*members)
        self.groups.append(group)
        return group

    @property
    def parties(self) -> list[int]:
        """Whoever a conversation can be with, the app's reserved user too."""
        return [caller.xid for caller in self.people.values()] + self.groups

    @property
    def there(self) -> dict[int, Caller]:
        """Users who have not been erased."""
        return {user: caller for user, caller in self.people.items() if user and user not in self.erased}

    async def restart(self) -> None:
        """Stop the gateway as a deployment does, and start it again on its port."""
        near, far = self.node.gateway, self.node.far
        ports = URL(near.url).port or 0, URL(far.url).port or 0
        await shapes.stop(near, far)
        # CPython before 3.12 drops a socket that it accepted in the very moment its server was closed, without closing
        # it (gh-109564): whoever waits there would wait for the next collection.
        gc.collect()
        self.node.gateway, self.node.far = await _start(self.node.folder, self._limits, ports)

    def heads(self) -> dict[int, int]:
        """The head of every timeline, by the id of the user or group."""
        return dict(self.node.rows("SELECT xid, head FROM timeline"))

    def stays(self, user: int) -> dict[int, list[tuple[int, int]]]:
        """First and last seq of every stay of a user, by group; an open one ends at the head."""
        found: dict[int, list[tuple[int, int]]] = {}
        sql = """SELECT g.xid, s.from_seq, coalesce(s.to_seq, g.head) FROM stay AS s
            JOIN timeline AS g ON g.id = s.grp JOIN timeline AS u ON u.id = s.usr WHERE u.xid = ?"""
        for group, first, last in self.node.rows(sql, user):
            found.setdefault(group, []).append((first, last))
        return found

    def owner(self, group: int) -> int:
        [[owner]] = self.node.rows(
            """SELECT u.xid FROM grp AS g JOIN timeline AS t ON t.id = g.id JOIN timeline AS u ON u.id = g.owner
            WHERE t.xid = ?""",
            group,
        )
        return int(owner)

    def untold(self, msg_ids: Iterable[int]) -> set[int]:
        """Those of these messages of which no frame tells who holds them: removed by age, or erased with the sender."""
        kept = dict(self.node.rows("SELECT msg_id, flags FROM message"))
        [[swept_to]] = self.node.rows("SELECT swept_to FROM meta")
        return {msg_id for msg_id in msg_ids if msg_id <= swept_to or kept.get(msg_id, 0) & ERASED}

    def kept_in_room(self, room: int) -> tuple[int, dict[int, int]]:
        """Up to where entries of a chatroom have gone, and the seqs of its messages."""
        [[timeline, floor]] = self.node.rows("SELECT id, floor FROM timeline WHERE xid = ?", room)
        return floor, dict(self.node.rows("SELECT msg_id, seq FROM message WHERE target = ?", timeline))


async def _start(folder: Path, limits: Limits, ports: tuple[int, int]) -> tuple[Gateway, Gateway]:
    config = Config(server=Server(data=str(folder)), limits=limits, retention=RETENTION)
    return await shapes.start(config, ports)


@asynccontextmanager
async def open_town(folder: Path, users: Sequence[int], limits: Limits = LIMITS) -> AsyncIterator[Town]:
    """A gateway with these users; when it has stopped, its store must keep the laws."""
    clock = Clock()
    timeout = aiohttp.ClientTimeout(total=WAIT_S)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gateway.app.now_ms", clock)
        gateway, far = await _start(folder, limits, (free_port(), free_port()))
        async with aiohttp.ClientSession(timeout=timeout) as http:
            town = Town(Node(gateway, far, folder, http), limits, clock)
            try:
                await gateway.directory.create_app("demo")
                # What is older than a day goes from now on.
                await gateway.retention.sweep()
                await town.settle(*users)
                yield town
            finally:
                await shapes.stop(town.node.gateway, town.node.far)
    assert shapes.check(folder) == []
