"""The floor of a delivery: given bytes are written to given sockets, one write each. Says its port.

Devices upgrade at any path. Who upgrades at `/control` says `<sockets> <messages> <bytes>`, a line feed and that many
bytes: then each message is written to the next so many sockets, the first after the last, and nothing is answered.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

# A program is started by its path: make the project's own modules importable from wherever that is.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.floors.upgrade import Upgrading, serve


class Fanout:
    """All devices, and which of them is written to next."""

    def __init__(self) -> None:
        self.devices: list[asyncio.WriteTransport] = []
        self._at = 0

    def order(self, sockets: int, messages: int, frame: bytes) -> None:
        """Write a frame to `sockets` devices, `messages` times.

        Each is a `write()` of its own: uvloop 0.23 writes at once, and joins only what a peer has left no room for.
        """
        for _ in range(messages):
            devices = self.devices[self._at : self._at + sockets]
            for device in devices + self.devices[: sockets - len(devices)]:
                device.write(frame)
            self._at = (self._at + sockets) % len(self.devices)


class Receiver(Upgrading):
    """A device, or who gives the orders."""

    __slots__ = ("_control", "_fanout", "_said")

    def __init__(self, fanout: Fanout) -> None:
        super().__init__()
        self._fanout = fanout
        self._control = False
        self._said = b""

    def upgraded(self, path: bytes) -> None:
        """Join the others, unless it is here to give orders."""
        self._control = path == b"/control"
        if not self._control and self.transport is not None:
            self._fanout.devices.append(self.transport)

    def heard(self, data: bytes) -> None:
        """Take orders."""
        if not self._control:
            return
        self._said += data
        while b"\n" in self._said:
            line, _, rest = self._said.partition(b"\n")
            sockets, messages, size = map(int, line.split())
            if len(rest) < size:
                return
            self._fanout.order(sockets, messages, rest[:size])
            self._said = rest[size:]


async def main() -> None:
    """Serve until SIGTERM."""
    fanout = Fanout()
    await serve(lambda: Receiver(fanout))


if __name__ == "__main__":
    uvloop.run(main())
