"""One call in the dialect: what it says, of which app, and whom it speaks for (agora.md, Everywhere)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from gateway.core.known import Tenant
from gateway.core.principal import Principal
from gateway.core.service import Core
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import App, State, User
from gateway.domain.naming import may_be_called, number_of
from gateway.edge.facades.agora import access_token
from gateway.edge.facades.agora.envelope import Around, success
from gateway.edge.facades.agora.faults import NOBODY, Fault, fault_of, illegal, not_found, unauthorized
from gateway.edge.facades.agora.members import Members, read_members
from gateway.edge.facades.agora.names import ADMIN, called_by, name_of, xid_of
from gateway.edge.facades.agora.rates import Rate, Rates
from gateway.edge.facades.agora.settings import Settings

ALIAS = "agora"
"""Under this dialect the core keeps `org/app` as a name of an app, and its client ids with their secrets."""

CERTIFICATE = "agora-certificate"
"""Under this one the vendor's ids of an app, with the certificates that sign its tokens."""

PAGE_DEFAULT, PAGE_MAX = 10, 1_000

_BEARER = "bearer "
_PAGE_NUMBER = re.compile(r"[1-9][0-9]{0,15}")


class At:
    """A call that has come in: its app is found, whom it speaks for is asked when it matters.

    `given` are the segments of the path that the route leaves open, percent-decoded.
    """

    def __init__(
        self,
        core: Core,
        limits: Limits,
        settings: Settings,
        rates: Rates,
        request: web.Request,
        *,
        tenant: Tenant,
        around: Around,
        given: Sequence[str],
        clock_ms: Callable[[], int],
        began_ms: int,
    ) -> None:
        self.core = core
        self.limits = limits
        self.settings = settings
        self._rates = rates
        self.request = request
        self.app: App = tenant.app
        self._system = tenant.system
        self.around = around
        self.given = given
        self.now = clock_ms
        self._began_ms = began_ms

    # -- what it says -----------------------------------------------------------------------------------

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the query, of repeated ones the first."""
        return self.request.query

    async def body(self) -> bytes:
        """The body, whatever its verb; raises `HTTPRequestEntityTooLarge` past `Limits.body_bytes_max`."""
        return await self.request.read()

    async def members(self) -> Members:
        """The members of the body, which is a JSON object."""
        return read_members(await self.body(), self.limits)

    def told(self, **members: object) -> bytes:
        """The answer to this call: `data`, `entities`, `count` … beside what every answer has."""
        now = self.now()
        return success(self.around, now, max(now - self._began_ms, 0), members)

    def told_page(self, data: Sequence[object], cursor: int, member: str = "data") -> bytes:
        """The answer that is a page of a list; `cursor`: after which id the next begins, 0: it is the last."""
        told: dict[str, object] = {member: data, "count": len(data)}
        if cursor:
            told["cursor"] = str(cursor)
        return self.told(**told)

    # -- whom it speaks for -----------------------------------------------------------------------------

    @property
    def bearer(self) -> str:
        """The token; empty where there is none."""
        header = self.request.headers.get("Authorization", "").strip()
        return header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else ""

    async def caller(self) -> Principal:
        """Whom the token speaks for: the administrator of this app, or one of its users; 401 where it is nobody."""
        token = self.bearer
        try:
            if not token:
                raise Problem(Kind.TOKEN_MISSING, NOBODY)
            if token.startswith(access_token.VERSION):
                return await self._by_access_token(token)
            principal = await self.core.directory.judge_token(self.app, token)
        except Problem as problem:
            raise _untold(problem) from None
        return principal

    async def administrator(self) -> Principal:
        """The administrator of the app, for whom a token of the app speaks; a user's token is not enough."""
        principal = await self.caller()
        if not principal.admin_alone:
            raise unauthorized()
        return principal

    async def _by_access_token(self, token: str) -> Principal:
        told, privilege = await self.judged(token)
        if privilege == access_token.APP:
            return Principal(app=self.app, user=self._system, admin=True)
        user = await self.user_called(told.user_id, make=True)
        if user is None:
            raise Problem(Kind.TOKEN_ILLEGAL, NOBODY)
        if user.state is State.FROZEN:
            raise Problem(Kind.FROZEN, NOBODY)
        if told.issued_s * 1000 < user.valid_from_ms:
            raise Problem(Kind.TOKEN_ILLEGAL, NOBODY)
        return Principal(app=self.app, user=user)

    async def judged(self, token: str) -> tuple[access_token.AccessToken, int]:
        """An AccessToken2 that this app's certificate has signed, and the greatest privilege of Chat it gives now.

        Of one that gives both, each with its own end, the user is left when the app's is over.

        Raises `TOKEN_ILLEGAL`, and `TOKEN_EXPIRED` where it gives none any more.
        """
        told = access_token.read(token)
        certificates = (
            await self.core.directory.credential(self.app, CERTIFICATE, told.app_id.lower()) if told else []
        )
        if told is None or not any(told.signed_by(certificate) for certificate in certificates):
            raise Problem(Kind.TOKEN_ILLEGAL, NOBODY)
        now_s = self.now() // 1000
        for privilege in (access_token.APP, access_token.USER):
            if told.good_until(privilege) > now_s:
                return told, privilege
        raise Problem(Kind.TOKEN_EXPIRED, NOBODY)

    def spend(self, rate: Rate, count: int = 1) -> None:
        """Count what the call asks for; raises `RATE_LIMITED` where the vendor's rates hold and it is too much."""
        if self.settings.vendor_rates:
            self._rates.spend(self.app.id, rate, count, self.now())

    # -- whom it names ----------------------------------------------------------------------------------

    async def user_called(self, text: str, *, make: bool = False) -> User | None:
        """The user that a name or UUID of the dialect means; `make`: in an open app it may come into being."""
        [user] = await self.users_called([text], make=make)
        return user

    async def users_called(self, texts: Sequence[str], *, make: bool = False) -> list[User | None]:
        """The users that names or UUIDs mean, in their order; None for what is nobody's, or can be none."""
        names = [self._core_name(text) for text in texts]
        wanted = list(dict.fromkeys(name for name in names if name))
        found = await self.core.directory.named(self.app, wanted, make=make and not self.app.registered)
        users = dict(zip(wanted, found, strict=True))
        return [users.get(name) if name else None for name in names]

    async def called(self, texts: Sequence[str]) -> tuple[list[User | None], int]:
        """The users that names or UUIDs mean, and how many more would come into being by being named.

        Nobody does by this.
        """
        users = await self.users_called(texts)
        if self.app.registered:
            return users, 0
        names = {self._core_name(text) for text, user in zip(texts, users, strict=True) if user is None}
        xids = {name: number_of(name) for name in names if name and may_be_called(name, self.limits)}
        numbers = list(filter(None, xids.values()))
        taken = await self.core.directory.known.taken(self.app, numbers) if numbers else ()
        return users, sum(xid not in taken for xid in xids.values())

    async def xid_or_name(self, text: str) -> tuple[int, str]:
        """The id of the user whom a name or UUID means, or who would come into being with it, or else with what name.

        Raises a `Fault` of 404 for who is nobody and can be none.
        """
        [user], new = await self.called([text])
        if user is not None:
            return user.xid, ""
        name = self._core_name(text)
        if name is None or not new:
            raise not_found()
        xid = number_of(name)
        return (xid, "") if xid else (0, name)

    def _core_name(self, text: str) -> str | None:
        xid = xid_of(self.app, text.lower())
        if xid is not None:
            return str(xid) if xid else None
        name = name_of(text)
        return None if name == ADMIN else name

    async def user_of_path(self, text: str, *, make: bool = False) -> User:
        """The user that a segment of the path names; 404 where there is none.

        `make` is for who is added to something: a backend that asks whether there is somebody must be told.
        """
        user = await self.user_called(text, make=make)
        if user is None:
            raise not_found()
        return user

    async def members_named(self, asked: Members, member: str, most: int) -> list[User]:
        """The users that a list of a body names, made where they may be; whoever is nobody is left out.

        Raises a `Fault` of 400 for more than `most`: each of them may have to be made.
        """
        names = asked.strings(member) or []
        if len(names) > most:
            raise illegal(member, f"it must name at most {most} users")
        return [user for user in await self.users_called(names, make=True) if user is not None]

    async def named_user(self, asked: Members, member: str) -> User:
        """The user that a member of a body names; 400 where it names none, 404 where there is none."""
        name = asked.identifier(member)
        if not name:
            raise illegal(member, "it is required")
        user = await self.user_called(name, make=True)
        if user is None:
            raise not_found()
        return user

    async def names_of(self, xids: Sequence[int]) -> dict[int, str]:
        """What users are called, by their ids in the order given; whoever is no more is called by the id."""
        users = await self.core.directory.users(self.app, list(dict.fromkeys(xids)))
        return {xid: called_by(self.app, xid, users[xid].name if xid in users else "") for xid in xids}

    # -- pages ------------------------------------------------------------------------------------------

    def page(self) -> tuple[int, int]:
        """`limit` and `cursor` of the query: after what id a page begins, and how much it holds."""
        return self._number("cursor", 0), min(self._number("limit", PAGE_DEFAULT), PAGE_MAX)

    def numbered_page(self) -> tuple[int, int]:
        """`pagenum` (from 1) and `pagesize` of the query."""
        return self._number("pagenum", 1), min(self._number("pagesize", PAGE_DEFAULT), PAGE_MAX)

    def _number(self, name: str, default: int) -> int:
        told = self.query.get(name, "")
        if not told:
            return default
        if not _PAGE_NUMBER.fullmatch(told):
            raise illegal(name, "it must be a number from 1 on")
        return int(told)


def _untold(problem: Problem) -> Fault:
    """Say why a token speaks for nobody. A token of who is no more is like any other that was never ours."""
    if problem.kind is Kind.USER_UNKNOWN:
        problem = Problem(Kind.TOKEN_ILLEGAL, NOBODY)
    return fault_of(problem)
