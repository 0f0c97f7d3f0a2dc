"""Who asks to be let into a group, and who is asked to come (vendors.md §1.3: apply, invite/handle).

A request is open until it is answered or expires, one per user and group; then it is no more. Nobody's devices are
told of it: who comes to be in the group is told as ever.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.group_changes import (
    GroupChanges,
    want_admin,
    want_members_kept,
)
from gateway.core.paging import after, page_limit, page_of
from gateway.core.principal import Principal
from gateway.domain.drafts import Draft
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.group_drafts import HandleDraft, RequestDraft, RequestKind
from gateway.domain.model import Action, Facts, Group, GroupRequest

OPEN, SOMEBODY_DECIDES, NOBODY = range(3)
"""What `apply_approval` of a group says becomes of applications."""


class RequestsPage(msgspec.Struct, frozen=True):
    """A page of open requests, oldest first. `cursor` fetches the next; it is empty after the last."""

    requests: list[GroupRequest]
    cursor: str


class GroupRequests:
    """Every call raises what `GroupChanges` does, and `BAD_PARAMETER` for a chatroom, which lets everybody in."""

    def __init__(self, changes: GroupChanges) -> None:
        self._changes = changes

    async def apply(self, principal: Principal, group_xid: int, reason: str) -> None:
        """Ask to be let in. Where the group lets everybody in one joins at once; again: the request is renewed.

        Raises:
            Problem: `FORBIDDEN` where nobody is let in, `ALREADY_A_MEMBER`, `GROUP_BLOCKED`, `GROUP_FULL`,
                `GROUPS_FULL`, `LIST_FULL` where too much is open, `BAD_PARAMETER` for an administrator's token
                alone, which is in no group.
        """
        if principal.admin_alone:
            raise bad("user_id", "this header names who applies, which an administrator's token alone cannot")
        me = principal.user.xid

        def judge(group: Group, facts: Facts) -> Draft:
            want_members_kept(group)
            if facts.member:
                raise Problem(Kind.ALREADY_A_MEMBER, f"{me} is a member of group {group_xid} already")
            if group.apply_approval == NOBODY:
                raise Problem(Kind.FORBIDDEN, f"group {group_xid} lets nobody in who asks")
            if group.apply_approval == OPEN:
                return self._changes.membership(principal, group, Action.JOINED, (me,))
            return self._request(principal, group, RequestKind.APPLICATION, (me,), reason)

        done = await self._changes.change(principal, group_xid, judge)
        why = done.refused.get(me)
        if why is not None:
            raise Problem(why, f"{me} cannot join group {group_xid}: {why.value.replace('_', ' ')}")

    def invitation(
        self, principal: Principal, group: Group, user_xids: tuple[int, ...], reason: str
    ) -> Draft:
        """Ask users to come, judged by the group as it was read."""
        return self._request(principal, group, RequestKind.INVITATION, user_xids, reason)

    def _request(
        self,
        principal: Principal,
        group: Group,
        kind: RequestKind,
        user_xids: tuple[int, ...],
        reason: str,
    ) -> RequestDraft:
        now = self._changes.clock_ms()
        return RequestDraft(
            **self._changes.judged(principal, group),
            user_xids=user_xids,
            create=not principal.app.registered,
            kind=kind,
            inviter_xid=principal.user.xid if kind is RequestKind.INVITATION else 0,
            reason=reason,
            expires_at=now + self._changes.limits.request_ttl_s * 1000,
        )

    async def application_list(
        self, principal: Principal, group_xids: Sequence[int], cursor: str, limit: int
    ) -> RequestsPage:
        """A page of what is open with groups, each of which one owns or is an administrator of.

        A `limit` above `Limits.request_page_max` is that one. Raises `NOT_A_MEMBER`, `ADMIN_ONLY`, and
        `BAD_PARAMETER` for no or too many groups and a page that cannot be.
        """
        limits = self._changes.limits
        start, limit = after(cursor), page_limit(limit, limits.request_page_max)
        if not 0 < len(group_xids) <= limits.group_call_groups_max:
            raise bad("group_list", f"it must name 1 to {limits.group_call_groups_max} groups")
        for group_xid in group_xids:
            principal.confine(group_xid, "group_list")
        store, app = self._changes.store, principal.app.id
        found = await store.facts(app, group_xids, principal.user.xid)
        for group_xid, facts in zip(group_xids, found, strict=True):
            if facts is None:
                raise Problem(Kind.GROUP_UNKNOWN, f"there is no group {group_xid}")
            want_admin(principal, facts, group_xid)
        ids = [facts.group_id for facts in found if facts is not None]
        return _page(await store.applications(ids, start, limit + 1, self._changes.clock_ms()), limit)

    async def invitation_list(self, principal: Principal, cursor: str, limit: int) -> RequestsPage:
        """A page of what one is invited to; acting as a group's owner one sees nothing of it. As `application_list`."""
        start, limit = after(cursor), page_limit(limit, self._changes.limits.request_page_max)
        if principal.group_xid:
            raise bad("group_id", "this header is not for invitations, which are a user's")
        now = self._changes.clock_ms()
        return _page(await self._changes.store.invitations(principal.user.id, start, limit + 1, now), limit)

    async def handle_application(
        self, principal: Principal, group_xid: int, user_xid: int, *, approved: bool
    ) -> None:
        """Let in who asks, or not, as the owner and administrators may.

        Raises:
            Problem: `NOT_A_MEMBER`, `ADMIN_ONLY`, `APPLICATION_GONE` where none is open, and `GROUP_FULL` or
                `GROUPS_FULL`, which leave it open.
        """

        def judge(group: Group, facts: Facts) -> Draft:
            want_admin(principal, facts, group_xid)
            want_members_kept(group)
            return HandleDraft(
                **self._changes.judged(principal, group),
                kind=RequestKind.APPLICATION,
                user_xid=user_xid,
                inviter_xid=0,
                approved=approved,
            )

        await self._changes.change(principal, group_xid, judge)

    async def handle_invitation(
        self, principal: Principal, group_xid: int, inviter_xid: int, *, approved: bool
    ) -> None:
        """Come as somebody asked, or not.

        Raises:
            Problem: `INVITATION_GONE` where none by this inviter is open, or who gave it is no longer in the group;
                `GROUP_FULL` or `GROUPS_FULL`, which leave it open.
        """
        if principal.group_xid:
            raise bad("group_id", "this header is not for invitations, which are a user's")

        def judge(group: Group, _: Facts) -> Draft:
            return HandleDraft(
                **self._changes.judged(principal, group),
                kind=RequestKind.INVITATION,
                user_xid=principal.user.xid,
                inviter_xid=inviter_xid,
                approved=approved,
            )

        await self._changes.change(principal, group_xid, judge)


def _page(found: list[GroupRequest], limit: int) -> RequestsPage:
    return RequestsPage(*page_of(found, limit, lambda request: request.id))
