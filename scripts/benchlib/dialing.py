"""Connects to a server as fast as one core can: sockets and epoll, and nothing between.

A bare protocol answers 9,000 handshakes a second, and an event loop's transports would cost the load more than that
costs the server. Nothing else runs meanwhile.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from time import monotonic_ns
from typing import NamedTuple

from scripts.benchlib.sockets import HOST

IN_FLIGHT = 4_000
"""Connections that wait for their answer: all of them may wait to be accepted, and the backlog is 4,096."""

_AT_A_TIME = 32
_READ_BYTES = 65_536
_PATIENCE_S = 60


class Dialled(NamedTuple):
    """What it took until every connection had its answer, and what that cost the load."""

    seconds: float
    slowest_ms: float
    load_cpu_s: float


class _Line:
    """One connection that waits for its answer."""

    __slots__ = ("began_ns", "socket", "told")

    def __init__(self, port: int, request: bytes) -> None:
        self.began_ns = monotonic_ns()
        self.told = b""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Neither call waits: the backlog has room, and the request fits the buffer.
        self.socket.connect((HOST, port))
        self.socket.send(request)


def dial(port: int, requests: Sequence[bytes], until: bytes) -> Dialled:
    """Connect by each of these handshakes, all open at the end; each has its answer when it was told `until`.

    Raises:
        RuntimeError: One was refused, hung up on, or not answered in time.
    """
    lines: dict[int, _Line] = {}
    answered, slowest_ns = 0, 0
    cpu_s, began_ns = time.process_time(), monotonic_ns()
    with select.epoll() as epoll:
        try:
            while answered < len(requests):
                room = min(IN_FLIGHT - (len(lines) - answered), _AT_A_TIME)
                for request in requests[len(lines) : len(lines) + room]:
                    line = _Line(port, request)
                    lines[line.socket.fileno()] = line
                    epoll.register(line.socket, select.EPOLLIN)
                told = epoll.poll(0 if len(lines) < len(requests) else _PATIENCE_S)
                if not told and len(lines) == len(requests):
                    raise RuntimeError(f"{len(requests) - answered:,} connections were not answered")
                for number, _ in told:
                    line = lines[number]
                    line.told += _read(line)
                    if until in line.told:
                        answered += 1
                        slowest_ns = max(slowest_ns, monotonic_ns() - line.began_ns)
                        # What else it is told until the end is nobody's to read.
                        epoll.unregister(number)
            seconds = (monotonic_ns() - began_ns) / 1e9
            return Dialled(seconds, slowest_ns / 1e6, time.process_time() - cpu_s)
        finally:
            for line in lines.values():
                line.socket.close()


def _read(line: _Line) -> bytes:
    data = line.socket.recv(_READ_BYTES)
    refused = not line.told and b" 101 " not in data[:16]
    if not data or refused or b'{"op":"bye"' in data:
        raise RuntimeError(f"a connection was refused: {line.told + data!r}")
    return data
