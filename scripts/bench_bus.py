#!/usr/bin/env python3
"""What the bus costs by how many channels it has: a few partitions, or one for every timeline.

    .venv/bin/python scripts/bench_bus.py
    .venv/bin/python scripts/bench_bus.py --url redis://127.0.0.1:6379 --followed 5000 --partitions 16 each

One node follows timelines, another publishes hints to these and to as many again for every further node (`--nodes`),
each with one entry of a short message: as flushes of 100 sends, which come while the flush before them is under way,
and as single sends, one after the other. All in one process; its CPU time is both nodes'. Without a URL a server of the
test dependencies is started. Subscribing is CPU time, too; the node's memory is what it keeps for following.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from redis.asyncio import Redis

# A program is started by its path: make the project's own modules importable from wherever that is.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gateway.bus.base import Hint, Note
from gateway.bus.options import BusOptions
from gateway.bus.redis import RedisBus
from gateway.domain.limits import Limits
from gateway.domain.model import Ctype, Entry, EntryKind, Message, Scope
from tests.valkey import Valkey

_EACH = 1 << 31
"""So many partitions are one for every timeline."""

_ENTRY = Entry(
    seq=1,
    kind=EntryKind.MESSAGE,
    message=Message(
        msg_id=1 << 40,
        scope=Scope.USER,
        sender_xid=10**12,
        sender_sn=1,
        target_xid=10**12 + 1,
        ctype=Ctype.TEXT,
        content="x" * 100,
        attachment="",
        config="",
        ext="",
        at=1_700_000_000_000,
        seq=1,
    ),
)
_FLUSH_SENDS = 100
_WAVE = 500


class Figures(msgspec.Struct, frozen=True):
    """One line of the table."""

    partitions: str
    subscribe_ms: float
    node_kb: float
    server_kb: float
    commands_per_send: float
    us_per_hint: float
    server_us_per_hint: float
    single_commands: float
    single_us: float


class Listener:
    """The node that follows, and how far it has heard."""

    def __init__(self, bus: RedisBus) -> None:
        self.bus = bus
        self.heard = 0
        self._news = asyncio.Event()
        bus.listen(self._hear, self._note, lambda: None)

    def _hear(self, hints: Sequence[Hint]) -> None:
        self.heard += sum(len(hint.entries) for hint in hints)
        self._news.set()

    def _note(self, notes: Sequence[Note]) -> None:
        """None are sent."""

    async def until(self, heard: int) -> None:
        """Return once so many entries have come."""
        while self.heard < heard:
            self._news.clear()
            await self._news.wait()


async def measure(url: str, partitions: int, given: argparse.Namespace) -> Figures:
    """Measure one number of channels."""
    server: Redis = Redis.from_url(url)
    buses = [RedisBus(BusOptions(url=url, partitions=partitions, prefix="bench"), Limits()) for _ in range(2)]
    speaker, listener = buses[0], Listener(buses[1])
    for bus in buses:
        await bus.start()
        if not bus.connected:
            raise RuntimeError("the server does not answer")
    server_kb = await _server_kb(server)
    began = time.process_time()
    await _follow(listener.bus, given.followed)
    subscribe_ms = (time.process_time() - began) * 1000
    server_kb = await _server_kb(server) - server_kb
    node_kb = await _node_kb(buses[0], given.followed)

    hints = _hints(given)
    step = 2 * _FLUSH_SENDS
    flushes = [hints[at : at + step] for at in range(0, len(hints), step)]
    load = await _run(speaker, listener, server, flushes, given.followed, pause=False)
    pairs = [hints[at : at + 2] for at in range(0, len(hints) // 10, 2)]
    single = await _run(speaker, listener, server, pairs, given.followed, pause=True)
    for bus in buses:
        await bus.close()
    await server.aclose()
    return Figures(
        "each" if partitions == _EACH else str(partitions),
        subscribe_ms,
        node_kb,
        server_kb,
        load.commands / given.sends,
        load.cpu_us / len(hints),
        load.server_us / len(hints),
        single.commands / len(pairs),
        single.cpu_us / (2 * len(pairs)),
    )


def _hints(given: argparse.Namespace) -> list[Hint]:
    """The hints of all sends, two of each: the same for every number of channels."""
    rng = random.Random(given.seed)
    heads: Counter[int] = Counter()
    hints = []
    for _ in range(2 * given.sends):
        topic = rng.randint(1, given.followed * (given.nodes - 1))
        heads[topic] += 1
        hints.append(Hint(topic, heads[topic], (msgspec.structs.replace(_ENTRY, seq=heads[topic]),)))
    return hints


class _Cost(msgspec.Struct, frozen=True):
    commands: int
    cpu_us: float
    server_us: float


async def _run(
    speaker: RedisBus,
    listener: Listener,
    server: Redis,
    flushes: Sequence[Sequence[Hint]],
    followed: int,
    *,
    pause: bool,
) -> _Cost:
    """Publish these flushes; with `pause` each is heard before the next."""
    commands, cpu, server_us = speaker.counts.commands, time.process_time(), await _server_us(server)
    due = listener.heard
    for flush in flushes:
        due += sum(hint.timeline_id <= followed for hint in flush)
        speaker.publish(flush)
        # As a writer's: the next flush comes when a commit has taken its time.
        await (listener.until(due) if pause else asyncio.sleep(0.002))
    await listener.until(due)
    return _Cost(
        speaker.counts.commands - commands,
        (time.process_time() - cpu) * 1e6,
        await _server_us(server) - server_us,
    )


async def _follow(bus: RedisBus, followed: int) -> None:
    """Follow timelines in waves, as devices come."""
    for first in range(1, followed + 1, _WAVE):
        last = min(first + _WAVE, followed + 1)
        await asyncio.gather(*(bus.subscribe(topic) for topic in range(first, last)))


async def _node_kb(bus: RedisBus, followed: int) -> float:
    """What a node keeps for following: it follows, is weighed, and lets all go."""
    tracemalloc.start()
    await _follow(bus, followed)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for topic in range(1, followed + 1):
        bus.unsubscribe(topic)
    return held / 1024


async def _server_kb(server: Redis) -> float:
    told: dict[str, Any] = await server.info("memory")
    return float(told["used_memory"]) / 1024


async def _server_us(server: Redis) -> float:
    told: dict[str, Any] = await server.info("cpu")
    return (float(told["used_cpu_user"]) + float(told["used_cpu_sys"])) * 1e6


def main() -> None:
    """Measure every number of channels asked for, in turn, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="a server that nobody else uses")
    parser.add_argument("--partitions", nargs="+", default=["1", "8", "16", "64", "each"])
    parser.add_argument("--followed", type=int, default=20_000)
    parser.add_argument(
        "--nodes", type=int, default=3, help="how many publish and follow, for the share heard"
    )
    parser.add_argument("--sends", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(
        f"{'channels':>8} {'subscribe':>10} {'node':>8} {'server':>8} | per send and hint at 100: "
        f"{'commands':>8} {'CPU':>8} {'server':>8} | single: {'commands':>8} {'CPU':>8}"
    )
    for _ in range(given.rounds):
        for name in given.partitions:
            partitions = _EACH if name == "each" else int(name)
            if given.url:
                figures = uvloop.run(measure(given.url, partitions, given))
            else:
                with Valkey() as server:
                    figures = uvloop.run(measure(server.url, partitions, given))
            print(
                f"{figures.partitions:>8} {figures.subscribe_ms:>7.0f} ms {figures.node_kb:>5.0f} kB "
                f"{figures.server_kb:>5.0f} kB | {'':>25} {figures.commands_per_send:>9.3f} "
                f"{figures.us_per_hint:>5.1f} us {figures.server_us_per_hint:>5.2f} us | {'':>7} "
                f"{figures.single_commands:>8.2f} {figures.single_us:>5.0f} us"
            )


if __name__ == "__main__":
    main()
