"""What goes wrong, when, and how it is put right again: all of it follows from the seed."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec

from scripts.faultlib.services import Node
from scripts.faultlib.wires import Wire
from scripts.loadlib.services import Postgres, Redis

DRAIN_S = 60.0
START_S = 120.0
"""Bounds for hangs: the machine may have much else to do."""

_LOOK_S = 10.0
_CLOCK_MS = 3_600_000


class Schedule:
    """Injects one fault after the other, never two nodes down at once for longer than a restart takes."""

    def __init__(
        self,
        nodes: list[Node],
        postgres: Postgres,
        redis: Redis,
        front: Wire,
        to_redis: Wire,
        chance: random.Random,
        say: Callable[[str], None],
    ) -> None:
        self.injected: Counter[str] = Counter()
        self.breaches: list[str] = []
        self._nodes = nodes
        self._postgres = postgres
        self._redis = redis
        self._front = front
        self._to_redis = to_redis
        self._chance = chance
        self._say = say
        self._faults: dict[str, Callable[[], Awaitable[None]]] = {
            "kill -9 of a node": self._kill_node,
            "a node stopped for 5 s": self._stop_node,
            "Redis killed": self._kill_redis,
            "Redis paused": self._pause_redis,
            "Redis half-open": self._half_open,
            "PostgreSQL restarted at once": self._restart_postgres,
            "hints lost, repeated and reordered": self._worsen_hints,
            "connections cut": self._cut,
            "a rolling restart": self._roll,
            "a clock moved by an hour": self._move_clock,
        }

    async def run(self, seconds: float, enough: Callable[[], Awaitable[bool]]) -> None:
        """Inject every fault once in a random order, then any, until the time is over or there were `enough`.

        All is well afterwards.
        """
        deadline = time.monotonic() + seconds
        first = self._chance.sample(list(self._faults), k=len(self._faults))
        while time.monotonic() < deadline and not await enough():
            name = first.pop() if first else self._chance.choice(list(self._faults))
            self._say(name)
            self.injected[name] += 1
            await self._faults[name]()
            await asyncio.sleep(self._chance.uniform(0.3, 2.5))

    async def put_right(self) -> None:
        """Let everything run as it should."""
        self._to_redis.swallow = False
        for node in self._nodes:
            node.resume()
            node.misbehave(node.usual)
            if not node.alive:
                node.start()

    def _one(self) -> Node:
        return self._chance.choice(self._nodes)

    async def _kill_node(self) -> None:
        node = self._one()
        node.kill()
        await asyncio.sleep(self._chance.uniform(0.1, 2))
        node.start()

    async def _stop_node(self) -> None:
        node = self._one()
        node.pause()
        await asyncio.sleep(5)
        node.resume()

    async def _kill_redis(self) -> None:
        self._redis.kill()
        await asyncio.sleep(self._chance.uniform(0.2, 4))
        await asyncio.to_thread(self._redis.start)

    async def _pause_redis(self) -> None:
        self._redis.signal(signal.SIGSTOP)
        await asyncio.sleep(self._chance.uniform(1, 5))
        self._redis.signal(signal.SIGCONT)

    async def _half_open(self) -> None:
        self._to_redis.swallow = True
        await asyncio.sleep(self._chance.uniform(3, 6))
        self._to_redis.swallow = False
        # What was swallowed is missing in the middle of the stream: nobody could go on with these.
        self._to_redis.cut(1.0, self._chance)

    async def _restart_postgres(self) -> None:
        await asyncio.to_thread(self._postgres.restart)

    async def _worsen_hints(self) -> None:
        for node in self._nodes:
            worse = msgspec.structs.replace(node.chaos, drop=0.3, repeat=0.3, hold=0.3)
            node.misbehave(worse)
        await asyncio.sleep(4)
        for node in self._nodes:
            node.misbehave(node.usual)

    async def _cut(self) -> None:
        for _ in range(5):
            self._front.cut(self._chance.uniform(0.2, 1.0), self._chance)
            await asyncio.sleep(self._chance.uniform(0.05, 0.5))

    async def _roll(self) -> None:
        for node in self._nodes:
            # As whoever rolls a fleet does: the next one goes when the last one is back.
            await self._serving(node)
            node.drain()
            try:
                code = await asyncio.to_thread(node.wait, DRAIN_S)
            except subprocess.TimeoutExpired:
                self.breaches.append(f"node {node.number} did not drain within {DRAIN_S:.0f} s")
                node.kill()
                code = 0
            if code:
                self.breaches.append(
                    f"node {node.number} drained with exit code {code}: {node.tail()[-500:]}"
                )
            node.start()

    async def _serving(self, node: Node) -> None:
        """Wait until a node is ready; one that could not start is started again, as any supervisor does.

        That it listens is not enough: it does before it opens the store, and may fail at that.
        """
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if not node.alive:
                self.injected["a start that had to be repeated"] += 1
                node.start()
            if await _ready(node):
                return
            await asyncio.sleep(0.1)
        self.breaches.append(f"node {node.number} does not serve: {node.tail()[-500:]}")

    async def _move_clock(self) -> None:
        node = self._one()
        step = self._chance.choice((-_CLOCK_MS, _CLOCK_MS))
        node.misbehave(msgspec.structs.replace(node.chaos, clock_ms=step))
        await asyncio.sleep(3)
        node.misbehave(node.usual)


async def _ready(node: Node) -> bool:
    """Whether a node says that it is ready."""
    try:
        async with asyncio.timeout(_LOOK_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except OSError:
        return False
