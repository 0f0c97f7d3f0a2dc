"""Which device is connected, where one process owns the store: it knows, and need not write it down."""

from __future__ import annotations

import itertools
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Sequence

import msgspec

from gateway.domain.model import State
from gateway.domain.positions import Ack, Attach, Attachment, Keep
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


class _Held(msgspec.Struct, frozen=True, gc=False):
    """A device that is connected: its connection's number, and on which node it is."""

    device_sn: int
    number: int
    node: int


class Presence(Lanes):
    """The part of the `Store` port on SQLite about connected devices. All of it ends with the process."""

    shared = False
    batches_max = 1

    def __init__(self) -> None:
        self._epoch = ""
        self._numbers = itertools.count(1)
        self._nodes: dict[int, None] = {}
        # By user. Nearly always one each, so that a dict of them would be most of it.
        self._attached: dict[int, tuple[_Held, ...]] = {}

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
            self._keep(user_id, (held for held in devices if held.node != node))

    async def attach(self, asked: Sequence[Attach]) -> list[int]:
        """Note that devices have connected."""
        numbers = []
        for attach in asked:
            others = [
                held for held in self._attached.get(attach.user_id, ()) if held.device_sn != attach.device_sn
            ]
            if len(others) >= self._limits.devices_per_user_max:
                numbers.append(0)
                continue
            number = next(self._numbers)
            self._keep(attach.user_id, (*others, _Held(attach.device_sn, number, attach.node)))
            numbers.append(number)
        return numbers

    async def detach(self, gone: Sequence[Attachment]) -> None:
        """Note that connections have ended."""
        for one_gone in gone:
            devices = self._attached.get(one_gone.user_id, ())
            self._keep(one_gone.user_id, (held for held in devices if held.number != one_gone.attach_no))

    async def dismiss(self, user_id: int, device_sn: int = 0) -> int:
        """Let devices be connected no more."""
        devices = self._attached.get(user_id, ())
        self._keep(user_id, (held for held in devices if device_sn not in {0, held.device_sn}))
        return next(self._numbers)

    async def attached(self, user_id: int) -> list[int]:
        """List the devices that are connected."""
        return sorted(held.device_sn for held in self._attached.get(user_id, ()))

    async def present(self, user_ids: Sequence[int]) -> set[int]:
        """Which of these users have a device connected."""
        return {user_id for user_id in user_ids if user_id in self._attached}

    async def replaced(self, connections: Sequence[Attachment]) -> list[Attachment]:
        """Which are no longer their device's connection."""
        return [connection for connection in connections if not self._holds(connection)]

    async def outdated(self, known: Collection[tuple[int, int]]) -> dict[tuple[int, int], State]:
        """Which are not as they are known."""
        found = await self._look(lambda conn: table(conn, _OUTDATED, (rows(list(known)),)))
        return {(user_id, valid_from_ms): State(state) for user_id, valid_from_ms, state in found}

    def _sort(self, written: Sequence[Written]) -> tuple[list[Written], list[Attachment]]:
        """Part what connections that are their device's have written from which are no longer."""
        if all(self._holds(one) or not one.attach_no for one in written):
            # As good as always, and there are thousands of acks in a flush.
            return list(written), []
        return sort_out(written, self._holds)

    def _holds(self, one: Attachment | Ack | Keep) -> bool:
        for held in self._attached.get(one.user_id, ()):
            if held.device_sn == one.device_sn:
                return held.number == one.attach_no
        return False

    def _keep(self, user_id: int, devices: Iterable[_Held]) -> None:
        kept = tuple(devices)
        if kept:
            self._attached[user_id] = kept
        else:
            self._attached.pop(user_id, None)
