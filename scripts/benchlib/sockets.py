"""Device connections that cost the load next to nothing: 10,000 of them fit on its core.

A read is looked at only as far as the lengths of its frames and the first words of each go, and the thousandth device
of a group pays for a comparison: what the server wrote to the one before it is remembered, with what it held.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from time import monotonic_ns
from typing import Any, cast

import msgspec

from scripts.benchlib.reading import NOTHING, Read, Run, scan
from scripts.loadlib.device import masked
from scripts.loadlib.histogram import Histogram
from scripts.loadlib.server import Signer

HOST = "127.0.0.1"
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A
_CONNECTS_AT_ONCE = 64
_CONNECTS_IN_A_ROW = 32
_PORTS_PER_ADDRESS = 20_000
_ASLEEP_BYTES = 65_536
_PATIENCE_S = 120.0


class _Frame(msgspec.Struct):
    op: str
    timeline: str = ""
    seq: int = 0
    cursors: dict[str, int] = {}
    limits: dict[str, Any] = {}
    code: int = 0
    reason: str = ""


def handshake(port: int, app_id: str, token: str) -> bytes:
    """The request that opens a device's channel."""
    lines = (
        f"GET /ws?app_id={app_id}&device_sn=1 HTTP/1.1",
        f"Host: {HOST}:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: bG9hZCBsb2FkIGxvYWQgbA==",
        "Sec-WebSocket-Protocol: gateway.v1",
        f"access-token: {token}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def handshakes(port: int, signer: Signer, uids: Sequence[int]) -> list[bytes]:
    """What the first device of each of these users says to a gateway."""
    return [handshake(port, signer.app_id, signer.token(uid)) for uid in uids]


def plain_handshakes(port: int, count: int) -> list[bytes]:
    """As many for a floor: it checks no token, and reads one of the same length."""
    return [handshake(port, "demo", "x" * 300)] * count


class Fleet:
    """Devices of one server.

    `bare`: the server is a floor, a device is live once it is upgraded. `tracked`: entries must come in their order and
    without a gap, how old messages are is counted in `latency`, and devices ack by the rule of the channel, or sooner:
    when `ack_every` entries of a timeline have come.
    """

    def __init__(
        self, port: int, *, bare: bool = False, tracked: bool = False, ack_every: int = 1_000_000
    ) -> None:
        self.bare = bare
        self.tracked = tracked
        self.latency = Histogram()
        self.devices: list[Device] = []
        self.messages = 0
        self.sample = b""
        """One frame of a message, as it came."""
        self.faults: Counter[str] = Counter()
        self.ack_every = ack_every
        self.data, self.read = b"", NOTHING
        """The last read that was looked through, and what it held."""
        self._port = port
        self._goal: tuple[int, asyncio.Future[None]] | None = None
        self._closing = False

    async def connect(self, requests: Sequence[bytes], at_once: int = _CONNECTS_AT_ONCE) -> None:
        """Connect a device by each of these handshakes, `at_once` of them together; return when all are live.

        Raises:
            RuntimeError: One was refused.
        """
        first = len(self.devices)
        self.devices += [Device(self, request) for request in requests]
        waiting = iter(range(first, len(self.devices)))
        async with asyncio.timeout(_PATIENCE_S), asyncio.TaskGroup() as group:
            for number in range(min(at_once, len(requests))):
                group.create_task(self._connect_from(waiting))
                # Whoever measures something else meanwhile is not held up by thousands of connects in a row.
                if number % _CONNECTS_IN_A_ROW == 0:
                    await asyncio.sleep(0)
        self.check()

    async def _connect_from(self, waiting: Iterator[int]) -> None:
        loop = asyncio.get_running_loop()
        for index in waiting:
            device = self.devices[index]
            device.live = loop.create_future()
            # One source address has no more ports to one server than this.
            extra = index // _PORTS_PER_ADDRESS
            source = (f"127.0.0.{1 + extra}", 0) if extra else None
            await loop.create_connection(lambda device=device: device, HOST, self._port, local_addr=source)
            await device.live
            device.live = None

    def close(self) -> None:
        """Hang up everywhere."""
        self._closing = True
        for device in self.devices:
            if device.transport is not None:
                device.transport.abort()

    def check(self) -> None:
        """Raise `RuntimeError` if a device was cut off, or was told its entries in another way than it should be."""
        if self.faults:
            told = ", ".join(f"{count:,} of {fault!r}" for fault, count in self.faults.most_common(5))
            raise RuntimeError(f"devices have something to complain about: {told}")

    async def reach(self, messages: int) -> None:
        """Wait until so many messages have come to all devices together.

        Raises:
            RuntimeError: They don't come, or more come, or `check` fails.
        """
        if self.messages < messages:
            future = asyncio.get_running_loop().create_future()
            self._goal = (messages, future)
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await future
            except TimeoutError:
                self.check()
                raise RuntimeError(f"{messages - self.messages:,} deliveries did not come") from None
            finally:
                self._goal = None
        self.check()
        if self.messages > messages:
            raise RuntimeError(f"{self.messages - messages:,} deliveries came that nobody was owed")

    def fault(self, what: str) -> None:
        """Note that something is not as it should be."""
        if not self._closing:
            self.faults[what] += 1

    def look(self, data: bytes) -> Read:
        """Look through a read that is another than the last one."""
        read = scan(data, tracked=self.tracked)
        self.data, self.read = data, read
        self.sample = read.sample or self.sample
        return read

    def came(self, read: Read) -> None:
        """Count the messages of one read."""
        self.messages += read.messages
        if self.tracked:
            self.latency.add_since(monotonic_ns(), read.sent_ns)
        if self._goal is not None and self.messages >= self._goal[0] and not self._goal[1].done():
            self._goal[1].set_result(None)

    def ack(self) -> None:
        """Have every device ack what has come since it did so last."""
        for device in self.devices:
            device.ack()


class Device(asyncio.Protocol):
    """One connection. `live` is there while somebody waits until it has caught up."""

    __slots__ = ("_fleet", "_request", "_rest", "_seen", "_unacked", "live", "transport")

    def __init__(self, fleet: Fleet, request: bytes) -> None:
        self.live: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport | None = None
        self._fleet = fleet
        self._request = request
        self._rest = b""
        self._seen: dict[str, int] = {}
        self._unacked: dict[str, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # uvloop's transports are asyncio's in all but their class.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that it is gone."""
        self._fleet.fault(f"connection lost: {exc or 'closed by the server'}")
        self._is_live()

    def data_received(self, data: bytes) -> None:
        """Count what one read has brought."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        if self._request:
            data = self._upgraded(data)
        fleet = self._fleet
        read = fleet.read if data == fleet.data else fleet.look(data)
        if read.used < len(data):
            self._rest = data[read.used :]
        if read.messages:
            fleet.came(read)
        for item in read.items:
            if isinstance(item, Run):
                self._take(item)
            else:
                self._heed(item.opcode, item.payload)

    def _upgraded(self, data: bytes) -> bytes:
        """Return what follows the answer to the handshake, once that is whole."""
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            self._rest = data
            return b""
        self._request = b""
        if b" 101 " not in head[:16]:
            self._fleet.fault(f"the upgrade was refused: {head[:40]!r}")
        if self._fleet.bare:
            self._is_live()
        return rest

    def _is_live(self) -> None:
        if self.live is not None and not self.live.done():
            self.live.set_result(None)

    def _take(self, run: Run) -> None:
        """See that entries come in their order, and ack them by the rule of the channel."""
        seen = self._seen.get(run.timeline)
        # A timeline that was not there at the welcome is followed from its first entry on.
        if seen is not None and run.first != seen + 1:
            self._fleet.fault("an entry was skipped, or came twice")
        self._seen[run.timeline] = run.last
        unacked = self._unacked.get(run.timeline, 0) + run.last - run.first + 1
        self._unacked[run.timeline] = unacked
        if unacked >= self._fleet.ack_every:
            self.ack()

    def ack(self) -> None:
        """Ack what has come since the last time."""
        if self._unacked and self.transport is not None:
            for timeline in self._unacked:
                ack = b'{"op":"ack","timeline":"%s","seq":%d}' % (timeline.encode(), self._seen[timeline])
                self.transport.write(masked(_TEXT, ack))
            self._unacked.clear()

    def sleep(self) -> None:
        """Read nothing from here on, and have the kernel take little for it."""
        assert self.transport is not None, "it is connected"
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ASLEEP_BYTES)
        self.transport.pause_reading()

    def wake(self) -> None:
        """Read again."""
        assert self.transport is not None, "it is connected"
        self.transport.resume_reading()

    def _heed(self, opcode: int, payload: bytes) -> None:
        """Obey a frame that is no message."""
        if opcode == _PING and self.transport is not None:
            self.transport.write(masked(_PONG, payload))
        elif opcode == _CLOSE:
            code = int.from_bytes(payload[:2], "big")
            self._fleet.fault(f"closed with {code} {payload[2:].decode()}")
        elif opcode == _TEXT:
            frame = msgspec.json.decode(payload, type=_Frame)
            if frame.op == "welcome":
                half_window = max(1, int(frame.limits.get("unacked_max", 2)) // 2)
                self._fleet.ack_every = min(self._fleet.ack_every, half_window)
                if self._fleet.tracked:
                    self._seen.update(frame.cursors)
            elif frame.op == "live":
                self._is_live()
                # Whoever has caught up acks at once, and is kept from then on.
                self.ack()
            elif frame.op in ("gap", "bye"):
                self._fleet.fault(f"{frame.op} {frame.code or ''} {frame.reason}")
            elif frame.seq and self._fleet.tracked:
                self._take(Run(frame.timeline, frame.seq, frame.seq))
