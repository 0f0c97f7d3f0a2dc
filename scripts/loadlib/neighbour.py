"""Two apps on one gateway: what one of them notices of the other's flood.

The quiet app sends at a steady rate all the time, due at fixed moments; the loud one sends flat out in every second
span. Both spans alternate in one run, so that what the machine does meanwhile is in both of them.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Iterable
from typing import NamedTuple

from scripts.loadlib.crowd import Crowd, Target
from scripts.loadlib.device import Plan, Reader
from scripts.loadlib.histogram import Histogram
from scripts.loadlib.ledger import Ledger
from scripts.loadlib.report import failures_of, latency_of, progress
from scripts.loadlib.sender import Draft, Principal, Pump
from scripts.loadlib.server import cost_of
from scripts.loadlib.verdict import Span, Verdict, ratio_of

TOO_FAST = "60004"
"""What the loud app is told where it is over its rate: what it is here for, and no failure."""

_SETTLE_S = 0.5
_WARM_UP_S = 2.0
_POLL_S = 0.02
_ACK_MS = 500
_UNBOUNDED = 1 << 40


class Options(NamedTuple):
    """What to do."""

    devices: int
    quiet_rate: float
    quiet_senders: int
    loud_senders: int
    loud_limit: int
    rounds: int
    span_s: float
    ratio_max: float
    text_bytes: int
    linger_s: float
    timeout_s: float


class _Switch(Histogram):
    """Counts into the histogram of the span that is on, and nowhere between two."""

    def __init__(self) -> None:
        super().__init__()
        self.into: Histogram | None = None

    def add_since(self, now_ns: int, then_ns: Iterable[int]) -> None:
        """Count, where a span is on."""
        if self.into is not None:
            self.into.add_since(now_ns, then_ns)


class App:
    """One of the two: its users, its devices, its callers and what it is owed."""

    def __init__(self, target: Target, devices: int, text_bytes: int, rate: float) -> None:
        self.crowd = Crowd(target, devices)
        self.ledger = Ledger()
        self.end_to_end = _Switch()
        self.send = _Switch()
        run_id = secrets.token_hex(4)
        self._random = random.Random(run_id)
        self._plan = Plan(Reader(run_id), self.ledger, self.end_to_end, acks=True)
        self.pump = Pump(
            run_id=run_id,
            messages=_UNBOUNDED,
            rate=rate,
            text_bytes=text_bytes,
            draft=self._draft,
            ledger=self.ledger,
        )
        self.pump.latency = self.send

    async def begin(self, senders: int) -> None:
        """Be there: callers and devices."""
        await self.crowd.open_callers(senders)
        await self.crowd.connect(self._plan)

    def _draft(self, who: Principal, index: int) -> Draft:
        target = self.crowd.uid(self._random.randrange(self.crowd.devices))
        timelines = (f"u:{target}",) if target == who.uid else (f"u:{target}", f"u:{who.uid}")
        body = b'{"type":1,"targets":[%d],"content_type":0,"transaction_id":%d,"content":"'
        return Draft(timelines, body % (target, index + 1), b'"}')

    @property
    def done(self) -> bool:
        """Whether every call is answered, and whatever is owed has come."""
        return self.pump.finished.is_set() and self.ledger.complete()

    def failures(self, name: str, allowed: str) -> list[str]:
        """Say what went wrong in this app; to be refused by the code that is `allowed` is not wrong."""
        refused = sum(count for why, count in self.pump.refused.items() if why.split()[0] != allowed)
        unanswered = self.pump.unanswered + self.pump.in_flight
        told = failures_of(self.ledger.totals(), refused, unanswered)
        told += [f"a device was cut off: {link.cut}" for link in self.crowd.links if link.cut][:1]
        return [f"{name}: {failure}" for failure in told]


class Neighbours:
    """Runs once."""

    def __init__(self, options: Options, quiet: Target, loud: Target) -> None:
        self._options = options
        self._target = quiet
        self._quiet = App(quiet, options.devices, options.text_bytes, options.quiet_rate)
        self._loud = App(loud, options.devices, options.text_bytes, 0.0)
        self._spans: list[Span] = []

    async def run(self) -> Verdict:
        """Do it all. Raises `RuntimeError` or `OSError` where it cannot even begin."""
        options, quiet, loud = self._options, self._quiet, self._loud
        helpers: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(options.timeout_s):
                await quiet.begin(options.quiet_senders)
                await loud.begin(options.loud_senders)
                helpers += [asyncio.create_task(app.crowd.keep_acking(_ACK_MS)) for app in (quiet, loud)]
                loud.pump.paused = True
                quiet.pump.start(quiet.crowd.callers)
                loud.pump.start(loud.crowd.callers)
                await self._flood(_WARM_UP_S)
                for number in range(options.rounds):
                    await self._span(number, flooded=False)
                    await self._span(number, flooded=True)
            await self._end()
        except TimeoutError:
            raise RuntimeError(f"not done within {options.timeout_s:.0f} s") from None
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            quiet.crowd.close()
            loud.crowd.close()
        return self._verdict()

    async def _flood(self, seconds: float) -> None:
        self._loud.pump.resume()
        await asyncio.sleep(seconds)
        await self._calm()

    async def _calm(self) -> None:
        """Stop the flood, and wait until it is over."""
        self._loud.pump.paused = True
        # An event would be set by every answer, and asking costs nothing next to counting them.
        while self._loud.pump.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)

    async def _span(self, number: int, *, flooded: bool) -> None:
        quiet, loud, pid = self._quiet, self._loud, self._target.pid
        if flooded:
            loud.pump.resume()
        await asyncio.sleep(_SETTLE_S)
        quiet.send.into, quiet.end_to_end.into = Histogram(), Histogram()
        send, end_to_end = quiet.send.into, quiet.end_to_end.into
        answered, refused = loud.ledger.answered, loud.pump.refused.total()
        cpu_s, started = cost_of(pid).cpu_s, time.monotonic()
        await asyncio.sleep(self._options.span_s)
        quiet.send.into = quiet.end_to_end.into = None
        seconds = time.monotonic() - started
        span = Span(
            flooded=flooded,
            send=latency_of(send),
            end_to_end=latency_of(end_to_end),
            quiet_sends=send.count,
            loud_per_s=(loud.ledger.answered - answered) / seconds,
            refused_per_s=(loud.pump.refused.total() - refused) / seconds,
            server_cpu_percent=(cost_of(pid).cpu_s - cpu_s) * 100 / seconds,
        )
        self._spans.append(span)
        if flooded:
            await self._calm()
        progress(
            f"round {number + 1} of {self._options.rounds}, {'flooded' if flooded else 'alone  '}"
            f"   send p99 {span.send.p99_ms:6.1f} ms   end to end p99 {span.end_to_end.p99_ms:6.1f} ms"
            f"   the loud app {span.loud_per_s:,.0f}/s (+{span.refused_per_s:,.0f} refused)"
            f"   server CPU {span.server_cpu_percent:.0f} %"
        )

    async def _end(self) -> None:
        """Send no more, and wait for what is owed."""
        patience = time.monotonic() + self._options.linger_s
        apps = (self._quiet, self._loud)
        for app in apps:
            app.pump.stop()
        while time.monotonic() < patience and not all(app.done for app in apps):  # noqa: ASYNC110 - the same
            await asyncio.sleep(_POLL_S)

    def _verdict(self) -> Verdict:
        options, spans = self._options, self._spans
        send = ratio_of(spans, lambda span: span.send.p99_ms)
        end_to_end = ratio_of(spans, lambda span: span.end_to_end.p99_ms)
        failures = self._quiet.failures("the quiet app", "") + self._loud.failures("the loud app", TOO_FAST)
        if max(send, end_to_end) > options.ratio_max:
            failures.append(f"the flood moves the quiet app's p99 by more than {options.ratio_max:g} times")
        limit = f"{options.loud_limit:,} sends a second" if options.loud_limit else "no limit"
        return Verdict(
            machine=self._target.machine,
            scenario=(
                f"an app at {options.quiet_rate:,.0f} sends a second, alone and beside one that sends flat out"
                f" by {options.loud_senders} callers, with {limit}; {options.rounds} rounds"
            ),
            spans=spans,
            send_ratio=send,
            end_to_end_ratio=end_to_end,
            failures=failures,
        )
