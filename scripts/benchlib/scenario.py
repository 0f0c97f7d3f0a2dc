"""What a scenario is: contenders that take turns in one run, and what their rounds say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from scripts.benchlib.figures import Figure
from scripts.benchlib.programs import Programs

Measured = dict[str, float]
"""What one round of one contender has measured, by name."""

Contender = Callable[[Programs], Awaitable[Measured]]
"""One round: starts its program, loads it by a bounded count, and stops it. May raise `LeftOut`."""

Rounds = Mapping[str, Sequence[Measured]]
"""Of each contender all its rounds; none of one that was left out."""


class LeftOut(Exception):
    """This contender does not compete in this run; its text says why."""


class Scenario(NamedTuple):
    """One line of the README's table. `figures` reads what the rounds of all contenders have measured."""

    name: str
    about: str
    contenders: Mapping[str, Contender]
    figures: Callable[[Rounds], list[Figure]]


def column(rounds: Rounds, contender: str, measured: str) -> list[float]:
    """One measured number of a contender, round by round."""
    return [one[measured] for one in rounds[contender]]


async def play(
    scenario: Scenario, programs: Programs, rounds: int, tell: Callable[[str], None]
) -> list[Figure]:
    """Let the contenders take turns, `rounds` times; return what that says."""
    measured: dict[str, list[Measured]] = {name: [] for name in scenario.contenders}
    for number in range(1, rounds + 1):
        for name, contender in scenario.contenders.items():
            tell(f"{scenario.name}: {name}, round {number} of {rounds}")
            try:
                measured[name].append(await contender(programs))
            except LeftOut as why:
                tell(f"{scenario.name}: {name} is left out: {why}")
    return scenario.figures(measured)
