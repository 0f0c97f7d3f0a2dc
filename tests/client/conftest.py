"""What the client's tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.client.stage import Stage
from tests.patience import LATE_S


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No client gives a connection up, or the answer to its close, for being late: the test plays the other side."""
    for name in ("_CONNECT_TIMEOUT_S", "_CLOSE_TIMEOUT_S"):
        monkeypatch.setattr(f"gateway.client.connection.{name}", LATE_S)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with Stage() as server:
        yield server
