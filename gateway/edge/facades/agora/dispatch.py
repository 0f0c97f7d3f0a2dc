"""From a request to a call of the dialect and back: `/{org_name}/{app_name}/…` (agora.md, Path).

Two routes of aiohttp take all of it, and what lies behind is told apart here: trailing slashes, segments that are
percent-encoded, verbs that a path does not have, each answered in the dialect.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from urllib.parse import unquote_to_bytes

from aiohttp import hdrs, web

from gateway.core.known import Tenant
from gateway.core.service import Core
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.edge.answering import FAILED, HEADERS, Switch
from gateway.edge.expecting import expected
from gateway.edge.facades.agora.asking import ALIAS, At
from gateway.edge.facades.agora.envelope import Around, refused
from gateway.edge.facades.agora.faults import (
    NO_METHOD,
    NOT_FOUND,
    TOO_LARGE,
    Fault,
    fault_of,
    illegal,
    not_found,
)
from gateway.edge.facades.agora.names import app_uuid
from gateway.edge.facades.agora.rates import Rates
from gateway.edge.facades.agora.settings import Settings
from gateway.edge.routing import Routes

log = logging.getLogger(__name__)

Call = Callable[[At], Awaitable[bytes | web.StreamResponse]]
"""A call: the body of its answer, or an answer of its own making. It raises `Fault` or `Problem`."""

Route = tuple[str, str, Call]
"""Verb, path inside the app with `*` for a segment that is open, and call."""


class Dialect:
    """Serves the dialect over one core."""

    def __init__(
        self,
        core: Core,
        limits: Limits,
        settings: Settings,
        switch: Switch,
        routes: Sequence[Route],
        clock_ms: Callable[[], int],
    ) -> None:
        self._core = core
        self._limits = limits
        self._settings = settings
        self._rates = Rates()
        self._switch = switch
        self._routes = Routes(routes)
        self._now = clock_ms

    def routes(self, taken: Collection[str]) -> list[web.RouteDef]:
        """The routes of aiohttp: whatever does not begin with a word that is `taken` by another dialect's paths."""
        place = f"/{{org:(?!(?:{'|'.join(sorted(taken))})/)[^/]+}}/{{app:[^/]+}}"
        return [
            web.route("*", place, self.handle_place, expect_handler=expected),
            web.route("*", f"{place}/{{path:(?s:.*)}}", self.handle, expect_handler=expected),
        ]

    async def handle_place(self, request: web.Request) -> web.StreamResponse:
        """Answer a path that ends with the app: in this dialect where it is one of an app, else it is nobody's."""
        try:
            await self._tenant(*_segments(request))
        except Fault:
            raise web.HTTPNotFound from None
        return await self.handle(request)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, whatever comes of it."""
        began_ms = self._now()
        try:
            if self._switch.draining:
                raise Problem(Kind.DRAINING, "the gateway is stopping")
            told = await self._answer(request, began_ms)
        except Fault as fault:
            told = self._refusal(fault, began_ms)
        except Problem as problem:
            told = self._refusal(fault_of(problem), began_ms)
        except web.HTTPRequestEntityTooLarge:
            told = self._refusal(Fault(TOO_LARGE, "web_application", "Request Entity Too Large"), began_ms)
        except (web.RequestPayloadError, ConnectionError):
            # Cut off in the middle, or not in the encoding it says: there is hardly anybody to tell.
            told = self._refusal(illegal("body", "it could not be read"), began_ms)
            # Where the next request would begin nobody knows, and a client that keeps connections has to hear it.
            told.force_close()
        except Exception:
            log.exception("a request failed")
            told = self._refusal(fault_of(FAILED), began_ms)
        if self._switch.draining and not told.prepared:
            told.force_close()
        return told

    def _refusal(self, fault: Fault, began_ms: int) -> web.Response:
        now = self._now()
        return refused(fault, now, max(now - began_ms, 0))

    async def _answer(self, request: web.Request, began_ms: int) -> web.StreamResponse:
        org, app_name, *segments = _segments(request)
        tenant = await self._tenant(org, app_name, *segments)
        if request.method == hdrs.METH_HEAD:
            raise _no_method()
        found = self._routes.find(request.method, segments)
        if isinstance(found, bool):
            raise _no_method() if found else not_found()
        call, given = found
        path = _path(segments)
        around = Around(
            action=request.method.lower(),
            application=app_uuid(tenant.app),
            org_name=org,
            app_name=app_name,
            path=path,
            uri=f"{self._base(request)}/{org}/{app_name}{path}",
        )
        at = At(
            self._core,
            self._limits,
            self._settings,
            self._rates,
            request,
            tenant=tenant,
            around=around,
            given=given,
            clock_ms=self._now,
            began_ms=began_ms,
        )
        told = await call(at)
        return web.Response(body=told, headers=HEADERS) if isinstance(told, bytes) else told

    async def _tenant(self, org: str, app_name: str, *segments: str) -> Tenant:
        """The app that a path begins with; raises a `Fault` of 404 where it is none."""
        try:
            return await self._core.directory.tenant_by(ALIAS, f"{org}/{app_name}")
        except Problem as problem:
            if problem.kind is not Kind.APP_UNKNOWN:
                raise
            raise Fault(
                NOT_FOUND,
                "organization_application_not_found",
                f"Could not find application for {org}/{app_name} from URI: {_path(segments)}",
            ) from None

    def _base(self, request: web.Request) -> str:
        # What is no host's name is told like one, for an answer is text.
        host = request.host.encode("ascii", "replace").decode()
        return self._settings.public_url or f"{request.scheme}://{host}"


def _no_method() -> Fault:
    return Fault(NO_METHOD, "web_application", "Method Not Allowed")


def _path(segments: Sequence[str]) -> str:
    return "/" + "/".join(segments)


def _segments(request: web.Request) -> list[str]:
    """The segments of the path, decoded; one slash at the end is none. Raises a `Fault` of 404 for what is no text."""
    raw = request.rel_url.raw_path.removesuffix("/").split("/")[1:]
    try:
        return [unquote_to_bytes(segment).decode() for segment in raw]
    except UnicodeDecodeError:
        raise not_found() from None
