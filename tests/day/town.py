"""A gateway that can be restarted on its port, its users, and what its store holds for certain."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from gateway.app import Gateway
from gateway.config import Config, Server
from gateway.domain.limits import Limits
from gateway.store.sqlite.check import check_store
from tests.rest.stage import WAIT_S, Caller, Node

LIMITS = Limits(ack_flush_ms=10, reorder_grace_ms=5, drain_ms=5_000, sweep_ms=3_600_000)
"""Times short enough for a test to see them pass; and no sweep, which would heal what was never dispatched."""


class Town:
    """Users of one app `demo`, each with a token, and the groups they made."""

    def __init__(self, node: Node, limits: Limits) -> None:
        self.node = node
        self.people: dict[int, Caller] = {}
        self.groups: list[int] = []
        self._limits = limits

    @property
    def url(self) -> str:
        return self.node.url

    @property
    def http(self) -> aiohttp.ClientSession:
        return self.node.http

    async def settle(self, *xids: int) -> None:
        """Let users move in; and the administrator, as user 0."""
        for xid in xids:
            self.people[xid] = await self.node.user(xid)
        self.people[0] = await self.node.admin()

    async def group(self, owner: int, *members: int) -> int:
        group = await self.people[owner].group(*members)
        self.groups.append(group)
        return group

    @property
    def parties(self) -> list[int]:
        """Whoever a conversation can be with, the app's reserved user too."""
        return [caller.xid for caller in self.people.values()] + self.groups

    async def restart(self) -> None:
        """Stop the gateway as a deployment does, and start it again on its port."""
        port = int(self.url.rpartition(":")[2])
        await self.node.gateway.stop()
        # CPython before 3.12 drops a socket that it accepted in the very moment its server was closed, without closing
        # it (gh-109564): whoever waits there would wait for the next collection.
        gc.collect()
        self.node.gateway = await _start(self.node.folder, self._limits, port)

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


async def _start(folder: Path, limits: Limits, port: int = 0) -> Gateway:
    gateway = await Gateway.start(Config(server=Server(port=port, data=str(folder)), limits=limits))
    # What survives a power cut is tested elsewhere; here it would be most of the time.
    await gateway.store._writer.run(lambda conn: conn.execute("PRAGMA synchronous = OFF"))
    return gateway


@asynccontextmanager
async def open_town(folder: Path, users: Sequence[int], limits: Limits = LIMITS) -> AsyncIterator[Town]:
    """A gateway with these users; when it has stopped, its store must keep the laws."""
    gateway = await _start(folder, limits)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT_S)) as http:
        town = Town(Node(gateway, folder, http), limits)
        try:
            await gateway.directory.create_app("demo")
            await town.settle(*users)
            yield town
        finally:
            await town.node.gateway.stop()
    assert check_store(folder) == []
