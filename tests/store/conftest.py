"""What the store's tests share: one suite over every engine of the port."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store.base import Store
from tests.postgres import clear_database
from tests.store.stage import Stage


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    # While an engine is being made, its suite is run by itself.
    return os.environ.get("GATEWAY_TEST_ENGINE") or str(request.param)


@pytest.fixture
async def stage(engine: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """Every test leaves a store behind that keeps the laws."""
    async with Stage(engine, tmp_path / "data") as made:
        yield made
    assert made.check() == []
    await clear_database(tmp_path / "data")


@pytest.fixture
def store(stage: Stage) -> Store:
    return stage.store
