"""READ on the device channel, and the receipts it brings (design §3, §6; lanying.md, ack)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.domain.errors import Kind
from gateway.domain.positions import ReadDone, ReadMark
from tests.channel.stage import ALICE, BOB, CAROL, Peer, Stage, ops, until


async def read(peer: Peer, conversation_id: int, msg_id: int = 0) -> None:
    answer = await peer.ask(op="read", ref=1, conversation_id=conversation_id, msg_id=msg_id)
    assert answer == {"op": "ok", "ref": 1}


async def test_read_is_committed_when_it_is_answered(stage: Stage) -> None:
    """Once `ok` is here, REST says READ, for everything at or below."""
    ids = await stage.send_many(ALICE, BOB, 3)
    await read(await stage.live(BOB), ALICE, ids[1])
    assert [await stage.status(ALICE, BOB, msg_id) for msg_id in ids] == ["READ", "READ", "UNREAD"]


async def test_read_is_not_answered_before_its_commit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store has not committed, there is no `ok`."""
    msg_id = await stage.send(ALICE, BOB)
    peer = await stage.live(BOB)
    asked, may_commit = asyncio.Event(), asyncio.Event()
    commit = stage.gateway.store.read

    async def slow(marks: Sequence[ReadMark]) -> list[ReadDone | Kind]:
        asked.set()
        await may_commit.wait()
        return await commit(marks)

    monkeypatch.setattr(stage.gateway.store, "read", slow)
    answering = asyncio.create_task(peer.ask(op="read", ref=1, conversation_id=ALICE, msg_id=msg_id))
    await asked.wait()
    assert not answering.done()
    may_commit.set()
    assert (await answering)["op"] == "ok"


async def test_conversation_alone_reads_its_newest(stage: Stage) -> None:
    """Without a `msg_id` everything so far is read."""
    ids = await stage.send_many(ALICE, BOB, 2)
    await read(await stage.live(BOB), ALICE)
    assert await stage.status(ALICE, BOB, ids[1]) == "READ"


async def test_message_alone_reads_its_conversation(stage: Stage) -> None:
    """A `msg_id` alone names its conversation."""
    ids = await stage.send_many(ALICE, BOB, 2)
    answer = await (await stage.live(BOB)).ask(op="read", ref=1, msg_id=ids[0])
    assert answer["op"] == "ok"
    assert [await stage.status(ALICE, BOB, msg_id) for msg_id in ids] == ["READ", "UNREAD"]


async def test_message_of_others_cannot_be_read(stage: Stage) -> None:
    """A message alone that is not the asker's is not there."""
    msg_id = await stage.send(ALICE, BOB)
    answer = await (await stage.live(CAROL)).ask(op="read", ref=1, msg_id=msg_id)
    assert (answer["op"], answer["code"]) == ("error", 60003)


async def test_message_to_oneself_cannot_be_read_by_others(stage: Stage) -> None:
    """What somebody wrote to oneself is nobody else's."""
    await stage.send(ALICE, CAROL)
    msg_id = await stage.send(ALICE, ALICE)
    answer = await (await stage.live(CAROL)).ask(op="read", ref=1, msg_id=msg_id)
    assert (answer["op"], answer["code"]) == ("error", 60003)


async def test_numbers_of_a_read_may_be_strings(stage: Stage) -> None:
    """The members of a read are those of REST: ids may come as strings."""
    msg_id = await stage.send(ALICE, BOB, "hi")
    bob = await stage.live(BOB)
    assert await bob.ask(op="read", ref=1, conversation_id=str(ALICE), msg_id=str(msg_id)) == {
        "op": "ok",
        "ref": 1,
    }
    assert await stage.status(ALICE, BOB, msg_id) == "READ"


async def test_read_of_nothing_is_an_error(stage: Stage) -> None:
    """Neither member given is 10002, and the connection stays."""
    peer = await stage.live(BOB)
    answer = await peer.ask(op="read", ref="r")
    assert (answer["ref"], answer["code"]) == ("r", 10002)
    assert await peer.so_far() == []


async def test_read_of_an_unknown_conversation_is_fine(stage: Stage) -> None:
    """There is nothing to read with somebody who is not there."""
    await read(await stage.live(BOB), 999_999, 5)


async def test_sender_gets_a_read_receipt(stage: Stage) -> None:
    """All devices of the sender hear who read, up to which message."""
    alices = [await stage.live(ALICE, device_sn) for device_sn in (1, 2)]
    ids = await stage.send_many(ALICE, BOB, 2)
    await read(await stage.live(BOB, 9), ALICE, ids[1])
    receipt = {
        "op": "receipt", "conversation_id": BOB, "msg_id": ids[1], "status": "READ", "uid": BOB, "device_sn": 9
    }  # fmt: skip
    assert [(await alice.until("receipt"))[-1] for alice in alices] == [receipt, receipt]


async def test_one_read_receipt_per_flush(stage: Stage) -> None:
    """Members who read at the same time are told of together, by the newest of what they read."""
    group = await stage.group(ALICE, BOB, CAROL)
    alice = await stage.live(ALICE)
    ids = await stage.send_many(ALICE, group, 3, scope=2)
    reads = stage.near.receipts.read
    bob, carol = [await stage.principal(uid) for uid in (BOB, CAROL)]
    # From then on the group is known, and who reads waits for nothing but the flush.
    await reads(carol, group, ids[0])
    await asyncio.gather(reads(bob, group, ids[1]), reads(carol, group, ids[2]))
    receipts = [frame for frame in await alice.so_far() if frame["op"] == "receipt"]
    assert [(frame["msg_id"], frame["uid"]) for frame in receipts] == [(ids[0], CAROL), (ids[2], CAROL)]


async def test_own_other_devices_hear_of_it(stage: Stage) -> None:
    """The reader's other devices are told, the reading one is not."""
    msg_id = await stage.send(ALICE, BOB)
    reading, other = await stage.live(BOB, 1), await stage.live(BOB, 2)
    await reading.say(op="read", ref=1, conversation_id=ALICE, msg_id=msg_id)
    receipt = await other.hear()
    assert (receipt["conversation_id"], receipt["msg_id"], receipt["status"]) == (ALICE, msg_id, "READ")
    assert (receipt["uid"], receipt["device_sn"]) == (BOB, 1)
    assert ops(await reading.so_far()) == ["ok"]


async def test_read_by_rest_is_told_to_all_devices(stage: Stage) -> None:
    """A READ without a device reaches every device of the reader."""
    msg_id = await stage.send(ALICE, BOB)
    peer = await stage.live(BOB)
    await stage.call("GET", "/message/ack", BOB, params={"msg_id": str(msg_id)})
    assert ops(await peer.so_far()) == ["receipt"]


async def test_second_read_brings_no_receipt(stage: Stage) -> None:
    """What is read is read: a repeat, or a lower one, is `ok` and silent."""
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    ids = await stage.send_many(ALICE, BOB, 2)
    for msg_id in (ids[1], ids[1], ids[0]):
        await read(bob, ALICE, msg_id)
    assert ops(await alice.so_far()).count("receipt") == 1


async def test_ack_after_read_does_not_take_it_back(stage: Stage) -> None:
    """Status never goes back: READ stays READ when the ack comes later."""
    msg_id = await stage.send(ALICE, BOB)
    bob, alice = await stage.live(BOB), await stage.live(ALICE)
    await read(bob, ALICE, msg_id)
    await alice.until("receipt", status="READ")
    await bob.ack(1)
    await bob.so_far()
    await stage.acked()
    assert await stage.status(ALICE, BOB, msg_id) == "READ"
    assert await alice.so_far() == []


async def test_read_implies_delivered(stage: Stage) -> None:
    """What was read and never acked is READ, not UNREAD, for the reader too."""
    msg_id = await stage.send(ALICE, BOB)
    await read(await stage.live(BOB), ALICE, msg_id)
    assert [await stage.status(ALICE, BOB, msg_id), await stage.status(BOB, ALICE, msg_id)] == [
        "READ",
        "READ",
    ]


async def test_read_above_the_newest_is_the_newest(stage: Stage) -> None:
    """A `msg_id` beyond the conversation reads it whole, and nothing of what comes later."""
    first = await stage.send(ALICE, BOB)
    await read(await stage.live(BOB), ALICE, 2**53 - 1)
    second = await stage.send(ALICE, BOB)
    assert [await stage.status(ALICE, BOB, msg_id) for msg_id in (first, second)] == ["READ", "UNREAD"]


async def test_group_is_read_by_member(stage: Stage) -> None:
    """A member's READ makes the group's messages READ, and each sender is told its newest."""
    group = await stage.group(ALICE, BOB, CAROL)
    alice, carol = await stage.live(ALICE), await stage.live(CAROL)
    mine = await stage.send(ALICE, group, scope=2)
    hers = await stage.send(CAROL, group, scope=2)
    await read(await stage.live(BOB, 3), group)
    told = [(await peer.until("receipt"))[-1] for peer in (alice, carol)]
    assert [(frame["conversation_id"], frame["msg_id"]) for frame in told] == [(group, mine), (group, hers)]
    assert await stage.status(ALICE, group, mine) == "READ"


async def test_group_one_is_not_in_cannot_be_read(stage: Stage) -> None:
    """Reading a group that one is not in is 20002."""
    group = await stage.group(ALICE)
    answer = await (await stage.live(BOB)).ask(op="read", ref=1, conversation_id=group)
    assert (answer["op"], answer["code"]) == ("error", 20002)


async def test_reads_of_many_devices_share_commits(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads that wait for the store go into one transaction."""
    msg_id = await stage.send(ALICE, BOB)
    peers = [await stage.live(BOB, device_sn) for device_sn in range(1, 9)]
    sizes: list[int] = []
    commit = stage.gateway.store.read
    may_commit = asyncio.Event()

    async def counting(marks: Sequence[ReadMark]) -> Any:
        sizes.append(len(marks))
        await may_commit.wait()
        return await commit(marks)

    monkeypatch.setattr(stage.gateway.store, "read", counting)
    for peer in peers:
        await peer.say(op="read", ref=1, conversation_id=ALICE, msg_id=msg_id)
    for peer in peers:
        await peer.say(op="ping")
    waiting = stage.gateway.receipts._reads
    await until(lambda: len(waiting._waiting) + sum(sizes) == len(peers))
    may_commit.set()
    for peer in peers:
        await peer.until("ok")
    assert len(sizes) <= 2
    assert sum(sizes) == 8
