"""Groups: who is in them and who may change that (lanying.md, Calls; vendors.md §1.3 and §1.4).

Who may do what:

- the owner: everything, but not leave; a group is never without its owner;
- a member: see the group and its members, leave, and, in a public group, invite. In a private group only the
  owner invites: the vendor's setting `allow_member_invitation` is off unless someone turns it on;
- anybody: see a public group (not its members);
- an administrator's token alone: everything in every group. With `user_id` it may what that user may, with
  `group_id` what that group's owner may, in that group only.

Whoever is invited is a member at once: there are no invitations to accept.

In a chatroom anybody is a member: its members are told by who is in it, and come and go by the device channel.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from weakref import WeakValueDictionary

import msgspec

from gateway.core.principal import Principal
from gateway.core.rooms import Rooms
from gateway.domain.drafts import Answer, Changed, CreateDraft, Draft, MembershipDraft, Refused
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, SAFE_MAX, Action, Facts, Group, Member, Scope
from gateway.store.base import Store

PRIVATE = 0
PUBLIC = 1

_TRIES = 5
_RETRY_AFTER_MS = 200
_CURSOR = re.compile(r"[0-9]{1,16}")

_REASONS = {
    Kind.BAD_PARAMETER: "this id is not a user's",
    Kind.USER_UNKNOWN: "there is no such user",
    Kind.NOT_A_MEMBER: "not a member of the group",
    Kind.GROUP_FULL: "the group is full",
    Kind.GROUPS_FULL: "the user is in as many groups as one may be",
    Kind.OWNER_CANNOT_LEAVE: "the owner cannot leave the group",
}


class Outcome(msgspec.Struct, frozen=True):
    """What became of one user of a call that names many; `kind` is None where it did what was asked."""

    xid: int
    kind: Kind | None = None

    @property
    def reason(self) -> str:
        """Why not, for a person; empty where all went well."""
        if self.kind is None:
            return ""
        return _REASONS.get(self.kind, self.kind.value.replace("_", " "))


class Members(msgspec.Struct, frozen=True):
    """A page of members. `cursor` fetches the next, empty after the last; each change raises `version`."""

    members: list[Member]
    cursor: str
    version: int


class Groups:
    """Judges group calls and asks the writer, by `submit`, for what they change.

    Every call raises `GROUP_UNKNOWN` where there is no such group, and `FORBIDDEN` where a principal acting
    as one group's owner names another. A change is judged by one version of the group's facts; where that has
    moved on when the change comes to be made, it is judged anew, and refused as `OVERLOADED` when it does not
    settle.
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
        self._turns: WeakValueDictionary[tuple[int, int], asyncio.Lock] = WeakValueDictionary()

    # -- looking ----------------------------------------------------------------------------------------

    async def info(self, principal: Principal, group_xid: int) -> Group:
        """A group, for its members, for its app's administrator and, where it is public, for anybody.

        The members of a chatroom are those who are in it now.
        """
        group, facts = await self._facts(principal, group_xid)
        if group.type != PUBLIC:
            _want_member(principal, facts, group_xid)
        if group.type == ROOM:
            return msgspec.structs.replace(group, members=self._rooms.count(group.id))
        return group

    async def member_list(self, principal: Principal, group_xid: int, cursor: str, limit: int) -> Members:
        """A page of the members, by rising id, from where `cursor` of the page before left off.

        A `limit` above `Limits.member_page_max` is that one. Raises `NOT_A_MEMBER`, and `BAD_PARAMETER` for a
        cursor or limit that cannot be.
        """
        if limit < 1:
            raise bad("limit", "it must be at least 1")
        if cursor and not _CURSOR.fullmatch(cursor):
            raise bad("cursor", "it is not one of this call's answers")
        group, facts = await self._facts(principal, group_xid)
        _want_member(principal, facts, group_xid)
        limit = min(limit, self._limits.member_page_max)
        # One more than asked for tells whether there is a next page.
        after = int(cursor or "0")
        if group.type == ROOM:
            found = self._rooms.members(group.id, after, limit + 1)
        else:
            found = await self._store.members(group.id, after, limit + 1)
        more = len(found) > limit
        return Members(found[:limit], str(found[limit - 1].xid) if more else "", group.facts_version)

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
        named = [xid for xid in self._users(members) if xid != owner_xid]
        if kind == ROOM and named:
            raise bad("user_list", "a chatroom has no members: devices join it")
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
        )
        changed = _changed(await self._submit(draft))
        group = await self._store.group(app.id, changed.xid)
        if group is None:
            raise Problem(Kind.GROUP_UNKNOWN, f"group {changed.xid} was destroyed at once")
        return group, _outcomes(named, changed.refused, app.system_xid)

    async def destroy(self, principal: Principal, group_xid: int) -> None:
        """End a group for all its members; again: nothing more happens.

        Raises `NOT_A_MEMBER` and, for members who don't own it, `OWNER_ONLY`.
        """

        def judge(_: Group, facts: Facts) -> tuple[int, ...]:
            _want_owner(principal, facts, group_xid)
            return ()

        try:
            await self._change(principal, group_xid, Action.DESTROYED, judge)
        except Problem as problem:
            if problem.kind is not Kind.GROUP_UNKNOWN:
                raise
            # The id of a group that has ended stays a group's.
            party = await self._store.party(principal.app.id, group_xid)
            if party is None or party.scope is not Scope.GROUP:
                raise

    # -- who is in it -----------------------------------------------------------------------------------

    async def invite(self, principal: Principal, group_xid: int, user_xids: Sequence[int]) -> list[Outcome]:
        """Make users members, each by itself: one who cannot be does not keep the others out.

        Those who are members already are answered as done. Raises `NOT_A_MEMBER`, `OWNER_ONLY` in a private
        group, and `BAD_PARAMETER` for nobody or too many.
        """
        named, system_xid = self._users(user_xids, least=1), principal.app.system_xid

        def judge(group: Group, facts: Facts) -> tuple[int, ...]:
            _want_no_room(group)
            if group.type == PUBLIC:
                _want_member(principal, facts, group_xid)
            else:
                _want_owner(principal, facts, group_xid)
            return tuple(xid for xid in named if xid != system_xid)

        changed = await self._change(principal, group_xid, Action.JOINED, judge)
        return _outcomes(named, changed.refused, system_xid)

    async def kick(self, principal: Principal, group_xid: int, user_xids: Sequence[int]) -> list[Outcome]:
        """Put users out, each by itself; the owner stays, and who is no member is answered so.

        Raises `NOT_A_MEMBER`, `OWNER_ONLY`, and `BAD_PARAMETER` for nobody or too many.
        """
        named, system_xid = self._users(user_xids, least=1), principal.app.system_xid
        owner_xid = 0
        absent: dict[int, Kind] = {}

        def judge(group: Group, facts: Facts) -> tuple[int, ...]:
            nonlocal owner_xid
            _want_owner(principal, facts, group_xid)
            owner_xid = group.owner_xid
            others = tuple(xid for xid in named if xid not in {owner_xid, system_xid})
            if group.type == ROOM:
                out = self._rooms.put_out(group.id, group_xid, others)
                absent.update((xid, Kind.NOT_A_MEMBER) for xid in others if xid not in out)
                return ()
            return others

        changed = await self._change(principal, group_xid, Action.KICKED, judge)
        return _outcomes(named, {owner_xid: Kind.OWNER_CANNOT_LEAVE, **absent, **changed.refused}, system_xid)

    async def leave(self, principal: Principal, group_xid: int) -> None:
        """Leave a group. Whoever is not in it has nothing to leave, and is answered like one who left before.

        Raises `OWNER_CANNOT_LEAVE`.
        """

        def judge(group: Group, facts: Facts) -> tuple[int, ...]:
            _want_no_room(group)
            if facts.owner:
                raise Problem(Kind.OWNER_CANNOT_LEAVE, f"the owner cannot leave group {group_xid}")
            return (principal.user.xid,) if facts.member else ()

        await self._change(principal, group_xid, Action.LEFT, judge)

    # -- how a change is made ---------------------------------------------------------------------------

    async def _change(
        self,
        principal: Principal,
        group_xid: int,
        action: Action,
        judge: Callable[[Group, Facts], tuple[int, ...]],
    ) -> Changed:
        """Judge a change by facts of one version and ask for it, until a version holds for both.

        `judge` says whom it is about or raises; nobody: nothing is to be done, save for a group's end.
        """
        # Changes of one group take turns here, so that only another node's can come in between.
        turn = self._turns.setdefault((principal.app.id, group_xid), asyncio.Lock())
        async with turn:
            for _ in range(_TRIES):
                group, facts = await self._facts(principal, group_xid)
                user_xids = judge(group, facts)
                if not user_xids and action is not Action.DESTROYED:
                    return Changed([])
                draft = MembershipDraft(
                    app=principal.app.id,
                    group_id=group.id,
                    group_xid=group_xid,
                    action=action,
                    user_xids=user_xids,
                    judged=group.facts_version,
                    at=self._clock_ms(),
                    create=not principal.app.registered,
                )
                answer = await self._submit(draft)
                if isinstance(answer, Changed | Refused):
                    return _changed(answer)
        raise Problem(Kind.OVERLOADED, f"group {group_xid} changes too fast", retry_after_ms=_RETRY_AFTER_MS)

    async def _facts(self, principal: Principal, group_xid: int) -> tuple[Group, Facts]:
        """A group and what it means to the asker: two reads, the one whose version judges first.

        A change that lies between them makes what is judged by them stale.
        """
        principal.confine(group_xid, "group_id")
        app = principal.app.id
        group = await self._store.group(app, group_xid)
        facts = (await self._store.facts(app, [group_xid], principal.user.xid))[0]
        if group is None or facts is None:
            raise Problem(Kind.GROUP_UNKNOWN, f"there is no group {group_xid}")
        return group, facts

    def _users(self, xids: Sequence[int], least: int = 0) -> tuple[int, ...]:
        """The users a call names, each once, in the order named."""
        named = tuple(dict.fromkeys(xids))
        if not least <= len(named) <= self._limits.group_call_users_max:
            raise bad("user_list", f"it must name {least} to {self._limits.group_call_users_max} users")
        if any(not 0 < xid <= SAFE_MAX for xid in named):
            raise bad("user_list", f"ids are 1 to {SAFE_MAX}")
        return named


def _want_member(principal: Principal, facts: Facts, group_xid: int) -> None:
    if not (facts.member or principal.admin_alone):
        raise Problem(Kind.NOT_A_MEMBER, f"not a member of group {group_xid}")


def _want_owner(principal: Principal, facts: Facts, group_xid: int) -> None:
    _want_member(principal, facts, group_xid)
    if not (facts.owner or principal.admin_alone):
        raise Problem(Kind.OWNER_ONLY, f"only the owner of group {group_xid} may do this")


def _want_no_room(group: Group) -> None:
    if group.type == ROOM:
        raise bad("group_id", "a chatroom has no members: devices join and leave it")


def _changed(answer: Answer) -> Changed:
    if isinstance(answer, Refused):
        raise Problem(answer.kind, answer.sentence)
    assert isinstance(answer, Changed), f"a membership was answered by {type(answer).__name__}"
    return answer


def _outcomes(named: Sequence[int], refused: dict[int, Kind], system_xid: int) -> list[Outcome]:
    """What became of each user named. The reserved user `system` can be in no group: it has no timeline."""
    refused = {system_xid: Kind.BAD_PARAMETER, **refused}
    return [Outcome(xid, refused.get(xid)) for xid in named]
