"""Applications to groups and invitations: who is asked, and what becomes of it as time goes by."""

from __future__ import annotations

from pathlib import Path

from gateway.core.group_changes import PUBLIC, Outcome
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import GroupSettings
from gateway.domain.limits import Limits
from tests.core.grouping import ADMIN, MEMBER, OWNER, STRANGER, members_of, staffed
from tests.core.stage import Stage, open_stage, refused


class TestRequests:
    """Applications and invitations."""

    async def test_what_becomes_of_an_application(self, stage: Stage) -> None:
        """The group's `apply_approval` says; a private group is born with 1, a public one with 0."""
        private, public = await staffed(stage), await staffed(stage, PUBLIC)
        stranger, owner = await stage.user(STRANGER), await stage.user(OWNER)
        await stage.groups.requests.apply(stranger, private.xid, "please")
        await stage.groups.requests.apply(stranger, public.xid, "")
        assert STRANGER not in await members_of(stage, private)
        assert STRANGER in await members_of(stage, public)
        await stage.groups.settings.allow(owner, private.xid, GroupSettings(apply_approval=2))
        with refused(Kind.FORBIDDEN):
            await stage.groups.requests.apply(stranger, private.xid, "")
        with refused(Kind.ALREADY_A_MEMBER):
            await stage.groups.requests.apply(stranger, public.xid, "")

    async def test_it_expires_by_the_clock(self, stage: Stage) -> None:
        """After seven days nobody can answer it."""
        group, owner = await staffed(stage), await stage.user(OWNER)
        requests = stage.groups.requests
        await requests.apply(await stage.user(STRANGER), group.xid, "")
        stage.clock.move(s=7 * 24 * 3600 - 1)
        assert len((await requests.application_list(owner, [group.xid], "", 10)).requests) == 1
        stage.clock.move(s=1)
        assert (await requests.application_list(owner, [group.xid], "", 10)).requests == []
        with refused(Kind.APPLICATION_GONE):
            await requests.handle_application(owner, group.xid, STRANGER, approved=True)

    async def test_who_is_invited_decides(self, stage: Stage) -> None:
        """Where the group says so; and as of who invited."""
        group, admin = await staffed(stage), await stage.user(ADMIN)
        await stage.groups.settings.allow(
            await stage.user(OWNER), group.xid, GroupSettings(invite_confirm=True)
        )
        invited = await stage.groups.invite(admin, group.xid, [STRANGER, MEMBER], "come")
        assert invited == [Outcome(STRANGER), Outcome(MEMBER)]
        assert STRANGER not in await members_of(stage, group)
        stranger = await stage.user(STRANGER)
        [told] = (await stage.groups.requests.invitation_list(stranger, "", 10)).requests
        assert (told.group_xid, told.inviter_xid, told.reason) == (group.xid, ADMIN, "come")
        with refused(Kind.INVITATION_GONE):
            await stage.groups.requests.handle_invitation(stranger, group.xid, OWNER, approved=True)
        await stage.groups.requests.handle_invitation(stranger, group.xid, ADMIN, approved=True)
        assert STRANGER in await members_of(stage, group)

    async def test_who_is_let_in_at_once_is_not_asked(self, stage: Stage) -> None:
        """Whatever the group wants; an invitation that is open ends by that."""
        group, owner, stranger = await staffed(stage), await stage.user(OWNER), await stage.user(STRANGER)
        await stage.groups.settings.allow(owner, group.xid, GroupSettings(invite_confirm=True))
        await stage.groups.invite(owner, group.xid, [STRANGER])
        assert await stage.groups.invite(owner, group.xid, [STRANGER], at_once=True) == [Outcome(STRANGER)]
        assert STRANGER in await members_of(stage, group)
        assert (await stage.groups.requests.invitation_list(stranger, "", 10)).requests == []

    async def test_lists_are_paged(self, stage: Stage) -> None:
        """Over several groups, oldest first; a limit beyond the bound is the bound."""
        one, two = await staffed(stage), await staffed(stage)
        owner = await stage.user(OWNER)
        requests = stage.groups.requests
        for xid in (201, 202, 203):
            for group in (one, two):
                await requests.apply(await stage.user(xid), group.xid, "")
        seen: list[tuple[int, int]] = []
        cursor = ""
        while True:
            page = await requests.application_list(owner, [two.xid, one.xid], cursor, 4)
            seen += [(request.user_xid, request.group_xid) for request in page.requests]
            cursor = page.cursor
            if not cursor:
                break
        assert seen == [(xid, group.xid) for xid in (201, 202, 203) for group in (one, two)]
        with refused(Kind.ADMIN_ONLY):
            await requests.application_list(await stage.user(MEMBER), [one.xid], "", 4)
        with refused(Kind.GROUP_UNKNOWN):
            await requests.application_list(owner, [one.xid, 4711], "", 4)
        for xids in ([], list(range(1, 102))):
            with refused(Kind.BAD_PARAMETER):
                await requests.application_list(owner, xids, "", 4)
        with refused(Kind.FORBIDDEN):
            await requests.application_list(await stage.admin(group_id=one.xid), [one.xid, two.xid], "", 4)

    async def test_by_whom_not(self, stage: Stage) -> None:
        """An administrator's token alone is nobody who could apply; a group's owner has no invitations."""
        group = await staffed(stage)
        with refused(Kind.BAD_PARAMETER):
            await stage.groups.requests.apply(await stage.admin(), group.xid, "")
        as_owner = await stage.admin(group_id=group.xid)
        with refused(Kind.BAD_PARAMETER):
            await stage.groups.requests.invitation_list(as_owner, "", 10)
        with refused(Kind.BAD_PARAMETER):
            await stage.groups.requests.handle_invitation(as_owner, group.xid, OWNER, approved=True)

    async def test_too_many(self, tmp_path: Path) -> None:
        """Beyond the limit one is told so."""
        async with open_stage(tmp_path, Limits(user_requests_max=1)) as stage:
            await stage.app()
            one, two = await staffed(stage), await staffed(stage)
            stranger = await stage.user(STRANGER)
            for _ in range(2):
                await stage.groups.requests.apply(stranger, one.xid, "")
            with refused(Kind.LIST_FULL):
                await stage.groups.requests.apply(stranger, two.xid, "")
