"""Who decides in a group: its owner and its administrators (vendors.md §1.3: admin, transfer)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from gateway.core.group_changes import (
    GroupChanges,
    Outcome,
    outcomes,
    want_member,
    want_members_kept,
    want_owner,
)
from gateway.core.principal import Principal
from gateway.domain.drafts import Draft
from gateway.domain.group_drafts import RoleDraft, TransferDraft, TrustDraft
from gateway.domain.model import Facts, Group, Member


class GroupRoles:
    """The owner alone says who decides.

    Every call raises what `GroupChanges` does, `NOT_A_MEMBER`, `OWNER_ONLY`, and `BAD_PARAMETER` for a chatroom,
    which has no administrators, and for nobody or too many.
    """

    def __init__(self, changes: GroupChanges) -> None:
        self._changes = changes

    async def assign(
        self, principal: Principal, group_xid: int, user_xids: Sequence[int], *, admin: bool
    ) -> list[Outcome]:
        """Make members administrators of the group, or plain members again; each by itself.

        Who is so already is answered as done. Whoever leaves the group is no administrator any more.
        """
        return await self._give(principal, group_xid, user_xids, partial(RoleDraft, admin=admin))

    async def trust(
        self, principal: Principal, group_xid: int, user_xids: Sequence[int], *, trusted: bool
    ) -> list[Outcome]:
        """Let members speak also while all are banned, or no longer; each by itself.

        Who is so already is answered as done. It ends with the stay.
        """
        return await self._give(principal, group_xid, user_xids, partial(TrustDraft, trusted=trusted))

    async def _give(
        self, principal: Principal, group_xid: int, user_xids: Sequence[int], draft: Callable[..., Draft]
    ) -> list[Outcome]:
        named, system_xid = self._changes.users(user_xids, least=1), principal.app.system_xid

        def judge(group: Group, facts: Facts) -> Draft:
            want_owner(principal, facts, group_xid)
            want_members_kept(group)
            users = tuple(xid for xid in named if xid != system_xid)
            return draft(**self._changes.judged(principal, group), user_xids=users)

        done = await self._changes.change(principal, group_xid, judge)
        return outcomes(named, done.refused, system_xid)

    async def trusted_list(self, principal: Principal, group_xid: int) -> list[Member]:
        """Who is trusted, by rising id, for members."""
        group, facts = await self._changes.look(principal, group_xid)
        want_member(principal, facts, group_xid)
        want_members_kept(group)
        return await self._changes.store.group_trusted(group.id)

    async def admin_list(self, principal: Principal, group_xid: int) -> list[Member]:
        """The administrators by rising id, for members; the owner is none of them."""
        group, facts = await self._changes.look(principal, group_xid)
        want_member(principal, facts, group_xid)
        want_members_kept(group)
        return await self._changes.store.group_admins(group.id)

    async def transfer(self, principal: Principal, group_xid: int, heir_xid: int) -> None:
        """Make a member the owner; who was it stays as a plain member. Raises `HEIR_NOT_A_MEMBER`."""

        def judge(group: Group, facts: Facts) -> Draft:
            want_owner(principal, facts, group_xid)
            want_members_kept(group)
            return TransferDraft(**self._changes.judged(principal, group), heir_xid=heir_xid)

        await self._changes.change(principal, group_xid, judge)
