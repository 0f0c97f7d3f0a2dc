"""Scenarios of what must not cost more as more is stored, and as groups get larger."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from scripts.benchlib.calls import FIRST_UID, Calls
from scripts.benchlib.figures import Figure
from scripts.benchlib.http import Callers, Request
from scripts.benchlib.listening import listening
from scripts.benchlib.loading import TEXT_BYTES, calling, load
from scripts.benchlib.programs import Programs, Served
from scripts.benchlib.scenario import Contender, LeftOut, Measured, Rounds, Scenario, column
from scripts.benchlib.stuffing import PEERS, settle, stuff, users_of
from scripts.loadlib.report import progress

_SIZES = (10_000, 1_000_000, 10_000_000)
_COPIED_MAX = 100_000
"""A store of no more messages is copied for each round; to a larger one a round adds next to nothing."""

_MEMBERS = (10, 5_000)
_FLAT = 1.25
_CALLERS = 64
_SENDS = 10_000
_READS = 5_000
_GROUP_SENDS = 10_000
_PAGE = 1_000
"""How many members one call takes."""


def _stored(full: int) -> Contender:
    """A gateway that has about so many messages, when devices come, users send, and look for what is unread."""

    async def contend(programs: Programs) -> Measured:
        messages = programs.count(full)
        if messages > programs.messages_max:
            raise LeftOut(f"no more than {programs.messages_max:,} messages are asked for")

        def make(data: Path) -> None:
            seconds = -time.monotonic()
            stuff(data, messages)
            seconds += time.monotonic()
            size = (data / "gateway.db").stat().st_size / 1e6
            progress(f"growth: {messages:,} messages took {seconds:,.0f} s, {size:,.0f} MB")

        data = programs.once(f"{messages} messages", make)
        if messages <= _COPIED_MAX:
            with programs.gateway(template=data) as served:
                return await _measured(programs, served, users_of(messages))
        # The rounds before have sent, too.
        settle(data)
        with programs.gateway(data=data) as served:
            return await _measured(programs, served, users_of(messages))

    return contend


async def _measured(programs: Programs, served: Served, users: int) -> Measured:
    calls = Calls(served.signer)
    attach_us = await _attached(served, users)
    sends = programs.count(_SENDS, _CALLERS)
    async with calling(served.program.port, _CALLERS) as callers:
        await callers.load(users, calls.introductions(users))
        sent = await load(served.program, callers, sends, _between_peers(calls, sends, users))
        reads = programs.count(_READS, _CALLERS)
        asked = [calls.get("/message/unread", FIRST_UID + number) for number in range(users)]
        read = await load(served.program, callers, reads, lambda number, _: asked[number % users])
    return {
        "attach_us": attach_us,
        "send_us": sent["cpu_us"],
        "send_p50_ms": sent["p50_ms"],
        "unread_us": read["cpu_us"],
    }


async def _attached(served: Served, users: int) -> float:
    """What it costs that a device of each user comes, which nothing is owed to."""
    cpu_s = -served.program.cost.cpu_s
    uids = range(FIRST_UID, FIRST_UID + users)
    async with listening(served.program.port, served.signer, uids):
        cpu_s += served.program.cost.cpu_s
    return cpu_s / users * 1e6


def _between_peers(calls: Calls, count: int, users: int) -> Request:
    """Sends in conversations that are there already."""
    chosen = random.Random(count)
    text = b"x" * TEXT_BYTES
    made = []
    for number in range(count):
        sender = chosen.randrange(users)
        target = (sender + 1 + chosen.randrange(PEERS)) % users
        made.append(calls.send(FIRST_UID + sender, FIRST_UID + target, text, calls.key(number)))
    return lambda number, _: made[number]


def _grouped(full: int) -> Contender:
    """A gateway with a group of so many members, all of whom are away, when its owner sends."""

    async def contend(programs: Programs) -> Measured:
        members = programs.count(full, _MEMBERS[0])
        with programs.gateway() as served:
            calls = Calls(served.signer)
            async with calling(served.program.port, _CALLERS) as callers:
                group_id = await _make_group(callers, calls, members)
                count = programs.count(_GROUP_SENDS, _CALLERS)
                text = b"x" * TEXT_BYTES
                made = [
                    calls.send(FIRST_UID, group_id, text, calls.key(number), group=True)
                    for number in range(_CALLERS + count)
                ]
                await callers.load(_CALLERS, lambda number, _: made[number])
                return await load(served.program, callers, count, lambda number, _: made[_CALLERS + number])

    return contend


async def _make_group(callers: Callers, calls: Calls, members: int) -> int:
    """Make a group of the first users, and return its id."""

    async def post(path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - what JSON may say
        request = calls.post(path, msgspec.json.encode(body), FIRST_UID)
        loaded = await callers.load(1, lambda _, __: request)
        return msgspec.json.decode(loaded.answer.partition(b"\r\n\r\n")[2])["data"]

    others = range(FIRST_UID + 1, FIRST_UID + members)
    made = await post("/group/create", {"name": "bench", "type": 0, "user_list": list(others[: _PAGE - 1])})
    group_id = int(made["group_id"])
    for first in range(_PAGE - 1, len(others), _PAGE):
        page = list(others[first : first + _PAGE])
        await post("/group/invite", {"group_id": group_id, "user_list": page})
    return group_id


def _flat(name: str, rounds: Rounds, contenders: Sequence[str], measured: str, unit: str) -> list[Figure]:
    """One figure for each contender but the first, which is their floor."""
    first, *others = contenders
    floors = column(rounds, first, measured)
    return [
        Figure(
            name=f"{name}, {other}",
            unit=unit,
            values=column(rounds, other, measured),
            floors=floors,
            reach=f"≤ {_FLAT} of {first}",
            most=_FLAT * statistics.median(floors),
        )
        for other in others
        if rounds[other]
    ]


def _growth_figures(rounds: Rounds) -> list[Figure]:
    contenders = list(_GROWTH)
    return [
        *_flat("growth: CPU per send", rounds, contenders, "send_us", "µs"),
        *_flat("growth: CPU per attach", rounds, contenders, "attach_us", "µs"),
        *_flat("growth: CPU per list of unread", rounds, contenders, "unread_us", "µs"),
    ]


_GROWTH = {f"{size:,} messages": _stored(size) for size in _SIZES}
_GROUPS = {f"{size:,} members": _grouped(size) for size in _MEMBERS}

GROWTH = Scenario(
    "growth", "what sends, attaching and reading cost as more messages are stored", _GROWTH, _growth_figures
)

MEMBERS = Scenario(
    "members",
    "what a send costs as more members of a group are away",
    _GROUPS,
    lambda rounds: _flat("members: CPU per send", rounds, list(_GROUPS), "cpu_us", "µs"),
)
