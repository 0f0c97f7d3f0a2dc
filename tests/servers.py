"""Real gateway processes for tests: commands whose output can be waited for, and servers that can be killed."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock

import msgspec

from gateway.cli import main
from gateway.control import ask_running
from gateway.core.operator import Ask
from gateway.domain.errors import Problem
from scripts.loadlib.services import free_port
from tests.patience import ENVIRONMENT, WAIT_S

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "gateway")
_TURN_S = 0.01


def eventually(seen: Callable[[], bool], what: str, within_s: float = WAIT_S) -> None:
    """Return once `seen`; fail with `what` was waited for when it takes too long."""
    deadline = time.monotonic() + within_s
    while not seen():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(_TURN_S)


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the tests without settings of the gateway but for patience, and `env`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return {**kept, **ENVIRONMENT, **(env or {})}


def unmeasured() -> dict[str, str]:
    """The environment of the tests for long runs of `scripts/`, whose gateways do not count the lines they run.

    Other tests are there for each of these lines, and counting them again takes a third of such a run's CPU.
    """
    return {name: value for name, value in environment().items() if not name.startswith("COV")}


def gateway(*args: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        timeout=2 * WAIT_S,
    )


def command(*args: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Carry a command out in this process, to its end: what `gateway` tells, without the start of a process.

    For tests of what a command does. How a process starts, reads its terminal and ends is for `gateway` to show.
    """
    told, complained, code = io.StringIO(), io.StringIO(), 0
    words = ["gateway", *map(str, args)]
    with (
        mock.patch.object(sys, "argv", words),
        mock.patch.dict(os.environ, environment(env), clear=True),
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(complained),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    return subprocess.CompletedProcess(words, code, told.getvalue(), complained.getvalue())


def sentence(run: subprocess.CompletedProcess[str], code: int) -> str:
    """The one sentence with which a command ended; nothing else may be said."""
    assert run.returncode == code, run
    assert run.stdout == "", run.stdout
    [line] = run.stderr.splitlines()
    assert line.startswith("gateway: "), line
    return line


class Program:
    """A process that runs beside the test; every line it prints, to stdout or stderr, is kept in `lines`."""

    def __init__(self, *command: str | Path, env: Mapping[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self._told = 0
        self._more = threading.Condition()
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=environment(env),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def expect(self, *parts: str, within_s: float = WAIT_S) -> str:
        """The next line, after those told before, that has all these parts."""
        with self._more:

            def found() -> bool:
                while self._told < len(self.lines):
                    self._told += 1
                    if all(part in self.lines[self._told - 1] for part in parts):
                        return True
                return False

            seen = self._more.wait_for(found, within_s)
            assert seen, f"no line with {parts} within {within_s} s, but: {self.lines[-20:]}"
            return self.lines[self._told - 1]

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self, within_s: float = WAIT_S) -> int:
        """Wait until it has ended and all it printed is here; return its exit code."""
        code = self._process.wait(within_s)
        self._reader.join(within_s)
        # It would be waited for without end.
        assert not self._reader.is_alive(), "what it has started goes on without it"
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def kill9(self) -> None:
        self._process.kill()
        self.wait()

    def term(self) -> int:
        """Ask it to stop; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.ended:
            self._process.kill()
        self.wait()


class ServerProcess:
    """`gateway serve` on a free port, ready when the block begins, gone when it ends.

    `start` after a kill brings it back on the same port. `log` is what all its runs have printed.

    ```python
    with ServerProcess(tmp_path / "data", env={"GATEWAY_LIMITS_PAGE_MAX": "5"}) as server:
        server.kill9()
        server.start()
    ```
    """

    def __init__(self, data: Path, *args: str, env: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.url = ""
        self._args = args
        self._env = env
        self._port = free_port()
        self._program: Program | None = None
        self._earlier: list[str] = []

    @property
    def program(self) -> Program:
        assert self._program is not None, "not started"
        return self._program

    @property
    def pid(self) -> int:
        return self.program.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> list[str]:
        return self._earlier + (self._program.lines if self._program else [])

    def start(self) -> None:
        """Start it, on the port it had before, and wait until it is ready."""
        if self._program is not None:
            self._earlier += self._program.lines
        self._program = Program(
            *COMMAND, "serve", "--data", self.data, "--port", str(self._port), *self._args, env=self._env
        )
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it takes calls and its app `demo` is there."""
        self.url = ""
        eventually(self._ready, f"a server that is ready; it said {self.log[-20:]}")

    def _ready(self) -> bool:
        assert not self.program.ended, f"the server has ended: {self.log[-20:]}"
        try:
            # The last that a first start makes; asking for a token of his would make him.
            ask_running(self.data, Ask(verb="find", app="demo", user="bob"))
            told = ask_running(self.data, Ask(verb="token", app="demo"))
            if told is None:
                return False
            self.url = told["url"]
            return self.get("/readyz")[0] == http.client.OK
        except (Problem, OSError):
            return False

    def get(self, path: str, token: str = "") -> tuple[int, dict[str, Any]]:
        """GET a path of the app `demo`: the status and the JSON that came."""
        return self._call("GET", path, token, None)

    def post(self, path: str, token: str, body: object) -> tuple[int, dict[str, Any]]:
        """POST a body to the app `demo`: the status and the envelope."""
        return self._call("POST", path, token, msgspec.json.encode(body))

    def _call(self, verb: str, path: str, token: str, body: bytes | None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request(verb, path, body, {"app_id": "demo", "access-token": token})
            answer = connection.getresponse()
            return answer.status, msgspec.json.decode(answer.read(), type=dict[str, Any])
        finally:
            connection.close()

    def ask(self, **order: Any) -> dict[str, Any]:
        """Have an operator's order carried out by this process."""
        told = ask_running(self.data, Ask(**order))
        assert told is not None, "the server does not run"
        return told

    def token(self, user: str | int, app: str = "demo", ttl_s: int | None = None) -> str:
        """A token for a user by id or name, who is made by it."""
        return str(self.ask(verb="token", app=app, user=str(user), ttl_s=ttl_s)["token"])

    def admin_token(self, app: str = "demo") -> str:
        return str(self.ask(verb="token", app=app)["token"])

    def xid(self, user: str) -> int:
        """The id of a user of the app `demo` by name, who is made by it."""
        return int(self.ask(verb="token", app="demo", user=user)["xid"])

    def kill9(self) -> None:
        self.program.kill9()

    def term(self) -> int:
        return self.program.term()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            if self._program is not None:
                self._program.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.__exit__(kind, error, trace)
