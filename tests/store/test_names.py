"""Users by their names, many at a time: found, or made in one transaction, the same on every engine."""

from __future__ import annotations

import asyncio

from gateway.domain.model import GIVEN_XID_FIRST
from tests.store.stage import NOW, Stage

FIRST = GIVEN_XID_FIRST + 1
"""The first id that the server gives after that of `system`."""


async def test_they_are_made_once(stage: Stage) -> None:
    """With ids of the server's, in the order named; whoever is there is found."""
    ann = await stage.store.register(stage.app.id, "ann", "record", NOW)
    assert ann is not None
    made = await stage.store.ensure_named(stage.app.id, ["bob", "ann", "cid", "bob"], NOW)
    assert {name: (user.name, user.xid) for name, user in made.items()} == {
        "ann": ("ann", FIRST),
        "bob": ("bob", FIRST + 1),
        "cid": ("cid", FIRST + 2),
    }
    assert made["ann"].password == "record"
    assert made["bob"].password == ""
    assert await stage.store.ensure_named(stage.app.id, ["cid", "bob", "ann"], NOW) == made


async def test_taken_ids_are_passed_over(stage: Stage) -> None:
    """Wherever they lie among those that are wanted, and however many."""
    await stage.users(FIRST, FIRST + 2, FIRST + 3, FIRST + 4)
    made = await stage.store.ensure_named(stage.app.id, ["ann", "bob", "cid"], NOW)
    assert [made[name].xid for name in ("ann", "bob", "cid")] == [FIRST + 1, FIRST + 5, FIRST + 6]
    other = await stage.store.register(stage.app.id, "dan", "", NOW)
    assert other is not None
    assert other.xid == FIRST + 7


async def test_they_are_found_without_being_made(stage: Stage) -> None:
    """Nobody is called what nobody was given."""
    made = await stage.store.ensure_named(stage.app.id, ["ann"], NOW)
    assert await stage.store.users_named(stage.app.id, ["bob", "ann"]) == made
    assert await stage.store.user_named(stage.app.id, "bob") is None


async def test_apps_have_names_of_their_own(stage: Stage) -> None:
    """The same name is another user elsewhere."""
    other = await stage.store.create_app("other", "k", b"y" * 64, registered=False, at=NOW)
    assert other is not None
    made = await stage.store.ensure_named(stage.app.id, ["ann"], NOW)
    assert await stage.store.users_named(other.id, ["ann"]) == {}
    assert (await stage.store.ensure_named(other.id, ["ann"], NOW))["ann"].id != made["ann"].id


async def test_many_who_ask_at_once_find_the_same(stage: Stage) -> None:
    """Whoever comes first makes them; 600 are one call."""
    names = [f"user-{number}" for number in range(600)]
    halves = names[:400], names[200:], names
    register = asyncio.create_task(stage.store.register(stage.app.id, "user-300", "", NOW))
    found = await asyncio.gather(*(stage.store.ensure_named(stage.app.id, half, NOW) for half in halves))
    await register
    together = found[2]
    assert (
        len({user.id for user in together.values()}) == len({user.xid for user in together.values()}) == 600
    )
    for half in found[:2]:
        assert all(together[name].id == user.id for name, user in half.items())
    await stage.send(together["user-0"].xid, together["user-599"].xid)
