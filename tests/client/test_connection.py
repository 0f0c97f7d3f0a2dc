"""One connection of a device, without the device."""

from __future__ import annotations

from functools import partial

import aiohttp

from gateway.client.connection import Connection
from gateway.wire.encoding import JSON
from tests.client.stage import Naps, Stage


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
