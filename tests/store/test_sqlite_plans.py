"""Every statement of the engine searches an index: none grows slower with the number of messages, users or groups."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.erasing import erase_draft
from gateway.domain.drafts import Changed, Started
from gateway.domain.group_drafts import (
    BanDraft,
    BlockDraft,
    GroupSettings,
    HandleDraft,
    RequestDraft,
    RequestKind,
    RoleDraft,
    SettingsDraft,
    TransferDraft,
)
from gateway.domain.model import ROOM, Action, State, User
from gateway.domain.positions import Keep
from gateway.store.base import Sighted, Sought
from gateway.store.sqlite.lane import Lane
from tests.store.faulty import harm
from tests.store.grouping import change
from tests.store.stage import LIMITS, MIB, NOW, Stage

ONE_ROW = {"meta", "app", "a"}
"""Tables that may be scanned: one row of meta, and the list of all apps."""

SUBQUERIES = {"r": "recent"}
"""What a subquery is called where it is read, if not by its own name."""


class Listener:
    """A connection that notes what it is asked."""

    def __init__(self, conn: sqlite3.Connection, asked: dict[str, Any]) -> None:
        self._conn = conn
        self._asked = asked

    def execute(self, sql: str, params: Any = ()) -> sqlite3.Cursor:
        self._asked[sql] = params
        return self._conn.execute(sql, params)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)


async def use_everything(stage: Stage) -> None:
    """Go through every call of the port."""
    store, app = stage.store, stage.app.id
    await store.set_limits("demo", {"storage_bytes_max": MIB})
    await store.set_alias(app, "agora", "a/b")
    await store.set_alias(app, "agora", "c/d")
    await store.alias("agora", "c/d")
    await store.aliases(app)
    await store.add_credential(app, "agora", "id", "secret", NOW)
    await store.secrets(app, "agora", "id")
    await store.credentials(app)
    await store.drop_older_credentials(app, "agora", "id")
    await store.drop_credentials(app, "agora", "id")
    await store.stored_bytes(app)
    await stage.send(11, 12, key="7", digest="d")
    await stage.send(11, 12, 13, key="8", digest="d")
    await stage.send(12, 11, notice=True, copied=False)
    group = await stage.group(11, 12)
    await stage.join(group, 13, 14)
    await stage.say(11, group)
    await stage.say(12, group)
    await stage.say(11, group, hide_from=(12, 13))
    await store.targets(app, 1, 3)
    await store.unreachable(app, 5, [6, 7], create=True)
    await store.ensure_named(app, ["bob", "cid"], NOW)
    await stage.bring(11, 12, settled=True)
    await stage.bring(12, group)
    await store.readers(app, await stage.bring(12, group), 0, 10)
    await store.find_users(app, [11, 12])
    first = (await stage.whisper(11, group, 12, 13)).first_msg_id
    await stage.send(11, 12, ctype=11, related=1, expires_at=NOW)
    await store.reserve(5)
    await store.parties(app, [11, group])
    await store.readers(app, first - 1, 0, 10)
    user, other, in_group = await stage.user(12), await stage.party(11), await stage.party(group)
    await store.keep([Keep(user.id, sn, NOW, {user.id: 0, in_group.id: 0}, ()) for sn in range(25)])
    await store.advance(
        [await stage.acked(12, 12, 3), await stage.acked(12, group, 4), await stage.acked(13, group, 3)]
    )
    await stage.read(12, 11)
    await stage.read(12, group)
    for opposite in (11, group):
        await stage.history(12, opposite)
    for opposite in (11, group):
        await look(stage, 12, opposite)
    for opposite in (11, group):
        await stage.put_off(12, opposite)
    await stage.recent(12)
    await stage.recent(12, group)
    await stage.recall(1)
    for opposite in (11, group):
        await stage.delete(12, opposite)
    await store.pages([(user.id, 1)], 100, MIB)
    await store.standings([(user.id, 1)])
    await store.bearings([(user.id, 1, user.id), (user.id, 1, in_group.id)])
    await store.message(app, 1)
    await store.undelivered(user.id)
    await store.awaits(user.id, 1)
    await store.hour(app, NOW, NOW + 1, 0, 10, MIB)
    await store.transaction(app, 11, "7")
    await store.add_key("demo", "k2", b"y", NOW)
    await store.apps()
    await store.register(app, "alice", "", NOW)
    await store.user_named(app, "alice")
    await store.ensure_users(app, [99], NOW)
    await store.members(in_group.id, 0, 10)
    await store.joined(user.id)
    await store.group(app, group)
    await store.party(app, other.xid)
    await store.probe()
    made = await stage.append(stage.creation(11, type=ROOM))
    assert isinstance(made, Changed)
    room = made.xid
    for number in range(4):
        await stage.say(12, room, key=f"in a room {number}", digest="d")
    await stage.recall((await stage.say(12, room)).first_msg_id)
    await stage.history(12, room)
    await store.list_in(await stage.id(room), [user.id], NOW)
    await store.listed_counts({await stage.id(room): [12, 13]})
    await stage.read(12, room)
    await stage.delete(12, room)
    await store.block(user.id, other.id, NOW)
    await store.blocked(user.id, 0, 10)
    await store.may_message(app, 11, [12, 13], create=False)
    await stage.append(stage.text(11, 12))
    await store.unblock(user.id, other.id)
    await store.users(app, 1, 10)
    await store.set_state(app, [11, 98], State.FROZEN, NOW, create=True)
    await store.set_password(user.id, None, "x", NOW)
    await store.set_profile(user.id, {"nickname": "b"})
    await store.profile(user.id)
    await store.nicknames([user.id])
    await store.devices(user.id)
    await store.remove_device(user.id, 1)
    await use_groups(stage, group)
    await stage.finish(await stage.broadcast())
    await stage.start_broadcast(key="k", digest="d")
    await store.jobs()
    await stage.send(21, 22, at=NOW - 1)
    await harm(stage, "UPDATE message SET expires_at = 5 WHERE msg_id = 2")
    await store.expire(NOW, 10)
    await store.sweep(NOW + 1, 2)
    await store.mark_sweep(NOW, NOW)
    await store.sweeping()
    await store.oldest()
    await store.halt_sweep(NOW)
    await store.resume_sweep(NOW)
    await stage.group(12, 13)
    await stage.kick(group, 13)
    await stage.change(group, Action.LEFT, 14)
    await stage.change(group, Action.DESTROYED)
    for xid in (11, 12):
        found = await store.user(app, xid)
        assert isinstance(found, User)
        started = await stage.append(erase_draft(stage.app, found, NOW))
        assert isinstance(started, Started)
        await stage.finish(started.job)


async def look(stage: Stage, xid: int, opposite: int) -> None:
    """Look for messages of a conversation in every way."""
    store, user, party = stage.store, await stage.user(xid), await stage.party(opposite)
    await store.spans(NOW, NOW)
    for descending in (True, False):
        for root in (0, 1):
            sought = Sought(descending=descending, root=root, ctypes=frozenset({0}), scan=10, limit=5)
            assert isinstance(await store.seek(user, party, sought), Sighted)
    assert isinstance(await store.some(user, party, [1, 2, 3]), dict)
    await store.folded(user, [1, 2, 3], MIB)


async def use_groups(stage: Stage, group: int) -> None:
    """Go through every change of a group, and every list."""
    store, in_group = stage.store, await stage.id(group)
    asked: tuple[dict[str, Any], ...] = (
        {"kind": BanDraft, "user_xids": (12, 13), "until": NOW + 1},
        {"kind": BanDraft, "user_xids": (12, 77), "until": 0},
        {"kind": RoleDraft, "user_xids": (12, 13), "admin": True},
        {"kind": RequestDraft, "user_xids": (21, 22), "request": RequestKind.APPLICATION},
        {"kind": RequestDraft, "user_xids": (21, 22), "request": RequestKind.INVITATION},
        {"kind": HandleDraft, "user_xid": 21, "request": RequestKind.INVITATION, "approved": True},
        {"kind": HandleDraft, "user_xid": 22, "request": RequestKind.APPLICATION, "approved": False},
        {"kind": BlockDraft, "user_xids": (21, 22), "blocked": True},
        {"kind": BlockDraft, "user_xids": (21,), "blocked": False},
        {"kind": SettingsDraft, "settings": GroupSettings(name="n", ban_all_until=1)},
        {"kind": TransferDraft, "heir_xid": 12},
        {"kind": TransferDraft, "heir_xid": 11},
    )
    for told in asked:
        assert isinstance(await change(stage, group, **told), Changed), told
    await store.group_admins(in_group)
    await store.group_bans(in_group, 0, 10, NOW)
    await store.group_blocks(in_group, 0, 10)
    await store.kept_out([(in_group, 1)])
    await store.groups(stage.app.id, [group])
    await store.groups_of_type(stage.app.id, 1, 0, 10)
    await store.applications([in_group], 0, 10, NOW)
    await store.invitations(await stage.id(22), 0, 10, NOW)


def scans(conn: sqlite3.Connection, sql: str, params: Any) -> list[str]:
    """The steps of a statement's plan that go through a whole table."""
    plan = [step for _, _, _, step in conn.execute(f"EXPLAIN QUERY PLAN {sql}", params)]
    made = {match[1] for step in plan if (match := re.match(r"(?:CO-ROUTINE|MATERIALIZE) (\S+)", step))}
    found = []
    for step in plan:
        match = re.match(r"SCAN (\S+)", step)
        small = match is not None and (
            "VIRTUAL TABLE" in step
            or re.fullmatch(r"SCAN (\d+ )?CONSTANT ROWS?", step)
            or match[1] in made | ONE_ROW
            or SUBQUERIES.get(match[1]) in made
        )
        if (match and not small) or "AUTOMATIC" in step:
            found.append(step)
    return found


async def test_no_statement_goes_through_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all that the port's calls ask, EXPLAIN QUERY PLAN tells index searches only."""
    asked: dict[str, Any] = {}
    real = Lane.run

    async def listen(lane: Lane, work: Callable[[Any], Any]) -> Any:
        return await real(lane, lambda conn: work(Listener(conn, asked)))

    bounds = msgspec.structs.replace(LIMITS, room_history_max=2)
    async with Stage("sqlite", tmp_path / "data", bounds) as stage:
        monkeypatch.setattr(Lane, "run", listen)
        await use_everything(stage)
        monkeypatch.undo()
    told = {}
    with closing(sqlite3.connect(tmp_path / "data" / "gateway.db")) as conn:
        for sql, params in asked.items():
            if sql.split()[0] in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
                told[" ".join(sql.split())] = scans(conn, sql, params)
    assert len(told) > 50
    assert {sql: steps for sql, steps in told.items() if steps} == {}


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT * FROM message WHERE at = 1", ["SCAN message"]),
        ("SELECT * FROM entry AS e WHERE msg_id = 1", ["SCAN e"]),
        ("UPDATE stay SET read = 1 WHERE usr = 1 AND to_seq IS NULL", []),
        ("UPDATE stay SET read = 1 WHERE usr = 1", ["SCAN stay"]),
    ],
)
async def test_a_scan_would_be_seen(tmp_path: Path, sql: str, found: list[str]) -> None:
    """The test above can fail."""
    async with Stage("sqlite", tmp_path / "data"):
        with closing(sqlite3.connect(tmp_path / "data" / "gateway.db")) as conn:
            assert scans(conn, sql, ()) == found


async def test_unread_is_one_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many conversations there are, in groups or not; and a page between two users is one, too."""
    asked: dict[str, Any] = {}
    real = Lane.run

    async def listen(lane: Lane, work: Callable[[Any], Any]) -> Any:
        return await real(lane, lambda conn: work(Listener(conn, asked)))

    async with Stage("sqlite", tmp_path / "data") as stage:
        for xid in range(11, 31):
            await stage.send(xid, 10)
        await stage.say(11, await stage.group(11, 10))
        user, party = await stage.user(10), await stage.party(11)
        monkeypatch.setattr(Lane, "run", listen)
        assert len(await stage.store.recent(user.id)) == 21
        assert len(asked) == 1
        assert await stage.store.history(user, party, 0, 10) is not None
        assert len(asked) == 2
        monkeypatch.undo()


@pytest.mark.parametrize("query", ["history", "unread"])
async def test_conversations_are_counted_in_the_index_alone(tmp_path: Path, query: str) -> None:
    """The index of shown messages holds all that finding and counting them needs: no row behind it is read."""
    sql = {
        "history": """SELECT msg_id FROM message WHERE target = 1 AND peer = 2 AND shown = 1 AND msg_id > 3
            AND flags & 1 = 0 ORDER BY msg_id DESC LIMIT 20""",
        "unread": """SELECT sum(sender <> 1) FROM message WHERE target = 1 AND peer = 0 AND shown = 1 AND msg_id > 3""",
    }[query]
    async with Stage("sqlite", tmp_path / "data"):
        with closing(sqlite3.connect(tmp_path / "data" / "gateway.db")) as conn:
            [step] = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert step.startswith(
        "SEARCH message USING COVERING INDEX message_shown (target=? AND peer=? AND msg_id>?"
    )


async def test_rows_of_a_send_are_added_without_copies_of_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row refused ends one of these statements alone: SQLite would keep the pages of it as they were before."""
    asked: dict[str, Any] = {}
    real = Lane.run

    async def listen(lane: Lane, work: Callable[[Any], Any]) -> Any:
        return await real(lane, lambda conn: work(Listener(conn, asked)))

    async with Stage("sqlite", tmp_path / "data") as stage:
        monkeypatch.setattr(Lane, "run", listen)
        await stage.send(11, 12, key="7", digest="d")
        monkeypatch.undo()
    alone = 2  # As the byte code says ABORT; ROLLBACK is 1.
    ends = {}
    with closing(sqlite3.connect(tmp_path / "data" / "gateway.db")) as conn:
        for sql, params in asked.items():
            if match := re.match(r"INSERT .*INTO (body|message|entry|dedup) ", sql):
                code = conn.execute(f"EXPLAIN {sql}", params).fetchall()
                ends[match[1]] = {p2 for _, step, p1, p2, *_ in code if step in {"Halt", "HaltIfNull"} and p1}
    assert ends.keys() == {"body", "message", "entry", "dedup"}
    assert all(found and alone not in found for found in ends.values())
