"""Groups: who is in them and who may change that (lanying.md, Calls; vendors.md §1.3 and §1.4).

Who may do what:

- the owner: everything, but not leave; a group is never without its owner;
- the group's administrators: put members out, ban and block them, answer applications, invite, name the group;
- a member: see the group and its members, leave, and, where `member_invitation` is on, invite. It is on in a new
  public group, and off in a private one, as the vendor's `allow_member_invitation`;
- anybody: see a public group (not its members);
- an administrator's token alone: everything in every group. With `user_id` it may what that user may, with
  `group_id` what that group's owner may, in that group only.

Whoever is invited is a member at once, unless the group's `invite_confirm` lets who is invited decide.

In a chatroom anybody is a member: its members are told by who is in it, and come and go by the device channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gateway.core.group_bans import GroupBans
from gateway.core.group_changes import (
    PRIVATE,
    PUBLIC,
    GroupChanges,
    Outcome,
    changed,
    outcomes,
    spares,
    want_admin,
    want_member,
    want_members_kept,
    want_owner,
)
from gateway.core.group_requests import GroupRequests
from gateway.core.group_roles import GroupRoles
from gateway.core.group_settings import GroupSettingsCalls
from gateway.core.paging import after, page_limit, page_of
from gateway.core.principal import Principal
from gateway.core.rooms import Rooms
from gateway.domain.drafts import Answer, CreateDraft, Draft
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.group_drafts import GroupSettings
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, Action, App, Facts, Group, Member, Scope
from gateway.store.base import Store


class Members(msgspec.Struct, frozen=True):
    """A page of members. `cursor` fetches the next, empty after the last; each change raises `version`."""

    members: list[Member]
    cursor: str
    version: int


class Groups:
    """Judges group calls and asks the writer, by `submit`, for what they change: see `GroupChanges`.

    What is not about who is in a group lies with `bans`, `roles`, `settings` and `requests`.
    """

    def __init__(
        self,
        store: Store,
        submit: Callable[[Draft], Awaitable[Answer]],
        limits: Limits,
        clock_ms: Callable[[], int],
        rooms: Rooms,
    ) -> None:
        self._store = store
        self._submit = submit
        self._limits = limits
        self._clock_ms = clock_ms
        self._rooms = rooms
        self._changes = GroupChanges(store, submit, limits, clock_ms)
        self.bans = GroupBans(self._changes, rooms)
        self.roles = GroupRoles(self._changes)
        self.settings = GroupSettingsCalls(self._changes)
        self.requests = GroupRequests(self._changes)

    # -- looking ----------------------------------------------------------------------------------------

    async def info(self, principal: Principal, group_xid: int) -> Group:
        """A group, for its members, for its app's administrator and, where it is public, for anybody.

        The members of a chatroom are those who are in it now.
        """
        group, facts = await self._changes.look(principal, group_xid)
        if group.type != PUBLIC:
            want_member(principal, facts, group_xid)
        return await self._counted(group)

    async def _counted(self, group: Group) -> Group:
        if group.type != ROOM:
            return group
        return msgspec.structs.replace(group, members=await self._rooms.count(group.id))

    async def info_batch(self, principal: Principal, group_xids: Sequence[int]) -> list[Group]:
        """Those of some groups that `info` would show, in the order named; the others are left out."""
        if not 0 < len(group_xids) <= self._limits.group_call_groups_max:
            raise bad("group_list", f"it must name 1 to {self._limits.group_call_groups_max} groups")
        for group_xid in group_xids:
            principal.confine(group_xid, "group_list")
        found = await self._store.groups(principal.app.id, group_xids)
        facts = await self._store.facts(principal.app.id, group_xids, principal.user.xid)
        seen = [
            found[xid]
            for xid, fact in zip(group_xids, facts, strict=True)
            if xid in found
            and fact is not None
            and (found[xid].type == PUBLIC or fact.member or fact.owner or principal.admin_alone)
        ]
        # At once: each chatroom may have to wait for other nodes.
        return await asyncio.gather(*(self._counted(group) for group in seen))

    async def types(self, app: App, group_xids: Sequence[int]) -> dict[int, int]:
        """Which of these are groups, by their ids, and of what type each is; the others are left out."""
        return {xid: group.type for xid, group in (await self._store.groups(app.id, group_xids)).items()}

    async def public_list(self, principal: Principal, cursor: str, limit: int) -> tuple[list[int], str]:
        """A page of the app's public groups, oldest first, and the cursor of the next; empty after the last.

        A `limit` above `Limits.group_page_max` is that one. Raises `BAD_PARAMETER` as `member_list`, and when acting as
        a group's owner, who reaches that group only.
        """
        if principal.group_xid:
            raise bad("group_id", "this header is not for lists of groups")
        start, limit = after(cursor), page_limit(limit, self._limits.group_page_max)
        found = await self._store.groups_of_type(principal.app.id, PUBLIC, start, limit + 1)
        return page_of(found, limit, int)

    async def page(
        self, principal: Principal, types: Sequence[int], after_xid: int, limit: int
    ) -> tuple[list[Group], int]:
        """A page of the app's groups of some types, oldest first, and after which id the next begins (0: nowhere).

        For the app's administrator alone: raises `FORBIDDEN`. A `limit` above `Limits.group_page_max` is that one.
        """
        if not principal.admin_alone:
            raise Problem(Kind.FORBIDDEN, "only an administrator's token sees every group")
        limit = page_limit(limit, self._limits.group_page_max)
        app = principal.app.id
        listed = [await self._store.groups_of_type(app, kind, after_xid, limit + 1) for kind in types]
        xids = sorted(xid for some in listed for xid in some)[: limit + 1]
        found = await self._store.groups(app, xids[:limit])
        groups = await asyncio.gather(*(self._counted(found[xid]) for xid in xids[:limit] if xid in found))
        return groups, xids[limit - 1] if len(xids) > limit else 0

    async def member_xids(self, principal: Principal, group_xid: int) -> list[int]:
        """The ids of all members, rising: as many as a group may have. Raises what `member_list` raises."""
        xids: list[int] = []
        cursor = ""
        while True:
            page = await self.member_list(principal, group_xid, cursor, self._limits.member_page_max)
            xids += [member.xid for member in page.members]
            cursor = page.cursor
            if not cursor:
                return xids

    async def member_list(self, principal: Principal, group_xid: int, cursor: str, limit: int) -> Members:
        """A page of the members, by rising id, from where `cursor` of the page before left off.

        A `limit` above `Limits.member_page_max` is that one. Raises `NOT_A_MEMBER`, and `BAD_PARAMETER` for a
        cursor or limit that cannot be.
        """
        start, limit = after(cursor), page_limit(limit, self._limits.member_page_max)
        group, facts = await self._changes.look(principal, group_xid)
        want_member(principal, facts, group_xid)
        # One more than asked for tells whether there is a next page.
        if group.type == ROOM:
            found = await self._rooms.members(group.id, start, limit + 1)
        else:
            found = await self._store.members(group.id, start, limit + 1)
        members, more = page_of(found, limit, lambda member: member.xid)
        return Members(members, more, group.facts_version)

    async def joined(self, principal: Principal) -> list[int]:
        """The ids of the groups one is in; acting as a group's owner one sees that group only."""
        xids = await self._store.joined(principal.user.id)
        if principal.group_xid:
            return [xid for xid in xids if xid == principal.group_xid]
        return xids

    # -- making and ending ------------------------------------------------------------------------------

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        description: str,
        avatar: str,
        kind: int,
        members: Sequence[int],
        settings: GroupSettings | None = None,
    ) -> tuple[Group, list[Outcome]]:
        """A new group of the asker's, and what became of each other user that was to be in it.

        Raises:
            Problem: `BAD_PARAMETER` for too many users, a type that is not there, and an administrator's
                token that names nobody to be the owner; `FORBIDDEN` when acting as another group's owner;
                `GROUPS_FULL` where the owner is in too many groups already.
        """
        if principal.admin_alone:
            raise bad("user_id", "this header names the owner, whom an administrator's token alone cannot be")
        if principal.group_xid:
            raise Problem(Kind.FORBIDDEN, "group_id: acting as a group's owner reaches that group only")
        if kind not in {PRIVATE, PUBLIC, ROOM}:
            raise bad("type", "only 0 (private), 1 (public) and 2 (chatroom) are there")
        app, owner_xid = principal.app, principal.user.xid
        named = [xid for xid in self._changes.users(members) if xid != owner_xid]
        if kind == ROOM and named:
            raise bad("user_list", "a chatroom has no members: devices join it")
        told = settings or GroupSettings()
        draft = CreateDraft(
            app=app.id,
            owner_xid=owner_xid,
            member_xids=tuple(xid for xid in named if xid != app.system_xid),
            name=name,
            description=description,
            avatar=avatar,
            type=kind,
            at=self._clock_ms(),
            create=not app.registered,
            settings=msgspec.structs.replace(
                told,
                # Whoever is let into a private group is let in by somebody.
                apply_approval=(kind != PUBLIC) if told.apply_approval is None else told.apply_approval,
                member_invitation=(
                    (kind == PUBLIC) if told.member_invitation is None else told.member_invitation
                ),
            ),
        )
        made = changed(await self._submit(draft))
        group = await self._store.group(app.id, made.xid)
        if group is None:
            raise Problem(Kind.GROUP_UNKNOWN, f"group {made.xid} was destroyed at once")
        return group, outcomes(named, made.refused, app.system_xid)

    async def destroy(self, principal: Principal, group_xid: int) -> None:
        """End a group for all its members; again: nothing more happens.

        Raises `NOT_A_MEMBER` and, for members who don't own it, `OWNER_ONLY`.
        """

        def judge(group: Group, facts: Facts) -> Draft:
            want_owner(principal, facts, group_xid)
            return self._changes.membership(principal, group, Action.DESTROYED, ())

        try:
            await self._changes.change(principal, group_xid, judge)
        except Problem as problem:
            if problem.kind is not Kind.GROUP_UNKNOWN:
                raise
            # The id of a group that has ended stays a group's.
            party = await self._store.party(principal.app.id, group_xid)
            if party is None or party.scope is not Scope.GROUP:
                raise

    # -- who is in it -----------------------------------------------------------------------------------

    async def invite(
        self,
        principal: Principal,
        group_xid: int,
        user_xids: Sequence[int],
        reason: str = "",
        *,
        at_once: bool = False,
    ) -> list[Outcome]:
        """Make users members, each by itself: one who cannot be does not keep the others out.

        Those who are members already are answered as done. Where the group wants who is invited to decide, they
        are asked instead (`GroupRequests`), with a `reason`, unless it is to be `at_once`. Raises `NOT_A_MEMBER`,
        `ADMIN_ONLY` where members may not invite, and `BAD_PARAMETER` for nobody, too many, or a chatroom.
        """
        named, system_xid = self._changes.users(user_xids, least=1), principal.app.system_xid

        def judge(group: Group, facts: Facts) -> Draft | None:
            _want_inviter(principal, group, facts)
            users = tuple(xid for xid in named if xid != system_xid)
            if not users:
                return None
            if group.invite_confirm and not at_once:
                return self.requests.invitation(principal, group, users, reason)
            return self._changes.membership(principal, group, Action.JOINED, users)

        done = await self._changes.change(principal, group_xid, judge)
        return outcomes(named, done.refused, system_xid)

    async def places_left(self, principal: Principal, group_xid: int) -> int:
        """How many more a group has room for, told to whom may invite: before they come into being by it.

        Raises what `invite` raises, whoever is invited.
        """
        group, facts = await self._changes.look(principal, group_xid)
        _want_inviter(principal, group, facts)
        return max(self._members_max(group.members_max) - group.members, 0)

    async def places_at_first(self, principal: Principal, members_max: int) -> int:
        """How many others a new group of the asker's has room for that may have so many members (0: as many as any).

        It is asked before they come into being by it; where the owner will, too, by the app's administrator. Raises
        `GROUPS_FULL`.
        """
        most = self._limits.groups_per_user_max
        if not principal.admin_alone and len(await self._store.joined(principal.user.id)) >= most:
            raise Problem(Kind.GROUPS_FULL, f"owner: is in {most} groups already")
        return self._members_max(members_max) - 1

    def _members_max(self, members_max: int) -> int:
        return min(members_max or self._limits.group_members_max, self._limits.group_members_max)

    async def kick(self, principal: Principal, group_xid: int, user_xids: Sequence[int]) -> list[Outcome]:
        """Put users out, each by itself; the owner stays, and who is no member is answered so.

        An administrator of the group puts no other out. Raises `NOT_A_MEMBER`, `ADMIN_ONLY`, and `BAD_PARAMETER`
        for nobody or too many.
        """
        named, system_xid = self._changes.users(user_xids, least=1), principal.app.system_xid
        owner_xid = room_id = 0
        users: tuple[int, ...] = ()

        def judge(group: Group, facts: Facts) -> Draft | None:
            nonlocal owner_xid, room_id, users
            want_admin(principal, facts, group_xid)
            owner_xid = group.owner_xid
            users = tuple(xid for xid in named if xid not in {owner_xid, system_xid})
            if group.type == ROOM:
                room_id = group.id
                return None
            sparing = spares(principal, facts)
            return (
                self._changes.membership(principal, group, Action.KICKED, users, sparing=sparing)
                if users
                else None
            )

        done = await self._changes.change(principal, group_xid, judge)
        absent: dict[int, Kind] = {}
        if room_id:
            present = await self._rooms.among(room_id, users)
            absent = {xid: Kind.NOT_A_MEMBER for xid in users if xid not in present}
            self._rooms.put_out(room_id, group_xid, users)
        return outcomes(named, {owner_xid: Kind.OWNER_CANNOT_LEAVE, **absent, **done.refused}, system_xid)

    async def leave(self, principal: Principal, group_xid: int) -> None:
        """Leave a group. Whoever is not in it has nothing to leave, and is answered like one who left before.

        Raises `OWNER_CANNOT_LEAVE`, and `BAD_PARAMETER` for a chatroom, which devices leave.
        """

        def judge(group: Group, facts: Facts) -> Draft | None:
            want_members_kept(group)
            if facts.owner:
                raise Problem(Kind.OWNER_CANNOT_LEAVE, f"the owner cannot leave group {group_xid}")
            if not facts.member:
                return None
            return self._changes.membership(principal, group, Action.LEFT, (principal.user.xid,))

        await self._changes.change(principal, group_xid, judge)


def _want_inviter(principal: Principal, group: Group, facts: Facts) -> None:
    """Refuse who may not invite: `NOT_A_MEMBER`, `ADMIN_ONLY`; and into a chatroom nobody may."""
    (want_member if group.member_invitation else want_admin)(principal, facts, group.xid)
    want_members_kept(group)
