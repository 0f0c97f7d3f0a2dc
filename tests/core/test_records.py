"""What an app has sent, by time."""

from __future__ import annotations

from pathlib import Path

from gateway.core.order import Order
from gateway.domain.limits import Limits
from gateway.domain.model import Scope
from tests.core.stage import Stage, app_of, open_stage

ONE, OTHER = 118, 119


async def say(stage: Stage, content: str) -> None:
    order = Order(scope=Scope.USER, targets=(OTHER,), ctype=0, content=content)
    await stage.core.messaging.send(await stage.user(ONE), order)


async def test_all_of_it_is_read_page_by_page(tmp_path: Path) -> None:
    """However small the pages are, and whatever lies between of others."""
    async with open_stage(tmp_path / "few", Limits(record_page_max=2)) as stage:
        await stage.app()
        await stage.app("other")
        begun = stage.clock()
        for number in range(5):
            await say(stage, str(number))
            stage.clock.move(s=1)
        app, other = await app_of(stage), await app_of(stage, "other")
        span = (begun + 1000, begun + 4000)
        read = [record.message.content async for record in stage.core.records.read(app, *span)]
        assert read == ["1", "2", "3"]
        assert [record async for record in stage.core.records.read(other, *span)] == []
        assert await stage.core.records.any(app, *span)
        assert not await stage.core.records.any(other, *span)
        assert not await stage.core.records.any(app, begun + 5000, begun + 9000)
