"""`gateway serve --workers`: real processes over a real PostgreSQL and a real Redis."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.workers import PAUSE_FIRST_S
from tests import postgres, valkey
from tests.patience import WAIT_S
from tests.servers import COMMAND, Program, eventually, gateway, sentence

SERVES = re.compile(r"worker (\d+) \(pid (\d+)\) serves")

STARTS_S = 200.0
"""Two processes start one after the other, and each imports the gateway: on a busy machine that takes its time."""


class Workers:
    """`gateway serve --workers 2` on a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.env = {
            "GATEWAY_STORE_URL": postgres.beside(postgres.database_of(folder)),
            "GATEWAY_BUS_URL": valkey.server_url(),
            "GATEWAY_SERVER_DATA": str(folder / "none"),
        }
        self.program = Program(*COMMAND, "serve", "--workers", "2", "--port", "0", env=self.env)
        self.program.expect("2 workers serve", within_s=STARTS_S)
        [self.url] = {
            found[1] for line in self.program.lines if (found := re.search(r"listening on (\S+),", line))
        }
        self.port = int(self.url.rpartition(":")[2])

    @property
    def pids(self) -> dict[int, int]:
        """The newest process of each worker that serves."""
        return {int(found[1]): int(found[2]) for line in self.program.lines if (found := SERVES.search(line))}

    def ready(self) -> bool:
        """Whether somebody answers who can work; whose connection is cut by a drain asks again."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except (ConnectionResetError, BrokenPipeError):
            return self.ready()
        finally:
            connection.close()

    def listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def listener(self, user: str) -> Program:
        args = ("listen", "--url", self.url, "--app", "demo", "--user", user)
        return Program(*COMMAND, *args, env=self.env)

    def send(self, text: str) -> None:
        args = ("send", "--url", self.url, "--app", "demo", "--from", "alice", "--to", "bob", text)
        told = gateway(*args, env=self.env)
        assert told.returncode == 0, told


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    running = Workers(tmp_path)
    with running.program:
        yield running


def test_a_killed_worker_is_replaced_and_its_devices_come_back(workers: Workers) -> None:
    """Whichever worker a device was on: after a kill -9 of all of them it is live again, and has missed nothing."""
    before = workers.pids
    with workers.listener("bob") as bob:
        bob.expect('"live"')
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        workers.program.expect("worker", "ended: SIGKILL")
        eventually(lambda: not set(workers.pids.values()) & set(before.values()), "two new workers", STARTS_S)
        workers.send("after the kill")
        bob.expect("after the kill")
    assert workers.ready()


def test_sigterm_drains_all(workers: Workers) -> None:
    """Devices hear `bye`, and the exit code is 0."""
    with workers.listener("bob") as bob:
        bob.expect('"live"')
        assert workers.program.term() == 0
        assert '"code":4000' in bob.expect('"bye"')
    assert not workers.listening()


def test_sighup_replaces_one_after_the_other(workers: Workers) -> None:
    """All are new afterwards, on the same port, and at every moment somebody served."""
    before = workers.pids
    with workers.listener("bob") as bob:
        bob.expect('"live"')
        workers.program.signal(signal.SIGHUP)
        eventually(
            lambda: workers.ready() and any("rolling restart done" in line for line in workers.program.lines),
            "a rolling restart that is done",
            STARTS_S,
        )
        workers.send("after the roll")
        bob.expect("after the roll")
    assert not set(workers.pids.values()) & set(before.values())
    assert workers.program.term() == 0


def test_workers_end_with_their_supervisor(workers: Workers) -> None:
    """Also where that was killed without a word: nobody is left on the port."""
    workers.program.kill9()
    eventually(lambda: not workers.listening(), "a port that is free")


def test_a_first_start_is_made_once(workers: Workers) -> None:
    """Two workers on an empty database make one app `demo`, and both know it."""
    told = gateway("app", "list", env=workers.env)
    assert told.stdout.split() == ["demo"]


def test_sqlite_is_for_one_process(tmp_path: Path) -> None:
    """One sentence says what is needed, and nothing is made."""
    said = sentence(gateway("serve", "--workers", "2", "--data", tmp_path / "data"), 2)
    assert '[store] url = "postgresql://…"' in said
    assert '[bus] url = "redis://…"' in said
    assert not (tmp_path / "data").exists()


NOWHERE = {"GATEWAY_STORE_URL": "postgresql://127.0.0.1:9/none", "GATEWAY_BUS_URL": "redis://127.0.0.1:9/0"}


def test_a_store_that_cannot_be_opened_is_one_sentence() -> None:
    """It is the first worker's, told once, and the exit code is its own."""
    told = gateway("serve", "--workers", "2", "--port", "0", env=NOWHERE)
    assert told.returncode == 2
    assert [
        line for line in told.stderr.splitlines() if line.startswith("gateway: ")
    ] == told.stderr.splitlines()[-1:]
    assert "cannot open the store on PostgreSQL" in told.stderr


def test_a_port_in_use_is_one_sentence() -> None:
    """Another's port is not shared, also where that other is willing."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"port {port}: address already in use" in sentence(
            gateway("serve", "--workers", "2", "--port", port, env=NOWHERE), 2
        )


# -- the supervisor alone, over workers that are a few lines each --------------------------------------------

SERVING = """
import json, os, signal, sys
leash = json.loads(sys.argv[1])
os.write(leash["fd"], b'{"sentence":"","code":0}\\n')
"""
WAITING = SERVING + "os.read(leash['fd'], 1)\n"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITING
SUPERVISED = """
import asyncio, logging, sys
from gateway.workers import Supervisor
logging.basicConfig(level="INFO", stream=sys.stderr)
sys.exit(asyncio.run(Supervisor([sys.executable, "-c", sys.argv[1]], 2, int(sys.argv[2])).run()))
"""


HELD_UP = """
import asyncio
opened = asyncio.open_connection
async def late(**options):
    await asyncio.sleep(0.5)
    return await opened(**options)
asyncio.open_connection = late
"""


def supervised(worker: str, drain_ms: int = 3_600_000, before: str = "") -> Program:
    return Program(sys.executable, "-c", before + SUPERVISED, worker, str(drain_ms))


def test_a_worker_that_dies_at_once_is_started_with_pauses() -> None:
    """They grow, so that what cannot work does not keep the host busy."""
    begun = time.monotonic()
    with supervised(SERVING + "sys.exit(3)") as running:
        for _ in range(6):
            running.expect("worker 1", "ended: exit code 3")
    # Five pauses lie between, the next always twice as long as the last.
    assert time.monotonic() - begun >= (2**5 - 1) * PAUSE_FIRST_S


STARTING = "print('starting', flush=True); import time; time.sleep(3600)"


def test_who_is_told_to_stop_while_it_starts_has_nothing_to_drain() -> None:
    """It has ended well, then, though by a signal."""
    with supervised(STARTING) as running:
        running.expect("starting")
        assert running.term() == 0


def test_a_supervisor_that_is_held_up_leaves_nobody_behind() -> None:
    """A worker that has begun is known from then on, also where the supervisor is told to stop in that moment."""
    with supervised(STARTING, before=HELD_UP) as running:
        running.expect("starting")
        assert running.term() == 0


def test_who_ends_badly_where_it_was_to_drain_is_told_by_the_exit_code() -> None:
    """What it had to hand over may be lost."""
    falls = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n" + WAITING
    with supervised(falls) as running:
        running.expect("2 workers serve")
        assert running.term() == 1


def test_who_does_not_drain_is_killed() -> None:
    """After its drain and a bit; and the exit code tells."""
    with supervised(DEAF, drain_ms=1) as running:
        running.expect("2 workers serve")
        assert running.term() == 1
        assert any("2 workers did not drain" in line for line in running.lines)


def test_a_second_signal_stops_at_once() -> None:
    """Whoever asks twice does not want to wait for a drain."""
    with supervised(DEAF) as running:
        running.expect("2 workers serve")
        running.signal(signal.SIGTERM)
        running.expect("draining")
        assert running.term() == 1


def test_a_roll_ends_where_a_new_worker_cannot_start(tmp_path: Path) -> None:
    """The old ones stay, and the reason is told."""
    flag = tmp_path / "broken"
    broken = f"""
import json, os, sys
leash = json.loads(sys.argv[1])
if os.path.exists({str(flag)!r}):
    os.write(leash["fd"], b'{{"sentence":"the disk is gone","code":2}}\\n')
    sys.exit(2)
os.write(leash["fd"], b'{{"sentence":"","code":0}}\\n')
os.read(leash["fd"], 1)
"""
    with supervised(broken) as running:
        running.expect("2 workers serve")
        flag.touch()
        running.signal(signal.SIGHUP)
        running.expect("worker 1 cannot start: the disk is gone")
        running.expect("the other workers stay")
        assert len([line for line in running.lines if SERVES.search(line)]) == 2
        assert running.term() == 0
