"""What the store's tests share: one suite over every engine of the port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store.base import Store
from tests.store.stage import Stage


@pytest.fixture(params=["sqlite"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def stage(engine: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """Every test leaves a store behind that keeps the laws."""
    async with Stage(engine, tmp_path / "data") as made:
        yield made
    assert made.check() == []


@pytest.fixture
def store(stage: Stage) -> Store:
    return stage.store
