"""Users of an app (agora.md, Around them; vendors.md §3.3)."""

from __future__ import annotations

import msgspec

from gateway.core.principal import Principal
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import Account, State, User
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import (
    BAD_REQUEST,
    FORBIDDEN,
    UNAUTHORIZED,
    Fault,
    illegal,
    not_found,
    unauthorized,
)
from gateway.edge.facades.agora.members import Members, read_many
from gateway.edge.facades.agora.names import ADMIN, called, id_of, name_of, xid_of
from gateway.edge.facades.agora.shapes import user_shape

CREATED_MAX = 60
"""Users of one POST /users."""

STATUSES_MAX = 100
"""Users of one POST /users/batch/status."""

_ONLINE = {True: "online", False: "offline"}

PASSWORD_MAX = 64
"""Characters (vendors.md §3.3)."""

_CLOSED = "Open registration doesn't allow, so register user need token"


async def create(at: At) -> bytes:
    """POST /users: one user, or a list of them, all or none."""
    if at.bearer:
        await at.administrator()
    elif not at.settings.open_registration:
        raise Fault(UNAUTHORIZED, "unauthorized", _CLOSED)
    asked = read_many(await at.body(), at.limits)
    if not 0 < len(asked) <= CREATED_MAX:
        raise illegal("body", f"it must have 1 to {CREATED_MAX} users")
    accounts = [_account(at, members) for members in asked]
    try:
        made = await at.core.accounts.make(at.app, accounts, claim=bool(at.bearer))
    except Problem as problem:
        if problem.kind is not Kind.USER_EXISTS:
            raise
        raise _taken(at, problem.sentence) from None
    shapes = [
        user_shape(at.app, user, account.nickname) for user, account in zip(made, accounts, strict=True)
    ]
    return at.told(entities=shapes)


def _account(at: At, asked: Members) -> Account:
    name = name_of(asked.identifier("username"))
    if name is None or name == ADMIN or xid_of(at.app, name) is not None:
        raise illegal("username", "it must be 1 to 64 of a-z, 0-9, _ . and -, and no reserved name")
    return Account(name, _password(asked, "password"), asked.text("nickname") or "")


def _password(asked: Members, member: str) -> str:
    password = asked.identifier(member)
    if password is None:
        raise illegal(member, "it is required")
    if len(password) > PASSWORD_MAX:
        raise illegal(member, f"it must not have more than {PASSWORD_MAX} characters")
    return password


def _taken(at: At, name: str) -> Fault:
    told = (
        f"Application {at.around.application} Entity user requires that property named username be unique, "
    )
    return Fault(BAD_REQUEST, "duplicate_unique_property_exists", f"{told}value of {name} exists")


async def one(at: At) -> bytes:
    """GET /users/{username}: anybody's for the app, one's own for a user."""
    principal = await at.caller()
    if principal.admin_alone:
        user = await at.user_of_path(at.given[0])
    else:
        # Whoever asks for another neither makes that one nor learns whether it is there.
        found = await at.user_called(at.given[0])
        if found is None or found.xid != principal.user.xid:
            raise unauthorized()
        user = found
    return at.told(entities=await _shapes(at, [user]), count=1)


async def listed(at: At) -> bytes:
    """GET /users: a page by rising number; with a `cursor` where there are more.

    Raises 400 for a query of older clients: whoever asks for one user must not get others.
    """
    principal = await at.administrator()
    if "ql" in at.query:
        raise illegal("ql", "users are not looked for by a query")
    users, more = await at.core.accounts.after(principal, *at.page())
    return at.told_page(await _shapes(at, users), more, "entities")


async def delete(at: At) -> bytes:
    """DELETE /users/{username}."""
    principal = await at.administrator()
    user = await _there(at)
    shapes = await _shapes(at, [user])
    await at.core.erasing.delete(principal, user.xid)
    return at.told(entities=shapes)


async def delete_many(at: At) -> bytes:
    """DELETE /users?limit=N: whoever it would be; not served (agora.md, absent on purpose)."""
    await at.administrator()
    raise Fault(FORBIDDEN, "forbidden_op", "users are deleted one by one")


async def change(at: At) -> bytes:
    """PUT /users/{username}: its nickname."""
    principal = await at.administrator()
    asked = await at.members()
    user = await _there(at)
    nickname = asked.text("nickname")
    if nickname is not None:
        if len(nickname.encode()) > at.limits.text_bytes_max:
            raise illegal("nickname", f"it must not have more than {at.limits.text_bytes_max} bytes")
        await at.core.users.set_profile(principal, user.xid, {"nickname": nickname})
    return at.told(entities=await _shapes(at, [user]))


async def change_password(at: At) -> bytes:
    """PUT /users/{username}/password."""
    principal = await at.administrator()
    asked = await at.members()
    user = await _there(at)
    password = _password(asked, "newpassword")
    await at.core.users.change_password(principal, user.xid, None, password)
    return at.told(action="set user password")


async def status(at: At) -> bytes:
    """GET /users/{username}/status: whether a device of it is connected, to any node."""
    principal = await at.administrator()
    user = await _there(at)
    return at.told(data=dict([await _status(at, principal, user)]))


async def statuses(at: At) -> bytes:
    """POST /users/batch/status: of many; who is nobody is offline."""
    principal = await at.administrator()
    names = (await at.members()).strings("usernames")
    if not names or len(names) > STATUSES_MAX:
        raise illegal("usernames", f"it must name 1 to {STATUSES_MAX} users")
    found = await at.users_called(names)
    online = iter(await at.core.accounts.online(principal, [user for user in found if user is not None]))
    told = zip(names, found, strict=True)
    return at.told(data=[{name: _ONLINE[user is not None and next(online)]} for name, user in told])


async def _status(at: At, principal: Principal, user: User) -> tuple[str, str]:
    [online] = await at.core.accounts.online(principal, [user])
    return called(at.app, user), _ONLINE[online]


async def activate(at: At) -> bytes:
    """POST /users/{username}/activate."""
    principal = await at.administrator()
    user = await _there(at)
    await at.core.users.unfreeze(principal, [user.xid])
    return at.told(action="activate user")


async def deactivate(at: At) -> bytes:
    """POST /users/{username}/deactivate: it may do nothing from now on, and its devices are told to go."""
    principal = await at.administrator()
    user = await _there(at)
    await at.core.users.freeze(principal, [user.xid])
    frozen = msgspec.structs.replace(user, state=State.FROZEN)
    return at.told(entities=await _shapes(at, [frozen]))


async def disconnect(at: At) -> bytes:
    """GET, POST /users/{username}/disconnect: its devices are told to go; they may come back."""
    principal = await at.administrator()
    user = await _there(at)
    await at.core.users.kick(principal, user.xid, 0)
    return at.told(data={"result": True})


async def offline_count(at: At) -> bytes:
    """GET /users/{username}/offline_msg_count: messages that no device of it has got yet."""
    principal = await at.administrator()
    user = await _there(at)
    count = await at.core.conversations.undelivered(principal.acting_for(user))
    return at.told(data={called(at.app, user): count})


async def offline_status(at: At) -> bytes:
    """GET /users/{username}/offline_msg_status/{msg_id}; what is no message of theirs waits for nobody."""
    principal = await at.administrator()
    user = await _there(at)
    awaited = await _awaits(at, principal, user, id_of(at.given[1]))
    return at.told(data={at.given[1]: "undelivered" if awaited else "delivered"})


async def _awaits(at: At, principal: Principal, user: User, msg_id: int) -> bool:
    if not msg_id:
        return False
    try:
        return await at.core.conversations.awaits(principal.acting_for(user), msg_id)
    except Problem as problem:
        if problem.kind is not Kind.MESSAGE_UNKNOWN:
            raise
        return False


async def _there(at: At) -> User:
    """The user that the path names, and that can be handled: 404 for nobody, and for the app's administrator."""
    user = await at.user_of_path(at.given[0])
    if user.xid == at.app.system_xid:
        raise not_found()
    return user


async def _shapes(at: At, users: list[User]) -> list[object]:
    names = await at.core.accounts.nicknames(users)
    return [user_shape(at.app, user, name) for user, name in zip(users, names, strict=True)]
