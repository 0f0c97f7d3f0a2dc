"""Users as the store keeps them: who may act, passwords, profiles, devices."""

from __future__ import annotations

import pytest

from gateway.domain.drafts import Appended, Changed, Refused, Repeated
from gateway.domain.errors import Kind
from gateway.domain.model import Device, Profile, State, User
from gateway.domain.positions import Keep
from tests.store.stage import NOW, Stage


async def freeze(stage: Stage, *xids: int, state: State = State.FROZEN, create: bool = True) -> object:
    return await stage.store.set_state(stage.app.id, xids, state, NOW, create=create)


async def deleted(stage: Stage, xid: int) -> None:
    """Make a user a deleted one, as whoever deletes it will."""
    user = await stage.user(xid)
    await stage.alter(f"UPDATE timeline SET state = 2 WHERE id = {user.id}")


class TestState:
    """Frozen and deleted users."""

    async def test_a_frozen_user_sends_nothing(self, stage: Stage) -> None:
        """To users, groups or itself, as a notice too; what is sent to it arrives."""
        group = await stage.group(11, 12)
        await freeze(stage, 11)
        for draft in (
            stage.text(11, 12),
            stage.text(11, 11),
            stage.text(11, 12, notice=True, copied=False),
            await stage.group_text(11, group),
        ):
            answer = await stage.append(draft)
            assert isinstance(answer, Refused)
            assert answer.kind is Kind.FROZEN
            assert "11" in answer.sentence
        sent = await stage.send(12, 11)
        assert await stage.shown(11, 12) == [sent.first_msg_id]
        assert await freeze(stage, 11, state=State.NORMAL) == [(await stage.id(11), 11)]
        await stage.send(11, 12)

    async def test_a_repeat_gets_its_first_answer(self, stage: Stage) -> None:
        """Dedup comes before every refusal: of the sender, of the target."""
        sent = await stage.send(11, 12, key="7", digest="d")
        await freeze(stage, 11)
        await deleted(stage, 12)
        answer = await stage.append(stage.text(11, 12, key="7", digest="d"))
        assert answer == Repeated(sent.first_msg_id, sent.first_msg_id)

    @pytest.mark.parametrize("draft", ["sender", "target", "notice"])
    async def test_a_deleted_user_is_nobody(self, stage: Stage, draft: str) -> None:
        """It neither sends nor gets anything, in an open app too, and its neighbours in the batch do."""
        await deleted(stage, 11)
        told = {
            "sender": stage.text(11, 12),
            "target": stage.text(12, 13, 11),
            "notice": stage.text(12, 11, notice=True, copied=False),
        }[draft]
        refused, done = await stage.store.append([told, stage.text(12, 13)])
        assert isinstance(refused, Refused)
        assert refused.kind is Kind.USER_UNKNOWN
        assert " 11" in refused.sentence
        assert isinstance(done, Appended)
        assert await stage.shown(13, 12) == [done.first_msg_id]

    async def test_a_deleted_user_comes_into_no_group(self, stage: Stage) -> None:
        """Neither as a new group's owner or member nor later; one that is in is put out like any other."""
        group = await stage.group(11, 13)
        for xid in (12, 13):
            await deleted(stage, xid)
        joined = await stage.join(group, 12, 14)
        assert joined.refused == {12: Kind.USER_UNKNOWN}
        made = await stage.append(stage.creation(11, 12))
        assert isinstance(made, Changed)
        assert made.refused == {12: Kind.USER_UNKNOWN}
        refused = await stage.append(stage.creation(12))
        assert isinstance(refused, Refused)
        assert refused.kind is Kind.USER_UNKNOWN
        assert (await stage.kick(group, 13)).refused == {}

    async def test_all_or_none(self, stage: Stage) -> None:
        """One who cannot be frozen is named, and nobody is."""
        group = await stage.group(11)
        await deleted(stage, 13)
        for xid, kind, create in (
            (group, Kind.BAD_PARAMETER, True),
            (13, Kind.USER_UNKNOWN, True),
            (99, Kind.USER_UNKNOWN, False),
        ):
            answer = await freeze(stage, 11, xid, create=create)
            assert isinstance(answer, Refused)
            assert answer.kind is kind
            assert str(xid) in answer.sentence
            assert (await stage.user(11)).state is State.NORMAL

    async def test_who_is_not_there_may_be_frozen(self, stage: Stage) -> None:
        """Where users come into being by being named, and then it is frozen from its first moment."""
        assert await freeze(stage, 98, 98) == [(await stage.id(98), 98)]
        assert (await stage.user(98)).state is State.FROZEN

    async def test_of_another_app(self, stage: Stage) -> None:
        """The same ids there are others' users."""
        await stage.users(11)
        other = await stage.store.create_app("other", "k", b"x" * 64, registered=False, at=NOW)
        assert other is not None
        await stage.store.set_state(other.id, [11], State.FROZEN, NOW, create=True)
        assert (await stage.user(11)).state is State.NORMAL


class TestPassword:
    """Records of passwords, and from when on tokens are good."""

    @pytest.mark.parametrize(("at", "first"), [(1_000_000, 1_001_000), (1_000_999, 1_001_000)])
    async def test_it_moves_what_tokens_are_good(self, stage: Stage, at: int, first: int) -> None:
        """To the second after that of the change; a change in the very same second moves it once more."""
        user = await stage.user(11)
        assert await stage.store.set_password(user.id, "", "one", at) == first
        assert await stage.store.set_password(user.id, None, "two", at) == first + 1000
        found = await stage.user(11)
        assert (found.password, found.valid_from_ms) == ("two", first + 1000)

    async def test_only_where_it_is_the_one_expected(self, stage: Stage) -> None:
        """Whoever knew an older one has lost."""
        user = await stage.user(11)
        await stage.store.set_password(user.id, None, "one", NOW)
        assert await stage.store.set_password(user.id, "", "two", NOW) is None
        assert (await stage.user(11)).password == "one"


class TestProfile:
    """What users tell of themselves."""

    async def test_members_are_changed_one_by_one(self, stage: Stage) -> None:
        """Those not named stay, and an empty one is a change too."""
        users = [await stage.user(xid) for xid in (11, 12)]
        await stage.store.set_profile(users[0].id, {"nickname": "A", "public_info": "p", "description": "d"})
        await stage.store.set_profile(users[0].id, {"nickname": "", "avatar": "a", "private_info": "s"})
        assert await stage.store.profile(users[0].id) == Profile(
            avatar="a", public_info="p", private_info="s", description="d"
        )
        assert await stage.store.profile(users[1].id) == Profile()
        names = {users[0].id: "", users[1].id: "B"}
        await stage.store.set_profile(users[1].id, {"nickname": "B"})
        assert await stage.store.nicknames([*names, 999_999]) == names


class TestList:
    """The users of an app."""

    async def test_pages(self, stage: Stage) -> None:
        """By rising id, without `system`, the deleted, groups, and other apps' users."""
        await stage.group(30, 20, 10)
        await deleted(stage, 15)
        await freeze(stage, 20)
        other = await stage.store.create_app("other", "k", b"x" * 64, registered=False, at=NOW)
        assert other is not None
        await stage.store.ensure_users(other.id, [17], NOW)
        named = await stage.store.register(stage.app.id, "ann", "", NOW)
        assert isinstance(named, User)
        pages = [await stage.store.users(stage.app.id, offset, 2) for offset in (0, 2, 4)]
        assert [[(user.xid, user.name, user.state) for user in page] for page in pages] == [
            [(10, "", State.NORMAL), (20, "", State.FROZEN)],
            [(30, "", State.NORMAL), (named.xid, "ann", State.NORMAL)],
            [],
        ]


class TestDevices:
    """Devices kept."""

    async def test_what_they_say_is_kept(self, stage: Stage) -> None:
        """From when they are kept; what they say later counts, and saying nothing changes nothing."""
        user = await stage.user(11)
        own = {user.id: 0}
        await stage.store.keep([Keep(user.id, 2, NOW, own, ()), Keep(user.id, 1, NOW, own, (), 6, "browser")])
        assert await stage.store.devices(user.id) == [
            Device(device_sn=1, platform=6, user_agent="browser"),
            Device(device_sn=2),
        ]
        await stage.store.keep([Keep(user.id, 1, NOW, own, ()), Keep(user.id, 2, NOW, own, (), 1, "app")])
        assert await stage.store.devices(user.id) == [
            Device(device_sn=1, platform=6, user_agent="browser"),
            Device(device_sn=2, platform=1, user_agent="app"),
        ]

    async def test_removing(self, stage: Stage) -> None:
        """The row and its cursors go, what was delivered stays, and others' devices of that number too."""
        await stage.send(12, 11)
        users = [await stage.user(xid) for xid in (11, 12)]
        await stage.store.keep([Keep(user.id, sn, NOW, {user.id: 0}, ()) for user in users for sn in (1, 2)])
        await stage.ack(11, 11, 1)
        for _ in range(2):
            await stage.store.remove_device(users[0].id, 1)
        assert [[one.device_sn for one in await stage.store.devices(user.id)] for user in users] == [
            [2],
            [1, 2],
        ]
        [standing] = await stage.store.standings([(users[0].id, 1)])
        assert (standing.kept, standing.delivered) == (False, 1)
        [bearing] = await stage.store.bearings([(users[0].id, 1, users[0].id)])
        assert bearing.cursor == -1


async def test_a_call_under_way_leaves_nothing_with_a_deleted_user(stage: Stage) -> None:
    """Its password may have been worked on, and its profile and blocks may have waited, while it was deleted."""
    user, other = await stage.user(11), await stage.user(12)
    await deleted(stage, 11)
    assert await stage.store.set_password(user.id, None, "record", NOW) is None
    await stage.store.set_profile(user.id, {"nickname": "eleven"})
    assert await stage.store.block(user.id, other.id, NOW)
    assert await stage.store.block(other.id, user.id, NOW)
    assert await stage.store.profile(user.id) == Profile()
    found = await stage.store.user(stage.app.id, 11)
    assert isinstance(found, User)
    assert found.password == ""
    for asked in (user, other):
        assert await stage.ask(f"SELECT * FROM block WHERE usr = {asked.id}") == []
