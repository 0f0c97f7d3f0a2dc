"""Pages of history that are remembered on SQLite: which are read anew, and when."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.model import Status
from gateway.store.base import History
from gateway.store.sqlite import conversations
from gateway.store.sqlite.changing import CHANGED_MAX, Changing
from gateway.store.sqlite.histories import ITEM_BYTES, Histories
from gateway.store.sqlite.touched import Touched
from tests.store.stage import Stage

PAGE = History([], 0)
PAGES_MAX = 3


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture
def changing() -> Changing:
    return Changing()


@pytest.fixture
def histories(changing: Changing) -> Histories:
    """With room for so many empty pages."""
    return Histories(changing, PAGES_MAX * ITEM_BYTES)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From which message on pages are read from the tables from now on."""
    read: list[int] = []
    for name in ("history", "between"):
        real = getattr(conversations, name)

        def noted(*asked: Any, real: Any = real) -> Any:
            read.append(asked[3])
            return real(*asked)

        monkeypatch.setattr(conversations, name, noted)
    return read


async def test_a_page_is_read_once(stage: Stage, reads: list[int]) -> None:
    """As long as nothing of it changes, whatever its two have to do with others; each page by itself."""
    for _ in range(3):
        await stage.send(1, 2)
    first = await stage.history(1, 2)
    await stage.send(1, 3)
    await stage.send(3, 2)
    await stage.read(2, 3)
    assert await stage.history(1, 2) == first
    assert reads == [0]
    assert len((await stage.history(1, 2, 2)).items) == 2
    assert len((await stage.history(1, 2, 0, 1)).items) == 1
    assert reads == [0, 2, 0]


async def test_both_look_at_what_either_does(stage: Stage, reads: list[int]) -> None:
    """A message, a recall, a READ, a delivery and a deletion change the page of the other one."""
    sent = await stage.send(1, 2)
    other = await stage.send(2, 1)
    assert list((await stage.statuses(1, 2)).values()) == ["UNREAD", "UNREAD"]
    await stage.ack(2, 2, 2)
    assert (await stage.statuses(1, 2))[sent.first_msg_id] == Status.DELIVERED.name
    await stage.read(2, 1)
    assert (await stage.statuses(1, 2))[sent.first_msg_id] == Status.READ.name
    await stage.recall(other.first_msg_id)
    assert await stage.shown(1, 2) == [sent.first_msg_id]
    await stage.delete(1, 2)
    assert await stage.shown(1, 2) == []
    assert reads == [0] * 5


async def test_a_page_of_a_group_is_read_each_time(stage: Stage, reads: list[int]) -> None:
    """How far its members have got is not followed."""
    group = await stage.group(1, 2)
    await stage.say(1, group)
    assert await stage.history(1, group) == await stage.history(1, group)
    assert reads == [0, 0]


def take(changing: Changing, histories: Histories, opposite_id: int, chars: int = 0) -> None:
    with changing.reading() as since:
        histories.settle((1, opposite_id, 0, 9), since, PAGE, chars)


def test_pages_have_room_by_their_size(changing: Changing, histories: Histories) -> None:
    """Texts count; the page that was asked for longest ago goes first, and nothing is left of it."""
    for opposite_id in (2, 3, 4):
        take(changing, histories, opposite_id)
        assert histories.known((1, 2, 0, 9)) == PAGE
    take(changing, histories, 5)
    assert [histories.known((1, one, 0, 9)) for one in (2, 3, 4, 5)] == [PAGE, None, PAGE, PAGE]
    take(changing, histories, 6, PAGES_MAX * ITEM_BYTES)
    assert len(histories._pages) == 0
    assert not histories._between
    assert not histories._of
    assert histories._bytes == 0


def test_many_changes_at_a_time_are_any_change(changing: Changing, histories: Histories) -> None:
    """What is noted of them while something is read has a bound."""
    with changing.reading() as since:
        with changing.committing(Touched(delivered=range(100, 101 + CHANGED_MAX))):
            pass
        assert not changing._changed
        histories.settle((1, 2, 0, 9), since, PAGE, 0)
    assert histories.known((1, 2, 0, 9)) is None
