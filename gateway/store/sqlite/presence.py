"""Which device is connected, where one process owns the store: it knows, and need not write it down."""

from __future__ import annotations

import itertools
import secrets
import sqlite3
from collections.abc import Collection, Sequence

from gateway.domain.drafts import Attach, Attachment
from gateway.domain.model import State
from gateway.store.base import EPOCH_STEP, Pulse
from gateway.store.receipts import Written, sort_out
from gateway.store.sqlite.lane import Lanes, one, rows, table

_OUTDATED = f"""
SELECT json_group_array(json_array(t.id, j.value ->> 1, t.state)) FROM json_each(?) AS j
CROSS JOIN timeline AS t ON t.id = j.value ->> 0 CROSS JOIN user AS u ON u.id = t.id
WHERE t.state <> {State.NORMAL:d} OR u.valid_from_ms <> j.value ->> 1
"""


def renew_epoch(conn: sqlite3.Connection) -> str:
    """Begin another epoch."""
    epoch: str = one(
        conn,
        "UPDATE meta SET epoch = ?, next_msg_id = next_msg_id + ? RETURNING epoch",
        (secrets.token_hex(8), EPOCH_STEP),
    )[0]
    return epoch


class Presence(Lanes):
    """The part of the `Store` port on SQLite about connected devices. All of it ends with the process."""

    shared = False
    batches_max = 1

    def __init__(self) -> None:
        self._epoch = ""
        self._numbers = itertools.count(1)
        self._nodes: dict[int, None] = {}
        self._attached: dict[int, dict[int, tuple[int, int]]] = {}

    @property
    def epoch(self) -> str:
        """Return the store's epoch."""
        return self._epoch

    async def renew_epoch(self) -> str:
        """Begin another epoch."""
        self._epoch = await self._write(renew_epoch)
        return self._epoch

    async def beat(self, node: int) -> Pulse:
        """Say that a node lives."""
        self._nodes[node] = None
        return Pulse(self._epoch, list(self._nodes))

    async def leave(self, node: int) -> None:
        """A node ends."""
        self._nodes.pop(node, None)
        for user_id, devices in list(self._attached.items()):
            for device_sn, (_, where) in list(devices.items()):
                if where == node:
                    self._forget(user_id, device_sn)

    async def attach(self, asked: Sequence[Attach]) -> list[int]:
        """Note that devices have connected."""
        numbers = []
        for attach in asked:
            devices = self._attached.get(attach.user_id, {})
            if attach.device_sn not in devices and len(devices) >= self._limits.devices_per_user_max:
                numbers.append(0)
                continue
            number = next(self._numbers)
            self._attached.setdefault(attach.user_id, devices)[attach.device_sn] = (number, attach.node)
            numbers.append(number)
        return numbers

    async def detach(self, gone: Sequence[Attachment]) -> None:
        """Note that connections have ended."""
        for one_gone in gone:
            if self._holds(one_gone):
                self._forget(one_gone.user_id, one_gone.device_sn)

    async def dismiss(self, user_id: int, device_sn: int = 0) -> int:
        """Let devices be connected no more."""
        for sn in [device_sn] if device_sn else list(self._attached.get(user_id, {})):
            self._forget(user_id, sn)
        return next(self._numbers)

    async def attached(self, user_id: int) -> list[int]:
        """List the devices that are connected."""
        return sorted(self._attached.get(user_id, {}))

    async def replaced(self, connections: Sequence[Attachment]) -> list[Attachment]:
        """Which are no longer their device's connection."""
        return [connection for connection in connections if not self._holds(connection)]

    async def outdated(self, known: Collection[tuple[int, int]]) -> dict[tuple[int, int], State]:
        """Which are not as they are known."""
        found = await self._look(lambda conn: table(conn, _OUTDATED, (rows(list(known)),)))
        return {(user_id, valid_from_ms): State(state) for user_id, valid_from_ms, state in found}

    def _sort(self, written: Sequence[Written]) -> tuple[list[Written], list[Attachment]]:
        """Part what connections that are their device's have written from which are no longer."""
        return sort_out(written, self._holds)

    def _holds(self, connection: Attachment) -> bool:
        devices = self._attached.get(connection.user_id, {})
        return devices.get(connection.device_sn, (0, 0))[0] == connection.attach_no

    def _forget(self, user_id: int, device_sn: int) -> None:
        devices = self._attached.get(user_id, {})
        devices.pop(device_sn, None)
        if not devices:
            self._attached.pop(user_id, None)
