"""Attaching a device: two queries whatever the number of groups, and a start for every timeline (design §3, §6).

Devices come back all at once: the queries of those who attach at the same moment are one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.core.connection import Connection, Sink
from gateway.core.hub import Hub
from gateway.core.lane import Lane, Line
from gateway.core.presence import Presence
from gateway.core.receipts import Receipts
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import DEVICE_SN_MAX, App, User
from gateway.domain.positions import Bearing, Standing, Stay
from gateway.store.base import Store
from gateway.wire.effects import Write
from gateway.wire.frames import frame
from gateway.wire.session import Pace, Session
from gateway.wire.track import Track

STANDINGS_MAX = 64
"""Devices that one query asks about: they go on in one turn of the loop, which must not be a long one."""

BEARINGS_MAX = 2_000
"""Timelines that one query asks about, but for a device that follows more."""

ABREAST = 2
"""Queries of each kind that are under way at a time: one that hangs holds up only those who share it."""

_FULL_RETRY_MS = 5_000
"""When a device may ask again whose app has all the connections it may have: from this on, up to twice as much."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says of itself when it attaches. `cursors` None: nothing stated, the stored ones hold."""

    device_sn: int = 0
    platform: int = 0
    user_agent: str = ""
    epoch: str = ""
    cursors: Mapping[str, int] | None = None


_Asked = list[tuple[int, int, int]]


class _Followed(Line[_Asked, list[Bearing]]):
    """Devices that wait for the heads of what they follow: so many at a time that one query may ask for all."""

    def take(self) -> list[tuple[_Asked, asyncio.Future[list[Bearing]]]]:
        """Take the first."""
        taken = [self.popleft()]
        count = len(taken[0][0])
        while self and len(taken) < STANDINGS_MAX and (count := count + len(self[0][0])) <= BEARINGS_MAX:
            taken.append(self.popleft())
        return taken


class EndedError(Exception):
    """A connection was ended before it had attached: replaced, told to go, or the node drains. It has had its `bye`."""


class Attaching:
    """Makes a connection of an authenticated socket."""

    def __init__(
        self,
        store: Store,
        hub: Hub,
        receipts: Receipts,
        presence: Presence,
        limits: Limits,
        clock_ms: Callable[[], int],
        ticks_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._hub = hub
        self._receipts = receipts
        self._presence = presence
        self._limits = limits
        self._now = clock_ms
        self._ticks = ticks_ms
        self._pace = Pace(
            unacked_max=limits.unacked_max,
            page_max=hub.fetches.page_max,
            heartbeat_ms=limits.heartbeat_ms,
            idle_timeout_ms=limits.idle_timeout_ms,
            reorder_grace_ms=limits.reorder_grace_ms,
        )
        self._standings: Lane[tuple[int, int], Standing] = Lane(
            self._read_standings, Line(STANDINGS_MAX), abreast=ABREAST
        )
        self._bearings: Lane[_Asked, list[Bearing]] = Lane(
            self._read_bearings, _Followed(STANDINGS_MAX), abreast=ABREAST
        )

    async def attach(self, app: App, user: User, claim: Claim, sink: Sink, expires_at: int) -> Connection:
        """Attach a device and begin its replay; at `expires_at` (ms) it is told `bye`.

        Raises `Problem`, or `EndedError` where others have ended it meanwhile; the hub knows nothing of it then.
        """
        if user.id == app.system_id:
            raise Problem(Kind.FORBIDDEN, "the app's reserved user has no devices")
        device_sn = claim.device_sn or self._free_sn(user.id)
        if device_sn not in self._hub.devices_of(user.id):
            self._want_room(app)
        ticks = self._ticks()
        # From here on time is measured by a clock that does not jump.
        session = Session(
            user.xid, user.id, self._pace, ticks, ticks + expires_at - self._now(), sink.encoding
        )
        connection = Connection(app, user, device_sn, session, sink)
        connection.platform, connection.user_agent = claim.platform, claim.user_agent
        # At once, so that the next one that attaches is counted and replaced with this one in mind.
        self._hub.admit(connection)
        try:
            await self._receipts.settle(user.id, device_sn)
            # Before anything is read of the device: from now on only this connection changes it. And before anything
            # else is waited for: a bus that hangs must not make of who came first the newest.
            await self._presence.attach(connection)
            if connection.over:
                raise EndedError
            # Registered before the heads are read, here and below: what is committed in between reaches us one way
            # or the other.
            await self._hub.register(connection, session.tracks[user.id], user.xid)
            standing = await self._standings.submit((user.id, device_sn))
            if standing.head < 0:
                raise _another_store()
            connection.kept = standing.kept
            await self._begin(connection, standing, claim)
            self._presence.hears(connection)
        except BaseException:
            self._hub.detach(connection)
            raise
        return connection

    def _want_room(self, app: App) -> None:
        most = app.limits.connections_max
        if most and self._hub.connections_of(app.id) >= most:
            # Jittered, so that those who are turned away do not come back in one moment.
            later_ms = _FULL_RETRY_MS + secrets.randbelow(_FULL_RETRY_MS)
            raise Problem(
                Kind.OVERLOADED,
                f"at most {most} devices of this app may be connected",
                retry_after_ms=later_ms,
            )

    def _free_sn(self, user_id: int) -> int:
        taken = self._hub.devices_of(user_id)
        while (device_sn := secrets.randbelow(DEVICE_SN_MAX) + 1) in taken:
            pass
        return device_sn

    async def _begin(self, connection: Connection, standing: Standing, claim: Claim) -> None:
        hub, session, user = self._hub, connection.session, connection.user
        # The own timeline's head is of the snapshot that the stays are of.
        bearings = [Bearing(user.id, standing.head, 0, standing.cursor)]
        groups = [(stay.group_id, stay.group_xid, stay.from_seq) for stay in standing.stays]
        tracks = session.attach(standing.head, groups)
        if tracks:
            bearings += await self._follow(connection, tracks, standing.stays)
        # Of who has gone meanwhile nothing is stated: it may have come back elsewhere, and know better.
        if connection.over:
            raise EndedError
        delivered = {stay.group_id: stay.delivered for stay in standing.stays} | {user.id: standing.delivered}
        floors = {stay.group_id: stay.from_seq - 1 for stay in standing.stays} | {user.id: 0}
        stated = self._stated(connection, bearings, claim)
        for bearing in bearings:
            timeline_id = bearing.timeline_id
            start = _start(
                bearing, kept=standing.kept, stay=floors[timeline_id], delivered=delivered[timeline_id]
            )
            start = max(stated.get(timeline_id, start), floors[timeline_id])
            session.prime(timeline_id, start, bearing.head)
        starts = session.starts
        if stated:
            await self._receipts.state(connection)
            if session.ended:
                raise EndedError
            for bearing in bearings:
                # Ahead of what was known, a stated cursor is an ack.
                if stated.get(bearing.timeline_id, 0) > delivered[bearing.timeline_id]:
                    self._receipts.ack(connection, bearing.timeline_id, starts[bearing.timeline_id])
        elif standing.kept:
            # Says nothing new of what it holds, but that it was seen: eviction takes the longest unseen.
            self._receipts.ack(connection, user.id, starts[user.id])
        if session.ended:
            raise EndedError
        welcome, effects = self._welcome(connection), session.start()
        if effects and isinstance(effects[0], Write):
            # Where nothing is to be replayed: `live` goes with it.
            effects[0] = Write(welcome + effects[0].data)
        else:
            effects.insert(0, Write(welcome))
        hub.perform(connection, effects)

    async def _follow(
        self, connection: Connection, tracks: Sequence[Track], stays: Sequence[Stay]
    ) -> list[Bearing]:
        for track, stay in zip(tracks, stays, strict=True):
            await self._hub.register(connection, track, stay.group_xid)
        user_id, device_sn = connection.user.id, connection.device_sn
        found = await self._bearings.submit([(user_id, device_sn, stay.group_id) for stay in stays])
        if len(found) != len(stays):
            raise _another_store()
        return found

    async def _read_standings(self, asked: list[tuple[int, int]]) -> list[Standing]:
        return await self._store.standings(asked)

    async def _read_bearings(self, asked: list[_Asked]) -> list[list[Bearing]]:
        found = deque(await self._store.bearings([one for followed in asked for one in followed]))
        # What is missing is missing in one device's alone: the others' follow in the order asked.
        return [
            [found.popleft() for _, _, one in followed if found and found[0].timeline_id == one]
            for followed in asked
        ]

    def _stated(self, connection: Connection, bearings: list[Bearing], claim: Claim) -> dict[int, int]:
        """Return the cursors of a `hello` that count: of this epoch, of followed timelines, not above the head."""
        if not claim.cursors or claim.epoch not in ("", self._store.epoch):
            return {}
        tracks = connection.session.tracks
        stated = {
            bearing.timeline_id: claim.cursors.get(tracks[bearing.timeline_id].name, -1)
            for bearing in bearings
            if bearing.timeline_id in tracks
        }
        heads = {bearing.timeline_id: bearing.head for bearing in bearings}
        return {timeline_id: seq for timeline_id, seq in stated.items() if 0 <= seq <= heads[timeline_id]}

    def _welcome(self, connection: Connection) -> bytes:
        limits = self._limits
        told: dict[str, Any] = {
            "uid": connection.user.xid,
            "device_sn": connection.device_sn,
            "session": secrets.token_hex(8),
            "epoch": self._store.epoch,
            "server_time": self._now(),
            "heartbeat_ms": limits.heartbeat_ms,
            "limits": {
                "frame_bytes_max": limits.frame_bytes_max,
                "unacked_max": limits.unacked_max,
                "content_bytes_max": limits.content_bytes_max,
                "attachment_bytes_max": limits.attachment_bytes_max,
                "targets_max": limits.targets_max,
            },
            "cursors": connection.session.cursors,
        }
        return frame(connection.sink.encoding, "welcome", **told)


def _another_store() -> Problem:
    return Problem(
        Kind.STORE_FAILED,
        "the store does not know this user as this node does: come back",
        retry_after_ms=_FULL_RETRY_MS,
    )


def _start(bearing: Bearing, *, kept: bool, stay: int, delivered: int) -> int:
    """Say where a device starts on one timeline (design §3, "Where a device starts")."""
    if not kept:
        return max(delivered, stay)
    return bearing.cursor if bearing.cursor >= 0 else stay
