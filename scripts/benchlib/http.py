"""A load of HTTP calls at very little cost, so that what is measured is the server.

Keep-alive HTTP/1.1 written by hand on bare sockets: a caller is one connection with one call in flight, its requests
are bytes that were made before, and of an answer no more is looked at than whether it is whole and a success.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from time import monotonic_ns
from typing import NamedTuple, cast

from scripts.loadlib.histogram import Histogram

Request = Callable[[int, int], bytes]
"""Makes the bytes of a request of its number, and of when it is due (nanoseconds of the monotonic clock)."""

_STALLED_S = 30.0
_NS = 1_000_000_000
_SPIN_NS = 2_000_000
_LENGTH = b"ontent-Length: "
_BLANK = b"\r\n\r\n"


class Loaded(NamedTuple):
    """What a load has found: latencies, how long it all took, and what it cost the load itself."""

    calls: int
    seconds: float
    latency: Histogram
    load_cpu_s: float
    answer: bytes

    @property
    def per_s(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds


def succeeded(answer: bytes) -> bool:
    """Whether a whole answer says success, by its status and by its envelope."""
    return answer.startswith(b"HTTP/1.1 200 ") and b'"code":200,' in answer


def answer_end(data: bytes) -> int:
    """Return where the answer ends that these bytes begin with; 0 while it is not whole."""
    head = data.find(_BLANK)
    if head < 0:
        return 0
    at = data.index(_LENGTH, 0, head) + len(_LENGTH)
    end = head + len(_BLANK) + int(data[at : data.index(b"\r", at)])
    return end if len(data) >= end else 0


class Callers:
    """Connections that are kept, and may be put under load again and again. `lost` says why one has ended."""

    def __init__(self, port: int, good: Callable[[bytes], bool] = succeeded) -> None:
        self.good = good
        self._port = port
        self._all: list[_Caller] = []
        self._load: _Load | None = None
        self.lost = ""

    async def open(self, count: int) -> None:
        """Connect `count` more."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, caller = await loop.create_connection(lambda: _Caller(self), "127.0.0.1", self._port)
            self._all.append(caller)

    def close(self) -> None:
        """Hang up."""
        for caller in self._all:
            caller.close()

    async def load(self, count: int, request: Request, rate: float = 0.0) -> Loaded:
        """Make `count` calls: each caller one after the other, or with a rate so many a second.

        At a rate calls are due at fixed times, and a latency counts from then: one that finds no free caller waits, and
        a server that stalls cannot hide it by being asked less. Raises `RuntimeError` where an answer is not good.
        """
        if self.lost:
            raise RuntimeError(self.lost)
        load = self._load = _Load(count, request, rate, self.good)
        load_cpu_s = -time.process_time()
        load.start(self._all)
        try:
            await _ended(load)
        finally:
            self._load = None
        load_cpu_s += time.process_time()
        if load.bad or load.answered < count:
            raise RuntimeError(
                f"{count - load.answered:,} of {count:,} calls were not answered and {load.bad:,} were no success; "
                f"the first of them said {load.first_bad[:500]!r}"
            )
        latency = Histogram()
        latency.add_since(0, [-ns for ns in load.took_ns])
        return Loaded(count, (load.last_ns - load.first_ns) / _NS, latency, load_cpu_s, load.answer)

    def on_answer(self, caller: _Caller, answer: bytes) -> None:
        """Take a whole answer."""
        if self._load is not None:
            self._load.on_answer(caller, answer)

    def on_loss(self, why: str) -> None:
        """Take it that a connection has ended: no load goes on without all its callers."""
        self.lost = f"a connection was lost: {why}"
        if self._load is not None:
            self._load.fail(self.lost.encode())


async def _ended(load: _Load) -> None:
    """Wait for the end of a load, and no longer than something happens."""
    while not load.finished.is_set():
        answered = load.answered
        try:
            await asyncio.wait_for(load.finished.wait(), _STALLED_S)
        except TimeoutError:
            if load.answered == answered:
                raise RuntimeError(f"the server has stalled after {answered:,} answers") from None


class _Load:
    """One load: what is due is given to whoever is free."""

    def __init__(self, count: int, request: Request, rate: float, good: Callable[[bytes], bool]) -> None:
        self.finished = asyncio.Event()
        self.took_ns: list[int] = []
        self.answered = 0
        self.bad = 0
        self.first_bad = b""
        self.answer = b""
        self.first_ns = self.last_ns = monotonic_ns()
        self._count = count
        self._request = request
        self._gap_ns = _NS / rate if rate else 0.0
        self._good = good
        self._issued = 0
        self._idle: list[_Caller] = []

    def start(self, callers: list[_Caller]) -> None:
        self._idle = list(callers)
        if self._gap_ns:
            self._tick()
            return
        for caller in callers[: self._count]:
            self._issue(caller, monotonic_ns())

    def _issue(self, caller: _Caller, due_ns: int) -> None:
        number = self._issued
        self._issued += 1
        caller.ask(self._request(number, due_ns), due_ns)

    def on_answer(self, caller: _Caller, answer: bytes) -> None:
        now_ns = monotonic_ns()
        self.took_ns.append(now_ns - caller.due_ns)
        self.answered += 1
        if not self._good(answer):
            self.bad += 1
            self.first_bad = self.first_bad or answer
        if self.answered == self._count:
            self.last_ns = now_ns
            self.answer = answer
            self.finished.set()
        elif self._gap_ns:
            self._idle.append(caller)
            self._issue_due(now_ns)
        elif self._issued < self._count:
            self._issue(caller, now_ns)

    def fail(self, why: bytes) -> None:
        self.first_bad = self.first_bad or why
        self.finished.set()

    def _issue_due(self, now_ns: int) -> int:
        """Give what is due to whoever is free; return when the next one is due."""
        while True:
            due_ns = self.first_ns + int(self._issued * self._gap_ns)
            if self._issued == self._count or due_ns > now_ns or not self._idle:
                return due_ns
            self._issue(self._idle.pop(), due_ns)

    def _tick(self) -> None:
        """Come back when the next call is due.

        A timer of the loop is up to a millisecond late, and being woken takes long too, which is as much as what is
        measured: the last of the wait, and all of it while a call is under way, is spent spinning, on a core that is
        the load's alone.
        """
        now_ns = monotonic_ns()
        wait_ns = self._issue_due(now_ns) - now_ns
        if self._issued == self._count or self.finished.is_set():
            return
        loop = asyncio.get_running_loop()
        if wait_ns > _SPIN_NS and self.answered == self._issued:
            loop.call_later((wait_ns - _SPIN_NS) / _NS, self._tick)
        else:
            loop.call_soon(self._tick)


class _Caller(asyncio.Protocol):
    """One connection. `due_ns` is when the call in flight was due."""

    __slots__ = ("_owner", "_rest", "_transport", "due_ns")

    def __init__(self, owner: Callers) -> None:
        self.due_ns = 0
        self._owner = owner
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.on_loss(str(exc or "closed by the server"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def ask(self, request: bytes, due_ns: int) -> None:
        self.due_ns = due_ns
        assert self._transport is not None, "it was opened"
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        end = answer_end(data)
        if end:
            assert end == len(data), "one call at a time has one answer at a time"
            self._rest = b""
            self._owner.on_answer(self, data)
        else:
            self._rest = data
