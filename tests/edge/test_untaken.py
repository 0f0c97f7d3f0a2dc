"""Answers that callers do not take: how many bytes of them may lie here, and for how long."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import closing
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from aiohttp import web

from gateway.domain.limits import Limits
from gateway.edge.download import send_chunks
from gateway.edge.facades.native.envelope import Asked, Reply
from gateway.edge.facades.native.routes import Call
from gateway.edge.frontdoor.caller import Caller
from gateway.edge.patient import Patient
from gateway.edge.untaken import Untaken
from tests.edge.callers import call, until
from tests.edge.roads import SHORT, Echo, Roads, open_roads
from tests.patience import WAIT_S

LIMITS = Limits(untaken_bytes_max=100, body_timeout_ms=30_000)
LARGE = 24 * 1024 * 1024
"""More than the kernel takes of an answer on its way from one end of a connection to the other."""


class Full:
    """A transport that holds so many bytes, of a socket where one is given."""

    def __init__(self, size: int, sock: socket.socket | None = None) -> None:
        self.size = size
        self.sock = sock
        self.closing = False
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.size

    def get_extra_info(self, _: str) -> socket.socket | None:
        return self.sock

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.aborted = True


class Callers:
    """Transports that are full, and the clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.untaken = Untaken(LIMITS, lambda: self.now)

    async def add(self, *sizes: int) -> list[Full]:
        """Let some be full, in one turn of the loop."""
        return await self.add_all(*(Full(size) for size in sizes))

    async def add_all(self, *added: Full) -> list[Full]:
        """Let these be full."""
        for one in added:
            self.untaken.add(cast("asyncio.Transport", one))
        await asyncio.sleep(0)
        return list(added)

    def discard(self, one: Full) -> None:
        self.untaken.discard(cast("asyncio.Transport", one))

    def pass_s(self, seconds: float) -> None:
        """Let time pass, and look at who is slow."""
        self.now += seconds
        self.untaken.sweep()


class TestTogether:
    """What all of them hold."""

    async def test_whoever_holds_most(self) -> None:
        """Is cut where it is too much, and no more than have to be; the rest stays."""
        callers = Callers()
        found = await callers.add(30, 45, 5, 40)
        assert [one.aborted for one in found] == [False, True, False, False]
        found += await callers.add(20, 50)
        assert [one.aborted for one in found] == [False, True, False, False, False, True]

    async def test_of_equals_whoever_came_first(self) -> None:
        """Has had the most time."""
        callers = Callers()
        first = await callers.add(50, 50)
        assert not any(one.aborted for one in first)
        [last] = await callers.add(50)
        assert [one.aborted for one in (*first, last)] == [True, False, False]

    async def test_what_has_been_taken(self) -> None:
        """Counts no more."""
        callers = Callers()
        one, other = await callers.add(50, 50)
        callers.discard(one)
        other.size = 10
        [last] = await callers.add(90)
        assert not any(each.aborted for each in (one, other, last))


class TestEach:
    """How long a caller may take nothing."""

    async def test_whoever_takes_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        """Is cut in the end, and that is said once."""
        callers = Callers()
        [one] = await callers.add(10)
        cut = []
        for seconds in (30, 1):
            callers.pass_s(seconds)
            cut.append((one.aborted, len(caplog.records)))
        assert cut == [(False, 0), (True, 1)]
        callers.pass_s(100)
        assert [record.getMessage() for record in caplog.records] == [
            "callers that do not take their answers were cut: 1"
        ]

    async def test_whoever_takes_little(self) -> None:
        """Is not, however long it takes."""
        callers = Callers()
        [one] = await callers.add(10)
        for size in range(9, 0, -1):
            one.size = size
            callers.pass_s(29)
        assert not one.aborted

    async def test_whoever_takes_no_more(self) -> None:
        """Is cut as long after the last that it took."""
        callers = Callers()
        [one] = await callers.add(10)
        callers.pass_s(29)
        one.size = 5
        cut = []
        for seconds in (1, 30, 1):
            callers.pass_s(seconds)
            cut.append(one.aborted)
        assert cut == [False, False, True]

    async def test_whoever_takes_what_the_kernel_holds(self) -> None:
        """Is not either, though the kernel takes nothing more from here; once it takes nothing of that, it is."""
        callers, (ours, theirs) = Callers(), socket.socketpair()
        with ours, theirs:
            for _ in range(3):
                ours.send(bytes(1000))
            [one] = await callers.add_all(Full(10, ours))
            for _ in range(3):
                theirs.recv(1000)
                callers.pass_s(29)
            assert not one.aborted
            callers.pass_s(31)
            assert one.aborted

    async def test_whoever_has_taken_all_from_here(self) -> None:
        """Is forgotten: the rest is the kernel's."""
        callers = Callers()
        [one] = await callers.add(10)
        one.size = 0
        for _ in range(3):
            callers.pass_s(100)
        assert not one.aborted

    async def test_who_is_looked_at_again(self) -> None:
        """Has no more time for it."""
        callers = Callers()
        [one] = await callers.add(10)
        callers.pass_s(29)
        await callers.add_all(one)
        callers.pass_s(29)
        assert one.aborted


@pytest.fixture
async def closed() -> AsyncIterator[tuple[Callers, Patient, Full]]:
    """A connection of aiohttp's that it has closed while its peer had something to take yet."""
    callers = Callers()

    async def nothing(_: web.BaseRequest) -> web.Response:
        return web.Response()

    patient = Patient(web.Server(nothing), callers.untaken, loop=asyncio.get_running_loop())
    with closing(socket.socket()) as sock:
        transport = Full(10, sock)
        patient.connection_made(cast("asyncio.Transport", transport))
        yield callers, patient, transport
        patient.connection_lost(None)


class TestClosed:
    """Connections that aiohttp has closed, which then knows nothing more of their transports."""

    async def test_one_that_nobody_takes_the_rest_of(self, closed: tuple[Callers, Patient, Full]) -> None:
        """Is cut in the end, however little it is: nothing else would end it."""
        callers, patient, transport = closed
        patient.look()
        callers.pass_s(31)
        callers.pass_s(31)
        assert not transport.aborted
        patient.force_close()
        for _ in range(3):
            patient.look()
            callers.pass_s(29)
        assert transport.aborted

    @pytest.mark.parametrize("end", ["taken", "lost"])
    async def test_one_that_was_full(
        self, closed: tuple[Callers, Patient, Full], end: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Is known no more once its peer has taken all, or is gone."""
        callers, patient, transport = closed
        patient.pause_writing()
        patient.force_close()
        if end == "taken":
            patient.resume_writing()
        else:
            patient.connection_lost(None)
        callers.pass_s(31)
        callers.pass_s(31)
        assert (transport.aborted, caplog.records) == (False, [])


class Large(Echo):
    """Answers each call with very much."""

    async def answer(self, call: Call, asked: Asked) -> Reply:
        await super().answer(call, asked)
        return Reply(200, bytes(LARGE))


async def ask(roads: Roads, road: str) -> socket.socket:
    """Ask for something, on a connection that takes nothing by itself."""
    host, port = roads.urls[road].removeprefix("http://").split(":")
    loop, caller = asyncio.get_running_loop(), socket.socket()
    caller.setblocking(False)
    await loop.sock_connect(caller, (host, int(port)))
    await loop.sock_sendall(caller, call("first"))
    return caller


async def taken(caller: socket.socket) -> int:
    """How much comes until the connection ends, or until all of an answer is there."""
    loop, came = asyncio.get_running_loop(), 0
    async with asyncio.timeout(WAIT_S):
        try:
            while came < LARGE and (some := await loop.sock_recv(caller, 1 << 20)):
                came += len(some)
        except ConnectionError:
            pass
    return came


class TestIdle:
    """Callers of the front door whose time is up, and who have an answer's end to take yet."""

    async def test_who_goes_on_taking(self) -> None:
        """Is not cut until all is taken, and then is."""
        async with open_roads(watched=False) as roads:
            with closing(socket.socket()) as sock:
                caller, transport = overdue(roads, sock)
                roads.ports["door"]._door.sweep()
                assert not transport.aborted
                transport.size, caller.due = 0, 0.0
                roads.ports["door"]._door.sweep()
                assert transport.aborted

    async def test_who_takes_nothing(self) -> None:
        """Is cut as whoever is full."""
        callers = Callers()
        async with open_roads(watched=False) as roads:
            roads.ports["door"]._door.untaken = callers.untaken
            with closing(socket.socket()) as sock:
                _, transport = overdue(roads, sock)
                roads.ports["door"]._door.sweep()
                callers.pass_s(31)
                assert transport.aborted


def overdue(roads: Roads, sock: socket.socket) -> tuple[Caller, Full]:
    """A caller at the front door whose time is up, and its transport, from which there is something to take yet."""
    door = roads.ports["door"]._door
    assert door is not None
    caller, transport = door(), Full(10, sock)
    caller.connection_made(cast("asyncio.Transport", transport))
    caller.due = 0.0
    return caller, transport


class Taking(Full):
    """A transport and the response on it, of which so many bytes are gone each time it is looked at."""

    def __init__(self, size: int, each: int) -> None:
        super().__init__(size)
        self._each = each
        self._taken = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        self.size -= self._each
        if not self.size:
            self._taken.set()
        return self.size

    async def prepare(self, _: object) -> None:
        """Nothing has to be said first."""

    async def write(self, _: bytes) -> None:
        await self._taken.wait()


class TestDownload:
    """A file, of which no more is read than is taken."""

    @pytest.mark.parametrize(("each", "cut"), [(0, True), (1, False)])
    async def test_who_is_slow(self, each: int, cut: bool) -> None:
        """Is cut where nothing is taken for too long, and not for taking little, however often."""

        async def chunks() -> AsyncIterator[bytes]:
            yield b"x"

        peer = Taking(20, each)
        async with asyncio.timeout(WAIT_S):
            await send_chunks(
                cast("web.Request", SimpleNamespace(transport=peer)),
                cast("web.StreamResponse", peer),
                chunks(),
                Limits(body_timeout_ms=1),
            )
        assert (peer.aborted, peer.size) == (cut, 20 if cut else 0)


@pytest.mark.parametrize("road", ["door", "alone"])
class TestSockets:
    """Both roads."""

    async def test_an_answer_that_nobody_takes(self, road: str) -> None:
        """Its connection is cut, though an idle one may stay for much longer."""
        async with open_roads(Large(), SHORT) as roads:
            with closing(await ask(roads, road)) as caller:
                await until(lambda: bool(roads.answering.asked))
                await until(lambda: not roads.ports[road].connections)
                assert await taken(caller) < LARGE

    async def test_too_many_of_them(self, road: str) -> None:
        """One is cut, and who takes an answer after all gets the whole of it."""
        limits = msgspec.structs.replace(SHORT, untaken_bytes_max=LARGE, body_timeout_ms=300_000)
        async with open_roads(Large(), limits) as roads:
            with closing(await ask(roads, road)) as one, closing(await ask(roads, road)) as other:
                await until(lambda: len(roads.answering.asked) == 2)
                await until(lambda: len(roads.ports[road].connections) == 1)
                one_came, other_came = await taken(one), await taken(other)
                assert min(one_came, other_came) < LARGE <= max(one_came, other_came)
