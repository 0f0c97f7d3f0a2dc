"""Calls that name a team and many accounts: what becomes of each (vendors.md §2.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gateway.core.group_changes import Outcome
from gateway.core.principal import Principal
from gateway.domain.model import ROOM, SAFE_MAX
from gateway.edge.decode import Number, number
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.faults import ACCOUNT_UNKNOWN, TABLE, TEAM_UNKNOWN, Fault, illegal
from gateway.edge.facades.netease.names import folded

TEAM = "team_id"

ADVANCED, SUPER = 1, 2
"""Types of teams, between which there is no difference here."""


Change = Callable[[Principal, int, Sequence[int]], Awaitable[list[Outcome]]]
"""What is done to users of a group, on whose behalf."""


class Failed(msgspec.Struct):
    """An account for which a call did nothing, and why."""

    account_id: str
    error_code: int
    error_msg: str


class Told(msgspec.Struct):
    """What became of each account that a call names."""

    success_list: list[str]
    failed_list: list[Failed]


class Roster(msgspec.Struct):
    """The accounts that a call names, each once: those that are users by id, and those that are nobody's."""

    by_xid: dict[int, str]
    nobody: list[str]

    def told(self, outcomes: Sequence[Outcome]) -> Told:
        """What became of each, by what became of the users."""
        done = [self.by_xid[one.xid] for one in outcomes if one.kind is None]
        failed = [
            Failed(self.by_xid[one.xid], TABLE[one.kind], one.reason)
            for one in outcomes
            if one.kind is not None
        ]
        return Told(
            done, failed + [Failed(name, ACCOUNT_UNKNOWN, "there is no such account") for name in self.nobody]
        )


async def read_roster(
    at: At, accounts: Sequence[str] | None, member: str, *, least: int = 1, make: bool = False
) -> Roster:
    """The accounts of a list; with `make` they may come into being by it in an open app.

    Raises a `Fault` of 414 for too few or too many.
    """
    names = list(dict.fromkeys(folded(account) for account in accounts or ()))
    most = at.limits.group_call_users_max
    if not least <= len(names) <= most:
        raise illegal(member, f"it must name {least} to {most} accounts")
    users = await at.accounts(names, make=make)
    named = list(zip(names, users, strict=True))
    return Roster(
        {user.xid: name for name, user in named if user is not None},
        [name for name, user in named if user is None],
    )


async def change_each(at: At, principal: Principal, xid: int, roster: Roster, change: Change) -> Told:
    """Have a change made for each account of a roster; what is wrong with the team or the principal is raised."""
    if not roster.by_xid:
        # Nobody is there to be changed, but whether there is such a team is told all the same.
        await at.core.groups.info(principal, xid)
        return roster.told([])
    return roster.told(await change(principal, xid, list(roster.by_xid)))


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
