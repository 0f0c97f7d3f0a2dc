"""Exporting: everything that is held about an app or a user, and nothing that opens doors, the same on every engine."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.domain.model import SAFE_MAX, Action
from gateway.domain.positions import Keep
from gateway.store.errors import ExportError
from gateway.store.postgres import export as postgres
from gateway.store.sqlite import export as sqlite
from tests.patience import WAIT_S
from tests.postgres import database_of, drop_database, server_url
from tests.store.carried import CONVERSATIONS, carry
from tests.store.stage import NOW, THEN, Stage
from tests.store.test_files import a_file

ODD = 'quotes " and \\ and \u2028 and \U0001f600 and \x01'
TABLES = {
    "user": "user",
    "device": "device",
    "block": "block",
    "contact": "contact",
    "listed": "listed",
    "group": "grp",
    "stay": "stay",
    "ban": "ban",
    "group_block": "grp_block",
    "conversation": f"({CONVERSATIONS})",
    "message": "message",
    "hidden": "hidden",
    "entry": "entry",
    "transaction": "dedup",
    "job": "job",
    "alias": "alias",
    "credential": "credential",
    "file": "file",
}
"""The type of a line, and the table whose every row has one."""

Export = Callable[[str, str], Iterator[str]]
"""Exports an app, or a user of it."""


@pytest.fixture
def engine() -> str:
    return "sqlite"


async def furnish(stage: Stage) -> int:
    """Put something of everything into the store; the group's xid."""
    await stage.users(11, 12, 13)
    registered = await stage.store.register(stage.app.id, "zoe", "$scrypt$sesame", NOW)
    assert registered is not None
    await stage.send(11, 12, content=ODD, ext="x", key="7", digest="d")
    await stage.send(12, 13, content="between others")
    recalled = (await stage.send(11, 12, content="taken back")).first_msg_id
    await stage.recall(recalled)
    group = await stage.group(11, 12, 13)
    await stage.say(12, group, content="in the group")
    await stage.say(11, group, hide_from=(12,))
    await stage.bring(11, 13, content="from elsewhere")
    await stage.change(group, Action.KICKED, 13)
    await stage.delete(11, 12)
    await stage.store.keep(
        [Keep(await stage.id(11), 5, NOW, {await stage.id(11): 1, await stage.id(group): 1}, ())]
    )
    a, b, c, g, d = [await stage.id(xid) for xid in (11, 12, 13, group, registered.xid)]
    for statement in (
        f"INSERT INTO block VALUES ({a}, {b}, 5)",
        f"INSERT INTO ban VALUES ({g}, {b}, 9, 5)",
        f"INSERT INTO grp_block VALUES ({g}, {c}, 5)",
        f"""INSERT INTO request (grp, usr, kind, inviter, reason, state, at, expires_at)
            VALUES ({g}, {d}, 1, 0, 'please', 0, 5, 6), ({g}, {d}, 2, {a}, '', 0, 5, 6)""",
        """INSERT INTO job (app, kind, key, digest, data, progress, ends_at, done, finished, at)
            VALUES (1, 'broadcast', '', '', 'to all', 0, 0, 0, 0, 5)""",
        "INSERT INTO alias VALUES ('agora', 'org/app', 1)",
        "INSERT INTO credential VALUES (1, 'agora', 'id', 'sesame', 5), (1, 'agora', 'id', 'xxxx', 6)",
    ):
        await stage.alter(statement)
    assert await stage.store.add_file(a_file(stage, 1, uploader=a))
    assert await stage.store.add_file(a_file(stage, 2, restricted=False))
    assert await stage.store.create_app("other", "k", b"y" * 64, registered=False, at=NOW)
    return group


@pytest.fixture
async def group(stage: Stage) -> int:
    """The xid of the one group in a furnished store."""
    return await furnish(stage)


@pytest.fixture(params=["sqlite", "postgres"])
async def export(request: pytest.FixtureRequest, stage: Stage, group: int) -> AsyncIterator[Export]:
    """How the store is exported by an engine: on PostgreSQL it is the same one, carried there row by row."""
    assert group
    if request.param == "sqlite":
        yield partial(sqlite.export_lines, stage.folder)
        return
    url = await database_of(stage.folder)
    await carry(stage.folder / "gateway.db", url)
    yield partial(postgres.export_lines, url)
    await drop_database(stage.folder)


async def read(export: Export, user: str = "", app: str = "demo") -> list[dict[str, Any]]:
    """All lines, read beside this loop, as a command reads them without one."""
    return [json.loads(line) for line in await asyncio.to_thread(lambda: list(export(app, user)))]


def told(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in found if line["type"] == kind]


async def test_an_app_is_told_row_by_row(stage: Stage, export: Export) -> None:
    """Each row of each table of the app has its line, and nothing of another app."""
    found = await read(export)
    with closing(sqlite3.connect(stage.folder / "gateway.db")) as conn:
        for kind, table in TABLES.items():
            [count] = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
            # The other app has one row of its own: its reserved user.
            assert len(told(found, kind)) == count - (kind == "user"), kind
    assert len(told(found, "app")) == 1
    assert [line["reason"] for line in told(found, "application")] == ["please"]
    assert [line["inviter_id"] for line in told(found, "invitation")] == [11]
    assert told(await read(export, app="other"), "message") == []


@pytest.mark.parametrize("user", ["", "11", "12", "13", "zoe"])
async def test_the_engine_cannot_be_told_by_the_lines(stage: Stage, export: Export, user: str) -> None:
    """Whichever it is: the same members with the same values, in the same order of kinds."""
    found, expected = [
        [json.dumps(line) for line in lines]
        for lines in (await read(export, user), await read(partial(sqlite.export_lines, stage.folder), user))
    ]
    assert sorted(found) == sorted(expected)
    kinds = [[json.loads(line)["type"] for line in lines] for lines in (found, expected)]
    assert list(dict.fromkeys(kinds[0])) == list(dict.fromkeys(kinds[1]))


async def test_texts_are_as_they_were_sent(export: Export) -> None:
    """Whatever they hold; those that are gone are null."""
    contents = [line["content"] for line in told(await read(export), "message")]
    assert contents == [ODD, "between others", None, "in the group", "hello", "from elsewhere"]


async def test_a_user_is_told_what_is_about_it(export: Export, group: int) -> None:
    """What it sent and was sent, what it is in and owns, who blocked it; not what others say to each other."""
    found = await read(export, "12")
    assert [line["user_id"] for line in told(found, "user")] == [12]
    assert [line["content"] for line in told(found, "message")] == [
        ODD,
        "between others",
        None,
        "in the group",
    ]
    theirs = told(await read(export, "13"), "message")
    assert [line["content"] for line in theirs] == ["between others", "from elsewhere"]
    assert [line["shown_at"] for line in theirs] == [None, THEN]
    assert [(line["user_id"], line["blocked_user_id"]) for line in told(found, "block")] == [(11, 12)]
    assert [line["group_id"] for line in told(found, "stay")] == [group]
    assert {line["timeline"] for line in told(found, "entry")} == {"u:12"}
    assert (
        told(found, "app")
        == told(found, "job")
        == told(found, "group")
        == told(found, "alias")
        == told(found, "credential")
        == []
    )
    owner = await read(export, "11")
    assert [line["group_id"] for line in told(owner, "group")] == [group]
    assert [line["cursors"] for line in told(owner, "device")] == [{"user": 1, f"g:{group}": 1}]
    assert [line["inviter_id"] for line in told(owner, "invitation")] == [11]
    assert [line["user_id"] for line in told(await read(export, "zoe"), "user")] == [1000000000001]


async def test_what_opens_doors_is_left_out(export: Export) -> None:
    """Neither the keys that sign tokens, nor secrets of backends, nor records of passwords; only that there is one."""
    text = json.dumps(await read(export))
    assert "sesame" not in text
    assert "xxxx" not in text
    assert [line["has_password"] for line in told(await read(export, "zoe"), "user")] == [True]


@pytest.mark.parametrize(
    ("app", "user", "sentence"),
    [
        ("nobody", "", "there is no app nobody"),
        ("demo", "99", "there is no user 99"),
        ("demo", str(SAFE_MAX) + "0", "there is no user 9"),
        ("demo", "ann", "there is no user ann"),
    ],
)
async def test_who_is_not_there(export: Export, app: str, user: str, sentence: str) -> None:
    """One sentence says so."""
    with pytest.raises(ExportError, match=sentence):
        await read(export, user, app)


async def test_it_is_of_one_moment(stage: Stage, group: int) -> None:
    """What is committed while it is read is not among the lines."""
    assert group
    reading = sqlite.export_lines(stage.folder, "demo")
    first = next(reading)
    await stage.send(13, 12, content="later")
    assert "later" not in "".join([first, *reading])


async def test_it_is_of_one_moment_on_postgres(tmp_path: Path) -> None:
    """The same; and memory holds a page of it at a time."""
    url = await database_of(tmp_path)
    conn: Any = await asyncpg.connect(url)
    await conn.execute(
        """INSERT INTO app VALUES (1, 'demo', 1, 0, 0, 0, '', 0);
        INSERT INTO timeline (id, app, xid, kind) SELECT i, 1, i, 1 FROM generate_series(1, 500) AS n (i);
        INSERT INTO "user" (id, app, created_at) SELECT id, 1, 0 FROM timeline"""
    )
    pages = postgres.export_pages(url, "demo")
    found = [await anext(pages)]
    await conn.execute("""UPDATE "user" SET nickname = 'later'; DELETE FROM timeline WHERE id > 400""")
    await conn.close()
    found += [page async for page in pages]
    assert [len(page) for page in found] == [1, 200, 200, 100]
    assert not any("later" in line for page in found for line in page)
    await drop_database(tmp_path)


async def test_who_stops_reading_lets_go(tmp_path: Path) -> None:
    """No connection is left behind by lines that nobody asks for any more."""
    url = await database_of(tmp_path)
    conn: Any = await asyncpg.connect(url)
    await conn.execute(
        """INSERT INTO app VALUES (1, 'demo', 1, 0, 0, 0, '', 0);
        INSERT INTO timeline (id, app, xid, kind) VALUES (1, 1, 1, 1)"""
    )

    def read_one() -> str:
        with closing(postgres.export_lines(url, "demo")) as lines:
            return next(lines)

    assert json.loads(await asyncio.to_thread(read_one))["type"] == "app"
    # Waits for whoever has come after this connection, and fails if they stay.
    others = """
    SELECT count(*) FROM pg_stat_activity AS a JOIN pg_stat_activity AS b ON b.pid = pg_backend_pid()
    WHERE a.datname = b.datname AND a.backend_type = b.backend_type AND a.backend_start > b.backend_start
    """
    async with asyncio.timeout(WAIT_S):
        while await conn.fetchval(others):
            pass
    await conn.close()
    await drop_database(tmp_path)


async def test_what_cannot_be_read_on_postgres(tmp_path: Path) -> None:
    """No store, no database, and a store of another schema."""

    async def failure(url: str) -> str:
        with pytest.raises(ExportError) as failed:
            await read(partial(postgres.export_lines, url))
        return str(failed.value)

    assert "schema 0" in await failure(server_url())
    assert "cannot be read" in await failure("postgresql://nobody@127.0.0.1:1/none")
    url = await database_of(tmp_path)
    conn: Any = await asyncpg.connect(url)
    await conn.execute("UPDATE schema_version SET version = 99")
    await conn.close()
    assert "schema 99" in await failure(url)
    await drop_database(tmp_path)


def test_what_cannot_be_read_on_sqlite(tmp_path: Path) -> None:
    """No store, no store's file, and a store of another schema."""
    with pytest.raises(ExportError, match="there is no store"):
        list(sqlite.export_lines(tmp_path, "demo"))
    path = tmp_path / "gateway.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA user_version = 1")
    with pytest.raises(ExportError, match="schema 1"):
        list(sqlite.export_lines(tmp_path, "demo"))
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(ExportError, match="cannot be read"):
        list(sqlite.export_lines(tmp_path, "demo"))
