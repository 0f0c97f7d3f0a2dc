"""The device client: when it comes back, when it does not, and where it goes on."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.client.device import Backoff, Device
from gateway.client.errors import ClosedError
from scripts.loadlib.services import free_port
from tests.client.stage import Naps, Stage, entry, seqs, take, welcome


async def test_states_the_cursors_it_is_given(stage: Stage) -> None:
    """A device that is given cursors and an epoch resumes from them at its first connection."""
    async with stage.device(cursors={"user": 3}, epoch="e1"):
        connection = await stage.accept()
        hello = await connection.hear()
        assert hello == {"op": "hello", "token": "the-token", "epoch": "e1", "cursors": {"user": 3}}


async def test_resumes_by_hello_with_its_own_cursors(stage: Stage) -> None:
    """After a cut it comes back as the same device and states what it is done with, and of which epoch."""
    async with stage.device() as device:
        first = await stage.accept()
        await first.say(welcome(), entry(1), entry(2), entry(3))
        await take(device, 3)
        first.cut()
        second = await stage.accept()
        assert second.token is None
        assert second.query["device_sn"] == "41"
        hello = await second.hear()
        assert hello == {"op": "hello", "token": "the-token", "epoch": "e1", "cursors": {"user": 1}}


async def test_an_entry_in_hand_comes_once(stage: Stage) -> None:
    """The entry that the loop body works on while the connection breaks is not yielded again, but acked."""
    async with stage.device() as device:
        first = await stage.accept()
        await first.say(welcome(), entry(1))
        assert seqs(await take(device, 2)) == [1]
        first.cut()
        second = await stage.accept()
        assert (await second.hear() or {})["cursors"] == {"user": 0}
        waiting = asyncio.create_task(take(device, 3))
        await second.say(welcome({"user": 0}), {"op": "live"})
        # The loop waits for more when the repeat comes: nothing but the repeat itself can get it acked.
        pinging = asyncio.create_task(device.ping())
        assert await second.hear() == {"op": "ping"}
        await second.say({"op": "pong"})
        await pinging
        await second.say(entry(1))
        assert await second.hear() == {"op": "ack", "timeline": "user", "seq": 1}
        await second.say(entry(2))
        assert seqs(await waiting) == [2]
        assert (device.tally["repeated"], device.tally["duplicate"]) == (1, 0)


async def test_never_acks_above_what_this_connection_was_sent(stage: Stage) -> None:
    """What the application finished between `hello` and `welcome` is acked as the server writes it again."""
    async with stage.device() as device:
        first = await stage.accept()
        await first.say(welcome(unacked_max=2), *(entry(seq) for seq in range(1, 4)))
        await take(device, 2)
        # All of it has come before the cut, since the answer to a ping comes behind it.
        pinging = asyncio.create_task(device.ping())
        await first.hear()
        await first.say({"op": "pong"})
        await pinging
        first.cut()
        second = await stage.accept()
        assert (await second.hear() or {})["cursors"] == {"user": 0}
        await take(device, 2)
        assert device.cursors == {"user": 2}
        await second.say(welcome({"user": 0}, unacked_max=2), entry(1), {"op": "live"})
        waiting = asyncio.create_task(take(device, 3))
        assert await second.hear() == {"op": "ack", "timeline": "user", "seq": 1}
        await second.say(entry(2), entry(3), entry(4))
        assert seqs(await waiting) == [4]
        assert device.cursors == {"user": 3}


async def test_forgets_what_lies_above_the_servers_cursors(stage: Stage) -> None:
    """A `welcome` of the same epoch that names less than the device holds brings those entries again."""
    async with stage.device(cursors={"user": 5}, epoch="e1") as device:
        await (await stage.accept()).say(welcome({"user": 3}), entry(4), entry(5))
        assert seqs(await take(device, 3)) == [4, 5]


async def test_forgets_everything_of_another_epoch(stage: Stage) -> None:
    """After a restore nothing held counts: the server's cursors are taken, and entries come by them."""
    async with stage.device(cursors={"user": 5, "g:1": 9}, epoch="e1") as device:
        await (await stage.accept()).say(welcome({"user": 0}, epoch="e2"), entry(1))
        assert seqs(await take(device, 2)) == [1]
        assert device.epoch == "e2"
        assert device.cursors == {"user": 0}


async def test_drops_what_nobody_had_read_of_another_epoch(stage: Stage) -> None:
    """Entries that wait unread when the connection breaks come again, or were of a store that is no more."""
    async with stage.device() as device:
        first = await stage.accept()
        await first.say(welcome(), *(entry(seq) for seq in range(1, 4)))
        pinging = asyncio.create_task(device.ping())
        await first.hear()
        await first.say({"op": "pong"})
        await pinging
        await take(device, 1)
        first.cut()
        second = await stage.accept()
        await second.hear()
        await second.say(welcome(epoch="e2"), {"op": "live"})
        pinging = asyncio.create_task(device.ping())
        await second.hear()
        await second.say({"op": "pong"})
        await pinging
        assert [frame["op"] for frame in await take(device, 2)] == ["welcome", "live"]


async def test_acks_nothing_that_hello_has_said(stage: Stage) -> None:
    """What `hello` stated is acked by it: the new connection starts with nothing to ack."""
    async with stage.device() as device:
        first = await stage.accept()
        await first.say(welcome(), entry(1), {"op": "note"})
        await take(device, 3)
        first.cut()
        second = await stage.accept()
        assert (await second.hear() or {})["cursors"] == {"user": 1}
        await second.say(welcome({"user": 1}), {"op": "live"})
        await take(device, 2)
        waiting = asyncio.create_task(take(device, 1))
        pinging = asyncio.create_task(device.ping())
        assert await second.hear() == {"op": "ping"}
        await second.say({"op": "pong"}, entry(2))
        await asyncio.gather(waiting, pinging)


async def test_stays_away_as_long_as_it_is_told(stage: Stage) -> None:
    """`bye.retry_after_ms` is waited for in full, whatever the backoff says."""
    naps = Naps()
    async with stage.device(sleep=naps):
        first = await stage.accept()
        await first.say(welcome(), {"op": "bye", "code": 4000, "reason": "draining", "retry_after_ms": 7_000})
        await first.close(4000)
        await stage.accept()
    assert 7.0 <= naps.taken[0] <= 7.4


async def test_backs_off_further_each_time(stage: Stage) -> None:
    """Connections that bring nothing double the delay; one that brings an entry starts it over."""
    naps = Naps()
    backoff = Backoff(first_s=1.0, max_s=100.0)
    async with stage.device(sleep=naps, backoff=backoff, rng=random.Random(1)):
        for _ in range(3):
            await (await stage.accept()).close(4001)
        for gift in (entry(1), {"op": "live"}):
            await (await stage.accept()).close(4001)
            advanced = await stage.accept()
            await advanced.say(welcome(), gift)
            await advanced.close(4001)
        await stage.accept()
    assert 1.0 <= naps.taken[0] <= 2.0
    assert 2.0 <= naps.taken[1] <= 4.0
    assert 4.0 <= naps.taken[2] <= 8.0
    assert 8.0 <= naps.taken[3] <= 16.0
    assert 0.5 <= naps.taken[4] <= 1.0
    assert 1.0 <= naps.taken[5] <= 2.0
    assert 0.5 <= naps.taken[6] <= 1.0


def test_backoff_is_bounded() -> None:
    """However many attempts, the delay stays at or under `max_s` and above half of it."""
    delays = [Backoff().delay_s(10_000, random.Random(seed)) for seed in range(50)]
    assert max(delays) <= 30.0
    assert min(delays) >= 15.0
    assert len(set(delays)) > 40


@pytest.mark.parametrize("code", [4500, 4999])
async def test_stops_for_good(stage: Stage, code: int) -> None:
    """A close code of 4500 to 4999 ends the loop with its code and reason, and no connection follows."""
    naps = Naps()
    async with stage.device(sleep=naps) as device:
        connection = await stage.accept()
        await connection.say(welcome(), {"op": "bye", "code": code, "reason": "replaced"})
        await connection.close(code)
        await take(device, 2)
        with pytest.raises(ClosedError, match="replaced") as stopped:
            await take(device, 1)
        assert stopped.value.code == code
    assert naps.taken == []
    assert stage.untouched


async def test_believes_a_bye_whose_close_got_lost(stage: Stage) -> None:
    """A `bye` for good is enough: the close frame may not make it."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome(), {"op": "bye", "code": 4501, "reason": "token expired"})
        await take(device, 2)
        connection.cut()
        with pytest.raises(ClosedError, match="token expired"):
            await take(device, 1)


@pytest.mark.parametrize("code", [1001, 1011, 4000, 4499])
async def test_comes_back_after_other_closes(stage: Stage, code: int) -> None:
    """Every close code outside 4500 to 4999 is only a pause."""
    async with stage.device():
        await (await stage.accept()).close(code)
        await stage.accept()


async def test_stops_where_the_upgrade_is_refused() -> None:
    """A 4xx for the upgrade will not get better: the loop ends with the HTTP status."""
    async with Stage(403) as stage, stage.device() as device:
        with pytest.raises(ClosedError) as stopped:
            await take(device, 1)
        assert stopped.value.code == 403


@pytest.mark.parametrize("status", [429, 503])
async def test_comes_back_to_a_server_that_is_not_ready(status: int) -> None:
    """A status that means "later" is a pause."""
    async with Stage(status, status) as stage, stage.device() as device:
        await (await stage.accept()).say(welcome())
        await take(device, 1)


async def test_waits_for_a_server_that_is_down() -> None:
    """A port where nobody listens yet is tried again."""
    stage, port = Stage(), free_port()
    naps = Naps(during=lambda: stage.open(port))
    async with Device(f"http://127.0.0.1:{port}", "demo", "t", sleep=naps):
        await stage.accept()
    await stage.__aexit__()
    assert len(naps.taken) == 1
