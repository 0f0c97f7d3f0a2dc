"""What happens around every request: errors become the dialect's envelope, and browsers are let in (CORS)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.domain.errors import Kind, Problem, bad
from gateway.edge.answering import FAILED

Preparer = Callable[[web.Request, web.StreamResponse], Awaitable[None]]

log = logging.getLogger(__name__)

_ALLOWED_HEADERS = "access-token, app_id, user_id, group_id, content-type"
_ALLOWED_METHODS = "GET, POST, PUT, DELETE"
_PREFLIGHT_AGE_S = "600"


def catching(refuse: Callable[[Problem], web.Response]) -> Middleware:
    """A middleware under which every failure is answered by `refuse`: refusals, what is not there, bugs.

    A bug is logged with its traceback and told without it.
    """

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            return refuse(problem)
        except web.HTTPException as error:
            return _translated(error, refuse)
        except (web.RequestPayloadError, ConnectionError):
            # Cut off in the middle, or not in the encoding it says: there is hardly anybody to tell.
            response = refuse(bad("body", "it could not be read"))
            # Where the next request would begin nobody knows, and a client that keeps connections has to hear it.
            response.force_close()
            return response
        except Exception:
            log.exception("a request failed")
            return refuse(FAILED)

    return answer


def _translated(error: web.HTTPException, refuse: Callable[[Problem], web.Response]) -> web.StreamResponse:
    """What aiohttp refuses by itself, as the envelope."""
    if isinstance(error, web.HTTPNotFound):
        return refuse(Problem(Kind.PATH_UNKNOWN, "there is no such path"))
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        response = refuse(Problem(Kind.METHOD_UNKNOWN, f"the methods of this path are {allowed}"))
        response.headers["Allow"] = allowed
        return response
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return refuse(Problem(Kind.TOO_LARGE, f"body: {error.text}"))
    raise error


def preflight(origins: Sequence[str]) -> Middleware:
    """A middleware that answers a browser's question whether a page of one of `origins` may make a call."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (
            request.method == "OPTIONS"
            and "Access-Control-Request-Method" in request.headers
            and _allowed(request.headers.get("Origin", ""), origins)
        ):
            return web.Response(
                headers={
                    "Access-Control-Allow-Methods": _ALLOWED_METHODS,
                    "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
                    "Access-Control-Max-Age": _PREFLIGHT_AGE_S,
                }
            )
        return await handler(request)

    return answer


def letting_in(origins: Sequence[str]) -> Preparer:
    """What adds to every response that a page of one of `origins` ("*": any) may read it."""

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.extend(cors_headers(request.headers.get("Origin", ""), origins))

    return prepare


def cors_headers(origin: str, origins: Sequence[str]) -> dict[str, str]:
    """What a response says to the pages of `origin` where those of `origins` ("*": any) may read it."""
    told = {"Vary": "Origin"}
    allowed = _allowed(origin, origins)
    if allowed:
        told["Access-Control-Allow-Origin"] = allowed
        # Not among what a page may read unasked, and it says when a refused call may come again.
        told["Access-Control-Expose-Headers"] = "Retry-After"
    return told


def _allowed(origin: str, origins: Sequence[str]) -> str:
    """The origin that the response names as let in; empty where the request's is not."""
    if "*" in origins:
        return "*"
    return origin if origin in origins else ""
