"""The device channel on aiohttp: one WebSocket per device (design §6).

aiohttp reads and answers the handshake; what the hub sends goes to the transport as finished bytes, past
`WebSocketResponse`, so that a fan-out neither awaits a peer nor frames a message more than once. Compression
is off, which is what makes that sound: every frame stands by itself.
"""

from __future__ import annotations

import asyncio

from aiohttp import WebSocketError, WSMessage, WSMsgType, hdrs, web

from gateway.core.attaching import EndedError
from gateway.domain.errors import Kind, Problem
from gateway.edge.approach import read_approach
from gateway.edge.channel import MALFORMED, Asker, Channel, GoneError, payload_json
from gateway.edge.sink import LAG_PAUSE_S, Laggards, Response, SocketSink
from gateway.wire.close import Close, close_for
from gateway.wire.encoding import ENCODINGS, JSON, Encoding, FrameError

_HANDSHAKE = (hdrs.CONNECTION, hdrs.UPGRADE, hdrs.SEC_WEBSOCKET_KEY, hdrs.SEC_WEBSOCKET_VERSION)
"""Headers that aiohttp reads, or quotes where it refuses them."""


class SocketRoad:
    """Serves `GET /ws` where aiohttp has the connection."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._laggards = Laggards(channel.hub, channel.limits.transport_buffer_bytes_max)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one device from its handshake to its end."""
        channel = self._channel
        if not channel.welcomes(request.headers.get("Origin")):
            raise web.HTTPForbidden(text="this origin is not allowed")
        if channel.draining or channel.full:
            raise web.HTTPServiceUnavailable(text="no new connections now", headers={"Retry-After": "1"})
        offered = request.headers.get("Sec-WebSocket-Protocol")
        if offered is not None and channel.select(offered) is None:
            # aiohttp would log what was offered, and a token may be among it.
            known = " and ".join(ENCODINGS)
            raise web.HTTPBadRequest(text=f"this channel speaks {known}: offer one, or no subprotocol")
        if not all(request.headers.get(name, "").isascii() for name in _HANDSHAKE):
            # aiohttp stumbles over it: a traceback in the log, of which anybody could make as many as they like.
            raise web.HTTPBadRequest(text="the handshake is malformed")
        response = Response(
            protocols=tuple(ENCODINGS),
            autoping=False,
            autoclose=False,
            compress=False,
            max_msg_size=channel.limits.frame_bytes_max,
        )
        await response.prepare(request)
        transport = request.transport
        if transport is None:
            return response
        sink = SocketSink(transport, ENCODINGS.get(response.ws_protocol or "", JSON), self._laggards)
        channel.enter(sink)
        asker: Asker | None = None
        try:
            asker = await self._attach(request, response, sink)
            # Nothing was written before it had attached, and it has not been waited for since.
            sink.serve(asker.connection)
            await self._serve(asker, response, sink)
        except Problem as problem:
            sink.close(close_for(problem.kind), problem.sentence, problem.retry_after_ms)
        except FrameError as error:
            sink.close(Close.PROTOCOL, str(error), None)
        except (ConnectionError, EndedError, GoneError):
            if not sink.closed:
                sink.cut()
        finally:
            channel.leave(sink, asker)
            sink.serve(None)
        if sink.closed:
            # When the handler returns, aiohttp cuts the socket: the close that was begun must end first.
            await sink.answered(response)
        return response

    async def _attach(self, request: web.Request, response: Response, sink: SocketSink) -> Asker:
        protocols = ",".join(request.headers.getall("Sec-WebSocket-Protocol", ()))
        approach = read_approach(request.query, request.headers, protocols)
        said = None
        if not approach.token:
            try:
                async with asyncio.timeout(self._channel.limits.auth_timeout_ms / 1000):
                    said = await _first_frame(response, sink)
            except TimeoutError:
                raise Problem(Kind.AUTH_TIMEOUT, "nothing said in time") from None
        return await self._channel.attach(approach, sink, said)

    async def _serve(self, asker: Asker, response: Response, sink: SocketSink) -> None:
        session, channel = asker.connection.session, self._channel
        while True:
            message = await response.receive()
            if session.ended:
                return
            session.heard(channel.now())
            if message.type is WSMsgType.PING:
                await response.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                said = _json(message, sink.encoding)
                asked = channel.hear(asker, said)
                if asked is not None:
                    await channel.answer(asker, asked, said)
            # A peer that does not take what it is sent is not heard either: nothing of it can pile up here.
            while session.lagging and not session.ended:  # noqa: ASYNC110 - an Event each would cost idle ones
                await asyncio.sleep(LAG_PAUSE_S)


async def _first_frame(response: Response, sink: SocketSink) -> bytes:
    """Wait for the first frame; client libraries may ping before it by themselves."""
    while (message := await response.receive()).type in {WSMsgType.PING, WSMsgType.PONG}:
        if message.type is WSMsgType.PING:
            await response.pong(message.data)
    return _json(message, sink.encoding)


def _json(message: WSMessage, encoding: Encoding) -> bytes:
    """Return the JSON of what a client says, whichever encoding it speaks."""
    if message.type is WSMsgType.BINARY:
        return payload_json(encoding, message.data, binary=True)
    if message.type is WSMsgType.TEXT:
        return payload_json(encoding, message.data.encode(), binary=False)
    if isinstance(message.data, WebSocketError):
        raise FrameError(MALFORMED)
    raise GoneError
