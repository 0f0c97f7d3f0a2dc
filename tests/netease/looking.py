"""What tests of the dialect find in conversations, and how they look."""

from __future__ import annotations

from typing import Any

from gateway.core.order import Order
from gateway.core.principal import Principal
from gateway.domain.model import Scope
from tests.netease.stage import Answer, Cloud
from tests.rest.stage import Json

THREADS = "/v2.1/messages/actions/thread_messages"


async def one(cloud: Cloud, conversation: str, msg_id: object, **more: Any) -> Answer:
    return await cloud.get(f"/v2.1/conversations/{conversation}/messages/{msg_id}", **more)


async def some(cloud: Cloud, conversation: str, *messages: object, **members: object) -> Answer:
    """Ask for messages by their ids."""
    named = [each if isinstance(each, dict) else {"message_server_id": each} for each in messages]
    return await cloud.post(
        f"/v2.1/conversations/{conversation}/batch_messages", {"messages": named, **members}
    )


def query(**said: object) -> str:
    return "&".join(f"{name}={value}" for name, value in said.items())


async def page(cloud: Cloud, conversation: str, /, **said: object) -> Answer:
    return await cloud.get(f"/v2.1/conversations/{conversation}/messages?{query(**said)}")


async def walk(cloud: Cloud, conversation: str, /, **said: object) -> list[list[Any]]:
    """The texts of all pages, each asked for by what the one before said."""
    pages: list[list[Any]] = []
    token = ""
    while True:
        data = (await page(cloud, conversation, page_token=token, **said)).data
        assert set(data) == {"items", "has_more", "next_token"}
        assert data["has_more"] is bool(data["next_token"])
        pages.append([item.get("text") for item in data["items"]])
        token = data["next_token"]
        if not token:
            return pages


async def texts(cloud: Cloud, conversation: str, /, **said: object) -> list[Any]:
    """The texts of one page, which is all there is."""
    [only] = await walk(cloud, conversation, **said)
    return only


async def thread(cloud: Cloud, root: object, /, **said: object) -> Answer:
    asked: Json = {
        "conversation_type": 1,
        "sender_id": "ann",
        "receiver_id": "bob",
        "message_server_id": root,
    }
    return await cloud.get(f"{THREADS}?{query(**(asked | said))}")


async def say(cloud: Cloud, sender: str, order: Order) -> int:
    """Send something that no other dialect has a word for; the id of the first message of it."""
    app = await cloud.app()
    [user] = await cloud.node.gateway.directory.named(app, [sender], make=True, literal=True)
    assert user is not None
    first, _ = await cloud.node.gateway.core.messaging.send(Principal(app=app, user=user), order)
    return first


async def whisper(cloud: Cloud, team: int, sender: str, *receivers: int) -> int:
    """Say something to some members of a team alone; the id of the first one's."""
    order = Order(scope=Scope.GROUP, targets=(team,), only=receivers, ctype=0, content="hi")
    return await say(cloud, sender, order)


async def reply(
    cloud: Cloud, sender: str, to: int, root: int, text: str, *, scope: Scope = Scope.USER
) -> int:
    """Answer a message to a user, or to a team; the id of the answer."""
    order = Order(scope=scope, targets=(to,), ctype=0, content=text, related=root)
    return await say(cloud, sender, order)
