"""What a load run tells: a line while it runs, a table at the end."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from scripts.loadlib.histogram import Histogram
from scripts.loadlib.ledger import Totals


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds."""

    p50_ms: float
    p99_ms: float
    max_ms: float


def latency_of(histogram: Histogram) -> Latency:
    """Sum a histogram up."""
    return Latency(histogram.quantile_ms(0.50), histogram.quantile_ms(0.99), histogram.max_us / 1000)


class Connecting(msgspec.Struct, frozen=True, kw_only=True):
    """What opening the connections took. Memory is the server's PSS."""

    devices: int
    seconds: float
    server_cpu_us_per_connect: float
    memory_kb_per_connection: float


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What the messages took, from the first send to the last delivery.

    `server_cpu_us_per_delivery` is of the node that the devices are connected to. `others_percent` is what other
    programs used of the server's and the load's core; None where the two were not pinned to one each. Where it is not
    near zero the numbers say little.
    """

    totals: dict[str, int]
    refused: dict[str, int]
    unanswered: int
    send: Latency
    end_to_end: Latency
    sends_per_s: float
    deliveries_per_s: float
    seconds: float
    server_cpu_us_per_send: float
    server_cpu_us_per_delivery: float
    redis_commands_per_send: float
    server_cpu_percent: float
    load_cpu_percent: float
    others_percent: tuple[float, float] | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run found; `failures` is why its exit code is 1, empty for a clean run."""

    machine: str
    scenario: str
    connecting: Connecting
    sending: Sending | None
    failures: list[str]


def failures_of(totals: Totals, refused: int, unanswered: int) -> list[str]:
    """Say in words what went wrong with the messages."""
    told = {
        "lost": totals.lost,
        "duplicated": totals.duplicated,
        "out of order": totals.out_of_order,
        "holes in a timeline": totals.holes,
        "messages with another's text": totals.mixed_up,
        "sends stored twice": totals.stored_twice,
        "sends refused": refused,
        "sends never answered": unanswered,
    }
    return [f"{count:,} {what}" for what, count in told.items() if count]


def progress(line: str) -> None:
    """Show how far it is: over the last line on a terminal, below it elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{line}")
    else:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()


def show(report: Report) -> None:
    """Print the report."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[2K")
    console = Console(highlight=False)
    console.print(report.scenario, style="bold")
    console.print(report.machine)
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in _rows(report):
        table.add_row(name, value)
    console.print(table)
    for failure in report.failures:
        console.print(failure, style="bold red")
    if not report.failures:
        console.print("clean", style="bold green")


def save(report: Report, path: Path) -> None:
    """Write the report as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def _rows(report: Report) -> list[tuple[str, str]]:
    connecting = report.connecting
    rows = [
        ("devices connected", f"{connecting.devices:,} in {connecting.seconds:.1f} s"),
        ("server CPU per connect", _cpu(connecting.server_cpu_us_per_connect)),
        ("server memory per connection", f"{connecting.memory_kb_per_connection:.1f} kB"),
    ]
    sending = report.sending
    if sending is None:
        return rows
    totals = sending.totals
    rows += [
        ("sends answered", f"{totals['answered']:,}"),
        ("sends per second", f"{sending.sends_per_s:,.0f}"),
        ("send p50 / p99 / max", _times(sending.send)),
        ("delivered", f"{totals['delivered']:,} of {totals['owed']:,}"),
        (
            "lost / duplicated / out of order",
            f"{totals['lost']:,} / {totals['duplicated']:,} / {totals['out_of_order']:,}",
        ),
        ("deliveries per second", f"{sending.deliveries_per_s:,.0f}"),
        ("end to end p50 / p99 / max", _times(sending.end_to_end)),
        ("server CPU per send", _cpu(sending.server_cpu_us_per_send)),
        ("server CPU per delivery", _cpu(sending.server_cpu_us_per_delivery)),
        ("CPU of server / of load", f"{sending.server_cpu_percent:.0f} % / {sending.load_cpu_percent:.0f} %"),
    ]
    if sending.redis_commands_per_send:
        rows.append(("Redis commands per send", f"{sending.redis_commands_per_send:.3f}"))
    if sending.others_percent is not None:
        on_server, on_load = sending.others_percent
        rows.append(("others on core of server / of load", f"{on_server:.0f} % / {on_load:.0f} %"))
    return rows


def _cpu(us: float) -> str:
    """Microseconds; a process that was not known, or is gone, has none."""
    return f"{us:,.1f} µs" if us > 0 else "not measured"


def _times(latency: Latency) -> str:
    return f"{latency.p50_ms:.1f} / {latency.p99_ms:.1f} / {latency.max_ms:.1f} ms"
