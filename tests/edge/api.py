"""The whole HTTP application over a real core, on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientResponse, ClientSession, web
from aiohttp.typedefs import Handler

from gateway.domain.limits import Limits
from gateway.edge.answering import Answering, Switch
from gateway.edge.server import build_app
from tests.core.stage import Stage, open_stage

Envelope = dict[str, Any]


async def _channel(_: web.Request) -> web.StreamResponse:
    return web.Response(text="the channel")


class Api:
    """Makes calls with an app's headers, and opens envelopes."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.switch = Switch()
        self.reasons: list[str] = []
        self.host, self.port = "127.0.0.1", 0
        self.client: ClientSession
        self.channel: Handler = _channel

    async def readiness(self) -> list[str]:
        return self.reasons

    async def token(self, user: int | str | None, app_id: str = "demo") -> str:
        """A user's token, or with None an administrator's."""
        grant = await self.stage.directory.token_for(app_id, None if user is None else str(user))
        return grant.token

    async def raw(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        **query: str | int,
    ) -> ClientResponse:
        """One call as it is; `body` is bytes as they are, or anything as JSON."""
        sent = {"app_id": "demo", **(headers or {})}
        if token is not None:
            sent["access-token"] = token
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        response = await self.client.request(method, path, data=data, params=query, headers=sent)
        await response.read()
        return response

    async def call(self, method: str, path: str, body: object = None, **more: Any) -> Envelope:
        """One call that the API answers: HTTP 200 and the envelope, whole."""
        response = await self.raw(method, path, body, **more)
        envelope: Envelope = await response.json()
        assert response.status == 200
        assert {"code", "message", "data"} <= set(envelope)
        return envelope

    async def data(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        """The data of a call that succeeds."""
        envelope = await self.call(method, path, body, **more)
        assert (envelope["code"], envelope["message"]) == (200, None)
        return envelope["data"]

    async def code(self, method: str, path: str, body: object = None, **more: Any) -> int:
        """The code of a call that is refused: an envelope with a sentence and no data."""
        envelope = await self.call(method, path, body, **more)
        assert envelope["message"]
        assert envelope["data"] is None
        code: int = envelope["code"]
        return code


@asynccontextmanager
async def open_api(
    folder: Path, limits: Limits | None = None, cors_origins: Sequence[str] = ()
) -> AsyncIterator[Api]:
    async with open_stage(folder, limits) as stage:
        await stage.app()
        api = Api(stage)

        async def channel(request: web.Request) -> web.StreamResponse:
            return await api.channel(request)

        app = build_app(
            Answering(stage.core, stage.limits, api.switch),
            stage.limits,
            readiness=api.readiness,
            channel=channel,
            cors_origins=cors_origins,
        )
        # Not aiohttp's TestServer, which cancels the handlers of clients that go away.
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, api.host, 0).start()
        api.port = runner.addresses[0][1]
        try:
            async with ClientSession(f"http://{api.host}:{api.port}") as api.client:
                yield api
        finally:
            await runner.cleanup()
