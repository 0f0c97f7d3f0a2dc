"""How connections end: a newer one, silence, and the drain (design §6)."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import aiohttp
import pytest
from aiohttp import WSMsgType

from gateway.domain.errors import Kind, Problem
from gateway.wire.close import Close
from tests.channel.conftest import Start
from tests.channel.raw import CLOSE, PING, PONG, TEXT, frame, handshake, text
from tests.channel.stage import ALICE, BOB, CAROL, Peer, Stage, Ticks, contents, ops, until
from tests.patience import WAIT_S


async def test_newer_connection_replaces_the_older(stage: Stage) -> None:
    """Of one device the newest connection lives; the older is told not to come back."""
    older = await stage.live(BOB, 1)
    newer = await stage.live(BOB, 1)
    ended = await older.end()
    assert (ended.code, ended.bye["code"], ended.frames) == (Close.REPLACED, Close.REPLACED, [])
    await stage.send(ALICE, BOB)
    assert ops(await newer.so_far()) == ["message"]


@pytest.mark.parametrize("why", ["replaced", "protocol error"])
async def test_socket_is_open_until_the_close_is_answered(stage: Stage, why: str) -> None:
    """The server waits for the answer to its close, so that no client takes the end for an accident."""
    older = await stage.raw(BOB, 1)
    await older.until("live")
    if why == "protocol error":
        older.write(frame(TEXT, b"nonsense"))
    newer = await stage.live(BOB, 1)
    await older.until("bye")
    assert (await older.read())[0] == CLOSE
    for _ in range(5):
        await newer.so_far()
    assert not older.reader.at_eof()
    older.write(frame(CLOSE, b"\x11\x96"))
    await older.eof()


async def test_other_devices_are_not_replaced(stage: Stage) -> None:
    """Two devices of one user live beside each other."""
    peers = [await stage.live(BOB, device_sn) for device_sn in (1, 2)]
    await stage.send(ALICE, BOB)
    assert [ops(await peer.so_far()) for peer in peers] == [["message"], ["message"]]


async def test_same_device_sn_of_another_user_is_another_device(stage: Stage) -> None:
    """`device_sn` counts within a user."""
    alice = await stage.live(ALICE, 1)
    await stage.live(BOB, 1)
    assert await alice.so_far() == []


async def test_storm_of_one_device_leaves_one_connection(stage: Stage) -> None:
    """Many connections of one device at once: one is left, the others heard a `bye`."""
    token = await stage.token(BOB)
    query, headers = {"app_id": "demo", "device_sn": "1"}, {"access-token": token}
    peers = await asyncio.gather(*(stage.open(query, headers=headers) for _ in range(20)))
    await until(lambda: len(stage.hub.connections) == 1 and stage.gateway.channel._open == 1)
    [left] = [peer for peer in peers if not peer.ws.closed and await _is_live(peer)]
    await stage.send(ALICE, BOB)
    assert ops(await left.so_far()) == ["message"]


async def _is_live(peer: Peer) -> bool:
    """Read a connection up to its `live` or to its `bye`."""
    while (message := await peer.receive()).type is WSMsgType.TEXT:
        if '"op":"live"' in message.data:
            # It may have been replaced right after it was live.
            await peer.say(op="ping")
            return bool((await peer.receive()).data == '{"op":"pong","ref":null}')
    assert peer.ws.close_code == Close.REPLACED
    return False


async def test_silent_peer_is_pinged(start: Start, ticks: Ticks) -> None:
    """Who was silent for a heartbeat, and no sooner, gets a ping of the protocol."""
    stage = await start(heartbeat_ms=50)
    raw = await stage.raw(ALICE)
    await raw.until("live")
    ticks.move(49)
    stage.ticked(ALICE)
    await stage.send(BOB, ALICE)
    assert (await raw.read())[0] == TEXT
    ticks.move(1)
    assert await raw.read() == (PING, b"")


async def test_silent_peer_that_answers_pings_stays(start: Start, ticks: Ticks) -> None:
    """Any bytes count as life: a pong is enough, many times longer than the idle timeout."""
    stage = await start(heartbeat_ms=20)
    raw = await stage.raw(ALICE)
    await raw.until("live")
    session = stage.connection(ALICE).session
    for _ in range(8):
        # A look comes up to an eighth later than the answer to the last ping would have it.
        ticks.move(22)
        assert await raw.read() == (PING, b"")
        raw.write(frame(PONG, b""))
        await until(lambda: session.heard_at == ticks.at, "the pong")


async def test_silent_peer_that_answers_nothing_is_closed(start: Start, ticks: Ticks) -> None:
    """After 2.5 heartbeats of silence, and no sooner, comes `bye`, with a code that says come back."""
    stage = await start(heartbeat_ms=50)
    peer = await stage.connect(ALICE, autoping=False)
    await peer.until("live")
    ticks.move(124)
    assert (await peer.receive()).type is WSMsgType.PING
    assert not stage.ticked(ALICE).session.ended
    ticks.move(1)
    ended = await peer.end()
    assert (ended.code, ended.bye["code"]) == (Close.IDLE, Close.IDLE)


async def test_live_pushes_are_no_sign_of_life(start: Start, ticks: Ticks) -> None:
    """What is written to a peer does not prove that it lives."""
    stage = await start(heartbeat_ms=50)
    peer = await stage.connect(BOB, autoping=False)
    for _ in range(13):
        await stage.send(ALICE, BOB)
        ticks.move(10)
    while (message := await peer.receive()).type in {WSMsgType.TEXT, WSMsgType.PING}:
        pass
    assert message.type is WSMsgType.CLOSE
    assert peer.ws.close_code == Close.IDLE


async def test_closed_peer_that_answers_nothing_is_cut(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that does not answer the close is cut soon after."""
    monkeypatch.setattr("gateway.edge.sink.CLOSE_TIMEOUT_S", 0.05)
    stage = await start(heartbeat_ms=20)
    raw = await stage.raw(ALICE)
    await raw.eof()
    await until(lambda: not stage.sockets)


async def test_drain_says_bye_with_advice(stage: Stage) -> None:
    """A gateway that stops tells every device to come back, and when."""
    peers = [await stage.live(uid) for uid in (ALICE, BOB, CAROL)]
    stopping = asyncio.create_task(stage.gateway.stop())
    ended = [await peer.end() for peer in peers]
    await stopping
    assert {one.code for one in ended} == {Close.DRAINING}
    assert all(one.bye["retry_after_ms"] > 0 for one in ended)


async def test_drain_commits_what_was_acked(start: Start) -> None:
    """Acks that wait are committed before the `bye`."""
    stage = await start(ack_flush_ms=3_600_000)
    await stage.send(ALICE, BOB)
    bob, alice = await stage.live(BOB), await stage.live(ALICE)
    await bob.ack(1)
    await bob.so_far()
    stopping = asyncio.create_task(stage.gateway.stop())
    assert ops((await alice.end()).frames) == ["receipt"]
    await bob.end()
    await stopping


async def test_drain_loses_no_answered_send(stage: Stage) -> None:
    """Every send that was answered before the `bye` was dispatched before it too, in order."""
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    for ref in range(50):
        await alice.say(op="send", ref=ref, type=1, targets=[BOB], content_type=0, content=str(ref))
    await alice.until("ok")
    stopping = asyncio.create_task(stage.gateway.stop())
    answered = [frame["ref"] for frame in (await alice.end()).frames if frame["op"] == "ok"]
    heard = contents((await bob.end()).frames)
    await stopping
    assert heard == [str(ref) for ref in range(len(heard))]
    assert len(heard) > len(answered)


async def test_drain_refuses_new_connections(stage: Stage) -> None:
    """While it drains, a handshake that still comes gets HTTP 503."""
    stage.gateway.channel.draining = True
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await stage.open()
    stage.gateway.channel.draining = False
    assert refusal.value.status == 503


async def test_drain_refuses_new_requests(stage: Stage) -> None:
    """While it drains, a send on the channel is an error that says so."""
    peer = await stage.live(ALICE)
    stage.gateway.channel.draining = True
    answer = await peer.ask(op="send", ref=1, type=1, targets=[BOB], content_type=0, content="x")
    stage.gateway.channel.draining = False
    assert (answer["code"], answer["retry_after_ms"] > 0) == (20000, True)


async def test_drain_does_not_wait_for_peers_that_never_answer(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that takes no notice of the close does not hold the drain up: it is cut long before the time is over."""
    monkeypatch.setattr("gateway.edge.sink.CLOSE_TIMEOUT_S", 0.05)
    stage = await start(drain_ms=3_600_000)
    raw = await stage.raw(ALICE)
    await raw.until("live")
    async with asyncio.timeout(WAIT_S):
        await stage.gateway.stop()
    assert (await raw.until("bye"))[-1]["code"] == Close.DRAINING


async def test_drain_answers_callers_whose_store_hangs(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for it is told that it failed, before the time for the drain is over, and devices hear `bye`."""
    # All but 0.2 s of it.
    monkeypatch.setattr("gateway.app.ANSWERING", 0.999)
    stage = await start(drain_ms=200_000)
    bob = await stage.live(BOB)
    store = stage.gateway.store
    asked, closed, close = asyncio.Event(), asyncio.Event(), store.close

    async def hang(_: object) -> NoReturn:
        asked.set()
        await closed.wait()
        raise Problem(Kind.STORE_FAILED, "the store is closed")

    async def closing() -> None:
        closed.set()
        await close()

    monkeypatch.setattr(store, "append", hang)
    monkeypatch.setattr(store, "close", closing)
    alice = await stage.live(ALICE)
    await alice.say(op="send", ref=1, type=1, targets=[BOB], content_type=0, content="x")
    await asked.wait()
    stopping = asyncio.create_task(stage.gateway.stop())
    told = (await alice.end()).frames
    assert [(frame["op"], frame["message"]) for frame in told] == [("error", "the store is closed")]
    assert (await bob.end()).code == Close.DRAINING
    async with asyncio.timeout(WAIT_S):
        await stopping


async def test_who_has_not_authenticated_is_told_bye_too(stage: Stage) -> None:
    """Of a connection that has said nothing yet the hub knows nothing: the channel ends it."""
    peer = await stage.open()
    await until(lambda: stage.gateway.channel._waiting)
    await stage.gateway.channel.close()
    assert (await peer.end()).code == Close.DRAINING


async def test_hello_after_the_bye_attaches_nothing(stage: Stage) -> None:
    """What crosses a `bye` on its way is not obeyed."""
    raw = await stage.socket()
    raw.write(handshake(stage.port))
    await raw.head()
    await until(lambda: stage.gateway.channel._waiting)
    await stage.gateway.channel.close()
    raw.write(text(op="hello", app_id="demo", token=await stage.token(ALICE)))
    frames, code, _ = await raw.end()
    assert (ops(frames), code) == (["bye"], Close.DRAINING)
