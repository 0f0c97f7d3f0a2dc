"""Many callers at little cost: keep-alive HTTP/1.1 written by hand, one call at a time on each connection."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, NamedTuple, cast

import msgspec

from scripts.loadlib.histogram import Histogram
from scripts.loadlib.ledger import Ledger

_OK = 200
_TICK_S = 0.002


class Answer(msgspec.Struct):
    """The envelope of a native call."""

    code: int
    message: str | None = None
    data: Any = None
    msg_ids: list[int] = []


class Principal(NamedTuple):
    """Who a caller speaks for."""

    app_id: str
    uid: int
    token: str


class Caller(asyncio.Protocol):
    """One keep-alive connection. `call` writes a request; `done` gets its answer, or None when it is lost."""

    def __init__(self, host: str, who: Principal) -> None:
        self.who = who
        self.busy = False
        self.gone = False
        self._head = (
            f" HTTP/1.1\r\nHost: {host}\r\napp_id: {who.app_id}\r\naccess-token: {who.token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._decode = msgspec.json.Decoder(Answer).decode
        self._buffer = b""
        self._done: Callable[[Answer | None], None] = lambda _: None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready to call."""
        # uvloop's transports are asyncio's in all but their class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell who waits for an answer that none will come."""
        self.gone = True
        self._finish(None)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def call(self, path: bytes, body: bytes, done: Callable[[Answer | None], None]) -> None:
        """POST a body; the connection must not be busy."""
        assert not self.busy
        assert self._transport is not None
        self.busy = True
        self._done = done
        self._transport.write(b"POST %s%s%d\r\n\r\n%s" % (path, self._head, len(body), body))

    def data_received(self, data: bytes) -> None:
        """Take in what one read has brought; a whole answer ends the call."""
        data = self._buffer + data
        start = data.find(b"\r\n\r\n") + 4
        if start >= 4:  # noqa: PLR2004 - the length of the blank line
            size = _content_length(data[:start])
            if len(data) >= start + size:
                self._buffer = data[start + size :]
                self._finish(self._decode(data[start : start + size]))
                return
        self._buffer = data

    def _finish(self, answer: Answer | None) -> None:
        if self.busy:
            self.busy = False
            self._done(answer)

    async def ask(self, path: str, body: dict[str, Any]) -> Answer:
        """POST and wait. Raises `RuntimeError` for anything but success."""
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self.call(path.encode(), msgspec.json.encode(body), future.set_result)
        answer = await future
        if answer is None or answer.code != _OK:
            why = "the connection was lost" if answer is None else f"{answer.message} ({answer.code})"
            raise RuntimeError(f"POST {path}: {why}")
        return answer


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    if at < 0:
        raise ValueError(f"an answer without Content-Length: {head!r}")
    return int(head[at + 15 : head.index(b"\r\n", at)])


class Draft(NamedTuple):
    """One message to send: the timelines it must appear in, and the body around its text."""

    timelines: tuple[str, ...]
    before: bytes
    after: bytes


class Pump:
    """Sends `messages` messages, flat out (`rate` 0) or at a rate, and notes each answer in the ledger.

    At a rate the sends are due at fixed times. One that finds no free caller waits, and its latency counts
    from when it was due, so that a server which stalls cannot hide it by being asked less.
    """

    def __init__(
        self,
        *,
        run_id: str,
        messages: int,
        rate: float,
        text_bytes: int,
        draft: Callable[[Principal, int], Draft],
        ledger: Ledger,
    ) -> None:
        self.latency = Histogram()
        self.refused: Counter[str] = Counter()
        self.unanswered = 0
        self.issued = 0
        self.started_ns = 0
        self.last_ns = 0
        self.finished = asyncio.Event()
        self.paused = False
        self._run_id = run_id
        self._messages = messages
        self._rate = rate
        self._padding = b"x" * text_bytes
        self._draft = draft
        self._ledger = ledger
        self._text_bytes = text_bytes
        self._answered = 0
        self._callers: list[Caller] = []
        self._idle: deque[int] = deque()
        self._serial: list[int] = []
        self._stopped = False

    @property
    def in_flight(self) -> int:
        """Calls that wait for their answer."""
        return self.issued - self._answered

    def start(self, callers: list[Caller]) -> None:
        """Begin; `finished` is set when every send has been answered or lost."""
        self._callers = callers
        self._serial = [0] * len(callers)
        self._idle.extend(range(len(callers)))
        self.started_ns = monotonic_ns()
        self._tick()

    def stop(self) -> None:
        """Send no more."""
        self._stopped = True
        self._check()

    def resume(self) -> None:
        """Go on after a pause (`paused`), in which no send is begun."""
        self.paused = False
        self._fill()

    def _due(self, now_ns: int) -> int:
        if self._stopped or self.paused:
            return self.issued
        if not self._rate:
            return self._messages
        return min(self._messages, int((now_ns - self.started_ns) * self._rate / 1e9) + 1)

    def _tick(self) -> None:
        self._fill()
        self._check()
        if self._rate and not self.finished.is_set():
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _fill(self) -> None:
        """Give every free caller what is due."""
        now_ns = monotonic_ns()
        due = self._due(now_ns)
        while self.issued < due and self._idle:
            index = self._idle.popleft()
            if not self._callers[index].gone:
                due_ns = self.started_ns + int(self.issued * 1e9 / self._rate) if self._rate else now_ns
                self._send(index, due_ns)

    def _send(self, index: int, due_ns: int) -> None:
        caller = self._callers[index]
        self._serial[index] += 1
        tag = (index + 1) << 32 | self._serial[index]
        draft = self._draft(caller.who, self.issued)
        self.issued += 1
        mark = b"%s:%d:%d:" % (self._run_id.encode(), tag, due_ns)
        text = mark + self._padding[: max(0, self._text_bytes - len(mark))]

        def done(answer: Answer | None) -> None:
            self._on_answer(index, tag, due_ns, draft, answer)

        caller.call(b"/message/send", draft.before + text + draft.after, done)

    def _on_answer(self, index: int, tag: int, due_ns: int, draft: Draft, answer: Answer | None) -> None:
        self._answered += 1
        self.last_ns = monotonic_ns()
        if answer is None:
            self.unanswered += 1
        elif answer.code != _OK or not answer.msg_ids:
            self.refused[f"{answer.code} {answer.message}"] += 1
        else:
            self.latency.add((self.last_ns - due_ns) // 1000)
            self._ledger.owe(answer.msg_ids[0], tag, draft.timelines)
        self._idle.append(index)
        self._fill()
        self._check()

    def _check(self) -> None:
        if self.in_flight:
            return
        enough = self._stopped or self.issued >= self._messages
        if enough or all(caller.gone for caller in self._callers):
            self.finished.set()
