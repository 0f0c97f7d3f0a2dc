"""Answers that their callers do not take: how much of them lies here, and for how long (design promise 6)."""

from __future__ import annotations

import asyncio
import logging
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from fcntl import ioctl

from gateway.domain.limits import Limits

log = logging.getLogger(__name__)


class Untaken:
    """The callers whose transport is full: how much each has not taken, and since when it has taken nothing.

    Together they hold `Limits.untaken_bytes_max`, and what one turn of the loop adds; past it whoever holds most is
    cut, of those who hold the same whoever came first. So is whoever takes nothing for `Limits.body_timeout_ms`. A
    caller that goes on taking, however slowly, may go on, as far as its kernel tells that it does (`unacknowledged`).
    """

    def __init__(self, limits: Limits, time: Callable[[], float]) -> None:
        self._bytes_max = limits.untaken_bytes_max
        self._patience_s = limits.body_timeout_ms / 1000
        self._time = time
        self._full: dict[asyncio.Transport, tuple[int, float]] = {}
        self._looking: asyncio.Handle | None = None
        self._cut_off = 0

    def add(self, transport: asyncio.Transport) -> None:
        """A transport is full, or ends once the rest has been taken; again: nothing more happens."""
        if transport not in self._full:
            self._full[transport] = unacknowledged(transport), self._time()
        if self._looking is None:
            # Once for all of a turn, at whose end transports often take much of what they were given.
            self._looking = asyncio.get_running_loop().call_soon(self._look)

    def discard(self, transport: asyncio.Transport) -> None:
        """It has drained, or is gone."""
        self._full.pop(transport, None)

    def sweep(self) -> None:
        """Cut those that have taken nothing for too long, and say how many were cut since the last time."""
        now = self._time()
        for transport, (size, since) in list(self._full.items()):
            left = unacknowledged(transport)
            if not transport.get_write_buffer_size():
                # What is on its way is the kernel's.
                self.discard(transport)
            elif left != size:
                self._full[transport] = left, now
            elif now - since > self._patience_s:
                self._cut(transport)
        if self._cut_off:
            log.warning("callers that do not take their answers were cut: %d", self._cut_off)
            self._cut_off = 0

    def _look(self) -> None:
        """See that it is not too much in all."""
        self._looking = None
        held = {transport: transport.get_write_buffer_size() for transport in self._full}
        total = sum(held.values())
        if total <= self._bytes_max:
            return
        for transport in sorted(held, key=held.__getitem__, reverse=True):
            self._cut(transport)
            total -= held[transport]
            if total <= self._bytes_max:
                return

    def _cut(self, transport: asyncio.Transport) -> None:
        self._cut_off += 1
        self.discard(transport)
        transport.abort()


def unacknowledged(transport: asyncio.Transport) -> int:
    """How many bytes of what was written the peer has not acknowledged: those here, and those that the kernel holds.

    It holds megabytes, and takes more only once a third of them is gone: by those here alone a peer that reads ten
    kilobytes a second would take nothing for minutes. Where it does not tell (not on Linux) they are all there is.
    """
    held = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    # Of a socket that is closed there is nothing to tell.
    with suppress(OSError, ValueError):
        if sock is not None:
            held += int.from_bytes(ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return held
