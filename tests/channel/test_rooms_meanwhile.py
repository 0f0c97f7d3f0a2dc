"""What happens to a chatroom, its store or a device while the device joins it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.domain.errors import Kind, Problem
from gateway.wire.close import Close
from tests.channel.conftest import Start
from tests.channel.rooming import join, make
from tests.channel.stage import ALICE, BOB, Stage


@pytest.fixture
async def stage(start: Start) -> Stage:
    """A gateway whose sweep reads nothing while it is counted what a join does."""
    return await start(sweep_ms=3_600_000)


def meanwhile(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, read: str, event: Callable[[], Awaitable[object]]
) -> None:
    """Let something happen once, right after one of a join's three reads of the store: facts, bearings, facts."""
    name, _, number = read.partition(" ")
    store, count = stage.gateway.store, 0
    real = getattr(store, name)

    async def reads(*asked: Any) -> Any:
        nonlocal count
        found = await real(*asked)
        count += 1
        if count == int(number or 1):
            await event()
        return found

    monkeypatch.setattr(store, name, reads)


async def destroy(stage: Stage, room: int) -> None:
    await stage.call("POST", "/group/destroy", ALICE, json={"group_id": room})


async def test_an_end_before_the_last_look_refuses(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chatroom has ended once its head was read: the join is refused, and nothing is followed."""
    room = await make(stage)
    peer = await stage.live(BOB)
    meanwhile(stage, monkeypatch, "bearings", lambda: destroy(stage, room))
    assert (await join(peer, room))["code"] == 20001
    assert await peer.so_far() == []
    assert len(stage.hub._topics) == 1


async def test_an_end_after_the_last_look_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its entry lies above the head that was read, so it comes after the answer."""
    room = await make(stage)
    peer = await stage.live(BOB)
    meanwhile(stage, monkeypatch, "facts 2", lambda: destroy(stage, room))
    assert (await join(peer, room))["seq"] == 0
    [told] = await peer.until("group")
    assert (told["seq"], told["action"]) == (1, "destroyed")
    assert len(stage.hub._topics) == 1


async def test_put_out_while_joining(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is put out before the answer is told so, and is not in it."""
    room = await make(stage)
    peer = await stage.live(BOB)
    body = {"group_id": room, "user_list": [BOB]}
    meanwhile(stage, monkeypatch, "bearings", lambda: stage.call("POST", "/group/kick", ALICE, json=body))
    assert (await join(peer, room))["code"] == 10010
    assert len(stage.hub._topics) == 1


@pytest.mark.parametrize("read", ["facts", "bearings", "facts 2"])
async def test_a_connection_that_ends_while_joining(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """It is in no chatroom, and nothing of it stays behind."""
    room = await make(stage)
    peer = await stage.live(BOB)
    connection = stage.connection(BOB)

    async def end() -> None:
        stage.hub.close(connection, Close.DRAINING, "now")

    meanwhile(stage, monkeypatch, read, end)
    await peer.say(op="join", ref="j", room_id=room)
    assert (await peer.end()).frames == []
    assert stage.hub._topics == {}


async def test_a_store_that_fails_while_joining(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is told so, and may try again."""
    room = await make(stage)
    peer = await stage.live(BOB)

    async def fail() -> None:
        raise Problem(Kind.STORE_FAILED, "not now", retry_after_ms=500)

    meanwhile(stage, monkeypatch, "bearings", fail)
    answer = await join(peer, room)
    assert (answer["code"], answer["retry_after_ms"]) == (20000, 500)
    assert len(stage.hub._topics) == 1
    assert (await join(peer, room))["op"] == "ok"
