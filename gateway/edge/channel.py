"""The device channel: who is let in, what a device may say, and what it gets for it (design §6).

How bytes come and go is not known here. A transport, aiohttp's (`edge/socket.py`) or our own
(`edge/frontdoor/device.py`), brings an `Approach` and then frames in their order; its `Sink` takes what is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from gateway.core.attaching import Attaching, Claim
from gateway.core.connection import Connection, Sink
from gateway.core.hub import Hub
from gateway.core.principal import Principal
from gateway.core.service import Core
from gateway.core.tasks import Tasks
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import DEVICE_SN_MAX, PLATFORM_MAX
from gateway.domain.rates import Bucket, Ration
from gateway.edge.approach import Approach
from gateway.edge.facades.native.decode import (
    decode_read,
    decode_recall,
    decode_room,
    decode_send,
    decode_signal,
)
from gateway.edge.facades.native.envelope import code_of
from gateway.wire.close import Close
from gateway.wire.encoding import ENCODINGS, Encoding, FrameError
from gateway.wire.frames import (
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

MALFORMED = "the frame is malformed, or larger than welcome.limits allows"
"""What the `bye` says of what breaks RFC 6455."""

Request = SendFrame | ReadFrame | RecallFrame | SignalFrame | JoinFrame | LeaveFrame
"""What a device must wait for."""


class Line(Sink, Protocol):
    """The transport of one device, as the channel needs it."""

    @property
    def closed(self) -> bool:
        """Whether it has had its `bye`."""


class Parting(Protocol):
    """A socket that is to end soon, and ends by itself where its peer does not keep it."""

    def abort(self) -> None:
        """End it at once."""


class GoneError(Exception):
    """The peer is gone, with or without a word."""


class Asker:
    """An authenticated device, and what it may still ask for, once it has asked for something."""

    __slots__ = ("connection", "line", "principal", "requests", "signals")

    def __init__(self, principal: Principal, connection: Connection, line: Line) -> None:
        self.principal = principal
        self.connection = connection
        self.line = line
        self.requests: Ration | None = None
        self.signals: Bucket | None = None


def payload_json(encoding: Encoding, payload: bytes, *, binary: bool) -> bytes:
    """Return the JSON of what a client says, whichever encoding it speaks. Raises `FrameError`."""
    if binary is not encoding.binary:
        kind = "binary" if encoding.binary else "text"
        raise FrameError(f"{encoding.subprotocol} has {kind} frames only")
    return encoding.json(payload)


class Channel:
    """All devices of this node, from the handshake on. While `draining`, nothing new is begun."""

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
        self._origins = frozenset(origins)
        self._open = 0
        self._waiting: set[Line] = set()
        self._parting: set[Parting] = set()
        self._parted = asyncio.Event()
        self.hub = hub
        self.limits = limits
        self.now = ticks_ms
        self.tasks = Tasks()
        self.draining = False

    # -- who is let in ----------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether as many devices are connected as may be."""
        return self._open >= self.limits.connections_max

    def welcomes(self, origin: str | None) -> bool:
        """Whether a page of this origin, or a client that is no page, may connect."""
        return not self._origins or origin is None or origin in self._origins

    def select(self, protocols: str) -> Encoding | None:
        """Return the first of the offered subprotocols that is spoken here."""
        for offered in protocols.split(","):
            encoding = ENCODINGS.get(offered.strip())
            if encoding is not None:
                return encoding
        return None

    def enter(self, line: Line) -> None:
        """Count one in, who says who it is within `auth_timeout_ms` or is told to go by its transport."""
        self._open += 1
        self._waiting.add(line)

    def leave(self, line: Line, asker: Asker | None) -> None:
        """Forget one whose socket is gone, or is to be."""
        self._open -= 1
        self._waiting.discard(line)
        if asker is not None:
            self.hub.detach(asker.connection)

    async def attach(self, approach: Approach, line: Line, said: bytes | None) -> Asker:
        """Take the token from the handshake or else from the first frame, and attach.

        Raises `Problem`, `FrameError`, or where it was ended meanwhile `EndedError` or `GoneError`.
        """
        self._waiting.discard(line)
        if line.closed:
            raise GoneError
        app_id, token = approach.app_id, approach.token
        claim = Claim(
            device_sn=approach.device_sn, platform=approach.platform, user_agent=approach.user_agent
        )
        if said is not None:
            hello = decode_frame(said)
            if not isinstance(hello, Hello):
                raise FrameError("the first frame must be hello, or the handshake must carry the token")
            app_id, token = hello.app_id or app_id, hello.token
            claim = Claim(
                device_sn=hello.device_sn or claim.device_sn,
                platform=hello.platform or claim.platform,
                user_agent=claim.user_agent,
                epoch=hello.epoch,
                cursors=hello.cursors,
            )
            if claim.device_sn > DEVICE_SN_MAX or claim.platform > PLATFORM_MAX:
                raise FrameError(f"device_sn: at most {DEVICE_SN_MAX}; platform: at most {PLATFORM_MAX}")
        principal, expires_at = await self._core.directory.identify(app_id, token or "")
        connection = await self._attaching.attach(principal.app, principal.user, claim, line, expires_at)
        return Asker(principal, connection, line)

    async def close(self) -> None:
        """Say `bye` to whoever has not authenticated yet: the hub knows nothing of them."""
        for line in list(self._waiting):
            line.close(Close.DRAINING, "the gateway is shutting down", 1000)

    def part(self, socket: Parting) -> None:
        """Note that a socket is about to end."""
        self._parting.add(socket)

    def parted(self, socket: Parting) -> None:
        """Note that a socket has ended."""
        self._parting.discard(socket)
        if not self._parting:
            self._parted.set()

    async def stop(self, ends: float) -> None:
        """Wait until `ends` (the loop's clock) for the sockets that had their `bye`, then cut them, and all work."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(ends):
                while self._parting:
                    self._parted.clear()
                    await self._parted.wait()
        for socket in list(self._parting):
            socket.abort()
        await self.tasks.stop()

    # -- what a device says -----------------------------------------------------------------------------

    def hear(self, asker: Asker, said: bytes) -> Request | None:
        """Do what one frame says, if that can be done at once; return what must be waited for.

        Raises:
            FrameError: It is no frame of a device that has authenticated.
        """
        asked = decode_frame(said)
        connection = asker.connection
        if isinstance(asked, AckFrame):
            self.hub.perform(connection, connection.session.ack(asked.timeline, asked.seq))
            return None
        if isinstance(asked, PingFrame):
            self.hub.write(connection, frame(connection.sink.encoding, "pong", ref=asked.ref))
            return None
        if isinstance(asked, Hello):
            raise FrameError("hello: this connection has authenticated already")
        return asked

    async def answer(self, asker: Asker, asked: Request, said: bytes) -> None:
        """Do what a request asks for, and answer it. Those of one connection are done in their order."""
        try:
            await self._ration(asker, asked)
            reply = await self._request(asker, asked, said)
        except Problem as problem:
            reply = _error(asker.connection.sink.encoding, asked.ref, problem)
        # What it said before it went is done, but nobody is there to be answered.
        if reply is not None and not asker.line.gone:
            self.hub.write(asker.connection, reply)

    async def _ration(self, asker: Asker, asked: Request) -> None:
        """Refuse a request that comes too fast; of a device that takes no notice read no more than it may ask."""
        limits = self.limits
        ration = asker.requests
        if ration is None:
            ration = asker.requests = Ration(limits.device_requests_per_s, limits.device_requests_burst)
        wait_ms = ration.take(self.now())
        if wait_ms and not ration.flooding:
            raise Problem(Kind.RATE_LIMITED, "too many requests of this device", retry_after_ms=wait_ms)
        while wait_ms:
            await asyncio.sleep(wait_ms / 1000)
            if asker.connection.session.ended or asker.line.gone:
                # Much of what it said may lie here, and none of it is worth waiting for any more.
                raise GoneError
            wait_ms = ration.take(self.now(), again=True)
        if isinstance(asked, SignalFrame):
            if asker.signals is None:
                asker.signals = Bucket(limits.signals_per_s, limits.signals_burst)
            wait_ms = asker.signals.take(1, self.now())
            if wait_ms:
                raise Problem(Kind.RATE_LIMITED, "too many signals of this device", retry_after_ms=wait_ms)

    async def _request(self, asker: Asker, asked: Request, body: bytes) -> bytes | None:
        if self.draining:
            raise Problem(Kind.DRAINING, "the gateway is shutting down", retry_after_ms=1000)
        principal, connection = asker.principal, asker.connection
        encoding = connection.sink.encoding
        match asked:
            case SendFrame(ref=ref):
                order = decode_send(body, self.limits)
                # The app's limits may have changed since this connection began.
                principal = await self._core.directory.current(principal)
                first, last = await self._core.messaging.send(principal, order, connection.device_sn)
                return frame(encoding, "ok", ref=ref, msg_ids=list(range(first, last + 1)))
            case ReadFrame(ref=ref):
                conversation_id, msg_id = decode_read(body, self.limits)
                await self._core.receipts.read(principal, conversation_id, msg_id, connection.device_sn)
                return frame(encoding, "ok", ref=ref)
            case RecallFrame(ref=ref):
                conversation_id, msg_id = decode_recall(body, self.limits)
                await self._core.messaging.recall(principal, conversation_id, msg_id)
                return frame(encoding, "ok", ref=ref)
            case SignalFrame(ref=ref):
                await self._core.signals.send(principal, connection, decode_signal(body, self.limits))
                return None if ref is None else frame(encoding, "ok", ref=ref)
            case JoinFrame(ref=ref):
                room_id, seq = decode_room(body, self.limits)

                def joined(timeline: str, seq: int) -> bytes:
                    return frame(encoding, "ok", ref=ref, timeline=timeline, seq=seq)

                await self._core.rooms.join(connection, room_id, seq, joined)
                return None
            case LeaveFrame(ref=ref):
                room_id, _ = decode_room(body, self.limits)
                self._core.rooms.leave(connection, room_id)
                return frame(encoding, "ok", ref=ref)


def _error(encoding: Encoding, ref: Ref, problem: Problem) -> bytes:
    members = {"ref": ref, "code": code_of(problem.kind), "message": problem.sentence}
    if problem.retry_after_ms is not None:
        members["retry_after_ms"] = problem.retry_after_ms
    return frame(encoding, "error", **members)
