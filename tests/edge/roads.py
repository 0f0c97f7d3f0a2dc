"""Both roads to the same calls, each at a port of its own: the front door, and aiohttp alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, cast

import msgspec
import pytest
from aiohttp import WSMsgType, web

from gateway.core.service import Core
from gateway.domain.limits import Limits
from gateway.edge.answering import Answering, Switch
from gateway.edge.facades.native.envelope import Asked, Reply
from gateway.edge.facades.native.routes import Beginning, Call
from gateway.edge.frontdoor.caller import Caller
from gateway.edge.frontdoor.door import Door
from gateway.edge.patient import Patient
from gateway.edge.port import Port
from gateway.edge.server import build_app
from gateway.listening import bind, url_of
from tests.patience import WAIT_S

DIFFER = frozenset({"server"})
"""The headers of answers in which the roads may differ: aiohttp names itself, the front door says nothing."""

LIMITS = Limits(header_timeout_ms=300_000, body_timeout_ms=300_000, body_bytes_max=2_000, drain_ms=5_000)
SHORT = msgspec.structs.replace(LIMITS, header_timeout_ms=400, body_timeout_ms=600)
"""Times that a test can see pass. It says when they begin to count, by `watch`: what comes before may take longer."""

READ = ("app_id", "access-token", "user_id", "group_id")
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""After this no road keeps a connection."""

MALFORMED = 400


class Said(NamedTuple):
    """One answer as it came: what two roads must agree in."""

    status: int
    headers: dict[str, str]
    body: bytes


class Echo(Answering):
    """Answers each call with what it was asked, and keeps it."""

    def __init__(self) -> None:
        # No call gets as far as the core.
        super().__init__(cast("Core", None), LIMITS, Switch())
        self.asked: list[object] = []
        self.wait: Callable[[], Awaitable[None]] | None = None
        # What was begun and is not told yet, where calls are begun at all.
        self.begun: list[Callable[[Reply | None], None]] | None = None

    def begin(self, beginning: Beginning, asked: Asked, tell: Callable[[Reply | None], None]) -> bool:
        if self.begun is None:
            return False
        self.begun.append(tell)
        return True

    async def answer(self, call: Call, asked: Asked) -> Reply:
        headers = {name: asked.headers.get(name) for name in READ}
        query = {name: asked.query.get(name) for name in asked.query}
        told = [call.__name__, headers, query, asked.body.hex()]
        self.asked.append(told)
        if self.wait is not None:
            await self.wait()
        return Reply(200, msgspec.json.encode(told))


class Ear:
    """Counts the bytes that servers have read, each once, also where a connection is handed over with them."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._handing = False
        hand_over = Door.hand_over

        def handed(*given: Any) -> None:
            self._handing = True
            hand_over(*given)
            self._handing = False

        patched.setattr(Door, "hand_over", handed)
        for protocol in (Caller, Patient):
            patched.setattr(protocol, "data_received", self._counting(protocol.data_received))

    def _counting(self, real: Callable[[Any, bytes], None]) -> Callable[[Any, bytes], None]:
        def data_received(protocol: Any, data: bytes) -> None:
            self.count += 0 if self._handing else len(data)
            real(protocol, data)

        return data_received


class Roads:
    """The two ports, by what they are."""

    def __init__(self, answering: Answering, ear: Ear) -> None:
        self.answering = answering
        self.ports: dict[str, Port] = {}
        self.urls: dict[str, str] = {}
        self._ear = ear
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, limits: Limits, cors_origins: Sequence[str]) -> None:
        for name in ("door", "alone"):
            app = build_app(
                self.answering, limits, readiness=_ready, channel=_channel, cors_origins=cors_origins
            )
            port = self.ports[name] = Port(app, limits)
            listener = bind("127.0.0.1", 0)
            await port.open(
                listener, 100, self.answering, front_door=name == "door", cors_origins=cors_origins
            )
            self.urls[name] = url_of(listener)

    def watch(self) -> None:
        """Cut connections that wait too long, from now on."""
        self._tasks += [asyncio.create_task(port.run()) for port in self.ports.values()]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for port in self.ports.values():
            port.stop_listening()
            await port.close(asyncio.get_running_loop().time() + 1)

    @property
    def read(self) -> int:
        """How many bytes have been read of all that was said."""
        return self._ear.count

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what the servers do: they run in the same loop."""
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)

    async def _heard(self, road: str, wanted: int) -> None:
        """Wait until so much has been read, or the server has hung up."""
        await self.until(lambda: self.read >= wanted or not self.ports[road].connections)

    async def connect(self, road: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.urls[road].removeprefix("http://").split(":")
        return await asyncio.open_connection(host, int(port), limit=1 << 24)

    async def spoken(self, road: str, *parts: bytes) -> bytes:
        """Say these, each as a segment of its own, and return all that comes until the connection is closed."""
        port, apart = self.ports[road], len(parts) > 1
        if apart:
            await self.until(lambda: not port.connections)
        reader, writer = await self.connect(road)
        came, wanted = bytearray(), self.read
        if apart:
            await self.until(lambda: port.connections)
        try:
            # A server that hangs up on what it does not understand may do so before all of it is said.
            with suppress(ConnectionError):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    wanted += len(part)
                    if apart:
                        await self._heard(road, wanted)
            with suppress(ConnectionError):
                async with asyncio.timeout(WAIT_S):
                    while some := await reader.read(1 << 16):
                        came += some
            return bytes(came)
        finally:
            writer.close()

    async def both(self, *parts: bytes) -> list[Said]:
        """Say these to both roads; they must agree in the answers, which are returned, and in what was asked.

        Said in parts, what aiohttp quotes of malformed ones is the part it looked at, and not compared.
        """
        found = []
        for road in self.ports:
            asked = self.answering.asked = []  # type: ignore[attr-defined]
            found.append((answers(await self.spoken(road, *parts)), asked))
        (door, door_asked), (alone, alone_asked) = found
        assert door_asked == alone_asked
        if len(parts) > 1 and not (door and alone):
            # Who goes on talking to a server that has hung up may lose its last words, on either road.
            return door
        assert len(door) == len(alone), (door, alone)
        for ours, theirs in zip(door, alone, strict=True):
            if len(parts) > 1 and ours.status == theirs.status == MALFORMED:
                assert ours.body.partition(b":")[0] == theirs.body.partition(b":")[0]
            else:
                agree(ours, theirs)
        return door


def answers(came: bytes) -> list[Said]:
    """The answers in what came, one after the other."""
    found = []
    while came:
        head, _, came = came.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        assert re.fullmatch(r"HTTP/\d\.\d \d{3} [A-Za-z -]+", line), line
        headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in lines)}
        assert len(headers) == len(lines)
        # What HEAD asks for has a length and no body; it is asked once, before the probe.
        length = 0 if came.startswith(b"HTTP/1.1") else int(headers.get("content-length", 0))
        found.append(Said(int(line.split()[1]), {"": line, **headers}, came[:length]))
        came = came[length:]
    return found


def agree(door: Said, alone: Said) -> None:
    """Fail where two answers differ in more than they may."""
    assert (door.status, door.body) == (alone.status, alone.body)
    assert _plain(door) == _plain(alone)
    if door.status < 200:
        return
    dates = [parsedate_to_datetime(said.headers["date"]).timestamp() for said in (door, alone)]
    assert abs(dates[0] - dates[1]) <= WAIT_S


def _plain(said: Said) -> dict[str, str]:
    return {name: value for name, value in said.headers.items() if name not in {*DIFFER, "date"}}


@asynccontextmanager
async def open_roads(
    answering: Answering | None = None,
    limits: Limits = LIMITS,
    cors_origins: Sequence[str] = (),
    *,
    watched: bool = True,
) -> AsyncIterator[Any]:
    """Open both roads; what they answer is an echo unless something else is given.

    Where they are not `watched` nobody is cut for waiting too long before the test says so.
    """
    with pytest.MonkeyPatch.context() as patched:
        roads = Roads(answering or Echo(), Ear(patched))
        await roads.open(limits, cors_origins)
        if watched:
            roads.watch()
        try:
            yield roads
        finally:
            await roads.close()


async def _ready() -> list[str]:
    return []


async def _channel(request: web.Request) -> web.StreamResponse:
    """A WebSocket that says again what it hears."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket
