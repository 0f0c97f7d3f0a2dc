"""Reading and moving positions on PostgreSQL searches indexes: none grows slower with what others have stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from gateway.domain.model import ROOM, Scope, User
from gateway.domain.positions import Ack, Attach, Attachment, Keep, ReadMark
from gateway.store.base import Party, Sighted, Sought
from gateway.store.postgres.engine import PostgresStore
from tests.postgres import database_of, drop_database
from tests.store.postgres_plans import scans
from tests.store.stage import LIMITS, MIB, NOW, open_store

T = TypeVar("T")
USERS, GROUPS, MESSAGES = 10_000, 100, 60_000
SMALL = {"hour", "newest", "grp", "grp_block", "user", "device", "attached", "batch"}
"""Tables that are not larger here than what one batch asks of them."""

# Users 1 to 10,000 and groups from 10,001 on; all messages are between two users (or within a group) who have many.
_FILL = f"""
INSERT INTO app VALUES (1, 'demo', 1, 0, 0, 0, 'k', 0);
INSERT INTO timeline (id, app, xid, kind, head)
    SELECT i, 1, i, 1, {MESSAGES // 100} FROM generate_series(1, {USERS}) AS i
    UNION ALL SELECT 10000 + i, 1, 10000 + i, 2, {MESSAGES // 100} FROM generate_series(1, {GROUPS}) AS i;
INSERT INTO "user" (id, app, created_at) SELECT i, 1, 0 FROM generate_series(1, {USERS}) AS i;
INSERT INTO grp (id, app, owner, name, description, avatar, type, members, created_at, updated_at)
    SELECT 10000 + i, 1, 1, '', '', '', CASE i WHEN {GROUPS} THEN {ROOM} ELSE 0 END, 0, 0, 0
    FROM generate_series(1, {GROUPS}) AS i;
SELECT setval(pg_get_serial_sequence('timeline', 'id'), 2 * {USERS});
INSERT INTO newest SELECT 10000 + i, {2 * MESSAGES} FROM generate_series(1, {GROUPS}) AS i;
INSERT INTO stay (grp, usr, from_seq, from_msg, read, deleted, delivered, joined_at)
    SELECT 10000 + g, (u * 29 + g) % {USERS} + 1, 1, 1, 0, 0, 0, 0
    FROM generate_series(1, {GROUPS - 1}) AS g, generate_series(1, 200) AS u;
INSERT INTO device (usr, sn, seen_at) SELECT u, s, 0 FROM generate_series(1, {USERS}) AS u, generate_series(1, 3) AS s;
INSERT INTO cursor SELECT usr, sn, usr, 0 FROM device;
INSERT INTO node SELECT i, now() FROM generate_series(1, 50) AS i;
INSERT INTO attached SELECT usr, sn, 10 * usr + sn, usr % 50 + 1 FROM device;
INSERT INTO body SELECT i, 1, 5, 'hello', '', '', '' FROM generate_series(1, {2 * MESSAGES}) AS i;
INSERT INTO message (msg_id, target, peer, sender, device_sn, seq, ctype, flags, at, body, shown)
    SELECT i, i % 100 + 1, (i * 7) % 50 + 1, (i * 7) % 50 + 1, 0, i / 100, 0, 0, 0, i, 1
    FROM generate_series(1, {MESSAGES}) AS i
    UNION ALL SELECT {MESSAGES} + i, 10001 + i % 100, 0, (i * 7) % {USERS} + 1, 0, i / 100, 0, 0, 0, {MESSAGES} + i, 1
    FROM generate_series(1, {MESSAGES}) AS i;
UPDATE message SET peer = 10001 + msg_id % 5 WHERE msg_id % 101 = 0 AND peer > 0;
UPDATE message SET related = msg_id - 1, shown = (msg_id % 4 > 1)::integer, ctype = CASE msg_id % 4 WHEN 0 THEN 11
    WHEN 1 THEN 12 ELSE 0 END WHERE msg_id % 3 = 0;
INSERT INTO imported SELECT i, 1, 0 FROM generate_series(1, {MESSAGES}) AS i;
INSERT INTO hidden SELECT i, i % {USERS} + 1 FROM generate_series(1, {MESSAGES}) AS i;
INSERT INTO entry SELECT target, row_number() OVER (PARTITION BY target ORDER BY msg_id), 1, msg_id, '' FROM message;
INSERT INTO conversation (usr, opp, last)
    SELECT DISTINCT ON (target, sender) target, sender, msg_id FROM message WHERE peer > 0
    ORDER BY target, sender, msg_id DESC;
INSERT INTO conversation (usr, opp, last)
    SELECT u, (u * 13 + o) % {USERS} + 1, 1 FROM generate_series(1, {USERS}) AS u, generate_series(1, 5) AS o
    ON CONFLICT DO NOTHING;
INSERT INTO dedup SELECT 1, i % 1000, i::text, '', i FROM generate_series(1, {MESSAGES}) AS i;
INSERT INTO answer SELECT i, i, i FROM generate_series(1, {MESSAGES}) AS i;
INSERT INTO listed (grp, usr, at) SELECT grp, usr, 1 FROM stay;
INSERT INTO batch SELECT i::text, '' FROM generate_series(1, 10000) AS i;
"""


class Listener:
    """A connection that notes what it is asked."""

    def __init__(self, conn: Any, asked: dict[str, Any]) -> None:
        self._conn = conn
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._conn, name)
        if name not in {"execute", "fetch", "fetchrow", "fetchval"}:
            return real

        async def ask(sql: str, *params: Any) -> Any:
            self._asked[sql] = params
            return await real(sql, *params)

        return ask


@pytest.fixture
async def filled(tmp_path: Path) -> AsyncIterator[tuple[PostgresStore, Any]]:
    """A store with much in it, of which the planner knows, and a connection to its database."""
    url = await database_of(tmp_path)
    conn = await asyncpg.connect(url)
    await conn.execute(_FILL)
    await conn.execute("VACUUM ANALYZE")
    store = await open_store("postgres", tmp_path, LIMITS)
    assert isinstance(store, PostgresStore)
    yield store, conn
    await store.close()
    await conn.close()
    await drop_database(tmp_path)


async def use(store: PostgresStore) -> None:
    """Go through what is about timelines, conversations, positions and presence."""
    asker, user, group = User(id=1, xid=1, name="", password=""), Party(9, 9, Scope.USER), 10_005
    await store.pages([(5, 100)], 200, MIB)
    await store.standings([(1, 1)])
    await store.bearings([(1, 1, timeline_id) for timeline_id in (1, *range(10_001, 10_050))])
    await store.reserve(1000)
    for opposite in (user, Party(group, group, Scope.GROUP), Party(10_100, 10_100, Scope.GROUP)):
        await store.history(asker, opposite, 0, 100)
    # One who is in that group.
    member = User(id=35, xid=35, name="", password="")
    await store.history(member, Party(group, group, Scope.GROUP), 0, 100)
    for who, opposite in (
        (asker, user),
        (member, Party(group, group, Scope.GROUP)),
        (asker, Party(10_100, 10_100, Scope.GROUP)),
    ):
        await look(store, who, opposite)
    for opposite in (user, Party(group, group, Scope.GROUP)):
        await store.put_off(35, opposite)
    await store.recent(1)
    await store.recent(1, group)
    await store.message(1, 5)
    await store.undelivered(35)
    await store.awaits(35, 5)
    await store.hour(1, 0, 3_600_000, 0, 1000, MIB)
    await store.readers(1, MESSAGES + 5, 0, 100)
    await store.transaction(1, 5, "5")
    await store.targets(1, 5, 9)
    await store.find_users(1, [1, 2])
    await store.nicknames(range(1, 50))
    await store.listed_counts({10_000 + n: range(1, 50) for n in range(1, 50)})
    await store.ensure_named(1, [f"user {number}" for number in range(9)], NOW)
    users = range(1, 61)
    acks = [Ack(usr, usr, 1, usr, 300, NOW, 10 * usr + 1) for usr in users]
    in_group = [Ack(usr, usr, 2, 10_000 + g, 300, NOW, 10 * usr + 2) for usr in users for g in range(1, 5)]
    await store.advance(acks + in_group)
    await store.keep([Keep(usr, 4, NOW, {usr: 0, group: 0}, ()) for usr in users])
    await store.keep([Keep(1, sn, NOW, {1: 0}, ()) for sn in range(5, 40)])
    await store.read(
        [ReadMark(usr, usr, opp, opp, Scope.USER, 0) for usr in range(1, 21) for opp in range(1, 4)]
        + [ReadMark(usr, usr, group, group, Scope.GROUP, 0) for usr in users]
    )
    await store.read([ReadMark(1, 1, 10_100, 10_100, Scope.GROUP, 0)])
    await store.attach([Attach(usr, 1, 1) for usr in users])
    await store.replaced([Attachment(usr, 1, 1) for usr in users])
    await store.outdated([(usr, 0) for usr in users])
    await store.attached(1)
    await store.present(list(users))
    await store.detach([Attachment(usr, 2, 10 * usr + 2) for usr in users])
    await store.dismiss(1)
    await store.beat(1)
    await store.leave(1)


async def look(store: PostgresStore, asker: User, opposite: Party) -> None:
    """Look for messages of a conversation in every way."""
    await store.spans(0, 3_600_000)
    for descending in (True, False):
        for root in (0, 5):
            sought = Sought(descending=descending, root=root, ctypes=frozenset({0}), scan=1000, limit=101)
            assert isinstance(await store.seek(asker, opposite, sought), Sighted)
    assert isinstance(await store.some(asker, opposite, range(MESSAGES - 50, MESSAGES + 50)), dict)
    await store.folded(asker, range(MESSAGES - 50, MESSAGES + 50), MIB)


async def scans_of_any(conn: Any, sql: str, count: int) -> list[str]:
    """Ask how the planner goes about a statement with whatever parameters, as it may once it has seen a few."""
    await conn.execute(f"PREPARE asked AS {sql}")
    try:
        return await scans(
            conn, f"EXECUTE asked ({', '.join(['NULL'] * count)})" if count else "EXECUTE asked"
        )
    finally:
        await conn.execute("DEALLOCATE asked")


async def test_no_statement_goes_through_a_table(
    filled: tuple[PostgresStore, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all that is asked, in batches, plans tell of index searches only."""
    store, conn = filled
    asked: dict[str, Any] = {}
    real = PostgresStore._tried

    async def listen(store: PostgresStore, pool: Any, work: Callable[[Any], Awaitable[T]], within: int) -> T:
        return await real(store, pool, lambda conn: work(Listener(conn, asked)), within)

    monkeypatch.setattr(PostgresStore, "_tried", listen)
    await use(store)
    monkeypatch.undo()
    assert len(asked) > 30
    # As autovacuum does in between, where it takes so long.
    await conn.execute("UPDATE conversation SET off = off")
    await conn.execute("ANALYZE")
    await conn.execute("SET plan_cache_mode = force_generic_plan")
    found = {}
    # First as the planner likes, which goes through a small table at times; then where it is told not to.
    for small in (SMALL, set()):
        for sql, params in asked.items():
            steps = [*await scans(conn, sql, *params), *await scans_of_any(conn, sql, len(params))]
            if steps := [step for step in steps if step.split()[-1] not in small]:
                found[" ".join(sql.split())] = steps
        await conn.execute("SET enable_seqscan = off")
    assert found == {}


async def test_a_scan_would_be_seen(filled: tuple[PostgresStore, Any]) -> None:
    """The test above can fail."""
    for sql, found in (
        ("SELECT * FROM message WHERE at = 1", ["Seq Scan of message"]),
        ("SELECT * FROM entry AS e WHERE msg_id = 1", ["Seq Scan of entry"]),
        ("SELECT msg_id FROM message ORDER BY msg_id LIMIT 10", ["Index Only Scan of message_pkey"]),
        ("UPDATE stay SET read = 1 WHERE usr = 1 AND grp = 2 AND to_seq IS NULL", []),
    ):
        assert await scans(filled[1], sql) == found
