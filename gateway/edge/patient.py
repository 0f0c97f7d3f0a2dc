"""aiohttp's side of a connection, which does not wait for ever for the rest of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from yarl import URL

from gateway.edge.files import crowded
from gateway.edge.untaken import Untaken

_NOWHERE = URL("/")


class Patient(web.RequestHandler):
    """aiohttp's protocol, and what it takes to tell from outside how long half a request has been half.

    It runs no timer: whoever looks after the connections asks each now and then whether it is `overdue`. Idle
    connections are none of its business, aiohttp closes them itself.
    """

    __slots__ = ("_awaited", "_awaited_from", "_body", "_carrier", "_untaken", "since")

    def __init__(self, server: web.Server, untaken: Untaken, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(server, **options)
        self._untaken = untaken
        # Until it is lost; aiohttp forgets its own as soon as it is to end, whatever the peer has not taken.
        self._carrier: asyncio.Transport | None = None
        self._request_factory = _with_target(server.request_factory)
        self.since: float | None = None
        """Since when the head of a request is awaited; None while none is, or the first byte of it."""
        # The body of the newest request, and the one that was found unfinished when last asked, and when first.
        self._body: StreamReader | None = None
        self._awaited: StreamReader | None = None
        self._awaited_from = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From here on a first request is awaited."""
        super().connection_made(transport)
        self._carrier = cast("asyncio.Transport", transport)
        self.since = self._loop.time()
        if crowded(transport):
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Let aiohttp read, and see whether that has begun a head or ended one."""
        # A body that ended with bytes that came before these: these are of a head, unless one is complete by them.
        whole = self._body is None or self._body.is_eof()
        count = self._request_count
        super().data_received(data)
        if self._request_count > count:
            self.since = None
            # Where it has been taken up already, its body is not looked for here, but with the request under way.
            self._body = self._messages[-1][1] if self._messages else None
        elif data and whole and self.since is None:
            self.since = self._loop.time()

    def pause_writing(self) -> None:
        """Answers are not taken; what a device does not take is looked after elsewhere."""
        super().pause_writing()
        if self._carrier is not None and not self._is_channel:
            self._untaken.add(self._carrier)

    def resume_writing(self) -> None:
        """They are taken again."""
        super().resume_writing()
        if self._carrier is not None:
            self._untaken.discard(self._carrier)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Whoever has gone holds nothing."""
        if self._carrier is not None:
            self._untaken.discard(self._carrier)
            self._carrier = None
        super().connection_lost(exc)

    def look(self) -> None:
        """See whether it is closed but for what its peer has not taken, which no other time limits any more."""
        carrier = self._carrier
        if carrier is not None and carrier.is_closing() and carrier.get_write_buffer_size():
            self._untaken.add(carrier)

    def overdue(self, now: float, header_timeout_s: float, body_timeout_s: float, s_per_byte: float) -> bool:
        """Whether it has waited too long for the rest of a head or a body; a WebSocket waits for neither.

        A body has so much longer for each byte that has come of it: a file takes its time.
        """
        if self._is_channel:
            return False
        request = self._current_request
        if request is None:
            self._awaited = None
            return self.since is not None and not self._messages and now - self.since > header_timeout_s
        body = request.content
        if body.is_eof():
            self._awaited = None
            return False
        if body is not self._awaited:
            self._awaited, self._awaited_from = body, now
        return now - self._awaited_from > body_timeout_s + body.total_bytes * s_per_byte

    @property
    def _is_channel(self) -> bool:
        """Whether it has become a WebSocket."""
        return self._upgraded or self._payload_parser is not None


def _with_target(make: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """Make requests as `make` does, also of "CONNECT" without a target, which aiohttp reads and then fails at."""

    def make_any(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:  # noqa: ANN401 - aiohttp's own
        target: URL | None = message.url
        return make(message if target is not None else message._replace(url=_NOWHERE), *rest)

    return make_any
