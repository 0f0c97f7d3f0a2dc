"""Lists of groups, and of users that a group treats in some way: each a page that is bounded by its caller."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gateway.domain.model import Banned, Blocked, Group, GroupRequest, Member
from gateway.store.sqlite import directory, group_requests, listed
from gateway.store.sqlite.lane import Lanes, rows

_ADMINS = """SELECT t.xid, s.joined_at FROM stay AS s JOIN timeline AS t ON t.id = s.usr
WHERE s.grp = ? AND s.admin = 1 ORDER BY t.xid"""
_TRUSTED = """SELECT t.xid, s.joined_at FROM stay AS s JOIN timeline AS t ON t.id = s.usr
WHERE s.grp = ? AND s.trusted = 1 ORDER BY t.xid"""
_BANS = """SELECT t.xid, b.until, coalesce(s.joined_at, 0) FROM ban AS b JOIN timeline AS t ON t.id = b.usr
LEFT JOIN stay AS s ON s.usr = b.usr AND s.grp = b.grp AND s.to_seq IS NULL
WHERE b.grp = ? AND b.until > ? AND t.xid > ? ORDER BY t.xid LIMIT ?"""
_BLOCKS = """SELECT t.xid, b.at FROM grp_block AS b JOIN timeline AS t ON t.id = b.usr
WHERE b.grp = ? AND t.xid > ? ORDER BY t.xid LIMIT ?"""
# Groups get their ids from the server, which counts: their own order is that of their xids.
_OF_TYPE = """SELECT t.xid FROM grp AS g JOIN timeline AS t ON t.id = g.id
WHERE g.app = ?1 AND g.type = ?2 AND g.destroyed_at IS NULL
    AND g.id > coalesce((SELECT id FROM timeline WHERE app = ?1 AND xid = ?3), 0)
ORDER BY g.id LIMIT ?4"""


_KEPT_OUT = """SELECT b.grp, b.usr FROM json_each(?) AS j
CROSS JOIN grp_block AS b ON b.grp = j.value ->> 0 AND b.usr = j.value ->> 1"""


class GroupLists(Lanes):
    """The part of the `Store` port on SQLite that lists what is about groups."""

    async def groups(self, app: int, xids: Sequence[int]) -> dict[int, Group]:
        """Find groups."""
        return await self._read(lambda conn: directory.find_groups(conn, app, xids))

    async def groups_of_type(self, app: int, kind: int, after_xid: int, limit: int) -> list[int]:
        """List groups."""
        return await self._read(
            lambda conn: [xid for (xid,) in conn.execute(_OF_TYPE, (app, kind, after_xid, limit)).fetchall()]
        )

    async def group_admins(self, group_id: int) -> list[Member]:
        """List administrators."""
        return await self._read(
            lambda conn: [
                Member(xid=xid, joined_at=joined_at)
                for xid, joined_at in conn.execute(_ADMINS, (group_id,)).fetchall()
            ]
        )

    async def group_trusted(self, group_id: int) -> list[Member]:
        """List who is trusted."""
        return await self._read(
            lambda conn: [
                Member(xid=xid, joined_at=joined_at)
                for xid, joined_at in conn.execute(_TRUSTED, (group_id,)).fetchall()
            ]
        )

    async def list_in(self, group_id: int, user_ids: Sequence[int], at: int) -> bool:
        """List users as members of a chatroom."""
        most = self._limits.group_members_max
        return await self._write(lambda conn: listed.list_in(conn, group_id, user_ids, at, most))

    async def unlist(self, group_id: int, user_ids: Sequence[int]) -> set[int]:
        """List users no longer."""
        return await self._write(lambda conn: listed.unlist(conn, group_id, user_ids))

    async def listed(self, group_id: int, after_xid: int, limit: int) -> list[Member]:
        """List who is listed."""
        return await self._read(lambda conn: listed.find_listed(conn, group_id, after_xid, limit))

    async def listed_counts(self, inside: Mapping[int, Collection[int]]) -> dict[int, int]:
        """Count members of chatrooms."""
        return await self._read(lambda conn: listed.count_listed(conn, inside))

    async def listing(self, user_id: int) -> list[int]:
        """List chatrooms."""
        return await self._read(lambda conn: listed.find_listing(conn, user_id))

    async def group_bans(self, group_id: int, after_xid: int, limit: int, now: int) -> list[Banned]:
        """List who is banned."""
        return await self._read(
            lambda conn: [
                Banned(xid=xid, until=until, joined_at=joined_at)
                for xid, until, joined_at in conn.execute(_BANS, (group_id, now, after_xid, limit)).fetchall()
            ]
        )

    async def group_blocks(self, group_id: int, after_xid: int, limit: int) -> list[Blocked]:
        """List who is blocked."""
        return await self._read(
            lambda conn: [
                Blocked(xid=xid, at=at)
                for xid, at in conn.execute(_BLOCKS, (group_id, after_xid, limit)).fetchall()
            ]
        )

    async def kept_out(self, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Which of these may not be in the group."""
        return await self._look(
            lambda conn: [
                (group_id, user_id)
                for group_id, user_id in conn.execute(_KEPT_OUT, (rows(list(pairs)),)).fetchall()
            ]
        )

    async def applications(
        self, group_ids: Sequence[int], after_id: int, limit: int, now: int
    ) -> list[GroupRequest]:
        """List open applications."""
        return await self._read(
            lambda conn: group_requests.list_applications(conn, group_ids, after_id, limit, now)
        )

    async def invitations(self, user_id: int, after_id: int, limit: int, now: int) -> list[GroupRequest]:
        """List open invitations."""
        return await self._read(
            lambda conn: group_requests.list_invitations(conn, user_id, after_id, limit, now)
        )
