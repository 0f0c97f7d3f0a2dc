"""Users by what a dialect calls them: a name, or the digits of an id."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.bus.base import Forget
from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX, App, State, User
from gateway.store.sqlite import SqliteStore
from tests.core.stage import Stage, app_of, group_of, open_stage


async def named(stage: Stage, *names: str, make: bool = True, app: App | None = None) -> list[User | None]:
    return await stage.directory.named(app or await app_of(stage), names, make=make)


async def one(stage: Stage, name: str, *, make: bool = True) -> User:
    [user] = await named(stage, name, make=make)
    assert user is not None
    return user


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the store is asked about users."""
    calls: list[str] = []

    def counting(name: str) -> Any:
        original = getattr(SqliteStore, name)

        async def counted(*given: Any, **told: Any) -> Any:
            calls.append(name)
            return await original(*given, **told)

        return counted

    for name in ("users_named", "ensure_named", "find_users", "ensure_users"):
        monkeypatch.setattr(SqliteStore, name, counting(name))
    return calls


async def test_in_the_order_named(stage: Stage) -> None:
    """Whoever is not there is made in an open app; a name twice is one user."""
    ann, number, again = await named(stage, "ann", "4711", "ann")
    assert ann is not None
    assert number is not None
    assert (ann.name, number.xid, number.name) == ("ann", 4711, "")
    assert again == ann


async def test_digits_are_an_id(stage: Stage) -> None:
    """Whoever made the user; with a leading zero, or beyond what an id can be, they are a name like any other."""
    assert (await one(stage, "118")).id == (await stage.user(118)).user.id
    assert (await one(stage, str(SAFE_MAX))).xid == SAFE_MAX
    for name in ("0118", "0", str(SAFE_MAX + 1), "9" * 20):
        user = await one(stage, name)
        assert user.name == name
        assert str(user.xid) != name


async def test_nobody_is_made_where_nobody_shall_be(stage: Stage) -> None:
    """Not without `make`, and not where users are registered."""
    closed = await stage.app("closed", registered=True)
    for app, make in ((await app_of(stage), False), (closed, True), (closed, False)):
        assert await named(stage, "ann", "118", app=app, make=make) == [None, None]
        assert await stage.store.users_named(app.id, ["ann"]) == {}
        assert await stage.store.find_users(app.id, [118]) == {}


async def test_who_is_nobody(stage: Stage) -> None:
    """`system` is found neither by its name nor by its id; a group is no user; some names cannot be."""
    app = await app_of(stage)
    group = await group_of(stage, 118)
    names = ["system", str(app.system_xid), str(group), "", "a b", "ä", "a/b", "x" * 65]
    assert await named(stage, *names) == [None] * len(names)
    assert await named(stage, "a-b_c.D", "x" * 64) != [None, None]


async def test_they_are_remembered(stage: Stage, asked: list[str]) -> None:
    """The store is asked for those only that are not known."""
    first = await named(stage, "ann", "118")
    asked.clear()
    assert await named(stage, "118", "ann") == first[::-1]
    assert asked == []
    await named(stage, "ann", "bob", make=False)
    assert asked == ["users_named"]


async def test_a_note_is_heeded(stage: Stage, asked: list[str]) -> None:
    """Whoever has changed is read anew: frozen ones are found as such, deleted ones not."""
    admin = await stage.admin()
    ann = await one(stage, "ann")
    await stage.core.users.freeze(admin, [ann.xid])
    assert (await one(stage, "ann")).state is State.FROZEN
    await stage.core.erasing.erase(admin.app, ann)
    assert await named(stage, "ann", str(ann.xid), make=False) == [None, None]
    asked.clear()
    stage.directory.known.forget_all()
    await one(stage, "bob")
    assert asked == ["ensure_named", "users_named"]


async def test_a_name_that_has_become_anothers(stage: Stage) -> None:
    """By nothing but a note that names the one who had it."""
    admin = await stage.admin()
    ann = await one(stage, "ann")
    await stage.core.erasing.erase(admin.app, ann)
    # Known again by its id, as who is deleted.
    await stage.store.user(admin.app.id, ann.xid)
    await stage.directory.known.user(admin.app, ann.xid)
    other = await one(stage, "ann")
    assert other.xid != ann.xid
    assert await one(stage, "ann", make=False) == other


async def test_what_changes_while_it_is_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before a freeze was told of is not remembered after it."""
    app = await app_of(stage)
    ann = await one(stage, "ann")
    stage.directory.known.forget_all()
    original = SqliteStore.users_named
    reads = 0

    async def overtaken(*given: Any) -> Any:
        nonlocal reads
        reads += 1
        found = await original(*given)
        if reads == 1:
            await stage.store.set_state(app.id, [ann.xid], State.FROZEN, 1, create=False)
            stage.directory.known.forget(Forget(app_id="demo", app=app.id, xid=ann.xid))
        return found

    monkeypatch.setattr(SqliteStore, "users_named", overtaken)
    assert (await one(stage, "ann", make=False)).state is State.FROZEN
    assert (await one(stage, "ann", make=False)).state is State.FROZEN
    assert reads == 2


async def test_it_is_bounded(tmp_path: Any) -> None:
    """No more names are remembered than the limit says."""
    async with open_stage(tmp_path, Limits(cached_facts_max=3)) as stage:
        await stage.app()
        await named(stage, *(f"user-{number}" for number in range(8)))
        assert len(stage.directory._names._xids) == 3
