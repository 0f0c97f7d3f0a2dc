"""The device client: what it yields and what it acks, against a server that the test plays."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from gateway.client import device as device_module
from tests.client.stage import Stage, entry, seqs, take, welcome


async def test_says_its_token_in_the_handshake(stage: Stage) -> None:
    """By default the token is a header of the handshake, and no `hello` follows."""
    async with stage.device(device_sn=5) as device:
        connection = await stage.accept()
        assert connection.token == "the-token"
        assert connection.protocol == "gateway.v1"
        assert connection.query == {"app_id": "demo", "device_sn": "5"}
        await connection.say(welcome(), {"op": "live"})
        await take(device, 2)
    assert await connection.hear_rest() == []


async def test_says_its_token_in_hello(stage: Stage) -> None:
    """With `token_in_hello` the handshake carries no token and the first frame does."""
    async with stage.device(token_in_hello=True):
        connection = await stage.accept()
        assert connection.token is None
        assert await connection.hear() == {"op": "hello", "token": "the-token"}


async def test_yields_frames_in_order(stage: Stage) -> None:
    """Frames come as they were said, those outside timelines too."""
    said = [welcome(), entry(1), {"op": "receipt", "msg_id": 5}, {"op": "message", "message": {}}, entry(2)]
    async with stage.device() as device:
        await (await stage.accept()).say(*said)
        assert await take(device, 5) == said


async def test_knows_who_it_is_after_welcome(stage: Stage) -> None:
    """`welcome` tells the user, the device number the server chose, the epoch and the window."""
    async with stage.device() as device:
        await (await stage.accept()).say(welcome({"user": 9}, unacked_max=10))
        await take(device, 1)
        assert (device.uid, device.device_sn, device.epoch, device.unacked_max) == (7, 41, "e1", 10)
        assert device.cursors == {"user": 9}


async def test_acks_every_half_window_before_live(stage: Stage) -> None:
    """In a replay each half of `unacked_max` is acked, and nothing in between."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome(unacked_max=4), *(entry(seq) for seq in range(1, 6)))
        await take(device, 6)
        assert await connection.hear() == {"op": "ack", "timeline": "user", "seq": 2}
        assert await connection.hear() == {"op": "ack", "timeline": "user", "seq": 4}


async def test_acks_nothing_small_before_live(stage: Stage) -> None:
    """While the replay may still go on, having read all that came is no reason to ack."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome(), entry(1))
        await take(device, 2)
        waiting = asyncio.create_task(take(device, 1))
        pinging = asyncio.create_task(device.ping())
        assert await connection.hear() == {"op": "ping"}
        await connection.say({"op": "pong"}, {"op": "live"})
        await asyncio.gather(waiting, pinging)


async def test_acks_when_it_has_caught_up(stage: Stage) -> None:
    """Once live, whatever is not acked is acked as soon as nothing more has come."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome({"user": 0, "g:77": 8}), entry(1), entry(9, "g:77"), {"op": "live"})
        await take(device, 4)
        more = asyncio.create_task(take(device, 1))
        acks = [await connection.hear(), await connection.hear()]
        assert acks == [
            {"op": "ack", "timeline": "user", "seq": 1},
            {"op": "ack", "timeline": "g:77", "seq": 9},
        ]
        await connection.say(entry(2))
        assert seqs(await more) == [2]


async def test_acks_only_what_the_loop_is_done_with(stage: Stage) -> None:
    """The entry that the application still has in hand is not acked, not even by closing."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome(), {"op": "live"}, entry(1), entry(2))
        await take(device, 4)
        assert device.cursors == {"user": 1}
    assert await connection.hear_rest() == [{"op": "ack", "timeline": "user", "seq": 1}]


async def test_leaves_acking_to_the_application(stage: Stage) -> None:
    """With `auto_ack` off only the application's own acks are said."""
    async with stage.device(auto_ack=False) as device:
        connection = await stage.accept()
        await connection.say(welcome(unacked_max=2), entry(1), entry(2), {"op": "live"})
        await take(device, 4)
        await device.ack("user", 1)
    assert await connection.hear_rest() == [{"op": "ack", "timeline": "user", "seq": 1}]


async def test_drops_and_counts_a_duplicate(stage: Stage) -> None:
    """An entry that one connection brings twice is a breach: yielded once, counted."""
    async with stage.device() as device:
        await (await stage.accept()).say(welcome(), entry(1), entry(1), entry(2))
        assert seqs(await take(device, 3)) == [1, 2]
        assert device.tally["duplicate"] == 1


async def test_does_not_take_an_entry_after_a_hole(stage: Stage) -> None:
    """An entry after a missing one is a breach: counted, not yielded, asked for again from the hole on."""
    async with stage.device() as device:
        first = await stage.accept()
        await first.say(welcome(), entry(1), {"op": "note"}, entry(3))
        assert seqs(await take(device, 3)) == [1]
        second = await stage.accept()
        assert first.close_code == 1002
        hello = await second.hear()
        assert hello is not None
        assert hello["cursors"] == {"user": 1}
        await second.say(welcome({"user": 1}), entry(2), entry(3))
        assert seqs(await take(device, 3)) == [2, 3]
        assert device.tally["gap"] == 1


async def test_goes_on_after_a_gap_it_is_told(stage: Stage) -> None:
    """A `gap` frame stands for all its seqs: yielded, acked as its last, no breach."""
    gap = {"op": "gap", "timeline": "user", "from": 1, "to": 6, "reason": "retention"}
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome(), gap, entry(7), {"op": "live"})
        assert (await take(device, 4))[1] == gap
        assert device.cursors == {"user": 7}
        assert device.tally["gap"] == 0


async def test_follows_a_group_it_joins(stage: Stage) -> None:
    """A group joined on this connection starts where the user's `joined` says."""
    joined = {
        "op": "group",
        "timeline": "user",
        "seq": 1,
        "action": "joined",
        "group_id": 77,
        "user_ids": [7],
    }
    async with stage.device() as device:
        await (await stage.accept()).say(welcome(), joined | {"from_seq": 30}, entry(30, "g:77"))
        assert seqs(await take(device, 3)) == [1, 30]
        assert device.tally["gap"] == 0


async def test_a_frame_that_is_none_is_a_breach(stage: Stage) -> None:
    """What is not JSON, or lacks what its op needs, is counted, and the device comes back."""
    async with stage.device() as device:
        await (await stage.accept()).say_raw("{")
        await (await stage.accept()).say({"op": "welcome"})
        await (await stage.accept()).say_raw("[]")
        await stage.accept()
        assert device.tally["malformed"] == 3


async def test_speaks_msgpack(stage: Stage) -> None:
    """Told so, it offers the other subprotocol, and says and hears the same frames in binary."""
    async with stage.device(encoding="msgpack", token_in_hello=True) as device:
        connection = await stage.accept()
        assert connection.protocol == "gateway.v1.msgpack"
        assert await connection.hear() == {"op": "hello", "token": "the-token"}
        said = [welcome(), entry(1), {"op": "live"}]
        await connection.say(*said)
        assert await take(device, 3) == said
        asking = asyncio.create_task(device.read(5, 6))
        assert await connection.hear() == {"op": "read", "ref": 1, "conversation_id": 5, "msg_id": 6}
        await connection.say({"op": "ok", "ref": 1})
        await asking


async def test_msgpack_that_is_none_is_a_breach(stage: Stage) -> None:
    """What is not MessagePack is counted, a text frame ends the connection, and the device comes back."""
    async with stage.device(encoding="msgpack") as device:
        await (await stage.accept()).say_raw(b"\xc1")
        await (await stage.accept()).say_raw(b"\x81\xa2op\xa1\xff")
        await (await stage.accept()).say_raw('{"op":"live"}')
        await stage.accept()
        assert device.tally["malformed"] == 2


async def test_holds_no_more_than_its_inbox(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that is slow makes the device stop reading, not pile up."""
    monkeypatch.setattr(device_module, "_INBOX_MAX", 2)
    async with stage.device() as device:
        await (await stage.accept()).say(welcome(), *(entry(seq) for seq in range(1, 9)))
        for _ in range(9):
            await take(device, 1)
            assert len(device._inbox) <= 2


async def test_leaves_a_session_it_was_given_open(stage: Stage) -> None:
    """Closing a device closes only what it opened itself."""
    async with aiohttp.ClientSession() as session:
        async with stage.device(session=session):
            await stage.accept()
        assert not session.closed


async def test_close_ends_the_loop(stage: Stage) -> None:
    """After `close` the loop ends quietly, and closing again is harmless."""
    async with stage.device() as device:
        await (await stage.accept()).say(welcome())
        await take(device, 1)
        await device.close()
        assert [frame async for frame in device] == []
        await device.close()
