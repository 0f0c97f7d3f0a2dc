"""The programs that are measured, each a process of its own on the server's core: the gateway, and floors."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.loadlib.server import Cost, Signer, Spawned, cost_of, signer_of

FLOORS = Path(__file__).resolve().parents[1] / "floors"
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

    `folder` is where data is written: on the disk that is to be measured.
    """

    def __init__(self, core: int, folder: Path | None) -> None:
        self.core = core
        self.folder = folder

    @contextlib.contextmanager
    def gateway(self, settings: str = "", template: Path | None = None) -> Iterator[Served]:
        """Run a gateway with these lines of configuration, on a copy of the data in `template` where one is given."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            data = Path(folder) / "data"
            if template is not None:
                shutil.copytree(template, data)
            spawned = Spawned(data, self.core, settings)
            try:
                spawned.wait_ready()
                yield Served(Running(spawned.port, spawned.pid), signer_of(data, "demo"), data)
            finally:
                spawned.stop()

    @contextlib.contextmanager
    def floor(self, name: str, *words: str) -> Iterator[Running]:
        """Run `scripts/floors/<name>.py`, which says its port in its first line (0: it has none)."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.core})
        try:
            process = subprocess.Popen(
                [sys.executable, str(FLOORS / f"{name}.py"), *words], stdout=subprocess.PIPE, text=True
            )
        finally:
            os.sched_setaffinity(0, before)
        assert process.stdout is not None, "it was asked for"
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the floor {name} did not start")
            yield Running(int(line), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the disk that is measured, gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield Path(folder)
