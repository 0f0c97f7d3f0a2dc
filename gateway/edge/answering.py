"""How a native call is answered, whichever road it came by: the front door's or aiohttp's."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.core.service import Core
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.edge.facades.native.envelope import OK, Asked, Reply, refusal
from gateway.edge.facades.native.routes import Beginning, Call

log = logging.getLogger(__name__)

HEADERS = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}
"""Of every answer."""

FAILED = Problem(Kind.INTERNAL, "the gateway failed")
_DRAINING = Problem(Kind.DRAINING, "the gateway is stopping")


class Switch:
    """Shared by whoever stops the gateway and the roads: `draining` on, calls are refused."""

    def __init__(self) -> None:
        self.draining = False


class Answering:
    """Makes an answer of whatever a call comes to."""

    def __init__(self, core: Core, limits: Limits, switch: Switch) -> None:
        self._core = core
        self._limits = limits
        self.switch = switch

    async def answer(self, call: Call, asked: Asked) -> Reply:
        """The call's answer, or its refusal.

        While the gateway drains every call is refused as `DRAINING` (HTTP 503). A bug is logged with its traceback and
        told without it.
        """
        if self.switch.draining:
            return refusal(_DRAINING)
        try:
            return Reply(OK, await call(self._core, self._limits, asked))
        except Problem as problem:
            return refusal(problem)
        except Exception:
            log.exception("a request failed")
            return refusal(FAILED)

    def begin(self, beginning: Beginning, asked: Asked, tell: Callable[[Reply | None], None]) -> bool:
        """Begin a call: `tell` hears its answer, maybe at once, or None. Then, and if this says False, ask `answer`."""
        if self.switch.draining:
            return False

        def tell_reply(told: bytes | Problem | None) -> None:
            if type(told) is bytes:
                tell(Reply(OK, told))
            else:
                tell(refusal(told) if isinstance(told, Problem) else None)

        try:
            return beginning(self._core, self._limits, asked, tell_reply)
        except Problem as problem:
            tell(refusal(problem))
        except Exception:
            log.exception("a request failed")
            tell(refusal(FAILED))
        return True
