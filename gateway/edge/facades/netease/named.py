"""What calls about teams name: a team, and accounts, and what becomes of each of these (vendors.md §2.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

import msgspec

from gateway.core.group_changes import Outcome
from gateway.core.principal import Principal
from gateway.domain.errors import Kind
from gateway.domain.model import ROOM, SAFE_MAX, User
from gateway.edge.decode import Number, number
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.faults import ACCOUNT_UNKNOWN, TABLE, TEAM_UNKNOWN, Fault, illegal
from gateway.edge.facades.netease.names import folded

TEAM = "team_id"

_NO_ROOM = Outcome(0, Kind.GROUP_FULL)

ADVANCED, SUPER = 1, 2
"""Types of teams, between which there is no difference here."""


Change = Callable[[Principal, int, Sequence[int]], Awaitable[list[Outcome]]]
"""What is done to users of a group, on whose behalf."""


class Failed(msgspec.Struct):
    """An account for which a call did nothing, and why."""

    account_id: str
    error_code: int
    error_msg: str


class Results(msgspec.Struct):
    """What became of each account that a call names."""

    success_list: list[str]
    failed_list: list[Failed]


class Named(msgspec.Struct, frozen=True):
    """The accounts that a call names, each once, and whose they are (None: nobody's). No place is left for `full`."""

    users: dict[str, User | None]
    full: Collection[str] = ()

    @property
    def by_xid(self) -> dict[int, str]:
        """Those that are users', by their ids."""
        return {user.xid: name for name, user in self.users.items() if user is not None}

    def new(self, at: At) -> list[str]:
        """Those that are nobody's, by which somebody may come into being."""
        return [name for name, user in self.users.items() if user is None and at.makes(name)]

    def results(self, outcomes: Sequence[Outcome]) -> Results:
        """What became of each, by what became of the users."""
        names = self.by_xid
        told = [(names[one.xid], one) for one in outcomes] + [(name, _NO_ROOM) for name in self.full]
        failed = [Failed(name, TABLE[one.kind], one.reason) for name, one in told if one.kind is not None]
        nobody = [name for name, user in self.users.items() if user is None and name not in self.full]
        return Results(
            [name for name, one in told if one.kind is None],
            failed + [Failed(name, ACCOUNT_UNKNOWN, "there is no such account") for name in nobody],
        )


async def read_named(at: At, accounts: Sequence[str] | None, member: str, *, least: int = 1) -> Named:
    """The accounts of a list; raises a `Fault` of 414 for too few or too many."""
    names = list(dict.fromkeys(folded(account) for account in accounts or ()))
    most = at.limits.group_call_users_max
    if not least <= len(names) <= most:
        raise illegal(member, f"it must name {least} to {most} accounts")
    return Named(dict(zip(names, await at.accounts(names), strict=True)))


async def with_new(at: At, named: Named, places: int) -> Named:
    """The same once those of nobody have come into being who may, and for whom there are places."""
    full = dict.fromkeys(named.new(at)[places:])
    names = [name for name in named.users if name not in full]
    made = dict(zip(names, await at.accounts(names, make=True), strict=True))
    return Named({name: made.get(name) for name in named.users}, full)


async def change_each(at: At, principal: Principal, xid: int, named: Named, change: Change) -> Results:
    """Have a change made for each account named; what is wrong with the team or the principal is raised."""
    xids = list(named.by_xid)
    if not xids:
        # Nobody is there to be changed, but whether there is such a team is told all the same.
        await at.core.groups.info(principal, xid)
        return named.results([])
    return named.results(await change(principal, xid, xids))


def team_type(value: Number) -> int:
    """The type of team that is asked for, an advanced one where nobody says."""
    return number(value, "team_type", ADVANCED, SUPER, ADVANCED)


async def team_of(at: At, value: Number) -> int:
    """The number of a team, which may not be there any more; raises a `Fault` of 414, of 108404 for a chatroom's."""
    xid = number(value, TEAM, 1, SAFE_MAX)
    types = await at.core.groups.types(at.app, [xid])
    if types.get(xid) == ROOM:
        raise Fault(TEAM_UNKNOWN, f"{TEAM}: {xid} is no team")
    return xid
