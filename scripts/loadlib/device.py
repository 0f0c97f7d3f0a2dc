"""Many device connections at little cost: a bare protocol and only as much WebSocket as the gateway speaks.

The server writes the same bytes to every device of a group, so what a read has brought is looked up before it
is parsed: the thousandth device pays for a hash. That keeps the load out of its own measurements.
"""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import Any, NamedTuple, cast

import msgspec

from scripts.loadlib.histogram import Histogram
from scripts.loadlib.ledger import Follower, Ledger

_CHUNKS_MAX = 64
_FRAMES_MAX = 8_192
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A
_LENGTH_16, _LENGTH_64 = 126, 127


class _Message(msgspec.Struct):
    msg_id: int
    content: str = ""


class _Frame(msgspec.Struct):
    op: str
    timeline: str = ""
    seq: int = 0
    message: _Message | None = None
    first: int = msgspec.field(default=0, name="from")
    to: int = 0
    cursors: dict[str, int] = {}
    limits: dict[str, Any] = {}
    code: int = 0
    reason: str = ""


class Run:
    """Entries of one timeline, one after the other, as one read brought them."""

    __slots__ = ("count", "entries", "first", "known", "sent_ns", "timeline")

    def __init__(self, timeline: str, first: int) -> None:
        self.timeline = timeline
        self.first = first
        self.count = 0
        self.entries: list[_Entry] = []
        self.sent_ns: list[int] = []
        self.known = False


class _Entry(NamedTuple):
    timeline: str
    seq: int
    msg_id: int
    tag: int
    sent_ns: int


class Control(NamedTuple):
    """A frame that is no entry."""

    opcode: int
    payload: bytes


Item = Run | Control


class Reader:
    """Turns bytes into runs and other frames, remembering what it has just seen. Shared by all devices."""

    def __init__(self, run_id: str) -> None:
        self._prefix = run_id + ":"
        self._chunks: dict[bytes, tuple[list[Item], int]] = {}
        self._frames: dict[bytes, _Entry | None] = {}
        self._decode = msgspec.json.Decoder(_Frame).decode

    def read(self, data: bytes) -> tuple[list[Item], int]:
        """Return what the bytes hold, in order, and how many of them that took."""
        known = self._chunks.get(data)
        if known is not None:
            return known
        items: list[Item] = []
        used = 0
        while (end := _frame_end(data, used)) is not None:
            start, stop = end
            self._add(items, data[used], data[start:stop])
            used = stop
        parsed = items, used
        # Nobody else gets the entries of a user's own timeline.
        if items and all(isinstance(item, Run) and item.timeline != "user" for item in items):
            if len(self._chunks) >= _CHUNKS_MAX:
                del self._chunks[next(iter(self._chunks))]
            self._chunks[data] = parsed
        return parsed

    def _add(self, items: list[Item], opcode: int, payload: bytes) -> None:
        entry = self._entry(payload) if opcode == _TEXT else None
        if entry is None:
            items.append(Control(opcode, payload))
            return
        last = items[-1] if items else None
        if isinstance(last, Run) and last.timeline == entry.timeline and last.first + last.count == entry.seq:
            run = last
        else:
            run = Run(entry.timeline, entry.seq)
            items.append(run)
        run.count += 1
        run.entries.append(entry)
        if entry.sent_ns:
            run.sent_ns.append(entry.sent_ns)

    def _entry(self, payload: bytes) -> _Entry | None:
        if payload in self._frames:
            return self._frames[payload]
        frame = self._decode(payload)
        entry = None
        if frame.seq:
            message = frame.message
            tag, sent_ns = self._mark(message.content) if message is not None else (0, 0)
            entry = _Entry(frame.timeline, frame.seq, message.msg_id if message else 0, tag, sent_ns)
            if frame.timeline != "user":
                if len(self._frames) >= _FRAMES_MAX:
                    del self._frames[next(iter(self._frames))]
                self._frames[payload] = entry
        return entry

    def _mark(self, content: str) -> tuple[int, int]:
        """What a message's text says it is, and when it was sent; zeros for a text of somebody else."""
        if not content.startswith(self._prefix):
            return 0, 0
        _, tag, sent_ns, _ = content.split(":", 3)
        return int(tag), int(sent_ns)


def _frame_end(data: bytes, pos: int) -> tuple[int, int] | None:
    """Where the payload of the frame at `pos` starts and stops; None while it is not whole."""
    size = len(data)
    if pos + 2 > size:
        return None
    length = data[pos + 1]
    start = pos + 2
    if length == _LENGTH_16:
        start += 2
        if start > size:
            return None
        length = int.from_bytes(data[pos + 2 : start], "big")
    elif length == _LENGTH_64:
        start += 8
        if start > size:
            return None
        length = int.from_bytes(data[pos + 2 : start], "big")
    stop = start + length
    return (start, stop) if stop <= size else None


def masked(opcode: int, payload: bytes) -> bytes:
    """Return a client frame. Its mask is zero: the wire demands one and nobody here needs secrecy from it."""
    size = len(payload)
    if size < _LENGTH_16:
        head = bytes((opcode, 0x80 | size))
    else:
        head = bytes((opcode, 0x80 | _LENGTH_16)) + size.to_bytes(2, "big")
    return head + bytes(4) + payload


class Plan(NamedTuple):
    """What all devices of a run share."""

    reader: Reader
    ledger: Ledger
    latency: Histogram
    acks: bool


class DeviceLink(asyncio.Protocol):
    """One device connection. `live` is set when it has caught up after attaching, or could not: see `cut`."""

    def __init__(self, plan: Plan, uid: int, handshake: bytes) -> None:
        self.live = asyncio.Event()
        self.cut: str = ""
        self.others = 0
        self._plan = plan
        self._uid = uid
        self._handshake = handshake
        self._upgraded = False
        self._rest = b""
        self._followers: dict[str, Follower] = {}
        self._dirty: dict[str, int] = {}
        self._half_window = 1
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # uvloop's transports are asyncio's in all but their class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._handshake)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is gone; whoever waits for `live` waits in vain."""
        self.cut = self.cut or f"connection lost: {exc or 'closed by the server'}"
        self.live.set()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take in what one read has brought."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if not self._upgraded:
            data = self._upgrade(data)
        items, used = self._plan.reader.read(data)
        for item in items:
            if isinstance(item, Run):
                self._on_run(item)
            else:
                self._on_control(item)
        if used < len(data):
            self._rest = data[used:]

    def _upgrade(self, data: bytes) -> bytes:
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            self._rest = data
            return b""
        if b" 101 " not in head[:16]:
            self.cut = f"the upgrade was refused: {head[:100]!r}"
            self.close()
            return b""
        self._upgraded = True
        return rest

    def _on_run(self, run: Run) -> None:
        plan = self._plan
        follower = self._followers.get(run.timeline)
        if follower is None:
            # Joined after attaching: from here on it is followed like the others.
            follower = self._follow(run.timeline, run.first - 1)
        follower.take(run.first, run.count)
        if run.sent_ns:
            now_ns = monotonic_ns()
            plan.latency.add_since(now_ns, run.sent_ns)
            plan.ledger.received += len(run.sent_ns)
            plan.ledger.last_ns = now_ns
        if not run.known:
            run.known = True
            for entry in run.entries:
                if entry.msg_id:
                    follower.timeline.learn(entry.seq, entry.msg_id)
                if entry.tag:
                    plan.ledger.saw(entry.msg_id, entry.tag)
        if plan.acks:
            unacked = self._dirty.get(run.timeline, 0) + run.count
            self._dirty[run.timeline] = unacked
            if unacked >= self._half_window:
                self._ack(run.timeline)

    def _follow(self, timeline: str, start: int) -> Follower:
        name = f"u:{self._uid}" if timeline == "user" else timeline
        follower = self._followers[timeline] = self._plan.ledger.follow(name, start)
        return follower

    def ack_all(self) -> None:
        """Ack whatever has come since the last ack."""
        for timeline in list(self._dirty):
            self._ack(timeline)

    def _ack(self, timeline: str) -> None:
        del self._dirty[timeline]
        if self._transport is not None:
            seq = self._followers[timeline].last
            self._transport.write(
                masked(_TEXT, b'{"op":"ack","timeline":"%s","seq":%d}' % (timeline.encode(), seq))
            )

    def _on_control(self, item: Control) -> None:
        if item.opcode == _PING and self._transport is not None:
            self._transport.write(masked(_PONG, item.payload))
        elif item.opcode == _CLOSE:
            code = int.from_bytes(item.payload[:2], "big")
            self.cut = self.cut or f"closed with {code} {item.payload[2:].decode()}"
            self.close()
        elif item.opcode == _TEXT:
            self._on_frame(msgspec.json.decode(item.payload, type=_Frame))

    def _on_frame(self, frame: _Frame) -> None:
        if frame.op == "welcome":
            self._half_window = max(1, int(frame.limits.get("unacked_max", 2)) // 2)
            for timeline, cursor in frame.cursors.items():
                self._follow(timeline, cursor)
        elif frame.op == "live":
            self.live.set()
        elif frame.op == "bye":
            self.cut = f"bye {frame.code} {frame.reason}"
        elif frame.op == "gap":
            # What a gap skips stays missing, whatever its reason: under load nothing may be skipped.
            follower = self._followers[frame.timeline]
            follower.missing.update(range(frame.first, frame.to + 1))
            follower.last = frame.to
        else:
            self.others += 1
