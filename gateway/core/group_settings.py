"""What a group is called, and what is allowed in it (vendors.md §1.3: info, settings)."""

from __future__ import annotations

from gateway.core.group_bans import until
from gateway.core.group_changes import (
    PRIVATE,
    PUBLIC,
    GroupChanges,
    want_admin,
    want_members_kept,
    want_owner,
)
from gateway.core.principal import Principal
from gateway.domain.drafts import Draft
from gateway.domain.errors import bad
from gateway.domain.group_drafts import GroupSettings, SettingsDraft
from gateway.domain.model import Facts, Group

_APPROVALS = range(3)


class GroupSettingsCalls:
    """Administrators of the group name it and ban all; the owner alone changes the rest.

    Every call raises what `GroupChanges` does, `NOT_A_MEMBER`, and `ADMIN_ONLY` or `OWNER_ONLY`.
    """

    def __init__(self, changes: GroupChanges) -> None:
        self._changes = changes

    async def describe(self, principal: Principal, group_xid: int, settings: GroupSettings) -> None:
        """Change name, description, avatar or ext, which the owner and administrators may."""
        await self._change(principal, group_xid, settings, by_admins=True)

    async def allow(self, principal: Principal, group_xid: int, settings: GroupSettings) -> None:
        """Change what is allowed in the group, which the owner alone may.

        Raises `BAD_PARAMETER` where nothing is to be changed, for an `apply_approval` or `type` that is not there, and
        for a chatroom that is to be of another type.
        """
        check_settings(settings)
        if not settings.changes:
            raise bad("group_id", "no setting is named besides it")
        await self._change(principal, group_xid, settings, by_admins=False)

    async def ban_all(self, principal: Principal, group_xid: int, minutes: int | None) -> int:
        """Let nobody but the owner and administrators speak for so many minutes (0 and -1: for good; None: no more).

        Returns until when (ms; 0: no more).
        """
        ends = 0 if minutes is None else until(self._changes.clock_ms(), minutes)
        await self._change(principal, group_xid, GroupSettings(ban_all_until=ends), by_admins=True)
        return ends

    async def _change(
        self, principal: Principal, group_xid: int, settings: GroupSettings, *, by_admins: bool
    ) -> None:
        def judge(group: Group, facts: Facts) -> Draft:
            (want_admin if by_admins else want_owner)(principal, facts, group_xid)
            if settings.type is not None:
                want_members_kept(group)
            return SettingsDraft(**self._changes.judged(principal, group), settings=settings)

        await self._changes.change(principal, group_xid, judge)


def check_settings(settings: GroupSettings) -> None:
    """Refuse what a setting cannot be: `BAD_PARAMETER`."""
    if settings.type is not None and settings.type not in {PRIVATE, PUBLIC}:
        raise bad("type", "it must be 0 (private) or 1 (public)")
    if settings.apply_approval is not None and settings.apply_approval not in _APPROVALS:
        raise bad("apply_approval", "it must be 0 (all are let in), 1 (somebody decides) or 2 (nobody is)")
