"""What attaching costs, and what becomes of a connection while it attaches (issue: attaching costs two queries)."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateway.clock import now_ms
from gateway.core.attaching import Claim, EndedError
from gateway.core.connection import Connection
from gateway.domain.errors import Kind, Problem
from gateway.domain.positions import Standing
from gateway.wire.close import Close
from gateway.wire.effects import Effect
from gateway.wire.session import Session
from tests.channel.conftest import Start
from tests.channel.nodes import Sink
from tests.channel.stage import ALICE, APP, BOB, CAROL, Frame, Stage, ops, seqs, until

GROUPS = 500
HOUR_MS = 3_600_000


@pytest.fixture
async def still(start: Start) -> Stage:
    """A gateway that asks its store for nothing by itself while it is counted who does."""
    return await start(sweep_ms=HOUR_MS, expiry_sweep_ms=HOUR_MS, retention_sweep_ms=HOUR_MS, beat_ms=HOUR_MS)


async def join_groups(stage: Stage, uid: int, count: int) -> list[int]:
    """Make groups with this member, who has got everything in them; return their ids."""
    owner = await stage.principal(CAROL)
    groups = stage.near.core.groups
    made = await asyncio.gather(
        *(
            groups.create(owner, name="", description="", avatar="", kind=0, members=(uid,))
            for _ in range(count)
        )
    )
    await stage.sql(
        "UPDATE stay SET delivered = (SELECT head FROM timeline WHERE id = grp) "
        "WHERE usr = (SELECT id FROM timeline WHERE xid = ?)",
        uid,
    )
    await stage.sql(
        "UPDATE user SET delivered = (SELECT head FROM timeline WHERE timeline.id = user.id) "
        "WHERE id = (SELECT id FROM timeline WHERE xid = ?)",
        uid,
    )
    return [group.xid for group, _ in made]


def count_queries(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the visits to the store from now on, and what pages were read."""
    store, counted = stage.gateway.store, Counter[str]()

    def counting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def count(*args: Any) -> Any:
            counted[name] += 1
            return real(*args)

        return count

    for name in ("_look", "_write", "append", "pages"):
        monkeypatch.setattr(store, name, counting(name, getattr(store, name)))
    return counted


@pytest.mark.one_node("it counts what a store of one process is asked")
async def test_attaching_with_500_groups_costs_two_queries(
    still: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stays and head, then heads and cursors: two reads, no write, whatever the number of groups."""
    await join_groups(still, BOB, GROUPS)
    token = await still.token(BOB)
    counted = count_queries(still, monkeypatch)
    peer = await still.connect(BOB, token=token)
    assert await peer.hear() == {"op": "live"}
    assert len(peer.welcome["cursors"]) == GROUPS + 1
    assert counted == {"_look": 2}


@pytest.mark.one_node("it counts what a store of one process is asked")
async def test_attaching_reads_only_what_is_behind(still: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 500 groups only the three with something new are read, and those together."""
    groups = await join_groups(still, BOB, GROUPS)
    for group in groups[:3]:
        await still.send(CAROL, group, scope=2)
    token = await still.token(BOB)
    counted = count_queries(still, monkeypatch)
    frames = await (await still.connect(BOB, token=token)).until("live")
    assert {frame.get("timeline") for frame in frames} == {f"g:{group}" for group in groups[:3]} | {None}
    assert counted == {"_look": 3, "pages": 1}


@pytest.mark.one_node("it counts what a store of one process is asked")
async def test_devices_that_come_at_once_are_read_together(
    still: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One query for all of them, one more for those who are in groups, and each is told of its own."""
    stage = still
    groups = await join_groups(stage, BOB, 3)
    directory, attaching = stage.gateway.directory, stage.gateway.channel._attaching
    found = [(await directory.identify(APP, await stage.token(uid)))[0] for uid in (ALICE, BOB, CAROL)]
    store, asked = stage.gateway.store, Counter[str]()

    def counting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def count(about: Sequence[Any]) -> Any:
            asked.update([name] * len(about), **{f"{name} at once": 1})
            return real(about)

        return count

    for name in ("standings", "bearings"):
        monkeypatch.setattr(store, name, counting(name, getattr(store, name)))
    sinks = [(one, Sink()) for one in found for _ in range(5)]
    connections = await asyncio.gather(
        *(
            attaching.attach(one.app, one.user, Claim(device_sn=sn), sink, now_ms() + 60_000)
            for sn, (one, sink) in enumerate(sinks, 1)
        )
    )
    assert asked == {"standings": 15, "standings at once": 1, "bearings": 30, "bearings at once": 1}
    for one, sink in sinks:
        welcome = sink.frames[0]
        assert (welcome["op"], welcome["uid"]) == ("welcome", one.user.xid)
        mine = groups if one.user.xid in (BOB, CAROL) else []
        assert set(welcome["cursors"]) == {"user", *(f"g:{group}" for group in mine)}
    for connection in connections:
        stage.hub.detach(connection)


@pytest.mark.one_node("it takes from what one process's store answers")
@pytest.mark.parametrize("query", ["standings", "bearings"])
async def test_who_is_not_there_harms_nobody_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """Of devices that attach together each gets its own, also where a restored store does not know one of them."""
    [group], own = await join_groups(stage, BOB, 1), await stage.group(CAROL)
    gateway = stage.gateway
    directory, attaching, store = gateway.core.directory, gateway.channel._attaching, gateway.store
    alice, carol, bob = [
        (await directory.identify(APP, await stage.token(uid)))[0] for uid in (ALICE, CAROL, BOB)
    ]
    answer, [lost_group] = getattr(store, query), await store.parties(carol.app.id, (own,))
    assert lost_group is not None
    unknown = {carol.user.id, lost_group.id}

    async def restored(asked: Sequence[tuple[int, ...]]) -> list[Any]:
        known = [one for one in asked if one[-1 if query == "bearings" else 0] not in unknown]
        found = iter(await answer(known))
        nobody = Standing(-1, 0, kept=False, cursor=-1, stays=[])
        if query == "bearings":
            return list(found)
        return [next(found) if one in known else nobody for one in asked]

    monkeypatch.setattr(store, query, restored)
    sinks = [Sink() for _ in range(3)]
    first, lost, last = await asyncio.gather(
        *(
            attaching.attach(one.app, one.user, Claim(device_sn=1), sink, now_ms() + 60_000)
            for one, sink in zip((alice, carol, bob), sinks, strict=True)
        ),
        return_exceptions=True,
    )
    assert isinstance(lost, Problem)
    assert lost.kind is Kind.STORE_FAILED
    assert sinks[1].frames == []
    assert [(sink.frames[0]["uid"], set(sink.frames[0]["cursors"])) for sink in (sinks[0], sinks[2])] == [
        (ALICE, {"user"}),
        (BOB, {"user", f"g:{group}"}),
    ]
    assert carol.user.id not in stage.hub.followed()
    for connection in (first, last):
        assert isinstance(connection, Connection)
        stage.hub.detach(connection)


@pytest.mark.one_node("it holds up a store of one process")
async def test_who_attaches_does_not_wait_for_a_query_that_hangs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes later goes past those who share it."""
    waits, may_go = await hold_standings(stage, monkeypatch)
    held = asyncio.create_task(stage.connect(BOB))
    await waits.wait()
    assert await (await stage.connect(CAROL)).hear() == {"op": "live"}
    may_go.set()
    assert await (await held).hear() == {"op": "live"}


@pytest.mark.one_node("it counts what one transport is written")
async def test_who_has_nothing_to_get_is_written_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """`live` goes with `welcome`, and is a frame of its own where something is replayed first."""
    written: list[int] = []
    write = Sink.write

    def noted(sink: Sink, data: bytes) -> None:
        before = len(sink.frames)
        write(sink, data)
        written.append(len(sink.frames) - before)

    monkeypatch.setattr(Sink, "write", noted)
    principal, _ = await stage.gateway.directory.identify(APP, await stage.token(BOB))
    attach = stage.gateway.channel._attaching.attach
    ends = now_ms() + 60_000
    first = await attach(principal.app, principal.user, Claim(device_sn=1), Sink(), ends)
    assert written == [2]
    await stage.send(ALICE, BOB)
    assert written == [2, 1]
    sink = Sink()
    second = await attach(principal.app, principal.user, Claim(device_sn=2), sink, ends)
    await until(lambda: len(sink.frames) == 3, "the replay")
    assert [frame["op"] for frame in sink.frames] == ["welcome", "message", "live"]
    for connection in (first, second):
        stage.hub.detach(connection)


async def hold_standings(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> tuple[asyncio.Event, asyncio.Event]:
    """Make the next query of attaching wait; return what tells that it does, and what lets it go on."""
    waits, may_go = asyncio.Event(), asyncio.Event()
    standings = stage.gateway.store.standings

    async def slow(asked: Sequence[tuple[int, int]]) -> list[Standing]:
        monkeypatch.setattr(stage.gateway.store, "standings", standings)
        found = await standings(asked)
        waits.set()
        await may_go.wait()
        return found

    monkeypatch.setattr(stage.gateway.store, "standings", slow)
    return waits, may_go


async def test_what_is_committed_while_attaching_arrives(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message committed after the heads were read, before the replay began, comes in its place."""
    await stage.send(ALICE, BOB)
    waits, may_go = await hold_standings(stage, monkeypatch)
    connecting = asyncio.create_task(stage.connect(BOB))
    await waits.wait()
    await stage.send(ALICE, BOB)
    may_go.set()
    peer = await connecting
    assert seqs(await peer.take(3)) == [1, 2]


async def test_group_joined_while_attaching_is_followed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A membership entry above the snapshot of the stays is obeyed when it is written."""
    waits, may_go = await hold_standings(stage, monkeypatch)
    connecting = asyncio.create_task(stage.connect(BOB))
    await waits.wait()
    group = await stage.group(ALICE, BOB)
    await stage.send(ALICE, group, scope=2)
    may_go.set()
    peer = await connecting
    frames: list[Frame] = []
    while seqs(frames, f"g:{group}") != [1, 2]:
        frames.append(await peer.hear())
    assert seqs(frames) == [1]


async def test_device_replaced_while_it_attaches_hears_one_bye(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that a newer one overtakes is told so, once, and leaves nothing."""
    waits, may_go = await hold_standings(stage, monkeypatch)
    older = await stage.raw(BOB, 1)
    await waits.wait()
    newer = await stage.connect(BOB, 1)
    may_go.set()
    await newer.until("live")
    frames, code, _ = await older.end()
    assert (ops(frames), code) == (["bye"], Close.REPLACED)
    assert len(stage.hub.connections) == 1


async def test_device_that_attaches_while_the_node_drains_hears_why(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to come back, once, and whoever attached it that it was ended, not refused."""
    ends: list[type[BaseException]] = []
    attaching = stage.gateway.channel._attaching
    attach = attaching.attach

    async def noted(*asked: Any) -> Connection:
        try:
            return await attach(*asked)
        except BaseException as error:
            ends.append(type(error))
            raise

    monkeypatch.setattr(attaching, "attach", noted)
    waits, may_go = await hold_standings(stage, monkeypatch)
    raw = await stage.raw(BOB, 1)
    await waits.wait()
    await stage.gateway._say_bye()
    may_go.set()
    frames, code, _ = await raw.end()
    assert (ops(frames), code) == (["bye"], Close.DRAINING)
    assert frames[0]["retry_after_ms"] > 0
    assert ends == [EndedError]


async def test_device_that_goes_while_it_attaches_leaves_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that is cut in the middle of attaching is forgotten."""
    headers = {"access-token": await stage.token(BOB)}
    waits, may_go = await hold_standings(stage, monkeypatch)
    peer = await stage.open({"app_id": APP}, headers=headers)
    await waits.wait()
    peer.cut()
    may_go.set()
    await until(lambda: stage.empty)
    assert stage.empty


async def test_detached_connection_is_freed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """No timer holds a connection until its token expires, and no look at all of them until the next."""
    stage = await start(heartbeat_ms=1_000)
    looked = False

    def session_tick(session: Session, now: int) -> list[Effect]:
        nonlocal looked
        looked = True
        return tick(session, now)

    tick = Session.tick
    monkeypatch.setattr(Session, "tick", session_tick)
    peer = await stage.connect(BOB, 1234567, token=await stage.token(BOB, ttl_s=3600))
    await peer.until("live")
    await until(lambda: looked)
    await peer.close()
    await until(lambda: stage.empty)

    def held() -> list[Connection]:
        gc.collect()
        return [one for one in gc.get_objects() if type(one) is Connection and one.device_sn == 1234567]

    # Nodes that share a store ask it about who has come, soon after that.
    await until(lambda: not held(), "the connection being freed")


async def test_store_that_fails_while_attaching_sends_the_device_back_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that cannot answer is no reason to stay away for good."""
    headers = {"access-token": await stage.token(BOB)}
    await stage.connect(BOB, 2)
    monkeypatch.setattr(stage.gateway.store, "_closed", True)
    peer = await stage.open({"app_id": APP}, headers=headers)
    ended = await peer.end()
    monkeypatch.undo()
    assert ended.code == Close.STORE_FAILED
    assert ended.bye["code"] == Close.STORE_FAILED
