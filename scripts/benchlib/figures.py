"""What a scenario finds: figures with their spread, beside the floor of the same run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

_WIDTH = 140
"""Of a table that goes into a file."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number, a value per round.

    `floors` are what the least that any program has to do has cost, in the same rounds; empty where there is no such
    thing. `most` is the greatest value that is good, `least` the least one; a figure with neither is only told. `reach`
    says the bound in words. The two bounds are judged by the medians.
    """

    name: str
    unit: str
    values: Sequence[float]
    floors: Sequence[float] = ()
    reach: str = ""
    most: float | None = None
    least: float | None = None

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest of the rounds."""
        return min(self.values), max(self.values)

    @property
    def floor(self) -> float | None:
        """The median of the floor's rounds."""
        return statistics.median(self.floors) if self.floors else None

    @property
    def ratio(self) -> float | None:
        """The value by the floor."""
        return self.value / self.floor if self.floor else None

    @property
    def ok(self) -> bool:
        """Whether it reaches what it should."""
        return (self.most is None or self.value <= self.most) and (
            self.least is None or self.value >= self.least
        )


class _Told(msgspec.Struct):
    value: float
    unit: str
    floor: float | None
    ratio: float | None
    reach: str
    ok: bool
    rounds: Sequence[float]


def show(figures: Sequence[Figure], machine: str) -> None:
    """Print the table."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(machine)
    table = Table()
    table.add_column("figure")
    for heading in ("median", "least … most", "floor", "ratio"):
        table.add_column(heading, justify="right")
    table.add_column("reach")
    for figure in figures:
        low, high = figure.spread
        reach = figure.reach
        if figure.most is not None or figure.least is not None:
            reach += " [green]✓[/green]" if figure.ok else " [bold red]✗[/bold red]"
        table.add_row(
            figure.name,
            f"{_short(figure.value)} {figure.unit}",
            f"{_short(low)} … {_short(high)}",
            "" if figure.floor is None else _short(figure.floor),
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            reach,
        )
    console.print(table)


def save(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as JSON, by their names."""
    told = {
        figure.name: _Told(
            figure.value, figure.unit, figure.floor, figure.ratio, figure.reach, figure.ok, figure.values
        )
        for figure in figures
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told)) + b"\n")


def _short(value: float) -> str:
    """Three or four digits that matter."""
    if abs(value) >= 100:  # noqa: PLR2004 - three digits are enough
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"  # noqa: PLR2004 - the same
