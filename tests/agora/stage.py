"""A whole gateway with an app that backends of Agora Chat and Easemob know, and callers of it over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.config import Agora, Edge, Retention
from gateway.domain.limits import Limits
from gateway.edge.facades.agora.asking import ALIAS, CERTIFICATE
from tests.backend import Backend, Told
from tests.rest.stage import Json, Node, cheap_passwords, open_node

ORG, APP = "easy-org", "demo-app"
CLIENT_ID, CLIENT_SECRET = "YXA6-fake-client", "YXA6-fake-secret-of-tests"
VENDOR_APP_ID, VENDOR_CERTIFICATE = "0123456789abcdef" * 2, "fedcba9876543210" * 2


class Answer(Told):
    """What came back for one call."""

    @property
    def json(self) -> Json:
        found: Json = json.loads(self.body)
        return found

    @property
    def told(self) -> Json:
        """The envelope of a success; whatever was refused fails the test here."""
        assert self.status == 200, (self.status, self.body)
        return self.json

    @property
    def data(self) -> Any:
        return self.told["data"]

    @property
    def entities(self) -> Any:
        return self.told["entities"]

    def refused(self, status: int, error: str, description: str = "") -> bool:
        """Whether it is a whole refusal: with this status, this error, and these words in its description."""
        told = self.json
        assert (self.status, told.get("error")) == (status, error), (self.status, told)
        assert set(told) - {"error_code"} == {
            "error", "exception", "timestamp", "duration", "error_description",
        }  # fmt: skip
        assert type(told["timestamp"]) is int
        assert type(told["duration"]) is int
        assert told["exception"]
        assert description in told["error_description"], told
        return True


class Cloud(Backend[Answer]):
    """The app as its backend sees it: every call is of `/{org}/{app}`, with the app's token unless another is given."""

    answer = Answer

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.base = f"/{ORG}/{APP}"
        self.token = ""

    async def call(
        self,
        verb: str,
        path: str,
        body: object = None,
        /,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        base: str | None = None,
    ) -> Answer:
        """Call; an empty token is not sent."""
        bearer = self.token if token is None else token
        told = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        url = self.node.url + (self.base if base is None else base) + path
        return await self.ask(verb, url, body, {**told, **(headers or {})})

    async def sign_in(self) -> None:
        """Come by the app's token as a backend does."""
        answer = await self.post(
            "/token",
            {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
            token="",
        )
        self.token = answer.told["access_token"]

    async def send(
        self, *targets: str, text: str = "hi", sender: str | None = None, **members: object
    ) -> Json:
        """Send a text to users; the ids of its messages by target."""
        asked: Json = {"to": list(targets), "type": "txt", "body": {"msg": text}, **members}
        if sender is not None:
            asked["from"] = sender
        found: Json = (await self.post("/messages/users", asked)).data
        return found

    async def tell(
        self, road: str, to: object, *, text: str = "hi", sender: object = None, **members: object
    ) -> Json:
        """Send a text by one of the roads; the ids of its messages by target."""
        asked: Json = {"from": sender, "to": to, "type": "txt", "body": {"msg": text}, **members}
        found: Json = (await self.post(f"/messages/{road}", asked)).data
        return found

    async def group(self, *members: str, owner: str = "ann") -> str:
        """Make a group; its id."""
        told = await self.post("/chatgroups", {"groupname": "g", "owner": owner, "members": [*members]})
        found: str = told.data["groupid"]
        return found

    async def room(self, owner: str = "ann") -> str:
        """Make a chatroom; its id."""
        told = await self.post("/chatrooms", {"name": "r", "owner": owner})
        found: str = told.data["id"]
        return found

    async def users(self, *names: str) -> None:
        """Register users, with passwords that are their names."""
        answer = await self.post("/users", [{"username": name, "password": name} for name in names])
        assert answer.status == 200, answer.body


@asynccontextmanager
async def open_cloud(
    folder: Path,
    limits: Limits | None = None,
    edge: Edge | None = None,
    *,
    retention_days: int = 0,
    **settings: Any,
) -> AsyncIterator[Cloud]:
    """Start a gateway on a folder whose app `demo` this dialect knows; `settings` are of `[agora]`."""
    retention = Retention(days=retention_days)
    async with open_node(folder, limits, edge, agora=Agora(**settings), retention=retention) as node:
        credentials = node.gateway.directory.credentials
        await credentials.call("demo", ALIAS, f"{ORG}/{APP}")
        await credentials.add("demo", ALIAS, CLIENT_ID, CLIENT_SECRET)
        await credentials.add("demo", CERTIFICATE, VENDOR_APP_ID, VENDOR_CERTIFICATE)
        cheap_passwords(node)
        cloud = Cloud(node)
        await cloud.sign_in()
        yield cloud
