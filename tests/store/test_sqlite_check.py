"""`check_store`: each law, broken by hand on a copy of a store that keeps them all, is told as exactly that breach."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.model import Action
from gateway.domain.positions import Keep
from gateway.store.sqlite.check import check_store
from gateway.store.sqlite.laws import LAWS
from gateway.store.told import TOLD_MAX
from tests.store.breaches import BREACHES, NAMES
from tests.store.stage import NOW, Stage

# The timelines of users 12 and 13 and of the group, as `make` makes them (`breaches.py` says more).
B, C, G = 3, 4, 5


async def make(folder: Path) -> None:
    """Make a store with a bit of everything in it."""
    async with Stage("sqlite", folder) as stage:
        await stage.users(11, 12, 13)
        for draft in (
            stage.text(11, 12, key="7", digest="d"),  # 1
            stage.text(11, 12, 13),  # 2, 3
            stage.text(12, 11),  # 4
            stage.text(13, 13),  # 5
            stage.text(11, 12, notice=True, copied=False),  # 6
        ):
            await stage.store.append([draft])
        group = await stage.group(11, 12, 13)
        await stage.say(11, group)  # 7, seq 2
        await stage.say(12, group)  # 8, seq 3
        await stage.kick(group, 13)  # seq 4
        await stage.say(11, group)  # 9, seq 5
        await stage.join(group, 13)  # seq 6
        await stage.recall(1)
        await stage.delete(11, 12)
        await stage.store.keep([Keep(B, 1, NOW, {B: 0, G: 0}, (), 6, "a browser")])
        await stage.store.block(C, B, NOW)
        await stage.ack(12, 12, 2)
        await stage.ack(12, group, 5)
        await stage.read(12, 11)
        await stage.read(12, group)
        ended = await stage.group(13)
        await stage.change(ended, Action.DESTROYED)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "data"
    asyncio.run(make(folder))
    return folder


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "data"))


def harm(data: Path, script: str) -> None:
    with closing(sqlite3.connect(data / "gateway.db")) as conn:
        conn.executescript(script)
        conn.commit()


def test_a_sound_store_breaks_no_law(data: Path) -> None:
    """Nothing is told of it, by its folder or by its file."""
    assert check_store(data) == []
    assert check_store(data / "gateway.db") == []


@pytest.mark.parametrize("breach", BREACHES)
def test_each_breach_is_told(data: Path, breach: str) -> None:
    """By one sentence each, and nothing else is."""
    script, *sentences = BREACHES[breach]
    harm(data, script)
    assert sorted(check_store(data)) == sorted(sentence.format_map(NAMES) for sentence in sentences)


def test_every_law_is_seen_broken(data: Path) -> None:
    """No law is without a case above that breaks it."""
    kept = set(LAWS)
    with closing(sqlite3.connect(data / "gateway.db")) as source:
        for script, *_ in BREACHES.values():
            with closing(sqlite3.connect(":memory:")) as conn:
                source.backup(conn)
                conn.executescript(script)
                kept -= {law for law in kept if conn.execute(law).fetchone()}
    assert kept == set()


def test_many_breaches_of_one_law_are_cut(data: Path) -> None:
    """A damaged store does not fill the screen; other laws are still told."""
    harm(
        data,
        """WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
        INSERT INTO body (id, refs, size, content, attachment, config, ext) SELECT i, 1, 0, '', '', '', '' FROM n;
        UPDATE user SET delivered = 99 WHERE id = 2""",
    )
    told = check_store(data)
    assert len(told) == TOLD_MAX + 2
    assert told[TOLD_MAX] == "and more like: text 120 counts 1 messages, and 0 have it"
    assert told[-1].startswith("user 11 of app demo has delivered seq 99")


def test_what_retention_removed_is_no_breach(data: Path) -> None:
    """Entries at or below the floor are owed by nobody, in a timeline that is emptied too."""
    harm(
        data,
        """UPDATE timeline SET floor = head WHERE id IN (2, 3, 5);
        DELETE FROM entry WHERE t IN (2, 3, 5)""",
    )
    assert check_store(data) == []


def test_no_store_is_one_sentence(tmp_path: Path) -> None:
    """Of an empty folder, and of no folder."""
    for path in (tmp_path, tmp_path / "nowhere"):
        assert check_store(path) == [
            f"there is no store at {path if path != tmp_path else path / 'gateway.db'}"
        ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to be one" * 100])
def test_a_file_that_is_no_store_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    """There is no traceback, and the file stays as it is."""
    path = tmp_path / "gateway.db"
    path.write_bytes(content)
    [told] = check_store(tmp_path)
    assert "schema 0" in told or "cannot be read: file is not a database" in told
    assert path.read_bytes() == content


@pytest.mark.parametrize("schema", [0, 99])
def test_another_schema_is_not_checked(data: Path, schema: int) -> None:
    """Its laws may be others."""
    harm(data, f"PRAGMA user_version = {schema}")
    [told] = check_store(data)
    assert f"has schema {schema}" in told


def test_a_damaged_file_is_told_in_sentences(data: Path) -> None:
    """Whichever page of it is overwritten, and whatever that makes of names and counts."""
    path = data / "gateway.db"
    sound = path.read_bytes()
    noise = random.Random(7)
    for at in range(0, len(sound), 4096):
        path.write_bytes(sound[:at] + noise.randbytes(4096) + sound[at + 4096 :])
        told = check_store(data)
        assert told, f"the page at {at}"
        assert all("\n" not in sentence for sentence in told)


def test_a_cut_file_is_told_in_sentences(data: Path) -> None:
    """As a copy that broke off leaves it."""
    path = data / "gateway.db"
    path.write_bytes(path.read_bytes()[: 4096 * 5])
    assert check_store(data)


def test_a_folder_one_may_not_write_is_checked(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite cannot put its files beside the store there, and reads it all the same."""
    real = sqlite3.connect

    def connect(path: str, **options: Any) -> sqlite3.Connection:
        if "mode=ro" in path:
            raise sqlite3.OperationalError("unable to open database file")
        conn: sqlite3.Connection = real(path, **options)
        return conn

    monkeypatch.setattr(sqlite3, "connect", connect)
    assert check_store(data) == []
    (data / "gateway.db-wal").write_bytes(b"x")
    assert check_store(data) == [f"{data / 'gateway.db'} cannot be read: unable to open database file"]


def test_a_table_that_is_not_there_is_told(data: Path) -> None:
    """Each law that asks for it says so, and the others are asked all the same."""
    harm(data, "DROP TABLE dedup; UPDATE user SET delivered = 99 WHERE id = 2")
    told = check_store(data)
    assert "the file is damaged: no such table: dedup" in told
    assert any("has delivered seq 99" in sentence for sentence in told)


async def test_a_store_is_checked_while_it_is_written_to(tmp_path: Path) -> None:
    """In one snapshot, which sees whole batches only, and without keeping the writer waiting."""
    async with Stage("sqlite", tmp_path / "data") as stage:
        checks = [asyncio.create_task(asyncio.to_thread(check_store, tmp_path / "data")) for _ in range(5)]
        while not all(check.done() for check in checks):
            await stage.store.append([stage.text(1 + index % 7, 1 + index % 5) for index in range(50)])
        assert [await check for check in checks] == [[]] * 5


async def test_a_killed_store_is_checked(tmp_path: Path) -> None:
    """A log that nobody folded in belongs to the store."""
    async with Stage("sqlite", tmp_path / "data") as stage:
        sent = await stage.send(1, 2)
        shutil.copytree(tmp_path / "data", tmp_path / "copy")
    assert check_store(tmp_path / "copy") == []
    with closing(sqlite3.connect(tmp_path / "copy" / "gateway.db")) as conn:
        assert conn.execute("SELECT max(msg_id) FROM message").fetchone() == (sent.first_msg_id,)
