"""Apps and users: who a request speaks for, and how one comes by an account and a token."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from gateway.bus.base import Forget, ForgetGroup
from gateway.core.credentials import Credentials
from gateway.core.known import APP_ID, CALLED, Known, Tenant
from gateway.core.names import Names
from gateway.core.passwords import Passwords
from gateway.core.principal import Principal
from gateway.core.principals import Principals
from gateway.core.tokens import Claims, Tokens
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX, App, AppLimits, State, User
from gateway.domain.naming import check_username, number_of
from gateway.store.base import Store

TOKEN_TTL_S = 30 * 24 * 3600
SECRET_BYTES = 64
"""As long as what HS512 makes of it: a shorter key would be the weakest part (RFC 7518 §3.2)."""

_KID_BYTES = 8
_HEADER_NUMBER = re.compile(r"-?0*[0-9]{1,19}")
_ID = re.compile(r"0*[0-9]{1,19}")


class Grant(msgspec.Struct, frozen=True):
    """A token just issued, whose it is, and when it expires (ms since 1970; `FOREVER`: never)."""

    token: str
    xid: int
    expires_ms: int


class Directory:
    """Finds apps and users, and judges what tokens and acting headers allow.

    What it has read of apps and users it knows for a while (`known`). `randomness` gives that many random bytes.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        clock_ms: Callable[[], int],
        randomness: Callable[[int], bytes],
        *,
        passwords: Passwords | None = None,
        token_ttl_s: int = TOKEN_TTL_S,
        publish: Callable[[Forget | ForgetGroup], None] = lambda _: None,
        ticks_ms: Callable[[], int] | None = None,
    ) -> None:
        self._store = store
        self._limits = limits
        self._clock_ms = clock_ms
        self._randomness = randomness
        self._passwords = passwords or Passwords(limits, randomness)
        self._token_ttl_s = token_ttl_s
        self._tokens = Tokens()
        self.known = Known(store, limits, clock_ms, ticks_ms or clock_ms, publish)
        self.credentials = Credentials(store, self.known, clock_ms, randomness)
        self._principals = Principals(self.known, limits)
        self._names = Names(store, limits, clock_ms, self.known)

    @property
    def passwords(self) -> Passwords:
        """Where passwords are worked on."""
        return self._passwords

    def close(self) -> None:
        """Finish the password checks under way; later ones raise `DRAINING`."""
        self._passwords.close()

    # -- who asks ---------------------------------------------------------------------------------------

    def recognise(
        self, app_id: str | None, token: str | None, user_header: str | None, group_header: str | None
    ) -> Principal | None:
        """Who a request speaks for, by its four headers, if that is known; None: `principal` has to be asked."""
        # Whoever acts as a group's owner is looked up each time: that group may have another one by now.
        if group_header:
            return None
        return self._principals.find((app_id, token, user_header), self._clock_ms())

    async def principal(
        self, app_id: str | None, token: str | None, user_header: str | None, group_header: str | None
    ) -> Principal:
        """Who a request speaks for, by its four headers as they came (lanying.md, Codes and Principals).

        Raises:
            Problem: `BAD_PARAMETER` (no `app_id`, both acting headers, a header that is no id),
                `APP_UNKNOWN`, `TOKEN_MISSING`, `TOKEN_ILLEGAL`, `TOKEN_EXPIRED`, `FORBIDDEN` (a user token
                that names another), `FROZEN`, `USER_UNKNOWN` (deleted, or not there where registration is
                required), `GROUP_UNKNOWN`.
        """
        recognised = self.recognise(app_id, token, user_header, group_header)
        if recognised is not None:
            return recognised
        tenant = await self.known.tenant(app_id)
        claims = self._tokens.verify(tenant.app, token, self._clock_ms())
        user_xid = _header("user_id", user_header) if user_header else 0
        group_xid = _header("group_id", group_header) if group_header else 0
        if user_xid and group_xid:
            raise bad("user_id", "only one of the headers user_id and group_id may be set")
        if claims.admin:
            principal = await self._admin(tenant, user_xid, group_xid)
        elif group_xid:
            raise Problem(Kind.FORBIDDEN, "group_id: this header wants an administrator's token")
        elif user_xid and user_xid != claims.xid:
            raise Problem(Kind.FORBIDDEN, "user_id: a user's token speaks for nobody else")
        else:
            principal = await self._bearer(tenant, claims)
        if not group_header:
            self._principals.keep((app_id, token, user_header), principal, tenant, claims.exp_ms)
        return principal

    async def identify(self, app_id: str | None, token: str | None) -> tuple[Principal, int]:
        """Who a token speaks for without acting headers, and when it expires (ms since 1970).

        It is not remembered: a device brings its token once, and ten thousand of them would fill the memory of those
        who ask again and again. Raises what `principal` raises for tokens.
        """
        tenant = await self.known.tenant(app_id)
        claims = self._tokens.verify(tenant.app, token, self._clock_ms())
        if claims.admin:
            return await self._admin(tenant, 0, 0), claims.exp_ms
        return await self._bearer(tenant, claims), claims.exp_ms

    async def judge_token(self, app: App, token: str | None) -> Principal:
        """Who a token speaks for, alone, in an app that is known; raises what `principal` raises for tokens."""
        return await self.principal(app.app_id, token, None, None)

    async def tenant_by(self, dialect: str, name: str) -> Tenant:
        """The app that a dialect calls so; raises `APP_UNKNOWN`."""
        return await self.known.tenant_by(dialect, name)

    async def credential(self, app: App, dialect: str, name: str) -> Sequence[str]:
        """The secrets that are good for a name of an app's backends, the newest first; none: there is no such name."""
        return await self.known.secrets(app, dialect, name)

    async def _bearer(self, tenant: Tenant, claims: Claims) -> Principal:
        """The owner of a user token, who comes into being by it in an open app."""
        found = await self.known.user(tenant.app, claims.xid)
        if found is Kind.BAD_PARAMETER or claims.xid == tenant.app.system_xid:
            raise Problem(Kind.TOKEN_ILLEGAL, "access-token: it does not speak for a user")
        user = _known(found, claims.xid)
        if user.state is State.DELETED:
            raise Problem(Kind.TOKEN_ILLEGAL, "access-token: its user is deleted")
        if claims.iat_ms < user.valid_from_ms:
            raise Problem(Kind.TOKEN_ILLEGAL, "access-token: it was issued before the password was changed")
        if user.state is State.FROZEN:
            raise _frozen()
        return Principal(app=tenant.app, user=user)

    async def _admin(self, tenant: Tenant, user_xid: int, group_xid: int) -> Principal:
        app = tenant.app
        if group_xid:
            group = await self._store.group(app.id, group_xid)
            if group is None:
                raise Problem(Kind.GROUP_UNKNOWN, f"group_id: there is no group {group_xid}")
            owner = await self.find(app, group.owner_xid)
            return Principal(app=app, user=owner, admin=True, group_xid=group_xid)
        if user_xid:
            user = await self.find(app, user_xid)
            if user == tenant.system:
                raise bad("user_id", "the reserved user system is spoken for by leaving this header out")
            # A frozen one's things may be looked after; what it would send is refused where it is judged.
            return Principal(app=app, user=user, admin=True, as_user=True)
        return Principal(app=app, user=tenant.system, admin=True)

    async def find(self, app: App, xid: int) -> User:
        """The user with this id, made where it may be; raises `USER_UNKNOWN`, or `BAD_PARAMETER` for a group's id."""
        found = await self.known.user(app, xid)
        if found is Kind.BAD_PARAMETER:
            raise bad("user_id", f"{xid} is a group")
        return _alive(found, xid)

    async def named(
        self, app: App, names: Sequence[str], *, make: bool, literal: bool = False
    ) -> list[User | None]:
        """Users by what they are called, a name or the digits of an id; see `Names.find`."""
        return await self._names.find(app, names, make=make, literal=literal)

    async def users(self, app: App, xids: Sequence[int]) -> dict[int, User]:
        """The users of some ids, whoever they are; ids that are no user's are left out."""
        found = await self._store.find_users(app.id, xids)
        return {xid: user for xid, user in found.items() if isinstance(user, User)}

    # -- accounts ---------------------------------------------------------------------------------------

    async def register(self, app_id: str | None, username: str, password: str) -> User:
        """Make a user with a name and a password (vendors.md §1.4, POST /user/register/v2).

        Raises:
            Problem: `BAD_PARAMETER` for a name or password that may not be, `USER_EXISTS`, `OVERLOADED`.
        """
        return await self.enroll((await self.known.tenant(app_id)).app, username, password)

    async def enroll(self, app: App, username: str, password: str) -> User:
        """Make a user with a name and a password in an app that is known; raises what `register` raises."""
        check_username(username, self._limits)
        self._passwords.check(password, "password")
        # Looked for before the costly part; the store has the last word.
        user = None
        if await self._store.user_named(app.id, username) is None:
            record = await self._passwords.record(password, app.id)
            user = await self._store.register(app.id, username, record, self._clock_ms())
        if user is None:
            raise Problem(Kind.USER_EXISTS, f"username: {username} is taken")
        return user

    async def login_name(self, app_id: str | None, name: str, password: str) -> Grant:
        """A token for the user of this name (vendors.md §1.4, POST /token/user).

        One sentence and one span of time for a wrong password, a user without one, and no such user, so that
        an open app's accounts cannot be told apart by trying. Where registration is required the rules want
        an unknown user named as such (lanying.md, Codes): `USER_UNKNOWN`, after the same time.

        Raises:
            Problem: `FORBIDDEN`, `USER_UNKNOWN`, `OVERLOADED`.
        """
        app = (await self.known.tenant(app_id)).app
        return await self._login(app, await self._store.user_named(app.id, name), password, self._token_ttl_s)

    async def login_id(self, app_id: str | None, xid: int, password: str) -> Grant:
        """A token for the user with this id (vendors.md §1.4, POST /token/id); otherwise as `login_name`."""
        app = (await self.known.tenant(app_id)).app
        return await self._login(app, await self._user(app, xid), password, self._token_ttl_s)

    async def login(self, app_id: str | None, login_name: str, password: str) -> Grant:
        """A token for the user of this name, or of this id where it is of digits only, which no name is.

        Otherwise as `login_name` (vendors.md §1.4, POST /token/login).
        """
        if not _ID.fullmatch(login_name):
            return await self.login_name(app_id, login_name, password)
        return await self.login_id(app_id, min(int(login_name), SAFE_MAX + 1), password)

    async def login_in(self, app: App, name: str, password: str, ttl_s: int | None) -> Grant:
        """A token for the user of this name in an app that is known, good for `ttl_s` (None: for ever).

        A name of digits, the first not 0, is an id. Otherwise as `login_name`; raises what `grant` raises, too.
        """
        self._check_ttl(ttl_s)
        if xid := number_of(name):
            user = await self._user(app, xid)
        else:
            user = await self._store.user_named(app.id, name) if CALLED.fullmatch(name) else None
        return await self._login(app, user, password, ttl_s)

    async def _user(self, app: App, xid: int) -> User | None:
        found = await self._store.user(app.id, xid)
        return found if isinstance(found, User) else None

    async def _login(self, app: App, user: User | None, password: str, ttl_s: int | None) -> Grant:
        if user is not None and user.state is State.DELETED:
            user = None
        right = await self._passwords.matches(password, user.password if user else "", app.id)
        if user is not None and right:
            # The check waits its turn: its user may be frozen or deleted by now, and the password changed.
            now = await self._user(app, user.xid)
            if now is not None and now.password == user.password:
                return self.grant(app, now, ttl_s)
        if user is None and app.registered:
            raise Problem(Kind.USER_UNKNOWN, "there is no such user")
        raise Problem(Kind.FORBIDDEN, "wrong user or password")

    # -- what the operator does -------------------------------------------------------------------------

    async def create_app(self, app_id: str, *, registered: bool = False) -> App:
        """Make an app with a random secret; `registered`: its users must be registered before they are named.

        Raises:
            Problem: `BAD_PARAMETER` for a name that may not be or is taken.
        """
        if not APP_ID.fullmatch(app_id):
            raise bad(
                "app_id", "it must be 1 to 64 letters, digits, dots, #, _ and -, the first a letter or digit"
            )
        kid, secret = self._key()
        app = await self._store.create_app(app_id, kid, secret, registered=registered, at=self._clock_ms())
        if app is None:
            raise bad("app_id", f"there is an app {app_id} already")
        return app

    async def rotate_secret(self, app_id: str) -> App:
        """Sign an app's tokens with a new key from now on; tokens of the older keys stay good.

        Raises:
            Problem: `APP_UNKNOWN`.
        """
        kid, secret = self._key()
        app = await self._store.add_key(app_id, kid, secret, self._clock_ms())
        if app is None:
            raise Problem(Kind.APP_UNKNOWN, f"there is no app {app_id}")
        self.known.app_changed(app)
        return app

    async def set_limits(self, app_id: str, changes: Mapping[str, int]) -> App:
        """Set limits of an app by their names in `AppLimits` (0: no bound of its own), from the next call on.

        Raises:
            Problem: `APP_UNKNOWN`, `BAD_PARAMETER` for a limit that is not there or cannot be.
        """
        for name, value in changes.items():
            if name not in AppLimits.__struct_fields__:
                raise bad(name, f"the limits of an app are {', '.join(AppLimits.__struct_fields__)}")
            if not 0 <= value <= SAFE_MAX:
                raise bad(name, f"it must be 0 to {SAFE_MAX}")
        app = await self._store.set_limits(app_id, changes)
        if app is None:
            raise Problem(Kind.APP_UNKNOWN, f"there is no app {app_id}")
        self.known.app_changed(app)
        return app

    async def current(self, principal: Principal) -> Principal:
        """The same principal with its app as it is now: a connection may outlive what it knew when it began."""
        app = (await self.known.tenant(principal.app.app_id)).app
        return principal if app is principal.app else msgspec.structs.replace(principal, app=app)

    async def token_for(self, app_id: str, user: str | None, ttl_s: int | None = None) -> Grant:
        """A token for a user by id (digits) or name, or for the app's administrator (`user` None).

        In an open app a user who is not there yet is made, without a password.

        Raises:
            Problem: `APP_UNKNOWN`, `USER_UNKNOWN`, `BAD_PARAMETER` for a time or user that may not be.
        """
        tenant = await self.known.tenant(app_id)
        ttl_s = self._token_ttl_s if ttl_s is None else ttl_s
        self._check_ttl(ttl_s)
        if user is None:
            return self._grant(tenant.app, None, ttl_s)
        if _ID.fullmatch(user):
            xid = int(user)
            found = await self.known.user(tenant.app, xid) if 0 < xid <= SAFE_MAX else Kind.BAD_PARAMETER
        else:
            found = await self._named(tenant.app, user)
        if found is Kind.BAD_PARAMETER or found == tenant.system:
            raise bad("user", f"{user} is no user that a token can speak for")
        return self._grant(tenant.app, _alive(found, user), ttl_s)

    def grant(self, app: App, user: User | None, ttl_s: int | None) -> Grant:
        """A token for a user as just read, or for the app's administrator (None), good for `ttl_s` (None: for ever).

        Raises:
            Problem: `FROZEN`, `USER_UNKNOWN` for one that is deleted, `BAD_PARAMETER` for a time that may not be.
        """
        self._check_ttl(ttl_s)
        if user is not None and _alive(user, user.xid).state is State.FROZEN:
            raise _frozen()
        return self._grant(app, user, ttl_s)

    def _check_ttl(self, ttl_s: int | None) -> None:
        if ttl_s is not None and not 1 <= ttl_s <= self._limits.token_ttl_max_s:
            raise bad("ttl", f"it must be 1 to {self._limits.token_ttl_max_s} seconds")

    async def _named(self, app: App, name: str) -> User | Kind:
        """The user of this name, made in an open app."""
        user = await self._store.user_named(app.id, name)
        if user is None and not app.registered:
            check_username(name, self._limits)
            user = await self._store.register(app.id, name, "", self._clock_ms())
            # Somebody else took the name in between: then it is theirs.
            user = user or await self._store.user_named(app.id, name)
        return user or Kind.USER_UNKNOWN

    def _grant(self, app: App, user: User | None, ttl_s: int | None) -> Grant:
        xid = user.xid if user else app.system_xid
        token, expires_ms = self._tokens.issue(
            app,
            xid,
            admin=user is None,
            ttl_s=ttl_s,
            now_ms=self._clock_ms(),
            valid_from_ms=user.valid_from_ms if user else 0,
        )
        return Grant(token, xid, expires_ms)

    def _key(self) -> tuple[str, bytes]:
        return self._randomness(_KID_BYTES).hex(), self._randomness(SECRET_BYTES)


def _known(found: User | Kind, named: int | str) -> User:
    if isinstance(found, User):
        return found
    raise Problem(found, f"there is no user {named}")


def _alive(found: User | Kind, named: int | str) -> User:
    """A user that is not deleted: such a one is nobody any more."""
    if isinstance(found, User) and found.state is State.DELETED:
        found = Kind.USER_UNKNOWN
    return _known(found, named)


def _frozen() -> Problem:
    return Problem(Kind.FROZEN, "this user is frozen")


def _header(name: str, text: str) -> int:
    """The id in an acting header; 0 says the same as no header (lanying.md, Principals)."""
    number = int(text) if _HEADER_NUMBER.fullmatch(text) else -1
    if not 0 <= number <= SAFE_MAX:
        raise bad(name, f"the header must be an id from 1 to {SAFE_MAX}")
    return number
