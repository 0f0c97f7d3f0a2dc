"""Kept devices on PostgreSQL: their rows and cursors, and who goes where a user has too many (design §3, Device)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.domain.model import State
from gateway.domain.positions import Attachment, Keep
from gateway.store.postgres.lane import Conn, Lanes
from gateway.store.postgres.presence import columns_of
from gateway.store.receipts import sort_out

# Whoever keeps another device of a user, attaches one or ends the user waits here; then it is seen which connections
# are their devices' still, and they stay so until the commit.
_LOCKED = """
WITH users AS MATERIALIZED (
    SELECT 1 FROM unnest($1::bigint[]) AS j (id)
    CROSS JOIN LATERAL (SELECT 1 FROM "user" WHERE id = j.id FOR NO KEY UPDATE) AS u)
SELECT a.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS j (usr, sn, no)
CROSS JOIN LATERAL (SELECT usr, sn, no FROM attached WHERE usr = j.usr AND sn = j.sn AND no = j.no FOR SHARE) AS a
WHERE (SELECT count(*) FROM users) >= 0
"""
# A write that was under way when its user was deleted must not bring a device back.
_KEEP = f"""
WITH there AS MATERIALIZED (
    SELECT usr, sn, at, platform, user_agent
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::text[])
        AS j (usr, sn, at, platform, user_agent)
    WHERE (SELECT state FROM timeline WHERE id = j.usr) <> {State.DELETED:d}),
devices AS (
    INSERT INTO device AS d (usr, sn, seen_at, platform, user_agent) SELECT * FROM there ORDER BY usr, sn
    ON CONFLICT (usr, sn) DO UPDATE SET seen_at = greatest(d.seen_at, excluded.seen_at),
        platform = CASE excluded.platform WHEN 0 THEN d.platform ELSE excluded.platform END,
        user_agent = CASE excluded.user_agent WHEN '' THEN d.user_agent ELSE excluded.user_agent END)
INSERT INTO cursor (usr, sn, t, seq)
SELECT j.usr, j.sn, j.t, j.seq
FROM unnest($6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]) AS j (usr, sn, t, seq)
WHERE (j.usr, j.sn) IN (SELECT usr, sn FROM there) ORDER BY j.usr, j.sn, j.t
ON CONFLICT (usr, sn, t) DO UPDATE SET seq = excluded.seq
"""
# The devices of users who have too many, but for the connected ones, the longest unseen first; and how many too many.
_EXCESS = """
SELECT d.usr, d.sn, c.count - $2::int FROM unnest($1::bigint[]) AS j (usr)
CROSS JOIN LATERAL (SELECT count(*) AS count FROM device WHERE usr = j.usr) AS c
CROSS JOIN LATERAL (SELECT usr, sn, seen_at FROM device WHERE usr = j.usr AND c.count > $2 OFFSET 0) AS d
WHERE (SELECT n.seen_at > now() - $3 * interval '1 ms' FROM attached AS a JOIN node AS n ON n.id = a.node
    WHERE a.usr = d.usr AND a.sn = d.sn) IS NOT TRUE
ORDER BY d.usr, d.seen_at, d.sn
"""
_EVICT = """
WITH gone AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS j (usr, sn)),
devices AS (DELETE FROM device AS d USING gone WHERE d.usr = gone.usr AND d.sn = gone.sn)
DELETE FROM cursor AS c USING gone WHERE c.usr = gone.usr AND c.sn = gone.sn
"""

_Device = tuple[int, int]


class Devices(Lanes):
    """The part of the `Store` port on PostgreSQL that makes devices kept."""

    async def keep(self, devices: Sequence[Keep]) -> list[Attachment]:
        """Make devices kept."""
        if not devices:
            return []
        return await self._write(lambda conn: self._keep(conn, devices))

    async def _keep(self, conn: Conn, devices: Sequence[Keep]) -> list[Attachment]:
        connections = [Attachment(d.user_id, d.device_sn, d.attach_no) for d in devices if d.attach_no]
        connections.sort(key=lambda one: (one.user_id, one.device_sn))
        users = sorted({device.user_id for device in devices})
        locked = await conn.fetch(_LOCKED, users, *columns_of(connections))
        current = {Attachment(*row) for row in locked}
        held, replaced = sort_out(devices, current.__contains__)
        if held:
            kept = _merged(held)
            await conn.execute(_KEEP, *_kept_columns(kept))
            most, dead_ms = self._limits.devices_per_user_max, self._limits.node_timeout_ms
            excess = await conn.fetch(_EXCESS, sorted({usr for usr, _ in kept}), most, dead_ms)
            if gone := _evicted(excess, held):
                await conn.execute(_EVICT, [usr for usr, _ in gone], [sn for _, sn in gone])
        return replaced


def _merged(devices: Sequence[Keep]) -> dict[_Device, Keep]:
    """Put together what is asked of the same device, the later over the earlier; by rising user and device."""
    merged: dict[_Device, Keep] = {}
    for device in devices:
        place = (device.user_id, device.device_sn)
        before = merged.get(place, device)
        merged[place] = msgspec.structs.replace(
            device,
            at=max(before.at, device.at),
            cursors={**before.cursors, **device.cursors},
            platform=device.platform or before.platform,
            user_agent=device.user_agent or before.user_agent,
        )
    return dict(sorted(merged.items()))


def _kept_columns(kept: dict[_Device, Keep]) -> list[list[Any]]:
    cursors = [(place, t, seq) for place, device in kept.items() for t, seq in device.cursors.items()]
    return [
        [usr for usr, _ in kept],
        [sn for _, sn in kept],
        [device.at for device in kept.values()],
        [device.platform for device in kept.values()],
        [device.user_agent for device in kept.values()],
        [place[0] for place, _, _ in cursors],
        [place[1] for place, _, _ in cursors],
        [t for _, t, _ in cursors],
        [seq for _, _, seq in cursors],
    ]


def _evicted(excess: Sequence[Any], kept: Sequence[Keep]) -> list[_Device]:
    """Choose who goes, of devices (user, device, how many the user has too many): not who came last, nor the spared."""
    spared = {(device.user_id, sn) for device in kept for sn in device.spared}
    spared.update({device.user_id: (device.user_id, device.device_sn) for device in kept}.values())
    gone: list[_Device] = []
    left: dict[int, int] = {}
    for usr, sn, count in excess:
        if (usr, sn) not in spared and left.setdefault(usr, count) > 0:
            left[usr] -= 1
            gone.append((usr, sn))
    return gone
