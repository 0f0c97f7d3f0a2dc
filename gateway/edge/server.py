"""The aiohttp application: every route of the gateway, over one core."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError, HttpVersion11
from aiohttp.typedefs import Handler

from gateway.core.service import Core
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.edge.facades.native.envelope import OK, Asked, Reply, refusal
from gateway.edge.facades.native.routes import ROUTES, Call
from gateway.edge.middleware import catching, letting_in, preflight
from gateway.edge.ops import Readiness, Remarks, ops_routes

_HEADERS = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}
_BODILESS = frozenset({"GET"})
_EMPTY: dict[str, str] = {}
_MALFORMED = (HttpProcessingError, web.RequestPayloadError)


HTTP_LOG = logging.getLogger("gateway.http")
"""Where aiohttp's server says what went wrong. What is no HTTP, or packed otherwise than it says, is answered and not
logged: anybody can send as much of it as they like, and each would be a traceback."""

HTTP_LOG.addFilter(lambda record: not isinstance((record.exc_info or (None, None))[1], _MALFORMED))


class Switch:
    """Shared by whoever stops the gateway and the application: `draining` on, calls are refused."""

    def __init__(self) -> None:
        self.draining = False


def build_app(
    core: Core,
    limits: Limits,
    *,
    readiness: Readiness,
    switch: Switch,
    channel: Handler,
    cors_origins: Sequence[str] = (),
    remarks: Remarks = tuple,
    extra: Sequence[web.RouteDef] = (),
) -> web.Application:
    """The application: the native dialect, `/healthz` and `/readyz`, `channel` at `/ws`, and `extra` routes.

    While `switch.draining`, API calls are refused as `DRAINING` (HTTP 503). Run it with aiohttp's defaults: a
    client that goes away must not cancel its send (`handler_cancellation` stays off).
    """
    middlewares = [catching(lambda problem: _response(refusal(problem)))]
    if cors_origins:
        middlewares.insert(0, preflight(cors_origins))
    app = web.Application(client_max_size=limits.body_bytes_max, middlewares=middlewares)
    if cors_origins:
        app.on_response_prepare.append(letting_in(cors_origins))
    for verb, path, call in ROUTES:
        app.router.add_route(
            verb, path, _endpoint(verb, call, core, limits, switch), expect_handler=_expected
        )
    app.add_routes([*ops_routes(readiness, remarks), web.get("/ws", channel, allow_head=False), *extra])
    return app


def _endpoint(verb: str, call: Call, core: Core, limits: Limits, switch: Switch) -> Handler:
    """An aiohttp handler for one native call; whatever the Content-Type says, the body is JSON."""
    bodiless = verb in _BODILESS

    async def handle(request: web.Request) -> web.Response:
        body = b"" if bodiless else await request.read()
        query = request.query if request.query_string else _EMPTY
        if switch.draining:
            return _response(refusal(Problem(Kind.DRAINING, "the gateway is stopping")))
        try:
            return _response(Reply(OK, await call(core, limits, Asked(request.headers, query, body))))
        except Problem as problem:
            return _response(refusal(problem))

    return handle


async def _expected(request: web.Request) -> None:
    """Tell who waits for it to send the body. Other expectations are not looked at: aiohttp's 417 is no envelope."""
    if request.version == HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # As in aiohttp's own handler: these bytes are no part of the response.
        request.writer.output_size = 0


def _response(reply: Reply) -> web.Response:
    response = web.Response(status=reply.status, body=reply.body, headers=_HEADERS)
    if reply.retry_after_s:
        response.headers["Retry-After"] = str(reply.retry_after_s)
    return response
