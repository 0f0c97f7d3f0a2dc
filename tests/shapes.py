"""The two shapes that REST, the device channel and a whole day are tested in.

One node on SQLite, or two on PostgreSQL and Redis, where requests go to the first and devices are on the second. What
a test says of a gateway holds in both; one that is about a single process says so by the marker `one_node`. One with
a table of things that are read, or refused where they are read, says so by `two_nodes_once`: each case is tried on
one node, and two show by the first that they answer alike.

The one node serves by the front door, the two by aiohttp alone, so that everything goes down both roads;
`GATEWAY_TEST_SWAP_ROADS` (any text) has it the other way round.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest

from gateway.app import Gateway
from gateway.bus.base import Note, TheyAreIn
from gateway.bus.redis import RedisBus
from gateway.config import Bus, Config, Edge, Metrics, Server, Store
from gateway.domain.limits import Limits
from gateway.store.sqlite.check import check_store
from tests import postgres, valkey
from tests.patience import LATE_S, WAIT_S, PatientBus, patient
from tests.sqlite import inside, lay_tables

ONE, TWO = "one", "two"

METRICS_TOKEN = "fake-token"

_MARK = 1 << 40
"""Above all questions that nodes ask each other."""


class Ears:
    """Tells when a node has heard all that another has published, by notes that nobody else asks for."""

    def __init__(self, near: Gateway, far: Gateway) -> None:
        assert isinstance(far._bus, RedisBus)
        self._near = near._bus
        self._hear = far._bus._on_notes
        self._marks = itertools.count(_MARK)
        self._awaited: dict[int, asyncio.Event] = {}
        far._bus._on_notes = self._listen

    def _listen(self, notes: Sequence[Note]) -> None:
        self._hear(notes)
        for note in notes:
            if isinstance(note, TheyAreIn) and note.question in self._awaited:
                self._awaited[note.question].set()

    async def heard(self) -> None:
        """Return once what was published before has been heard."""
        # A publish goes out by channels, in any order; what is published after it goes after all of it.
        for _ in range(2):
            mark = next(self._marks)
            heard = self._awaited[mark] = asyncio.Event()
            self._near.publish((), [TheyAreIn(question=mark, members=(), more=False)])
            async with asyncio.timeout(WAIT_S):
                await heard.wait()
            del self._awaited[mark]


class Shape:
    """The shape that gateways are opened in now, and the databases of this test."""

    def __init__(self) -> None:
        self.nodes = ONE
        self.folders: list[Path] = []

    @property
    def two(self) -> bool:
        return self.nodes == TWO

    @property
    def front_door(self) -> bool:
        """Which road its gateways serve by."""
        return self.two == bool(os.environ.get("GATEWAY_TEST_SWAP_ROADS"))


shape = Shape()


def parametrize(metafunc: pytest.Metafunc, nodes: Sequence[str] = (ONE, TWO)) -> None:
    """Let a test run in each of these shapes that it is about."""
    if "shaped" in metafunc.fixturenames:
        # Where there is no folder there is no gateway.
        folder = {"tmp_path", "tmp_path_factory"} & set(metafunc.fixturenames)
        alone = not folder or metafunc.definition.get_closest_marker("one_node")
        metafunc.parametrize("shaped", [ONE] if alone else nodes, indirect=True)


def shaped(nodes: str) -> Iterator[None]:
    """Open gateways in this shape for the time of one test."""
    shape.nodes, shape.folders = nodes, []
    # A node that is late with its answer is asked for all the same.
    with mock.patch("gateway.core.census.ANSWER_S", LATE_S):
        yield
    folders, shape.nodes = shape.folders, ONE
    for folder in folders:
        postgres.beside(postgres.clear_database(folder))


@asynccontextmanager
async def open_gateways(
    folder: Path, limits: Limits, edge: Edge, **sections: Any
) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """The gateway that requests go to, and the one that devices are on: the same where there is one.

    `sections` are others of the configuration, by their names.
    """
    config = Config(
        server=Server(port=0, data=str(folder)),
        limits=limits,
        edge=edge,
        metrics=Metrics(token=METRICS_TOKEN),
        **sections,
    )
    near, far = await start(config)
    try:
        yield near, far
    finally:
        await stop(near, far)


async def start(config: Config, ports: tuple[int, int] = (0, 0)) -> tuple[Gateway, Gateway]:
    """Start what `open_gateways` yields, on these ports."""
    folder = Path(config.server.data)
    config = msgspec.structs.replace(
        config,
        limits=patient(config.limits),
        edge=msgspec.structs.replace(config.edge, front_door=shape.front_door),
    )
    if not shape.two:
        lay_tables(folder)
        gateway = await Gateway.start(_on_port(config, ports[0]))
        # What survives a power cut is tested elsewhere; here it would be most of the time.
        await inside(gateway.store)._writer.run(lambda conn: conn.execute("PRAGMA synchronous = OFF"))
        return gateway, gateway
    if folder not in shape.folders:
        shape.folders.append(folder)
    bus = Bus(url=await asyncio.to_thread(valkey.server_url), prefix=folder.name)
    shared = msgspec.structs.replace(config, store=Store(url=await postgres.database_of(folder)), bus=bus)
    with mock.patch("gateway.bus.options.BusOptions", PatientBus):
        near, far = await asyncio.gather(*(Gateway.start(_on_port(shared, port)) for port in ports))
    # Whichever was the first does not know of the other yet.
    await near.presence.beat()
    # A start waits for a second at the most, and what is said before is not heard.
    async with asyncio.timeout(WAIT_S):
        while not (near._bus.connected and far._bus.connected):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)
    return near, far


async def stop(near: Gateway, far: Gateway) -> None:
    """Stop what `start` has started."""
    await asyncio.gather(near.stop(), far.stop())


def _on_port(config: Config, port: int) -> Config:
    return msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, port=port))


def check(folder: Path) -> list[str]:
    """Which of the store's laws are broken in what a gateway has left behind."""
    return postgres.check(folder) if shape.two else check_store(folder)


def rows_of_database(folder: Path, sql: str, *values: object) -> list[Any]:
    """Ask the database of a folder, or change it behind the gateway's back."""
    return postgres.ask(folder, for_postgres(sql), *values)


def for_postgres(sql: str) -> str:
    """What a test asks of SQLite, as PostgreSQL reads it."""
    numbers = iter(range(1, 100))
    numbered = re.sub(r"\?", lambda _: f"${next(numbers)}", sql)
    return re.sub(r"\b(FROM |UPDATE |JOIN )user\b|\buser(?=\.)", r'\1"user"', numbered)
