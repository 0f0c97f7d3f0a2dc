"""Who is refused what where a group changes, and in which words: the same on every engine, and nothing of how.

Each of these functions is given what an engine has read inside the draft's transaction, keeps of the users named those
for whom the draft does something, and notes in `refused` why it does nothing for others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.drafts import Answer, Changed, CreateDraft, MembershipDraft, Refused
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import (
    BanDraft,
    BlockDraft,
    HandleDraft,
    RequestDraft,
    RequestKind,
    RoleDraft,
    TransferDraft,
    UsersChange,
)
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, Action, Scope

Naming = CreateDraft | MembershipDraft | UsersChange
"""The drafts about a group that name users."""


class GroupUser(msgspec.Struct):
    """A user that a draft about a group names, as the transaction found it.

    `stay_id` is 0 outside the group, `id` is 0 where the user does not exist yet. `admin` and `blocked` say what the
    group makes of the user.
    """

    xid: int
    id: int
    head: int
    stay_id: int
    groups: int
    admin: int = 0
    blocked: int = 0


class JudgedGroup(msgspec.Struct):
    """A group that stands, at the version that a draft was judged by; `members_max` 0: as many as any may have."""

    owner_id: int
    type: int
    members: int
    members_max: int = 0


def named_users(draft: Naming) -> tuple[int, ...]:
    """List the users that a draft names, each once, in the order named."""
    named = (draft.owner_xid, *draft.member_xids) if isinstance(draft, CreateDraft) else draft.user_xids
    return tuple(dict.fromkeys(named))


def sort_users(
    draft: Naming, found: Mapping[int, Sequence[Any]], refused: dict[int, Kind], *, make: bool
) -> list[GroupUser]:
    """Keep, in the order named, who may be in the draft at all, or (`make`) may be made for it.

    `found` has, by xid: id, kind, whether deleted, head, stay_id, groups, admin, blocked.
    """
    users = []
    for xid in named_users(draft):
        if xid not in found:
            if not (make and draft.create):
                refused[xid] = Kind.USER_UNKNOWN if make else Kind.NOT_A_MEMBER
                continue
            users.append(GroupUser(xid, 0, 0, 0, 0))
            continue
        user_id, kind, deleted, head, stay_id, groups, admin, blocked = found[xid]
        if kind != Scope.USER or (make and deleted):
            refused[xid] = Kind.BAD_PARAMETER if kind != Scope.USER else Kind.USER_UNKNOWN
            continue
        users.append(GroupUser(xid, user_id, head, stay_id or 0, groups, admin or 0, blocked))
    return users


# -- who comes and goes ---------------------------------------------------------------------------------


def group_unknown(group_xid: int) -> Refused:
    """Refuse a change of a group that is not there, or is no more."""
    return Refused(Kind.GROUP_UNKNOWN, f"there is no group {group_xid}")


def may_begin(
    draft: CreateDraft, users: list[GroupUser], rooms: int, limits: Limits, refused: dict[int, Kind]
) -> list[GroupUser] | Refused:
    """Who begins a group; nobody does without its owner, who has `rooms` chatrooms."""
    if not users or users[0].xid != draft.owner_xid:
        return Refused(refused[draft.owner_xid], f"owner: {draft.owner_xid} cannot own a group")
    room = draft.type == ROOM
    if room and rooms >= limits.rooms_per_user_max:
        return Refused(Kind.GROUPS_FULL, f"owner: has {limits.rooms_per_user_max} chatrooms already")
    if not room and users[0].groups >= limits.groups_per_user_max:
        return Refused(Kind.GROUPS_FULL, f"owner: is in {limits.groups_per_user_max} groups already")
    most = _most(draft.settings.members_max or 0, limits)
    return users[:1] if room else _fitting(users, most, limits, refused)


def may_join(
    users: Iterable[GroupUser], group: JudgedGroup, limits: Limits, refused: dict[int, Kind]
) -> list[GroupUser]:
    """Who comes into a group. Whoever is in it already stays as they are."""
    users = [user for user in users if not user.stay_id]
    refused.update((user.xid, Kind.GROUP_BLOCKED) for user in users if user.blocked)
    users = [user for user in users if not user.blocked]
    return _fitting(users, _most(group.members_max, limits) - group.members, limits, refused)


def _most(members_max: int, limits: Limits) -> int:
    """How many members a group may have, where it is to have so many (0: it does not say)."""
    return min(members_max or limits.group_members_max, limits.group_members_max)


def _fitting(
    users: Iterable[GroupUser], room: int, limits: Limits, refused: dict[int, Kind]
) -> list[GroupUser]:
    """Keep those who fit into the group, and into whose list of groups it fits."""
    kept: list[GroupUser] = []
    for user in users:
        if len(kept) >= room:
            refused[user.xid] = Kind.GROUP_FULL
        elif user.groups >= limits.groups_per_user_max:
            refused[user.xid] = Kind.GROUPS_FULL
        else:
            kept.append(user)
    return kept


def may_go(draft: MembershipDraft, users: list[GroupUser], refused: dict[int, Kind]) -> list[GroupUser]:
    """Who leaves a group or is put out of it."""
    refused.update((user.xid, Kind.NOT_A_MEMBER) for user in users if not user.stay_id)
    refused.update((user.xid, Kind.OWNER_ONLY) for user in users if user.admin and draft.sparing)
    return [user for user in users if user.xid not in refused]


# -- who may speak, come and decide ---------------------------------------------------------------------


def may_be_banned(
    draft: BanDraft, group: JudgedGroup, users: list[GroupUser], refused: dict[int, Kind]
) -> list[GroupUser]:
    """Whom a ban concerns."""
    for user in users:
        if user.id == group.owner_id:
            refused[user.xid] = Kind.FORBIDDEN
        elif not user.stay_id and group.type != ROOM:
            refused[user.xid] = Kind.NOT_A_MEMBER
        elif user.admin and draft.sparing:
            refused[user.xid] = Kind.OWNER_ONLY
    return [user for user in users if user.xid not in refused]


def may_be_blocked(
    draft: BlockDraft, group: JudgedGroup, users: list[GroupUser], refused: dict[int, Kind]
) -> list[GroupUser]:
    """Whom a block concerns; who is blocked already is answered, not refused."""
    for user in users:
        if user.id == group.owner_id:
            refused[user.xid] = Kind.OWNER_CANNOT_LEAVE
        elif user.admin and draft.sparing:
            refused[user.xid] = Kind.OWNER_ONLY
    return [user for user in users if user.xid not in refused and not user.blocked]


def let_off(refused: Mapping[int, Kind]) -> dict[int, Kind]:
    """Refuse only what names no user: who has no ban or block to be let off is answered like one who had."""
    return {xid: kind for xid, kind in refused.items() if kind is not Kind.NOT_A_MEMBER}


def may_change_role(
    draft: RoleDraft, group: JudgedGroup, users: list[GroupUser], refused: dict[int, Kind]
) -> list[GroupUser]:
    """Who becomes an administrator, or a plain member again."""
    for user in users:
        if not user.stay_id:
            refused[user.xid] = Kind.NOT_A_MEMBER
        elif user.id == group.owner_id:
            refused[user.xid] = Kind.FORBIDDEN
    return [user for user in users if user.xid not in refused and bool(user.admin) != draft.admin]


def in_the_group(users: list[GroupUser], refused: dict[int, Kind]) -> list[GroupUser]:
    """Keep those who are in the group."""
    refused.update((user.xid, Kind.NOT_A_MEMBER) for user in users if not user.stay_id)
    return [user for user in users if user.stay_id]


def find_room(
    users: list[GroupUser], known: Collection[int], room: int, refused: dict[int, Kind]
) -> list[GroupUser]:
    """Who finds room for so many more in a list of the group; the ids in `known` are in it already."""
    new = [user.xid for user in users if user.id not in known]
    full = set(new[max(room, 0) :])
    refused.update(dict.fromkeys(full, Kind.LIST_FULL))
    return [user for user in users if user.xid not in full]


def heir_unknown(draft: TransferDraft) -> Refused:
    """Refuse a group to whom is not in it."""
    return Refused(
        Kind.HEIR_NOT_A_MEMBER, f"new_owner: {draft.heir_xid} is not a member of group {draft.group_xid}"
    )


# -- requests -------------------------------------------------------------------------------------------


def may_ask(draft: RequestDraft, users: list[GroupUser], refused: dict[int, Kind]) -> list[GroupUser]:
    """Between whom and the group a request may be open; who is invited and there already is answered."""
    for user in users:
        if user.blocked:
            refused[user.xid] = Kind.GROUP_BLOCKED
        elif user.stay_id and draft.kind is RequestKind.APPLICATION:
            refused[user.xid] = Kind.ALREADY_A_MEMBER
    return [user for user in users if user.xid not in refused and not user.stay_id]


def new_requests(
    users: list[GroupUser],
    held: Mapping[int, tuple[int, int]],
    count: int,
    limits: Limits,
    refused: dict[int, Kind],
) -> list[GroupUser]:
    """With whom a new request is opened, where `count` are open with the group.

    `held` says, by id, whether this one is open already and how many are with all groups.
    """
    room = limits.group_requests_max - count
    new: list[GroupUser] = []
    for user in users:
        there, others = held.get(user.id, (0, 0))
        if there:
            continue
        if len(new) >= room or others >= limits.user_requests_max:
            refused[user.xid] = Kind.LIST_FULL
        else:
            new.append(user)
    return new


def request_gone(draft: HandleDraft) -> Refused:
    """Refuse to answer what nobody asks (any more)."""
    if draft.kind is RequestKind.INVITATION:
        return Refused(Kind.INVITATION_GONE, f"user_id: no invitation by {draft.inviter_xid} is open")
    return Refused(Kind.APPLICATION_GONE, f"user_id: no application of {draft.user_xid} is open")


def joins_by(draft: HandleDraft) -> MembershipDraft:
    """What is to be done where a request is approved."""
    return MembershipDraft(
        app=draft.app,
        group_id=draft.group_id,
        group_xid=draft.group_xid,
        action=Action.JOINED,
        user_xids=(draft.user_xid,),
        judged=draft.judged,
        at=draft.at,
        create=False,
    )


def handled(draft: HandleDraft, answer: Answer) -> Answer:
    """Answer an approved request as its joining was answered: one who cannot join though approved is refused."""
    if isinstance(answer, Changed) and (why := answer.refused.get(draft.user_xid)) is not None:
        return Refused(why, f"user_id: {draft.user_xid} cannot join group {draft.group_xid}")
    return answer
