"""Data that SQLite cannot keep, and tables that are damaged: who is refused, and who is not."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.drafts import Appended, Refused
from gateway.domain.errors import Kind, Problem
from gateway.store.sqlite.batch import append_batch
from tests.store.faulty import APPEND_BATCH, SURROGATE, harm, lanes
from tests.store.stage import MIB, NOW, Stage


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.mark.parametrize(
    "bad",
    [
        {"content": SURROGATE},
        {"ext": f"a{SURROGATE}b"},
        {"key": SURROGATE, "digest": "d"},
        {"at": 2**63},
        {"sender_sn": 2**70},
        {"ctype": 1.5},
    ],
    ids=["content", "ext", "key", "time", "device", "type"],
)
async def test_a_bad_draft_fails_alone(stage: Stage, bad: dict[str, Any]) -> None:
    """What SQLite cannot keep is refused by halving; the neighbours are committed, in their order."""
    batch = [stage.text(1, 2, content=str(index)) for index in range(9)]
    batch[2] = batch[7] = stage.text(1, 2, **bad)
    answers = await stage.store.append(batch)
    kinds = [answer.kind if isinstance(answer, Refused) else type(answer).__name__ for answer in answers]
    assert kinds == [Kind.BAD_PARAMETER if index in {2, 7} else "Appended" for index in range(9)]
    told = [entry.message.content for entry in await stage.entries(2) if entry.message]
    assert told == ["0", "1", "3", "4", "5", "6", "8"]


async def test_a_bad_creation_fails_alone(stage: Stage) -> None:
    """A group whose name cannot be kept, between two messages."""
    answers = await stage.store.append(
        [stage.text(1, 2), stage.creation(1, 5, name=SURROGATE), stage.text(1, 2)]
    )
    assert [type(answer) for answer in answers] == [Appended, Refused, Appended]
    assert await stage.store.party(stage.app.id, 5) is None


async def test_other_calls_refuse_bad_data_as_a_problem(stage: Stage) -> None:
    """Writing and reading; the store itself is fine, and nothing of it is kept."""
    app = stage.app.id
    for asked in (
        stage.store.register(app, SURROGATE, "", NOW),
        stage.store.user_named(app, SURROGATE),
        stage.store.user(app, 2**64),
        stage.store.add_key("demo", "k1", b"the same kid again", NOW),
    ):
        with pytest.raises(Problem) as caught:
            await asked
        assert caught.value.kind is Kind.BAD_PARAMETER
    assert not lanes(stage)._doubtful
    assert await stage.store.app("demo") == stage.app


async def test_a_failure_while_halving_spares_what_is_committed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The committed half is answered as such, the other as failed."""
    calls = 0

    def full_later(*asked: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise sqlite3.OperationalError("database or disk is full")
        append_batch(*asked)

    monkeypatch.setattr(APPEND_BATCH, full_later)
    answers = await stage.store.append([stage.text(1, 2), stage.text(1, 2, content=SURROGATE)])
    assert isinstance(answers[0], Appended)
    assert isinstance(answers[1], Refused)
    assert answers[1].kind is Kind.STORE_FAILED


@pytest.fixture
async def damaged(tmp_path: Path) -> AsyncIterator[Stage]:
    """A store whose laws are broken on purpose."""
    async with Stage("sqlite", tmp_path / "data") as made:
        await made.store.append([made.text(1, 2) for _ in range(5)])
        yield made


async def seqs(stage: Stage, xid: int) -> list[int]:
    [page] = await stage.store.pages([(await stage.id(xid), 1)], 100, MIB)
    return [entry.seq for entry in page.entries]


async def test_a_page_skips_a_missing_entry(damaged: Stage) -> None:
    """Its place is what a session tells as lost."""
    await harm(damaged, "DELETE FROM entry WHERE seq = 2")
    assert await seqs(damaged, 2) == [1, 3, 4, 5]


async def test_a_page_without_its_first_entry_still_has_one(damaged: Stage) -> None:
    """However few bytes it may hold: or nobody would get past the damage."""
    await harm(damaged, "DELETE FROM entry WHERE seq = 2")
    [page] = await damaged.store.pages([(await damaged.id(2), 2)], 100, 1)
    assert [entry.seq for entry in page.entries] == [3]


async def test_a_page_skips_an_entry_without_its_message(
    damaged: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the rest of the page is read."""
    await harm(damaged, "DELETE FROM message WHERE msg_id = 2")
    assert await seqs(damaged, 2) == [1, 3, 4, 5]
    assert "names a message that is not there" in caplog.text


async def test_a_page_skips_an_entry_that_cannot_be_read(
    damaged: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told as lost, like one that is missing, and nobody waits for it for ever."""
    await harm(damaged, "UPDATE entry SET kind = 3, data = '{}' WHERE seq = 2")
    assert await seqs(damaged, 2) == [1, 3, 4, 5]
    assert "cannot be read" in caplog.text


async def test_a_recall_without_a_text_is_done(damaged: Stage) -> None:
    """What should be wiped is gone already."""
    await harm(damaged, "DELETE FROM body WHERE id = 2")
    assert len((await damaged.recall(2)).placed) == 2


async def test_a_damaged_timeline_refuses_its_own_drafts_only(
    damaged: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A seq that is taken is no fault of the draft's, and no neighbour's concern."""
    await harm(damaged, "UPDATE timeline SET head = 2 WHERE xid = 2")
    batch = [damaged.text(3, 4), damaged.text(3, 2), damaged.text(4, 3)]
    answers = await damaged.store.append(batch)
    assert [type(answer) for answer in answers] == [Appended, Refused, Appended]
    assert isinstance(answers[1], Refused)
    assert answers[1].kind is Kind.INTERNAL
    assert "damaged" in caplog.text


async def test_removed_texts_leave_the_file(stage: Stage) -> None:
    """Nothing of what retention has taken can be found in it."""
    await stage.send(1, 2, at=NOW - 1, content="a very secret text")
    await stage.send(1, 2, at=NOW)
    assert (await stage.store.sweep(NOW, 10)).removed == 1
    await stage.store.close()
    assert b"a very secret text" not in (stage.folder / "gateway.db").read_bytes()


async def test_a_send_takes_few_statements(stage: Stage) -> None:
    """Each is a wait for whoever else has something to do: ten with a key that is new, one more where it is not."""
    asked: list[str] = []
    await stage.send(1, 2, key="5", digest="d")
    await lanes(stage)._writer.run(lambda conn: conn.set_trace_callback(asked.append))
    counts = []
    for key in ("6", "4"):
        asked.clear()
        await stage.send(1, 2, key=key, digest="d")
        counts.append(len(asked))
    assert counts == [10, 11]
