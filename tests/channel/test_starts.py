"""Where a device starts: kept and new devices, and what `hello` says of cursors (design §3, §6)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from gateway.domain.positions import Attachment, Keep
from gateway.wire.close import Close
from tests.channel.conftest import Start
from tests.channel.stage import ALICE, APP, BOB, Peer, Stage, contents, seqs, until


async def heard(peer: Peer) -> list[int]:
    """Return the seqs of the user's timeline that are replayed."""
    return seqs(await peer.until("live"))


async def test_first_device_gets_everything(stage: Stage) -> None:
    """What no device of the user ever got arrives at its first one."""
    await stage.send_many(ALICE, BOB, 5)
    assert await heard(await stage.connect(BOB)) == [1, 2, 3, 4, 5]


async def test_second_new_device_starts_at_delivered(stage: Stage) -> None:
    """A new device gets what no device has acked; the rest is history."""
    await stage.send_many(ALICE, BOB, 5)
    first = await stage.live(BOB, 1)
    await first.ack(3)
    await first.so_far()
    await stage.acked()
    second = await stage.connect(BOB, 2)
    assert second.welcome["cursors"] == {"user": 3}
    assert await heard(second) == [4, 5]


async def test_kept_device_starts_at_its_cursor(stage: Stage) -> None:
    """A kept device goes on where it was, however far other devices have got."""
    await stage.send_many(ALICE, BOB, 5)
    for device_sn, seq in ((1, 2), (2, 5)):
        peer = await stage.live(BOB, device_sn)
        await peer.ack(seq)
        await peer.so_far()
        await peer.close()
        await stage.acked()
    assert await heard(await stage.connect(BOB, 1)) == [3, 4, 5]


async def test_device_that_never_acked_is_not_kept(stage: Stage) -> None:
    """Without an ack a device leaves nothing: another one's acks decide where it starts."""
    await stage.send_many(ALICE, BOB, 5)
    await (await stage.live(BOB, 1)).close()
    other = await stage.live(BOB, 2)
    await other.ack(4)
    await other.so_far()
    await stage.acked()
    assert await heard(await stage.connect(BOB, 1)) == [5]


async def test_what_a_replaced_connection_stated_counts_no_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device comes back with less while its older `hello` is being committed: it starts, and stays, at less."""
    await stage.send_many(ALICE, BOB, 3)
    keeping, go_on = asyncio.Event(), asyncio.Event()
    real = stage.gateway.store.keep

    async def slow(devices: Sequence[Keep]) -> list[Attachment]:
        keeping.set()
        await go_on.wait()
        return await real(devices)

    monkeypatch.setattr(stage.gateway.store, "keep", slow)
    older = await stage.open()
    await older.say(op="hello", token=await stage.token(BOB), app_id=APP, device_sn=1, cursors={"user": 3})
    await keeping.wait()
    newer = asyncio.create_task(stage.hello(BOB, 1, cursors={"user": 0}))
    assert (await older.end()).code == Close.REPLACED
    go_on.set()
    assert await heard(await newer) == [1, 2, 3]
    await stage.acked()
    assert await stage.cursors(BOB) == [0]


async def test_acks_of_the_last_connection_count_at_once(start: Start) -> None:
    """A device that acked and comes back at once goes on after its ack, flushed or not."""
    stage = await start(ack_flush_ms=3_600_000)
    await stage.send_many(ALICE, BOB, 5)
    peer = await stage.live(BOB, 1)
    await peer.ack(3)
    await peer.so_far()
    assert await heard(await stage.connect(BOB, 1)) == [4, 5]


async def test_hello_sets_a_cursor_down(stage: Stage) -> None:
    """A device that lost what it had says so, and gets it again."""
    await stage.send_many(ALICE, BOB, 5)
    peer = await stage.live(BOB)
    await peer.ack(5)
    await peer.so_far()
    await peer.close()
    await stage.acked()
    assert await heard(await stage.hello(BOB, cursors={"user": 2})) == [3, 4, 5]
    assert await stage.cursors(BOB) == [2]


async def test_hello_down_outlives_acks_that_wait(start: Start) -> None:
    """An ack of the connection before, not yet committed, does not undo what `hello` states."""
    stage = await start(ack_flush_ms=3_600_000)
    await stage.send_many(ALICE, BOB, 5)
    peer = await stage.live(BOB)
    await peer.ack(5)
    await peer.so_far()
    await stage.hello(BOB, cursors={"user": 2})
    await stage.acked()
    assert await stage.cursors(BOB) == [2]


async def test_hello_up_outlives_acks_that_wait(start: Start) -> None:
    """Neither do they set it back down."""
    stage = await start(ack_flush_ms=3_600_000)
    await stage.send_many(ALICE, BOB, 5)
    other = await stage.live(BOB, 2)
    await other.ack(5)
    await other.so_far()
    await stage.acked()
    await other.close()
    await stage.send_many(ALICE, BOB, 1)
    peer = await stage.live(BOB, 1)
    await peer.ack(6)
    await peer.so_far()
    await peer.close()
    await stage.hello(BOB, 1, cursors={"user": 4})
    await stage.acked()
    assert await stage.cursors(BOB, 1) == [4]


async def test_hello_ahead_is_an_ack(stage: Stage) -> None:
    """A cursor ahead of the stored one makes the messages below it DELIVERED."""
    ids = await stage.send_many(ALICE, BOB, 3)
    assert await heard(await stage.hello(BOB, cursors={"user": 2})) == [3]
    await stage.acked()
    assert [await stage.status(ALICE, BOB, msg_id) for msg_id in ids] == ["DELIVERED", "DELIVERED", "UNREAD"]


async def test_hello_of_this_epoch_counts(stage: Stage) -> None:
    """Cursors with the epoch of `welcome` are taken."""
    await stage.send_many(ALICE, BOB, 3)
    epoch = (await stage.connect(BOB)).welcome["epoch"]
    assert await heard(await stage.hello(BOB, epoch=epoch, cursors={"user": 2})) == [3]


async def test_hello_of_another_epoch_is_ignored(stage: Stage) -> None:
    """Cursors of another store mean nothing here."""
    await stage.send_many(ALICE, BOB, 3)
    assert await heard(await stage.hello(BOB, epoch="other", cursors={"user": 2})) == [1, 2, 3]


async def test_hello_above_the_head_is_ignored(stage: Stage) -> None:
    """A cursor of what does not exist yet is not believed."""
    await stage.send_many(ALICE, BOB, 3)
    peer = await stage.hello(BOB, cursors={"user": 4})
    assert peer.welcome["cursors"] == {"user": 0}
    assert await heard(peer) == [1, 2, 3]


async def test_hello_at_the_head_counts(stage: Stage) -> None:
    """A cursor at the head says that nothing is missing."""
    await stage.send_many(ALICE, BOB, 3)
    assert await heard(await stage.hello(BOB, cursors={"user": 3})) == []


async def test_hello_of_timelines_not_followed_is_ignored(stage: Stage) -> None:
    """Names that the device does not follow change nothing."""
    await stage.send_many(ALICE, BOB, 2)
    peer = await stage.hello(BOB, cursors={"g:99": 1, "g:x": 1, "": 1, "user": 1})
    assert peer.welcome["cursors"] == {"user": 1}


async def test_hello_leaves_unnamed_timelines_alone(stage: Stage) -> None:
    """A timeline that `hello` does not name keeps its cursor."""
    group = await stage.group(ALICE, BOB)
    await stage.send_many(ALICE, BOB, 3)
    peer = await stage.live(BOB)
    await peer.ack(4)
    await peer.so_far()
    await peer.close()
    await stage.acked()
    again = await stage.hello(BOB, cursors={f"g:{group}": 1})
    assert again.welcome["cursors"] == {"user": 4, f"g:{group}": 1}


async def test_hello_keeps_the_device(stage: Stage) -> None:
    """Stated cursors make the device kept, so that its next token in a handshake starts there."""
    await stage.send_many(ALICE, BOB, 4)
    await stage.hello(BOB, cursors={"user": 2})
    assert await heard(await stage.connect(BOB)) == [3, 4]


async def test_hello_cannot_reach_below_a_stay(stage: Stage) -> None:
    """A cursor below the stay starts at the stay: what was before is not owed."""
    group = await stage.group(ALICE)
    await stage.send_many(ALICE, group, 3, scope=2)
    await stage.call("POST", "/group/invite", ALICE, json={"group_id": group, "user_list": [BOB]})
    await stage.send(ALICE, group, "after", scope=2)
    peer = await stage.hello(BOB, cursors={f"g:{group}": 0})
    frames = await peer.until("live")
    assert contents(frames) == ["after"]
    assert seqs(frames, f"g:{group}") == [5, 6]
    assert sorted(await stage.cursors(BOB)) == [0, 4]


@pytest.mark.two_nodes_once
@pytest.mark.parametrize("cursors", [{"user": -1}, {"user": 2**53}, {"user": "1"}, {"user": None}, [1]])
async def test_hello_with_bad_cursors_is_a_protocol_error(stage: Stage, cursors: object) -> None:
    """Cursors that are no numbers in range end the connection for good."""
    peer = await stage.open()
    await peer.say(op="hello", token=await stage.token(BOB), app_id="demo", cursors=cursors)
    assert (await peer.end()).code == 4503


async def test_longest_unseen_device_goes(start: Start) -> None:
    """Beyond `devices_per_user_max` kept devices, the longest unseen loses its cursors."""
    stage = await start(devices_per_user_max=2)
    await stage.send_many(ALICE, BOB, 3)
    for device_sn in (1, 2, 3):
        peer = await stage.hello(BOB, device_sn, cursors={"user": device_sn})
        await peer.close()
        await until(lambda: not stage.hub.connections)
        await stage.sql("UPDATE device SET seen_at = seen_at - 1000")
    assert [await stage.cursors(BOB, device_sn) for device_sn in (1, 2, 3)] == [[], [2], [3]]


async def test_connected_device_is_never_evicted(start: Start) -> None:
    """A connected device keeps its cursors although it was kept first."""
    stage = await start(devices_per_user_max=2)
    await stage.send_many(ALICE, BOB, 3)
    await stage.hello(BOB, 1, cursors={"user": 1})
    await stage.sql("UPDATE device SET seen_at = seen_at - 9000")
    for device_sn in (2, 3):
        peer = await stage.hello(BOB, device_sn, cursors={"user": device_sn})
        await peer.close()
        await until(lambda: len(stage.hub.connections) == 1)
        await stage.sql("UPDATE device SET seen_at = seen_at - 1000 WHERE sn > 1")
    assert [await stage.cursors(BOB, device_sn) for device_sn in (1, 2, 3)] == [[1], [], [3]]


async def test_a_device_that_comes_is_seen(start: Start) -> None:
    """Attaching counts as being seen, also where there is nothing to ack."""
    stage = await start(devices_per_user_max=2)
    await stage.send_many(ALICE, BOB, 3)
    for device_sn in (1, 2):
        await (await stage.hello(BOB, device_sn, cursors={"user": 3})).close()
    await until(lambda: not stage.hub.connections)
    await stage.acked()
    await stage.sql("UPDATE device SET seen_at = seen_at - 100000 * (4 - sn)")
    await (await stage.live(BOB, 1)).close()
    await until(lambda: not stage.hub.connections)
    await stage.acked()
    await stage.hello(BOB, 3, cursors={"user": 3})
    assert [await stage.cursors(BOB, device_sn) for device_sn in (1, 2, 3)] == [[3], [], [3]]


async def test_two_devices_attach_at_the_same_time_up_to_the_limit(start: Start) -> None:
    """A storm of new devices of one user does not get past `devices_per_user_max`."""
    stage = await start(devices_per_user_max=3)
    headers = {"access-token": await stage.token(BOB)}
    peers = await asyncio.gather(
        *(stage.open({"app_id": "demo", "device_sn": str(sn)}, headers=headers) for sn in range(1, 9))
    )
    first = [(await peer.hear())["op"] for peer in peers]
    assert first.count("welcome") == 3
    assert first.count("bye") == 5
