"""Peers that are slow or hostile: memory stays bounded, nobody else notices, nothing is lost (design promise 6)."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.core.connection import Connection
from gateway.core.order import Order
from gateway.domain.model import Scope
from gateway.wire.close import Close
from tests.channel.conftest import Start
from tests.channel.raw import CLOSE, PING, PONG, TEXT, frame, text
from tests.channel.stage import ALICE, BOB, CAROL, LIMITS, Stage, Ticks, ops, until

pytestmark = pytest.mark.one_node("a transport is its own node's")

SIZE = 8_000
BURST = 20
# What may wait for one peer: a full buffer, and the run that filled it.
WAITING_MAX = LIMITS.transport_buffer_bytes_max + BURST * (SIZE + 500) + LIMITS.replay_page_bytes_max


async def burst(stage: Stage, group: int, first: int) -> None:
    """Send some large messages at once, numbered from `first` on."""
    alice = await stage.principal(ALICE)
    send = stage.gateway.core.messaging.send
    orders = (
        Order(scope=Scope.GROUP, targets=(group,), ctype=0, content=f"{number}:" + "x" * SIZE)
        for number in range(first, first + BURST)
    )
    await asyncio.gather(*(send(alice, order) for order in orders))


async def test_device_that_never_reads_costs_a_bounded_buffer_and_loses_nothing(stage: Stage) -> None:
    """2,000 messages of 8 KB: bounded memory, the others get theirs at once, and it catches up when it reads."""
    group = await stage.group(ALICE, BOB, CAROL)
    timeline = f"g:{group}"
    carol = await stage.live(CAROL)
    bob = await stage.raw(BOB, lazy=True)
    await bob.until("live")
    sink, count = stage.connection(BOB).sink, 2_000
    for first in range(1, count + 1, BURST):
        await burst(stage, group, first)
        for number in range(first, first + BURST):
            heard = await carol.hear()
            assert heard["seq"] == number + 1
        await carol.ack(first + BURST, timeline)
        assert sink.buffered() <= WAITING_MAX
    assert stage.connection(BOB).session.lagging
    numbers = set()
    for number in range(1, count + 1):
        told = await bob.hear()
        assert told["seq"] == number + 1
        numbers.add(int(told["message"]["content"].partition(":")[0]))
        if number % 100 == 0:
            bob.write(text(op="ack", timeline=timeline, seq=told["seq"]))
    assert numbers == set(range(1, count + 1))
    bob.write(text(op="ping"))
    assert (await bob.hear())["op"] == "pong"
    bob.cut()


async def test_client_that_sends_and_never_reads_is_not_read_either(stage: Stage) -> None:
    """Requests of a peer that takes no answers stay with it, and are answered in order once it reads."""
    raw = await stage.raw(ALICE, lazy=True)
    await raw.until("live")
    connection = stage.connection(ALICE)
    count, filler = 10_000, "x" * 1_000
    for number in range(count):
        raw.write(text(op="ping", ref=f"{number}:{filler}"))
    await until(lambda: connection.session.lagging)
    other = await stage.live(BOB)
    for _ in range(50):
        await other.so_far()
        assert connection.sink.buffered() <= LIMITS.transport_buffer_bytes_max + 2_000
    for number in range(count):
        assert (await raw.hear())["ref"].partition(":")[0] == str(number)


async def test_flood_of_pings_that_nobody_reads_is_bounded(stage: Stage) -> None:
    """Pongs to a peer that reads nothing do not pile up."""
    raw = await stage.raw(ALICE, lazy=True)
    await raw.until("live")
    connection, count = stage.connection(ALICE), 60_000
    raw.write(frame(PING, b"p" * 125) * count)
    other = await stage.live(BOB)
    for _ in range(50):
        await other.so_far()
        assert connection.sink.buffered() <= 2 * LIMITS.transport_buffer_bytes_max
    for _ in range(count):
        assert await raw.read() == (PONG, b"p" * 125)


async def test_receipts_to_a_full_transport_are_dropped(stage: Stage) -> None:
    """A lagging device loses receipts, which may be lost, and gets its entries."""
    group = await stage.group(ALICE, BOB)
    raw = await stage.raw(BOB, lazy=True)
    await raw.until("live")
    msg_id = await stage.send(BOB, ALICE)
    sent = 0
    while not stage.connection(BOB).session.lagging:
        await burst(stage, group, sent)
        sent += BURST
    before = stage.connection(BOB).sink.buffered()
    await stage.call("GET", "/message/ack", ALICE, params={"msg_id": str(msg_id)})
    assert stage.connection(BOB).sink.buffered() <= before
    seqs: list[int] = []
    while len(seqs) < sent + 1:
        told = await raw.hear()
        assert told["op"] == "message"
        seqs.append(told["seq"])
        if len(seqs) % 50 == 0 and told["timeline"] != "user":
            raw.write(text(op="ack", timeline=told["timeline"], seq=told["seq"]))


async def fill(stage: Stage, *, small: bool = True) -> Connection:
    """Make Bob, who reads nothing, a member of a group, and send to it until his transport is full.

    `small`: what has left here then is no more than the system must hold.
    """
    group = await stage.group(ALICE, BOB)
    connection = stage.connection(BOB)
    transport = connection.sink._transport  # type: ignore[attr-defined]
    if small:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    number = 0
    while not connection.session.lagging:
        await burst(stage, group, number)
        number += BURST
    return connection


async def test_peer_that_drains_nothing_is_closed(
    start: Start, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full transport that takes nothing for the idle timeout is ended, and its memory freed."""
    monkeypatch.setattr("gateway.edge.sink.CLOSE_TIMEOUT_S", 0.05)
    stage = await start(heartbeat_ms=100)
    raw = await stage.raw(BOB, lazy=True)
    await raw.until("live")
    connection = await fill(stage)
    # Turn by turn: what the system's own buffers still take at first counts as life.
    await until(lambda: ticks.move(1) and not connection.sink.buffered())
    await until(lambda: stage.empty)
    assert connection.session.lagging


@pytest.mark.parametrize("left", ["buffered", "unacknowledged"])
async def test_peer_that_drains_slowly_is_not_cut_off(start: Start, ticks: Ticks, left: str) -> None:
    """Bytes drained count as life: a peer that answers nothing, but takes a little now and then, stays.

    So it does where all that it takes had left here before, for the system's own buffers hold much of it.
    """
    stage = await start(heartbeat_ms=100, transport_buffer_bytes_max=1 << 22)
    raw = await stage.raw(BOB, lazy=True)
    await raw.until("live")
    connection = await fill(stage, small=left == "buffered")
    look = getattr(connection.sink, left)
    # In all 4.8 times the idle timeout.
    for _ in range(6):
        before = look()
        while look() == before:
            await raw.hear()
        ticks.move(200)
        assert stage.ticked(BOB).session.heard_at == ticks.at
    assert connection.session.lagging
    assert not connection.session.ended


async def test_close_of_a_peer_that_takes_nothing_frees_its_buffer(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that says close and then reads nothing does not keep what waits for it alive."""
    monkeypatch.setattr("gateway.edge.sink.CLOSE_TIMEOUT_S", 0.05)
    stage = await start(transport_buffer_bytes_max=1 << 28)
    group = await stage.group(ALICE, BOB)
    raw = await stage.raw(BOB, lazy=True)
    await raw.until("live")
    sink, number = stage.connection(BOB).sink, 0
    while not sink.buffered():
        await burst(stage, group, number)
        number += BURST
    raw.write(frame(CLOSE, b"\x03\xe8"))
    await until(lambda: not sink.buffered())
    await until(lambda: stage.empty)


async def test_peer_that_is_cut_while_it_lags_is_forgotten(stage: Stage) -> None:
    """A broken connection whose transport is full leaves nothing behind."""
    group = await stage.group(ALICE, BOB)
    raw = await stage.raw(BOB, lazy=True)
    await raw.until("live")
    number = 0
    while not stage.connection(BOB).session.lagging:
        await burst(stage, group, number)
        number += BURST
    raw.cut()
    await until(lambda: stage.empty)
    assert ops(await (await stage.live(CAROL)).so_far()) == []


async def test_frame_larger_than_the_peer_can_take_at_once_comes_whole(stage: Stage) -> None:
    """One message beyond the transport's buffer reaches a slow reader unharmed."""
    raw = await stage.raw(BOB, lazy=True)
    await raw.until("live")
    content = "y" * 60_000
    for _ in range(5):
        await stage.send(ALICE, BOB, content)
    for seq in range(1, 6):
        frame = await raw.hear()
        assert (frame["seq"], frame["message"]["content"]) == (seq, content)


@pytest.mark.parametrize("lazy", [True, False])
async def test_replay_to_a_peer_is_paced_by_its_transport(stage: Stage, lazy: bool) -> None:
    """A replay that the peer does not take waits in the store, not in memory."""
    group = await stage.group(ALICE, BOB)
    for first in range(1, 401, BURST):
        await burst(stage, group, first)
    raw = await stage.raw(BOB, lazy=lazy)
    await until(lambda: stage.hub.connections)
    sink = stage.connection(BOB).sink
    other = await stage.live(CAROL)
    for _ in range(20):
        await other.so_far()
        assert sink.buffered() <= WAITING_MAX
    heard = 0
    while heard < 401:
        told = await raw.hear()
        if told.get("timeline") == f"g:{group}":
            heard += 1
            assert told["seq"] == heard
            if heard % 100 == 0:
                raw.write(text(op="ack", timeline=f"g:{group}", seq=heard))


async def test_bye_reaches_a_slow_reader_after_what_was_written(stage: Stage) -> None:
    """What was written before the `bye` is not lost by it."""
    raw = await stage.raw(BOB, lazy=True)
    await raw.until("live")
    for _ in range(10):
        await stage.send(ALICE, BOB, "z" * 50_000)
    raw.write(frame(TEXT, b"nonsense"))
    frames, code, _ = await raw.end()
    assert code == Close.PROTOCOL
    assert ops(frames)[-1] == "bye"
    assert [told["seq"] for told in frames[:-1]] == list(range(1, len(frames)))
