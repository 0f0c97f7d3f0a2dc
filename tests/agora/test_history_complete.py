"""A history file has exactly what was sent in its hour (agora.md, GET /chatmessages)."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from gateway.domain.limits import Limits
from tests import shapes
from tests.agora.stage import Cloud, open_cloud
from tests.agora.test_chatfiles import kept
from tests.agora.test_history_files import lines

MESSAGES, AT_ONCE, ROADS = 300, 30, (0, 0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8)
PAGE, PAGE_BYTES = 7, 2_000
"""What the store gives at a time: some pages end by the number of messages, others by their bytes."""

pytestmark = pytest.mark.usefixtures("ready")

Said = tuple[str, str, str, str]
"""Sender, target, type of chat, and text."""


class Backend:
    """Sends by every road there is, and remembers what must be in the file."""

    def __init__(self, cloud: Cloud, group: str, room: str) -> None:
        self._cloud = cloud
        self._group = group
        self._room = room
        self.expected: dict[int, Said] = {}

    async def say(self, number: int, road: int) -> None:
        """Send one message by the road of this number."""
        cloud, group, text = self._cloud, self._group, f"{number} " + "long " * (number % 100)
        match road:
            case 0:
                for name, msg_id in (await cloud.send("bob", "cid", sender="ann", text=text)).items():
                    self.expected[int(msg_id)] = "ann", name, "chat", text
            case 1:
                [msg_id] = (await cloud.send("ann", text=text)).values()
                self.expected[int(msg_id)] = "admin", "ann", "chat", text
            case 2:
                hidden = {"roam_ignore_users": ["bob"]}
                [msg_id] = (
                    await cloud.tell("chatgroups", [group], sender="zoe", text=text, **hidden)
                ).values()
                self.expected[int(msg_id)] = "zoe", group, "groupchat", text
            case 3:
                told = {"from": "ann", "to": [group], "users": ["bob"], "type": "txt", "body": {"msg": text}}
                [msg_id] = (await cloud.post("/messages/chatgroups/users", told)).data.values()
                self.expected[int(msg_id)] = "ann", group, "groupchat", text
            case 4:
                found = await (await cloud.node.admin()).send(120, text, from_user_id=118)
                self.expected[found] = "118", "120", "chat", text
            case 5:
                [msg_id] = (await cloud.send("bob", sender="ann", text=text)).values()
                asked = {"msg_id": msg_id, "to": "bob", "chat_type": "chat"}
                assert (await cloud.post("/messages/msg_recall", asked)).data["recalled"] == "yes"
            case 6:
                old = {"from": "ann", "target": "bob", "type": "txt", "body": {"msg": text}}
                await cloud.post("/messages/users/import", old)
            case 7:
                await cloud.tell("chatrooms", [self._room], sender="ann", text=text)
            case _:
                await cloud.send("bob", sender="ann", text=text, routetype="ROUTE_ONLINE")


async def test_complete(tmp_path: Path) -> None:
    """Each message of the store once, by rising id, over the borders of pages; nothing of what does not belong."""
    limits = Limits(record_page_max=PAGE, record_page_bytes_max=PAGE_BYTES)
    async with open_cloud(tmp_path / "data", limits) as cloud:
        backend = Backend(cloud, await cloud.group("bob"), await cloud.room())
        chance = random.Random(7)
        for first in range(0, MESSAGES, AT_ONCE):
            some = range(first, first + AT_ONCE)
            await asyncio.gather(*(backend.say(number, chance.choice(ROADS)) for number in some))
        told = [
            (
                int(line["msg_id"]),
                (line["from"], line["to"], line["chat_type"], line["payload"]["bodies"][0]["msg"]),
            )
            for line in await lines(cloud)
        ]
        assert told == sorted(backend.expected.items())
        assert len(told) > 20 * PAGE
        assert shapes.check(cloud.node.folder) == []


async def test_a_file_of_ours_has_its_length(cloud: Cloud) -> None:
    """Named by its address, also with what stands behind it, or by its `uuid`; what is no file of ours has none."""
    entity = await kept(cloud, b"seven b", "a.txt")
    url = f"https://cloud.example.com/easy-org/demo-app/chatfiles/{entity['uuid']}"
    bodies = [
        {"filename": "a.txt", "url": url},
        {"filename": "a.txt", "url": f"{url}?share-secret=x"},
        {"filename": "a.txt", "uuid": entity["uuid"]},
        {"filename": "a.txt", "url": "https://elsewhere.example.com/7"},
    ]
    for body in bodies:
        await cloud.post("/messages/users", {"to": ["bob"], "type": "file", "body": body})
    told = [line["payload"]["bodies"][0].get("file_length") for line in await lines(cloud)]
    assert told == [7, 7, 7, None]
