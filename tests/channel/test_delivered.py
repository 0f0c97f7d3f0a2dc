"""Acks on the device channel: cursors, DELIVERED, and the receipts they bring (design §3, §6)."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from gateway.domain.errors import Kind, Problem
from gateway.domain.positions import Ack, Advanced
from gateway.store.base import SEEN_STEP_MS
from gateway.wire.close import Close
from tests.channel.conftest import Start
from tests.channel.stage import ALICE, BOB, CAROL, Stage, ops, until


async def test_ack_makes_messages_delivered(stage: Stage) -> None:
    """An ack is cumulative: everything at or below it is DELIVERED to the sender who asks."""
    ids = await stage.send_many(ALICE, BOB, 3)
    peer = await stage.live(BOB)
    await peer.ack(2)
    await peer.so_far()
    await stage.acked()
    assert [await stage.status(ALICE, BOB, msg_id) for msg_id in ids] == ["DELIVERED", "DELIVERED", "UNREAD"]


async def test_delivery_alone_is_not_delivered(stage: Stage) -> None:
    """What was written to a device and not acked stays UNREAD."""
    msg_id = await stage.send(ALICE, BOB)
    await stage.live(BOB)
    await stage.acked()
    assert await stage.status(ALICE, BOB, msg_id) == "UNREAD"


async def test_sender_gets_a_receipt(stage: Stage) -> None:
    """The sender's devices hear whose device acked, up to which message."""
    alice, bob = await stage.live(ALICE), await stage.live(BOB, 9)
    ids = await stage.send_many(ALICE, BOB, 3)
    await bob.so_far()
    await bob.ack(3)
    [receipt] = [frame for frame in await alice.until("receipt") if frame["op"] == "receipt"]
    assert receipt == {
        "op": "receipt", "conversation_id": BOB, "msg_id": ids[-1], "status": "DELIVERED", "uid": BOB, "device_sn": 9
    }  # fmt: skip


async def test_one_receipt_per_flush(start: Start) -> None:
    """Acks of one flush are merged: the newest message stands for the older ones."""
    stage = await start(ack_flush_ms=3_600_000)
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    await stage.send_many(ALICE, BOB, 3)
    await alice.so_far()
    await bob.so_far()
    for seq in (1, 2, 3):
        await bob.ack(seq)
    await bob.so_far()
    await stage.acked()
    assert ops(await alice.so_far()) == ["receipt"]


async def test_second_device_brings_no_second_receipt(stage: Stage) -> None:
    """A message that is DELIVERED already does not become so again."""
    alice = await stage.live(ALICE)
    bobs = [await stage.live(BOB, device_sn) for device_sn in (1, 2)]
    await stage.send(ALICE, BOB)
    for bob in bobs:
        await bob.so_far()
        await bob.ack(1)
        await bob.so_far()
        await stage.acked()
    assert ops(await alice.so_far()).count("receipt") == 1


async def test_group_message_is_delivered_by_any_member(stage: Stage) -> None:
    """In a group the first other member who acks makes the message DELIVERED, and is told."""
    group = await stage.group(ALICE, BOB, CAROL)
    alice, bob = await stage.live(ALICE), await stage.live(BOB, 5)
    msg_id = await stage.send(ALICE, group, scope=2)
    await bob.so_far()
    await bob.ack(2, f"g:{group}")
    receipt = (await alice.until("receipt"))[-1]
    assert (receipt["conversation_id"], receipt["msg_id"], receipt["uid"]) == (group, msg_id, BOB)
    assert await stage.status(ALICE, group, msg_id) == "DELIVERED"


async def test_own_ack_delivers_nothing(stage: Stage) -> None:
    """The sender's own devices acking their copy leaves the message UNREAD."""
    msg_id = await stage.send(ALICE, BOB)
    alice = await stage.live(ALICE)
    await alice.ack(1)
    await alice.so_far()
    await stage.acked()
    assert await stage.status(ALICE, BOB, msg_id) == "UNREAD"


async def test_ack_of_what_was_not_sent_is_a_protocol_error(stage: Stage) -> None:
    """An ack above *sent* ends the connection for good."""
    await stage.send(ALICE, BOB)
    peer = await stage.live(BOB)
    await peer.ack(2)
    assert (await peer.end()).code == Close.PROTOCOL


async def test_bad_ack_commits_nothing(stage: Stage) -> None:
    """The ack that broke the protocol moves no position."""
    msg_id = await stage.send(ALICE, BOB)
    peer = await stage.live(BOB)
    await peer.ack(2)
    await peer.end()
    await stage.acked()
    assert await stage.status(ALICE, BOB, msg_id) == "UNREAD"


async def test_ack_of_an_unknown_timeline_is_ignored(stage: Stage) -> None:
    """An ack of what the device does not follow is no error, whatever its name and number."""
    peer = await stage.live(BOB)
    for name in ("g:1", "", "user ", "é", "x" * 1000):
        await peer.ack(2**53 - 1, name)
    assert await peer.so_far() == []


async def test_repeated_and_lower_acks_are_harmless(stage: Stage) -> None:
    """Acks are cumulative: a lower one changes nothing."""
    await stage.send_many(ALICE, BOB, 3)
    peer = await stage.live(BOB)
    for seq in (3, 1, 3, 0):
        await peer.ack(seq)
    await peer.so_far()
    await stage.acked()
    assert await stage.cursors(BOB) == [3]


async def test_acks_are_committed_within_the_flush_time(start: Start) -> None:
    """Nobody has to ask: an ack is in the store soon after `ack_flush_ms`."""
    # Without a sweep, which would find it too.
    stage = await start(ack_flush_ms=50, sweep_ms=3_600_000)
    await stage.send(ALICE, BOB)
    alice, bob = await stage.connect(ALICE), await stage.live(BOB)
    began = time.monotonic()
    await bob.ack(1)
    await alice.until("receipt")
    assert time.monotonic() - began > 0.04
    assert await stage.cursors(BOB) == [1]


async def test_delivered_survives_the_device(stage: Stage) -> None:
    """Status never goes back: a cursor set down by `hello` leaves a message DELIVERED."""
    msg_id = await stage.send(ALICE, BOB)
    await stage.hello(BOB, cursors={"user": 1})
    await stage.acked()
    await stage.hello(BOB, cursors={"user": 0})
    await stage.acked()
    assert await stage.status(ALICE, BOB, msg_id) == "DELIVERED"


async def test_recall_of_a_delivered_message_leaves_no_receipt_behind(stage: Stage) -> None:
    """An ack over a recalled message tells nobody about it."""
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    msg_id = await stage.send(ALICE, BOB)
    await stage.call("POST", "/message/recall", ALICE, json={"conversation_id": BOB, "msg_id": msg_id})
    await bob.so_far()
    await bob.ack(2)
    await bob.so_far()
    await stage.acked()
    assert "receipt" not in ops(await alice.so_far())


async def test_acks_wait_for_a_store_that_fails(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store could not take is committed when it can."""
    stage = await start(ack_flush_ms=3_600_000)
    await stage.send(ALICE, BOB)
    peer = await stage.live(BOB)
    await peer.ack(1)
    await peer.so_far()

    async def fails(*_: object) -> None:
        raise Problem(Kind.STORE_FAILED, "full")

    with monkeypatch.context() as full:
        full.setattr(stage.gateway.store, "keep", fails)
        await stage.acked()
    assert await stage.cursors(BOB) == []
    await stage.acked()
    assert await stage.cursors(BOB) == [1]


async def test_device_is_noted_as_seen_once_a_minute(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The acks between say nothing of when they came; after a flush that failed the next one says it."""
    stage = await start(ack_flush_ms=3_600_000)
    receipts, store, times = stage.gateway.receipts, stage.gateway.store, list[int]()
    advance, fails = store.advance, False

    async def spy(acks: Sequence[Ack]) -> Advanced:
        times.extend(ack.at for ack in acks)
        if fails:
            raise Problem(Kind.STORE_FAILED, "full")
        return await advance(acks)

    monkeypatch.setattr(store, "advance", spy)
    await stage.send_many(ALICE, BOB, 4)
    peer = await stage.live(BOB)
    for seq, now in ((1, 500_000), (2, 500_000 + SEEN_STEP_MS - 1), (3, 700_000), (4, 700_001)):
        monkeypatch.setattr(receipts, "_now", lambda now=now: now)
        fails = now == 700_000
        await peer.ack(seq)
        await peer.so_far()
        await stage.acked()
    assert times == [500_000, 0, 700_000, 700_001]


async def test_ack_is_committed_after_the_socket_went(stage: Stage) -> None:
    """An ack that was heard counts although the device is gone when it is flushed."""
    await stage.send(ALICE, BOB)
    peer = await stage.live(BOB)
    await peer.ack(1)
    await peer.close()
    await until(lambda: not stage.hub.connections)
    await stage.acked()
    assert await stage.cursors(BOB) == [1]
