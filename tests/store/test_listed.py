"""Whom chatrooms list as members, and how many they are."""

from __future__ import annotations

from gateway.domain.drafts import Changed
from gateway.domain.model import ROOM
from tests.store.stage import NOW, Stage


async def room(stage: Stage, *xids: int) -> int:
    """Make a chatroom that lists these users; its number in the store."""
    made = await stage.append(stage.creation(10, type=ROOM))
    assert isinstance(made, Changed)
    room_id = await stage.id(made.xid)
    assert await stage.store.list_in(room_id, [(await stage.user(xid)).id for xid in xids], NOW)
    return room_id


async def test_who_is_listed_and_named_too_counts_once(stage: Stage) -> None:
    """Each chatroom by itself, also one that lists nobody; a number that is nobody's counts nothing."""
    await stage.user(14)
    full, empty, other = await room(stage, 11, 12, 13), await room(stage), await room(stage, 11)
    counts = await stage.store.listed_counts({full: [12, 14], empty: [11, 99], other: []})
    assert counts == {full: 4, empty: 1, other: 1}
    assert await stage.store.listed_counts({}) == {}
