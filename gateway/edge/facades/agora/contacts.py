"""Address books, block lists and metadata of users (agora.md, Around them; vendors.md §3.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from gateway.core.principal import Principal
from gateway.core.roster import XidsPage
from gateway.domain.model import User
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import illegal, not_found
from gateway.edge.facades.agora.members import read_members
from gateway.edge.facades.agora.names import called
from gateway.edge.facades.agora.shapes import user_shape

METADATA_TARGETS_MAX = 100
"""Users of one POST /metadata/user/get."""

BLOCKED_MAX = 60
"""Users of one POST /users/{username}/blocks/users."""

_JSON = (b"", b"{", b"[")
"""What a body begins with that is no form, but JSON, or nothing."""

Listing = Callable[[Principal, str], Awaitable[XidsPage]]
"""A list of a user's, by page."""


async def contacts(at: At) -> bytes:
    """GET /users/{username}/contacts/users: by name."""
    acting, _ = await _owner(at)
    return await _listed(at, acting, at.core.roster.contacts)


async def add_contact(at: At) -> bytes:
    """POST /users/{username}/contacts/users/{other}."""
    acting, _ = await _owner(at)
    other = await at.user_of_path(at.given[1], make=True)
    await at.core.roster.add_contact(acting, other.xid)
    return at.told(entities=[user_shape(at.app, other)])


async def drop_contact(at: At) -> bytes:
    """DELETE /users/{username}/contacts/users/{other}."""
    acting, _ = await _owner(at)
    other = await at.user_of_path(at.given[1])
    await at.core.roster.drop_contact(acting, other.xid)
    return at.told(entities=[user_shape(at.app, other)])


async def blocks(at: At) -> bytes:
    """GET /users/{username}/blocks/users: by name."""
    acting, _ = await _owner(at)
    return await _listed(at, acting, at.core.roster.blocked)


async def block(at: At) -> bytes:
    """POST /users/{username}/blocks/users `{usernames}`: who is nobody is left out."""
    acting, _ = await _owner(at)
    asked = await at.members()
    if not asked.strings("usernames"):
        raise illegal("usernames", "it must name users")
    found = await at.members_named(asked, "usernames", BLOCKED_MAX)
    for user in found:
        await at.core.roster.block(acting, user.xid)
    return at.told(data=[called(at.app, user) for user in found])


async def unblock(at: At) -> bytes:
    """DELETE /users/{username}/blocks/users/{other}."""
    acting, _ = await _owner(at)
    other = await at.user_of_path(at.given[1])
    await at.core.roster.unblock(acting, other.xid)
    return at.told(entities=[user_shape(at.app, other)])


async def metadata(at: At) -> bytes:
    """GET /metadata/user/{username}."""
    principal = await at.administrator()
    user = await at.user_of_path(at.given[0])
    return at.told(data=await at.core.accounts.metadata(principal, user))


async def set_metadata(at: At) -> bytes:
    """PUT /metadata/user/{username}: as a form or as JSON, whatever the label says."""
    principal = await at.administrator()
    user = await at.user_of_path(at.given[0])
    body = await at.body()
    if body.lstrip()[:1] in _JSON:
        members = read_members(body, at.limits)
        changes = {name: members.identifier(name) or "" for name in members}
    else:
        changes = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    return at.told(data=await at.core.accounts.set_metadata(principal, user, changes))


async def drop_metadata(at: At) -> bytes:
    """DELETE /metadata/user/{username}."""
    principal = await at.administrator()
    user = await at.user_of_path(at.given[0])
    await at.core.accounts.set_metadata(principal, user, None)
    return at.told(data=True)


async def metadata_of_many(at: At) -> bytes:
    """POST /metadata/user/get `{targets, properties}`: of users that there are, what of it there is."""
    principal = await at.administrator()
    asked = await at.members()
    targets, names = asked.strings("targets"), asked.strings("properties") or []
    if not targets or len(targets) > METADATA_TARGETS_MAX:
        raise illegal("targets", f"it must name 1 to {METADATA_TARGETS_MAX} users")
    data = {}
    for text, user in zip(targets, await at.users_called(targets), strict=True):
        if user is not None:
            held = await at.core.accounts.metadata(principal, user)
            data[text] = {name: value for name, value in held.items() if not names or name in names}
    return at.told(data=data)


async def _owner(at: At) -> tuple[Principal, User]:
    """The user that the path names, spoken for by the app."""
    principal = await at.administrator()
    user = await at.user_of_path(at.given[0])
    if user.xid == at.app.system_xid:
        raise not_found()
    return principal.acting_for(user), user


async def _listed(at: At, acting: Principal, listing: Listing) -> bytes:
    """All of a list, which is bounded, by name."""
    page = await listing(acting, "")
    xids = list(page.xids)
    while page.cursor:
        page = await listing(acting, page.cursor)
        xids += page.xids
    users = await at.users_called([str(xid) for xid in xids])
    return at.told(data=[called(at.app, user) for user in users if user is not None], count=len(xids))
