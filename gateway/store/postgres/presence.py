"""Which device is connected to which node, on PostgreSQL; nodes are judged by the database's clock.

Who locks rows of several of these tables does so in this order: users, connected devices, kept devices, cursors, stays.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Sequence

from gateway.domain.model import State
from gateway.domain.positions import Attach, Attachment
from gateway.store.base import EPOCH_STEP, Pulse
from gateway.store.postgres.lane import Conn, Lanes

FORGET_MAX = 5_000
"""Answers of old batches that one beat removes at the most."""

DEVICES_PAGE = 1_000
"""Devices of dead nodes that are removed at a time: few enough that each is searched for, and not all looked at."""

LONG_DEAD = 10
"""A node is forgotten after this many times `node_timeout_ms`, so that one that only stood still may go on."""

_BEAT = """
WITH before AS MATERIALIZED (SELECT seen_at FROM node WHERE id = $1), beat AS (
    INSERT INTO node (id, seen_at) VALUES ($1, now()) ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at)
SELECT EXISTS (SELECT 1 FROM before WHERE seen_at > now() - $2 * interval '1 ms')
"""
_DEAD = "SELECT id FROM node WHERE seen_at < now() - $1 * interval '1 ms'"
_FORGET_DEVICES = f"""
WITH gone AS MATERIALIZED (
    SELECT usr, sn FROM attached WHERE node = ANY ($1::bigint[]) LIMIT {DEVICES_PAGE} FOR UPDATE SKIP LOCKED)
DELETE FROM attached AS a USING gone WHERE a.usr = gone.usr AND a.sn = gone.sn
"""
# A node that has come back meanwhile stays.
_FORGET_NODES = """
DELETE FROM node WHERE id IN (
    SELECT id FROM node AS n WHERE id = ANY ($1::bigint[]) AND seen_at < now() - $2 * interval '1 ms'
        AND (SELECT 1 FROM attached WHERE node = n.id LIMIT 1) IS NULL
    FOR UPDATE SKIP LOCKED)
"""
_FORGET_BATCHES = f"""
DELETE FROM batch WHERE key IN (
    SELECT key FROM batch WHERE at < now() - interval '1 hour' ORDER BY at LIMIT {FORGET_MAX} FOR UPDATE SKIP LOCKED)
"""
# What lies behind in a store that has gone back in time. Nodes that go on hold numbers of drafts drawn before.
_DRAWN = ("msg_id", "draft_id", "attach_no")
_PULSE = """
SELECT epoch, ARRAY(SELECT id FROM node WHERE seen_at > now() - $1 * interval '1 ms' ORDER BY id) FROM meta
"""
_USERS = """
SELECT 1 FROM unnest($1::bigint[]) AS j (id)
CROSS JOIN LATERAL (SELECT 1 FROM "user" WHERE id = j.id FOR NO KEY UPDATE) AS u
"""
_CONNECTED = """
SELECT a.usr, a.sn FROM unnest($1::bigint[]) AS j (usr)
CROSS JOIN LATERAL (SELECT usr, sn, node FROM attached WHERE usr = j.usr OFFSET 0) AS a
JOIN node AS n ON n.id = a.node WHERE n.seen_at > now() - $2 * interval '1 ms' ORDER BY a.usr, a.sn
"""
# A node that has not beaten yet beats by this. Of two connections of a device in one call the later one counts.
_ATTACH = """
WITH asked AS MATERIALIZED (
    SELECT usr, sn, node, nextval('attach_no') AS no, place
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS j (usr, sn, node, place)),
nodes AS (INSERT INTO node (id, seen_at) SELECT DISTINCT node, now() FROM asked ORDER BY 1 ON CONFLICT DO NOTHING),
attaching AS (
    INSERT INTO attached (usr, sn, no, node)
    SELECT DISTINCT ON (usr, sn) usr, sn, no, node FROM asked ORDER BY usr, sn, no DESC
    ON CONFLICT (usr, sn) DO UPDATE SET no = excluded.no, node = excluded.node)
SELECT no FROM asked ORDER BY place
"""
_DETACH = """
DELETE FROM attached AS a USING (
    SELECT h.usr, h.sn FROM (
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS j (usr, sn, no) ORDER BY usr, sn) AS j
    CROSS JOIN LATERAL (SELECT * FROM attached WHERE usr = j.usr AND sn = j.sn AND no = j.no FOR UPDATE) AS h) AS gone
WHERE a.usr = gone.usr AND a.sn = gone.sn
"""
_DISMISS = """
DELETE FROM attached AS a USING (
    SELECT usr, sn FROM attached WHERE usr = $1 AND ($2::bigint = 0 OR sn = $2) ORDER BY usr, sn FOR UPDATE) AS gone
WHERE a.usr = gone.usr AND a.sn = gone.sn
"""
_REPLACED = """
SELECT j.usr, j.sn, j.no FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS j (usr, sn, no, place)
WHERE (SELECT no FROM attached WHERE usr = j.usr AND sn = j.sn) IS DISTINCT FROM j.no ORDER BY j.place
"""
_OUTDATED = f"""
SELECT j.id, j.valid_from_ms, t.state FROM unnest($1::bigint[], $2::bigint[]) AS j (id, valid_from_ms)
CROSS JOIN LATERAL (SELECT state FROM timeline WHERE id = j.id LIMIT 1) AS t
CROSS JOIN LATERAL (SELECT valid_from_ms FROM "user" WHERE id = j.id LIMIT 1) AS u
WHERE t.state <> {State.NORMAL:d} OR u.valid_from_ms <> j.valid_from_ms
"""


class Presence(Lanes):
    """The part of the `Store` port on PostgreSQL about connected devices."""

    _epoch: str

    async def renew_epoch(self) -> str:
        """Begin another epoch, also beside nodes that go on drawing ids."""
        epoch = secrets.token_hex(8)

        async def work(conn: Conn) -> None:
            # Whoever does the same waits here, so that no two jump from the same place.
            await conn.execute("UPDATE meta SET epoch = $1", epoch)
            for numbers in _DRAWN:
                await conn.execute(f"SELECT setval('{numbers}', last_value + $1) FROM {numbers}", EPOCH_STEP)

        await self._write(work)
        self._epoch = epoch
        return epoch

    async def beat(self, node: int) -> Pulse:
        """Say that a node lives, and forget what is left of the long dead."""
        timeout_ms = self._limits.node_timeout_ms

        async def work(conn: Conn) -> Pulse:
            # After an outage of the database no node has beaten for long: the first to be back buries nobody.
            if await conn.fetchval(_BEAT, node, timeout_ms):
                await self._forget(conn)
            epoch, nodes = await conn.fetchrow(_PULSE, timeout_ms)
            return Pulse(epoch, nodes)

        pulse = await self._write(work)
        self._epoch = pulse.epoch
        return pulse

    async def _forget(self, conn: Conn) -> None:
        long_ms = LONG_DEAD * self._limits.node_timeout_ms
        dead = [row[0] for row in await conn.fetch(_DEAD, long_ms)]
        if dead:
            await conn.execute(_FORGET_DEVICES, dead)
            await conn.execute(_FORGET_NODES, dead, long_ms)
        await conn.execute(_FORGET_BATCHES)

    async def leave(self, node: int) -> None:
        """A node ends. Should this be cut short, it counts as dead for long."""
        await self._write(
            lambda conn: conn.execute("UPDATE node SET seen_at = '-infinity' WHERE id = $1", node)
        )
        while await self._write(lambda conn: conn.execute(_FORGET_DEVICES, [node])) != "DELETE 0":
            pass
        await self._write(lambda conn: conn.execute(_FORGET_NODES, [node], 0))

    async def attach(self, asked: Sequence[Attach]) -> list[int]:
        """Note that devices have connected."""

        async def work(conn: Conn) -> list[int]:
            users = sorted({attach.user_id for attach in asked})
            # Else two nodes could each find room for the last device.
            await conn.execute(_USERS, users)
            connected = {
                (usr, sn) for usr, sn in await conn.fetch(_CONNECTED, users, self._limits.node_timeout_ms)
            }
            fits = self._fitting(asked, connected)
            let_in = [attach for attach, fit in zip(asked, fits, strict=True) if fit]
            told = [
                [attach.user_id for attach in let_in],
                [attach.device_sn for attach in let_in],
                [attach.node for attach in let_in],
            ]
            numbers = iter(await conn.fetch(_ATTACH, *told))
            return [next(numbers)[0] if fit else 0 for fit in fits]

        return await self._write(work)

    def _fitting(self, asked: Sequence[Attach], connected: set[tuple[int, int]]) -> list[bool]:
        """Which of these may connect, one after the other, beside those who are."""
        held = set(connected)
        count = Counter(usr for usr, _ in held)
        fits = []
        for attach in asked:
            device = (attach.user_id, attach.device_sn)
            fit = device in held or count[attach.user_id] < self._limits.devices_per_user_max
            if fit and device not in held:
                held.add(device)
                count[attach.user_id] += 1
            fits.append(fit)
        return fits

    async def detach(self, gone: Sequence[Attachment]) -> None:
        """Note that connections have ended."""
        await self._write(lambda conn: conn.execute(_DETACH, *columns_of(gone)))

    async def dismiss(self, user_id: int, device_sn: int = 0) -> int:
        """Let devices be connected no more."""

        async def work(conn: Conn) -> int:
            await conn.execute(_DISMISS, user_id, device_sn)
            number: int = await conn.fetchval("SELECT nextval('attach_no')")
            return number

        return await self._write(work)

    async def attached(self, user_id: int) -> list[int]:
        """List the devices that are connected."""
        asked = ([user_id], self._limits.node_timeout_ms)
        return [sn for _, sn in await self._look(lambda conn: conn.fetch(_CONNECTED, *asked))]

    async def present(self, user_ids: Sequence[int]) -> set[int]:
        """Which of these users have a device connected."""
        asked = (user_ids, self._limits.node_timeout_ms)
        return {user_id for user_id, _ in await self._look(lambda conn: conn.fetch(_CONNECTED, *asked))}

    async def replaced(self, connections: Sequence[Attachment]) -> list[Attachment]:
        """Which are no longer their device's connection."""
        found = await self._look(lambda conn: conn.fetch(_REPLACED, *columns_of(connections)))
        return [Attachment(*row) for row in found]

    async def outdated(self, known: Collection[tuple[int, int]]) -> dict[tuple[int, int], State]:
        """Which are not as they are known."""
        asked = ([user_id for user_id, _ in known], [valid_from_ms for _, valid_from_ms in known])
        found = await self._look(lambda conn: conn.fetch(_OUTDATED, *asked))
        return {(user_id, valid_from_ms): State(state) for user_id, valid_from_ms, state in found}


def columns_of(connections: Sequence[Attachment]) -> tuple[list[int], list[int], list[int]]:
    """Put connections as `unnest` takes them: users, devices, numbers."""
    return (
        [connection.user_id for connection in connections],
        [connection.device_sn for connection in connections],
        [connection.attach_no for connection in connections],
    )
