"""The device socket of the front door: what is said behind a request, and what a hostile peer can make of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NoReturn

import pytest

from gateway.core.messaging import Messaging
from gateway.domain.limits import Limits
from gateway.edge.approach import Approach
from gateway.edge.channel import Asker, Channel
from gateway.edge.frontdoor.device import FRAMES_AT_ONCE, UNREAD_BYTES_MAX, DeviceSocket
from gateway.wire.close import Close
from tests.channel.conftest import Start
from tests.channel.doors import device
from tests.channel.raw import CLOSE, CONTINUATION, PING, PONG, TEXT, Raw, frame, handshake, text
from tests.channel.stage import ALICE, APP, BOB, Stage, Ticks, open_stage, ops, until

pytestmark = [
    pytest.mark.one_node("a socket is its own node's"),
    pytest.mark.usefixtures("door"),
]

READ_BYTES_MAX = 256 * 1024
"""What a loop reads from a socket at a time."""


def unread(socket: DeviceSocket) -> int:
    """How many bytes wait there to be heard."""
    return socket._reader.unread if socket._reader else 0


# -- what is said behind a request -------------------------------------------------------------------------


class Held:
    """Sends that begin and go on when they may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        send = Messaging.send

        async def hold(messaging: Messaging, *args: object) -> object:
            self.begun.set()
            await self.go.wait()
            return await send(messaging, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(Messaging, "send", hold)

    async def begin(self, raw: Raw) -> None:
        raw.write(text(op="send", ref=0, type=1, targets=[BOB], content_type=0, content="held"))
        await self.begun.wait()


async def test_order_is_kept_behind_a_request(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said while a request is under way is done after it, be it an ack, a ping or another request."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    held = Held(monkeypatch)
    await held.begin(raw)
    raw.write(text(op="ping", ref=1) + frame(PING, b"2"))
    raw.write(
        text(op="send", ref=3, type=1, targets=[BOB], content_type=0, content="next") + frame(PING, b"4")
    )
    other = await stage.live(BOB)
    assert await other.so_far() == []
    held.go.set()
    told: list[tuple[int, bytes]] = []
    while len(told) < 5:
        kind, payload = await raw.read()
        if b'"message"' not in payload:
            told.append((kind, payload))
    assert [kind for kind, _ in told] == [TEXT, TEXT, PONG, TEXT, PONG]
    assert [payload[:6] == b'{"op":' or payload for _, payload in told] == [True, True, b"2", True, b"4"]
    assert ops(await other.so_far()) == ["message", "message"]


async def test_socket_is_not_read_while_much_waits(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a request that takes long little is taken in; all of it is answered afterwards."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    socket, held, count = device(stage, ALICE), Held(monkeypatch), 5_000
    await held.begin(raw)
    pad = "x" * 1_000
    for ref in range(1, count):
        raw.write(text(op="ping", ref=ref, pad=pad))
    await until(lambda: not socket._transport.is_reading())
    other = await stage.live(BOB)
    for _ in range(20):
        await other.so_far()
        assert UNREAD_BYTES_MAX < unread(socket) <= UNREAD_BYTES_MAX + READ_BYTES_MAX
    held.go.set()
    for ref in range(count):
        while "ref" not in (told := await raw.hear()):
            pass
        assert told["ref"] == ref
    assert socket._transport.is_reading()


async def test_bytes_count_as_life_behind_a_request(
    start: Start, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device whose request takes long is not silent because nobody has read on."""
    stage = await start()
    raw = await stage.raw(ALICE)
    await raw.until("live")
    held, session = Held(monkeypatch), stage.connection(ALICE).session
    await held.begin(raw)
    ticks.move(1_000)
    raw.write(frame(PONG))
    await until(lambda: session.heard_at == ticks.at)
    held.go.set()


@pytest.mark.parametrize("end", ["half-close", "close", "cut"])
async def test_request_of_one_that_goes_is_done(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """What was said before the end is done, and then nothing of the connection is left."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    bob, held = await stage.live(BOB), Held(monkeypatch)
    await held.begin(raw)
    socket = device(stage, ALICE)
    if end == "half-close":
        raw.writer.write_eof()
    elif end == "close":
        raw.write(frame(CLOSE, b"\x03\xe8"))
    else:
        raw.cut()
    await until(lambda: end == "close" or socket.gone)
    held.go.set()
    assert ops(await bob.until("message")) == ["message"]
    await until(lambda: len(stage.hub.connections) == 1 and stage.gateway.channel._open == 1)
    assert socket._asker is None


async def test_bug_ends_one_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that fails in a way that nobody foresaw is logged; its socket is cut, the others go on."""

    async def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError

    async with open_stage(tmp_path / "data") as stage:
        other = await stage.live(BOB)
        raw = await stage.raw(ALICE)
        await raw.until("live")
        monkeypatch.setattr(Messaging, "send", fail)
        raw.write(text(op="send", ref=0, type=1, targets=[BOB], content_type=0, content="x"))
        await raw.eof()
        assert await other.so_far() == []
        await until(lambda: len(stage.hub.connections) == 1)
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_transport_that_fills_while_its_device_attaches(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub learns of it as soon as there is a connection to tell of."""
    attach = Channel.attach

    async def filled(channel: Channel, approach: Approach, line: DeviceSocket, said: bytes | None) -> Asker:
        asker = await attach(channel, approach, line, said)
        line.pause_writing()
        return asker

    monkeypatch.setattr(Channel, "attach", filled)
    raw = await stage.raw(ALICE)
    await raw.until("live")
    assert stage.connection(ALICE).session.lagging
    device(stage, ALICE).resume_writing()
    assert not stage.connection(ALICE).session.lagging


# -- hostile peers ----------------------------------------------------------------------------------------


async def test_largest_frame_and_one_byte_more(stage: Stage) -> None:
    """What has `frame_bytes_max` is a frame; of a larger one its header is enough, and nothing of it is kept."""
    most = Limits().frame_bytes_max
    raw = await stage.raw(ALICE)
    await raw.until("live")
    body = b'{"op":"ping","ref":1,"pad":"'
    raw.write(frame(TEXT, body + b"x" * (most - len(body) - 2) + b'"}'))
    assert (await raw.hear())["op"] == "pong"
    raw.write(frame(TEXT, b"x" * (most + 1))[:14])
    frames, code, _ = await raw.end()
    assert (ops(frames), code) == (["bye"], Close.PROTOCOL)


async def test_large_frame_byte_by_byte(stage: Stage) -> None:
    """A frame that takes thousands of reads is a frame, and of no weight to others."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    for byte in text(op="ping", ref=1, pad="x" * 3_000):
        raw.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await raw.hear())["ref"] == 1
    assert device(stage, ALICE)._reader is None


async def test_fragments_without_end(stage: Stage) -> None:
    """Empty ones are nothing, however many they are; others fill the largest frame, and no more."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    other = await stage.live(BOB)
    raw.write(frame(TEXT, b'{"op":"ping"', fin=False))
    for _ in range(50):
        raw.write(frame(CONTINUATION, fin=False) * 1_000)
        assert await other.so_far() == []
    raw.write(frame(PING, b"still there"))
    assert await raw.read() == (PONG, b"still there")
    assert unread(device(stage, ALICE)) == 0
    raw.write(frame(CONTINUATION, b" " * 1_000, fin=False) * 1_000)
    frames, code, _ = await raw.end()
    assert (ops(frames), code) == (["bye"], Close.PROTOCOL)


@pytest.mark.parametrize(
    "said", [frame(PING), frame(PONG), text(op="ping"), frame(CONTINUATION, fin=False)], ids=str
)
async def test_many_frames_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """After so many the others have their turn, whatever they say, and then comes the rest."""
    go, resting = asyncio.Event(), asyncio.Event()

    async def rest() -> None:
        resting.set()
        await go.wait()

    raw = await stage.raw(ALICE)
    await raw.until("live")
    socket = device(stage, ALICE)
    monkeypatch.setattr("gateway.edge.frontdoor.device._rest", rest)
    first = frame(TEXT, b"", fin=False) if said[0] == CONTINUATION else b""
    raw.write(first + said * (3 * FRAMES_AT_ONCE - bool(first)) + frame(PING, b"last"))
    await resting.wait()
    assert unread(socket) == 2 * FRAMES_AT_ONCE * len(said) + len(frame(PING, b"last"))
    go.set()
    while await raw.read() != (PONG, b"last"):
        pass


@pytest.mark.parametrize("said", [b"\x81", text(op="ping")[:7], frame(TEXT, b"{", fin=False)])
async def test_cut_in_the_middle_of_a_frame(stage: Stage, said: bytes) -> None:
    """What is cut there leaves nothing behind."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    raw.write(said)
    await raw.writer.drain()
    raw.cut()
    await until(lambda: stage.empty and not stage.gateway.channel._parting)


async def test_half_close_of_a_peer_that_takes_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends no more and reads nothing does not keep what waits for it alive."""
    monkeypatch.setattr("gateway.edge.sink.CLOSE_TIMEOUT_S", 0.05)
    stage = await start(transport_buffer_bytes_max=1 << 28)
    raw = await stage.raw(BOB, lazy=True)
    await raw.until("live")
    socket = device(stage, BOB)
    while not socket.buffered():
        await stage.send(ALICE, BOB, "x" * 60_000)
    raw.writer.write_eof()
    await until(lambda: stage.empty and socket._lost)
    assert not socket.buffered()


async def test_what_crosses_the_bye_is_not_obeyed(stage: Stage) -> None:
    """After its `bye` a device is heard no more, but for the answer to the close."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    bob = await stage.live(BOB)
    send = text(op="send", ref=0, type=1, targets=[BOB], content_type=0, content="late")
    raw.write(text(op="jump") + send + frame(PING, b"late") + frame(CLOSE, b"\x11\x97"))
    assert (await raw.hear())["op"] == "bye"
    assert (await raw.read())[0] == CLOSE
    # It is closed at once, because the answer was there.
    await raw.eof()
    assert await bob.so_far() == []


async def test_malformed_frames_end_the_stream(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who breaks the protocol sees the end after the close, and what it still sends takes nothing of that back."""
    monkeypatch.setattr("gateway.edge.sink.CLOSE_TIMEOUT_S", 3600)
    raw = await stage.raw(ALICE)
    await raw.until("live")
    raw.write(frame(3) + b"x" * (1 << 20))
    frames, code, _ = await raw.end()
    assert (ops(frames), code) == (["bye"], Close.PROTOCOL)


async def test_what_is_said_with_a_bad_token_is_not_heard(stage: Stage) -> None:
    """Who was not let in has its `bye`, and what it said behind its `hello` is dropped."""
    raw = await stage.socket()
    raw.write(handshake(stage.port))
    await raw.head()
    raw.write(text(op="hello", app_id=APP, token="nonsense") + text(op="ping") + frame(PING))
    frames, code, _ = await raw.end()
    assert (ops(frames), code) == (["bye"], Close.TOKEN_ILLEGAL)


async def test_one_that_goes_before_it_says_anything(stage: Stage) -> None:
    """Nothing waits for it any more."""
    raw = await stage.socket()
    raw.write(handshake(stage.port))
    await raw.head()
    [socket] = stage.gateway.channel._waiting
    assert isinstance(socket, DeviceSocket)
    assert socket._timer is not None
    raw.cut()
    await until(lambda: stage.empty and socket._lost)
    assert socket._timer is None


async def test_garbage_after_the_bye(stage: Stage) -> None:
    """Who answers a `bye` with what is no frame has got his `bye` all the same."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    raw.write(text(op="jump") + b"\x83\x00")
    frames, code, _ = await raw.end()
    assert (ops(frames), code) == (["bye"], Close.PROTOCOL)


async def test_drain_cuts_who_keeps_its_socket(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time for the drain is over, sockets that were not given back are cut."""
    monkeypatch.setattr("gateway.edge.sink.CLOSE_TIMEOUT_S", 3600)
    stage = await start(drain_ms=300)
    raw = await stage.raw(ALICE)
    await raw.until("live")
    await stage.gateway.stop()
    await raw.eof()
    assert not stage.gateway.channel._parting


async def test_drain_ends_requests(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time for the drain is over no request goes on, and its socket is cut too."""
    stage = await start(drain_ms=300)
    raw = await stage.raw(ALICE)
    await raw.until("live")
    held = Held(monkeypatch)
    await held.begin(raw)
    await stage.gateway.stop()
    await raw.eof()
    assert not stage.gateway.channel._parting
    assert not stage.gateway.channel.tasks._running
