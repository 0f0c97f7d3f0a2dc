"""What an app has sent, by time and by id."""

from __future__ import annotations

from pathlib import Path

from gateway.core.order import Order
from gateway.domain.limits import Limits
from gateway.domain.model import Gone, Scope
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


async def test_one_of_them(tmp_path: Path) -> None:
    """By its id, also once its text is gone; another app's there is not."""
    async with open_stage(tmp_path / "one") as stage:
        await stage.app()
        await stage.app("other")
        app, other = await app_of(stage), await app_of(stage, "other")
        sender = await stage.user(ONE)
        order = Order(scope=Scope.USER, targets=(OTHER,), ctype=0, content="hi")
        msg_id, _ = await stage.core.messaging.send(sender, order)
        found = await stage.core.records.message(app, msg_id)
        assert found is not None
        assert (found.sender_xid, found.target_xid, found.content, found.gone) == (ONE, OTHER, "hi", None)
        await stage.core.messaging.recall(sender, OTHER, msg_id)
        found = await stage.core.records.message(app, msg_id)
        assert found is not None
        assert (found.content, found.gone) == ("", Gone.RECALLED)
        assert await stage.core.records.message(other, msg_id) is None
        assert await stage.core.records.message(app, msg_id + 1) is None
