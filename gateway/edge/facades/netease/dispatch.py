"""From a request to a call of the dialect and back: `/im/v2…` (netease.md, Everywhere).

One route of aiohttp takes all of it, and what lies behind is told apart here: whatever comes of it is HTTP 200 with a
code of the dialect, for both of the vendor's own libraries raise an exception on anything else.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from gateway.core.known import Tenant
from gateway.core.service import Core
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.edge.answering import FAILED, Switch
from gateway.edge.expecting import expected
from gateway.edge.facades.netease.asking import ALIAS, TRACE, At
from gateway.edge.facades.netease.envelope import refused, succeeded
from gateway.edge.facades.netease.faults import Fault, fault_of, illegal, not_served
from gateway.edge.facades.netease.signing import bad_header, read_headers
from gateway.edge.routing import Routes

log = logging.getLogger(__name__)

Call = Callable[[At], Awaitable[object]]
"""A call: the `data` of its answer. It raises `Fault` or `Problem`."""

Route = tuple[str, str, Call]
"""Verb, path behind `/im/` with `*` for a segment that is open, and call."""

_SERVED = "im"

ROOTS = frozenset({_SERVED, "nimserver"})
"""What paths of the dialect begin with, those of its first version too, which is not served."""

_TRACE_ID = re.compile(r"[ -~]{1,256}")


class Dialect:
    """Serves the dialect over one core."""

    def __init__(
        self,
        core: Core,
        limits: Limits,
        switch: Switch,
        routes: Sequence[Route],
        clock_ms: Callable[[], int],
    ) -> None:
        self._core = core
        self._limits = limits
        self._switch = switch
        self._routes = Routes(routes)
        self._now = clock_ms

    def routes(self) -> list[web.RouteDef]:
        """The routes of aiohttp."""
        place = f"/{{root:(?:{'|'.join(sorted(ROOTS))})}}{{path:(?s:(?:/.*)?)}}"
        return [
            web.get("/health/liveness.action", self._live, allow_head=False),
            web.route("*", place, self.handle, expect_handler=expected),
        ]

    async def _live(self, _: web.Request) -> web.Response:
        """What the vendor's libraries ask before they call a host; nobody has to prove anything."""
        return succeeded({})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, whatever comes of it."""
        trace_id = request.headers.get(TRACE, "")
        try:
            if self._switch.draining:
                raise Problem(Kind.DRAINING, "the gateway is stopping")
            told = succeeded(await self._answer(request, trace_id))
        except Fault as fault:
            told = refused(fault)
        except Problem as problem:
            told = refused(fault_of(problem))
        except web.HTTPRequestEntityTooLarge:
            told = refused(illegal("body", f"it may have {self._limits.body_bytes_max} bytes"))
        except (web.RequestPayloadError, ConnectionError):
            # Cut off in the middle, or not in the encoding it says: there is hardly anybody to tell.
            told = refused(illegal("body", "it could not be read"))
            # Where the next request would begin nobody knows, and a client that keeps connections has to hear it.
            told.force_close()
        except Exception:
            log.exception("a request failed, its trace id is %r", trace_id[:100])
            told = refused(fault_of(FAILED))
        if _TRACE_ID.fullmatch(trace_id):
            told.headers[TRACE] = trace_id
        if self._switch.draining:
            told.force_close()
        return told

    async def _answer(self, request: web.Request, trace_id: str) -> object:
        # Of what is not served nothing is read, and nobody has to prove anything.
        found = self._routes.find(request.method, _segments(request))
        if isinstance(found, bool):
            raise not_served()
        call, given = found
        if trace_id and not _TRACE_ID.fullmatch(trace_id):
            raise illegal(TRACE, "it must be 1 to 256 printable characters of ASCII")
        # As it came: what is decoded could begin a line of its own.
        log.debug("%s %s, trace id %s", request.method, request.rel_url.raw_path, trace_id)
        at = At(
            self._core,
            self._limits,
            request,
            tenant=await self._judge(request),
            given=given,
            trace_id=trace_id,
            clock_ms=self._now,
        )
        return await call(at)

    async def _judge(self, request: web.Request) -> Tenant:
        """The app whose secret has signed; raises a `Fault` of 414, or of 101303 for an AppKey that is nobody's."""
        signed = read_headers(request.headers, self._now())
        directory = self._core.directory
        tenant: Tenant | None = None
        unknown: Problem | None = None
        try:
            tenant = await directory.tenant_by(ALIAS, signed.app_key)
        except Problem as problem:
            if problem.kind is not Kind.APP_UNKNOWN:
                raise
            unknown = problem
        secrets = await directory.credential(tenant.app, ALIAS, signed.app_key) if tenant else ()
        good = signed.signed_by(secrets)
        if tenant is None:
            assert unknown is not None, "either there is an app, or it was said why not"
            raise fault_of(unknown)
        if not good:
            raise bad_header()
        return tenant


def _segments(request: web.Request) -> list[str]:
    """The segments of the path behind its root, as they came: an id may hold a slash that is encoded."""
    target = request.raw_path if request.raw_path.startswith("/") else request.rel_url.raw_path
    path = target.partition("?")[0].partition("#")[0].removesuffix("/")
    root, *segments = path.split("/")[1:]
    return segments if root == _SERVED else [root, *segments]
