"""The programs that are measured, each a process of its own on the server's core: the gateway, and floors."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from scripts.loadlib.server import Cost, Signer, Spawned, cost_of, signer_of

FLOORS = Path(__file__).resolve().parents[1] / "floors"
MESSAGES_MAX = 10_000_000
_STOP_S = 10.0


class Running(NamedTuple):
    """A program under load: where it listens, and what it has cost so far."""

    port: int
    pid: int

    @property
    def cost(self) -> Cost:
        """What it has used up to now."""
        return cost_of(self.pid)


class Served(NamedTuple):
    """A gateway under load, with what makes tokens of its app."""

    program: Running
    signer: Signer
    data: Path


class Programs:
    """Starts what is measured on one core; all of it has ended when its `with` has.

    `folder` is where data is written: on the disk that is to be measured. `scale` multiplies what is counted. No store
    is made with more than `messages_max` messages in it.
    """

    def __init__(
        self, core: int, folder: Path | None, scale: float = 1.0, messages_max: int = MESSAGES_MAX
    ) -> None:
        self.core = core
        self.folder = folder
        self.messages_max = messages_max
        self._scale = scale
        self._kept = contextlib.ExitStack()
        self._made: dict[str, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._kept.close()

    def count(self, full: int, least: int = 1) -> int:
        """How many that are, of so many in a full run."""
        return max(least, round(full * self._scale))

    @contextlib.contextmanager
    def gateway(
        self, settings: str = "", template: Path | None = None, data: Path | None = None
    ) -> Iterator[Served]:
        """Run a gateway with these lines of configuration.

        It starts with no data, with a copy of that in `template`, or where it is given with `data` itself.
        """
        with self.scratch() as folder:
            data = data or folder / "data"
            if template is not None:
                shutil.copytree(template, data)
            spawned = Spawned(data, self.core, settings)
            try:
                spawned.wait_ready()
                yield Served(Running(spawned.port, spawned.pid), signer_of(data, "demo"), data)
            finally:
                spawned.stop()

    @contextlib.contextmanager
    def floor(self, name: str, *words: object) -> Iterator[Running]:
        """Run `scripts/floors/<name>.py`, which says its port in its first line."""
        process = self._start(name, words)
        try:
            yield Running(int(_line(process, name)), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            _end(process)

    def work(self, name: str, *words: object) -> dict[str, float]:
        """Run a floor that has no port (0), but does its work at once and tells as JSON what it has measured."""
        process = self._start(name, words)
        try:
            _line(process, name)
            told = msgspec.json.decode(_line(process, name), type=dict[str, float])
            process.wait()
            return told
        finally:
            _end(process)

    def _start(self, name: str, words: Sequence[object]) -> subprocess.Popen[str]:
        command = [sys.executable, str(FLOORS / f"{name}.py"), *map(str, words)]
        before = os.sched_getaffinity(0)
        # A child inherits the affinity that we have when it starts.
        os.sched_setaffinity(0, {self.core})
        try:
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        finally:
            os.sched_setaffinity(0, before)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the disk that is measured, gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield Path(folder)

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return a folder that was made the first time this name was asked for; it goes at the end of the run."""
        if name not in self._made:
            folder = self._kept.enter_context(self.scratch()) / "data"
            make(folder)
            self._made[name] = folder
        return self._made[name]


def _line(process: subprocess.Popen[str], name: str) -> str:
    assert process.stdout is not None, "it was asked for"
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the floor {name} did not do its work: what is above says why")
    return line


def _end(process: subprocess.Popen[str]) -> None:
    """See it end, by force if it takes too long."""
    assert process.stdout is not None, "it was asked for"
    process.stdout.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
