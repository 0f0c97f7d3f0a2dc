"""A backend of another cloud, whose dialect it speaks to a whole gateway over real sockets: what all dialects share."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from yarl import URL

from gateway.domain.model import App
from tests.rest.stage import Caller, Node


class Told:
    """What came back for one call."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


Answer = TypeVar("Answer", bound=Told)


class Backend(ABC, Generic[Answer]):
    """The app `demo` as its backend sees it; `literal`: in this dialect digits are a name like any other."""

    answer: type[Answer]
    literal = False

    def __init__(self, node: Node) -> None:
        self.node = node

    @abstractmethod
    async def call(self, verb: str, path: str, body: object = None, /) -> Answer:
        """Call as a backend of the app does; see `ask`."""

    async def ask(self, verb: str, url: URL | str, body: object, headers: Mapping[str, str]) -> Answer:
        """Call with these headers and no others; a body of bytes goes as it is, any other as JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        async with self.node.http.request(verb, url, data=body, headers=headers) as response:
            return self.answer(response.status, response.headers, await response.read())

    async def get(self, path: str, /, **more: Any) -> Answer:
        return await self.call("GET", path, **more)

    async def post(self, path: str, body: object = None, /, **more: Any) -> Answer:
        return await self.call("POST", path, body, **more)

    async def put(self, path: str, body: object = None, /, **more: Any) -> Answer:
        return await self.call("PUT", path, body, **more)

    async def patch(self, path: str, body: object = None, /, **more: Any) -> Answer:
        return await self.call("PATCH", path, body, **more)

    async def delete(self, path: str, body: object = None, /, **more: Any) -> Answer:
        return await self.call("DELETE", path, body, **more)

    async def phone(self, name: str) -> Caller:
        """A user of the app, made if need be, as its own devices are: a caller of the native dialect."""
        directory = self.node.gateway.directory
        [user] = await directory.named(await self.app(), [name], make=True, literal=self.literal)
        assert user is not None
        return await self.node.user(user.xid)

    async def app(self) -> App:
        """The app as the core knows it."""
        app = await self.node.gateway.store.app("demo")
        assert app is not None
        return app
