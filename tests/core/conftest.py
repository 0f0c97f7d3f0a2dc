"""What the core's tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.online import Asked
from tests.core.stage import Stage, open_stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A core with an open app `demo`."""
    async with open_stage(tmp_path / "data") as opened:
        await opened.app()
        yield opened


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Counts what the store is asked from now on."""
    return Asked(monkeypatch)
