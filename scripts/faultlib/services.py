"""The nodes as real processes that can be killed, stopped and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from scripts.loadlib.services import free_port

ROOT = Path(__file__).resolve().parents[2]


class Chaos(msgspec.Struct, kw_only=True):
    """What a node of a fault run does that no other does; it reads it anew from a file (`faultlib/node.py`).

    Hints of one publish are dropped, repeated or held back until the next by these chances. `clock_ms` is added to the
    node's clock. `sabotage` breaks the gateway itself, to show that the checker sees it.
    """

    drop: float = 0.0
    repeat: float = 0.0
    hold: float = 0.0
    clock_ms: int = 0
    sabotage: str = ""


class Node:
    """One gateway process. Its configuration, chaos and log lie in `folder`; `usual` is how it behaves by itself."""

    def __init__(self, number: int, folder: Path, settings: dict[str, dict[str, Any]], chaos: Chaos) -> None:
        self.number = number
        self.port = free_port()
        self.usual = self.chaos = chaos
        self.stopped = False
        self._folder = folder
        self._config = folder / f"node{number}.toml"
        self._chaos_file = folder / f"node{number}.chaos"
        self._log = folder / f"node{number}.log"
        self._process: subprocess.Popen[bytes] | None = None
        lines = []
        for section, values in settings.items():
            lines.append(f"[{section}]")
            lines += [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items()]
        self._config.write_text("\n".join(lines) + "\n")

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def code(self) -> int | None:
        """The exit code of a process that has ended."""
        return None if self._process is None else self._process.poll()

    def misbehave(self, chaos: Chaos) -> None:
        """Tell the node what to do wrong from now on."""
        self.chaos = chaos
        new = self._chaos_file.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(chaos))
        new.replace(self._chaos_file)

    def start(self) -> None:
        """Start it; it is ready when the balancer can reach it."""
        self.misbehave(self.chaos)
        command = [
            *(sys.executable, str(ROOT / "scripts/faultlib/node.py"), str(self._chaos_file)),
            *("serve", "--config", str(self._config), "--port", str(self.port)),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT
            )

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Let it do nothing, while its sockets stay open."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            self.stopped = True

    def resume(self) -> None:
        """Let it go on."""
        if self._process is not None and self.stopped:
            self._process.send_signal(signal.SIGCONT)
            self.stopped = False

    def drain(self) -> None:
        """Ask it to end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, within_s: float) -> int:
        """Wait until it has ended; raises `subprocess.TimeoutExpired`."""
        assert self._process is not None
        return self._process.wait(within_s)

    def tail(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-3_000:] if self._log.exists() else ""


def clean_environment() -> None:
    """Settings of the caller's shell are none of the nodes' business."""
    for name in [name for name in os.environ if name.startswith("GATEWAY_")]:
        del os.environ[name]
