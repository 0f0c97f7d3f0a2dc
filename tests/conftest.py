"""Where all tests put their files, and in which order files of tests are begun."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import shutil
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

import gateway

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 2 << 30

_STORIES = ("tests/faults/", "tests/scripts/", "tests/test_")
"""Tests of real processes, which wait more than they work."""

_LONG = ("tests/day/", "tests/store/test_mix", "tests/store/test_model", "tests/wire/test_session_law")
"""Files that take a core for longest by themselves: begun last, they would be waited for by everybody."""

_UNMEASURED = ("tests/faults/", "tests/scripts/")

_WHOLE = ("tests/domain/", "tests/wire/")
"""Tests of the floors of which every line is counted."""


def in_memory(folder: Path = _MEMORY) -> bool:
    """Whether this is a file system in memory on which every test can live."""
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return False
    # Containers often have a very small one, or one that programs cannot be started from.
    return shutil.disk_usage(folder).free >= _ROOM_BYTES and not os.statvfs(folder).f_flag & os.ST_NOEXEC


# Thousands of stores are made, each of which has the disk say a few times that it has written. That the gateway asks
# for it is tested; what the disk then does is not, and was waited for longer than the tests themselves worked. Told
# by the environment, so that the tests' processes and their servers heed it; who has said where files go keeps that.
if "TMPDIR" not in os.environ and in_memory():
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None


# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_xdist_auto_num_workers() -> int | None:
    """Two processes more than there are cores: while one waits for the programs it tests, others have work."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    # Not every system tells which of its cores are ours.
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ours + 2


def worth_trying(items: Iterable[pytest.Item]) -> Iterator[pytest.Item]:
    """All cases of all tests, but for those in the shape of two nodes that `two_nodes_once` leaves out."""
    shown = set()
    for item in items:
        case = getattr(item, "callspec", None)
        if case and case.params.get("shaped") == "two" and item.get_closest_marker("two_nodes_once"):
            test = item.nodeid.partition("[")[0]
            if test in shown:
                continue
            shown.add(test)
        yield item


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what waits most: its waiting is filled by all others, and the end is short ones for everybody."""
    items[:] = worth_trying(items)
    items.sort(key=lambda item: (not item.nodeid.startswith(_STORIES), not item.nodeid.startswith(_LONG)))


_counted: dict[tuple[object, ...], str] = {}
"""Which case of a test is counted, over each of the engines and by each of the ways that it is tried on."""


def is_measured(item: pytest.Item) -> bool:
    """Whether the lines that a test and its processes run are counted, which takes up to two thirds of the time.

    A line should be reached by a test that says what it is for. Those that try hundreds of examples are for laws;
    those of faults and of `scripts/` for what becomes of thousands of sends; those on two nodes for there being two:
    each has its like on one, and the engines of many nodes have suites of their own. Where not every single line must
    be reached, the first row of a test's table is counted: the others are for values, which are seen without that.
    """
    if item.get_closest_marker("hypothesis") or item.nodeid.startswith(_UNMEASURED):
        return False
    case = getattr(item, "callspec", None)
    if case is None or item.nodeid.startswith(_WHOLE):
        return True
    if case.params.get("shaped") == "two":
        return False
    table = {name for mark in item.iter_markers("parametrize") for name in names_of(mark)}
    tried_on = [(name, index) for name, index in case.indices.items() if name not in table]
    return _counted.setdefault((item.nodeid.partition("[")[0], *tried_on), item.nodeid) == item.nodeid


def names_of(mark: pytest.Mark) -> Sequence[str]:
    """The columns of a table of cases."""
    names = mark.args[0]
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else names


def load_everything() -> None:
    """Import the whole gateway, so that the lines of modules are counted where nothing else is."""
    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        importlib.import_module(module.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Count no lines from before a test's fixtures to after them, where it is not measured."""
    counting = Coverage.current()
    if counting is None or is_measured(item):
        return (yield)
    counting.stop()
    # By these the processes that a test starts would count theirs.
    told = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("COV")}
    try:
        return (yield)
    finally:
        os.environ.update(told)
        # The plugin has begun again by itself where the test is marked for it.
        if Coverage.current() is not counting:
            counting.start()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the collector of garbage pass by what stays to the end: half a million objects of tests and modules.

    To look through them takes half a second of CPU, and came in the middle of tests: on a busy machine that is a stall
    of many seconds. While they are made it takes a sixth of the time, and finds nothing.

    No lines are counted meanwhile either: finding tests runs none of the gateway's but those of modules.
    """
    gc.disable()
    counting = Coverage.current()
    if counting is not None:
        load_everything()
        counting.stop()
    try:
        return (yield)
    finally:
        if counting is not None:
            counting.start()
        gc.freeze()
        gc.enable()
