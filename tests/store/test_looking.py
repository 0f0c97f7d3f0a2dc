"""Looking for messages: how much of a conversation is examined, where spans of time lie, and what is folded into what.

That the right ones are found is tried through the core (tests/core/test_looking.py).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from gateway.domain.drafts import Changed
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import BlockDraft
from gateway.domain.limits import Limits
from gateway.domain.model import FOREVER, ROOM, SAFE_MAX, Action, HistoryItem, Side, Status
from gateway.store.base import Fold, Folds, Sighted, Sought
from gateway.store.postgres.engine import PostgresStore
from gateway.store.rows import HIDING
from gateway.store.sqlite.lane import Lane
from tests.postgres import clear_database
from tests.store.grouping import change
from tests.store.stage import MIB, NOW, Stage

T = TypeVar("T")
HOUR = 3_600_000
MANY = 20_000
"""So many messages lie in a conversation, from the id MANY on, of which one is what is looked for."""


async def seek(stage: Stage, xid: int, opposite: int, **sought: Any) -> Sighted | Kind:
    """Look for messages of a conversation."""
    told = {"scan": 100, "limit": 100, **sought}
    return await stage.store.seek(await stage.user(xid), await stage.party(opposite), Sought(**told))


async def some(stage: Stage, xid: int, opposite: int, *msg_ids: int) -> dict[int, HistoryItem] | Kind:
    """Read some messages of a conversation."""
    return await stage.store.some(await stage.user(xid), await stage.party(opposite), msg_ids)


# -- how much is examined -------------------------------------------------------------------------------


@pytest.fixture
async def crowded(engine: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A store whose tables were written by hand: nobody asks whether it keeps the laws."""
    async with Stage(engine, tmp_path / "data") as made:
        yield made
    await clear_database(tmp_path / "data")


async def crowd(stage: Stage, target: int, peer: int, sender: int, flags: int = 0, related: int = 0) -> int:
    """Fill a conversation with what nobody looks for, and one that somebody does; return its id."""
    await stage.alter(f"""
        INSERT INTO message
            (msg_id, target, peer, sender, device_sn, seq, ctype, flags, at, body, shown, related, expires_at)
        WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY - 1})
        SELECT {MANY} + i, {target}, {peer}, {sender}, 0, 1 + i, 0, {flags}, {NOW}, NULL, 1, {related}, 0 FROM n""")
    if flags:
        await stage.alter(
            f"INSERT INTO hidden (msg_id, usr) SELECT msg_id, {sender} FROM message WHERE flags > 0"
        )
    one = MANY + MANY // 2
    await stage.alter(f"UPDATE message SET ctype = 6, flags = 0 WHERE msg_id = {one}")
    if stage.engine == "postgres":
        await stage.alter("ANALYZE message, hidden")
    return one


def steps_of(plan: dict[str, Any]) -> float:
    """How many rows the steps of a plan have gone through."""
    here = plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))
    return float(here) + sum(steps_of(inner) for inner in plan.get("Plans", ()))


class Examined:
    """What each query has done while `watching`: steps of SQLite's machine, or rows that PostgreSQL went through."""

    def __init__(self) -> None:
        self.watching = False
        self.noted: list[float] = []

    def on_sqlite(self, work: Callable[[sqlite3.Connection], T], conn: sqlite3.Connection) -> T:
        self.noted.append(0)

        def step() -> None:
            self.noted[-1] += 10

        conn.set_progress_handler(step, 10)
        try:
            return work(conn)
        finally:
            conn.set_progress_handler(None, 0)

    async def on_postgres(self, work: Callable[[Any], Awaitable[T]], conn: Any) -> T:
        real = conn.fetch

        async def fetch(sql: str, *params: Any) -> Any:
            [(plan,)] = await real(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *params)
            self.noted.append(steps_of(json.loads(plan)[0]["Plan"]))
            return await real(sql, *params)

        return await work(SimpleNamespace(fetch=fetch))


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Examined:
    made, run, tried = Examined(), Lane.run, PostgresStore._tried

    async def on_sqlite(lane: Lane, work: Callable[[sqlite3.Connection], T]) -> T:
        return await run(lane, partial(made.on_sqlite, work) if made.watching else work)

    async def on_postgres(
        store: PostgresStore, pool: Any, work: Callable[[Any], Awaitable[T]], within: int
    ) -> T:
        return await tried(store, pool, partial(made.on_postgres, work) if made.watching else work, within)

    monkeypatch.setattr(Lane, "run", on_sqlite)
    monkeypatch.setattr(PostgresStore, "_tried", on_postgres)
    return made


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("kind", ["users", "hidden", "replies"])
async def test_no_call_examines_more_than_it_is_told_to(
    crowded: Stage, examined: Examined, kind: str, *, descending: bool
) -> None:
    """Of 20,000 messages one is found piece by piece; each call does what one of a short conversation does."""
    stage = crowded
    group, root = await stage.group(1, 2), (await stage.send(1, 2)).first_msg_id
    first, second, in_group = await stage.id(1), await stage.id(2), await stage.id(group)
    if kind == "hidden":
        one = await crowd(stage, in_group, 0, first, HIDING)
    else:
        one = await crowd(stage, second, first, first, related=root if kind == "replies" else 0)
    scan = stage.limits.look_scan_max
    told: dict[str, Any] = {"scan": scan, "ctypes": frozenset({6}), "descending": descending, "limit": 5}
    user, party = await stage.user(1), await stage.party(group if kind == "hidden" else 2)
    found: list[int] = []
    calls, last, first = 0, SAFE_MAX, 1
    examined.watching = True
    while True:
        sought = Sought(**told, first=first, last=last, root=root if kind == "replies" else 0)
        sighted = await stage.store.seek(user, party, sought)
        assert isinstance(sighted, Sighted)
        found, calls = found + sighted.msg_ids, calls + 1
        if not sighted.upto:
            break
        first, last = (first, sighted.upto - 1) if descending else (sighted.upto + 1, last)
    assert (found, calls) == ([one], MANY // scan + 1)
    # What one message takes, with some room; all of them would take far more.
    assert max(examined.noted) < {"sqlite": 60, "postgres": 15}[stage.engine] * scan


async def test_what_is_folded_is_found_beside_any_number_of_answers(
    crowded: Stage, examined: Examined
) -> None:
    """They are not looked through for it."""
    stage = crowded
    root = (await stage.send(1, 2)).first_msg_id
    await stage.send(1, 2, ctype=11, content="more", related=root)
    user = await stage.user(2)
    await crowd(stage, user.id, await stage.id(1), await stage.id(1), related=root)
    examined.watching = True
    assert await stage.store.folded(user, [root], MIB) == Folds({root: [Fold(11, "more", "")]}, 1)
    assert max(examined.noted) < 1_000


async def test_it_stops_where_enough_are_found(stage: Stage) -> None:
    """`upto` is the last one examined: the last found, where they are as many as asked for; 0 after the last of all."""
    ids = [(await stage.send(1 + n % 2, 2 - n % 2, ctype=n % 3)).first_msg_id for n in range(9)]
    assert await seek(stage, 1, 2, limit=4) == Sighted(ids[:-5:-1], ids[-4])
    assert await seek(stage, 1, 2, limit=4, descending=False) == Sighted(ids[:4], ids[3])
    assert await seek(stage, 1, 2, scan=4) == Sighted(ids[:-5:-1], ids[-4])
    assert await seek(stage, 1, 2, scan=4, descending=False) == Sighted(ids[:4], ids[3])
    assert await seek(stage, 1, 2, scan=4, ctypes=frozenset({0, 1})) == Sighted([ids[7], ids[6]], ids[5])
    assert await seek(stage, 1, 2, scan=4, ctypes=frozenset({7})) == Sighted([], ids[5])
    assert await seek(stage, 1, 2, first=ids[2], last=ids[4]) == Sighted(ids[4:1:-1], 0)
    assert await seek(stage, 1, 2, first=1, last=0) == Sighted([], 0)


async def test_times_are_inclusive(stage: Stage) -> None:
    """At both ends, and those that messages show: of what was imported when it was sent elsewhere."""
    early = (await stage.send(1, 2, at=NOW)).first_msg_id
    late = (await stage.send(1, 2, at=NOW + 2)).first_msg_id
    old = await stage.bring(1, 2, at=NOW + 3, shown_at=NOW - 5)
    for from_ms, to_ms, expected in (
        (NOW, NOW + 2, [late, early]),
        (NOW + 1, NOW + 1, []),
        (NOW - 5, NOW - 5, [old]),
        (NOW + 3, NOW + 3, []),
        (0, FOREVER, [old, late, early]),
    ):
        assert await seek(stage, 2, 1, from_ms=from_ms, to_ms=to_ms) == Sighted(expected, 0)


# -- where spans of time lie ----------------------------------------------------------------------------


def covers(spans: list[tuple[int, int]], msg_id: int) -> bool:
    return any(first <= msg_id <= last for first, last in spans)


async def test_a_span_of_time_lies_between_ids(stage: Stage) -> None:
    """All messages of its hours lie there, and what lies far from them does not."""
    ids = []
    for hour in (0, 1, 5, 1):
        ids.append((await stage.send(1, 2, at=NOW + hour * HOUR)).first_msg_id)
        await stage.store.reserve(5_000_000)
    spans = await stage.store.spans(NOW, NOW + 1)
    assert [covers(spans, msg_id) for msg_id in ids] == [True, False, False, False]
    spans = await stage.store.spans(NOW + HOUR, NOW + 2 * HOUR)
    # The clock went back: the last was sent in an hour that had been.
    assert [covers(spans, msg_id) for msg_id in ids] == [False, True, True, True]
    assert await stage.store.spans(NOW + 7 * HOUR, NOW + 8 * HOUR) == []


async def test_what_was_imported_may_be_of_any_time(stage: Stage) -> None:
    """Its ids are a span of their own, or one with the other where they meet."""
    old = await stage.bring(1, 2)
    await stage.store.reserve(5_000_000)
    new = (await stage.send(1, 2, at=NOW + 5 * HOUR)).first_msg_id
    alone, first = await stage.store.spans(NOW + 5 * HOUR, NOW + 5 * HOUR)
    assert alone == (old, old)
    assert first[0] == new <= first[1]
    assert await stage.store.spans(0, 1) == [(old, old)]
    await stage.bring(1, 2)
    assert len(await stage.store.spans(NOW + 5 * HOUR, NOW + 5 * HOUR)) == 1


async def test_too_many_hours_are_not_looked_up(stage: Stage) -> None:
    """Then messages may lie anywhere; so many as the bound are."""
    await stage.restart(Limits(look_hours_max=2))
    for hour in range(3):
        await stage.send(1, 2, at=NOW + hour * HOUR)
    assert await stage.store.spans(0, FOREVER) == [(1, SAFE_MAX)]
    assert await stage.store.spans(NOW, NOW + HOUR) != [(1, SAFE_MAX)]


# -- those one asks for by id ---------------------------------------------------------------------------


async def test_some_are_those_that_pages_show(stage: Stage) -> None:
    """As pages show them; none of what is recalled, hidden, folded or elsewhere."""
    ids = [(await stage.send(1, 2)).first_msg_id]
    await stage.delete(2, 1)
    ids += [(await stage.send(1 + n % 2, 2 - n % 2)).first_msg_id for n in range(3)]
    recalled = (await stage.send(1, 2)).first_msg_id
    await stage.recall(recalled)
    folded = (await stage.send(1, 2, ctype=11, related=ids[1])).first_msg_id
    notice = (await stage.send(1, 2, notice=True, copied=False)).first_msg_id
    elsewhere = (await stage.send(1, 3)).first_msg_id
    await stage.read(2, 1)
    asked = (*ids, recalled, folded, notice, elsewhere, 4711)
    for xid, expected in ((1, ids), (2, [*ids[1:], notice])):
        found = await some(stage, xid, 3 - xid, *asked)
        page = await stage.history(xid, 3 - xid)
        assert found == {item.msg_id: item for item in page.items}
        assert isinstance(found, dict)
        assert sorted(found) == expected


async def test_some_of_a_group(stage: Stage) -> None:
    """From one's stay on, of all of them and of oneself; not what is kept from one's pages, or another's alone."""
    group = await stage.group(1, 2)
    before = (await stage.say(1, group)).first_msg_id
    await stage.join(group, 3)
    said, back = [(await stage.say(xid, group)).first_msg_id for xid in (1, 3)]
    hidden = (await stage.say(1, group, hide_from=(3,))).first_msg_id
    mine, theirs = (await stage.whisper(1, group, 3, 2)).first_msg_id, 0
    theirs = mine + 1
    asked = (before, said, back, hidden, mine, theirs, (await stage.send(1, 3)).first_msg_id)
    for xid, expected in (
        (1, [before, said, back, hidden, mine, theirs]),
        (2, [before, said, back, hidden, theirs]),
        (3, [said, back, mine]),
    ):
        found = await some(stage, xid, group, *asked)
        assert found == {item.msg_id: item for item in (await stage.history(xid, group)).items}
        assert isinstance(found, dict)
        assert sorted(found) == expected
    assert await some(stage, 4, group, *asked) is Kind.NOT_A_MEMBER
    assert await seek(stage, 4, group) is Kind.NOT_A_MEMBER


async def test_in_a_chatroom(stage: Stage) -> None:
    """Anybody looks who is not kept out, until it ends."""
    made = await stage.append(stage.creation(1, type=ROOM))
    assert isinstance(made, Changed)
    room = made.xid
    said = (await stage.say(1, room)).first_msg_id
    assert await seek(stage, 2, room) == Sighted([said], 0)
    found = await some(stage, 2, room, said)
    assert isinstance(found, dict)
    assert found[said].status is Status.UNREAD
    await change(stage, room, BlockDraft, user_xids=(2,), blocked=True)
    assert await seek(stage, 2, room) is await some(stage, 2, room, said) is Kind.GROUP_BLOCKED
    await stage.change(room, Action.DESTROYED)
    assert await seek(stage, 3, room) is await some(stage, 3, room, said) is Kind.GROUP_UNKNOWN


# -- what is folded -------------------------------------------------------------------------------------


async def test_what_is_folded_into_many(stage: Stage) -> None:
    """By rising id, of each; nothing of what was taken back, and nothing of what has nothing."""
    first, second, third = [(await stage.send(1, 2)).first_msg_id for _ in range(3)]
    sent = 0
    for root, ctype, content in ((first, 11, "a"), (third, 12, "b"), (first, 12, "c"), (first, 11, "d")):
        told = {"ctype": ctype, "content": content, "attachment": f"<{content}>", "related": root}
        sent = (await stage.send(1, 2, **told)).first_msg_id
    await stage.recall(sent)
    # Nor of what has passed, or is another side's alone.
    await stage.send(1, 2, ctype=11, related=first, passing=True)
    await stage.send(1, 2, ctype=11, content="own", related=first, side=Side.SENDER)
    user = await stage.user(2)
    found = await stage.store.folded(user, [third, second, first], MIB)
    of_first, of_third = [Fold(11, "a", "<a>"), Fold(12, "c", "<c>")], [Fold(12, "b", "<b>")]
    assert found == Folds({third: of_third, first: of_first}, 3)
    assert await stage.store.folded(user, [], MIB) == Folds({}, 0)
    await stage.send(1, 2, ctype=11, content="e", related=first, side=Side.RECEIVER, copied=False)
    for asker, expected in (
        (user, [*of_first, Fold(11, "e", "")]),
        (await stage.user(1), [*of_first, Fold(11, "own", "")]),
    ):
        assert await stage.store.folded(asker, [first], MIB) == Folds({first: expected}, 1)


async def test_what_is_folded_is_read_in_pieces(stage: Stage) -> None:
    """Cut between messages, by what their folds are of; of one message at the least."""
    plain, *roots = [(await stage.send(1, 2)).first_msg_id for _ in range(4)]
    for root in roots:
        for _ in range(2):
            await stage.send(1, 2, ctype=11, content="x" * 1000, related=root)
    user, told = await stage.user(2), [Fold(11, "x" * 1000, "")] * 2
    assert await stage.store.folded(user, [plain, *roots], 2_000) == Folds({roots[0]: told}, 2)
    assert await stage.store.folded(user, [*roots, plain], 3_999) == Folds({roots[0]: told}, 1)
    assert await stage.store.folded(user, roots, 4_000) == Folds({roots[0]: told, roots[1]: told}, 2)
    assert await stage.store.folded(user, roots, 1) == Folds({roots[0]: told}, 1)
    assert await stage.store.folded(user, [*roots, plain], 6_000) == Folds(dict.fromkeys(roots, told), 4)
