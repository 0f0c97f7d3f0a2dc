"""The device channel on aiohttp: one WebSocket per device (design §6).

aiohttp reads and answers the handshake; what the hub sends goes to the transport as finished bytes, past
`WebSocketResponse`, so that a fan-out neither awaits a peer nor frames a message more than once. Compression
is off, which is what makes that sound: every frame stands by itself.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from aiohttp import WebSocketError, WSMessage, WSMsgType, web

from gateway.core.attaching import Attaching, Claim, EndedError
from gateway.core.connection import Connection
from gateway.core.hub import Hub
from gateway.core.principal import Principal
from gateway.core.service import Core
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import DEVICE_SN_MAX, PLATFORM_MAX
from gateway.domain.rates import Bucket, Ration
from gateway.edge.facades.native.decode import (
    decode_read,
    decode_recall,
    decode_room,
    decode_send,
    decode_signal,
)
from gateway.edge.facades.native.envelope import code_of
from gateway.edge.sink import LAG_PAUSE_S, Laggards, Response, SocketSink
from gateway.wire.close import Close, close_for
from gateway.wire.encoding import ENCODINGS, JSON, Encoding, FrameError
from gateway.wire.frames import (
    TOKEN_PREFIX,
    AckFrame,
    Hello,
    JoinFrame,
    LeaveFrame,
    PingFrame,
    ReadFrame,
    RecallFrame,
    Ref,
    SendFrame,
    SignalFrame,
    decode_frame,
    frame,
)

USER_AGENT_BYTES_MAX = 200
"""So much is kept of what a client calls itself."""

_Request = SendFrame | ReadFrame | RecallFrame | SignalFrame | JoinFrame | LeaveFrame


class _Asker:
    """An authenticated device, and what it may still ask for, once it has asked for something."""

    __slots__ = ("connection", "principal", "requests", "signals", "sink")

    def __init__(self, principal: Principal, connection: Connection, sink: SocketSink) -> None:
        self.principal = principal
        self.connection = connection
        self.sink = sink
        self.requests: Ration | None = None
        self.signals: Bucket | None = None


class Channel:
    """Serves `GET /ws`."""

    def __init__(
        self,
        core: Core,
        attaching: Attaching,
        hub: Hub,
        limits: Limits,
        ticks_ms: Callable[[], int],
        origins: tuple[str, ...] = (),
    ) -> None:
        self._core = core
        self._attaching = attaching
        self._hub = hub
        self._limits = limits
        self._now = ticks_ms
        self._origins = frozenset(origins)
        self._open = 0
        self._waiting: set[SocketSink] = set()
        self._laggards = Laggards(hub, limits.transport_buffer_bytes_max)
        self.draining = False

    @property
    def full(self) -> bool:
        """Whether as many devices are connected as may be."""
        return self._open >= self._limits.connections_max

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one device from its handshake to its end."""
        origin = request.headers.get("Origin")
        if self._origins and origin is not None and origin not in self._origins:
            raise web.HTTPForbidden(text="this origin is not allowed")
        if self.draining or self.full:
            raise web.HTTPServiceUnavailable(text="no new connections now", headers={"Retry-After": "1"})
        offered = request.headers.get("Sec-WebSocket-Protocol")
        if offered is not None and ENCODINGS.keys().isdisjoint(name.strip() for name in offered.split(",")):
            # aiohttp would log what was offered, and a token may be among it.
            known = " and ".join(ENCODINGS)
            raise web.HTTPBadRequest(text=f"this channel speaks {known}: offer one, or no subprotocol")
        response = Response(
            protocols=tuple(ENCODINGS),
            autoping=False,
            autoclose=False,
            compress=False,
            max_msg_size=self._limits.frame_bytes_max,
        )
        await response.prepare(request)
        transport = request.transport
        if transport is None:
            return response
        sink = SocketSink(transport, ENCODINGS.get(response.ws_protocol or "", JSON), self._laggards)
        self._open += 1
        connection: Connection | None = None
        try:
            principal, connection = await self._authenticate(request, response, sink)
            # Nothing was written before it had attached, and it has not been waited for since.
            sink.serve(connection)
            await self._serve(principal, connection, response, sink)
        except Problem as problem:
            sink.close(close_for(problem.kind), problem.sentence, problem.retry_after_ms)
        except FrameError as error:
            sink.close(Close.PROTOCOL, str(error), None)
        except (ConnectionError, EndedError, _GoneError):
            if not sink.closed:
                sink.cut()
        finally:
            self._open -= 1
            if connection is not None:
                self._hub.detach(connection)
                sink.serve(None)
        if sink.closed:
            # When the handler returns, aiohttp cuts the socket: the close that was begun must end first.
            await sink.answered(response)
        return response

    # -- authentication ---------------------------------------------------------------------------------

    async def _authenticate(
        self, request: web.Request, response: Response, sink: SocketSink
    ) -> tuple[Principal, Connection]:
        """Take the token from the header, the subprotocol or the first frame, and attach."""
        app_id = request.query.get("app_id") or request.headers.get("app_id")
        device_sn = _number(request, "device_sn", DEVICE_SN_MAX)
        platform = _number(request, "platform", PLATFORM_MAX)
        user_agent = _user_agent(request)
        token = request.headers.get("access-token") or _offered_token(request)
        if token:
            claim = Claim(device_sn=device_sn, platform=platform, user_agent=user_agent)
            return await self._attach(app_id, token, claim, sink)
        self._waiting.add(sink)
        try:
            async with asyncio.timeout(self._limits.auth_timeout_ms / 1000):
                hello = decode_frame(await _first_frame(response, sink.encoding))
        except TimeoutError:
            raise Problem(Kind.AUTH_TIMEOUT, "nothing said in time") from None
        finally:
            self._waiting.discard(sink)
        if sink.closed:
            raise _GoneError
        if not isinstance(hello, Hello):
            message = "the first frame must be hello, or the handshake must carry the token"
            raise FrameError(message)
        claim = Claim(
            device_sn=hello.device_sn or device_sn,
            platform=hello.platform or platform,
            user_agent=user_agent,
            epoch=hello.epoch,
            cursors=hello.cursors,
        )
        if claim.device_sn > DEVICE_SN_MAX or claim.platform > PLATFORM_MAX:
            message = f"device_sn: at most {DEVICE_SN_MAX}; platform: at most {PLATFORM_MAX}"
            raise FrameError(message)
        return await self._attach(hello.app_id or app_id, hello.token, claim, sink)

    async def _attach(
        self, app_id: str | None, token: str, claim: Claim, sink: SocketSink
    ) -> tuple[Principal, Connection]:
        principal, expires_at = await self._core.directory.identify(app_id, token)
        connection = await self._attaching.attach(principal.app, principal.user, claim, sink, expires_at)
        return principal, connection

    # -- what the device says ---------------------------------------------------------------------------

    async def _serve(
        self, principal: Principal, connection: Connection, response: Response, sink: SocketSink
    ) -> None:
        session, hub = connection.session, self._hub
        asker = _Asker(principal, connection, sink)
        while True:
            message = await response.receive()
            if session.ended:
                return
            session.heard(self._now())
            if message.type is WSMsgType.PING:
                await response.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                try:
                    said = _json(message, connection.sink.encoding)
                    reply = await self._take(asker, said)
                except FrameError as error:
                    hub.perform(connection, session.end(Close.PROTOCOL, str(error)))
                    return
                # What it said before it went is done, but nobody is there to be answered.
                if reply is not None and not session.ended and not sink.gone:
                    hub.write(connection, reply)
            # A peer that does not take what it is sent is not heard either: nothing of it can pile up here.
            while session.lagging and not session.ended:  # noqa: ASYNC110 - an Event each would cost idle ones
                await asyncio.sleep(LAG_PAUSE_S)

    async def _take(self, asker: _Asker, said: bytes) -> bytes | None:
        """Do what one frame asks for; return the reply. Requests of one connection are done in their order."""
        asked = decode_frame(said)
        connection = asker.connection
        encoding = connection.sink.encoding
        match asked:
            case AckFrame(timeline=timeline, seq=seq):
                self._hub.perform(connection, connection.session.ack(timeline, seq))
                return None
            case PingFrame(ref=ref):
                return frame(encoding, "pong", ref=ref)
            case Hello():
                message = "hello: this connection has authenticated already"
                raise FrameError(message)
            case (
                SendFrame(ref=ref)
                | ReadFrame(ref=ref)
                | RecallFrame(ref=ref)
                | SignalFrame(ref=ref)
                | JoinFrame(ref=ref)
                | LeaveFrame(ref=ref)
            ):
                try:
                    await self._ration(asker, asked)
                    return await self._request(asker, asked, said)
                except Problem as problem:
                    return _error(encoding, ref, problem)

    async def _ration(self, asker: _Asker, asked: _Request) -> None:
        """Refuse a request that comes too fast; of a device that takes no notice read no more than it may ask."""
        limits = self._limits
        ration = asker.requests
        if ration is None:
            ration = asker.requests = Ration(limits.device_requests_per_s, limits.device_requests_burst)
        wait_ms = ration.take(self._now())
        if wait_ms and not ration.flooding:
            raise Problem(Kind.RATE_LIMITED, "too many requests of this device", retry_after_ms=wait_ms)
        while wait_ms:
            await asyncio.sleep(wait_ms / 1000)
            if asker.connection.session.ended or asker.sink.gone:
                # Much of what it said may lie here, and none of it is worth waiting for any more.
                raise _GoneError
            wait_ms = ration.take(self._now(), again=True)
        if isinstance(asked, SignalFrame):
            if asker.signals is None:
                asker.signals = Bucket(limits.signals_per_s, limits.signals_burst)
            wait_ms = asker.signals.take(1, self._now())
            if wait_ms:
                raise Problem(Kind.RATE_LIMITED, "too many signals of this device", retry_after_ms=wait_ms)

    async def _request(self, asker: _Asker, asked: _Request, body: bytes) -> bytes | None:
        if self.draining:
            raise Problem(Kind.DRAINING, "the gateway is shutting down", retry_after_ms=1000)
        principal, connection = asker.principal, asker.connection
        encoding = connection.sink.encoding
        match asked:
            case SendFrame(ref=ref):
                order = decode_send(body, self._limits)
                # The app's limits may have changed since this connection began.
                principal = await self._core.directory.current(principal)
                first, last = await self._core.messaging.send(principal, order, connection.device_sn)
                return frame(encoding, "ok", ref=ref, msg_ids=list(range(first, last + 1)))
            case ReadFrame(ref=ref):
                conversation_id, msg_id = decode_read(body, self._limits)
                await self._core.receipts.read(principal, conversation_id, msg_id, connection.device_sn)
                return frame(encoding, "ok", ref=ref)
            case RecallFrame(ref=ref):
                conversation_id, msg_id = decode_recall(body, self._limits)
                await self._core.messaging.recall(principal, conversation_id, msg_id)
                return frame(encoding, "ok", ref=ref)
            case SignalFrame(ref=ref):
                await self._core.signals.send(principal, connection, decode_signal(body, self._limits))
                return None if ref is None else frame(encoding, "ok", ref=ref)
            case JoinFrame(ref=ref):
                room_id, seq = decode_room(body, self._limits)

                def joined(timeline: str, seq: int) -> bytes:
                    return frame(encoding, "ok", ref=ref, timeline=timeline, seq=seq)

                await self._core.rooms.join(connection, room_id, seq, joined)
                return None
            case LeaveFrame(ref=ref):
                room_id, _ = decode_room(body, self._limits)
                self._core.rooms.leave(connection, room_id)
                return frame(encoding, "ok", ref=ref)

    async def close(self) -> None:
        """Say `bye` to whoever has not authenticated yet: the hub knows nothing of them."""
        for sink in self._waiting:
            sink.close(Close.DRAINING, "the gateway is shutting down", 1000)


class _GoneError(Exception):
    """The peer is gone, with or without a word."""


async def _first_frame(response: Response, encoding: Encoding) -> bytes:
    """Wait for the first frame; client libraries may ping before it by themselves."""
    while (message := await response.receive()).type in {WSMsgType.PING, WSMsgType.PONG}:
        if message.type is WSMsgType.PING:
            await response.pong(message.data)
    return _json(message, encoding)


def _json(message: WSMessage, encoding: Encoding) -> bytes:
    """Return the JSON of what a client says, whichever encoding it speaks."""
    if message.type is (WSMsgType.BINARY if encoding.binary else WSMsgType.TEXT):
        return encoding.json(message.data if encoding.binary else message.data.encode())
    if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
        kind = "binary" if encoding.binary else "text"
        raise FrameError(f"{encoding.subprotocol} has {kind} frames only")
    if isinstance(message.data, WebSocketError):
        raise FrameError("the frame is malformed, or larger than welcome.limits allows")
    raise _GoneError


def _error(encoding: Encoding, ref: Ref, problem: Problem) -> bytes:
    members = {"ref": ref, "code": code_of(problem.kind), "message": problem.sentence}
    if problem.retry_after_ms is not None:
        members["retry_after_ms"] = problem.retry_after_ms
    return frame(encoding, "error", **members)


def _offered_token(request: web.Request) -> str | None:
    """Find the token among the offered subprotocols: the only header a browser lets a page set."""
    for header in request.headers.getall("Sec-WebSocket-Protocol", ()):
        for offered in header.split(","):
            if offered.strip().startswith(TOKEN_PREFIX):
                return offered.strip().removeprefix(TOKEN_PREFIX)
    return None


def _number(request: web.Request, name: str, most: int) -> int:
    """Read a number of the query, 0 where it is absent."""
    text = request.query.get(name)
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and int(text) <= most):
        message = f"{name}: a number from 0 to {most}"
        raise FrameError(message)
    return int(text)


def _user_agent(request: web.Request) -> str:
    """Read what the client calls itself. Many say the very same, and one copy is enough for all of them."""
    told = request.headers.get("User-Agent", "").encode(errors="replace")[:USER_AGENT_BYTES_MAX]
    return sys.intern(told.decode(errors="ignore"))
