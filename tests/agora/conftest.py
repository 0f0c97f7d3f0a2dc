"""What the tests of the dialect of Agora Chat and Easemob share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.clock import now_ms
from gateway.edge.facades.agora import chatmessages
from gateway.edge.facades.agora.asking import ALIAS
from tests import shapes
from tests.agora.stage import Cloud, open_cloud

HOUR_MS = 3_600_000


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    shapes.parametrize(metafunc)


@pytest.fixture(autouse=True)
def shaped(request: pytest.FixtureRequest) -> Iterator[None]:
    """The shape of the gateways of this test."""
    yield from shapes.shaped(request.param)


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    """A gateway whose store keeps the laws, whatever a test did with it."""
    async with open_cloud(tmp_path / "data") as opened:
        yield opened
        assert shapes.check(opened.node.folder) == []


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes for gateways that are started from now on, however long the calls take."""
    at = now_ms()
    monkeypatch.setattr("gateway.app.now_ms", lambda: at)


@pytest.fixture
def ready(still: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour's file of history may be asked for while the hour lasts, and no hour ends in the midst of a test."""
    monkeypatch.setattr(chatmessages, "READY_MS", -HOUR_MS)


@pytest.fixture
async def strict(cloud: Cloud) -> Cloud:
    """An app that knows only users who have registered: Ann and Bob."""
    directory = cloud.node.gateway.directory
    await directory.create_app("strict", registered=True)
    await directory.credentials.call("strict", ALIAS, "easy-org/strict")
    strict = Cloud(cloud.node)
    strict.base, strict.token = "/easy-org/strict", (await directory.token_for("strict", None)).token
    await strict.users("ann", "bob")
    return strict
