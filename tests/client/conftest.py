"""What the client's tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.client.stage import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with Stage() as server:
        yield server
