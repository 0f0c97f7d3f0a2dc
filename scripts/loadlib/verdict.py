"""What a run with two apps comes to: the ratio that it is about, and how it is shown."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from scripts.loadlib.report import Latency


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What one span of time was like for the quiet app, what the loud one did, and what it took."""

    flooded: bool
    send: Latency
    end_to_end: Latency
    quiet_sends: int
    loud_per_s: float
    refused_per_s: float
    server_cpu_percent: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run found; `failures` is why its exit code is 1, empty for a clean run."""

    machine: str
    scenario: str
    spans: list[Span]
    send_ratio: float
    end_to_end_ratio: float
    failures: list[str]


def median_of(spans: list[Span], value: Callable[[Span], float], *, flooded: bool) -> float:
    """The median over the spans of one kind; 0 where there are none."""
    found = [value(span) for span in spans if span.flooded is flooded]
    return statistics.median(found) if found else 0.0


def ratio_of(spans: list[Span], value: Callable[[Span], float]) -> float:
    """How many times the median of the flooded spans is that of the others."""
    alone = median_of(spans, value, flooded=False)
    flooded = median_of(spans, value, flooded=True)
    return flooded / alone if alone else float("inf")


def show_verdict(verdict: Verdict) -> None:
    """Print the verdict: medians over the rounds."""
    console = Console(highlight=False)
    console.print(verdict.scenario, style="bold")
    console.print(verdict.machine)
    table = Table()
    for name in ("median of the rounds", "alone", "beside the flood", "ratio"):
        table.add_column(name, justify="left" if name.startswith("median") else "right")
    for name, value in _LATENCIES.items():
        alone = median_of(verdict.spans, value, flooded=False)
        flooded = median_of(verdict.spans, value, flooded=True)
        table.add_row(name, f"{alone:.1f} ms", f"{flooded:.1f} ms", f"{ratio_of(verdict.spans, value):.2f}")
    for name, value, unit in _FIGURES:
        alone = median_of(verdict.spans, value, flooded=False)
        flooded = median_of(verdict.spans, value, flooded=True)
        table.add_row(name, f"{alone:,.0f}{unit}", f"{flooded:,.0f}{unit}", "")
    console.print(table)
    for failure in verdict.failures:
        console.print(failure, style="bold red")
    if not verdict.failures:
        console.print("clean", style="bold green")


def save_verdict(verdict: Verdict, path: Path) -> None:
    """Write the verdict as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(verdict)) + b"\n")


_LATENCIES: dict[str, Callable[[Span], float]] = {
    "send p50": lambda span: span.send.p50_ms,
    "send p99": lambda span: span.send.p99_ms,
    "end to end p50": lambda span: span.end_to_end.p50_ms,
    "end to end p99": lambda span: span.end_to_end.p99_ms,
}
_FIGURES: tuple[tuple[str, Callable[[Span], float], str], ...] = (
    ("the loud app's sends", lambda span: span.loud_per_s, "/s"),
    ("refused beside them", lambda span: span.refused_per_s, "/s"),
    ("server CPU", lambda span: span.server_cpu_percent, " %"),
)
