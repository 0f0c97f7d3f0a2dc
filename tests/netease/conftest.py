"""What the tests of the dialect of NetEase YunXin share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.clock import now_ms
from tests import shapes
from tests.channel.stage import Ticks
from tests.netease.stage import Cloud, open_cloud
from tests.rest.stage import Caller


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    shapes.parametrize(metafunc)


@pytest.fixture(autouse=True)
def shaped(request: pytest.FixtureRequest) -> Iterator[None]:
    """The shape of the gateways of this test."""
    yield from shapes.shaped(request.param)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> int:
    """No time passes for gateways that are started from now on, however long the calls take; which it is (ms)."""
    at = now_ms()
    monkeypatch.setattr("gateway.app.now_ms", lambda: at)
    monkeypatch.setattr("gateway.app.ticks_ms", Ticks())
    return at


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    """A gateway whose store keeps the laws, whatever a test did with it."""
    async with open_cloud(tmp_path / "data") as opened:
        yield opened
        assert shapes.check(opened.node.folder) == []


@pytest.fixture
async def ann(cloud: Cloud) -> Caller:
    return await cloud.phone("ann")


@pytest.fixture
async def bob(cloud: Cloud) -> Caller:
    return await cloud.phone("bob")


@pytest.fixture
async def cid(cloud: Cloud) -> Caller:
    return await cloud.phone("cid")


@pytest.fixture
async def team(ann: Caller, bob: Caller, cid: Caller) -> int:
    """A team that Ann owns."""
    return await ann.group(bob.xid, cid.xid)
