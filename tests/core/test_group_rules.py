"""Bans, blocks, roles, settings and requests of groups: who may do what, and what becomes of it as time goes by."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.core.group_bans import MINUTES_MAX, until
from gateway.core.group_changes import PRIVATE, PUBLIC, Outcome
from gateway.core.groups import Groups
from gateway.core.order import Order
from gateway.core.principal import Principal
from gateway.domain.drafts import CreateDraft
from gateway.domain.errors import Kind, Problem
from gateway.domain.group_drafts import GroupSettings
from gateway.domain.limits import Limits
from gateway.domain.model import FOREVER, ROOM, SAFE_MAX, Facts, Group, Scope
from tests.core.grouping import MEMBER, OWNER, STRANGER, make, members_of
from tests.core.stage import Stage, open_stage, refused

ADMIN, OTHER = 130, 131

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


async def staffed(stage: Stage, kind: int = PRIVATE) -> Group:
    """A group with an administrator and two members."""
    group = await make(stage, [ADMIN, MEMBER, OTHER], kind=kind)
    await stage.groups.roles.assign(await stage.user(OWNER), group.xid, [ADMIN], admin=True)
    return group


async def say(stage: Stage, xid: int, *groups: int, who: Principal | None = None) -> None:
    """Send a text to groups."""
    order = Order(scope=Scope.GROUP, targets=groups, ctype=0, content="hi", from_xid=xid if who else 0)
    await stage.core.messaging.send(who or await stage.user(xid), order)


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


class TestSilence:
    """Who may not speak, and until when."""

    def test_lengths(self) -> None:
        """A ban is some minutes long, or for good."""
        assert until(5, 1) == 60_005
        assert until(5, 0) == until(5, -1) == FOREVER
        assert until(2 * 10**12, MINUTES_MAX) < FOREVER
        for minutes in (-2, MINUTES_MAX + 1):
            with refused(Kind.BAD_PARAMETER) as refusal:
                until(5, minutes)
            assert refusal.sentence.startswith("duration")

    async def test_a_ban_ends_by_itself(self, stage: Stage) -> None:
        """Not a moment before; and it may be made longer or shorter."""
        group, owner = await staffed(stage), await stage.user(OWNER)
        await say(stage, MEMBER, group.xid)
        await stage.groups.bans.ban(owner, group.xid, [MEMBER], 1)
        with refused(Kind.BANNED) as refusal:
            await say(stage, MEMBER, group.xid)
        assert str(MEMBER) in refusal.sentence
        stage.clock.move(s=59)
        with refused(Kind.BANNED):
            await say(stage, MEMBER, group.xid)
        await say(stage, OTHER, group.xid)
        stage.clock.move(s=1)
        await say(stage, MEMBER, group.xid)
        await stage.groups.bans.ban(owner, group.xid, [MEMBER], -1)
        stage.clock.move(s=10**9)
        with refused(Kind.BANNED):
            await say(stage, MEMBER, group.xid)
        await stage.groups.bans.unban(owner, group.xid, [MEMBER])
        await say(stage, MEMBER, group.xid)

    async def test_all_but_owner_and_administrators(self, stage: Stage) -> None:
        """For a while, or until it is taken back; who is banned besides stays banned."""
        group, admin = await staffed(stage), await stage.user(ADMIN)
        for xid in (OWNER, ADMIN, MEMBER):
            await say(stage, xid, group.xid)
        ends = await stage.groups.settings.ban_all(admin, group.xid, 1)
        assert ends == stage.clock.now_ms + 60_000
        for xid in (OWNER, ADMIN):
            await say(stage, xid, group.xid)
        with refused(Kind.ALL_BANNED):
            await say(stage, MEMBER, group.xid)
        stage.clock.move(s=60)
        await say(stage, MEMBER, group.xid)
        assert await stage.groups.settings.ban_all(admin, group.xid, 0) == FOREVER
        with refused(Kind.ALL_BANNED):
            await say(stage, MEMBER, group.xid)
        await stage.groups.bans.ban(await stage.user(OWNER), group.xid, [ADMIN], 1)
        with refused(Kind.BANNED):
            await say(stage, ADMIN, group.xid)
        assert await stage.groups.settings.ban_all(await stage.user(OWNER), group.xid, None) == 0
        await say(stage, MEMBER, group.xid)

    async def test_one_silent_group_refuses_all(self, stage: Stage) -> None:
        """A send to several groups reaches none, and the one is named."""
        one, two = await staffed(stage), await staffed(stage)
        await stage.groups.bans.ban(await stage.user(OWNER), two.xid, [MEMBER], 1)
        with refused(Kind.BANNED) as refusal:
            await say(stage, MEMBER, one.xid, two.xid)
        assert str(two.xid) in refusal.sentence
        entries = (await stage.store.pages([(one.id, 1)], 10, 10**6))[0].entries
        assert [entry.message for entry in entries] == [None]

    async def test_an_administrators_token(self, stage: Stage) -> None:
        """That sends as a user is judged as the user; a notification is not judged."""
        group, admin = await staffed(stage), await stage.admin()
        await stage.groups.bans.ban(admin, group.xid, [MEMBER], 1)
        await stage.groups.settings.ban_all(admin, group.xid, 0)
        for xid, kind in ((MEMBER, Kind.BANNED), (OTHER, Kind.ALL_BANNED)):
            with refused(kind):
                await say(stage, xid, group.xid, who=admin)
        order = Order(scope=Scope.GROUP, targets=(group.xid,), ctype=0, content="hi", from_xid=MEMBER)
        await stage.core.messaging.notify(admin, order)

    async def test_a_repeat_gets_its_first_answer(self, stage: Stage) -> None:
        """What was sent before the ban is answered again, though it would be refused today."""
        group, member = await staffed(stage), await stage.user(MEMBER)
        order = Order(scope=Scope.GROUP, targets=(group.xid,), ctype=0, content="hi", transaction_id=7)
        first = await stage.core.messaging.send(member, order)
        await stage.groups.bans.ban(await stage.user(OWNER), group.xid, [MEMBER], 1)
        assert await stage.core.messaging.send(member, order) == first

    async def test_facts_remembered_do_not_outlive_a_ban(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who may speak is asked once per change; who may not, each time."""
        group, owner = await staffed(stage), await stage.user(OWNER)
        read = stage.store.facts
        asked: list[int] = []

        async def facts(app: int, xids: list[int], user: int) -> list[Facts | None]:
            asked.append(user)
            return await read(app, xids, user)

        await say(stage, MEMBER, group.xid)
        monkeypatch.setattr(stage.store, "facts", facts)
        await say(stage, MEMBER, group.xid)
        assert asked == []
        await stage.groups.bans.ban(owner, group.xid, [MEMBER], 1)
        asked.clear()
        for _ in range(2):
            with refused(Kind.BANNED):
                await say(stage, MEMBER, group.xid)
        assert asked == [MEMBER] * 2
        stage.clock.move(s=60)
        asked.clear()
        for _ in range(2):
            await say(stage, MEMBER, group.xid)
        assert asked == [MEMBER]

    async def test_at_the_same_time(self, stage: Stage) -> None:
        """Whichever way sends and a ban fall, no send is committed after it."""
        group, owner = await staffed(stage), await stage.user(OWNER)
        sends = [asyncio.create_task(say(stage, MEMBER, group.xid)) for _ in range(20)]
        ban = asyncio.create_task(stage.groups.bans.ban(owner, group.xid, [MEMBER], 1))
        sends += [asyncio.create_task(say(stage, MEMBER, group.xid)) for _ in range(20)]
        await ban
        head = (await stage.store.pages([(group.id, 1)], 1, 1))[0].head
        results = await asyncio.gather(*sends, return_exceptions=True)
        assert {error.kind for error in results if isinstance(error, Problem)} <= {Kind.BANNED}
        assert (await stage.store.pages([(group.id, 1)], 1, 1))[0].head == head


class TestBlocked:
    """Who may not be in a group."""

    async def test_by_no_way(self, stage: Stage) -> None:
        """Neither invited, nor applying, nor from another's invitation."""
        group, owner = await staffed(stage, PUBLIC), await stage.user(OWNER)
        await stage.groups.bans.block(owner, group.xid, [MEMBER, STRANGER])
        assert await members_of(stage, group) == [OWNER, ADMIN, OTHER]
        assert await stage.groups.invite(owner, group.xid, [MEMBER]) == [Outcome(MEMBER, Kind.GROUP_BLOCKED)]
        with refused(Kind.GROUP_BLOCKED):
            await stage.groups.requests.apply(await stage.user(STRANGER), group.xid, "")
        await stage.groups.settings.allow(owner, group.xid, GroupSettings(invite_confirm=True))
        assert await stage.groups.invite(owner, group.xid, [MEMBER]) == [Outcome(MEMBER, Kind.GROUP_BLOCKED)]
        page = await stage.groups.bans.blocked_list(owner, group.xid, "", 1)
        assert ([blocked.xid for blocked in page.blocks], page.cursor) == ([MEMBER], str(MEMBER))
        page = await stage.groups.bans.blocked_list(owner, group.xid, page.cursor, 1)
        assert ([blocked.xid for blocked in page.blocks], page.cursor) == ([STRANGER], "")
        await stage.groups.bans.unblock(owner, group.xid, [STRANGER])
        await stage.groups.requests.apply(await stage.user(STRANGER), group.xid, "")
        assert STRANGER in await members_of(stage, group)


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
