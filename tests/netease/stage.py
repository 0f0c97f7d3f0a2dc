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
from gateway.edge.facades.netease.asking import ALIAS
from tests.backend import Backend, Told
from tests.rest.stage import Json, cheap_passwords, open_node

APP_KEY, APP_SECRET = "0fake0app0key0of0tests0000000000", "fake-secret"
NONCE = "a-nonce-that-comes-again"


def signed(
    key: str = APP_KEY, secret: str = APP_SECRET, *, nonce: str = NONCE, at_s: int | str | None = None
) -> dict[str, str]:
    """The headers by which a backend proves to be an app's."""
    told = str(int(time.time()) if at_s is None else at_s)
    checksum = hashlib.sha1((secret + nonce + told).encode()).hexdigest()  # noqa: S324
    return {"AppKey": key, "Nonce": nonce, "CurTime": told, "CheckSum": checksum}


class Answer(Told):
    """What came back for one call."""

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


class Cloud(Backend[Answer]):
    """The app as its backend sees it: every call is under `/im` and signed, unless other headers are given."""

    answer = Answer
    literal = True

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
        """Call; `headers` stand in place of those that sign."""
        told = dict(signed() if headers is None else headers)
        if trace:
            told["X-custom-traceid"] = trace
        # As it stands: an id that is encoded is not to be encoded again, nor decoded on the way.
        url = URL(self.node.url + root + path, encoded=True)
        return await self.ask(verb, url, body, told)

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

    async def xid(self, account: str) -> int:
        """The id of an account, made if need be."""
        return (await self.phone(account)).xid


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
