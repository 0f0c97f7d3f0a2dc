"""What the edge's tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.edge.api import Api, open_api
from tests.edge.roads import SHORT, Roads, open_roads


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """The application with an open app `demo`."""
    async with open_api(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
async def roads() -> AsyncIterator[Roads]:
    """Both roads to the same calls."""
    async with open_roads() as opened:
        yield opened


@pytest.fixture
async def hasty() -> AsyncIterator[Roads]:
    """Roads with times that a test can see pass, from when it says so on."""
    async with open_roads(limits=SHORT, watched=False) as opened:
        yield opened
