"""The aiohttp application: every route of the gateway, over one core."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.domain.limits import Limits
from gateway.edge.answering import HEADERS, Answering
from gateway.edge.expecting import expected
from gateway.edge.facades.native.envelope import Asked, Reply, refusal
from gateway.edge.facades.native.routes import ROUTES, Call
from gateway.edge.middleware import catching, letting_in, preflight
from gateway.edge.ops import Readiness, Remarks, ops_routes

_BODILESS = frozenset({"GET"})
_EMPTY: dict[str, str] = {}


def build_app(
    answering: Answering,
    limits: Limits,
    *,
    readiness: Readiness,
    channel: Handler,
    cors_origins: Sequence[str] = (),
    remarks: Remarks = tuple,
    extra: Sequence[web.RouteDef] = (),
) -> web.Application:
    """The application: the native dialect, `/healthz` and `/readyz`, `channel` at `/ws`, and `extra` routes.

    Run it with aiohttp's defaults: a client that goes away must not cancel its send (`handler_cancellation` stays
    off).
    """
    middlewares = [catching(lambda problem: _response(refusal(problem)))]
    if cors_origins:
        middlewares.insert(0, preflight(cors_origins))
    app = web.Application(client_max_size=limits.body_bytes_max, middlewares=middlewares)
    if cors_origins:
        app.on_response_prepare.append(letting_in(cors_origins))
    for verb, path, call in ROUTES:
        app.router.add_route(verb, path, _endpoint(verb, call, answering), expect_handler=expected)
    app.add_routes([*ops_routes(readiness, remarks), web.get("/ws", channel, allow_head=False), *extra])
    return app


def _endpoint(verb: str, call: Call, answering: Answering) -> Handler:
    """An aiohttp handler for one native call; whatever the Content-Type says, the body is JSON."""
    bodiless = verb in _BODILESS

    async def handle(request: web.Request) -> web.Response:
        body = b"" if bodiless else await request.read()
        query = request.query if request.query_string else _EMPTY
        response = _response(await answering.answer(call, Asked(request.headers, query, body)))
        if answering.switch.draining:
            response.force_close()
        return response

    return handle


def _response(reply: Reply) -> web.Response:
    response = web.Response(status=reply.status, body=reply.body, headers=HEADERS)
    if reply.retry_after_s:
        response.headers["Retry-After"] = str(reply.retry_after_s)
    return response
