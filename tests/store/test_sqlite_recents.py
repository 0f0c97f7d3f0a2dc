"""Recent lists that are remembered on SQLite: what is told is what the tables say, whatever happens to them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.store.base import Recent
from gateway.store.sqlite import conversations
from gateway.store.sqlite.recents import OUTDATED_MAX, Found, Recents, Row
from gateway.store.sqlite.touched import Touched
from tests.sqlite import inside
from tests.store.stage import Stage
from tests.store.test_mix import LIMITS, Mix


@pytest.fixture
def engine() -> str:
    return "sqlite"


async def fresh(stage: Stage, xid: int) -> list[Recent]:
    """The list as SQLite has it now."""
    store, user_id = inside(stage.store), await stage.id(xid)
    held, limits = store._newest.held(user_id), store._limits
    return (await store._look(lambda conn: conversations.recent(conn, user_id, 0, held, limits))).listed


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What of lists is read from the tables from now on: all of one, or some conversations of it."""
    read: list[str] = []
    for name in ("recent", "outdated"):
        real = getattr(conversations, name)

        def noted(*asked: Any, real: Any = real, name: str = name) -> Any:
            read.append(name)
            return real(*asked)

        monkeypatch.setattr(conversations, name, noted)
    return read


class Lasting(Mix):
    """Steps upon a store that stays open, for what it remembers goes with it."""

    async def restart(self) -> None:
        pass


# -- whatever happens -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "members"), [(0, {}), (1, {"recent_max": 3}), (2, {"cached_recents_max": 12})]
)
async def test_what_is_remembered_is_what_would_be_read(
    tmp_path: Path, seed: int, members: dict[str, int]
) -> None:
    """After every step of any kind, and where lists are read while it is done."""
    limits = msgspec.structs.replace(LIMITS, **members)
    async with Stage("sqlite", tmp_path / "data", limits) as stage:
        mix = Lasting(stage, seed)
        await mix.begin()
        for number in range(200):
            users = [*mix.users, stage.app.system_xid]
            asks = [stage.recent(xid) for xid in users] if number % 2 else []
            await asyncio.gather(mix.step(), *asks)
            for xid in users:
                assert await stage.recent(xid) == await fresh(stage, xid)


# -- what is read, and what is not ----------------------------------------------------------------------


async def test_a_list_is_read_once(stage: Stage, reads: list[str]) -> None:
    """As long as nothing of it changes, whatever happens to others."""
    await stage.send(1, 9)
    first = await stage.recent(9)
    await stage.send(1, 8)
    await stage.read(8, 1)
    assert await stage.recent(9) == first
    assert reads == ["recent"]


async def test_one_conversation_is_read_anew_by_itself(stage: Stage, reads: list[str]) -> None:
    """Of its reader's list, of its sender's, of every member's of a group, however silent it was before."""
    group = await stage.group(1, 8, 9)
    for sender in (1, 2, 3):
        await stage.send(sender, 9)
    for xid in (1, 8, 9):
        await stage.recent(xid)
    reads.clear()
    await stage.say(1, group)
    for xid, expected in ((1, [group, 9]), (8, [group]), (9, [group, 3, 2, 1])):
        assert [one.conversation_xid for one in await stage.recent(xid)] == expected
    await stage.send(2, 9)
    assert [one.conversation_xid for one in await stage.recent(9)] == [2, group, 3, 1]
    assert reads == ["outdated"] * 4


async def test_what_went_to_some_of_a_group_is_of_their_lists_and_of_its_senders(
    stage: Stage, reads: list[str]
) -> None:
    """Nobody else's is read anew."""
    group = await stage.group(1, 8, 9)
    await stage.say(1, group)
    for xid in (1, 8, 9):
        await stage.send(2, xid)
        await stage.recent(xid)
    reads.clear()
    await stage.whisper(1, group, 9)
    listed = [[one.conversation_xid for one in await stage.recent(xid)] for xid in (1, 8, 9)]
    assert listed == [[group, 2], [2, group], [group, 2]]
    assert reads == ["outdated"] * 2


async def test_a_change_that_is_not_told_is_any_change(stage: Stage, reads: list[str]) -> None:
    """A transaction that does not say what it touches has all lists read anew."""
    group = await stage.group(1, 9)
    await stage.say(1, group)
    assert [one.unread for one in await stage.recent(9)] == [1]
    await stage.alter("UPDATE stay SET read = (SELECT last FROM timeline WHERE id = grp)")
    assert [one.unread for one in await stage.recent(9)] == [0]
    assert reads == ["recent", "recent"]


async def test_a_failure_of_the_writer_is_any_change(stage: Stage, reads: list[str]) -> None:
    """What did not seem to be committed may turn out to be."""
    await stage.send(1, 9)
    await stage.recent(9)
    inside(stage.store)._doubtful = True
    await stage.send(1, 8)
    await stage.recent(9)
    assert reads == ["recent", "recent"]


async def test_a_list_of_which_much_has_changed_is_read_as_a_whole(stage: Stage, reads: list[str]) -> None:
    """And nothing more is noted of it until somebody asks."""
    await stage.send(1, 9)
    await stage.recent(9)
    for sender in range(10, 11 + OUTDATED_MAX):
        await stage.send(sender, 9)
    assert len(await stage.recent(9)) == 2 + OUTDATED_MAX
    assert reads == ["recent", "recent"]


# -- at the same moment ---------------------------------------------------------------------------------

ROWS_MAX, RECENT_MAX = 100, 4


def row(opposite_id: int, last: int) -> Row:
    return Row(opposite_id * 10, 1, last, opposite_id)


def found(*rows: Row, groups: tuple[int, ...] = ()) -> Found:
    return Found(list(rows), list(groups))


@pytest.fixture
def recents() -> Recents:
    """User 1 has conversations with 2 and 3, and is in group 7, where nothing was said."""
    made = Recents(ROWS_MAX, RECENT_MAX)
    with made.looking(1) as look:
        made.settle(look, found(row(2, 22), row(3, 21), groups=(7,)))
    return made


def commit(recents: Recents, touched: Touched) -> None:
    with recents.committing(touched):
        pass


OF_ANOTHER = Touched([(2, 1)])
CHANGES = [Touched([(1, 5)]), Touched(everything=True)]


@pytest.mark.parametrize("touched", CHANGES)
def test_what_was_read_while_it_changed_is_not_remembered(touched: Touched) -> None:
    """It is told: who asked before the change may hear of what was before it."""
    recents = Recents(ROWS_MAX, RECENT_MAX)
    with recents.looking(1) as look:
        commit(recents, touched)
        assert recents.settle(look, found(row(2, 22))) == [row(2, 22)]
    assert recents.known(1) is None


@pytest.mark.parametrize("touched", CHANGES)
def test_what_was_read_while_a_change_commits_is_not_remembered(touched: Touched) -> None:
    """Whether it was read before that or after it, nobody can say."""
    recents = Recents(ROWS_MAX, RECENT_MAX)
    with recents.committing(touched):
        with recents.looking(1) as look:
            recents.settle(look, found(row(2, 22)))
        assert recents.known(1) is None


def test_a_change_of_a_silent_group_is_one_of_the_list() -> None:
    """It may be listed from then on."""
    recents = Recents(ROWS_MAX, RECENT_MAX)
    said = Touched()
    said.messages.append((30, 7, 0, 5))
    with recents.looking(1) as look:
        commit(recents, said)
        recents.settle(look, found(groups=(7,)))
    assert recents.known(1) is None


def test_a_group_that_was_left_is_of_the_list_no_more(recents: Recents) -> None:
    """What is said there has nothing read anew."""
    commit(recents, Touched([(1, 7)]))
    with recents.looking(1) as look:
        recents.settle(look, found())
    said = Touched()
    said.messages.append((30, 7, 0, 5))
    commit(recents, said)
    assert recents.known(1) == [row(2, 22), row(3, 21)]


def test_changes_of_others_are_none_of_the_list(recents: Recents) -> None:
    """Before, while and after it is read."""
    with recents.looking(1, whole=True) as look:
        commit(recents, OF_ANOTHER)
        recents.settle(look, found(row(2, 22)))
    commit(recents, OF_ANOTHER)
    assert recents.known(1) == [row(2, 22)]


def test_a_part_that_goes_with_another_state_of_the_rest_is_not_taken(recents: Recents) -> None:
    """All is to be read then, as it was at one moment."""
    commit(recents, Touched([(1, 2)]))
    with recents.looking(1) as look:
        assert look.only == (2,)
        commit(recents, Touched([(1, 3)]))
        assert recents.settle(look, found(row(2, 30))) is None
    with recents.looking(1, whole=True) as look:
        assert look.only is None


def test_a_part_of_a_list_that_was_read_as_a_whole_meanwhile_is_not_taken(recents: Recents) -> None:
    """It may be older than that."""
    commit(recents, Touched([(1, 2)]))
    with recents.looking(1) as part:
        with recents.looking(1, whole=True) as whole:
            recents.settle(whole, found(row(2, 30), row(3, 21)))
        assert recents.settle(part, found(row(2, 30))) is None
    assert recents.known(1) == [row(2, 30), row(3, 21)]


def test_what_comes_after_the_end_of_a_list_is_not_made_up(recents: Recents) -> None:
    """A conversation that leaves a list that was cut makes room for one that is not known."""
    with recents.looking(1, whole=True) as look:
        recents.settle(look, found(*(row(one, 30 - one) for one in range(2, 2 + RECENT_MAX))))
    commit(recents, Touched([(1, 3)]))
    with recents.looking(1) as look:
        assert recents.settle(look, found()) is None
    assert recents.known(1) is None


def test_changes_that_nobody_waits_for_are_not_noted(recents: Recents) -> None:
    """What is noted while something is read goes when nothing is read any more."""
    with recents.looking(1, whole=True):
        commit(recents, OF_ANOTHER)
        assert recents._changed
    assert not recents._changed
    commit(recents, OF_ANOTHER)
    assert not recents._changed


def test_who_asked_longest_ago_is_forgotten_first() -> None:
    """Lists count by their rows and by their groups; nothing is left of one that goes."""
    recents = Recents(10, RECENT_MAX)
    for user_id in (1, 2, 3):
        with recents.looking(user_id) as look:
            recents.settle(look, found(row(5, 20), groups=(7, user_id)))
        recents.known(1)
    assert [bool(recents.known(user_id)) for user_id in (1, 2, 3)] == [True, False, True]
    assert len(recents) == 8
    commit(recents, Touched(everything=True))
    assert len(recents) == 0
    assert not recents._watching
