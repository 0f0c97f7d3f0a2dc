"""What the tests of the native dialect share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests import shapes
from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, open_node


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    shapes.parametrize(metafunc)


@pytest.fixture(autouse=True)
def shaped(request: pytest.FixtureRequest) -> Iterator[None]:
    """The shape of the gateways of this test."""
    yield from shapes.shaped(request.param)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A gateway whose store keeps the laws, whatever a test did with it."""
    async with open_node(tmp_path / "data") as opened:
        yield opened
        assert shapes.check(opened.folder) == []


@pytest.fixture
async def alice(node: Node) -> Caller:
    return await node.user(ALICE)


@pytest.fixture
async def bob(node: Node) -> Caller:
    return await node.user(BOB)


@pytest.fixture
async def carol(node: Node) -> Caller:
    return await node.user(CAROL)


@pytest.fixture
async def admin(node: Node) -> Caller:
    return await node.admin()
