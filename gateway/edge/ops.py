"""What operators and load balancers ask: `/healthz` and `/readyz`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from aiohttp import web

Readiness = Callable[[], Awaitable[Sequence[str]]]
"""The reasons why the gateway cannot do its work now; none where it can."""

Remarks = Callable[[], Sequence[str]]
"""What the gateway does without, and goes on."""

_UNAVAILABLE = 503
_NO_STORE = {"Cache-Control": "no-store"}


def ops_routes(readiness: Readiness, remarks: Remarks) -> list[web.RouteDef]:
    """`GET /healthz`: the process answers. `GET /readyz`: 200 if it can work, else 503 and the reasons.

    It says in `remarks` what does not keep it from working, where there is something to say.
    """

    async def healthz(_: web.Request) -> web.Response:
        return _answer(200, {"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        reasons = list(await readiness())
        told: dict[str, object] = {"ready": not reasons, "reasons": reasons}
        if found := list(remarks()):
            told["remarks"] = found
        return _answer(_UNAVAILABLE if reasons else 200, told)

    return [
        web.get("/healthz", healthz, allow_head=False),
        web.get("/readyz", readyz, allow_head=False),
    ]


def _answer(status: int, told: object) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(told), content_type="application/json", headers=_NO_STORE
    )
