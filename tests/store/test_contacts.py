"""Users that are made many at once, who is in whose address book, and what apps keep with users."""

from __future__ import annotations

import msgspec
import pytest

from gateway.domain.drafts import JobDraft, JobKind
from gateway.domain.limits import Limits
from gateway.domain.model import Account, State, User
from tests.store.stage import NOW, Stage


async def erase(stage: Stage, user: User) -> None:
    draft = JobDraft(app=stage.app.id, kind=JobKind.ERASE, at=NOW, data=str(user.id), key=str(user.id))
    await stage.append(draft)


class TestEnrolling:
    """Users with passwords, all or none."""

    async def test_all_are_made_in_the_order_named(self, stage: Stage) -> None:
        """A name of digits is an id, and such a user needs no other name."""
        accounts = [Account("zoe", "r1", "Zoe"), Account("4711", "r2"), Account("adam", "r3")]
        made = await stage.store.enroll(stage.app.id, accounts, NOW)
        assert isinstance(made, list)
        assert [(user.name, user.password, user.created_at) for user in made] == [
            ("zoe", "r1", NOW),
            ("", "r2", NOW),
            ("adam", "r3", NOW),
        ]
        assert made[1].xid == 4711
        assert await stage.store.user_named(stage.app.id, "adam") == made[2]
        assert (await stage.store.profile(made[0].id)).nickname == "Zoe"

    @pytest.mark.parametrize("name", ["held", "77", "group"])
    async def test_one_that_is_taken_stops_all(self, stage: Stage, name: str) -> None:
        """By a user with a password, by name or number, or by a group."""
        if name == "group":
            name = str(await stage.group(10))
        assert isinstance(
            await stage.store.enroll(stage.app.id, [Account("held", "r"), Account("77", "r")], NOW), list
        )
        told = await stage.store.enroll(stage.app.id, [Account("new", "s"), Account(name, "s")], NOW)
        assert told == name
        assert await stage.store.user_named(stage.app.id, "new") is None

    async def test_one_that_is_named_twice_stops_all(self, stage: Stage) -> None:
        """Which of the two was meant nobody knows."""
        accounts = [Account("twice", "r1"), Account("twice", "r2")]
        assert await stage.store.enroll(stage.app.id, accounts, NOW) == "twice"
        assert await stage.store.user_named(stage.app.id, "twice") is None

    async def test_who_was_only_named_is_taken_for_the_one_made(self, stage: Stage) -> None:
        """By name or number: the id stays."""
        named = await stage.store.register(stage.app.id, "ann", "", NOW)
        assert isinstance(named, User)
        [by_number] = await stage.store.ensure_users(stage.app.id, [55], NOW)
        assert isinstance(by_number, User)
        made = await stage.store.enroll(stage.app.id, [Account("ann", "r1"), Account("55", "r2")], NOW)
        assert isinstance(made, list)
        assert [(user.id, user.password) for user in made] == [(named.id, "r1"), (by_number.id, "r2")]

    async def test_whether_they_may_act(self, stage: Stage) -> None:
        """Is as it is told; of who was there before, and of whom nothing is told, it stays as it was."""
        app, store = stage.app.id, stage.store
        await stage.users(55, 66, 77)
        assert isinstance(await store.set_state(app, [55, 66], State.FROZEN, NOW, create=False), list)
        accounts = [
            Account("new", "r", state=State.FROZEN),
            Account("plain", "r"),
            Account("55", "r", state=State.NORMAL),
            Account("66", "r"),
            Account("77", "r", state=State.FROZEN),
        ]
        made = await store.enroll(app, accounts, NOW)
        assert isinstance(made, list)
        states = [State.FROZEN, State.NORMAL, State.NORMAL, State.FROZEN, State.FROZEN]
        assert [user.state for user in made] == states
        found = await store.find_users(app, [user.xid for user in made])
        assert found == {user.xid: user for user in made}

    async def test_who_was_only_named_is_taken_by_nobody_without_a_claim(self, stage: Stage) -> None:
        """Whoever has tokens of theirs would find another in their place. Who is new is made all the same."""
        await stage.store.register(stage.app.id, "ann", "", NOW)
        await stage.user(55)
        for name in ("ann", "55"):
            accounts = [Account("new", "r"), Account(name, "r")]
            assert await stage.store.enroll(stage.app.id, accounts, NOW, claim=False) == name
        made = await stage.store.enroll(stage.app.id, [Account("new", "r")], NOW, claim=False)
        assert isinstance(made, list)

    async def test_the_reserved_user_is_taken(self, stage: Stage) -> None:
        """By its name and by its number: whoever had it would speak for the app."""
        for name in ("system", str(stage.app.system_xid)):
            assert await stage.store.enroll(stage.app.id, [Account(name, "r")], NOW) == name
        system = await stage.store.user_named(stage.app.id, "system")
        assert system is not None
        assert system.password == ""

    async def test_the_id_of_a_deleted_user_stays_taken(self, stage: Stage) -> None:
        """A name that is none is free again."""
        made = await stage.store.enroll(stage.app.id, [Account("66", "r"), Account("eve", "r")], NOW)
        assert isinstance(made, list)
        for user in made:
            await erase(stage, user)
        assert await stage.store.enroll(stage.app.id, [Account("66", "s")], NOW) == "66"
        assert isinstance(await stage.store.enroll(stage.app.id, [Account("eve", "r")], NOW), list)

    async def test_names_of_digits_that_are_names(self, stage: Stage) -> None:
        """Literally meant they are nobody's id, and taken like any other."""
        await stage.user(55)
        await stage.store.register(stage.app.id, "66", "", NOW)
        accounts = [Account("55", "r1"), Account("66", "r2"), Account("ann", "r3")]
        made = await stage.store.enroll(stage.app.id, accounts, NOW, literal=True)
        assert isinstance(made, list)
        assert [(user.name, user.password) for user in made] == [("55", "r1"), ("66", "r2"), ("ann", "r3")]
        assert {user.xid for user in made}.isdisjoint({55, 66})
        assert await stage.store.user_named(stage.app.id, "55") == made[0]
        assert await stage.store.enroll(stage.app.id, [Account("55", "s")], NOW, literal=True) == "55"
        assert isinstance(await stage.store.enroll(stage.app.id, [Account("55", "s")], NOW), list)

    async def test_users_are_listed_after_one(self, stage: Stage) -> None:
        """By rising id, without the reserved user, groups and the deleted."""
        await stage.users(30, 10, 20, 40)
        await stage.group(10)
        await erase(stage, await stage.user(30))
        listed = await stage.store.users_after(stage.app.id, 10, 9)
        assert [user.xid for user in listed] == [20, 40]
        assert [user.xid for user in await stage.store.users_after(stage.app.id, 0, 2)] == [10, 20]


class TestContacts:
    """Address books."""

    async def test_a_contact_stands_both_ways(self, stage: Stage) -> None:
        """Adding again changes nothing; dropping from either side ends both."""
        ann, bob, cid = [await stage.user(xid) for xid in (11, 12, 13)]
        for _ in range(2):
            assert await stage.store.add_contact(ann.id, bob.id, NOW)
        assert await stage.store.add_contact(cid.id, ann.id, NOW)
        assert await stage.store.contacts(ann.id, 0, 9) == [12, 13]
        assert await stage.store.contacts(ann.id, 12, 9) == [13]
        assert await stage.store.contacts(ann.id, 0, 1) == [12]
        assert await stage.store.contacts(bob.id, 0, 9) == [11]
        await stage.store.drop_contact(bob.id, ann.id)
        await stage.store.drop_contact(bob.id, ann.id)
        assert await stage.store.contacts(ann.id, 0, 9) == [13]
        assert await stage.store.contacts(bob.id, 0, 9) == []

    async def test_a_full_address_book_takes_no_more(self, stage: Stage) -> None:
        """Whichever of the two is full; who is in it already stays."""
        await stage.restart(Limits(contacts_max=1))
        ann, bob, cid = [await stage.user(xid) for xid in (11, 12, 13)]
        assert await stage.store.add_contact(ann.id, bob.id, NOW)
        assert not await stage.store.add_contact(cid.id, ann.id, NOW)
        assert not await stage.store.add_contact(ann.id, cid.id, NOW)
        assert await stage.store.add_contact(ann.id, bob.id, NOW)

    async def test_the_deleted_are_in_none(self, stage: Stage) -> None:
        """Nor do they come into one."""
        ann, bob = await stage.user(11), await stage.user(12)
        await stage.store.add_contact(ann.id, bob.id, NOW)
        await erase(stage, bob)
        assert await stage.store.contacts(ann.id, 0, 9) == []
        assert await stage.store.add_contact(ann.id, bob.id, NOW)
        assert await stage.store.contacts(bob.id, 0, 9) == []


class TestMetadata:
    """What apps keep with a user."""

    async def test_members_are_changed_one_by_one(self, stage: Stage) -> None:
        """The others stay; None takes all away."""
        user = await stage.user(11)
        assert await stage.store.metadata(user.id) == "{}"
        assert await stage.store.set_metadata(user.id, {"a": "1", "b": "2"})
        assert await stage.store.set_metadata(user.id, {"b": "3"})
        assert msgspec.json.decode(await stage.store.metadata(user.id)) == {"a": "1", "b": "3"}
        assert await stage.store.set_metadata(user.id, None)
        assert await stage.store.metadata(user.id) == "{}"

    async def test_too_much_changes_nothing(self, stage: Stage) -> None:
        """What was there stays as it was."""
        await stage.restart(Limits(metadata_bytes_max=60))
        user = await stage.user(11)
        assert await stage.store.set_metadata(user.id, {"a": "1"})
        assert not await stage.store.set_metadata(user.id, {"b": "x" * 60})
        assert await stage.store.metadata(user.id) == '{"a":"1"}'

    async def test_the_deleted_have_none(self, stage: Stage) -> None:
        """Theirs goes with the account, and nothing comes after it."""
        user = await stage.user(11)
        await stage.store.set_metadata(user.id, {"a": "1"})
        await erase(stage, user)
        assert (await stage.user(11)).state is State.DELETED
        await stage.store.set_metadata(user.id, {"a": "2"})
        assert await stage.store.metadata(user.id) == "{}"
