"""What the tests of the native dialect share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store.sqlite.check import check_store
from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, open_node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A gateway whose store keeps the laws, whatever a test did with it."""
    async with open_node(tmp_path / "data") as opened:
        yield opened
        assert check_store(opened.folder) == []


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
