"""Groups: making, showing, changing and ending them, and who is in them (vendors.md §3.7).

The backend speaks for the app, so that nothing here is judged by who may do what in a group.
"""

from __future__ import annotations

import msgspec

from gateway.core.group_changes import PRIVATE, PUBLIC, Outcome
from gateway.core.principal import Principal
from gateway.domain.errors import Kind, Problem
from gateway.domain.group_drafts import GroupSettings
from gateway.domain.limits import Limits
from gateway.domain.model import Group, User
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import FORBIDDEN, Fault, illegal, not_a_member, not_found
from gateway.edge.facades.agora.groups_and_rooms import (
    affiliations,
    found_among,
    group_of,
    groups_of,
    managed,
)
from gateway.edge.facades.agora.members import Members

NAME_MAX, DESCRIPTION_MAX, CUSTOM_MAX = 128, 512, 1_024
"""Characters (vendors.md §3.7)."""

_JOINS_AT_ONCE, _JOINS_BY_APPROVAL = 0, 1
_CHANGED = {
    "groupname": "groupname",
    "description": "description",
    "desc": "description",
    "maxusers": "maxusers",
    "custom": "custom",
    "public": "public",
    "membersonly": "membersonly",
    "members_only": "membersonly",
    "allowinvites": "allowinvites",
}
"""What a PUT changes, by the words of POST too, and how it is told that it was."""


class GroupShape(msgspec.Struct):
    """A group with all there is to say of it."""

    id: str
    name: str
    description: str
    membersonly: bool
    allowinvites: bool
    maxusers: int
    owner: str
    created: int
    custom: str
    affiliations_count: int
    affiliations: list[dict[str, str]]
    public: bool
    mute: bool
    disabled: bool


async def create(at: At) -> bytes:
    """POST /chatgroups."""
    principal = await at.administrator()
    asked = await at.members()
    owner = await at.named_user(asked, "owner")
    settings = settings_of(asked, at.limits)
    if not settings.name:
        raise illegal("groupname", "it is required")
    members = await at.members_named(asked, "members", at.limits.group_call_users_max)
    kind = _type_of(asked)
    group, _ = await at.core.groups.create(
        principal.acting_for(owner),
        name=settings.name,
        description=settings.description or "",
        avatar="",
        kind=PUBLIC if kind is None else kind,
        members=[user.xid for user in members],
        settings=msgspec.structs.replace(settings, name=None, description=None),
    )
    return at.told(data={"groupid": str(group.xid)})


def _type_of(asked: Members) -> int | None:
    """Whether it is to be public; None where nobody says."""
    public = asked.told_flag("public")
    return public if public is None else PUBLIC if public else PRIVATE


def settings_of(asked: Members, limits: Limits) -> GroupSettings:
    """What a body says of a group; what it does not say stays as it is. Raises `illegal_argument`."""
    lengths = (("groupname", NAME_MAX), ("description", DESCRIPTION_MAX), ("desc", DESCRIPTION_MAX))
    texts = {name: asked.text(name) for name, _ in lengths} | {"custom": asked.text("custom")}
    for name, most in (*lengths, ("custom", CUSTOM_MAX)):
        if len(texts[name] or "") > most:
            raise illegal(name, f"it must not have more than {most} characters")
    approvals = [asked.told_flag(name) for name in ("membersonly", "members_only", "approval")]
    by_approval = next((told for told in approvals if told is not None), None)
    return GroupSettings(
        name=texts["groupname"],
        description=texts["description"] if texts["description"] is not None else texts["desc"],
        ext=texts["custom"],
        apply_approval=None if by_approval is None else int(by_approval),
        member_invitation=asked.told_flag("allowinvites"),
        members_max=_maxusers_of(asked, limits),
    )


def _maxusers_of(asked: Members, limits: Limits) -> int | None:
    """How many may be in a group; None where nobody says."""
    most = asked.integer("maxusers")
    if most is not None and not 1 <= most <= limits.group_members_max:
        raise illegal("maxusers", f"it must be 1 to {limits.group_members_max}")
    return most


async def listed(at: At) -> bytes:
    """GET /chatgroups: a page of the app's groups, oldest first; with a `cursor` where there are more."""
    principal = await at.administrator()
    cursor, limit = at.page()
    groups, more = await at.core.groups.page(principal, (PRIVATE, PUBLIC), cursor, limit)
    owners = await at.names_of([group.owner_xid for group in groups])
    data = [
        {
            "owner": f"{at.around.org_name}#{at.around.app_name}_{owners[group.owner_xid]}",
            "groupid": str(group.xid),
            "affiliations": group.members,
            "type": "group",
            "last_modified": str(group.updated_at),
            "groupname": group.name,
        }
        for group in groups
    ]
    return at.told_page(data, more)


async def shown(at: At) -> bytes:
    """GET /chatgroups/{id,id}: those that there are."""
    principal = await at.administrator()
    found = await groups_of(at, principal)
    return at.told(data=[await _shape(at, principal, group) for group in found], count=len(found))


async def _shape(at: At, principal: Principal, group: Group) -> GroupShape:
    xids = await at.core.groups.member_xids(principal, group.xid)
    names = await at.names_of([group.owner_xid, *xids])
    return GroupShape(
        id=str(group.xid),
        name=group.name,
        description=group.description,
        membersonly=group.apply_approval != _JOINS_AT_ONCE,
        allowinvites=group.member_invitation,
        maxusers=group.members_max or at.limits.group_members_max,
        owner=names[group.owner_xid],
        created=group.created_at,
        custom=group.ext,
        affiliations_count=group.members,
        affiliations=affiliations(group, xids, names),
        public=group.type == PUBLIC,
        mute=group.ban_all_until > at.now(),
        disabled=group.disabled,
    )


async def change(at: At) -> bytes:
    """PUT /chatgroups/{id}: what it is called and may hold, or whose it is (`newowner`)."""
    principal = await at.administrator()
    asked = await at.members()
    group_xid = await group_of(at)
    if asked.has("newowner"):
        heir = await at.named_user(asked, "newowner")
        return await _hand_over(at, principal, group_xid, heir)
    settings = msgspec.structs.replace(settings_of(asked, at.limits), type=_type_of(asked))
    if settings.changes:
        await at.core.groups.settings.allow(principal, group_xid, settings)
    return at.told(data={told: True for member, told in _CHANGED.items() if asked.has(member)})


async def _hand_over(at: At, principal: Principal, group_xid: int, heir: User) -> bytes:
    try:
        await at.core.groups.roles.transfer(principal, group_xid, heir.xid)
    except Problem as problem:
        if problem.kind is not Kind.HEIR_NOT_A_MEMBER:
            raise
        # Whoever is to own it comes into it by that.
        await at.core.groups.invite(principal, group_xid, [heir.xid])
        await at.core.groups.roles.transfer(principal, group_xid, heir.xid)
    return at.told(data={"newowner": True})


async def destroy(at: At) -> bytes:
    """DELETE /chatgroups/{id}."""
    principal, group_xid = await managed(at)
    await at.core.groups.destroy(principal, group_xid)
    return at.told(data={"success": True, "groupid": str(group_xid)})


async def disable(at: At) -> bytes:
    """POST /chatgroups/{id}/disable: nobody speaks in it, but the app."""
    return await _disable(at, disabled=True)


async def enable(at: At) -> bytes:
    """POST /chatgroups/{id}/enable."""
    return await _disable(at, disabled=False)


async def _disable(at: At, *, disabled: bool) -> bytes:
    principal, group_xid = await managed(at)
    await at.core.groups.settings.allow(principal, group_xid, GroupSettings(disabled=disabled))
    return at.told(data={"disabled": disabled})


async def joined(at: At) -> bytes:
    """GET /users/{username}/joined_chatgroups."""
    principal = await at.administrator()
    user = await at.user_of_path(at.given[0])
    xids = await at.core.groups.joined(principal.acting_for(user))
    found = await found_among(at, principal, xids)
    data = [{"groupid": str(group.xid), "groupname": group.name} for group in found]
    return at.told(data=data, count=len(data), entities=[])


def want_done(outcome: Outcome, name: str, group_xid: int) -> None:
    """Refuse a call about one user where nothing came of it, in the vendor's words where they are known."""
    match outcome.kind:
        case None:
            return
        case Kind.USER_UNKNOWN | Kind.BAD_PARAMETER:
            raise not_found()
        case Kind.NOT_A_MEMBER:
            raise not_a_member(name)
        case _:
            raise Fault(FORBIDDEN, "forbidden_op", f"{outcome.reason}: user {name}, group {group_xid}")
