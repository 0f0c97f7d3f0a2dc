"""A whole gateway with an app that backends of NetEase YunXin know, and callers of it over real sockets."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from yarl import URL

from gateway.config import Edge
from gateway.domain.limits import Limits
from gateway.domain.model import App
from gateway.edge.facades.netease.asking import ALIAS
from tests.rest.stage import Caller, Json, Node, cheap_passwords, open_node

APP_KEY, APP_SECRET = "0fake0app0key0of0tests0000000000", "fake-secret"
NONCE = "a-nonce-that-comes-again"


def signed(
    key: str = APP_KEY, secret: str = APP_SECRET, *, nonce: str = NONCE, at_s: int | str | None = None
) -> dict[str, str]:
    """The headers by which a backend proves to be an app's."""
    told = str(int(time.time()) if at_s is None else at_s)
    checksum = hashlib.sha1((secret + nonce + told).encode()).hexdigest()  # noqa: S324
    return {"AppKey": key, "Nonce": nonce, "CurTime": told, "CheckSum": checksum}


class Answer:
    """What came back for one call."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Json:
        """The envelope, whole: HTTP says 200 whatever it holds."""
        assert self.status == 200, (self.status, self.body)
        found: Json = json.loads(self.body)
        assert set(found) == {"code", "msg", "data"}, found
        return found

    @property
    def data(self) -> Any:
        """The data of a success; whatever was refused fails the test here."""
        told = self.json
        assert (told["code"], told["msg"]) == (200, "success"), told
        return told["data"]

    def refused(self, code: int, sentence: str = "") -> bool:
        """Whether it is a whole refusal, with this code and these words in its sentence."""
        told = self.json
        assert told["code"] == code, told
        assert told["data"] == {}
        assert sentence in told["msg"], told
        return True


class Cloud:
    """The app as its backend sees it: every call is under `/im` and signed, unless other headers are given."""

    def __init__(self, node: Node) -> None:
        self.node = node

    async def call(
        self,
        verb: str,
        path: str,
        body: object = None,
        /,
        *,
        headers: Mapping[str, str] | None = None,
        trace: str = "",
        root: str = "/im",
    ) -> Answer:
        """Call; a body of bytes goes as it is, any other as JSON. `headers` stand in place of those that sign."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        told = dict(signed() if headers is None else headers)
        if trace:
            told["X-custom-traceid"] = trace
        # As it stands: an id that is encoded is not to be encoded again, nor decoded on the way.
        url = URL(self.node.url + root + path, encoded=True)
        async with self.node.http.request(verb, url, data=body, headers=told) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, /, **more: Any) -> Answer:
        return await self.call("GET", path, **more)

    async def post(self, path: str, body: object = None, /, **more: Any) -> Answer:
        return await self.call("POST", path, body, **more)

    async def patch(self, path: str, body: object = None, /, **more: Any) -> Answer:
        return await self.call("PATCH", path, body, **more)

    async def delete(self, path: str, body: object = None, /, **more: Any) -> Answer:
        return await self.call("DELETE", path, body, **more)

    async def send(self, conversation: str, /, text: str = "hi", **members: object) -> Json:
        """Send a text into a conversation (`ann|1|bob`); the data of the answer."""
        asked = {"message": {"message_type": 0, "text": text}, **members}
        found: Json = (await self.post(f"/v2/conversations/{conversation}/messages", asked)).data
        return found

    async def name(self, *accounts: str, app_id: str = "demo") -> None:
        """Have accounts come into being, as by a message that names them."""
        app = await self.node.gateway.store.app(app_id)
        assert app is not None
        found = await self.node.gateway.directory.named(app, accounts, make=True, literal=True)
        assert None not in found

    async def phone(self, account: str) -> Caller:
        """An account as its own devices are: a caller of the native dialect."""
        app = await self.app()
        [user] = await self.node.gateway.directory.named(app, [account], make=True, literal=True)
        assert user is not None
        return await self.node.user(user.xid)

    async def xid(self, account: str) -> int:
        """The id of an account, made if need be."""
        return (await self.phone(account)).xid

    async def app(self) -> App:
        """The app as the core knows it."""
        app = await self.node.gateway.store.app("demo")
        assert app is not None
        return app


@asynccontextmanager
async def open_cloud(
    folder: Path, limits: Limits | None = None, edge: Edge | None = None
) -> AsyncIterator[Cloud]:
    """Start a gateway on a folder whose app `demo` this dialect knows."""
    async with open_node(folder, limits, edge) as node:
        credentials = node.gateway.directory.credentials
        await credentials.call("demo", ALIAS, APP_KEY)
        await credentials.add("demo", ALIAS, APP_KEY, APP_SECRET)
        cheap_passwords(node)
        yield Cloud(node)
