"""The device client in chatrooms: joining, leaving, and coming back into them by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.client.device import Device
from gateway.client.errors import CallError
from tests.client.stage import Connection, Frame, Naps, Stage, entry, seqs, take, welcome
from tests.patience import WAIT_S

ROOM = "r:5"


def ok(ref: object, seq: int, timeline: str = ROOM) -> Frame:
    return {"op": "ok", "ref": ref, "timeline": timeline, "seq": seq}


async def joined(device: Device, connection: Connection, seq: int) -> None:
    """Let a device that is attached join, and the server answer that it starts after `seq`."""
    joining = asyncio.create_task(device.join(5))
    said = await connection.hear()
    assert said is not None
    assert {name: said[name] for name in ("op", "room_id")} == {"op": "join", "room_id": 5}
    assert "seq" not in said
    await connection.say(ok(said["ref"], seq))
    assert (await joining)["seq"] == seq


@asynccontextmanager
async def inside(stage: Stage, seq: int = 40, **options: Any) -> AsyncIterator[tuple[Device, Connection]]:
    """A device that is attached and in the chatroom after `seq`, and its connection."""
    async with stage.device(**options) as device:
        connection = await stage.accept()
        await connection.say(welcome())
        await joined(device, connection, seq)
        yield device, connection


async def turns(condition: Callable[[], object]) -> None:
    """Wait until something is true, turn by turn of the loop."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - turn by turn of the loop
            await asyncio.sleep(0)


async def back(device: Device, stage: Stage, connection: Connection, **told: Any) -> Connection:
    """Cut the connection and accept the next one, up to its `welcome`."""
    before = device.tally["connections"]
    connection.cut()
    again = await stage.accept()
    assert (await again.hear() or {})["op"] == "hello"
    await again.say(welcome(**told))
    await turns(lambda: device.tally["connections"] != before)
    assert [frame["op"] for frame in await take(device, 1)] == ["welcome"]
    return again


async def test_join_says_where_it_starts_and_entries_come(stage: Stage) -> None:
    """Entries of a chatroom come after the seq of the `ok`, and are never acked."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome(), {"op": "live"})
        await joined(device, connection, 40)
        await connection.say(entry(41, ROOM), entry(42, ROOM), entry(1))
        assert seqs(await take(device, 5)) == [41, 42, 1]
        assert device.cursors == {"user": 0}
        await device.close()
        assert await connection.hear_rest() == []


async def test_join_at_a_seq(stage: Stage) -> None:
    """The seq that is asked for is said; a gap is an entry like any other."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome())
        joining = asyncio.create_task(device.join(5, 3))
        assert await connection.hear() == {"op": "join", "ref": 1, "room_id": 5, "seq": 3}
        gap = {"op": "gap", "timeline": ROOM, "from": 4, "to": 9, "reason": "retention"}
        await connection.say(ok(1, 3), gap, entry(10, ROOM))
        await joining
        assert (await take(device, 3))[1:] == [gap, entry(10, ROOM)]


async def test_a_refused_join_is_raised_and_not_repeated(stage: Stage) -> None:
    """Nothing comes of it, on the next connection neither."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome())
        joining = asyncio.create_task(device.join(5))
        await connection.hear()
        await connection.say({"op": "error", "ref": 1, "code": 20001, "message": "no"})
        with pytest.raises(CallError):
            await joining
        await take(device, 1)
        again = await back(device, stage, connection)
        await device.close()
        assert await again.hear_rest() == []


async def test_a_new_connection_joins_again_from_what_is_held(stage: Stage) -> None:
    """What the application was handed does not come again, what it was not comes."""
    async with inside(stage) as (device, connection):
        await connection.say(entry(41, ROOM), entry(42, ROOM))
        assert seqs(await take(device, 2)) == [41]
        again = await back(device, stage, connection)
        assert await again.hear() == {"op": "join", "ref": ROOM, "room_id": 5, "seq": 41}
        await again.say(ok(ROOM, 41), entry(42, ROOM), entry(43, ROOM))
        assert await take(device, 2) == [entry(42, ROOM), entry(43, ROOM)]
        assert not device.tally["gap"]


async def test_another_epoch_makes_every_seq_forgotten(stage: Stage) -> None:
    """It joins at the head, wherever that is now."""
    async with inside(stage) as (device, connection):
        await take(device, 1)
        again = await back(device, stage, connection, epoch="e2")
        assert await again.hear() == {"op": "join", "ref": ROOM, "room_id": 5}
        await again.say(ok(ROOM, 2), entry(3, ROOM))
        assert await take(device, 1) == [entry(3, ROOM)]


async def test_the_server_may_start_below_what_was_asked(stage: Stage) -> None:
    """What its `ok` says counts."""
    async with inside(stage) as (device, connection):
        await take(device, 1)
        again = await back(device, stage, connection)
        await again.hear()
        await again.say(ok(ROOM, 7), entry(8, ROOM))
        assert await take(device, 1) == [entry(8, ROOM)]
        last = await back(device, stage, again)
        assert (await last.hear() or {})["seq"] == 8


async def test_what_cannot_be_joined_again_is_told(stage: Stage) -> None:
    """The application gets the `error`, once: the chatroom is given up."""
    async with inside(stage) as (device, connection):
        await take(device, 1)
        again = await back(device, stage, connection)
        await again.hear()
        error = {"op": "error", "ref": ROOM, "code": 20001, "message": "no"}
        await again.say(error)
        assert await take(device, 1) == [error]
        last = await back(device, stage, again)
        await device.close()
        assert await last.hear_rest() == []


async def test_after_leaving_it_stays_away(stage: Stage) -> None:
    """What is on its way still comes; the next connection says nothing of the chatroom."""
    async with inside(stage) as (device, connection):
        leaving = asyncio.create_task(device.leave(5))
        assert await connection.hear() == {"op": "leave", "ref": 2, "room_id": 5}
        await connection.say(entry(41, ROOM), {"op": "ok", "ref": 2})
        await leaving
        assert (await take(device, 2))[1] == entry(41, ROOM)
        again = await back(device, stage, connection)
        await device.close()
        assert await again.hear_rest() == []


@pytest.mark.parametrize(
    "told",
    [
        {"op": "group", "action": "kicked", "group_id": 5, "user_ids": [7]},
        {"op": "group", "timeline": ROOM, "seq": 41, "action": "destroyed", "group_id": 5, "user_ids": []},
    ],
)
async def test_after_the_end_it_stays_away(stage: Stage, told: Frame) -> None:
    """Put out, or the chatroom has ended: the application is told, and nobody comes back."""
    async with inside(stage) as (device, connection):
        await connection.say(told)
        assert (await take(device, 2))[1] == told
        again = await back(device, stage, connection)
        await device.close()
        assert await again.hear_rest() == []


async def test_the_end_of_a_chatroom_outlives_its_connection(stage: Stage) -> None:
    """What nobody has read yet when the connection goes is not lost where no new one brings it again."""
    async with inside(stage) as (device, connection):
        end = {
            "op": "group",
            "timeline": ROOM,
            "seq": 42,
            "action": "destroyed",
            "group_id": 5,
            "user_ids": [],
        }
        await connection.say(entry(41, ROOM), end, {"op": "live"})
        await take(device, 1)
        await turns(lambda: device._live)
        connection.cut()
        again = await stage.accept()
        await again.hear()
        await again.say(welcome())
        await turns(lambda: device.tally["connections"] == 2)
        assert [frame["op"] for frame in await take(device, 4)] == ["message", "group", "live", "welcome"]


@pytest.mark.parametrize(("seq", "tallied"), [(43, "gap"), (40, "duplicate")])
async def test_the_law_holds_in_chatrooms_too(stage: Stage, seq: int, tallied: str) -> None:
    """A seq that is not the next one breaks the protocol."""
    async with inside(stage, seq=41) as (device, connection):
        await connection.say(entry(seq, ROOM), entry(42, ROOM))
        if tallied == "duplicate":
            assert (await take(device, 2))[1] == entry(42, ROOM)
        else:
            await connection.hear_rest()
        assert device.tally[tallied] == 1


async def test_joining_again_changes_nothing(stage: Stage) -> None:
    """Its `ok` says how far the server has got; what the application was handed stays."""
    async with inside(stage) as (device, connection):
        await connection.say(entry(41, ROOM), entry(42, ROOM))
        await joined(device, connection, 42)
        assert seqs(await take(device, 2)) == [41]
        again = await back(device, stage, connection)
        assert (await again.hear() or {})["seq"] == 41


async def test_an_answer_that_nobody_waits_for_holds(stage: Stage) -> None:
    """The call was lost, and the server's `ok` comes after all: what follows is no breach."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome())
        await connection.say(ok(99, 40), entry(41, ROOM))
        assert (await take(device, 3))[2] == entry(41, ROOM)
        assert not device.tally["gap"]


async def test_left_while_it_is_joined_again_it_stays_away(stage: Stage) -> None:
    """The `ok` of a join that was under way does not bring back who has left."""
    async with inside(stage) as (device, connection):
        await take(device, 1)
        again = await back(device, stage, connection)
        await again.hear()
        leaving = asyncio.create_task(device.leave(5))
        assert await again.hear() == {"op": "leave", "ref": 2, "room_id": 5}
        await again.say(ok(ROOM, 40), entry(41, ROOM), {"op": "ok", "ref": 2})
        await leaving
        assert await take(device, 1) == [entry(41, ROOM)]
        last = await back(device, stage, again)
        await device.close()
        assert await last.hear_rest() == []


async def test_left_while_it_joins_it_stays_away(stage: Stage) -> None:
    """The `ok` of the application's own join, which comes before that of its `leave`, does not either."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome())
        joining = asyncio.create_task(device.join(5))
        await connection.hear()
        leaving = asyncio.create_task(device.leave(5))
        await connection.hear()
        await connection.say(ok(1, 40), {"op": "ok", "ref": 2})
        await asyncio.gather(joining, leaving)
        await take(device, 1)
        last = await back(device, stage, connection)
        await device.close()
        assert await last.hear_rest() == []


@pytest.mark.parametrize(
    ("refusal", "pause_s"),
    [({"code": 60004, "retry_after_ms": 300}, 0.3), ({"code": 20000}, 1.0)],
)
async def test_a_refusal_that_passes_is_waited_out(stage: Stage, refusal: Frame, pause_s: float) -> None:
    """Too fast, or the server is busy: the same is asked again after a while, and the application hears nothing."""
    naps = Naps()
    async with inside(stage, sleep=naps) as (device, connection):
        await take(device, 1)
        again = await back(device, stage, connection)
        said = await again.hear()
        for _ in range(2):
            await again.say({"op": "error", "ref": ROOM, "message": "later", **refusal})
            assert await again.hear() == said
        assert naps.taken[-2:] == [pause_s, pause_s]
        await again.say(ok(ROOM, 40), entry(41, ROOM))
        assert await take(device, 1) == [entry(41, ROOM)]


async def test_a_server_that_goes_refuses_for_a_while(stage: Stage) -> None:
    """Of a connection that ends before its pause is over, the next one joins again."""
    async with inside(stage) as (device, connection):
        await take(device, 1)
        again = await back(device, stage, connection)
        said = await again.hear()
        await again.say({"op": "error", "ref": ROOM, "code": 20000, "message": "shutting down"})
        last = await back(device, stage, again)
        assert await last.hear() == said
