"""Groups: who may do what, and what becomes of each user named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from gateway.core.group_changes import PRIVATE, PUBLIC, Outcome
from gateway.core.groups import Groups
from gateway.core.principal import Principal
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX
from tests.core.grouping import MEMBER, OWNER, STRANGER, make, members_of
from tests.core.stage import Stage, open_stage, refused

Do = Callable[[Groups, Principal, int], Awaitable[object]]
DO: dict[str, Do] = {
    "info": lambda groups, who, xid: groups.info(who, xid),
    "member_list": lambda groups, who, xid: groups.member_list(who, xid, "", 10),
    "invite": lambda groups, who, xid: groups.invite(who, xid, [500]),
    "kick": lambda groups, who, xid: groups.kick(who, xid, [MEMBER]),
    "destroy": lambda groups, who, xid: groups.destroy(who, xid),
}
LEAVE: dict[str, Do] = {"leave": lambda groups, who, xid: groups.leave(who, xid)}


class TestRights:
    """Who may do what; None: it is allowed."""

    @pytest.mark.parametrize(
        ("what", "kind", "member", "stranger"),
        [
            ("info", PRIVATE, None, Kind.NOT_A_MEMBER),
            ("info", PUBLIC, None, None),
            ("member_list", PRIVATE, None, Kind.NOT_A_MEMBER),
            ("member_list", PUBLIC, None, Kind.NOT_A_MEMBER),
            ("invite", PRIVATE, Kind.ADMIN_ONLY, Kind.NOT_A_MEMBER),
            ("invite", PUBLIC, None, Kind.NOT_A_MEMBER),
            ("kick", PUBLIC, Kind.ADMIN_ONLY, Kind.NOT_A_MEMBER),
            ("destroy", PUBLIC, Kind.OWNER_ONLY, Kind.NOT_A_MEMBER),
        ],
    )
    async def test_of_users(
        self, stage: Stage, what: str, kind: int, member: Kind | None, stranger: Kind | None
    ) -> None:
        """Members and strangers may do what the module says, and nothing else."""
        group = await make(stage, kind=kind)
        for xid, refusal in ((STRANGER, stranger), (MEMBER, member)):
            asker = await stage.user(xid)
            if refusal is None:
                await DO[what](stage.groups, asker, group.xid)
            else:
                with refused(refusal):
                    await DO[what](stage.groups, asker, group.xid)

    @pytest.mark.parametrize("what", DO)
    async def test_of_the_owner_and_administrators(self, stage: Stage, what: str) -> None:
        """The owner, an administrator alone, and one that acts as the owner may do everything."""
        for who in ("owner", "alone", "as owner"):
            group = await make(stage)
            if who == "owner":
                asker = await stage.user(OWNER)
            else:
                asker = await stage.admin(group_id=group.xid if who == "as owner" else None)
            await DO[what](stage.groups, asker, group.xid)

    @pytest.mark.parametrize("what", DO)
    async def test_an_administrator_for_a_user_is_that_user(self, stage: Stage, what: str) -> None:
        """With `user_id` an administrator may what the user may."""
        group = await make(stage)
        with refused(Kind.NOT_A_MEMBER):
            await DO[what](stage.groups, await stage.admin(user_id=STRANGER), group.xid)

    @pytest.mark.parametrize("what", [*DO, *LEAVE])
    async def test_a_groups_owner_by_header_is_bound_to_it(self, stage: Stage, what: str) -> None:
        """With `group_id` another group is out of reach, though its owner be the same."""
        one, other = await make(stage), await make(stage)
        with refused(Kind.FORBIDDEN):
            await {**DO, **LEAVE}[what](stage.groups, await stage.admin(group_id=one.xid), other.xid)

    @pytest.mark.parametrize("what", DO)
    async def test_of_another_app(self, stage: Stage, what: str) -> None:
        """A group of one app is not there in another, and neither is a user's id a group's."""
        group = await make(stage)
        await stage.app("other")
        for xid in (group.xid, OWNER, 77):
            with refused(Kind.GROUP_UNKNOWN):
                await DO[what](stage.groups, await stage.admin("other"), xid)


class TestCreate:
    """New groups."""

    async def test_the_asker_owns_it(self, stage: Stage) -> None:
        """Owner and members are in it, each once, and it is as asked for."""
        group, outcomes = await stage.groups.create(
            await stage.user(OWNER),
            name="g",
            description="d",
            avatar="a",
            kind=PUBLIC,
            members=[MEMBER, OWNER, MEMBER],
        )
        assert (group.owner_xid, group.name, group.description, group.avatar, group.type, group.members) == (
            OWNER,
            "g",
            "d",
            "a",
            PUBLIC,
            2,
        )
        assert outcomes == [Outcome(MEMBER)]
        assert await members_of(stage, group) == [OWNER, MEMBER]

    async def test_an_administrator_names_the_owner(self, stage: Stage) -> None:
        """`system` owns nothing: an administrator acts for whoever shall be the owner."""
        for principal, kind in (
            (await stage.admin(), Kind.BAD_PARAMETER),
            (await stage.admin(group_id=(await make(stage)).xid), Kind.FORBIDDEN),
        ):
            with refused(kind):
                await stage.groups.create(
                    principal, name="", description="", avatar="", kind=PRIVATE, members=[]
                )
        group, _ = await stage.groups.create(
            await stage.admin(user_id=OWNER), name="", description="", avatar="", kind=PRIVATE, members=[]
        )
        assert group.owner_xid == OWNER

    @pytest.mark.parametrize("kind", [2, 3, -1, 99])
    async def test_types_that_are_not_there(self, stage: Stage, kind: int) -> None:
        """Chatrooms and temporary groups are refused, not made as something else."""
        with refused(Kind.BAD_PARAMETER) as refusal:
            await make(stage, kind=kind)
        assert refusal.sentence.startswith("type")

    async def test_who_cannot_be_in_it(self, stage: Stage) -> None:
        """Each user who cannot be a member is told with the reason, and the others are in."""
        other = await make(stage)
        owner = await stage.user(OWNER)
        group, outcomes = await stage.groups.create(
            owner,
            name="",
            description="",
            avatar="",
            kind=PRIVATE,
            members=[other.xid, owner.app.system_xid, MEMBER],
        )
        assert outcomes == [
            Outcome(other.xid, Kind.BAD_PARAMETER),
            Outcome(owner.app.system_xid, Kind.BAD_PARAMETER),
            Outcome(MEMBER),
        ]
        assert outcomes[0].reason
        assert not outcomes[2].reason
        assert await members_of(stage, group) == [OWNER, MEMBER]

    @pytest.mark.parametrize("xids", [[0], [-1], [SAFE_MAX + 1], range(1, 1002)])
    async def test_lists_that_may_not_be(self, stage: Stage, xids: Sequence[int]) -> None:
        """At most 1,000 users a call, and ids are ids."""
        with refused(Kind.BAD_PARAMETER) as refusal:
            await make(stage, xids)
        assert refusal.sentence.startswith("user_list")

    async def test_an_owner_of_too_many(self, tmp_path: Path) -> None:
        """One may be in so many groups, and then no more."""
        async with open_stage(tmp_path, Limits(groups_per_user_max=1)) as stage:
            await stage.app()
            await make(stage, [])
            with refused(Kind.GROUPS_FULL):
                await make(stage, [])


class TestLooking:
    """Pages of members, and one's groups."""

    async def test_pages_reach_everyone_once(self, stage: Stage) -> None:
        """Fed back, the cursor walks the members by rising id and ends with an empty one."""
        group = await make(stage, range(1, 8))
        owner, cursor, pages = await stage.user(OWNER), "", []
        while True:
            page = await stage.groups.member_list(owner, group.xid, cursor, 3)
            pages.append([member.xid for member in page.members])
            cursor = page.cursor
            if not cursor:
                break
        assert pages == [[1, 2, 3], [4, 5, 6], [7, OWNER]]

    async def test_a_full_last_page_is_the_last(self, stage: Stage) -> None:
        """No empty page follows."""
        group = await make(stage, [1, 2])
        page = await stage.groups.member_list(await stage.user(OWNER), group.xid, "", 3)
        assert (len(page.members), page.cursor) == (3, "")

    async def test_a_page_is_bounded(self, tmp_path: Path) -> None:
        """More than the limit are not listed at once, whatever is asked for."""
        async with open_stage(tmp_path, Limits(member_page_max=2)) as stage:
            await stage.app()
            group = await make(stage, [1, 2])
            page = await stage.groups.member_list(await stage.user(OWNER), group.xid, "", 10**18)
            assert len(page.members) == 2

    @pytest.mark.parametrize(
        ("cursor", "limit"), [("x", 1), ("-1", 1), ("9" * 17, 1), ("\ud800", 1), ("", 0)]
    )
    async def test_pages_that_cannot_be(self, stage: Stage, cursor: str, limit: int) -> None:
        """A cursor is one of the call's own, and a page holds somebody."""
        group = await make(stage)
        with refused(Kind.BAD_PARAMETER):
            await stage.groups.member_list(await stage.user(OWNER), group.xid, cursor, limit)

    async def test_the_version_rises(self, stage: Stage) -> None:
        """Every change of who is in it raises the version of the list."""
        group, owner = await make(stage), await stage.user(OWNER)
        before = await stage.groups.member_list(owner, group.xid, "", 10)
        await stage.groups.kick(owner, group.xid, [MEMBER])
        after = await stage.groups.member_list(owner, group.xid, "", 10)
        assert after.version > before.version

    async def test_ones_groups(self, stage: Stage) -> None:
        """A user's groups, all of them; acting as a group's owner, that one; `system` is in none."""
        one, other = await make(stage), await make(stage, [])
        assert await stage.groups.joined(await stage.user(OWNER)) == [one.xid, other.xid]
        assert await stage.groups.joined(await stage.user(MEMBER)) == [one.xid]
        assert await stage.groups.joined(await stage.admin(group_id=one.xid)) == [one.xid]
        assert await stage.groups.joined(await stage.admin()) == []


class TestInvite:
    """Users come in."""

    async def test_they_are_members_at_once(self, stage: Stage) -> None:
        """Each user named is in; one who was already is answered alike."""
        group = await make(stage)
        outcomes = await stage.groups.invite(await stage.user(OWNER), group.xid, [7, MEMBER, 7, OWNER])
        assert outcomes == [Outcome(7), Outcome(MEMBER), Outcome(OWNER)]
        assert await members_of(stage, group) == [7, OWNER, MEMBER]

    async def test_one_who_cannot_be_keeps_nobody_out(self, stage: Stage) -> None:
        """A group's id and `system` are refused by themselves."""
        group, owner = await make(stage), await stage.user(OWNER)
        outcomes = await stage.groups.invite(owner, group.xid, [group.xid, owner.app.system_xid, 7])
        assert [outcome.kind for outcome in outcomes] == [Kind.BAD_PARAMETER, Kind.BAD_PARAMETER, None]

    async def test_only_system(self, stage: Stage) -> None:
        """A call that can change nothing changes nothing."""
        group, owner = await make(stage), await stage.user(OWNER)
        outcomes = await stage.groups.invite(owner, group.xid, [owner.app.system_xid])
        assert [outcome.kind for outcome in outcomes] == [Kind.BAD_PARAMETER]

    async def test_unknown_users_of_a_registered_app(self, stage: Stage) -> None:
        """Where registration is required, nobody comes into being by an invitation."""
        await stage.app("closed", registered=True)
        alice = await stage.directory.register("closed", "alice", "secret")
        principal = await stage.user(alice.xid, "closed")
        group, _ = await stage.groups.create(
            principal, name="", description="", avatar="", kind=PRIVATE, members=[]
        )
        assert await stage.groups.invite(principal, group.xid, [7]) == [Outcome(7, Kind.USER_UNKNOWN)]

    async def test_a_full_group(self, tmp_path: Path) -> None:
        """Who finds no room is told so; a group never grows beyond its limit."""
        async with open_stage(tmp_path, Limits(group_members_max=3)) as stage:
            await stage.app()
            group = await make(stage)
            outcomes = await stage.groups.invite(await stage.user(OWNER), group.xid, [7, 8])
            assert outcomes == [Outcome(7), Outcome(8, Kind.GROUP_FULL)]

    @pytest.mark.parametrize("xids", [[], [0], range(1, 1002)])
    async def test_lists_that_may_not_be(self, stage: Stage, xids: Sequence[int]) -> None:
        """1 to 1,000 users a call."""
        group, owner = await make(stage), await stage.user(OWNER)
        for call in (stage.groups.invite, stage.groups.kick):
            with refused(Kind.BAD_PARAMETER):
                await call(owner, group.xid, xids)


class TestGoing:
    """Users go, and groups end."""

    async def test_kicked(self, stage: Stage) -> None:
        """Each user by itself: the owner stays, and who is not in it cannot be put out."""
        group, owner = await make(stage), await stage.user(OWNER)
        outcomes = await stage.groups.kick(owner, group.xid, [STRANGER, OWNER, MEMBER])
        assert outcomes == [
            Outcome(STRANGER, Kind.NOT_A_MEMBER),
            Outcome(OWNER, Kind.OWNER_CANNOT_LEAVE),
            Outcome(MEMBER),
        ]
        assert await members_of(stage, group) == [OWNER]

    async def test_only_the_owner_kicked(self, stage: Stage) -> None:
        """An administrator cannot put the owner out either."""
        group = await make(stage)
        outcomes = await stage.groups.kick(await stage.admin(), group.xid, [OWNER])
        assert outcomes == [Outcome(OWNER, Kind.OWNER_CANNOT_LEAVE)]

    async def test_left(self, stage: Stage) -> None:
        """A member may go, and going again is answered alike."""
        group, member = await make(stage), await stage.user(MEMBER)
        for _ in range(2):
            await stage.groups.leave(member, group.xid)
        assert await members_of(stage, group) == [OWNER]

    async def test_the_owner_cannot_leave(self, stage: Stage) -> None:
        """A group is never without its owner."""
        group = await make(stage)
        with refused(Kind.OWNER_CANNOT_LEAVE):
            await stage.groups.leave(await stage.user(OWNER), group.xid)

    async def test_destroyed(self, stage: Stage) -> None:
        """A group that has ended is not there, nobody is in it, and ending it again is no error."""
        group, owner = await make(stage), await stage.user(OWNER)
        for _ in range(2):
            await stage.groups.destroy(owner, group.xid)
        with refused(Kind.GROUP_UNKNOWN):
            await stage.groups.info(owner, group.xid)
        assert await stage.groups.joined(await stage.user(MEMBER)) == []

    async def test_destroyed_by_two_at_once(self, stage: Stage) -> None:
        """Two who end it at the same time both get what they asked for."""
        group, owner, admin = await make(stage), await stage.user(OWNER), await stage.admin()
        await asyncio.gather(stage.groups.destroy(owner, group.xid), stage.groups.destroy(admin, group.xid))
