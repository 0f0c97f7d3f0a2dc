"""The gateway under load: started here or already running, its tokens, and what it costs."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jwt
import msgspec

from scripts.loadlib.services import free_port

_READY_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 60.0
_COMMAND_TIMEOUT_S = 120.0
"""Bounds for hangs: the machine may have much else to do."""

_FIRST_APP_S = 10.0
_TOKEN_TTL_S = 24 * 3600
_GATEWAY = [sys.executable, "-m", "gateway"]
_ROOT = Path(__file__).resolve().parents[2]


class Signer(msgspec.Struct, frozen=True):
    """What it takes to make tokens of an app."""

    app_id: str
    kid: str
    secret: str

    def token(self, uid: int, *, admin: bool = False) -> str:
        """Return a token of a user or administrator, good for a day."""
        now = int(time.time())
        claims = {
            "app": self.app_id,
            "sub": str(uid),
            "cluster": "gateway",
            "role": 2 if admin else 1,
            "iat": now,
            "exp": now + _TOKEN_TTL_S,
        }
        key = base64.b64decode(self.secret)
        return jwt.encode(claims, key, algorithm="HS512", headers={"kid": self.kid})


def signer_of(data: Path, app_id: str) -> Signer:
    """Ask the command line for the app's newest key. Raises `RuntimeError` with what it said."""
    deadline = time.monotonic() + _FIRST_APP_S
    while True:
        try:
            return msgspec.json.decode(_app(data, "show", app_id, "--json", "--secret"), type=Signer)
        except RuntimeError:
            # A gateway makes its first app a moment after it has begun to take calls.
            if time.monotonic() > deadline:
                raise


def make_app(data: Path, app_id: str, sends_per_s: int = 0) -> Signer:
    """Make an app with a limit of its own (0: none). Raises `RuntimeError` with what the command line said."""
    _app(data, "create", app_id)
    _app(data, "limits", app_id, "--sends-per-s", str(sends_per_s))
    return signer_of(data, app_id)


def _app(data: Path, verb: str, *words: str) -> bytes:
    config = data.with_suffix(".toml")
    named = ("--config", str(config)) if config.exists() else ()
    command = [*_GATEWAY, "app", verb, *named, "--data", str(data), *words]
    said = subprocess.run(command, capture_output=True, cwd=_ROOT, check=False, timeout=_COMMAND_TIMEOUT_S)
    if said.returncode:
        raise RuntimeError(f"gateway app {verb}: {said.stderr.decode().strip()}")
    return said.stdout


class Spawned:
    """A gateway of our own on a free port of 127.0.0.1, its data in `data`, its log and configuration beside it."""

    def __init__(self, data: Path, core: int | None, settings: str = "") -> None:
        self.port = free_port()
        self.data = data
        self._log = data.with_suffix(".log")
        config = data.with_suffix(".toml")
        config.write_text(settings)
        before = os.sched_getaffinity(0)
        # A child inherits the affinity, and a limit on open files, that we have when it starts.
        if core is not None:
            os.sched_setaffinity(0, {core})
        try:
            with self._log.open("wb") as log:
                command = [*_GATEWAY, "serve", "--config", str(config), "--data", str(data)]
                command += ["--port", str(self.port)]
                self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=_ROOT)
        finally:
            os.sched_setaffinity(0, before)
        self.pid = self._process.pid
        self.code = 0

    def wait_ready(self) -> None:
        """Return when it takes calls. Raises `RuntimeError` with the end of its log when it does not."""
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                connection.request("GET", "/readyz")
                ready = connection.getresponse().status == http.client.OK
                connection.close()
                if ready:
                    return
            time.sleep(0.05)
        tail = self._log.read_text(errors="replace")[-2_000:]
        raise RuntimeError(f"the server did not become ready:\n{tail}")

    def stop(self) -> None:
        """Stop it, by force if it takes too long; `code` is its exit code then."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self.code = self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.code = self._process.wait()


class Cost(NamedTuple):
    """What a process and its children have used so far, and the memory they hold now (PSS, kB)."""

    cpu_s: float
    pss_kb: int


def cost_of(pid: int) -> Cost:
    """Read what a process and its children have used; zeros for one that is gone."""
    cpu_s = 0.0
    pss_kb = 0
    for one in _family(pid):
        with contextlib.suppress(OSError):
            cpu_s += _cpu_s(one)
            pss_kb += _pss_kb(one)
    return Cost(cpu_s, pss_kb)


def core_busy_s(core: int) -> float:
    """Seconds that a core has worked for programs so far, ours or others', or was taken by the host."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, steal = (int(ticks[index]) for index in (0, 1, 2, 7))
            return (user + nice + system + steal) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _family(pid: int) -> list[int]:
    family = [pid]
    for one in family:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                family += [int(child) for child in children.read_text().split()]
    return family


def _cpu_s(pid: int) -> float:
    # The clock of another process, as clock_getcpuclockid(3) names it: /proc tells ticks of 10 ms, in which a short
    # round of a cheap program has used nothing.
    return time.clock_gettime(~pid << 3 | 2)


def _pss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def machine(data: Path | None) -> str:
    """Name the machine in one line: processor, cores, system, Python, and the disk the data is on."""
    cpu = platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    parts = [
        f"{cpu}, {os.cpu_count()} cores",
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}",
    ]
    if data is not None:
        parts.append(f"data on {_file_system(data)}")
    return " · ".join(parts)


def _file_system(folder: Path) -> str:
    """The type of the file system that holds a folder: on a tmpfs a commit costs nothing."""
    best = ("", "?")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if folder.resolve().is_relative_to(mount) and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]
