"""Handshakes at the front door: which its device sockets take, and when they are answered."""

from __future__ import annotations

import asyncio

import pytest

from gateway.edge.frontdoor import device as device_module
from gateway.edge.sink import SocketSink
from tests.channel.doors import device
from tests.channel.raw import Raw, handshake, text
from tests.channel.stage import ALICE, APP, Stage, ops, until
from tests.channel.test_attaching import hold_standings

pytestmark = [
    pytest.mark.one_node("a socket is its own node's"),
    pytest.mark.usefixtures("door"),
]

READ_BYTES_MAX = 256 * 1024
"""What a loop reads from a socket at a time."""


async def asked(stage: Stage, uid: int, path: str = f"/ws?app_id={APP}", **headers: str) -> Raw:
    """Ask for an upgrade with the token in it, and read the answer's head."""
    raw = await stage.socket()
    raw.write(handshake(stage.port, path, access_token=await stage.token(uid), **headers))
    assert (await raw.head()).startswith(b"HTTP/1.1 101 ")
    return raw


async def test_a_plain_handshake_becomes_a_device_socket(stage: Stage) -> None:
    """No task, no timer and no buffer is left once it is live."""
    peer = await stage.live(ALICE)
    socket = device(stage, ALICE)
    await until(lambda: not stage.gateway.channel.tasks._running)
    assert socket._timer is None
    assert await peer.so_far() == []
    assert not stage.gateway.channel.tasks._running
    assert socket._reader is None


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/%77s", {}),
        ("/ws", {"Cookie": "a=b\r\nCookie: c=d"}),
        ("/ws", {"Proxy_Connection": "keep-alive"}),
        ("/ws", {"Content_Length": "0"}),
        ("/ws", {"X_Odd": "\u00e9"}),
    ],
)
async def test_what_is_not_plain_goes_to_aiohttp(stage: Stage, path: str, headers: dict[str, str]) -> None:
    """A handshake that is right, but has more to it, is served all the same."""
    raw = await asked(stage, ALICE, f"{path}?app_id={APP}", **headers)
    await raw.until("live")
    assert isinstance(stage.connection(ALICE).sink, SocketSink)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (b"Version: 13", b"Version: 12"),
        (b"Key: ", b"Key: short"),
        (b"Upgrade: websocket", b"Upgrade: h2c"),
        (b"Connection: Upgrade", b"Connection: close"),
        (b"GET /ws", b"POST /ws"),
    ],
)
async def test_wrong_handshakes_are_refused_as_ever(stage: Stage, wrong: bytes, right: bytes) -> None:
    """They go to aiohttp, and none is an upgrade."""
    raw = await stage.socket()
    raw.write(handshake(stage.port).replace(wrong, right))
    assert (await raw.head()).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 405 "))
    assert stage.gateway.channel._open == 0


async def test_what_is_said_before_the_answer_is_heard(stage: Stage) -> None:
    """A client need not wait for the 101 to say hello; once it has, its time to do so is no matter any more."""
    raw = await stage.socket()
    hello = text(op="hello", app_id=APP, token=await stage.token(ALICE))
    raw.write(handshake(stage.port) + hello[:5])
    raw.write(hello[5:] + text(op="ping", ref=1))
    await raw.head()
    assert ops(await raw.until("pong")) == ["welcome", "live", "pong"]
    assert device(stage, ALICE)._timer is None


async def test_escaped_query_is_read_as_on_the_other_road(stage: Stage) -> None:
    """What stands for something else in the address is decoded."""
    raw = await asked(
        stage, ALICE, f"/ws?platform=%35&app_id={APP[0]}%{ord(APP[1]):x}{APP[2:]}&device_sn=%38"
    )
    assert (await raw.hear())["device_sn"] == 8
    assert stage.connection(ALICE).platform == 5


async def held(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> tuple[Raw, asyncio.Event]:
    """One that has asked, and whose answer waits for what the store says of it; and what lets the store say that."""
    monkeypatch.setattr(device_module, "ANSWER_WAITS_S", 3_600)
    waits, may_go = await hold_standings(stage, monkeypatch)
    raw = await stage.socket()
    raw.write(handshake(stage.port, f"/ws?app_id={APP}", access_token=await stage.token(ALICE)))
    await waits.wait()
    return raw, may_go


async def test_the_answer_to_a_handshake_goes_with_welcome(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written for itself while what is said first may come any moment, and then both are one write."""
    raw, may_go = await held(stage, monkeypatch)
    assert device(stage, ALICE)._answer
    may_go.set()
    # A peer that reads nothing meanwhile finds all of it in what came first.
    first = await raw.reader.read(READ_BYTES_MAX)
    assert first.startswith(b"HTTP/1.1 101 ")
    assert b'"welcome"' in first
    assert b'"live"' in first


async def test_the_answer_to_a_handshake_does_not_wait_for_the_store(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where attaching takes longer, the client is told at once that it has come to the right place."""
    _, may_go = await hold_standings(stage, monkeypatch)
    raw = await asked(stage, ALICE)
    assert not device(stage, ALICE)._answer
    may_go.set()
    assert ops(await raw.until("live")) == ["welcome", "live"]


async def test_who_sends_no_more_after_the_handshake_is_answered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The half that is open yet is told what was asked."""
    raw, may_go = await held(stage, monkeypatch)
    raw.writer.write_eof()
    assert (await raw.head()).startswith(b"HTTP/1.1 101 ")
    may_go.set()
