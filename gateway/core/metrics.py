"""What this node does, in numbers: put together when somebody asks, from what is counted meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from gateway.bus.base import Bus
from gateway.core.ephemeral import Ephemeral
from gateway.core.hub import Hub
from gateway.core.presence import Presence
from gateway.core.receipts import Receipts
from gateway.core.tally import DELAY_S, Distribution
from gateway.core.writer import Writer
from gateway.domain.errors import Problem
from gateway.store.base import Store

APPS_MAX = 100
"""Apps that have numbers of their own: the first that come. All others are told as one, by the name `other`."""

OTHER = "other"
DELAY_PAUSE_S = 0.5
"""How often the loop's delay is measured: each time wakes a node that may have nothing else to do."""


class Reading(msgspec.Struct, frozen=True):
    """One measured thing: by the values of a label, or (label "") one value alone, under "".

    A counter only rises, and is told with `_total` at the end of its name.
    """

    name: str
    about: str
    kind: Literal["counter", "gauge"]
    values: Mapping[str, float]
    label: str = ""


class Spread(msgspec.Struct, frozen=True):
    """One measured thing of which all values since the start count."""

    name: str
    about: str
    distribution: Distribution


class Metrics:
    """The numbers of one node."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        hub: Hub,
        writer: Writer,
        receipts: Receipts,
        presence: Presence,
        ephemeral: Ephemeral,
    ) -> None:
        self._store = store
        self._bus = bus
        self._hub = hub
        self._writer = writer
        self._receipts = receipts
        self._presence = presence
        self._ephemeral = ephemeral
        self._delay = Distribution(DELAY_S)
        self._names: dict[int, str] = {}
        # The apps that have numbers of their own.
        self._own: set[int] = set()

    async def run(self) -> None:
        """Measure, for as long as the node lives, how much later than asked the loop comes round."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + DELAY_PAUSE_S
            await asyncio.sleep(DELAY_PAUSE_S)
            self._delay.note(max(0.0, loop.time() - due))

    async def read(self) -> Sequence[Reading | Spread]:
        """Return all numbers as they are now. It works without the store, but for the names of new apps."""
        tally, hub = self._writer.tally, self._hub
        by_app = tally.messages, hub.connections_by_app
        await self._learn_names({app for values in by_app for app in values})
        sent, connected = (self._named(values) for values in by_app)
        return [
            Reading("gateway_messages", "Messages committed, one for each target.", "counter", sent, "app"),
            Spread("gateway_batch_drafts", "Drafts that a batch of the writer had.", tally.batches),
            Spread("gateway_commit_seconds", "How long a batch took to commit.", tally.commits),
            _counter("gateway_batches_failed", "Batches that could not be committed.", tally.failed),
            _gauge("gateway_writer_messages", "Messages that wait for the store.", self._writer.waiting.rows),
            _gauge(
                "gateway_writer_bytes", "The size of what waits for the store.", self._writer.waiting.size
            ),
            _gauge("gateway_acks", "Acks that wait to be committed.", self._receipts.waiting),
            Reading("gateway_connections", "Devices attached to this node.", "gauge", connected, "app"),
            _gauge("gateway_lagging", "Devices that read from the store, being slow.", hub.lagging),
            _counter("gateway_deliveries", "Entries dispatched to connected devices.", hub.deliveries),
            _counter(
                "gateway_pages", "Pages of timelines read for devices that were behind.", hub.fetches.pages
            ),
            _counter("gateway_handed_over", "Messages handed over and not stored.", self._ephemeral.handed),
            _gauge("gateway_nodes", "Nodes that live, this one among them.", self._presence.nodes),
            _gauge("gateway_bus_connected", "1 where the bus is there.", int(self._bus.connected)),
            *_of_bus(self._bus),
            Spread("gateway_loop_delay_seconds", "How late the event loop was, twice a second.", self._delay),
        ]

    async def _learn_names(self, apps: set[int]) -> None:
        if not apps <= self._names.keys():
            try:
                self._names = {app.id: app.app_id for app in await self._store.apps()}
            except Problem:
                return

    def _named(self, values: Mapping[int, int]) -> dict[str, float]:
        """Name the apps that have numbers of their own, and sum the others up."""
        named: dict[str, float] = {}
        for app, value in values.items():
            if len(self._own) < APPS_MAX:
                self._own.add(app)
            # Once in it stays in, and who is out stays out: a counter that moved over would fall.
            name = self._names.get(app, str(app)) if app in self._own else OTHER
            named[name] = named.get(name, 0) + value
        return named


def _counter(name: str, about: str, value: float) -> Reading:
    return Reading(name, about, "counter", {"": value})


def _gauge(name: str, about: str, value: float) -> Reading:
    return Reading(name, about, "gauge", {"": value})


def _of_bus(bus: Bus) -> Iterable[Reading]:
    counts = msgspec.structs.asdict(bus.counts)
    return [
        _counter(f"gateway_bus_{name}", f"The bus: {name.replace('_', ' ')}.", value)
        for name, value in counts.items()
    ]
