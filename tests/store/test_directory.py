"""Apps, keys and users; and that apps never see each other."""

from __future__ import annotations

from typing import Any

from gateway.domain.drafts import Appended, Changed, RecallDraft, Refused, Repeated
from gateway.domain.errors import Kind
from gateway.domain.model import GIVEN_XID_FIRST, SYSTEM_NAME, App, Scope, User
from gateway.store.base import Party, Store
from tests.store.stage import NOW, Stage


async def test_a_new_app_has_one_key_and_the_user_system(stage: Stage) -> None:
    """`system` takes the first id of the server's range."""
    app = stage.app
    assert (app.app_id, app.registered, app.signing_kid, app.keys) == ("demo", False, "k1", {"k1": b"x" * 64})
    assert app.recall_window_ms == 24 * 3600 * 1000
    assert app.system_xid == GIVEN_XID_FIRST
    assert await stage.store.user_named(app.id, SYSTEM_NAME) == User(
        id=app.system_id, xid=app.system_xid, name=SYSTEM_NAME, password="", created_at=NOW
    )


async def test_an_apps_name_is_taken_once(stage: Stage) -> None:
    """The second is refused and changes nothing."""
    assert await stage.store.create_app("demo", "k9", b"y", registered=True, at=NOW) is None
    assert await stage.store.app("demo") == stage.app


async def test_apps_are_found_and_listed(stage: Stage) -> None:
    """Oldest first; an unknown name finds nothing."""
    other = await stage.store.create_app("a-later-one", "k", b"y" * 64, registered=True, at=NOW)
    assert other is not None
    assert other.registered
    assert await stage.store.app("a-later-one") == other
    assert await stage.store.app("nobody") is None
    assert await stage.store.apps() == [stage.app, other]


async def test_a_new_key_signs_and_old_ones_stay_good(stage: Stage) -> None:
    """An unknown app has no keys."""
    changed = await stage.store.add_key("demo", "k2", b"z" * 64, NOW)
    assert changed is not None
    assert changed.signing_kid == "k2"
    assert changed.keys == {"k1": b"x" * 64, "k2": b"z" * 64}
    assert await stage.store.app("demo") == changed
    assert await stage.store.add_key("nobody", "k2", b"z" * 64, NOW) is None


async def test_apps_survive_a_restart(stage: Stage) -> None:
    """With keys, and the epoch stays."""
    epoch = stage.store.epoch
    assert epoch
    await stage.restart()
    assert await stage.store.apps() == [stage.app]
    assert stage.store.epoch == epoch


async def test_a_user_is_made_once(store: Store, stage: Stage) -> None:
    """Asked for again it is the same."""
    [made] = await store.ensure_users(stage.app.id, [5], NOW)
    assert isinstance(made, User)
    assert (made.xid, made.name, made.password) == (5, "", "")
    assert await store.ensure_users(stage.app.id, [5], NOW) == [made]
    assert await store.user(stage.app.id, 5) == made


async def test_many_users_are_made_at_once(stage: Stage) -> None:
    """In the order asked, one named twice is the same, one that is there is found, a group's id is told apart."""
    group = await stage.group(1)
    there = await stage.user(1)
    found = await stage.store.ensure_users(stage.app.id, [7, 1, 6, group, 7], NOW)
    seven, one, six, kind, again = found
    assert (one, kind, again) == (there, Kind.BAD_PARAMETER, seven)
    assert [user.xid for user in (seven, six) if isinstance(user, User)] == [7, 6]
    assert seven == await stage.store.user(stage.app.id, 7)
    assert await stage.store.ensure_users(stage.app.id, [], NOW) == []


async def test_a_group_is_no_user(stage: Stage) -> None:
    """An id of the wrong kind is told apart from an unknown one."""
    group = await stage.group(1)
    assert await stage.store.user(stage.app.id, group) is Kind.BAD_PARAMETER
    assert await stage.store.ensure_users(stage.app.id, [group], NOW) == [Kind.BAD_PARAMETER]
    assert await stage.store.user(stage.app.id, 5) is Kind.USER_UNKNOWN


async def test_an_xid_names_one_party(stage: Stage) -> None:
    """A user, a group, or nobody."""
    group = await stage.group(1)
    assert (await stage.party(1)).scope is Scope.USER
    assert await stage.party(group) == Party(await stage.id(group), group, Scope.GROUP)
    assert await stage.store.party(stage.app.id, 999) is None


async def test_a_user_is_not_found_as_a_group(stage: Stage) -> None:
    """Nor is nobody."""
    await stage.user(1)
    assert await stage.store.group(stage.app.id, 1) is None
    assert await stage.store.facts(stage.app.id, [1, 999], 1) == [None, None]


async def test_a_registered_user_has_a_name_a_password_and_a_given_id(stage: Stage) -> None:
    """It is found by both."""
    made = await stage.store.register(stage.app.id, "alice", "record", NOW)
    assert made is not None
    assert (made.xid, made.name, made.password) == (GIVEN_XID_FIRST + 1, "alice", "record")
    assert await stage.store.user_named(stage.app.id, "alice") == made
    assert await stage.store.user(stage.app.id, made.xid) == made


async def test_a_users_name_is_taken_once(stage: Stage) -> None:
    """Also that of `system`; the second is refused, and takes no id."""
    made = await stage.store.register(stage.app.id, "alice", "", NOW)
    assert made is not None
    for name in ("alice", SYSTEM_NAME):
        assert await stage.store.register(stage.app.id, name, "", NOW) is None
    other = await stage.store.register(stage.app.id, "Alice", "", NOW)
    assert other is not None
    assert other.xid == made.xid + 1


async def other_app(stage: Stage) -> Stage:
    """The same open store, seen from a second app."""
    other = Stage(stage.engine, stage.folder)
    other.store = stage.store
    made = await stage.store.create_app("other", "k", b"y" * 64, registered=False, at=NOW)
    assert isinstance(made, App)
    other.app = made
    return other


async def test_the_same_xids_in_two_apps_are_different_users(stage: Stage) -> None:
    """In one batch, too: each message stays in its app."""
    other = await other_app(stage)
    await stage.store.append([stage.text(1, 2, content="ours"), other.text(1, 2, content="theirs")])
    for where, content in ((stage, "ours"), (other, "theirs")):
        for xid in (1, 2):
            told: list[Any] = [entry.message and entry.message.content for entry in await where.entries(xid)]
            assert told == [content]
    assert await stage.id(1) != await other.id(1)


async def test_keys_are_each_apps_own(stage: Stage) -> None:
    """The same key of the same xid in another app is another transaction."""
    other = await other_app(stage)
    first, second, again = await stage.store.append(
        [
            where.text(1, 2, key="7", digest=digest)
            for where, digest in ((stage, "a"), (other, "b"), (stage, "a"))
        ]
    )
    assert isinstance(first, Appended)
    assert isinstance(second, Appended)
    assert again == Repeated(first.first_msg_id, first.first_msg_id)
    found = await other.store.transaction(other.app.id, 1, "7")
    assert found is not None
    assert found.digest == "b"


async def test_groups_are_each_apps_own(stage: Stage) -> None:
    """The same xid is two groups, and neither's members or messages show in the other."""
    other = await other_app(stage)
    ours, theirs = await stage.group(1, 2), await other.group(1, 2)
    assert ours == theirs
    await stage.say(1, ours)
    assert len(await stage.entries(ours)) == 2
    assert len(await other.entries(theirs)) == 1
    await other.kick(theirs, 2)
    assert await stage.store.joined(await stage.id(2)) == [ours]
    assert await other.store.joined(await other.id(2)) == []
    assert [recent.conversation_xid for recent in await other.recent(1)] == []


async def test_names_are_each_apps_own(stage: Stage) -> None:
    """The same name may be registered in both."""
    other = await other_app(stage)
    made = [await where.store.register(where.app.id, "alice", "", NOW) for where in (stage, other)]
    assert all(made)
    assert made[0] != made[1]
    assert await stage.store.user_named(stage.app.id, "alice") == made[0]


async def test_messages_are_each_apps_own(stage: Stage) -> None:
    """Another app neither finds nor recalls them."""
    other = await other_app(stage)
    sent = await stage.send(1, 2)
    assert await other.store.message(other.app.id, sent.first_msg_id) is None
    answer = await other.append(RecallDraft(app=other.app.id, msg_id=sent.first_msg_id, at=NOW))
    assert isinstance(answer, Refused)
    assert isinstance(await stage.recall(sent.first_msg_id), Changed)


async def test_a_party_of_another_app_is_not_found(stage: Stage) -> None:
    """Neither users nor groups, by id or by name."""
    other = await other_app(stage)
    await stage.user(5)
    group = await stage.group(5, 6)
    app = other.app.id
    assert await other.store.user(app, 5) is Kind.USER_UNKNOWN
    assert await other.store.party(app, 5) is None
    assert await other.store.group(app, group) is None
    assert await other.store.facts(app, [group], 5) == [None]
