"""Roles and settings of groups: who may do what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from gateway.core.group_changes import PUBLIC, Outcome
from gateway.core.groups import Groups
from gateway.core.principal import Principal
from gateway.domain.drafts import CreateDraft
from gateway.domain.errors import Kind, Problem
from gateway.domain.group_drafts import GroupSettings
from gateway.domain.model import ROOM, SAFE_MAX
from tests.core.grouping import ADMIN, MEMBER, OTHER, OWNER, STRANGER, staffed
from tests.core.stage import Stage, refused

Do = Callable[[Groups, Principal, int], Awaitable[object]]
BY_ADMINS: dict[str, Do] = {
    "ban": lambda groups, who, xid: groups.bans.ban(who, xid, [OTHER], 1),
    "unban": lambda groups, who, xid: groups.bans.unban(who, xid, [OTHER]),
    "block": lambda groups, who, xid: groups.bans.block(who, xid, [OTHER]),
    "unblock": lambda groups, who, xid: groups.bans.unblock(who, xid, [OTHER]),
    "blocked_list": lambda groups, who, xid: groups.bans.blocked_list(who, xid, "", 10),
    "kick": lambda groups, who, xid: groups.kick(who, xid, [OTHER]),
    "invite": lambda groups, who, xid: groups.invite(who, xid, [500]),
    "describe": lambda groups, who, xid: groups.settings.describe(who, xid, GroupSettings(name="n")),
    "ban_all": lambda groups, who, xid: groups.settings.ban_all(who, xid, 1),
    "application_list": lambda groups, who, xid: groups.requests.application_list(who, [xid], "", 10),
}
BY_OWNERS: dict[str, Do] = {
    "allow": lambda groups, who, xid: groups.settings.allow(who, xid, GroupSettings(read_ack=False)),
    "admin/add": lambda groups, who, xid: groups.roles.assign(who, xid, [OTHER], admin=True),
    "admin/remove": lambda groups, who, xid: groups.roles.assign(who, xid, [OTHER], admin=False),
    "transfer": lambda groups, who, xid: groups.roles.transfer(who, xid, OTHER),
    "destroy": lambda groups, who, xid: groups.destroy(who, xid),
}
BY_MEMBERS: dict[str, Do] = {
    "admin_list": lambda groups, who, xid: groups.roles.admin_list(who, xid),
    "banned_list": lambda groups, who, xid: groups.bans.banned_list(who, xid, "", 10),
}


async def answer(groups: Groups, who: Principal, xid: int) -> None:
    """Answer an application; that there is none, only those learn who may."""
    try:
        await groups.requests.handle_application(who, xid, STRANGER, approved=True)
    except Problem as problem:
        if problem.kind is not Kind.APPLICATION_GONE:
            raise


BY_ADMINS["apply/handle"] = answer
ALL = BY_MEMBERS | BY_ADMINS | BY_OWNERS


class TestRights:
    """Owner, administrators, members, strangers."""

    @pytest.mark.parametrize("what", ALL)
    async def test_of_users(self, stage: Stage, what: str) -> None:
        """Each may what the module says, and nothing else."""
        for xid in (OWNER, ADMIN, MEMBER, STRANGER):
            group = await staffed(stage)
            asker = await stage.user(xid)
            if xid == STRANGER:
                expected: Kind | None = Kind.NOT_A_MEMBER
            elif what in BY_OWNERS:
                expected = None if xid == OWNER else Kind.OWNER_ONLY
            elif what in BY_ADMINS:
                expected = Kind.ADMIN_ONLY if xid == MEMBER else None
            else:
                expected = None
            if expected is None:
                await ALL[what](stage.groups, asker, group.xid)
            else:
                with refused(expected):
                    await ALL[what](stage.groups, asker, group.xid)

    @pytest.mark.parametrize("what", ALL)
    async def test_of_an_administrators_token(self, stage: Stage, what: str) -> None:
        """Alone, or as the group's owner, everything; for a user what the user may; elsewhere nothing."""
        group, elsewhere = await staffed(stage), await staffed(stage)
        with refused(Kind.NOT_A_MEMBER):
            await ALL[what](stage.groups, await stage.admin(user_id=STRANGER), group.xid)
        with refused(Kind.FORBIDDEN):
            await ALL[what](stage.groups, await stage.admin(group_id=elsewhere.xid), group.xid)
        await ALL[what](stage.groups, await stage.admin(), group.xid)
        await ALL[what](stage.groups, await stage.admin(group_id=elsewhere.xid), elsewhere.xid)

    @pytest.mark.parametrize("what", ALL)
    async def test_of_another_app(self, stage: Stage, what: str) -> None:
        """A group of one app is not there in another."""
        group = await staffed(stage)
        await stage.app("other")
        with refused(Kind.GROUP_UNKNOWN):
            await ALL[what](stage.groups, await stage.admin("other"), group.xid)

    async def test_administrators_spare_each_other(self, stage: Stage) -> None:
        """And nobody touches the owner."""
        group, admin = await staffed(stage), await stage.user(ADMIN)
        bans = stage.groups.bans
        for asked, owner in (
            (bans.ban(admin, group.xid, [ADMIN, OWNER], 1), Kind.FORBIDDEN),
            (bans.block(admin, group.xid, [ADMIN, OWNER]), Kind.OWNER_CANNOT_LEAVE),
            (stage.groups.kick(admin, group.xid, [ADMIN, OWNER]), Kind.OWNER_CANNOT_LEAVE),
        ):
            assert await asked == [Outcome(ADMIN, Kind.OWNER_ONLY), Outcome(OWNER, owner)]
        owner_does = await bans.ban(await stage.user(OWNER), group.xid, [ADMIN], 1)
        assert owner_does == [Outcome(ADMIN)]

    async def test_members_invite_where_they_may(self, stage: Stage) -> None:
        """In a new public group, and wherever the owner lets them."""
        private, public = await staffed(stage), await staffed(stage, PUBLIC)
        member, owner = await stage.user(MEMBER), await stage.user(OWNER)
        with refused(Kind.ADMIN_ONLY):
            await stage.groups.invite(member, private.xid, [7])
        assert await stage.groups.invite(member, public.xid, [7]) == [Outcome(7)]
        for group, allowed in ((private, True), (public, False)):
            await stage.groups.settings.allow(owner, group.xid, GroupSettings(member_invitation=allowed))
        assert await stage.groups.invite(member, private.xid, [7]) == [Outcome(7)]
        with refused(Kind.ADMIN_ONLY):
            await stage.groups.invite(member, public.xid, [8])

    async def test_system_is_in_no_list(self, stage: Stage) -> None:
        """The reserved user can be neither banned, nor blocked, nor an administrator."""
        group, owner = await staffed(stage), await stage.user(OWNER)
        system = owner.app.system_xid
        for asked in (
            stage.groups.bans.ban(owner, group.xid, [system], 1),
            stage.groups.bans.block(owner, group.xid, [system]),
            stage.groups.roles.assign(owner, group.xid, [system], admin=True),
        ):
            assert await asked == [Outcome(system, Kind.BAD_PARAMETER)]

    @pytest.mark.parametrize("what", ["ban", "unban", "block", "unblock"])
    async def test_nobody_and_too_many(self, stage: Stage, what: str) -> None:
        """1 to 1,000 users a call, and ids are ids."""
        group, owner = await staffed(stage), await stage.user(OWNER)
        bans = stage.groups.bans
        for xids in ([], [0], [SAFE_MAX + 1], range(1, 1002)):
            with refused(Kind.BAD_PARAMETER):
                if what == "ban":
                    await bans.ban(owner, group.xid, list(xids), 1)
                else:
                    await getattr(bans, what)(owner, group.xid, list(xids))


class TestSettings:
    """What is allowed, and what is seen."""

    async def test_nothing_and_nonsense(self, stage: Stage) -> None:
        """A change of nothing, or to what is not there, is refused."""
        group, owner = await staffed(stage), await stage.user(OWNER)
        for told in (
            *(GroupSettings(), GroupSettings(apply_approval=3), GroupSettings(apply_approval=-1)),
            *(GroupSettings(type=ROOM), GroupSettings(type=-1)),
        ):
            with refused(Kind.BAD_PARAMETER):
                await stage.groups.settings.allow(owner, group.xid, told)

    async def test_of_several_groups(self, stage: Stage) -> None:
        """Those that one would see each by itself, in the order named."""
        private, public = await staffed(stage), await staffed(stage, PUBLIC)
        named = [public.xid, 4711, private.xid, OWNER]
        seen = {
            xid: [group.xid for group in await stage.groups.info_batch(await stage.user(xid), named)]
            for xid in (MEMBER, STRANGER)
        }
        assert seen == {MEMBER: [public.xid, private.xid], STRANGER: [public.xid]}
        assert len(await stage.groups.info_batch(await stage.admin(), named)) == 2
        for xids in ([], list(range(1, 102))):
            with refused(Kind.BAD_PARAMETER):
                await stage.groups.info_batch(await stage.admin(), xids)
        with refused(Kind.FORBIDDEN):
            await stage.groups.info_batch(await stage.admin(group_id=private.xid), named)

    async def test_public_groups(self, stage: Stage) -> None:
        """By pages, of this app only."""
        made = [(await staffed(stage, PUBLIC)).xid for _ in range(3)]
        await staffed(stage)
        await stage.app("other")
        stranger = await stage.user(STRANGER)
        assert await stage.groups.public_list(stranger, "", 2) == (made[:2], str(made[1]))
        assert await stage.groups.public_list(stranger, str(made[1]), 2) == (made[2:], "")
        assert await stage.groups.public_list(await stage.user(STRANGER, "other"), "", 2) == ([], "")
        for cursor, limit in (("x", 1), ("", 0)):
            with refused(Kind.BAD_PARAMETER):
                await stage.groups.public_list(stranger, cursor, limit)


async def test_chatrooms(stage: Stage) -> None:
    """Their owner bans whoever exists, and names and settles them; what is about members is refused."""
    owner = await stage.user(OWNER)
    made = await stage.writer.submit(
        CreateDraft(
            app=owner.app.id,
            owner_xid=OWNER,
            member_xids=(),
            name="",
            description="",
            avatar="",
            type=ROOM,
            at=stage.clock(),
        )
    )
    xid = made.xid  # type: ignore[union-attr]
    await stage.user(STRANGER)
    assert await stage.groups.bans.ban(owner, xid, [STRANGER, OWNER], 1) == [
        Outcome(STRANGER),
        Outcome(OWNER, Kind.FORBIDDEN),
    ]
    assert [ban.xid for ban in (await stage.groups.bans.banned_list(owner, xid, "", 9)).bans] == [STRANGER]
    await stage.groups.settings.describe(owner, xid, GroupSettings(name="n"))
    await stage.groups.settings.ban_all(owner, xid, 0)
    assert await stage.groups.bans.block(owner, xid, [STRANGER, OWNER]) == [
        Outcome(STRANGER),
        Outcome(OWNER, Kind.OWNER_CANNOT_LEAVE),
    ]
    assert [block.xid for block in (await stage.groups.bans.blocked_list(owner, xid, "", 9)).blocks] == [
        STRANGER
    ]
    with refused(Kind.BAD_PARAMETER):
        await stage.groups.settings.allow(owner, xid, GroupSettings(type=PUBLIC))
    for what in ("invite", "admin/add", "admin_list", "transfer"):
        with refused(Kind.BAD_PARAMETER):
            await ALL[what](stage.groups, owner, xid)
    with refused(Kind.BAD_PARAMETER):
        await stage.groups.requests.apply(await stage.user(STRANGER), xid, "")
