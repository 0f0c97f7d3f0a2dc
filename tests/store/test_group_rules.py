"""Who may speak in a group, who may not be in it, who decides, and what it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.domain.drafts import Appended, Changed, Refused, Stale
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import (
    BanDraft,
    BlockDraft,
    GroupDraft,
    GroupSettings,
    RequestDraft,
    RequestKind,
    RoleDraft,
    SettingsDraft,
    TransferDraft,
    TrustDraft,
)
from gateway.domain.limits import Limits
from gateway.domain.model import Action, Membership
from tests.store.grouping import admins, applying, banned, blocked, change, changed, draft
from tests.store.stage import NOW, Stage

OWNER, ADMIN, MEMBER, OTHER, STRANGER = 11, 12, 13, 14, 15

CHANGES: list[tuple[type[GroupDraft], dict[str, Any]]] = [
    (BanDraft, {"user_xids": (MEMBER,), "until": NOW + 1}),
    (BlockDraft, {"user_xids": (MEMBER,), "blocked": True}),
    (RoleDraft, {"user_xids": (MEMBER,), "admin": True}),
    (TrustDraft, {"user_xids": (MEMBER,), "trusted": True}),
    (TransferDraft, {"heir_xid": MEMBER}),
    (SettingsDraft, {"settings": GroupSettings(read_ack=False)}),
]


@pytest.fixture
async def group(stage: Stage) -> int:
    """A group with an administrator and two members; the stranger exists."""
    made = await stage.group(OWNER, ADMIN, MEMBER, OTHER)
    await stage.user(STRANGER)
    await changed(stage, made, RoleDraft, user_xids=(ADMIN,), admin=True)
    return made


@pytest.mark.parametrize(("kind", "told"), CHANGES)
async def test_every_change_raises_the_version(
    stage: Stage, group: int, kind: type[GroupDraft], told: dict[str, Any]
) -> None:
    """What was judged before it is stale, messages and changes alike; and so is the change itself, again."""
    text, late = await stage.group_text(OWNER, group), await draft(stage, group, kind, **told)
    await changed(stage, group, kind, **told)
    assert await stage.append(text) == Stale()
    assert await stage.append(late) == Stale()
    assert isinstance(await stage.append(await stage.group_text(OWNER, group)), Appended)


@pytest.mark.parametrize(("kind", "told"), CHANGES)
async def test_a_group_that_is_not_there(
    stage: Stage, group: int, kind: type[GroupDraft], told: dict[str, Any]
) -> None:
    """One of another app, and one that has ended, cannot be changed."""
    ask = await draft(stage, group, kind, **told)
    foreign = kind(**{**{name: getattr(ask, name) for name in ask.__struct_fields__}, "app": 99})
    await stage.change(group, Action.DESTROYED)
    for asked in (ask, foreign):
        assert await stage.append(asked) == Refused(Kind.GROUP_UNKNOWN, f"there is no group {group}")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (BanDraft, {"user_xids": (OWNER, STRANGER), "until": NOW + 1}),
        (BanDraft, {"user_xids": (MEMBER,), "until": 0}),
        (BlockDraft, {"user_xids": (MEMBER,), "blocked": False}),
        (RoleDraft, {"user_xids": (ADMIN,), "admin": True}),
        (TransferDraft, {"heir_xid": OWNER}),
    ],
)
async def test_what_changes_nothing(
    stage: Stage, group: int, kind: type[GroupDraft], told: dict[str, Any]
) -> None:
    """Leaves the version as it was."""
    before = (await stage.facts(group)).version
    await changed(stage, group, kind, **told)
    assert (await stage.facts(group)).version == before


class TestBans:
    """Members who may not speak for a while."""

    async def test_facts_tell(self, stage: Stage, group: int) -> None:
        """What judging needs says until when each is banned."""
        await changed(stage, group, BanDraft, user_xids=(MEMBER, OTHER), until=NOW + 5)
        await changed(stage, group, BanDraft, user_xids=(OTHER,), until=NOW + 9)
        await changed(stage, group, BanDraft, user_xids=(OTHER, STRANGER), until=0)
        told = [(await stage.facts(group, xid)).banned_until for xid in (OWNER, MEMBER, OTHER, STRANGER)]
        assert told == [0, NOW + 5, 0, 0]
        assert await banned(stage, group) == {MEMBER: NOW + 5}

    async def test_each_by_itself(self, stage: Stage, group: int) -> None:
        """Strangers, unknown ids, groups and the owner are refused, the others are banned."""
        named = (OWNER, STRANGER, 99, group, MEMBER, ADMIN)
        assert await changed(stage, group, BanDraft, user_xids=named, until=NOW + 5) == {
            OWNER: Kind.FORBIDDEN,
            STRANGER: Kind.NOT_A_MEMBER,
            99: Kind.NOT_A_MEMBER,
            group: Kind.BAD_PARAMETER,
        }
        assert sorted(await banned(stage, group)) == [ADMIN, MEMBER]

    async def test_sparing_administrators(self, stage: Stage, group: int) -> None:
        """Who is no more than one of them bans, kicks and blocks none of them."""
        named = {"user_xids": (ADMIN, MEMBER), "sparing": True}
        assert await changed(stage, group, BanDraft, until=NOW + 5, **named) == {ADMIN: Kind.OWNER_ONLY}
        assert await changed(stage, group, BlockDraft, blocked=True, **named) == {ADMIN: Kind.OWNER_ONLY}
        kick = await stage.membership(group, Action.KICKED, ADMIN, OTHER, sparing=True)
        answer = await stage.append(kick)
        assert isinstance(answer, Changed)
        assert answer.refused == {ADMIN: Kind.OWNER_ONLY}
        members = await stage.store.members(await stage.id(group), 0, 10)
        assert [member.xid for member in members] == [OWNER, ADMIN]

    async def test_leaving_ends_no_ban(self, stage: Stage, group: int) -> None:
        """Whoever comes back is still banned; outside the group one is listed without a time of joining."""
        await changed(stage, group, BanDraft, user_xids=(MEMBER,), until=NOW + 5)
        await stage.kick(group, MEMBER)
        [ban] = await stage.store.group_bans(await stage.id(group), 0, 10, NOW)
        assert (ban.xid, ban.joined_at) == (MEMBER, 0)
        await stage.join(group, MEMBER)
        assert (await stage.facts(group, MEMBER)).banned_until == NOW + 5

    async def test_what_has_ended_is_not_there(self, stage: Stage, group: int) -> None:
        """It is neither listed nor counted."""
        await changed(stage, group, BanDraft, user_xids=(MEMBER,), until=NOW + 5)
        assert await banned(stage, group, NOW + 4) == {MEMBER: NOW + 5}
        assert await banned(stage, group, NOW + 5) == {}

    async def test_pages(self, stage: Stage, group: int) -> None:
        """By rising id, from where the last one ended."""
        await changed(stage, group, BanDraft, user_xids=(OTHER, ADMIN, MEMBER), until=NOW + 5)
        found = await stage.store.group_bans(await stage.id(group), ADMIN, 1, NOW)
        assert [ban.xid for ban in found] == [MEMBER]

    async def test_so_many(self, engine: str, tmp_path: Path) -> None:
        """A list has room for so many; who is in it already needs none, and what has ended makes some."""
        async with Stage(engine, tmp_path / "narrow", Limits(group_bans_max=1, group_blocks_max=1)) as stage:
            group = await stage.group(OWNER, MEMBER, OTHER)
            ban = {"user_xids": (MEMBER, OTHER), "until": NOW + 5}
            for _ in range(2):
                assert await changed(stage, group, BanDraft, **ban) == {OTHER: Kind.LIST_FULL}
            late = {"user_xids": (OTHER,), "until": NOW + 9, "at": NOW + 5}
            assert await changed(stage, group, BanDraft, **late) == {}
            block = {"user_xids": (MEMBER, OTHER), "blocked": True}
            for _ in range(2):
                assert await changed(stage, group, BlockDraft, **block) == {OTHER: Kind.LIST_FULL}
            assert await blocked(stage, group) == [MEMBER]


class TestBlocks:
    """Users who may not be in a group."""

    async def test_who_is_kept_out_of_what(self, stage: Stage, group: int) -> None:
        """Of the pairs asked about, those of a group and a user that it blocks."""
        await changed(stage, group, BlockDraft, user_xids=(OTHER,), blocked=True)
        here, there = await stage.id(group), await stage.id(await stage.group(OWNER, OTHER))
        other, member = await stage.id(OTHER), await stage.id(MEMBER)
        assert await stage.store.kept_out([(here, other), (here, member), (there, other)]) == [(here, other)]
        assert await stage.store.kept_out([]) == []

    async def test_members_are_kicked(self, stage: Stage, group: int) -> None:
        """In the same transaction, and told as ever."""
        answer = await change(stage, group, BlockDraft, user_xids=(MEMBER, STRANGER, OWNER), blocked=True)
        assert isinstance(answer, Changed)
        assert answer.refused == {OWNER: Kind.OWNER_CANNOT_LEAVE}
        assert [placed.owner_xid for placed in answer.placed] == [group, MEMBER]
        told = (await stage.entries(MEMBER))[-1].membership
        assert isinstance(told, Membership)
        assert told.action is Action.KICKED
        assert await blocked(stage, group) == [MEMBER, STRANGER]

    async def test_they_do_not_come_back(self, stage: Stage, group: int) -> None:
        """Until they may again."""
        await changed(stage, group, BlockDraft, user_xids=(MEMBER,), blocked=True)
        assert (await stage.join(group, MEMBER, STRANGER)).refused == {MEMBER: Kind.GROUP_BLOCKED}
        await changed(stage, group, BlockDraft, user_xids=(MEMBER, STRANGER), blocked=False)
        assert await blocked(stage, group) == []
        assert (await stage.join(group, MEMBER)).refused == {}

    async def test_who_does_not_exist_yet(self, stage: Stage, group: int) -> None:
        """An open app blocks a user before there is one; where registration is required there must be one."""
        ask: dict[str, Any] = {"user_xids": (98, group), "blocked": True}
        assert await changed(stage, group, BlockDraft, create=False, **ask) == {
            98: Kind.USER_UNKNOWN,
            group: Kind.BAD_PARAMETER,
        }
        assert await changed(stage, group, BlockDraft, **ask) == {group: Kind.BAD_PARAMETER}
        assert await blocked(stage, group) == [98]
        assert await changed(stage, group, BlockDraft, user_xids=(97,), blocked=False) == {}

    async def test_what_they_asked_for_is_no_more(self, stage: Stage, group: int) -> None:
        """An application of somebody who is blocked is not left open."""
        ask: dict[str, Any] = {"user_xids": (STRANGER,), "request": RequestKind.APPLICATION}
        await changed(stage, group, RequestDraft, **ask)
        await changed(stage, group, BlockDraft, user_xids=(STRANGER,), blocked=True)
        assert await applying(stage, group) == []
        assert await changed(stage, group, RequestDraft, **ask) == {STRANGER: Kind.GROUP_BLOCKED}

    async def test_nothing_outlives_the_group(self, stage: Stage, group: int) -> None:
        """Bans, blocks and requests end with it; the law says so."""
        await changed(stage, group, BanDraft, user_xids=(MEMBER,), until=NOW + 5)
        await changed(stage, group, BlockDraft, user_xids=(OTHER,), blocked=True)
        await changed(stage, group, RequestDraft, user_xids=(STRANGER,), request=RequestKind.APPLICATION)
        await stage.change(group, Action.DESTROYED)
        assert stage.check() == []


class TestRoles:
    """Owner and administrators."""

    async def test_administrators(self, stage: Stage, group: int) -> None:
        """Members can be, each by itself, and facts tell."""
        named = (OWNER, MEMBER, ADMIN, STRANGER)
        assert await changed(stage, group, RoleDraft, user_xids=named, admin=True) == {
            OWNER: Kind.FORBIDDEN,
            STRANGER: Kind.NOT_A_MEMBER,
        }
        assert await admins(stage, group) == [ADMIN, MEMBER]
        assert [(await stage.facts(group, xid)).admin for xid in named] == [False, True, True, False]
        await changed(stage, group, RoleDraft, user_xids=(ADMIN, OTHER), admin=False)
        assert await admins(stage, group) == [MEMBER]

    async def test_who_leaves_is_none(self, stage: Stage, group: int) -> None:
        """And none who comes back."""
        await stage.kick(group, ADMIN)
        await stage.join(group, ADMIN)
        assert await admins(stage, group) == []

    async def test_so_many(self, engine: str, tmp_path: Path) -> None:
        """Beyond the limit one is refused by itself."""
        async with Stage(engine, tmp_path / "narrow", Limits(group_admins_max=1)) as stage:
            group = await stage.group(OWNER, ADMIN, MEMBER)
            ask = {"user_xids": (ADMIN, MEMBER), "admin": True}
            for _ in range(2):
                assert await changed(stage, group, RoleDraft, **ask) == {MEMBER: Kind.LIST_FULL}

    async def test_trust(self, stage: Stage, group: int) -> None:
        """Members can be trusted, each by itself, as long as they stay; facts tell, and lists."""
        named = (OWNER, MEMBER, STRANGER)
        assert await changed(stage, group, TrustDraft, user_xids=named, trusted=True) == {
            STRANGER: Kind.NOT_A_MEMBER
        }
        assert [(await stage.facts(group, xid)).trusted for xid in named] == [True, True, False]
        group_id = (await stage.party(group)).id
        assert [member.xid for member in await stage.store.group_trusted(group_id)] == [OWNER, MEMBER]
        await stage.kick(group, MEMBER)
        await stage.join(group, MEMBER)
        assert await changed(stage, group, TrustDraft, user_xids=(OWNER, STRANGER), trusted=False) == {}
        assert await stage.store.group_trusted(group_id) == []

    async def test_a_group_may_be_smaller(self, stage: Stage, group: int) -> None:
        """Than any may be: who does not fit is refused by itself; who is in it stays."""
        await changed(stage, group, SettingsDraft, settings=GroupSettings(members_max=5))
        assert (await stage.change(group, Action.JOINED, STRANGER, 16)).refused == {16: Kind.GROUP_FULL}
        await changed(stage, group, SettingsDraft, settings=GroupSettings(members_max=2))
        found = await stage.store.group(stage.app.id, group)
        assert found is not None
        assert (found.members, found.members_max) == (5, 2)

    async def test_what_is_kept_of_a_group(self, stage: Stage, group: int) -> None:
        """Its announcement, and whether anybody may speak in it, which facts tell."""
        told = GroupSettings(announcement="at noon", disabled=True)
        await changed(stage, group, SettingsDraft, settings=told)
        found = await stage.store.group(stage.app.id, group)
        assert found is not None
        assert (found.announcement, found.disabled) == ("at noon", True)
        assert (await stage.facts(group, OWNER)).disabled

    async def test_transfer(self, stage: Stage, group: int) -> None:
        """The heir owns it, is administrator and banned no more; who owned it is a plain member."""
        await changed(stage, group, BanDraft, user_xids=(ADMIN,), until=NOW + 5)
        await changed(stage, group, TransferDraft, heir_xid=ADMIN)
        found = await stage.store.group(stage.app.id, group)
        assert found is not None
        assert found.owner_xid == ADMIN
        before, heir = await stage.facts(group, OWNER), await stage.facts(group, ADMIN)
        assert (before.owner, before.member, before.admin) == (False, True, False)
        assert (heir.owner, heir.admin, heir.banned_until) == (True, False, 0)

    async def test_an_heir_must_be_a_member(self, stage: Stage, group: int) -> None:
        """Neither a stranger, nor nobody, nor a group owns it."""
        for xid in (STRANGER, 99, group):
            answer = await change(stage, group, TransferDraft, heir_xid=xid)
            assert isinstance(answer, Refused)
            assert answer.kind is Kind.HEIR_NOT_A_MEMBER


class TestSettings:
    """What a group is called, and what is allowed in it."""

    async def test_what_is_named_changes(self, stage: Stage, group: int) -> None:
        """And nothing else does, but when it was changed."""
        before = await stage.store.group(stage.app.id, group)
        told: dict[str, Any] = {
            "name": "n",
            "description": "d",
            "avatar": "a",
            "ext": "e",
            "apply_approval": 2,
            "invite_confirm": True,
            "member_invitation": True,
            "ban_all_until": NOW,
            "history_visible": True,
            "read_ack": False,
            "type": 1,
        }
        for name, value in told.items():
            await changed(stage, group, SettingsDraft, settings=GroupSettings(**{name: value}), at=NOW + 3)
        after = await stage.store.group(stage.app.id, group)
        assert before is not None
        assert after is not None
        assert {name: getattr(after, name) for name in told} == told
        assert (after.created_at, after.updated_at) == (NOW, NOW + 3)
        assert (after.members, after.owner_xid) == (before.members, before.owner_xid)
        assert (before.type, await stage.store.groups_of_type(stage.app.id, 1, 0, 9)) == (0, [group])

    async def test_a_new_group_has_them_from_the_start(self, stage: Stage) -> None:
        """Its first members are there under them."""
        answer = await stage.append(
            stage.creation(OWNER, MEMBER, settings=GroupSettings(ext="e", apply_approval=2))
        )
        assert isinstance(answer, Changed)
        found = await stage.store.group(stage.app.id, answer.xid)
        assert found is not None
        assert (found.ext, found.apply_approval, found.read_ack) == ("e", 2, True)

    async def test_a_ban_of_all_is_a_fact(self, stage: Stage, group: int) -> None:
        """For whoever sends."""
        await changed(stage, group, SettingsDraft, settings=GroupSettings(ban_all_until=NOW + 5))
        assert (await stage.facts(group, MEMBER)).ban_all_until == NOW + 5

    async def test_history_is_visible_to_who_joins_then(self, stage: Stage, group: int) -> None:
        """They page back to the start; nothing of it is unread, and no device is owed it."""
        first = (await stage.say(OWNER, group)).first_msg_id
        await stage.join(group, STRANGER)
        await changed(stage, group, SettingsDraft, settings=GroupSettings(history_visible=True))
        assert await stage.shown(STRANGER, group) == []
        await stage.kick(group, STRANGER)
        await stage.join(group, STRANGER)
        assert await stage.shown(STRANGER, group) == [first]
        assert await stage.statuses(STRANGER, group) == {first: "READ"}
        [recent] = await stage.recent(STRANGER, group)
        assert recent.unread == 0
        [stay] = (await stage.store.standings([(await stage.id(STRANGER), 1)]))[0].stays
        head = (await stage.entries(group))[-1].seq
        assert (stay.from_seq, stay.delivered) == (head, head - 1)
        last = (await stage.say(OWNER, group)).first_msg_id
        [recent] = await stage.recent(STRANGER, group)
        assert recent.unread == 1
        await stage.delete(STRANGER, group)
        assert await stage.shown(STRANGER, group) == []
        assert await stage.statuses(OWNER, group) == {first: "UNREAD", last: "UNREAD"}
        assert stage.check() == []

    async def test_reads_are_not_told_where_they_shall_not_be(self, stage: Stage, group: int) -> None:
        """The position moves all the same, and statuses are computed from it."""
        said = (await stage.say(OWNER, group)).first_msg_id
        await changed(stage, group, SettingsDraft, settings=GroupSettings(read_ack=False))
        done = await stage.read(MEMBER, group)
        assert (done.moved, done.changes) == (True, [])
        assert await stage.statuses(OWNER, group) == {said: "READ"}
        await changed(stage, group, SettingsDraft, settings=GroupSettings(read_ack=True))
        said = (await stage.say(OWNER, group)).first_msg_id
        assert [told.msg_id for told in (await stage.read(OTHER, group)).changes] == [said]


class TestLists:
    """Groups by type, and several at once."""

    async def test_of_a_type(self, stage: Stage) -> None:
        """Those of this app that stand, oldest first, page by page."""
        made = []
        for kind in (1, 0, 1, 1, 1):
            answer = await stage.append(stage.creation(OWNER, type=kind))
            assert isinstance(answer, Changed)
            made.append(answer.xid)
        await stage.change(made[2], Action.DESTROYED)
        other = await stage.store.create_app("other", "k", b"y" * 64, registered=False, at=NOW)
        assert other is not None
        lists = stage.store.groups_of_type
        assert await lists(stage.app.id, 1, 0, 2) == [made[0], made[3]]
        assert await lists(stage.app.id, 1, made[3], 2) == [made[4]]
        assert await lists(stage.app.id, 1, made[4], 2) == []
        assert await lists(other.id, 1, 0, 2) == []

    async def test_several(self, stage: Stage, group: int) -> None:
        """Those that are there."""
        assert list(await stage.store.groups(stage.app.id, [group, 99, OWNER])) == [group]
        assert await stage.store.groups(stage.app.id + 1, [group]) == {}
