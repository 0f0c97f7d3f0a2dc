"""How fast files come in, beside everything else."""

from __future__ import annotations

import asyncio

from gateway.core.flow import Flow


async def test_all_uploads_together_have_so_many_bytes_a_second() -> None:
    """However many there are: the last of them waits for all that came before it."""
    loop = asyncio.get_running_loop()
    flow = Flow(1_000_000)
    began = loop.time()
    with flow.entered(1):
        await asyncio.gather(*(flow.pass_on(1, 10_000) for _ in range(21)))
    assert 0.2 <= loop.time() - began < 2.0


async def test_who_came_first_has_most_of_it() -> None:
    """The first few share four fifths, all others the rest; where there are no others they have all."""
    flow = Flow(1_000_000)
    loop = asyncio.get_running_loop()
    ends: dict[int, float] = {}

    async def bring(who: int) -> None:
        with flow.entered(who):
            for _ in range(10):
                await flow.pass_on(who, 1_000)
        ends[who] = loop.time()

    began = loop.time()
    await asyncio.gather(*(bring(who) for who in range(20)))
    assert loop.time() - began < 1
    order = sorted(ends, key=lambda who: ends[who])
    assert set(order[: Flow.FIRST]) == set(range(Flow.FIRST))
    assert ends[order[0]] - began < (ends[order[-1]] - began) / 2
