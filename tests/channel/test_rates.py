"""How fast a device may ask for things, and what becomes of one that takes no notice (design promise 6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.wire.encoding import ENCODINGS
from tests.channel.conftest import Start
from tests.channel.raw import text
from tests.channel.stage import ALICE, BOB, Frame, Ticks, ops, until

pytestmark = pytest.mark.one_node("rates are each connection's own")

REQUESTS: dict[str, Frame] = {
    "send": {"type": 1, "targets": [BOB], "content_type": 0, "content": "x"},
    "read": {"conversation_id": BOB},
    "recall": {"conversation_id": BOB, "msg_id": 1},
    "signal": {"type": 1, "target": BOB, "content": "x"},
    "send that is none": {},
}


def request(what: str, ref: int) -> Frame:
    return {"op": what.partition(" ")[0], "ref": ref, **REQUESTS[what]}


async def passes(ms: int) -> None:
    loop = asyncio.get_running_loop()
    then = loop.time() + ms / 1000
    await until(lambda: loop.time() >= then)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("what", REQUESTS)
async def test_requests_past_the_rate_are_refused(
    start: Start, ticks: Ticks, what: str, encoding: str
) -> None:
    """A burst goes at once; then 60004 and how long to wait, which is enough, and the connection stays."""
    stage = await start(device_requests_per_s=5, device_requests_burst=3)
    peer = await stage.live(ALICE, encoding=ENCODINGS[encoding])
    for ref in range(4):
        await peer.say(**request(what, ref))
    answers = [frame for frame in await peer.so_far() if frame["op"] in {"ok", "error"}]
    *gone, refused = answers
    assert [frame["ref"] for frame in answers] == [0, 1, 2, 3]
    assert all(frame.get("code") != 60004 for frame in gone)
    assert (refused["op"], refused["code"]) == ("error", 60004)
    assert refused["retry_after_ms"] == 200
    ticks.move(199)
    assert (await peer.ask(**request(what, 4)))["retry_after_ms"] == 1
    ticks.move(1)
    assert (await peer.ask(**request(what, 5))).get("code") != 60004


async def test_what_is_refused_is_not_done(start: Start, ticks: Ticks) -> None:
    """A send past the rate is not stored and reaches nobody."""
    stage = await start(device_requests_per_s=1, device_requests_burst=2)
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    for ref in range(10):
        await alice.say(**request("send", ref))
    assert ops(await alice.so_far()).count("error") == 8
    assert ops(await bob.so_far()) == ["message"] * 2


async def test_acks_and_pings_are_not_rationed(start: Start, ticks: Ticks) -> None:
    """What keeps a device going costs it nothing."""
    stage = await start(device_requests_per_s=1, device_requests_burst=1)
    await stage.send_many(ALICE, BOB, 20)
    bob = await stage.live(BOB)
    for seq in range(1, 21):
        await bob.ack(seq)
        assert await bob.so_far() == []
    await stage.acked()
    assert await stage.cursors(BOB) == [20]
    assert (await bob.ask(op="read", ref=1, conversation_id=ALICE))["op"] == "ok"


async def test_each_device_has_its_own_rate(start: Start, ticks: Ticks) -> None:
    """One device that asks too fast takes nothing from the user's others."""
    stage = await start(device_requests_per_s=1, device_requests_burst=2)
    one, two = await stage.live(ALICE, 1), await stage.live(ALICE, 2)
    answers = [await one.ask(**request("read", ref)) for ref in range(3)]
    assert ops(answers) == ["ok", "ok", "error"]
    assert (await two.ask(**request("read", 1)))["op"] == "ok"


async def test_signals_have_a_rate_of_their_own(start: Start, ticks: Ticks) -> None:
    """Signals are refused sooner than other requests, also where they have no `ref`."""
    stage = await start(signals_per_s=1, signals_burst=2)
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    signal: dict[str, Any] = {"op": "signal", **REQUESTS["signal"]}
    for _ in range(5):
        await alice.say(**signal)
    refused = await alice.so_far()
    assert [(frame["op"], frame["ref"], frame["code"]) for frame in refused] == [("error", None, 60004)] * 3
    assert {frame["retry_after_ms"] for frame in refused} == {1_000}
    assert ops(await bob.so_far()) == ["signal"] * 2
    assert (await alice.ask(**request("send", 1)))["op"] == "ok"


async def test_flood_is_read_no_faster_than_the_rate(
    start: Start, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes no notice of refusals is made to wait: its requests are done at the rate, the others stay with it."""
    per_s, burst = 50, 40
    stage = await start(device_requests_per_s=per_s, device_requests_burst=burst)
    raw = await stage.raw(ALICE)
    await raw.until("live")
    read, done = stage.gateway.receipts.read, 0

    async def counted(*asked: Any) -> None:
        nonlocal done
        done += 1
        await read(*asked)

    monkeypatch.setattr(stage.gateway.receipts, "read", counted)
    count, filler = 10_000, "x" * 1_000
    for ref in range(count):
        raw.write(text(op="read", ref=ref, conversation_id=BOB, x=filler))
    refused = 0
    while refused < 10 * burst - 1:
        refused += (await raw.hear())["op"] == "error"
    for turn in range(1, 23):
        ticks.move(1_000 // per_s)
        assert await raw.hear() == {"op": "ok", "ref": burst + refused + turn - 1}
        assert done == burst + turn
    # What it has said and nobody has read fills no memory but its own.
    assert raw.writer.transport.get_write_buffer_size() > 0
    other = await stage.live(BOB)
    assert (await other.ask(**request("read", 1)))["op"] == "ok"
    assert not stage.connection(ALICE).session.ended
    # Of a socket that is not read it shows by the next answer that its peer is gone.
    raw.cut()
    ticks.move(1_000)


async def test_flood_ends_with_a_rest(start: Start, ticks: Ticks) -> None:
    """Who has kept quiet for a burst's worth is told again when it is too fast."""
    stage = await start(device_requests_per_s=100, device_requests_burst=20)
    peer = await stage.live(ALICE)
    for _ in range(2):
        for ref in range(230):
            await peer.say(**request("read", ref))
        assert ops(await peer.take(219)) == ["ok"] * 20 + ["error"] * 199
        for _ in range(11):
            ticks.move(10)
            assert (await peer.hear())["op"] == "ok"
        ticks.move(200)


async def test_what_waits_for_its_turn_ends_with_its_connection(start: Start, ticks: Ticks) -> None:
    """A device that is made to wait can be replaced, and what it still had to say is not done any more."""
    stage = await start(device_requests_per_s=2, device_requests_burst=1)
    older, bob = await stage.raw(ALICE), await stage.live(BOB)
    for ref in range(20):
        older.write(text(**request("send", ref)))
    await older.until("ok")
    for _ in range(9):
        await older.until("error")
    newer = await stage.live(ALICE)
    # It does not answer the close, so that its socket outlives the wait.
    await older.until("bye")
    ticks.move(600)
    await passes(600)
    assert ops(await bob.so_far()) == ["message"]
    assert await newer.so_far() == []


async def test_new_connection_begins_with_a_burst(start: Start, ticks: Ticks) -> None:
    """The rate is a connection's: a device that comes back may ask at once."""
    stage = await start(device_requests_per_s=1, device_requests_burst=1)
    for _ in range(2):
        peer = await stage.live(ALICE)
        answers = [await peer.ask(**request("read", ref)) for ref in range(2)]
        assert ops(answers) == ["ok", "error"]
