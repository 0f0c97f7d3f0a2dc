"""Stores of older gateways: each migration brings what is there into the newer shape, and loses nothing."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.domain.model import Ctype, Recalled
from gateway.store.base import Remembered, Sighted, Sought
from gateway.store.schema import SQLITE_MIGRATIONS
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite.check import check_store
from tests.store.stage import LIMITS, MIB, Stage, open_store

OLD = """
INSERT INTO meta (one, epoch, next_msg_id, last_batch) VALUES (1, 'e', 5, '');
INSERT INTO app VALUES (1, 'demo', 1, 0, 1000, 1000000000001, 'k', 1);
INSERT INTO timeline (id, app, xid, kind, head, last, facts_version) VALUES
    (1, 1, 1000000000000, 1, 0, 0, 0), (2, 1, 1, 1, 5, 2, 0), (3, 1, 2, 1, 4, 2, 0), (4, 1, 1000000000001, 2, 4, 4, 1);
INSERT INTO user (id, app, name, created_at) VALUES (1, 1, 'system', 1), (2, 1, NULL, 1), (3, 1, NULL, 1);
INSERT INTO grp VALUES (4, 2, 'g', '', '', 2, 1, 1, 1, NULL);
INSERT INTO stay (grp, usr, from_seq, from_msg, read, deleted, delivered, joined_at) VALUES (4, 2, 1, 1, 0, 0, 0, 1);
INSERT INTO body VALUES (2, 1, 3, 'two', '', '', ''), (3, 1, 5, 'three', '', '', '');
INSERT INTO message VALUES
    (1, 3, 2, 2, 0, 1, 0, 2, 1, NULL, 0), (2, 3, 2, 2, 0, 2, 0, 0, 1, 2, 1),
    (3, 4, 0, 2, 0, 2, 0, 0, 1, 3, 1), (4, 4, 0, 2, 0, 3, 0, 2, 1, NULL, 0);
INSERT INTO entry VALUES
    (2, 1, 1, 1, ''), (2, 2, 1, 2, ''), (2, 3, 2, 1, ''),
    (2, 4, 3, 0, '{"action":"joined","group_id":4,"group_xid":1000000000001,"user_xids":[1],"from_seq":1}'),
    (2, 5, 4, 2, '{"conversation_xid":2,"msg_id":2}'),
    (3, 1, 1, 1, ''), (3, 2, 1, 2, ''), (3, 3, 2, 1, ''), (3, 4, 4, 2, '{"conversation_xid":1,"msg_id":2}'),
    (4, 1, 3, 0, '{"action":"joined","group_id":4,"group_xid":1000000000001,"user_xids":[1],"from_seq":1}'),
    (4, 2, 1, 3, ''), (4, 3, 1, 4, ''), (4, 4, 2, 4, '');
INSERT INTO conversation VALUES (2, 3, 2, 0, 2), (3, 2, 2, 0, 2);
"""


def old_store(tmp_path: Path) -> Path:
    """Make a store of schema 1."""
    folder = tmp_path / "data"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "gateway.db")) as conn:
        conn.executescript(f"{SQLITE_MIGRATIONS[0]}; PRAGMA user_version = 1; {OLD}")
    return folder


def dump(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "gateway.db")) as conn:
        return list(conn.iterdump())


@pytest.mark.parametrize("part", [1, 10, 40])
async def test_a_migration_that_is_broken_off_is_made_anew(tmp_path: Path, part: int) -> None:
    """Of one that did not commit there is nothing; one that did is not made twice."""
    folder = old_store(tmp_path)
    steps = re.sub("--.*", "", SQLITE_MIGRATIONS[1]).split(";")
    with closing(sqlite3.connect(folder / "gateway.db", isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        for step in steps[:part]:
            conn.execute(step)
    found = []
    for _ in range(2):
        store = await open_store("sqlite", folder, LIMITS)
        await store.close()
        found.append(dump(folder))
        assert check_store(folder) == []
    assert found[0] == found[1]


async def test_a_store_of_schema_1(tmp_path: Path) -> None:
    """Its recalls come to say their conversation, and its texts are counted."""
    folder = old_store(tmp_path)
    stage = Stage("sqlite", folder)
    stage.store = await open_store("sqlite", folder, LIMITS)
    try:
        found = await stage.store.app("demo")
        assert found is not None
        stage.app = found
        recalls = {
            xid: [entry.recalled for entry in await stage.entries(xid) if entry.recalled] for xid in (1, 2)
        }
        assert recalls == {
            1: [Recalled(conversation_xid=2, msg_id=1)],
            2: [Recalled(conversation_xid=1, msg_id=1)],
        }
        group = [entry.recalled for entry in await stage.entries(1000000000001)]
        assert group[-1] == Recalled(conversation_xid=1000000000001, msg_id=4)
        assert [change.xid for change in await stage.store.members(4, 0, 10)] == [1]
        old = await stage.store.group(1, 1000000000001)
        assert old is not None
        assert (old.type, old.apply_approval, old.member_invitation) == (0, 1, False)
    finally:
        await stage.store.close()
    assert check_store(folder) == []
    with closing(sqlite3.connect(folder / "gateway.db")) as conn:
        assert conn.execute("SELECT stored_bytes FROM app").fetchone() == (4 * 300 + 3 + 5,)


async def test_a_store_of_schema_2(tmp_path: Path) -> None:
    """Its conversations know every message that is there: none is to be read for them at the start."""
    folder = old_store(tmp_path)
    with closing(sqlite3.connect(folder / "gateway.db")) as conn:
        conn.executescript(f"{SQLITE_MIGRATIONS[1]}; PRAGMA user_version = 2;")
    store = await open_store("sqlite", folder, LIMITS)
    assert isinstance(store, SqliteStore)
    assert await store._read(lambda conn: conn.execute("SELECT told_to FROM meta").fetchall()) == [(4,)]
    assert [store._newest.held(user_id) for user_id in (2, 3)] == [{}, {}]
    await store.close()
    assert check_store(folder) == []


async def test_a_store_of_schema_3(tmp_path: Path) -> None:
    """Its transactions are answered as before, but for those of who is deleted."""
    folder = old_store(tmp_path)
    with closing(sqlite3.connect(folder / "gateway.db")) as conn:
        conn.executescript(f"{SQLITE_MIGRATIONS[1]}; {SQLITE_MIGRATIONS[2]}; PRAGMA user_version = 3;")
        conn.executescript(
            "UPDATE timeline SET state = 2 WHERE id = 3;"
            "INSERT INTO dedup VALUES (2, '9', 'd', 1, 1), (2, '10', 'e', 2, 3), (3, '9', 'f', 4, 4);"
        )
    store = await open_store("sqlite", folder, LIMITS)
    found = [await store.transaction(1, xid, key) for xid, key in ((1, "9"), (1, "10"), (2, "9"))]
    assert found == [Remembered("d", 1, 1), Remembered("e", 2, 3), None]
    await store.close()
    assert check_store(folder) == []


async def test_a_store_of_schema_4(tmp_path: Path) -> None:
    """What is on the recent list stays there."""
    folder = old_store(tmp_path)
    with closing(sqlite3.connect(folder / "gateway.db")) as conn:
        conn.executescript(f"{'; '.join(SQLITE_MIGRATIONS[1:4])}; PRAGMA user_version = 4;")
        conn.executescript("UPDATE conversation SET deleted = 0 WHERE usr = 2; UPDATE meta SET told_to = 4")
    store = await open_store("sqlite", folder, LIMITS)
    assert [(one.conversation_xid, one.unread) for one in await store.recent(2)] == [
        (1000000000001, 0),
        (2, 0),
    ]
    await store.close()
    assert check_store(folder) == []


async def test_a_store_from_before_there_were_answers(tmp_path: Path) -> None:
    """What was folded into its messages then is found, and they can be answered."""
    async with Stage("sqlite", tmp_path) as stage:
        first = (await stage.send(1, 2)).first_msg_id
        await stage.send(1, 2, ctype=Ctype.APPEND, related=first, content=" more")
    step = next(number for number, sql in enumerate(SQLITE_MIGRATIONS) if "message_folded" in sql)
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as conn:
        conn.executescript(f"DROP INDEX message_folded; PRAGMA user_version = {step};")
    stage.store = await open_store("sqlite", tmp_path, LIMITS)
    try:
        asker = await stage.user(2)
        told = await stage.store.folded(asker, [first], MIB)
        assert [fold.content for fold in told.folds[first]] == [" more"]
        answer = (await stage.send(2, 1, related=first)).first_msg_id
        sought = Sought(root=first, scan=10, limit=10)
        found = await stage.store.seek(asker, await stage.party(1), sought)
        assert isinstance(found, Sighted)
        assert found.msg_ids == [answer]
    finally:
        await stage.store.close()
    assert check_store(tmp_path) == []
