"""Every statement of a change searches an index: none grows slower with the number of messages, users or groups."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.domain.drafts import Changed, Draft, RecallDraft
from gateway.domain.group_drafts import (
    BanDraft,
    BlockDraft,
    GroupChange,
    GroupSettings,
    HandleDraft,
    RequestDraft,
    RequestKind,
    RoleDraft,
    SettingsDraft,
    TransferDraft,
)
from gateway.domain.model import ROOM, Action
from gateway.store.postgres.changes import append_change
from gateway.store.postgres.group_changes import append_group_change
from gateway.store.postgres.rooms import trim
from tests.postgres import database_of, drop_database
from tests.store.grouping import draft as group_draft
from tests.store.postgres_plans import Listener, fill, scans
from tests.store.stage import LIMITS, NOW, Stage

CHANGES: tuple[dict[str, Any], ...] = (
    {"kind": BanDraft, "user_xids": (12, 13), "until": NOW + 1},
    {"kind": BanDraft, "user_xids": (12, 77), "until": 0},
    {"kind": RoleDraft, "user_xids": (12, 13), "admin": True},
    {"kind": RequestDraft, "user_xids": (21, 22), "request": RequestKind.APPLICATION},
    {"kind": RequestDraft, "user_xids": (21, 22), "request": RequestKind.INVITATION},
    {"kind": HandleDraft, "user_xid": 21, "request": RequestKind.INVITATION, "approved": True},
    {"kind": HandleDraft, "user_xid": 22, "request": RequestKind.APPLICATION, "approved": False},
    {"kind": BlockDraft, "user_xids": (13, 21, 22), "blocked": True},
    {"kind": BlockDraft, "user_xids": (21,), "blocked": False},
    {"kind": SettingsDraft, "settings": GroupSettings(name="n", history_visible=True)},
    {"kind": TransferDraft, "heir_xid": 12},
)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A store whose tables are full of rows that keep no law."""
    async with Stage("postgres", tmp_path / "data") as made:
        conn: Any = await asyncpg.connect(await database_of(tmp_path / "data"))
        await fill(conn)
        await conn.close()
        yield made
    await drop_database(tmp_path / "data")


async def change_everything(stage: Stage, conn: Listener) -> None:
    """Go through every change, and what a chatroom lets go of."""

    async def change(draft: Draft) -> Changed:
        async with conn.transaction():
            if isinstance(draft, GroupChange):
                answer = await append_group_change(conn, draft, LIMITS)
            else:
                answer = await append_change(conn, draft, LIMITS)  # type: ignore[arg-type] # it is one of them
        assert isinstance(answer, Changed), answer
        return answer

    sent = [(await stage.send(11, 12, key=f"{n}", digest="d")).first_msg_id for n in range(2)]
    group = (await change(stage.creation(11, 12))).xid
    room = (await change(stage.creation(11, type=ROOM))).xid
    await change(await stage.membership(group, Action.JOINED, 13, 14))
    await stage.say(12, group)
    for number in range(5):
        await stage.say(12, room, key=f"in a room {number}", digest="d")
    for told in CHANGES:
        await change(await group_draft(stage, group, **told))
    await change(RecallDraft(app=stage.app.id, msg_id=sent[0], at=NOW))
    for opposite in (11, group):
        await change(await stage.deletion(12, opposite))
    async with conn.transaction():
        await trim(conn, [await stage.id(room)], 2)
    await change(await stage.membership(group, Action.KICKED, 14))
    await change(await stage.membership(group, Action.DESTROYED))


async def test_no_change_goes_through_a_table(stage: Stage) -> None:
    """Of all that changes ask, EXPLAIN tells index searches only."""
    real: Any = await asyncpg.connect(await database_of(stage.folder))
    conn = Listener(real)
    await change_everything(stage, conn)
    await real.close()
    assert len(conn.asked) > 50
    assert {sql: steps for sql, steps in conn.asked.items() if steps} == {}


async def test_a_scan_would_be_seen(stage: Stage) -> None:
    """The test above can fail."""
    conn: Any = await asyncpg.connect(await database_of(stage.folder))
    asked = {
        "SELECT * FROM message WHERE at = 1": ["Seq Scan of message"],
        "UPDATE stay SET read = 1 WHERE usr = 1 AND to_seq IS NULL": [],
        "UPDATE stay SET read = 1 WHERE to_seq = 1": ["Seq Scan of stay"],
        "SELECT app FROM timeline ORDER BY app, xid": ["Index Only Scan of timeline_app_xid_key"],
    }
    assert {sql: await scans(conn, sql) for sql in asked} == asked
    await conn.close()
