"""Apps and users on PostgreSQL, made by two nodes at once: the one waits for the other, and finds what it did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.domain.drafts import Refused
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import GIVEN_XID_FIRST, State, User
from gateway.store.base import Store
from gateway.store.postgres import blocks, directory, users
from tests.store.meeting import meets
from tests.store.stage import NOW, Stage, open_store


@pytest.fixture
def engine() -> str:
    return "postgres"


@pytest.fixture
async def other(stage: Stage) -> AsyncIterator[Store]:
    """The same store, as another node has it."""
    opened = await open_store("postgres", stage.folder, Limits(blocks_max=1))
    yield opened
    await opened.close()


async def timelines(stage: Stage) -> int:
    [(count,)] = await stage.ask("SELECT count(*) FROM timeline")
    return int(count)


@pytest.mark.parametrize("kept", [True, False])
async def test_a_user_is_made_by_one(stage: Stage, kept: bool) -> None:
    """The other finds it; or makes it, where nothing came of the first."""
    app = stage.app.id
    first, [second] = await meets(
        stage,
        lambda conn: users.make_users(conn, app, [5], NOW),
        stage.store.ensure_users(app, [5], NOW),
        kept=kept,
    )
    assert isinstance(second, User)
    assert (first[5] == second) is kept
    assert second == await stage.user(5)


async def test_many_nodes_make_many_users(stage: Stage, other: Store) -> None:
    """Whoever asks, and in whatever order: each is the same for all."""
    app = stage.app.id
    orders = [[1 + (n + k) % 5 for k in range(3)] for n in range(20)]
    asked = [store.ensure_users(app, xids, NOW) for xids in orders for store in (stage.store, other)]
    found = await asyncio.gather(*asked)
    assert len({user.id for told in found for user in told if isinstance(user, User)}) == 5


@pytest.mark.parametrize("kept", [True, False])
async def test_a_name_is_given_once(stage: Stage, kept: bool) -> None:
    """Who comes second gets nothing and leaves nothing behind."""
    app = stage.app.id
    _, second = await meets(
        stage,
        lambda conn: directory.register(conn, app, "alice", "", NOW),
        stage.store.register(app, "alice", "record", NOW),
        kept=kept,
    )
    found = await stage.store.user_named(app, "alice")
    assert found is not None
    assert found.password == ("" if kept else "record")
    assert second == (None if kept else found)
    assert await timelines(stage) == 2
    later = await stage.store.register(app, "bob", "", NOW)
    assert later is not None
    assert later.xid == found.xid + 1


async def test_an_apps_name_is_given_once(stage: Stage) -> None:
    """Who comes second gets nothing and leaves nothing behind."""
    _, second = await meets(
        stage,
        lambda conn: directory.create_app(conn, "new", ("k", b"1"), registered=False, at=NOW),
        stage.store.create_app("new", "k", b"2", registered=True, at=NOW),
    )
    assert second is None
    found = await stage.store.app("new")
    assert found is not None
    assert found.keys == {"k": b"1"}
    assert await timelines(stage) == 2


async def test_an_id_that_is_being_taken_is_not_given(stage: Stage) -> None:
    """Somebody names it at this very moment."""
    app, next_xid = stage.app.id, GIVEN_XID_FIRST + 1
    _, given = await meets(
        stage,
        lambda conn: users.make_users(conn, app, [next_xid], NOW),
        stage.store.register(app, "alice", "", NOW),
    )
    assert given is not None
    assert given.xid == next_xid + 1


async def test_given_ids_skip_what_is_taken(stage: Stage) -> None:
    """In one step, however many lie one after the other."""
    for xid in (1, 2, 3, 5):
        await stage.user(GIVEN_XID_FIRST + xid)
    given = [await stage.store.register(stage.app.id, name, "", NOW) for name in "abc"]
    assert [user and user.xid - GIVEN_XID_FIRST for user in given] == [4, 6, 7]


async def test_a_refused_change_of_states_makes_nobody(stage: Stage) -> None:
    """Not even those who could have been made."""
    await stage.user(11)
    await stage.alter("UPDATE timeline SET state = 2 WHERE xid = 11")
    answer = await stage.store.set_state(stage.app.id, [10, 11, 12], State.FROZEN, NOW, create=True)
    assert answer == Refused(Kind.USER_UNKNOWN, "there is no user 11")
    assert await timelines(stage) == 2


async def test_states_are_changed_by_several_at_once(stage: Stage, other: Store) -> None:
    """Whatever order they name users in, each gets all of them."""
    app, xids = stage.app.id, list(range(1, 40))
    asked = [
        store.set_state(app, order, State.FROZEN, NOW, create=True)
        for order in (xids, xids[::-1])
        for store in (stage.store, other)
    ]
    for answer in await asyncio.gather(*asked):
        assert not isinstance(answer, Refused)
        assert sorted(xid for _, xid in answer) == xids
    assert [user.state for user in await stage.store.users(app, 0, 100)] == [State.FROZEN] * len(xids)


async def test_who_is_deleted_meanwhile_is_not_changed(stage: Stage) -> None:
    """Neither the state nor the password nor the profile: nobody is nobody from the commit on."""
    user = await stage.user(11)
    delete = f"UPDATE timeline SET state = 2 WHERE id = {user.id}"
    store, app = stage.store, stage.app.id
    for change, answer in (
        (
            store.set_state(app, [11], State.FROZEN, NOW, create=True),
            Refused(Kind.USER_UNKNOWN, "there is no user 11"),
        ),
        (store.set_password(user.id, None, "new", NOW), None),
        (store.set_profile(user.id, {"nickname": "new"}), None),
    ):
        await stage.alter("UPDATE timeline SET state = 0")
        assert (await meets(stage, lambda conn: conn.execute(delete), change))[1] == answer
    assert await stage.ask('SELECT password, nickname FROM "user" WHERE name IS NULL') == [("", "")]


async def test_no_more_are_blocked_than_may_be(stage: Stage, other: Store) -> None:
    """By two at once, of whom each would fit alone."""
    ids = [(await stage.user(xid)).id for xid in (1, 2, 3)]
    first, second = await meets(
        stage,
        lambda conn: blocks.block(conn, ids[0], ids[1], NOW, 1),
        other.block(ids[0], ids[2], NOW),
    )
    assert (first, second) == (True, False)
    assert await other.block(ids[0], ids[1], NOW)


async def test_a_record_written_twice_is_written_once(stage: Stage) -> None:
    """A connection was lost after the commit: what is tried again finds its own record, and says so."""
    user = await stage.user(11)
    expected = user.password
    for _ in range(2):
        changed = await stage.store._write(  # type: ignore[attr-defined]
            lambda conn: users.set_password(conn, user.id, expected, "$record$", NOW)
        )
        assert changed is not None
    assert await stage.store.set_password(user.id, expected, "$other$", NOW) is None
