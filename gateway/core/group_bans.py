"""Who may not speak in a group, and who may not be in it (vendors.md §1.3: ban, block)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from gateway.core.group_changes import (
    GroupChanges,
    Outcome,
    outcomes,
    spares,
    want_admin,
    want_member,
)
from gateway.core.paging import after, page_limit, page_of
from gateway.core.principal import Principal
from gateway.core.rooms import Rooms
from gateway.domain.drafts import Draft
from gateway.domain.errors import bad
from gateway.domain.group_drafts import BanDraft, BlockDraft
from gateway.domain.model import FOREVER, ROOM, Banned, Blocked, Facts, Group

MINUTES_MAX = 10**11
"""The longest ban that is not for ever: its end (ms) is still a safe integer."""

_MINUTE_MS = 60_000


class BansPage(msgspec.Struct, frozen=True):
    """A page of a group's bans. `cursor` fetches the next, empty after the last; each change raises `version`."""

    bans: list[Banned]
    cursor: str
    version: int


class BlocksPage(msgspec.Struct, frozen=True):
    """A page of whom a group blocks; as `BansPage`."""

    blocks: list[Blocked]
    cursor: str
    version: int


def until(now: int, minutes: int) -> int:
    """When a ban of so many minutes ends (ms); 0 and -1: never.

    Raises:
        Problem: `BAD_PARAMETER`: no time that a ban can take.
    """
    if not -1 <= minutes <= MINUTES_MAX:
        raise bad("duration", f"it must be -1 to {MINUTES_MAX} minutes")
    return now + minutes * _MINUTE_MS if minutes > 0 else FOREVER


class GroupBans:
    """The owner bans and blocks everybody, an administrator of the group only plain members.

    Every call raises what `GroupChanges` does, `NOT_A_MEMBER`, `ADMIN_ONLY`, and `BAD_PARAMETER` for nobody or too
    many.
    """

    def __init__(self, changes: GroupChanges, rooms: Rooms) -> None:
        self._changes = changes
        self._rooms = rooms

    async def ban(
        self, principal: Principal, group_xid: int, user_xids: Sequence[int], minutes: int
    ) -> list[Outcome]:
        """Let members read, but not speak, for so many minutes; 0 and -1: for good. Leaving ends no ban.

        Each by itself; who is banned already is from now on banned for this long.
        """
        ends = until(self._changes.clock_ms(), minutes)
        return await self._ban(principal, group_xid, user_xids, ends)

    async def unban(self, principal: Principal, group_xid: int, user_xids: Sequence[int]) -> list[Outcome]:
        """Let users speak again; who was not banned is answered like one who was."""
        return await self._ban(principal, group_xid, user_xids, 0)

    async def _ban(
        self, principal: Principal, group_xid: int, user_xids: Sequence[int], ends: int
    ) -> list[Outcome]:
        named, system_xid = self._changes.users(user_xids, least=1), principal.app.system_xid

        def judge(group: Group, facts: Facts) -> Draft:
            want_admin(principal, facts, group_xid)
            return BanDraft(
                **self._changes.judged(principal, group),
                user_xids=tuple(xid for xid in named if xid != system_xid),
                until=ends,
                sparing=spares(principal, facts),
            )

        done = await self._changes.change(principal, group_xid, judge)
        return outcomes(named, done.refused, system_xid)

    async def banned_list(self, principal: Principal, group_xid: int, cursor: str, limit: int) -> BansPage:
        """A page of who is banned now, by rising id, for members; bounded and paged as `member_list`."""
        start, limit = after(cursor), page_limit(limit, self._changes.limits.member_page_max)
        group, facts = await self._changes.look(principal, group_xid)
        want_member(principal, facts, group_xid)
        now = self._changes.clock_ms()
        found = await self._changes.store.group_bans(group.id, start, limit + 1, now)
        bans, more = page_of(found, limit, lambda banned: banned.xid)
        return BansPage(bans, more, group.facts_version)

    async def all_banned(self, principal: Principal, group_xid: int) -> AsyncIterator[Banned]:
        """Who is banned now, page by page; raises what `banned_list` raises."""
        cursor, more = "", True
        while more:
            page = await self.banned_list(principal, group_xid, cursor, self._changes.limits.member_page_max)
            for one in page.bans:
                yield one
            cursor, more = page.cursor, bool(page.cursor)

    async def all_blocked(self, principal: Principal, group_xid: int) -> AsyncIterator[Blocked]:
        """Who is blocked, page by page; raises what `blocked_list` raises."""
        cursor, more = "", True
        while more:
            page = await self.blocked_list(principal, group_xid, cursor, self._changes.limits.member_page_max)
            for one in page.blocks:
                yield one
            cursor, more = page.cursor, bool(page.cursor)

    async def block(self, principal: Principal, group_xid: int, user_xids: Sequence[int]) -> list[Outcome]:
        """Keep users out: who is in the group is kicked, and nobody of them joins, applies or is invited.

        Each by itself; the owner stays. Who is kept out of a chatroom does not speak in it either.
        """
        return await self._block(principal, group_xid, user_xids, blocked=True)

    async def unblock(self, principal: Principal, group_xid: int, user_xids: Sequence[int]) -> list[Outcome]:
        """Let users come again; who was not blocked is answered like one who was."""
        return await self._block(principal, group_xid, user_xids, blocked=False)

    async def _block(
        self, principal: Principal, group_xid: int, user_xids: Sequence[int], *, blocked: bool
    ) -> list[Outcome]:
        named, system_xid = self._changes.users(user_xids, least=1), principal.app.system_xid
        room_id = 0

        def judge(group: Group, facts: Facts) -> Draft:
            nonlocal room_id
            want_admin(principal, facts, group_xid)
            room_id = group.id if group.type == ROOM else 0
            return BlockDraft(
                **self._changes.judged(principal, group),
                user_xids=tuple(xid for xid in named if xid != system_xid),
                blocked=blocked,
                create=not principal.app.registered,
                sparing=spares(principal, facts),
            )

        done = await self._changes.change(principal, group_xid, judge)
        if room_id and blocked:
            self._rooms.put_out(room_id, group_xid, [xid for xid in named if xid not in done.refused])
        return outcomes(named, done.refused, system_xid)

    async def blocked_list(self, principal: Principal, group_xid: int, cursor: str, limit: int) -> BlocksPage:
        """A page of who is blocked, by rising id, for the owner and administrators; as `banned_list`."""
        start, limit = after(cursor), page_limit(limit, self._changes.limits.member_page_max)
        group, facts = await self._changes.look(principal, group_xid)
        want_admin(principal, facts, group_xid)
        found = await self._changes.store.group_blocks(group.id, start, limit + 1)
        blocks, more = page_of(found, limit, lambda blocked: blocked.xid)
        return BlocksPage(blocks, more, group.facts_version)
