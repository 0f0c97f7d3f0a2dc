"""What the writer remembers of users and groups: it is what the tables say, whatever else is written."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from gateway.domain.drafts import Appended, Refused
from gateway.domain.errors import Kind
from gateway.domain.model import State
from tests.store.faulty import SURROGATE, lanes
from tests.store.stage import LIMITS, NOW, Stage

Write = Callable[[Stage, int], Awaitable[object]]


@pytest.fixture
def engine() -> str:
    return "sqlite"


async def held(stage: Stage) -> set[int]:
    """Who is remembered, each of whom is as the tables have it."""

    def look(conn: sqlite3.Connection) -> set[int]:
        parties = lanes(stage)._book._parties.values()
        for party in parties:
            row = conn.execute(
                "SELECT app, xid, kind, head, facts_version, last, state FROM timeline WHERE id = ?",
                (party.id,),
            ).fetchone()
            assert row == (
                party.app, party.xid, party.kind, party.head, party.version, party.last, party.state
            )  # fmt: skip
        return {party.xid for party in parties}

    return await lanes(stage)._writer.run(look)


async def test_who_was_named_is_not_read_again(stage: Stage) -> None:
    """The next batch asks the tables for nobody it knows, and numbers on from where they are."""
    asked: list[str] = []
    await stage.send(1, 2)
    await lanes(stage)._writer.run(lambda conn: conn.set_trace_callback(asked.append))
    assert (await stage.send(2, 1)).received == [(await stage.id(1), 2)]
    assert not [sql for sql in asked if "facts_version" in sql]
    assert await held(stage) == {1, 2}


async def _ack(stage: Stage, _: int) -> object:
    return await stage.ack(2, 2, 1)


async def _keep_going(stage: Stage, _: int) -> object:
    await stage.store.probe()
    await stage.read(2, 1)
    return await stage.store.reserve(5)


@pytest.mark.parametrize("write", [_ack, _keep_going])
async def test_what_moves_no_timeline_has_nobody_forgotten(stage: Stage, write: Write) -> None:
    """Acks, reads and reserved ids come between any two batches."""
    await stage.send(1, 2)
    await write(stage, 0)
    assert await held(stage) == {1, 2}


async def _freeze(stage: Stage, _: int) -> object:
    return await stage.store.set_state(stage.app.id, [1], State.FROZEN, NOW, create=True)


async def _join(stage: Stage, group: int) -> object:
    return await stage.join(group, 2)


async def _recall(stage: Stage, _: int) -> object:
    return await stage.recall(1)


async def _delete(stage: Stage, _: int) -> object:
    return await stage.delete(2, 1)


async def _broadcast(stage: Stage, _: int) -> object:
    return await stage.broadcast()


async def _mixed(stage: Stage, group: int) -> object:
    return await stage.store.append(
        [stage.text(1, 2), await stage.deletion(2, 1), stage.text(2, 1), await stage.group_text(1, group)]
    )


@pytest.mark.parametrize("write", [_freeze, _join, _recall, _delete, _broadcast, _mixed])
async def test_whatever_is_written_it_is_as_the_tables_say(stage: Stage, write: Write) -> None:
    """What is remembered afterwards is true, and who sends next is judged and numbered by the truth."""
    group = await stage.group(1)
    await stage.send(1, 2)
    await stage.say(1, group)
    await write(stage, group)
    await held(stage)
    answer = await stage.append(stage.text(1, 2))
    assert isinstance(answer, Refused if write is _freeze else Appended)
    await held(stage)
    assert stage.check() == []


async def test_what_a_lost_batch_has_moved_is_forgotten(stage: Stage) -> None:
    """Its drafts were numbered before it was undone."""
    await stage.send(1, 2)
    answers = await stage.store.append(
        [stage.text(1, 2), stage.text(1, 2, content=SURROGATE), stage.text(2, 1)]
    )
    assert [isinstance(answer, Appended) for answer in answers] == [True, False, True]
    assert isinstance(answers[1], Refused)
    assert answers[1].kind is Kind.BAD_PARAMETER
    assert await held(stage) == {1, 2}


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[Stage]:
    """A store that remembers two users."""
    async with Stage(
        "sqlite", tmp_path / "data", msgspec.structs.replace(LIMITS, parties_held_max=2)
    ) as made:
        yield made


async def test_it_is_bounded(narrow: Stage) -> None:
    """Who has been in it longest goes, and is read again when named again."""
    await narrow.send(1, 2)
    await narrow.send(3, 4)
    assert await held(narrow) == {3, 4}
    assert (await narrow.send(3, 1)).received == [(await narrow.id(1), 2)]
    assert len(await held(narrow)) == 2
