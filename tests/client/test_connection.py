"""One connection of a device, without the device."""

from __future__ import annotations

import asyncio
import socket
from functools import partial

import aiohttp
import pytest

from gateway.client.connection import Connection
from gateway.wire.encoding import JSON
from tests.client.stage import Naps, Stage
from tests.patience import WAIT_S


async def test_what_is_to_be_said_later_ends_with_its_connection(stage: Stage) -> None:
    """Also where that ends in the same turn of the loop, in which no pause has begun."""
    naps = Naps()
    async with aiohttp.ClientSession() as session:
        connection = await Connection.open(session, f"{stage.base_url}/ws", {}, {}, JSON)
        there = await stage.accept()
        connection.say_later({"op": "join"}, partial(naps, 1.0))
        await connection.close()
    assert await there.hear_rest() == []
    assert naps.taken == []


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is connected to it and hears nothing gives up, and may try another time."""
    monkeypatch.setattr("gateway.client.connection._CONNECT_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/ws"
        async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as session:
            with pytest.raises(TimeoutError):
                await Connection.open(session, url, {}, {}, JSON)


async def test_a_server_that_does_not_answer_a_close(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for."""
    monkeypatch.setattr("gateway.client.connection._CLOSE_TIMEOUT_S", 0.05)
    go_on = asyncio.Event()
    monkeypatch.setattr("tests.client.stage.Connection.listen", lambda _: go_on.wait())
    async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as session:
        connection = await Connection.open(session, f"{stage.base_url}/ws", {}, {}, JSON)
        await connection.close()
    go_on.set()
