"""How connections at the front door end: by silence, and by the drain."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from gateway.edge.patient import Patient
from tests.edge.callers import POST, PROBE, Gate, answered, asked, call, callers, until
from tests.edge.roads import SHORT, Roads, answers, open_roads
from tests.patience import WAIT_S


class TestWaiting:
    """How long a connection may be silent, and when; both roads."""

    LONG = b"X: " + b"y" * 4_000 + b"\r\n"
    """Two of these and a head is no longer the front door's."""

    HALVES = (
        b"GET /message/ack HTTP/1.1\r\n",
        b"GET /message/ack HTTP/1.1\r\nHost: x\r\n",
        b"GET /message/ack HTTP/1.1\r\nHost: x\r\n" + LONG * 3,
        POST,
        POST + b"hel",
        POST.replace(b"send", b"unknown") + b"hel",
        b"POST /message/send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /message/send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    )

    @pytest.mark.parametrize("road", ["door", "alone"])
    @pytest.mark.parametrize("before", [b"", call("first"), PROBE])
    async def test_half_a_request(self, hasty: Roads, road: str, before: bytes) -> None:
        """It is waited for a while, after requests that were answered too, and then the connection is closed."""

        async def begun(said: bytes) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await hasty.connect(road)
            if before:
                writer.write(before)
                await answered(reader, 1)
            writer.write(said)
            return said, reader, writer

        async def ended(said: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with asyncio.timeout(WAIT_S):
                rest = answers(await reader.read())
            # Of an unknown path aiohttp says so before it looks at the body.
            assert [answer.status for answer in rest] == [404] * (b"unknown" in said)
            writer.close()

        # A connection on which nothing was asked may not be silent either.
        silent = () if before else (b"", b"\r\n")
        halves = await asyncio.gather(*(begun(said) for said in (*silent, *self.HALVES)))
        await until(lambda: hasty.read == sum(len(before + said) for said, *_ in halves))
        hasty.watch()
        await asyncio.gather(*(ended(*half) for half in halves))
        assert len(asked(hasty)) == len(self.HALVES) * before.startswith(POST)

    async def test_half_a_head_that_is_handed_over(self, hasty: Roads) -> None:
        """The time that aiohttp waits for the rest of it began with its first byte."""
        roads = hasty
        _, writer = await roads.connect("door")
        writer.write(self.HALVES[1])
        await until(lambda: bool(callers(roads)) and callers(roads)[0]._rest is not None)
        [caller] = callers(roads)
        writer.write(self.LONG * 3)
        await until(lambda: not callers(roads))
        [handler] = roads.ports["door"].connections
        assert isinstance(handler, Patient)
        assert handler.since == caller.due - SHORT.header_timeout_ms / 1000
        writer.close()

    @pytest.mark.parametrize("road", ["door", "alone"])
    async def test_byte_by_byte(self, hasty: Roads, road: str) -> None:
        """It is no help to send a byte now and then."""
        reader, writer = await hasty.connect(road)
        writer.write(call("first"))
        await answered(reader, 1)
        hasty.watch()
        end = asyncio.create_task(reader.read())
        # The head is not whole before all the patience is over that it could have got by this.
        for byte in POST[:-4] + b"\r\nX: " + b"x" * 1_000:
            if end.done():
                break
            writer.write(bytes([byte]))
            await asyncio.wait([end], timeout=0.05)
        else:
            pytest.fail("it was waited for to the end")
        # Whoever goes on talking may find the connection reset.
        with suppress(ConnectionError):
            assert await end == b""
        writer.close()

    @pytest.mark.parametrize("road", ["door", "alone"])
    async def test_idle_connections(self, road: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that is idle after an answer may be so for longer, but not for ever."""
        async with open_roads(limits=SHORT, watched=False) as roads:
            reader, writer = await roads.connect(road)
            for text in ("first", "other"):
                writer.write(call(text))
                await answered(reader, 1)
                roads.watch()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.6):
                        await reader.read(1)
            writer.close()
        monkeypatch.setattr("gateway.edge.port.IDLE_TIMEOUT_S", 0.5)
        async with open_roads(limits=SHORT, watched=False) as roads:
            reader, writer = await roads.connect(road)
            writer.write(call("first"))
            await answered(reader, 1)
            roads.watch()
            async with asyncio.timeout(WAIT_S):
                assert await reader.read() == b""
            writer.close()

    @pytest.mark.parametrize("road", ["door", "alone"])
    async def test_calls_that_take_their_time(self, hasty: Roads, road: str) -> None:
        """A call may take longer than half a request may."""
        gate = Gate(hasty)
        reader, writer = await hasty.connect(road)
        writer.write(call("first"))
        await until(lambda: bool(asked(hasty)))
        hasty.watch()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await reader.read(1)
        gate.open()
        assert await answered(reader, 1)
        writer.close()

    async def test_answers_that_nobody_takes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A connection whose answers are not taken ends as an idle one does."""
        monkeypatch.setattr("gateway.edge.port.IDLE_TIMEOUT_S", 0.2)
        async with open_roads(limits=SHORT, watched=False) as roads:
            _, writer = await roads.connect("door")
            writer.transport.pause_reading()
            said = POST.replace(b" 5", b" 2000") + b"x" * 2000
            writer.write(said)
            await until(lambda: bool(asked(roads)))
            roads.watch()
            await until(lambda: not callers(roads))
            writer.close()


class TestDrain:
    """How a port closes."""

    async def test_what_is_under_way(self, roads: Roads) -> None:
        """It is answered, and told that it is the last; idle connections and half requests are closed at once."""
        reader, writer = await roads.connect("door")
        idle, idle_writer = await roads.connect("door")
        half, half_writer = await roads.connect("door")
        half_writer.write(POST)
        idle_writer.write(call("first"))
        await answered(idle, 1)
        gate = Gate(roads)
        writer.write(call("other"))
        await until(lambda: asked(roads) == ["first", "other"])
        # What is not read when its connection is closed resets it.
        await until(lambda: POST in [caller._rest for caller in callers(roads)])
        port = roads.ports["door"]
        port.stop_listening()
        closing = asyncio.create_task(port.close(asyncio.get_running_loop().time() + WAIT_S))
        async with asyncio.timeout(WAIT_S):
            assert await idle.read() == await half.read() == b""
        assert not closing.done()
        gate.open()
        async with asyncio.timeout(WAIT_S):
            [answer] = answers(await reader.read())
            await closing
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert asked(roads) == ["first", "other"]
        for each in (writer, idle_writer, half_writer):
            each.close()

    async def test_what_does_not_end(self, roads: Roads) -> None:
        """A call that outlasts the drain is cut with its connection."""
        Gate(roads)
        reader, writer = await roads.connect("door")
        writer.write(call("first"))
        await until(lambda: asked(roads) == ["first"])
        [caller] = callers(roads)
        async with asyncio.timeout(WAIT_S):
            await roads.ports["door"].close(asyncio.get_running_loop().time() + 0.1)
            assert await reader.read() == b""
        await until(lambda: not caller.busy)
        writer.close()

    async def test_nobody_is_let_in(self, roads: Roads) -> None:
        """Once it no longer listens, nobody comes in."""
        roads.ports["door"].stop_listening()
        with pytest.raises(OSError, match=r"refused|Connect"):
            await roads.connect("door")

    async def test_while_it_drains(self, roads: Roads) -> None:
        """What is answered meanwhile says on either road that the connection ends."""
        roads.answering.switch.draining = True
        [found] = await roads.both(call("first"))
        assert found.headers["connection"] == "close"
