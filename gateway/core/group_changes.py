"""How a change of a group is made: judged by one version of its facts, and asked for until that holds.

Roles, from below: a stranger, a member, an administrator of the group, its owner. An administrator's *token* alone
may what the owner may, in every group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypedDict
from weakref import WeakValueDictionary

import msgspec

from gateway.core.principal import Principal
from gateway.domain import rules
from gateway.domain.drafts import Answer, Changed, Draft, MembershipDraft, Refused
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, SAFE_MAX, Action, Facts, Group
from gateway.store.base import Store

PRIVATE = 0
PUBLIC = 1

_TRIES = 5
_RETRY_AFTER_MS = 200

_REASONS = {
    Kind.BAD_PARAMETER: "this id is not a user's",
    Kind.USER_UNKNOWN: "there is no such user",
    Kind.NOT_A_MEMBER: "not a member of the group",
    Kind.GROUP_FULL: "the group is full",
    Kind.GROUPS_FULL: "the user is in as many groups as one may be",
    Kind.OWNER_CANNOT_LEAVE: "the owner cannot leave the group",
    Kind.OWNER_ONLY: "only the owner may do this to an administrator",
    Kind.FORBIDDEN: "this cannot be done to the owner",
    Kind.GROUP_BLOCKED: "the user is blocked by the group",
    Kind.LIST_FULL: "the list is full",
}

Judge = Callable[[Group, Facts], Draft | None]
"""Says what is to be asked for, or raises; None: nothing is to be done."""


class Judged(TypedDict):
    """What every draft about a group says of it."""

    app: int
    group_id: int
    group_xid: int
    judged: int
    at: int


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


class GroupChanges:
    """Judges changes of groups and asks the writer, by `submit`, for them.

    Everything here raises `GROUP_UNKNOWN` where there is no such group, and `FORBIDDEN` where a principal acting
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
    ) -> None:
        self.store = store
        self.submit = submit
        self.limits = limits
        self.clock_ms = clock_ms
        self._turns: WeakValueDictionary[tuple[int, int], asyncio.Lock] = WeakValueDictionary()

    async def change(self, principal: Principal, group_xid: int, judge: Judge) -> Changed:
        """Judge a change by facts of one version and ask for it, until a version holds for both."""
        # Changes of one group take turns here, so that only another node's can come in between.
        turn = self._turns.setdefault((principal.app.id, group_xid), asyncio.Lock())
        async with turn:
            for _ in range(_TRIES):
                group, facts = await self.look(principal, group_xid)
                draft = judge(group, facts)
                if draft is None:
                    return Changed([])
                answer = await self.submit(draft)
                if isinstance(answer, Changed | Refused):
                    return changed(answer)
        raise Problem(Kind.OVERLOADED, f"group {group_xid} changes too fast", retry_after_ms=_RETRY_AFTER_MS)

    async def look(self, principal: Principal, group_xid: int) -> tuple[Group, Facts]:
        """A group and what it means to the asker: two reads, the one whose version judges first.

        A change that lies between them makes what is judged by them stale.
        """
        principal.confine(group_xid, "group_id")
        app = principal.app.id
        group = await self.store.group(app, group_xid)
        facts = (await self.store.facts(app, [group_xid], principal.user.xid))[0]
        if group is None or facts is None:
            raise Problem(Kind.GROUP_UNKNOWN, f"there is no group {group_xid}")
        return group, facts

    def membership(
        self,
        principal: Principal,
        group: Group,
        action: Action,
        user_xids: tuple[int, ...],
        *,
        sparing: bool = False,
    ) -> MembershipDraft:
        """Ask for users to come or go, judged by the group as it was read."""
        return MembershipDraft(
            **self.judged(principal, group),
            action=action,
            user_xids=user_xids,
            create=not principal.app.registered,
            sparing=sparing,
        )

    def judged(self, principal: Principal, group: Group) -> Judged:
        """By what version of a group a draft is judged, and when."""
        return {
            "app": principal.app.id,
            "group_id": group.id,
            "group_xid": group.xid,
            "judged": group.facts_version,
            "at": self.clock_ms(),
        }

    def users(self, xids: Sequence[int], least: int = 0) -> tuple[int, ...]:
        """The users a call names, each once, in the order named."""
        named = tuple(dict.fromkeys(xids))
        if not least <= len(named) <= self.limits.group_call_users_max:
            raise bad("user_list", f"it must name {least} to {self.limits.group_call_users_max} users")
        if any(not 0 < xid <= SAFE_MAX for xid in named):
            raise bad("user_list", f"ids are 1 to {SAFE_MAX}")
        return named


def want_member(principal: Principal, facts: Facts, group_xid: int) -> None:
    """Refuse strangers: `NOT_A_MEMBER`, `GROUP_BLOCKED`. A chatroom's owner is none, whoever is in it."""
    if not (facts.member or facts.owner or principal.admin_alone):
        raise rules.stranger(facts, group_xid)


def want_admin(principal: Principal, facts: Facts, group_xid: int) -> None:
    """Refuse strangers, and plain members: `ADMIN_ONLY`."""
    want_member(principal, facts, group_xid)
    if not (facts.owner or facts.admin or principal.admin_alone):
        raise Problem(Kind.ADMIN_ONLY, f"only the owner and administrators of group {group_xid} may do this")


def want_owner(principal: Principal, facts: Facts, group_xid: int) -> None:
    """Refuse whoever does not own the group: `NOT_A_MEMBER`, `OWNER_ONLY`."""
    want_member(principal, facts, group_xid)
    if not (facts.owner or principal.admin_alone):
        raise Problem(Kind.OWNER_ONLY, f"only the owner of group {group_xid} may do this")


def spares(principal: Principal, facts: Facts) -> bool:
    """Whether the asker may not touch administrators, being no more than one of them."""
    return not (facts.owner or principal.admin_alone)


def want_members_kept(group: Group) -> None:
    """Refuse a chatroom, whose members nobody keeps, where it is about them: `BAD_PARAMETER`."""
    if group.type == ROOM:
        raise bad("group_id", f"{group.xid} is a chatroom, which has nothing of the kind")


def changed(answer: Answer) -> Changed:
    """A change that was made; raises why it was refused."""
    if isinstance(answer, Refused):
        raise Problem(answer.kind, answer.sentence)
    assert isinstance(answer, Changed), f"a group's change was answered by {type(answer).__name__}"
    return answer


def outcomes(named: Sequence[int], refused: dict[int, Kind], system_xid: int) -> list[Outcome]:
    """What became of each user named. The reserved user `system` can be in no group: it has no timeline."""
    refused = {system_xid: Kind.BAD_PARAMETER, **refused}
    return [Outcome(xid, refused.get(xid)) for xid in named]
