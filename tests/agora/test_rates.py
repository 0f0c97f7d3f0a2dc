"""The vendor's own rates, for who wants them (agora.md, Limits)."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.errors import Kind, Problem
from gateway.edge.facades.agora.rates import Rate, Rates
from tests.agora.stage import Cloud, open_cloud

NOW = 1_790_000_000_000


@pytest.mark.parametrize(
    ("rate", "at_once", "next_ms"),
    [
        (Rate.USER_MESSAGES, 6_000, 10),
        (Rate.GROUP_MESSAGES, 20, 50),
        (Rate.ROOM_MESSAGES, 100, 10),
        (Rate.CHANNELS, 100, 10),
        (Rate.HISTORY_FILES, 10, 6_000),
    ],
)
def test_how_many(rate: Rate, at_once: int, next_ms: int) -> None:
    """So many at once, and when the next may go; another app, and another rate, have their own."""
    rates = Rates()
    rates.spend(1, rate, at_once, NOW)
    with pytest.raises(Problem) as caught:
        rates.spend(1, rate, 1, NOW)
    assert (caught.value.kind, caught.value.retry_after_ms) == (Kind.RATE_LIMITED, next_ms)
    for other in Rate:
        rates.spend(1 if other is not rate else 2, other, 1, NOW)
    rates.spend(1, rate, 1, NOW + next_ms)


@pytest.mark.usefixtures("still")
async def test_an_app_that_sends_too_fast(tmp_path: Path) -> None:
    """Is told so in the vendor's words, and when to come again; nothing is sent."""
    async with open_cloud(tmp_path / "data", vendor_rates=True) as cloud:
        group = (await cloud.post("/chatgroups", {"groupname": "g", "owner": "ann"})).data["groupid"]
        asked = {"to": [group], "type": "txt", "body": {"msg": "hi"}}
        answers = [await cloud.post("/messages/chatgroups", asked) for _ in range(60)]
        refused = [answer for answer in answers if answer.status != 200]
        assert refused
        assert refused[0].refused(429, "reach_limit", "This request has reached api limit")
        assert int(refused[0].headers["Retry-After"]) >= 1


async def test_without_them_nobody_counts(cloud: Cloud) -> None:
    """As it is where nobody asks for it."""
    answers = [await cloud.get("/chatmessages/2018112717") for _ in range(12)]
    assert {answer.status for answer in answers} == {404}
