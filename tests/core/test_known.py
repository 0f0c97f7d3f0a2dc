"""What ids name: found in the store once, and remembered only as long as that is sure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.model import Scope
from gateway.store.sqlite import SqliteStore
from tests.core.stage import Stage

ALICE, BOB = 118, 119


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids that the store is asked for."""
    ids: list[int] = []
    party: Callable[..., Any] = SqliteStore.party

    async def listen(store: SqliteStore, app: int, xid: int) -> Any:
        ids.append(xid)
        return await party(store, app, xid)

    monkeypatch.setattr(SqliteStore, "party", listen)
    return ids


async def test_the_store_is_asked_once(stage: Stage, asked: list[int]) -> None:
    """What an id names it names for ever."""
    known, app = stage.directory.known, (await stage.directory.known.tenant("demo")).app
    user = await stage.directory.find(app, ALICE)
    first = await known.party(app, ALICE)
    assert first is not None
    assert (first.id, first.xid, first.scope) == (user.id, ALICE, Scope.USER)
    assert await known.party(app, ALICE) is first
    assert asked == [ALICE]


async def test_nobody_is_not_remembered(stage: Stage) -> None:
    """An id that names nobody may name somebody a moment later."""
    known, app = stage.directory.known, (await stage.directory.known.tenant("demo")).app
    assert await known.party(app, BOB) is None
    user = await stage.directory.find(app, BOB)
    found = await known.party(app, BOB)
    assert found is not None
    assert found.id == user.id


async def test_another_store_is_asked_anew(stage: Stage, asked: list[int]) -> None:
    """When everything is forgotten this is, too."""
    known, app = stage.directory.known, (await stage.directory.known.tenant("demo")).app
    await stage.directory.find(app, ALICE)
    await known.party(app, ALICE)
    known.forget_all()
    await known.party(app, ALICE)
    assert asked == [ALICE, ALICE]


async def test_what_was_overtaken_is_not_remembered(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that was under way when everything was forgotten may be of the store before."""
    known, app = stage.directory.known, (await stage.directory.known.tenant("demo")).app
    await stage.directory.find(app, ALICE)
    party: Callable[..., Any] = SqliteStore.party
    asked = []

    async def overtaken(store: SqliteStore, app_id: int, xid: int) -> Any:
        asked.append(xid)
        found = await party(store, app_id, xid)
        known.forget_all()
        return found

    monkeypatch.setattr(SqliteStore, "party", overtaken)
    await known.party(app, ALICE)
    await known.party(app, ALICE)
    assert asked == [ALICE, ALICE]
