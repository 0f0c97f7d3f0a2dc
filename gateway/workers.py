"""`gateway serve --workers N`: a supervisor, and processes that serve on one port as so many nodes (design §5).

Supervisor and worker hold the two ends of a leash, a socket pair: over it a worker tells that it serves or why it
cannot, and by its end it learns that the supervisor is gone, however that was killed.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from gateway.config import Config
from gateway.core.tasks import Tasks
from gateway.listening import bind, listen

log = logging.getLogger(__name__)

KILL_AFTER_MS = 2_000
"""How long after its drain a worker may still be there before it is killed."""

STEADY_S = 10.0
"""A worker that has served this long did not die at once."""

PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 10.0


class WorkersError(RuntimeError):
    """The workers cannot start; the sentence is for the operator, `code` the exit code."""

    def __init__(self, sentence: str, code: int = 2) -> None:
        super().__init__(sentence)
        self.code = code


class Report(msgspec.Struct, frozen=True):
    """What a worker tells its supervisor, once: that it serves, or the sentence and exit code it ends with."""

    sentence: str = ""
    code: int = 0


class Leash(msgspec.Struct, frozen=True):
    """A worker's end: its number, its file descriptor, and whether it is the first of this start."""

    number: int
    fd: int
    first: bool = False

    @classmethod
    def parse(cls, text: str) -> Leash:
        """Read what `str` has written."""
        return msgspec.json.decode(text, type=cls)

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()

    def report(self, report: Report) -> None:
        """Tell the supervisor, if it is there."""
        with suppress(OSError), socket.socket(fileno=self.fd) as end:
            end.sendall(msgspec.json.encode(report) + b"\n")
            end.detach()

    def on_gone(self, act: Callable[[], None]) -> None:
        """Act when the supervisor is gone."""
        loop = asyncio.get_running_loop()

        def gone() -> None:
            # It never says anything: what can be read is the end.
            loop.remove_reader(self.fd)
            act()

        loop.add_reader(self.fd, gone)


class _Worker:
    """One process, from its start to its end."""

    def __init__(
        self,
        number: int,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        leash: asyncio.StreamWriter,
    ) -> None:
        self.number = number
        self.process = process
        self._reader = reader
        self._leash = leash
        self.started_at = asyncio.get_running_loop().time()

    async def report(self) -> Report | None:
        """Wait until it serves, or cannot; None where it ended without a word."""
        line = await self._reader.readline()
        return msgspec.json.decode(line, type=Report) if line else None

    async def wait(self) -> int:
        """Wait until it has ended; return its exit code, below 0 where a signal ended it."""
        code = await self.process.wait()
        self._leash.close()
        return code

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class _Slot:
    """The place of one worker, which one process after the other fills."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.worker: _Worker | None = None
        self.filling = asyncio.Lock()
        self.first = number == 1
        self.pause_s = PAUSE_FIRST_S


class Supervisor:
    """Keeps `count` workers. `command` starts one, with its leash as the last argument."""

    def __init__(self, command: Sequence[str], count: int, drain_ms: int) -> None:
        self._command = command
        self._drain_s = (drain_ms + KILL_AFTER_MS) / 1000
        self._slots = [_Slot(number) for number in range(1, count + 1)]
        self._alive: set[_Worker] = set()
        self._tasks = Tasks()
        self._stopping = asyncio.Event()
        self._rolling = False
        self._refused: WorkersError | None = None

    async def run(self) -> int:
        """Serve until told to stop; return the exit code. Raises `WorkersError` where a worker cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._roll)
        self._tasks.start(self._start_all(), "start")
        try:
            await self._stopping.wait()
            log.info("draining")
        finally:
            await self._tasks.stop()
            well = await self._end(list(self._alive))
        if self._refused is not None:
            raise self._refused
        return 0 if well else 1

    def _stop(self) -> None:
        """Drain; asked again, stop at once."""
        if self._stopping.is_set():
            for worker in self._alive:
                worker.signal(signal.SIGKILL)
        self._stopping.set()

    async def _start_all(self) -> None:
        first, *others = self._slots
        try:
            # What is wrong for one is wrong for all: it is found out, and told, by the first.
            await self._fill(first)
            await asyncio.gather(*(self._fill(slot) for slot in others))
        except WorkersError as error:
            self._refused = error
            self._stopping.set()
            return
        for slot in self._slots:
            self._tasks.keep(partial(self._keep, slot), f"worker {slot.number}")
        log.info("%d workers serve", len(self._slots))

    # -- one worker ---------------------------------------------------------------------------------------

    async def _fill(self, slot: _Slot) -> bool:
        """Let a new worker take a slot once it serves. Raises `WorkersError` where it tells why it cannot."""
        worker = await self._start(slot)
        report = await worker.report()
        if report is not None and not report.code:
            slot.worker, slot.first = worker, False
            log.info("worker %d (pid %d) serves", slot.number, worker.process.pid)
            return True
        code = await self._bury(worker)
        if report is not None:
            raise WorkersError(report.sentence, report.code)
        log.error(
            "worker %d (pid %d) ended before it served: %s", slot.number, worker.process.pid, _how(code)
        )
        return False

    async def _start(self, slot: _Slot) -> _Worker:
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        with theirs:
            reader, leash = await asyncio.open_connection(sock=ours)
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    str(Leash(slot.number, theirs.fileno(), slot.first)),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    # A Ctrl-C on the terminal is the supervisor's to pass on: heard twice it would stop them at once.
                    start_new_session=True,
                )
            except BaseException:
                # Told to stop meanwhile: the loop has ended the process.
                leash.close()
                raise
        # From its start on there is nothing to wait for before it is known: whoever ends all must know of it.
        worker = _Worker(slot.number, process, reader, leash)
        self._alive.add(worker)
        return worker

    async def _bury(self, worker: _Worker) -> int:
        code = await worker.wait()
        self._alive.discard(worker)
        return code

    async def _keep(self, slot: _Slot) -> None:
        """Let another worker take the place of each that ends, for as long as the supervisor lives."""
        while True:
            worker = slot.worker
            if worker is not None:
                code = await self._bury(worker)
                if slot.worker is not worker:
                    continue
                slot.worker = None
                log.error("worker %d (pid %d) ended: %s", slot.number, worker.process.pid, _how(code))
                if asyncio.get_running_loop().time() - worker.started_at >= STEADY_S:
                    slot.pause_s = PAUSE_FIRST_S
            await asyncio.sleep(slot.pause_s)
            slot.pause_s = min(2 * slot.pause_s, PAUSE_MAX_S)
            async with slot.filling:
                if slot.worker is None:
                    await self._try_to_fill(slot)

    async def _try_to_fill(self, slot: _Slot) -> bool:
        """Fill a slot while others serve, who go on where this one cannot start: it will be tried again."""
        try:
            return await self._fill(slot)
        except WorkersError as error:
            log.warning("worker %d cannot start: %s", slot.number, error)
            return False

    # -- all of them --------------------------------------------------------------------------------------

    def _roll(self) -> None:
        """Replace all workers, one after the other."""
        if not self._rolling and not self._stopping.is_set():
            self._rolling = True
            self._tasks.start(self._replace_all(), "rolling restart")

    async def _replace_all(self) -> None:
        log.info("rolling restart")
        try:
            for slot in self._slots:
                async with slot.filling:
                    old = slot.worker
                    if not await self._try_to_fill(slot):
                        log.error("the rolling restart ends here; the other workers stay")
                        return
                if old is not None:
                    await self._end([old])
            log.info("rolling restart done")
        finally:
            self._rolling = False

    async def _end(self, workers: Sequence[_Worker]) -> bool:
        """Let workers drain, and kill who takes too long; whether all ended well."""
        if not workers:
            return True
        for worker in workers:
            worker.signal(signal.SIGTERM)
        burials = [asyncio.ensure_future(self._bury(worker)) for worker in workers]
        _, late = await asyncio.wait(burials, timeout=self._drain_s)
        if late:
            log.error("%d workers did not drain in time and are killed", len(late))
            for worker in workers:
                worker.signal(signal.SIGKILL)
            await asyncio.wait(burials)
        # One that was told to stop while it started had nothing to drain.
        return all(burial.result() in (0, -signal.SIGTERM) for burial in burials)


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


async def supervise(config: Config, options: Sequence[str], count: int) -> int:
    """Take the port and run `gateway serve` with these options so many times; return the exit code.

    Raises:
        WorkersError: the workers cannot start.
        ListenError: the port cannot be taken.
    """
    if not (config.store.url and config.bus.url):
        raise WorkersError(
            '--workers wants a store and a bus that processes can share: set [store] url = "postgresql://…"'
            ' and [bus] url = "redis://…" in config.toml'
        )
    host = config.server.host
    # First without sharing it: another gateway's port is not joined.
    with listen(host, config.server.port) as alone:
        port = alone.getsockname()[1]
    with bind(host, port, shared=True):
        command = [
            sys.executable,
            "-m",
            "gateway",
            "serve",
            *options,
            "--host",
            host,
            "--port",
            str(port),
            "--worker",
        ]
        return await Supervisor(command, count, config.limits.drain_ms).run()
