#!/usr/bin/env python3
"""Measures the gateway against floors: the least that any program has to do for the same.

    .venv/bin/python scripts/bench.py                     all scenarios
    .venv/bin/python scripts/bench.py send-256 idle       some of them
    .venv/bin/python scripts/bench.py --list

The server is pinned to one core (`--core`), the load to another. The contenders of a scenario take turns, `--rounds`
times, so that a noisy hour is noisy for all of them. Told are medians, with the least and the most, and the ratio to
the floor of the same run. Exit code 0: every reach is met. 1: one is missed. 2: a scenario could not be measured.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

# A program is started by its path: make the project's own modules importable from wherever that is.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.benchlib.catalogue import SCENARIOS
from scripts.benchlib.figures import Figure, save, show
from scripts.benchlib.programs import MESSAGES_MAX, Programs
from scripts.benchlib.scenario import play
from scripts.loadlib.report import progress
from scripts.loadlib.server import machine

_REACHED, _MISSED, _NOT_MEASURED = 0, 1, 2
_CORES = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios named, and return the exit code."""
    given = _parser().parse_args(arguments)
    if given.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:24} {scenario.about}")
        return _REACHED
    unknown = [name for name in given.scenarios if name not in SCENARIOS]
    if unknown:
        print(f"there is no scenario {unknown[0]}: --list names them", file=sys.stderr)
        return _NOT_MEASURED
    figures: list[Figure] = []
    whole = False
    try:
        uvloop.run(_run(given, figures))
        whole = True
    except (RuntimeError, OSError) as why:
        print(f"\n{why}", file=sys.stderr)
    # What was measured before something failed stands.
    where = machine(given.folder or Path(tempfile.gettempdir()))
    scaled = "" if given.scale == 1 else f" · all counts times {given.scale}: a look, and no measurement"
    show(figures, where + scaled)
    if given.json is not None:
        save(figures, given.json)
    if not whole:
        return _NOT_MEASURED
    return _REACHED if all(figure.ok for figure in figures) else _MISSED


async def _run(given: argparse.Namespace, figures: list[Figure]) -> None:
    _take_our_place(given.core)
    with Programs(given.core, given.folder, given.scale, given.messages_max) as programs:
        for name in given.scenarios or SCENARIOS:
            figures += await play(SCENARIOS[name], programs, given.rounds, progress)


def _take_our_place(core: int) -> None:
    """Leave the server's core, take all the files there are, and don't be held up by the collector."""
    others = os.sched_getaffinity(0) - {core}
    if len(os.sched_getaffinity(0)) < _CORES or not others:
        raise RuntimeError("two cores are needed: one for the server, one for the load")
    os.sched_setaffinity(0, others)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="which (default: all)")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--core", type=int, default=0, help="the server's core (default: 0)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each contender (default: 3)")
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="multiplies all counts; under 1 for a quick look (default: 1)",
    )
    parser.add_argument(
        "--messages-max",
        type=int,
        default=MESSAGES_MAX,
        help=f"leave out stores of more messages than this (default: {MESSAGES_MAX:,}, some GB of disk)",
    )
    parser.add_argument(
        "--folder", type=Path, help="where data is written (default: the system's temporary folder)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
