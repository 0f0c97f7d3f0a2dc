"""Chatrooms: whoever is connected may be in one, for as long as the connection lasts (design §3, Chatroom)."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Collection, Sequence

from gateway.bus.base import PutOut
from gateway.core.census import Census
from gateway.core.connection import Connection
from gateway.core.hub import Hub
from gateway.core.notes import Notes
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, Facts, Member
from gateway.store.base import Store
from gateway.wire.frames import Told
from gateway.wire.track import ROOM_PREFIX, RoomTrack

COUNT_PAGE = 5_000
"""How many are listed at a time where they are only counted: one note still holds them."""

COMPARE_PAGE = 1_000
"""Whether so many may be in their chatrooms is asked of the store at a time."""


class Rooms:
    """Lets devices into chatrooms and out of them, and knows who is in one. `nodes`: how many there are."""

    def __init__(
        self,
        store: Store,
        hub: Hub,
        notes: Notes,
        nodes: Callable[[], int],
        limits: Limits,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._hub = hub
        self._notes = notes
        self._limits = limits
        self._now = clock_ms
        self._census = Census(notes, self._here, nodes)
        notes.on(PutOut, self._put_out_here)

    async def join(
        self, connection: Connection, room_xid: int, seq: int | None, answer: Callable[[str, int], bytes]
    ) -> None:
        """Let a device into a chatroom, at its head or after `seq` where that is below it.

        What `answer` makes of the timeline's name and of the seq it starts after is written before any entry. Of a
        chatroom the device is in already it is told how far it has got, and nothing else changes.

        Raises:
            Problem: `GROUP_UNKNOWN`, `BAD_PARAMETER` for a group that is no chatroom, `GROUP_BLOCKED`, and
                `GROUPS_FULL` for a device that is in too many.
        """
        session, hub = connection.session, self._hub
        room_id = (await self._judge(connection, room_xid)).group_id
        if session.ended:
            return
        known = session.track(room_id)
        if known is not None:
            hub.write(connection, answer(known.name, known.sent))
            return
        most = self._limits.rooms_per_connection_max
        if len(session.rooms) >= most:
            raise Problem(Kind.GROUPS_FULL, f"room_id: a device is in at most {most} chatrooms")
        track = session.join(room_id, room_xid, self._now())
        try:
            await hub.register(connection, track, room_xid)
            [bearing] = await self._store.bearings([(connection.user.id, connection.device_sn, room_id)])
            # Not before the head is read: an end of the chatroom that this does not see is an entry above that head.
            await self._judge(connection, room_xid)
        except BaseException:
            if session.track(room_id) is track:
                hub.perform(connection, session.leave(room_id))
            raise
        if session.track(room_id) is not track:
            raise Problem(Kind.FORBIDDEN, f"room_id: put out of chatroom {room_xid}")
        start = bearing.head if seq is None else min(seq, bearing.head)
        hub.write(connection, answer(track.name, start))
        hub.perform(connection, session.prime(room_id, start, bearing.head))

    def leave(self, connection: Connection, room_xid: int) -> None:
        """Let a device out of a chatroom. One that is not in it has nothing to leave, and that is well."""
        for track in connection.session.rooms:
            if track.name == f"{ROOM_PREFIX}{room_xid}":
                self._hub.perform(connection, connection.session.leave(track.timeline_id))

    async def _judge(self, connection: Connection, room_xid: int) -> Facts:
        [facts] = await self._store.facts(connection.app.id, [room_xid], connection.user.xid)
        if facts is None:
            raise Problem(Kind.GROUP_UNKNOWN, f"there is no group {room_xid}")
        if facts.type != ROOM:
            raise bad("room_id", f"{room_xid} is not a chatroom")
        if not facts.member:
            raise Problem(Kind.GROUP_BLOCKED, f"chatroom {room_xid} keeps this user out")
        return facts

    # -- who is in one ----------------------------------------------------------------------------------

    async def count(self, room_id: int) -> int:
        """Return how many users are in a chatroom, as far as other nodes answer."""
        if self._census.alone:
            return len({connection.user.id for connection in self._hub.followers(room_id)})
        return len(await _all(self.members, room_id))

    async def members(self, room_id: int, after_xid: int, limit: int) -> list[Member]:
        """List who is in a chatroom, by rising id after the one given, and since when; as far as other nodes answer."""
        return await self._census.page(room_id, after_xid, limit)

    async def all_members(self, room_id: int) -> list[int]:
        """Return the ids of all who are members of a chatroom: listed by its app, or in it now."""
        listed, inside = await _all(self._store.listed, room_id), await _all(self.members, room_id)
        return sorted({*listed, *inside})

    async def sizes(self, room_ids: Sequence[int]) -> list[int]:
        """Return how many users `all_members` would tell of each chatroom."""
        # At once: each may have to wait for other nodes.
        inside = await asyncio.gather(*(_all(self.members, room_id) for room_id in room_ids))
        counts = await self._store.listed_counts(dict(zip(room_ids, inside, strict=True)))
        return [counts[room_id] for room_id in room_ids]

    async def list_in(self, room_id: int, user_ids: Sequence[int], at: int) -> None:
        """List users as members, whoever is connected. Raises `GROUP_FULL` where there is no room for all of them."""
        if not await self._store.list_in(room_id, user_ids, at):
            raise Problem(
                Kind.GROUP_FULL, f"a chatroom lists at most {self._limits.group_members_max} members"
            )

    async def unlist(self, room_id: int, user_ids: Sequence[int]) -> set[int]:
        """List users no longer; return which of them were. Who is connected hears on."""
        return await self._store.unlist(room_id, user_ids)

    async def listing(self, user_id: int) -> list[int]:
        """Return the ids of the chatrooms that list a user."""
        return await self._store.listing(user_id)

    async def among(self, room_id: int, user_xids: Collection[int]) -> set[int]:
        """Return which of some users are in a chatroom, as far as other nodes answer."""
        found: set[int] = set()
        sought = sorted(user_xids)
        while sought:
            page = await self._census.page(room_id, sought[0] - 1, COUNT_PAGE)
            found.update(member.xid for member in page)
            last = page[-1].xid if len(page) == COUNT_PAGE else sought[-1]
            sought = [xid for xid in sought if xid > last]
        return found.intersection(user_xids)

    def _here(self, room_id: int, after_xid: int, limit: int) -> list[Member]:
        since: dict[int, int] = {}
        for connection in self._hub.followers(room_id):
            xid, track = connection.user.xid, connection.session.track(room_id)
            if xid > after_xid and isinstance(track, RoomTrack):
                since[xid] = min(since.get(xid, track.joined_at), track.joined_at)
        return [Member(xid=xid, joined_at=since[xid]) for xid in heapq.nsmallest(limit, since)]

    def put_out(self, room_id: int, room_xid: int, user_xids: Collection[int]) -> None:
        """Put users out of a chatroom, on all devices of every node; their devices are told."""
        note = PutOut(room_id=room_id, room_xid=room_xid, user_xids=tuple(user_xids))
        self._put_out_here(note)
        self._notes.publish(note)

    async def compare(self) -> None:
        """Put out who may not be in a chatroom any more, where no note has said so."""
        rooms = self._hub.rooms
        inside = {
            (room_id, one.user.id): one.user.xid for room_id, (_, here) in rooms.items() for one in here
        }
        pairs = list(inside)
        for start in range(0, len(pairs), COMPARE_PAGE):
            for pair in await self._store.kept_out(pairs[start : start + COMPARE_PAGE]):
                room_id, _ = pair
                room_xid, _ = rooms[room_id]
                self._put_out_here(PutOut(room_id=room_id, room_xid=room_xid, user_xids=(inside[pair],)))

    def _put_out_here(self, note: PutOut) -> None:
        named = frozenset(note.user_xids)
        for connection in self._hub.followers(note.room_id):
            xid = connection.user.xid
            if xid in named:
                told = Told("group", action="kicked", group_id=note.room_xid, user_ids=[xid])
                self._hub.write(connection, told.frame(connection.sink.encoding))
                self._hub.perform(connection, connection.session.leave(note.room_id))


async def _all(page_of: Callable[[int, int, int], Awaitable[list[Member]]], room_id: int) -> list[int]:
    """Return the ids of all users of a list that is read page by page."""
    xids: list[int] = []
    while page := await page_of(room_id, xids[-1] if xids else 0, COUNT_PAGE):
        xids += [member.xid for member in page]
        if len(page) < COUNT_PAGE:
            break
    return xids
