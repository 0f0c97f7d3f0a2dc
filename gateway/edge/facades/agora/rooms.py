"""Chatrooms (vendors.md §3.7). A member by REST is a listed row; who hears is who is connected (agora.md)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.principal import Principal
from gateway.domain.group_drafts import GroupSettings
from gateway.domain.model import ROOM, Group, User
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import FORBIDDEN, Fault, illegal, not_a_member, not_found
from gateway.edge.facades.agora.group_users import stranger
from gateway.edge.facades.agora.groups import settings_of
from gateway.edge.facades.agora.groups_and_rooms import (
    affiliations,
    found_among,
    group_of,
    groups_of,
    managed,
    page_of_members,
)

USERS_MAX = 60
"""Users of one call that names many."""

_CHANGED = {
    "name": "groupname",
    "groupname": "groupname",
    "description": "description",
    "maxusers": "maxusers",
}
"""What a PUT changes, and how it is told that it was (vendors.md §3.7)."""


class RoomShape(msgspec.Struct):
    """A chatroom with all there is to say of it."""

    id: str
    name: str
    description: str
    membersonly: bool
    allowinvites: bool
    maxusers: int
    owner: str
    created: int
    affiliations_count: int
    affiliations: list[dict[str, str]]
    public: bool


class RoomLine(msgspec.Struct):
    """A chatroom in a list."""

    id: str
    name: str
    owner: str
    affiliations_count: int


async def create(at: At) -> bytes:
    """POST /chatrooms."""
    principal = await at.administrator()
    asked = await at.members()
    owner = await at.named_user(asked, "owner")
    name = asked.text("name")
    if not name:
        raise illegal("name", "it is required")
    settings = settings_of(asked, at.limits)
    members = await at.members_named(asked, "members", at.limits.group_call_users_max)
    group, _ = await at.core.groups.create(
        principal.acting_for(owner),
        name=name,
        description=settings.description or "",
        avatar="",
        kind=ROOM,
        members=(),
        settings=GroupSettings(members_max=settings.members_max, ext=settings.ext),
    )
    await at.core.rooms.list_in(group.id, [user.id for user in (owner, *members)], at.now())
    return at.told(data={"id": str(group.xid)})


async def listed(at: At) -> bytes:
    """GET /chatrooms: a page, oldest first; with a `cursor` where there are more."""
    principal = await at.administrator()
    cursor, limit = at.page()
    rooms, more = await at.core.groups.page(principal, (ROOM,), cursor, limit)
    owners = await at.names_of([room.owner_xid for room in rooms])
    sizes = await at.core.rooms.sizes([room.id for room in rooms])
    data = [
        RoomLine(str(room.xid), room.name, owners[room.owner_xid], size)
        for room, size in zip(rooms, sizes, strict=True)
    ]
    return at.told_page(data, more)


async def shown(at: At) -> bytes:
    """GET /chatrooms/{id,id}."""
    principal = await at.administrator()
    rooms = await groups_of(at, principal, rooms=True)
    return at.told(data=[await _shape(at, room) for room in rooms], count=len(rooms))


async def _shape(at: At, room: Group) -> RoomShape:
    xids = await at.core.rooms.all_members(room.id)
    names = await at.names_of([room.owner_xid, *xids])
    members = affiliations(room, xids, names)
    return RoomShape(
        id=str(room.xid),
        name=room.name,
        description=room.description,
        membersonly=False,
        allowinvites=False,
        maxusers=room.members_max or at.limits.group_members_max,
        owner=names[room.owner_xid],
        created=room.created_at,
        affiliations_count=len(members),
        affiliations=members,
        public=True,
    )


async def change(at: At) -> bytes:
    """PUT /chatrooms/{id}."""
    principal = await at.administrator()
    asked = await at.members()
    room_xid = await group_of(at, room=True)
    said = settings_of(asked, at.limits)
    settings = GroupSettings(
        name=asked.text("name") or said.name,
        description=said.description,
        members_max=said.members_max,
        ext=said.ext,
    )
    if settings.changes:
        await at.core.groups.settings.allow(principal, room_xid, settings)
    return at.told(data={told: True for member, told in _CHANGED.items() if asked.has(member)})


async def destroy(at: At) -> bytes:
    """DELETE /chatrooms/{id}."""
    principal, room_xid = await managed(at, room=True)
    await at.core.groups.destroy(principal, room_xid)
    return at.told(data={"success": True, "id": str(room_xid)})


async def members(at: At) -> bytes:
    """GET /chatrooms/{id}/users: a page by number, the owner first."""
    room = await _room(at)
    return await page_of_members(at, room, await at.core.rooms.all_members(room.id))


async def add(at: At) -> bytes:
    """POST /chatrooms/{id}/users/{username}."""
    room = await _room(at)
    user = await at.user_of_path(at.given[1], make=True)
    await at.core.rooms.list_in(room.id, [user.id], at.now())
    return at.told(data=_done(room, "add_member", at.given[1]))


async def add_many(at: At) -> bytes:
    """POST /chatrooms/{id}/users `{usernames}`."""
    room = await _room(at)
    names = (await at.members()).strings("usernames")
    if not names or len(names) > USERS_MAX:
        raise illegal("usernames", f"it must name 1 to {USERS_MAX} users")
    named = await _users(at, names, make=True)
    await at.core.rooms.list_in(room.id, [user.id for user in named.values()], at.now())
    return at.told(data={"newmembers": list(named), "id": str(room.xid), "action": "add_member"})


async def remove(at: At) -> bytes:
    """DELETE /chatrooms/{id}/users/{username,username}: off the list, and out of the room."""
    principal = await at.administrator()
    room = await _room(at)
    names = [name for name in at.given[1].split(",") if name]
    named = await _users(at, names)
    if any(user.xid == room.owner_xid for user in named.values()):
        raise Fault(FORBIDDEN, "forbidden_op", "the owner cannot leave the chatroom")
    were = await at.core.rooms.unlist(room.id, [user.id for user in named.values()])
    out = await _kick(at, principal, room, list(named.values()))
    gone = {name: user.id in were or user.xid in out for name, user in named.items()}
    gone |= {name: False for name in names if name not in named}
    if "," not in at.given[1]:
        if not gone[at.given[1]]:
            raise not_a_member(at.given[1])
        return at.told(data=_done(room, "remove_member", at.given[1]))
    return at.told(
        data=[
            _done(room, "remove_member", name)
            | ({} if went else {"result": False, "reason": stranger(name, room.xid)})
            for name, went in gone.items()
        ]
    )


async def _kick(at: At, principal: Principal, room: Group, users: Sequence[User]) -> set[int]:
    """Put users out of a chatroom; return the ids of those who were in it, connected."""
    outcomes = await at.core.groups.kick(principal, room.xid, [user.xid for user in users])
    return {one.xid for one in outcomes if one.kind is None}


async def joined(at: At) -> bytes:
    """GET /users/{username}/joined_chatrooms: the chatrooms that list the user."""
    principal = await at.administrator()
    user = await at.user_of_path(at.given[0])
    xids = await at.core.rooms.listing(user.id)
    found = await found_among(at, principal, xids)
    data = [{"id": str(room.xid), "name": room.name} for room in found]
    return at.told(data=data, count=len(data), entities=[])


async def _room(at: At) -> Group:
    """The chatroom that the path names; for the app alone."""
    principal, room_xid = await managed(at, room=True)
    return await at.core.groups.info(principal, room_xid)


async def _users(at: At, names: Sequence[str], *, make: bool = False) -> dict[str, User]:
    """The users named, by name; 404 where there is none of them."""
    found = await at.users_called(names, make=make)
    named = {name: user for name, user in zip(names, found, strict=True) if user is not None}
    if not named:
        raise not_found()
    return named


def _done(room: Group, action: str, name: str) -> dict[str, object]:
    return {"result": True, "id": str(room.xid), "action": action, "user": name}
