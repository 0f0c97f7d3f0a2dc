"""Who is in a group, decides in it, may speak in it and may come (vendors.md §3.7). Of a chatroom too, by `rooms`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gateway.core.group_changes import Outcome
from gateway.core.principal import Principal
from gateway.domain.group_drafts import GroupSettings
from gateway.domain.model import FOREVER, User
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import illegal, not_found
from gateway.edge.facades.agora.groups import want_done
from gateway.edge.facades.agora.groups_and_rooms import managed, page_of_members

ANNOUNCEMENT_MAX = 512
"""Characters."""

USERS_MAX, PATH_USERS_MAX = 60, 100
"""Users of one call that names many in its body, and of one that names them in its path."""

_MINUTE_MS = 60_000

Change = Callable[[Principal, int, Sequence[int]], Awaitable[list[Outcome]]]


async def members(at: At) -> bytes:
    """GET /chatgroups/{id}/users: a page by number (`pagenum` from 1, `pagesize`), the owner first."""
    principal, group_xid = await managed(at)
    group = await at.core.groups.info(principal, group_xid)
    return await page_of_members(at, group, await at.core.groups.member_xids(principal, group_xid))


async def add(at: At) -> bytes:
    """POST /chatgroups/{id}/users/{username}."""
    principal, group_xid = await managed(at)
    user = await at.user_of_path(at.given[1], make=True)
    [outcome] = await at.core.groups.invite(principal, group_xid, [user.xid])
    want_done(outcome, at.given[1], group_xid)
    return at.told(data=_done(group_xid, "add_member", at.given[1]))


async def add_many(at: At) -> bytes:
    """POST /chatgroups/{id}/users `{usernames}`: those of them who are in it then."""
    principal, group_xid = await managed(at)
    named = await _named(at, "usernames", make=True)
    outcomes = await at.core.groups.invite(principal, group_xid, list(named.by_xid))
    new = [named.by_xid[one.xid] for one in outcomes if one.kind is None]
    return at.told(data={"newmembers": new, "groupid": str(group_xid), "action": "add_member"})


async def remove(at: At) -> bytes:
    """DELETE /chatgroups/{id}/users/{username,username}."""
    principal, group_xid = await managed(at)
    return await _of_path(at, group_xid, "remove_member", at.core.groups.kick, principal)


async def admins(at: At) -> bytes:
    """GET /chatgroups/{id}/admin."""
    principal, group_xid = await managed(at)
    found = await at.core.groups.roles.admin_list(principal, group_xid)
    return await _told_names(at, [member.xid for member in found])


async def add_admin(at: At) -> bytes:
    """POST /chatgroups/{id}/admin `{newadmin}`."""
    principal, group_xid = await managed(at)
    name = (await at.members()).identifier("newadmin")
    if not name:
        raise illegal("newadmin", "it is required")
    user = await at.user_called(name)
    if user is None:
        raise not_found()
    [outcome] = await at.core.groups.roles.assign(principal, group_xid, [user.xid], admin=True)
    want_done(outcome, name, group_xid)
    return at.told(data={"result": "success", "newadmin": name})


async def remove_admin(at: At) -> bytes:
    """DELETE /chatgroups/{id}/admin/{username}."""
    principal, group_xid = await managed(at)
    user = await _user(at)
    [outcome] = await at.core.groups.roles.assign(principal, group_xid, [user.xid], admin=False)
    want_done(outcome, at.given[1], group_xid)
    return at.told(data={"result": "success", "oldadmin": at.given[1]})


async def blocks(at: At) -> bytes:
    """GET /chatgroups/{id}/blocks/users."""
    principal, group_xid = await managed(at)
    found = at.core.groups.bans.all_blocked(principal, group_xid)
    return await _told_names(at, [blocked.xid async for blocked in found])


async def block(at: At) -> bytes:
    """POST /chatgroups/{id}/blocks/users/{username}."""
    principal, group_xid = await managed(at)
    user = await _user(at)
    [outcome] = await at.core.groups.bans.block(principal, group_xid, [user.xid])
    want_done(outcome, at.given[1], group_xid)
    return at.told(data=_done(group_xid, "add_blocks", at.given[1]))


async def block_many(at: At) -> bytes:
    """POST /chatgroups/{id}/blocks/users `{usernames}`."""
    principal, group_xid = await managed(at)
    named = await _named(at, "usernames")
    outcomes = await at.core.groups.bans.block(principal, group_xid, list(named.by_xid))
    return at.told(data=_each(group_xid, "add_blocks", outcomes, named))


async def unblock(at: At) -> bytes:
    """DELETE /chatgroups/{id}/blocks/users/{username,username}."""
    principal, group_xid = await managed(at)
    return await _of_path(at, group_xid, "remove_blocks", at.core.groups.bans.unblock, principal)


async def mutes(at: At) -> bytes:
    """GET /chatgroups/{id}/mute: who may not speak, and until when (ms)."""
    principal, group_xid = await managed(at)
    found = [one async for one in at.core.groups.bans.all_banned(principal, group_xid)]
    names = await at.names_of([one.xid for one in found])
    data = [{"expire": one.until, "user": names[one.xid]} for one in found]
    return at.told(data=data, count=len(data))


async def mute(at: At) -> bytes:
    """POST /chatgroups/{id}/mute `{usernames, mute_duration}`: for so many ms, -1 for good."""
    principal, group_xid = await managed(at)
    asked = await at.members()
    lasts = asked.integer("mute_duration")
    if lasts is None or lasts < -1 or not lasts:
        raise illegal("mute_duration", "it must be ms, or -1")
    named = await _named(at, "usernames")
    # A ban is of whole minutes: nobody speaks before they may.
    minutes = -1 if lasts == -1 else -(-lasts // _MINUTE_MS)
    outcomes = await at.core.groups.bans.ban(principal, group_xid, list(named.by_xid), minutes)
    until = FOREVER if lasts == -1 else at.now() + minutes * _MINUTE_MS
    return at.told(
        data=[
            {"result": not reason, "expire": until, "user": name} | ({"reason": reason} if reason else {})
            for name, reason in named.reasons(outcomes, group_xid)
        ]
    )


async def unmute(at: At) -> bytes:
    """DELETE /chatgroups/{id}/mute/{username,username}."""
    principal, group_xid = await managed(at)
    named = await _named_in_path(at)
    outcomes = await at.core.groups.bans.unban(principal, group_xid, list(named.by_xid))
    return at.told(
        data=[{"result": not reason, "user": name} for name, reason in named.reasons(outcomes, group_xid)]
    )


async def trusted(at: At) -> bytes:
    """GET /chatgroups/{id}/white/users: who speaks also while all are muted."""
    principal, group_xid = await managed(at)
    found = await at.core.groups.roles.trusted_list(principal, group_xid)
    return await _told_names(at, [member.xid for member in found])


async def trust(at: At) -> bytes:
    """POST /chatgroups/{id}/white/users/{username}."""
    principal, group_xid = await managed(at)
    user = await _user(at)
    [outcome] = await at.core.groups.roles.trust(principal, group_xid, [user.xid], trusted=True)
    want_done(outcome, at.given[1], group_xid)
    return at.told(data=_done(group_xid, "add_user_whitelist", at.given[1]))


async def trust_many(at: At) -> bytes:
    """POST /chatgroups/{id}/white/users `{usernames}`."""
    principal, group_xid = await managed(at)
    named = await _named(at, "usernames")
    outcomes = await at.core.groups.roles.trust(principal, group_xid, list(named.by_xid), trusted=True)
    return at.told(data=_each(group_xid, "add_user_whitelist", outcomes, named))


async def distrust(at: At) -> bytes:
    """DELETE /chatgroups/{id}/white/users/{username,username}."""
    principal, group_xid = await managed(at)

    async def change(by: Principal, group: int, xids: Sequence[int]) -> list[Outcome]:
        return await at.core.groups.roles.trust(by, group, xids, trusted=False)

    return await _of_path(at, group_xid, "remove_user_whitelist", change, principal)


async def ban(at: At) -> bytes:
    """POST /chatgroups/{id}/ban: all are muted but some."""
    principal, group_xid = await managed(at)
    await at.core.groups.settings.ban_all(principal, group_xid, -1)
    return at.told(data={"mute": True})


async def unban(at: At) -> bytes:
    """DELETE /chatgroups/{id}/ban."""
    principal, group_xid = await managed(at)
    await at.core.groups.settings.ban_all(principal, group_xid, None)
    return at.told(data={"mute": False})


async def announcement(at: At) -> bytes:
    """GET /chatgroups/{id}/announcement."""
    principal, group_xid = await managed(at)
    group = await at.core.groups.info(principal, group_xid)
    return at.told(data={"announcement": group.announcement})


async def announce(at: At) -> bytes:
    """POST /chatgroups/{id}/announcement."""
    principal, group_xid = await managed(at)
    told = (await at.members()).text("announcement") or ""
    if len(told) > ANNOUNCEMENT_MAX:
        raise illegal("announcement", f"it must not have more than {ANNOUNCEMENT_MAX} characters")
    await at.core.groups.settings.allow(principal, group_xid, GroupSettings(announcement=told))
    return at.told(data={"id": str(group_xid), "result": True})


# -- whom a call names ----------------------------------------------------------------------------------


async def _user(at: At) -> User:
    """The one user that the path names."""
    return await at.user_of_path(at.given[1])


class Named(msgspec.Struct, frozen=True):
    """The users that a call names: by id as they were named, and the names that are nobody's."""

    by_xid: dict[int, str]
    nobody: list[str]

    def reasons(self, outcomes: Sequence[Outcome], group_xid: int) -> list[tuple[str, str]]:
        """Each name with why nothing came of it; empty where it did."""
        done = [(self.by_xid[one.xid], one.reason) for one in outcomes]
        return done + [(name, stranger(name, group_xid)) for name in self.nobody]


def stranger(name: str, group_xid: int) -> str:
    """Say in the vendor's words that nobody of this name is in a group or chatroom."""
    return f"user: {name} doesn't exist in group: {group_xid}"


async def _named(at: At, member: str, *, make: bool = False) -> Named:
    """The users that a body names; 404 where all of them are nobody."""
    names = (await at.members()).strings(member)
    if not names or len(names) > USERS_MAX:
        raise illegal(member, f"it must name 1 to {USERS_MAX} users")
    return await _by_xid(at, names, make=make)


async def _named_in_path(at: At) -> Named:
    """The users that the path names, separated by commas; 404 where all of them are nobody."""
    names = [name for name in at.given[1].split(",") if name]
    if len(names) > PATH_USERS_MAX:
        raise illegal("users", f"it must name at most {PATH_USERS_MAX} users")
    return await _by_xid(at, names)


async def _by_xid(at: At, names: Sequence[str], *, make: bool = False) -> Named:
    found = await at.users_called(names, make=make)
    named = {user.xid: name for name, user in zip(names, found, strict=True) if user is not None}
    if not named:
        raise not_found()
    nobody = [name for name, user in zip(names, found, strict=True) if user is None]
    return Named(named, list(dict.fromkeys(nobody)))


async def _of_path(at: At, group_xid: int, action: str, change: Change, principal: Principal) -> bytes:
    """Change what the users of a path are to the group: told as one where one was named, else each by itself."""
    named = await _named_in_path(at)
    outcomes = await change(principal, group_xid, list(named.by_xid))
    if "," in at.given[1]:
        return at.told(data=_each(group_xid, action, outcomes, named))
    [outcome] = outcomes
    want_done(outcome, at.given[1], group_xid)
    return at.told(data=_done(group_xid, action, at.given[1]))


async def _told_names(at: At, xids: Sequence[int]) -> bytes:
    names = await at.names_of(xids)
    return at.told(data=list(names.values()), count=len(names))


def _done(group_xid: int, action: str, name: str) -> dict[str, object]:
    return {"result": True, "groupid": str(group_xid), "action": action, "user": name}


def _each(group_xid: int, action: str, outcomes: Sequence[Outcome], named: Named) -> list[dict[str, object]]:
    """What became of each of many, with why not."""
    told = []
    for name, reason in named.reasons(outcomes, group_xid):
        line = _done(group_xid, action, name)
        if reason:
            line |= {"result": False, "reason": reason}
        told.append(line)
    return told
