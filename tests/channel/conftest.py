"""What the device channel's tests share."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from gateway.bus.memory import MemoryHub
from gateway.config import Edge
from gateway.store.sqlite import SqliteStore
from tests import shapes
from tests.channel.nodes import Node, Nodes
from tests.channel.stage import APP, LIMITS, Stage, Ticks, open_stage
from tests.patience import LATE_S

Start = Callable[..., Awaitable[Stage]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    shapes.parametrize(metafunc)


@pytest.fixture(autouse=True)
def shaped(request: pytest.FixtureRequest) -> Iterator[None]:
    """The shape of the gateways of this test."""
    yield from shapes.shaped(request.param)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket is cut for a peer that is late with its answer to a close, but where a test has said so."""
    monkeypatch.setattr("gateway.edge.sink.CLOSE_TIMEOUT_S", LATE_S)


@pytest.fixture
async def start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Start]:
    """Starts a gateway with some limits of its own; nothing may have failed when the test is over."""
    async with AsyncExitStack() as stack:

        async def opened(edge: Edge = Edge(), **limits: int) -> Stage:  # noqa: B008 - frozen
            bounds = msgspec.structs.replace(LIMITS, **limits)
            return await stack.enter_async_context(open_stage(tmp_path / "data", bounds, edge))

        yield opened
    records = [*caplog.get_records("setup"), *caplog.get_records("call"), *caplog.get_records("teardown")]
    bad = [
        record
        for record in records
        if record.levelno >= logging.ERROR or record.exc_info or record.name.startswith("asyncio")
    ]
    assert not bad, [record.getMessage() for record in bad]


@pytest.fixture
async def stage(start: Start) -> Stage:
    """A gateway with the limits of the stage."""
    return await start()


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    """The clock of the gateways that are started after this, for all but the wall."""
    ticks = Ticks()
    monkeypatch.setattr("gateway.app.ticks_ms", ticks)
    return ticks


@pytest.fixture
def door(shaped: None) -> None:
    """Only where devices come by the front door."""
    if not shapes.shape.front_door:
        pytest.skip("this road has no device sockets")


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    """Two nodes that know of each other, over one store."""
    store = await SqliteStore.open(tmp_path / "data", LIMITS)
    shared = MemoryHub()
    both = Node(store, shared), Node(store, shared)
    await both[0].directory.create_app(APP)
    for node in (*both, *both):
        await node.presence.beat()
    yield both
    for node in both:
        await node.close()
    await store.close()
