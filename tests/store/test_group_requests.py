"""Who asks to be let into a group, and who is asked to come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.domain.drafts import Changed, Refused, Stale
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import HandleDraft, RequestDraft, RequestKind
from gateway.domain.limits import Limits
from gateway.domain.model import Action
from tests.store.grouping import TTL_MS, applying, change, changed, draft, invited
from tests.store.stage import NOW, Stage

OWNER, MEMBER, STRANGER, OTHER = 11, 12, 13, 14
APPLICATION: dict[str, Any] = {"request": RequestKind.APPLICATION}
INVITATION: dict[str, Any] = {"request": RequestKind.INVITATION}


@pytest.fixture
async def group(stage: Stage) -> int:
    return await stage.group(OWNER, MEMBER)


async def members(stage: Stage, group: int) -> list[int]:
    return [member.xid for member in await stage.store.members(await stage.id(group), 0, 100)]


class TestOpen:
    """Requests come to be."""

    async def test_applications(self, stage: Stage, group: int) -> None:
        """One per user, with what it says, oldest first; members need none."""
        ask = {"user_xids": (STRANGER, MEMBER), "reason": "please", **APPLICATION}
        assert await changed(stage, group, RequestDraft, **ask) == {MEMBER: Kind.ALREADY_A_MEMBER}
        await changed(stage, group, RequestDraft, user_xids=(OTHER,), **APPLICATION)
        [first, second] = await stage.store.applications([await stage.id(group)], 0, 10, NOW)
        assert (first.group_xid, first.user_xid, first.inviter_xid) == (group, STRANGER, 0)
        assert (first.reason, first.at, first.expires_at) == ("please", NOW, NOW + TTL_MS)
        assert second.user_xid == OTHER
        rest = await stage.store.applications([await stage.id(group)], first.id, 10, NOW)
        assert rest == [second]
        assert await stage.store.invitations(await stage.id(STRANGER), 0, 10, NOW) == []

    async def test_invitations(self, stage: Stage, group: int) -> None:
        """Of users who come into being by them; members are answered as done."""
        ask = {"user_xids": (STRANGER, MEMBER, group), **INVITATION}
        assert await changed(stage, group, RequestDraft, **ask) == {group: Kind.BAD_PARAMETER}
        assert await invited(stage, STRANGER) == [(group, OWNER)]
        assert await invited(stage, MEMBER) == []
        assert await applying(stage, group) == []

    async def test_again_renews(self, stage: Stage, group: int) -> None:
        """There is never a second one: it says what was said last, by whoever said it."""
        await changed(stage, group, RequestDraft, user_xids=(STRANGER,), **INVITATION)
        late = {"user_xids": (STRANGER,), "at": NOW + 5, "reason": "now", "inviter_xid": MEMBER, **INVITATION}
        await changed(stage, group, RequestDraft, **late)
        [told] = await stage.store.invitations(await stage.id(STRANGER), 0, 10, NOW)
        assert (told.reason, told.inviter_xid, told.expires_at) == ("now", MEMBER, NOW + 5 + TTL_MS)

    async def test_it_expires(self, stage: Stage, group: int) -> None:
        """Then it is neither listed nor answered, and makes room for another."""
        await changed(stage, group, RequestDraft, user_xids=(STRANGER,), **APPLICATION)
        assert await applying(stage, group, NOW + TTL_MS - 1) == [STRANGER]
        assert await applying(stage, group, NOW + TTL_MS) == []
        late = {"user_xid": STRANGER, "approved": True, "at": NOW + TTL_MS, **APPLICATION}
        answer = await change(stage, group, HandleDraft, **late)
        assert isinstance(answer, Refused)
        assert answer.kind is Kind.APPLICATION_GONE
        again = {"user_xids": (STRANGER,), "at": NOW + TTL_MS, **APPLICATION}
        assert await changed(stage, group, RequestDraft, **again) == {}
        assert await applying(stage, group, NOW + TTL_MS) == [STRANGER]

    async def test_stale(self, stage: Stage, group: int) -> None:
        """What was judged before a change is judged again."""
        late = await draft(stage, group, RequestDraft, user_xids=(STRANGER,), **APPLICATION)
        await stage.join(group, STRANGER)
        assert await stage.append(late) == Stale()

    async def test_so_many_of_a_group(self, engine: str, tmp_path: Path) -> None:
        """Beyond the limit one is refused by itself, of its kind; what has expired makes room."""
        async with Stage(engine, tmp_path / "narrow", Limits(group_requests_max=1)) as stage:
            group = await stage.group(OWNER)
            ask = {"user_xids": (STRANGER, OTHER), **INVITATION}
            for _ in range(2):
                assert await changed(stage, group, RequestDraft, **ask) == {OTHER: Kind.LIST_FULL}
            assert await changed(stage, group, RequestDraft, user_xids=(OTHER,), **APPLICATION) == {}
            late = {"user_xids": (OTHER,), "at": NOW + TTL_MS, **INVITATION}
            assert await changed(stage, group, RequestDraft, **late) == {}

    async def test_so_many_of_a_user(self, engine: str, tmp_path: Path) -> None:
        """Likewise, over all groups; who is refused does not come into being."""
        async with Stage(engine, tmp_path / "narrow", Limits(user_requests_max=1)) as stage:
            one, two = await stage.group(OWNER), await stage.group(OWNER)
            ask = {"user_xids": (STRANGER,), **APPLICATION}
            assert await changed(stage, one, RequestDraft, **ask) == {}
            assert await changed(stage, two, RequestDraft, **ask) == {STRANGER: Kind.LIST_FULL}
            assert await changed(stage, two, RequestDraft, at=NOW + TTL_MS, **ask) == {}


class TestAnswered:
    """Requests end."""

    async def test_an_application_is_approved(self, stage: Stage, group: int) -> None:
        """The user joins, told as ever, and it is open no more."""
        await changed(stage, group, RequestDraft, user_xids=(STRANGER,), **APPLICATION)
        answer = await change(stage, group, HandleDraft, user_xid=STRANGER, approved=True, **APPLICATION)
        assert isinstance(answer, Changed)
        assert [placed.owner_xid for placed in answer.placed] == [group, STRANGER]
        assert await members(stage, group) == [OWNER, MEMBER, STRANGER]
        assert await applying(stage, group) == []

    async def test_an_invitation_is_taken(self, stage: Stage, group: int) -> None:
        """Only as of who gave it."""
        await changed(stage, group, RequestDraft, user_xids=(STRANGER,), **INVITATION)
        take = {"user_xid": STRANGER, "approved": True, **INVITATION}
        answer = await change(stage, group, HandleDraft, inviter_xid=MEMBER, **take)
        assert isinstance(answer, Refused)
        assert answer.kind is Kind.INVITATION_GONE
        assert isinstance(await change(stage, group, HandleDraft, **take), Changed)
        assert await members(stage, group) == [OWNER, MEMBER, STRANGER]

    @pytest.mark.parametrize("told", [APPLICATION, INVITATION])
    async def test_it_is_declined(self, stage: Stage, group: int, told: dict[str, Any]) -> None:
        """Once; the second answer finds nothing, and nobody is in who was not."""
        await changed(stage, group, RequestDraft, user_xids=(STRANGER,), **told)
        ask = {"user_xid": STRANGER, "approved": False, **told}
        assert isinstance(await change(stage, group, HandleDraft, **ask), Changed)
        assert isinstance(await change(stage, group, HandleDraft, **ask), Refused)
        assert await members(stage, group) == [OWNER, MEMBER]

    async def test_who_comes_otherwise_has_nothing_open(self, stage: Stage, group: int) -> None:
        """Neither an application nor an invitation."""
        for told in (APPLICATION, INVITATION):
            await changed(stage, group, RequestDraft, user_xids=(STRANGER, OTHER), **told)
        await stage.join(group, STRANGER)
        assert await applying(stage, group) == [OTHER]
        assert await invited(stage, STRANGER) == []
        assert stage.check() == []

    async def test_an_invitation_ends_with_its_giver(self, stage: Stage, group: int) -> None:
        """Of one who has left the group it is no more; of the app itself it is."""
        told = {"user_xids": (STRANGER,), **INVITATION}
        await changed(stage, group, RequestDraft, inviter_xid=MEMBER, **told)
        await stage.change(group, Action.LEFT, MEMBER)
        assert await invited(stage, STRANGER) == []
        take = {"user_xid": STRANGER, "approved": True, **INVITATION}
        answer = await change(stage, group, HandleDraft, inviter_xid=MEMBER, **take)
        assert isinstance(answer, Refused)
        system = stage.app.system_xid
        await changed(stage, group, RequestDraft, inviter_xid=system, **told)
        assert await invited(stage, STRANGER) == [(group, system)]
        answer = await change(stage, group, HandleDraft, inviter_xid=system, **take)
        assert isinstance(answer, Changed)

    async def test_who_finds_no_room_may_come_later(self, engine: str, tmp_path: Path) -> None:
        """What could not be done stays open."""
        async with Stage(engine, tmp_path / "narrow", Limits(group_members_max=2)) as stage:
            group = await stage.group(OWNER, MEMBER)
            await changed(stage, group, RequestDraft, user_xids=(STRANGER,), **APPLICATION)
            ask = {"user_xid": STRANGER, "approved": True, **APPLICATION}
            answer = await change(stage, group, HandleDraft, **ask)
            assert isinstance(answer, Refused)
            assert answer.kind is Kind.GROUP_FULL
            assert await applying(stage, group) == [STRANGER]
            await stage.kick(group, MEMBER)
            assert isinstance(await change(stage, group, HandleDraft, **ask), Changed)

    async def test_of_another_app(self, stage: Stage, group: int) -> None:
        """A user of the same id in another app answers nothing here."""
        await changed(stage, group, RequestDraft, user_xids=(STRANGER,), **APPLICATION)
        ask = await draft(stage, group, HandleDraft, user_xid=STRANGER, approved=True, app=99, **APPLICATION)
        assert await stage.append(ask) == Refused(Kind.GROUP_UNKNOWN, f"there is no group {group}")
