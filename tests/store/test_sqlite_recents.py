"""Recent lists that are remembered on SQLite: what is told is what the tables say, whatever happens to them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.store.sqlite import conversations
from gateway.store.sqlite.changing import Changing
from gateway.store.sqlite.recents import OUTDATED_MAX, Found, Recents, Row
from gateway.store.sqlite.touched import Touched
from tests.sqlite import inside
from tests.store.stage import Stage


@pytest.fixture
def engine() -> str:
    return "sqlite"


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
def changing() -> Changing:
    return Changing()


@pytest.fixture
def recents(changing: Changing) -> Recents:
    """User 1 has conversations with 2 and 3, and is in group 7, where nothing was said."""
    made = Recents(changing, ROWS_MAX, RECENT_MAX)
    with made.looking(1) as look:
        made.settle(look, found(row(2, 22), row(3, 21), groups=(7,)))
    return made


def commit(changing: Changing, touched: Touched) -> None:
    with changing.committing(touched):
        pass


OF_ANOTHER = Touched([(2, 1)])
CHANGES = [Touched([(1, 5)]), Touched(everything=True)]


@pytest.mark.parametrize("touched", CHANGES)
def test_what_was_read_while_it_changed_is_not_remembered(changing: Changing, touched: Touched) -> None:
    """It is told: who asked before the change may hear of what was before it."""
    recents = Recents(changing, ROWS_MAX, RECENT_MAX)
    with recents.looking(1) as look:
        commit(changing, touched)
        assert recents.settle(look, found(row(2, 22))) == [row(2, 22)]
    assert recents.known(1) is None


@pytest.mark.parametrize("touched", CHANGES)
def test_what_was_read_while_a_change_commits_is_not_remembered(changing: Changing, touched: Touched) -> None:
    """Whether it was read before that or after it, nobody can say."""
    recents = Recents(changing, ROWS_MAX, RECENT_MAX)
    with changing.committing(touched):
        with recents.looking(1) as look:
            recents.settle(look, found(row(2, 22)))
        assert recents.known(1) is None


def test_a_change_of_a_silent_group_is_one_of_the_list(changing: Changing) -> None:
    """It may be listed from then on."""
    recents = Recents(changing, ROWS_MAX, RECENT_MAX)
    said = Touched()
    said.messages.append((30, 7, 0, 5))
    with recents.looking(1) as look:
        commit(changing, said)
        recents.settle(look, found(groups=(7,)))
    assert recents.known(1) is None


def test_a_group_that_was_left_is_of_the_list_no_more(changing: Changing, recents: Recents) -> None:
    """What is said there has nothing read anew."""
    commit(changing, Touched([(1, 7)]))
    with recents.looking(1) as look:
        recents.settle(look, found())
    said = Touched()
    said.messages.append((30, 7, 0, 5))
    commit(changing, said)
    assert recents.known(1) == [row(2, 22), row(3, 21)]


def test_changes_of_others_are_none_of_the_list(changing: Changing, recents: Recents) -> None:
    """Before, while and after it is read."""
    with recents.looking(1, whole=True) as look:
        commit(changing, OF_ANOTHER)
        recents.settle(look, found(row(2, 22)))
    commit(changing, OF_ANOTHER)
    assert recents.known(1) == [row(2, 22)]


def test_a_part_that_goes_with_another_state_of_the_rest_is_not_taken(
    changing: Changing, recents: Recents
) -> None:
    """All is to be read then, as it was at one moment."""
    commit(changing, Touched([(1, 2)]))
    with recents.looking(1) as look:
        assert look.only == (2,)
        commit(changing, Touched([(1, 3)]))
        assert recents.settle(look, found(row(2, 30))) is None
    with recents.looking(1, whole=True) as look:
        assert look.only is None


def test_a_part_of_a_list_that_was_read_as_a_whole_meanwhile_is_not_taken(
    changing: Changing, recents: Recents
) -> None:
    """It may be older than that."""
    commit(changing, Touched([(1, 2)]))
    with recents.looking(1) as part:
        with recents.looking(1, whole=True) as whole:
            recents.settle(whole, found(row(2, 30), row(3, 21)))
        assert recents.settle(part, found(row(2, 30))) is None
    assert recents.known(1) == [row(2, 30), row(3, 21)]


def test_what_comes_after_the_end_of_a_list_is_not_made_up(changing: Changing, recents: Recents) -> None:
    """A conversation that leaves a list that was cut makes room for one that is not known."""
    with recents.looking(1, whole=True) as look:
        recents.settle(look, found(*(row(one, 30 - one) for one in range(2, 2 + RECENT_MAX))))
    commit(changing, Touched([(1, 3)]))
    with recents.looking(1) as look:
        assert recents.settle(look, found()) is None
    assert recents.known(1) is None


def test_changes_that_nobody_waits_for_are_not_noted(changing: Changing, recents: Recents) -> None:
    """What is noted while something is read goes when nothing is read any more."""
    with recents.looking(1, whole=True):
        commit(changing, OF_ANOTHER)
        assert changing._changed
    assert not changing._changed
    commit(changing, OF_ANOTHER)
    assert not changing._changed


def test_who_asked_longest_ago_is_forgotten_first(changing: Changing) -> None:
    """Lists count by their rows and by their groups; nothing is left of one that goes."""
    recents = Recents(changing, 10, RECENT_MAX)
    for user_id in (1, 2, 3):
        with recents.looking(user_id) as look:
            recents.settle(look, found(row(5, 20), groups=(7, user_id)))
        recents.known(1)
    assert [bool(recents.known(user_id)) for user_id in (1, 2, 3)] == [True, False, True]
    assert len(recents) == 8
    commit(changing, Touched(everything=True))
    assert len(recents) == 0
    assert not recents._watching
