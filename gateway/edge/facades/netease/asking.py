"""One call in the dialect: what it says, of which app, and whom it speaks for (netease.md, Everywhere)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeVar

import msgspec
from aiohttp import web

from gateway.core.known import Tenant
from gateway.core.principal import Principal
from gateway.core.service import Core
from gateway.domain.limits import Limits
from gateway.domain.model import App, State, User
from gateway.edge.decode import Body, Query
from gateway.edge.facades.netease.faults import (
    ACCOUNT_UNKNOWN,
    FORBIDDEN,
    MISMATCH,
    Fault,
    illegal,
)
from gateway.edge.facades.netease.names import (
    ConversationId,
    called,
    decoded,
    folded,
    may_be_new,
    number_in,
    read_conversation_id,
)

ALIAS = "netease"
"""Under this dialect the core keeps an AppKey as the name of an app, and the secrets that sign its calls."""

TRACE = "X-custom-traceid"
"""The header of what a repeat of the same call has in common with it."""

T = TypeVar("T", bound=msgspec.Struct)


class At:
    """A call that has come in, signed by a secret of its app.

    `given` are the segments of the path that the route leaves open, as they came; `trace_id` is what a repeat of the
    same call has in common with it (empty: none).
    """

    def __init__(
        self,
        core: Core,
        limits: Limits,
        request: web.Request,
        *,
        tenant: Tenant,
        given: Sequence[str],
        trace_id: str,
        clock_ms: Callable[[], int],
    ) -> None:
        self.core = core
        self.limits = limits
        self.request = request
        self.app: App = tenant.app
        self._system = tenant.system
        self.given = given
        self.trace_id = trace_id
        self.now = clock_ms

    # -- what it says -----------------------------------------------------------------------------------

    async def body(self, shape: Body[T]) -> T:
        """The body as a Struct of optional members, whatever its content type; an empty one is `{}`.

        Raises `BAD_PARAMETER`, and `HTTPRequestEntityTooLarge` past `Limits.body_bytes_max`.
        """
        return shape.decode(await self.request.read() or b"{}", self.limits)

    @property
    def query(self) -> Query:
        """The parameters of the query."""
        return Query(self._parameters)

    @property
    def _parameters(self) -> Mapping[str, str]:
        for name, value in self.request.query.items():
            if "\0" in value or "\ufffd" in value:
                raise illegal(name, "it holds a character that cannot be kept")
        return self.request.query

    def segment(self, place: int = 0) -> str:
        """A segment that the route leaves open, decoded."""
        return decoded(self.given[place])

    def conversation(self, *also: str | None) -> ConversationId:
        """The conversation that the path names. What body and query say of it `also` must be the same.

        Raises a `Fault` of 414, or of 110302.
        """
        named = read_conversation_id(self.segment())
        query = self.query
        for said in (*also, query.text("conversation_id"), query.text("conversationId")):
            if said and read_conversation_id(said) != named:
                raise Fault(MISMATCH, "conversation_id: it is another one than that of the path")
        return named

    # -- whom it speaks for, and whom it names ------------------------------------------------------------

    @property
    def administrator(self) -> Principal:
        """The app's administrator: whoever has signed."""
        return Principal(app=self.app, user=self._system, admin=True)

    def acting_for(self, user: User) -> Principal:
        """The app's administrator as it acts for a user: by that user's bans, blocks and memberships."""
        return self.administrator.acting_for(user)

    async def account(self, account: str | None, member: str, *, make: bool = False) -> User:
        """The user that an account id names; with `make` one may come into being by it in an open app.

        Raises a `Fault` of 414 where none is named, of 403 for the reserved user, of 102404 where there is none.
        """
        if not account:
            raise illegal(member, "it is required")
        [user] = await self.accounts([account], make=make)
        return user or self._nobody(account, member)

    async def account_or_new(self, account: str | None, member: str) -> User | None:
        """The user that an account id names; None: nobody, but one who may come into being by it in an open app.

        Raises what `account` raises.
        """
        if not account:
            raise illegal(member, "it is required")
        [user] = await self.accounts([account])
        return user or (None if self.makes(account) else self._nobody(account, member))

    def _nobody(self, account: str, member: str) -> NoReturn:
        if folded(account) == self._system.name:
            raise Fault(FORBIDDEN, f"{member}: the reserved account {account} is spoken for by nobody")
        raise Fault(ACCOUNT_UNKNOWN, f"{member}: there is no account {account}")

    async def accounts(self, accounts: Sequence[str], *, make: bool = False) -> list[User | None]:
        """The users that account ids name, in their order; None where one is nobody's, or nobody's any more.

        With `make` those come into being in an open app who may; for a send, once nothing but its commit refuses it.
        """
        names = [folded(account) for account in accounts]
        numbers = {name: xid for name in names if (xid := number_in(name))}
        wanted = list(dict.fromkeys(name for name in names if name not in numbers))
        users: dict[str, User | None] = {}
        for new in (True, False):
            some = [name for name in wanted if may_be_new(name) is new]
            found = await self.core.directory.named(self.app, some, make=make and new, literal=True)
            users |= dict(zip(some, found, strict=True))
        if numbers:
            by_xid = await self.core.directory.users(self.app, list(numbers.values()))
            users |= {name: _nameless(by_xid.get(xid)) for name, xid in numbers.items()}
        return [users[name] for name in names]

    def makes(self, account: str) -> bool:
        """Whether somebody may come into being by an account id, if it is nobody's."""
        return not self.app.registered and may_be_new(folded(account))

    async def called(self, xids: Sequence[int]) -> dict[int, str]:
        """The account ids of users, by their ids."""
        users = await self.core.directory.users(self.app, list(dict.fromkeys(xids)))
        return {xid: called(self.app, xid, users[xid].name if xid in users else "") for xid in xids}


def _nameless(user: User | None) -> User | None:
    """Whoever has a name is called by it alone, and who is deleted is nobody."""
    if user is None or user.name or user.state is State.DELETED:
        return None
    return user
