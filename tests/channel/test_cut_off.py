"""Connections that end in the middle of a word: nothing of them is left, and the gateway goes on."""

from __future__ import annotations

import asyncio

import pytest

from tests.channel.raw import frame, handshake, text
from tests.channel.stage import ALICE, BOB, Stage, ops, until

AT_ONCE = 50


async def cut_at_every_byte(stage: Stage, whole: bytes, *, politely: bool) -> None:
    """Open a connection per prefix of what a client says, and end it there."""

    async def one(size: int) -> None:
        raw = await stage.socket()
        raw.write(whole[:size])
        if politely:
            raw.writer.write_eof()
            await raw.eof()
        else:
            await raw.writer.drain()
        raw.cut()

    for first in range(0, len(whole) + 1, AT_ONCE):
        await asyncio.gather(*(one(size) for size in range(first, min(first + AT_ONCE, len(whole) + 1))))
    await until(lambda: stage.empty and not stage.sockets, "every connection being forgotten")


async def healthy(stage: Stage) -> None:
    peer = await stage.live(BOB)
    await stage.send(ALICE, BOB)
    assert ops(await peer.so_far()) == ["message"]


@pytest.mark.parametrize("politely", [True, False])
async def test_handshake_with_a_token_cut_at_every_byte(stage: Stage, politely: bool) -> None:
    """Wherever a handshake that would attach is cut, no connection and no hub entry is left."""
    path = "/ws?app_id=demo&device_sn=1"
    whole = handshake(stage.port, path, access_token=await stage.token(ALICE))
    await cut_at_every_byte(stage, whole, politely=politely)
    await healthy(stage)


@pytest.mark.parametrize("politely", [True, False])
async def test_hello_cut_at_every_byte(stage: Stage, politely: bool) -> None:
    """The same for a client that says `hello`, cut in the handshake or in the frame."""
    hello = text(op="hello", app_id="demo", token=await stage.token(ALICE), cursors={"user": 0})
    await cut_at_every_byte(stage, handshake(stage.port) + hello, politely=politely)
    await healthy(stage)


async def test_requests_cut_at_every_byte(stage: Stage) -> None:
    """A device that is cut while it says a request leaves nothing, and no part of the request is done."""
    path = "/ws?app_id=demo"
    token = await stage.token(ALICE)
    send = text(op="send", ref=1, type=1, targets=[BOB], content_type=0, content="whole")
    head = handshake(stage.port, path, access_token=token)

    async def one(size: int) -> None:
        raw = await stage.socket()
        raw.write(head + send[:size])
        await raw.head()
        await raw.until("welcome")
        raw.cut()

    for size in range(len(send)):
        await one(size)
    await until(lambda: stage.empty and not stage.sockets)
    peer = await stage.connect(BOB)
    assert ops(await peer.until("live")) == ["live"]


async def test_sockets_that_say_nothing_hold_nobody_up(stage: Stage) -> None:
    """Connections in the middle of a handshake cost the others nothing, and go when their clients go."""
    silent = [await stage.socket() for _ in range(100)]
    for raw in silent[::2]:
        raw.write(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
    await healthy(stage)
    for raw in silent:
        raw.cut()
    await stage.gone()
    await stage.http.close()
    await until(lambda: not stage.sockets)


async def test_garbage_instead_of_a_handshake(stage: Stage) -> None:
    """What is no HTTP is refused, and leaves nothing."""
    for garbage in (
        b"\x00\xff" * 50,
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        frame(1, b"{}"),
        b"\x16\x03\x01\x02\x00",
    ):
        raw = await stage.socket()
        raw.write(garbage)
        raw.writer.write_eof()
        await raw.eof()
        raw.cut()
    await until(lambda: stage.empty and not stage.sockets)
    await healthy(stage)
