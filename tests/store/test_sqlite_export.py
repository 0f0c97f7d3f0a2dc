"""`export_lines`: everything that is held about an app or a user, and nothing that opens doors."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.drafts import Keep
from gateway.domain.model import SAFE_MAX, Action
from gateway.store.sqlite.export import ExportError, export_lines
from tests.store.stage import NOW, Stage

ODD = 'quotes " and \\ and \u2028 and \U0001f600 and \x01'
TABLES = {
    "user": "user",
    "device": "device",
    "block": "block",
    "group": "grp",
    "stay": "stay",
    "ban": "ban",
    "group_block": "grp_block",
    "conversation": "conversation",
    "message": "message",
    "entry": "entry",
    "transaction": "dedup",
    "job": "job",
}
"""The type of a line, and the table whose every row has one."""


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
    await stage.change(group, Action.KICKED, 13)
    await stage.delete(11, 12)
    await stage.store.keep(
        [Keep(await stage.id(11), 5, NOW, {await stage.id(11): 1, await stage.id(group): 1}, ())]
    )
    a, b, c, g, d = [await stage.id(xid) for xid in (11, 12, 13, group, registered.xid)]
    with closing(sqlite3.connect(stage.folder / "gateway.db")) as conn:
        conn.executescript(
            f"""
            INSERT INTO block VALUES ({a}, {b}, 5);
            INSERT INTO ban VALUES ({g}, {b}, 9, 5);
            INSERT INTO grp_block VALUES ({g}, {c}, 5);
            INSERT INTO request (grp, usr, kind, inviter, reason, state, at, expires_at)
                VALUES ({g}, {d}, 1, 0, 'please', 0, 5, 6), ({g}, {d}, 2, {a}, '', 0, 5, 6);
            INSERT INTO job (app, kind, key, digest, data, progress, ends_at, done, finished, at)
                VALUES (1, 'broadcast', '', '', 'to all', 0, 0, 0, 0, 5);
            """
        )
        conn.commit()
    return group


def lines(stage: Stage, user: str = "", app: str = "demo") -> list[dict[str, Any]]:
    return [json.loads(line) for line in export_lines(stage.folder, app, user)]


def told(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in found if line["type"] == kind]


async def test_an_app_is_told_row_by_row(stage: Stage) -> None:
    """Each row of each table of the app has its line, and nothing of another app."""
    await furnish(stage)
    other = await stage.store.create_app("other", "k", b"y" * 64, registered=False, at=NOW)
    assert other is not None
    found = lines(stage)
    with closing(sqlite3.connect(stage.folder / "gateway.db")) as conn:
        for kind, table in TABLES.items():
            [count] = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
            # The other app has one row of its own: its reserved user.
            assert len(told(found, kind)) == count - (kind == "user"), kind
    assert len(told(found, "app")) == 1
    assert [line["reason"] for line in told(found, "application")] == ["please"]
    assert [line["inviter_id"] for line in told(found, "invitation")] == [11]
    assert told(lines(stage, app="other"), "message") == []


async def test_texts_are_as_they_were_sent(stage: Stage) -> None:
    """Whatever they hold; those that are gone are null."""
    await furnish(stage)
    contents = [line["content"] for line in told(lines(stage), "message")]
    assert contents == [ODD, "between others", None, "in the group"]


async def test_a_user_is_told_what_is_about_it(stage: Stage) -> None:
    """What it sent and was sent, what it is in and owns, who blocked it; not what others say to each other."""
    group = await furnish(stage)
    found = lines(stage, "12")
    assert [line["user_id"] for line in told(found, "user")] == [12]
    assert [line["content"] for line in told(found, "message")] == [
        ODD,
        "between others",
        None,
        "in the group",
    ]
    assert [line["content"] for line in told(lines(stage, "13"), "message")] == ["between others"]
    assert [(line["user_id"], line["blocked_user_id"]) for line in told(found, "block")] == [(11, 12)]
    assert [line["group_id"] for line in told(found, "stay")] == [group]
    assert {line["timeline"] for line in told(found, "entry")} == {"u:12"}
    assert told(found, "app") == told(found, "job") == told(found, "group") == []
    owner = lines(stage, "11")
    assert [line["group_id"] for line in told(owner, "group")] == [group]
    assert [line["cursors"] for line in told(owner, "device")] == [{"user": 1, f"g:{group}": 1}]
    assert [line["inviter_id"] for line in told(owner, "invitation")] == [11]
    assert [line["user_id"] for line in told(lines(stage, "zoe"), "user")] == [1000000000001]


async def test_what_opens_doors_is_left_out(stage: Stage) -> None:
    """Neither the keys that sign tokens nor the records of passwords; only that there is one."""
    await furnish(stage)
    text = "\n".join(export_lines(stage.folder, "demo"))
    assert "sesame" not in text
    assert "xxxx" not in text
    assert [line["has_password"] for line in told(lines(stage, "zoe"), "user")] == [True]


async def test_it_is_of_one_moment(stage: Stage) -> None:
    """What is committed while it is read is not among the lines."""
    await furnish(stage)
    reading = export_lines(stage.folder, "demo")
    first = next(reading)
    await stage.send(13, 12, content="later")
    assert "later" not in "".join([first, *reading])


@pytest.mark.parametrize(
    ("app", "user", "sentence"),
    [
        ("nobody", "", "there is no app nobody"),
        ("demo", "99", "there is no user 99"),
        ("demo", str(SAFE_MAX) + "0", "there is no user 9"),
        ("demo", "ann", "there is no user ann"),
    ],
)
async def test_who_is_not_there(stage: Stage, app: str, user: str, sentence: str) -> None:
    """One sentence says so."""
    with pytest.raises(ExportError, match=sentence):
        list(export_lines(stage.folder, app, user))


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """No store, no store's file, and a store of another schema."""
    with pytest.raises(ExportError, match="there is no store"):
        list(export_lines(tmp_path, "demo"))
    path = tmp_path / "gateway.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA user_version = 1")
    with pytest.raises(ExportError, match="schema 1"):
        list(export_lines(tmp_path, "demo"))
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(ExportError, match="cannot be read"):
        list(export_lines(tmp_path, "demo"))
