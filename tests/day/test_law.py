"""Whatever users do and devices miss, every device ends with what a fresh reading of the store shows."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.day import ends, rooms
from tests.day.law import check_all
from tests.day.run import ALONE, OPERATIONS, USERS, Run
from tests.day.town import LIMITS, open_town

SMALL = msgspec.structs.replace(LIMITS, unacked_max=8, replay_page_max=3, room_history_max=4)
"""So that few entries make pages, windows that an ack must open, and ends of a room."""

every = {name: st.tuples(st.just(name), *drawn) for name, (_, drawn) in OPERATIONS.items()}

COMING_AND_GOING = ("connect", "connect", "disconnect", "ack", "wait", "expire", "recall", "erase")
ENDS = (*vars(ends).keys() & every.keys(), "text", "whisper", "say", "amend", "come_again", "delete")
ROOMS = (
    *vars(rooms).keys() & every.keys(),
    "join_room",
    "say_in_room",
    "say_in_room",
    "restart",
    "kick_device",
)


def hour_of(names: Iterable[str]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Some of these operations, one by one and now and then several at once."""
    sorted_names = sorted(names)
    one = st.one_of(*(every[name] for name in sorted_names))
    at_once = st.one_of(*(every[name] for name in sorted_names if name not in ALONE))
    together = st.tuples(st.just("together"), st.lists(at_once, min_size=2, max_size=5))
    return st.lists(st.one_of(one, one, one, together), min_size=2, max_size=14)


hour = st.one_of(hour_of(every), hour_of((*ENDS, *COMING_AND_GOING)), hour_of((*ROOMS, *COMING_AND_GOING)))
"""Of everything there is, or of what has to do with each other: one of many operations seldom meets its like."""
hours = st.lists(hour, min_size=2, max_size=7)
"""Lists of lists, for a single list comes out short."""


async def play(asked: list[list[tuple[Any, ...]]]) -> None:
    """Play a run in a new town, bring everybody home, and check the law."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_town(Path(folder) / "data", USERS, SMALL) as town:
            run = Run(town)
            await run.begin()
            for name, *arguments in chain.from_iterable(asked):
                if name == "together":
                    await asyncio.gather(*(run.play(*each) for each in arguments[0]))
                else:
                    await run.play(name, *arguments)
            await run.come_home()
            await check_all(town, run.phones)
            for phone in run.phones:
                await phone.off()


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.large_base_example, HealthCheck.too_slow],
)
@given(asked=hours)
@example(
    asked=[
        [("join_room", 0, 0, "all"), ("leave_room", 0, 0)],
        [("join_room", 4, 0, "head"), ("put_out", 2, 0)],
    ]
)
def test_stale_state_and_frames_are_freshly_fetched_state(asked: list[list[tuple[Any, ...]]]) -> None:
    """The law of `tests/day/fresh.py`, for every mix of operations, one by one and at once."""
    asyncio.run(play(asked))
