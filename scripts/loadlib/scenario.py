"""One load run: connect the devices, send, wait for what is owed, measure."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from scripts.loadlib.crowd import Crowd, Target
from scripts.loadlib.device import Plan, Reader
from scripts.loadlib.histogram import Histogram
from scripts.loadlib.ledger import Ledger
from scripts.loadlib.report import Connecting, Report, Sending, failures_of, latency_of, progress
from scripts.loadlib.sender import Draft, Principal, Pump
from scripts.loadlib.server import core_busy_s, cost_of

_POLL_S = 0.02
_PROGRESS_S = 1.0


class Options(NamedTuple):
    """What to do."""

    devices: int
    users: int
    senders: int
    messages: int
    rate: float
    to_group: bool
    group_size: int
    text_bytes: int
    transaction_ids: bool
    acks: bool
    ack_ms: int
    idle: bool
    hold_s: float
    linger_s: float
    timeout_s: float


class Meter(NamedTuple):
    """What was used: CPU seconds of the server, of the node with the devices, of the load, of both cores; and Redis."""

    server_s: float
    devices_s: float
    load_s: float
    server_core_s: float
    load_core_s: float
    redis_commands: float


class Scenario:
    """Runs once."""

    def __init__(self, options: Options, target: Target) -> None:
        self.redis_commands: Callable[[], int] = lambda: 0
        """How many commands the Redis between the nodes has carried out."""
        self.on_connected: Callable[[], None] = lambda: None
        """What is to happen before the first send."""
        self._options = options
        self._target = target
        self._crowd = Crowd(target, options.devices, options.users)
        self._ledger = Ledger()
        self._end_to_end = Histogram()
        run_id = secrets.token_hex(4)
        self._random = random.Random(run_id)
        self._plan = Plan(Reader(run_id), self._ledger, self._end_to_end, options.acks)
        self._pump = Pump(
            run_id=run_id,
            messages=options.messages,
            rate=options.rate,
            text_bytes=options.text_bytes,
            draft=self._group_draft if options.to_group else self._user_draft,
            ledger=self._ledger,
        )
        self._failures: list[str] = []
        self._limit: asyncio.Timeout | None = None
        self._stopped = False
        self._impatient = False

    async def run(self) -> Report:
        """Do it all. Raises `RuntimeError` or `OSError` where it cannot even begin."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.timeout_s
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        helpers = [asyncio.create_task(self._tell_progress())]
        if self._options.acks:
            helpers.append(asyncio.create_task(self._crowd.keep_acking(self._options.ack_ms)))
        sending = None
        try:
            await self._prepare(deadline)
            connecting = await self._connect(deadline)
            if not self._options.idle and not self._failures:
                sending = await self._send(deadline)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._crowd.close()
        return Report(
            machine=self._target.machine,
            scenario=self._name(),
            connecting=connecting,
            sending=sending,
            failures=self._failures,
        )

    def _name(self) -> str:
        options = self._options
        if options.idle:
            return f"{options.devices:,} idle devices"
        speed = f"at {options.rate:,.0f}/s" if options.rate else "flat out"
        whom = f"groups of {options.group_size:,}" if options.to_group else "users"
        where = " of another node" if self._target.receiver else ""
        return (
            f"{options.messages:,} sends {speed} by {options.senders:,} callers to {whom}, "
            f"{options.devices:,} devices{where}{'' if options.acks else ' that never ack'}"
        )

    def _stop(self) -> None:
        """End what goes on; a second signal ends the wait for stragglers too."""
        self._impatient = self._stopped
        if not self._stopped:
            self._failures.append("stopped by a signal")
        self._stopped = True
        # A phase that has just ended cannot be cut short, and the next one will not begin.
        with contextlib.suppress(RuntimeError):
            if self._limit is not None:
                self._limit.reschedule(0)

    # -- the phases

    async def _prepare(self, deadline: float) -> None:
        if self._options.idle:
            return
        try:
            async with asyncio.timeout_at(deadline) as self._limit:
                if self._options.to_group:
                    await self._crowd.make_groups(self._options.group_size)
                await self._crowd.open_callers(self._options.senders)
        except TimeoutError:
            raise RuntimeError("the callers and groups were not there in time") from None

    async def _connect(self, deadline: float) -> Connecting:
        crowd, pid = self._crowd, self._target.device_pid
        before = cost_of(pid)
        started = time.monotonic()
        try:
            async with asyncio.timeout_at(deadline) as self._limit:
                await crowd.connect(self._plan)
        except OSError as cause:
            why = str(cause) or "out of time"
            self._failures.append(f"only {crowd.connected:,} of {crowd.devices:,} devices became live: {why}")
        seconds = time.monotonic() - started
        cpu_s = cost_of(pid).cpu_s - before.cpu_s
        if self._options.idle and not self._failures:
            await asyncio.sleep(self._options.hold_s)
            self._note_cuts()
        count = max(1, crowd.connected)
        return Connecting(
            devices=crowd.connected,
            seconds=seconds,
            server_cpu_us_per_connect=cpu_s * 1e6 / count,
            memory_kb_per_connection=(cost_of(pid).pss_kb - before.pss_kb) / count,
        )

    async def _send(self, deadline: float) -> Sending:
        loop = asyncio.get_running_loop()
        pump, ledger = self._pump, self._ledger
        self.on_connected()
        before = self._meter()
        pump.start(self._crowd.callers)
        try:
            async with asyncio.timeout_at(deadline) as self._limit:
                await pump.finished.wait()
        except TimeoutError:
            if not self._failures:
                self._failures.append("out of time while sending")
            pump.stop()
        patience = loop.time() + self._options.linger_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(patience) as self._limit:
                await pump.finished.wait()
        # An event would be set by every delivery, and asking costs nothing next to counting them.
        while not ledger.complete() and loop.time() < patience and not self._impatient:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        used = Meter(*(now - then for then, now in zip(before, self._meter(), strict=True)))
        self._note_cuts()
        self._failures += failures_of(ledger.totals(), pump.refused.total(), pump.unanswered + pump.in_flight)
        return self._sum_up(used)

    def _note_cuts(self) -> None:
        cuts = Counter(link.cut for link in self._crowd.links if link.cut)
        self._failures += [f"{count:,} devices were cut off: {why}" for why, count in cuts.items()]

    def _meter(self) -> Meter:
        """Read what was used so far."""
        target = self._target
        server_s = cost_of(target.pid).cpu_s
        devices_s = cost_of(target.device_pid).cpu_s if target.receiver else server_s
        busy = (0.0, 0.0) if target.cores is None else tuple(core_busy_s(core) for core in target.cores)
        return Meter(server_s, devices_s, time.process_time(), busy[0], busy[1], self.redis_commands())

    def _sum_up(self, used: Meter) -> Sending:
        server_s, devices_s, load_s, server_core_s, load_core_s, redis_commands = used
        pump, ledger = self._pump, self._ledger
        totals = ledger.totals()
        sending_s = max(1e-9, (pump.last_ns - pump.started_ns) / 1e9)
        seconds = max(sending_s, (ledger.last_ns - pump.started_ns) / 1e9)
        cpu_us = server_s * 1e6
        # Ticks are coarse: a little less than nothing is nothing.
        others = max(0.0, server_core_s - server_s), max(0.0, load_core_s - load_s)
        return Sending(
            totals=totals._asdict(),
            refused=dict(pump.refused),
            unanswered=pump.unanswered + pump.in_flight,
            send=latency_of(pump.latency),
            end_to_end=latency_of(self._end_to_end),
            sends_per_s=totals.answered / sending_s,
            deliveries_per_s=ledger.received / seconds,
            seconds=seconds,
            server_cpu_us_per_send=cpu_us / max(1, totals.answered),
            server_cpu_us_per_delivery=devices_s * 1e6 / max(1, ledger.received),
            redis_commands_per_send=redis_commands / max(1, totals.answered),
            server_cpu_percent=cpu_us / 1e4 / seconds,
            load_cpu_percent=load_s * 100 / seconds,
            others_percent=None
            if self._target.cores is None
            else (others[0] * 100 / seconds, others[1] * 100 / seconds),
        )

    # -- what is sent

    def _user_draft(self, who: Principal, index: int) -> Draft:
        target = self._crowd.uid(self._random.randrange(self._crowd.users))
        # The sender's own device gets a copy; a message to oneself is one entry.
        timelines = (f"u:{target}",) if target == who.uid else (f"u:{target}", f"u:{who.uid}")
        return Draft(timelines, self._body(1, target, index), b'"}')

    def _group_draft(self, who: Principal, index: int) -> Draft:
        group_id = self._crowd.group_of(who.uid)
        return Draft((f"g:{group_id}",), self._body(2, group_id, index), b'"}')

    def _body(self, kind: int, target: int, index: int) -> bytes:
        once = b',"transaction_id":%d' % (index + 1) if self._options.transaction_ids else b""
        return b'{"type":%d,"targets":[%d],"content_type":0%s,"content":"' % (kind, target, once)

    # -- meanwhile

    async def _tell_progress(self) -> None:
        started = time.monotonic()
        last_answered, last_received, last_cpu_s = 0, 0, cost_of(self._target.pid).cpu_s
        while True:
            await asyncio.sleep(_PROGRESS_S)
            answered, received = self._ledger.answered, self._ledger.received
            cpu_s = cost_of(self._target.pid).cpu_s
            progress(
                f"{time.monotonic() - started:6.0f} s   {self._crowd.connected:,} devices"
                f"   {answered:,} sends (+{answered - last_answered:,})"
                f"   {received:,} deliveries (+{received - last_received:,})"
                f"   server CPU {(cpu_s - last_cpu_s) * 100 / _PROGRESS_S:.0f} %"
            )
            last_answered, last_received, last_cpu_s = answered, received, cpu_s
