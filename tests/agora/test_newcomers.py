"""Whoever is named for the first time: made by what is sent, and by nothing that is refused (agora.md, Names)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.domain.errors import Kind, Problem
from gateway.domain.model import ROW_BYTES
from gateway.edge.facades.agora.rates import Rates
from tests.agora.stage import Answer, Cloud, open_cloud
from tests.rest.stage import Json

TEXT: Json = {"from": "new", "type": "txt", "body": {"msg": "x"}}
STORED_BYTES = ROW_BYTES + len("x" + json.dumps({"type": "txt"}, separators=(",", ":")))

CALLS: dict[str, tuple[str, Json]] = {
    "users": ("/messages/users", {"to": ["bob"]}),
    "groups": ("/messages/chatgroups", {"to": ["{group}"]}),
    "rooms": ("/messages/chatrooms", {"to": ["{room}"]}),
    "members": ("/messages/chatgroups/users", {"to": ["{group}"], "users": ["ann"]}),
    "older": ("/messages", {"target_type": "users", "target": ["bob"], "msg": {"type": "txt", "msg": "x"}}),
}


class Send:
    """A send by somebody new, in an app that has a group and a chatroom of Ann's."""

    def __init__(self, cloud: Cloud, path: str, asked: Json, users: list[Json]) -> None:
        self._cloud = cloud
        self._path = path
        self._asked = asked
        self._users = users

    @classmethod
    async def made(cls, cloud: Cloud, path: str, asked: Json) -> Send:
        told = json.dumps(TEXT | asked)
        for name, found in (("{group}", await cloud.group()), ("{room}", await cloud.room())):
            told = told.replace(name, found)
        return cls(cloud, path, json.loads(told), (await cloud.get("/users")).entities)

    async def ask(self) -> Answer:
        return await self._cloud.post(self._path, self._asked)

    async def nobody_came(self) -> bool:
        """Whether the users of the app are those who were there before."""
        told: list[Json] = (await self._cloud.get("/users")).entities
        return told == self._users


@pytest.mark.one_node("the limits of an app reach another node a moment later")
@pytest.mark.parametrize("road", CALLS)
async def test_too_much_for_the_app(cloud: Cloud, road: str) -> None:
    """Its own bound of a message, and to the byte what it may store yet."""
    send = await Send.made(cloud, *CALLS[road])
    directory, store = cloud.node.gateway.directory, cloud.node.gateway.store
    room = await store.stored_bytes((await cloud.app()).id) + STORED_BYTES
    for limit, status in (
        ({"message_bytes_max": 3}, 400),
        ({"message_bytes_max": 0, "storage_bytes_max": room - 1}, 403),
    ):
        await directory.set_limits("demo", limit)
        assert (await send.ask()).status == status
        assert await send.nobody_came()
    await directory.set_limits("demo", {"storage_bytes_max": room})
    assert (await send.ask()).status == 200
    assert not await send.nobody_came()


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/messages/users", {"to": ["no name!", "admin", "system", "{group}"]}),
        ("/messages/chatgroups", {"to": ["99", "{room}"]}),
        ("/messages/chatrooms", {"to": ["99", "{group}"]}),
        ("/messages/chatgroups/users", {"to": ["{group}"], "users": ["eve", "zoe"]}),
        ("/messages/chatgroups/users", {"to": ["99"], "users": ["ann"]}),
    ],
)
async def test_to_nobody(cloud: Cloud, path: str, asked: Json) -> None:
    """What nobody gets is not found, whoever it is by."""
    await cloud.users("eve")
    send = await Send.made(cloud, path, asked)
    assert (await send.ask()).refused(404, "service_resource_not_found")
    assert await send.nobody_came()


async def test_many_by_number(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose ids are free is one question to the store, however many there are; a group's id is nobody's."""
    group, store = await cloud.group(), cloud.node.gateway.store
    asked: list[object] = []
    for name in ("party", "parties"):
        find = getattr(store, name)

        def listen(app: int, xids: object, find: Callable[..., object] = find) -> object:
            asked.append(xids)
            return find(app, xids)

        monkeypatch.setattr(store, name, listen)
    numbers = [str(number) for number in range(701, 721)]
    assert set(await cloud.send(*numbers, group, sender="799")) == set(numbers)
    # Of the targets, and of who sends.
    assert len(asked) == 2


@pytest.mark.parametrize("road", CALLS)
async def test_more_than_the_vendors_rate(tmp_path: Path, road: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before anybody is made."""
    async with open_cloud(tmp_path / "data", vendor_rates=True) as cloud:
        send = await Send.made(cloud, *CALLS[road])

        def too_fast(*_: object) -> None:
            raise Problem(Kind.RATE_LIMITED, "too fast", retry_after_ms=1)

        monkeypatch.setattr(Rates, "spend", too_fast)
        assert (await send.ask()).refused(429, "reach_limit")
        assert await send.nobody_came()
