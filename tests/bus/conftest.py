"""What the tests of the bus share: nodes on each engine."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.bus.base import Bus
from gateway.bus.memory import MemoryBus, MemoryHub
from gateway.bus.options import BusOptions
from gateway.bus.redis import RedisBus
from gateway.domain.limits import Limits
from tests.bus.nodes import PATIENT, Node
from tests.valkey import server_url

Attach = Callable[[str], Bus]
"""Makes a bus on a gateway of this name, whose nodes hear each other and nobody else."""


@pytest.fixture(params=["memory", "redis"])
def attach(request: pytest.FixtureRequest) -> Attach:
    if request.param == "memory":
        hubs: dict[str, MemoryHub] = {}
        return lambda name: MemoryBus(hubs.setdefault(name, MemoryHub()))
    run = uuid.uuid4().hex
    return lambda name: RedisBus(BusOptions(url=server_url(), prefix=f"{run}:{name}", **PATIENT), Limits())


@pytest.fixture
async def nodes(attach: Attach) -> AsyncIterator[list[Node]]:
    nodes = [Node(attach("gateway")) for _ in range(3)]
    for node in nodes:
        await node.begin()
    yield nodes
    for node in nodes:
        await node.bus.close()
