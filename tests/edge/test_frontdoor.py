"""The front door's connections: one request after the other, handovers, and backpressure."""

from __future__ import annotations

import asyncio
import resource
import socket

import pytest
import uvloop
from aiohttp import ClientSession

from gateway.edge.facades.native.envelope import Reply
from gateway.edge.files import allowed_files
from gateway.edge.frontdoor.caller import READ_AHEAD_BYTES_MAX
from gateway.edge.port import ACCEPTS
from tests.edge.callers import POST, PROBE, Gate, answered, asked, call, callers, until
from tests.edge.roads import LAST, SHORT, Roads, answers, open_roads
from tests.patience import WAIT_S


class TestStorm:
    """Many who come at once."""

    def test_they_are_let_in_together(self) -> None:
        """They come in by a few turns of the loop: with one for each a storm would be all turns."""

        async def storm() -> int:
            seen = turns = 0
            async with open_roads() as roads:
                host, port = roads.urls["door"].removeprefix("http://").split(":")
                # The kernel takes them, before the loop has had a turn.
                waiting = [socket.create_connection((host, int(port))) for _ in range(ACCEPTS)]
                async with asyncio.timeout(WAIT_S):
                    while seen < ACCEPTS:
                        await asyncio.sleep(0)
                        # The kernel may take its time between them.
                        turns += len(callers(roads)) > seen
                        seen = len(callers(roads))
                for one in waiting:
                    one.close()
            return turns

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(storm()) < ACCEPTS // 2


class TestOrder:
    """One request after the other."""

    async def test_a_kept_connection(self, roads: Roads) -> None:
        """Calls on one connection are answered one by one, and none of them goes to aiohttp."""
        reader, writer = await roads.connect("door")
        for text in ("first", "other", "third"):
            writer.write(call(text))
            assert text.encode().hex().encode() in (await answered(reader, 1))[0]
        assert len(callers(roads)) == 1
        writer.close()
        await until(lambda: not callers(roads))

    async def test_what_comes_while_a_call_is_under_way(self, roads: Roads) -> None:
        """It is not looked at before that is answered."""
        gate = Gate(roads)
        reader, writer = await roads.connect("door")
        writer.write(call("first"))
        await until(lambda: asked(roads) == ["first"])
        [caller] = callers(roads)
        writer.write(call("other"))
        await until(lambda: caller._rest == call("other"))
        assert asked(roads) == ["first"]
        gate.open()
        bodies = await answered(reader, 2)
        assert [
            text in body
            for text, body in zip([b"first".hex(), b"other".hex()], map(bytes.decode, bodies), strict=True)
        ]
        assert asked(roads) == ["first", "other"]
        assert callers(roads) == [caller]
        writer.close()

    async def test_many_in_one_piece(self, roads: Roads) -> None:
        """They are answered in order, down either road."""
        said = b"".join(call(f"{number:05}") for number in range(100))
        found = await roads.both(said + LAST)
        assert len(found) == 101
        assert asked(roads) == [f"{number:05}" for number in range(100)]

    async def test_one_that_is_not_ours_between(self, roads: Roads) -> None:
        """From a request on that the front door does not answer, the connection is aiohttp's, and goes on."""
        reader, writer = await roads.connect("door")
        for said in (call("first"), PROBE, call("other"), PROBE, call("third")):
            writer.write(said)
            await answered(reader, 1)
        assert asked(roads) == ["first", "other", "third"]
        assert not callers(roads)
        assert len(roads.ports["door"].connections) == 1
        writer.close()

    async def test_one_that_is_not_ours_while_a_call_is_under_way(self, roads: Roads) -> None:
        """It waits, as every other does, and its answer comes second."""
        gate = Gate(roads)
        reader, writer = await roads.connect("door")
        writer.write(call("first"))
        await until(lambda: asked(roads) == ["first"])
        writer.write(PROBE)
        await until(lambda: callers(roads)[0]._rest == PROBE)
        gate.open()
        assert b"ok" in (await answered(reader, 2))[1]
        writer.close()


class TestHandover:
    """What goes to aiohttp for good."""

    async def test_a_large_body(self, roads: Roads) -> None:
        """A body beyond the limit is aiohttp's to refuse."""
        [refused, _] = await roads.both(POST.replace(b" 5", b" 9000") + b"x" * 9000 + LAST)
        assert refused.status == 413

    async def test_a_large_body_in_chunks(self, roads: Roads) -> None:
        """So is one that does not tell its size."""
        head = b"POST /message/send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
        [found, _] = await roads.both(head + chunk, b"0\r\n\r\n" + LAST)
        assert found.status == 200
        [refused, *_] = await roads.both(head + chunk * 8, b"0\r\n\r\n" + LAST)
        assert refused.status == 413

    @pytest.mark.parametrize("road", ["door", "alone"])
    async def test_a_websocket(self, hasty: Roads, road: str) -> None:
        """A WebSocket works as it does on aiohttp alone, and may be silent for longer than half a request."""
        roads, timeout_s = hasty, max(SHORT.header_timeout_ms, SHORT.body_timeout_ms) / 1000
        async with ClientSession(roads.urls[road]) as http, http.ws_connect("/ws") as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"
            roads.watch()
            with pytest.raises(TimeoutError):
                await socket.receive(timeout_s * 1.5)
            await socket.send_str("again")
            assert await socket.receive_str() == "again"

    @pytest.mark.parametrize("origins", [[], ["*"], ["https://a.example"]])
    async def test_web_pages(self, origins: list[str]) -> None:
        """Pages are let in by both roads alike, and so is who is no page."""
        asking = b"OPTIONS /message/send HTTP/1.1\r\nHost: x\r\nAccess-Control-Request-Method: POST\r\n"
        async with open_roads(cors_origins=origins) as roads:
            for origin in (b"", b"Origin: https://a.example\r\n", b"Origin: https://b.example\r\n"):
                said = POST.replace(b"Host", origin + b"Host") + b"hello"
                [found] = await roads.both(said.replace(b"Host", b"Connection: close\r\nHost"))
                assert found.headers.get("vary") == ("Origin" if origins else None)
                await roads.both(asking + origin + b"\r\n" + LAST)


class TestBounds:
    """Whoever sends more than is answered, or reads no answers, is made to wait."""

    async def test_a_caller_that_does_not_wait(self, roads: Roads) -> None:
        """While a call is under way only so much is taken in, and later all of it is answered."""
        gate = Gate(roads)
        reader, writer = await roads.connect("door")
        writer.write(call("first"))
        await until(lambda: bool(asked(roads)))
        [caller] = callers(roads)
        count = 40_000
        writer.write(call("other") * count)
        await until(lambda: caller._held)
        held = len(caller._rest or b"")
        assert READ_AHEAD_BYTES_MAX < held < len(call("other")) * count // 2
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(caller._rest or b"") == held
        gate.open()
        await answered(reader, 200)
        writer.close()

    async def test_a_caller_that_reads_no_answers(self, roads: Roads) -> None:
        """Once the answers are not taken nothing more is done, until they are."""
        reader, writer = await roads.connect("door")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        done = roads.answering.asked  # type: ignore[attr-defined]
        said = POST.replace(b" 5", b" 2000") + b"x" * 2000
        writer.write(said)
        await until(lambda: len(done) == 1)
        [caller] = callers(roads)
        for count in range(2, 20_000):
            writer.write(said)
            await until(lambda count=count: len(done) == count or caller._full)  # type: ignore[misc]
            if caller._full:
                break
        count = len(done)
        if not caller._rest:
            writer.write(said)
            await until(lambda: caller._rest is not None)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(done) == count
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        await answered(reader, count + 1)
        assert len(done) == count + 1
        writer.close()


class TestGone:
    """A caller that goes away."""

    async def test_its_call_is_done(self, roads: Roads) -> None:
        """Hanging up does not take back what was asked; then the door forgets it."""
        done = asyncio.Event()
        gate = asyncio.Event()

        async def wait() -> None:
            await gate.wait()
            done.set()

        roads.answering.wait = wait  # type: ignore[attr-defined]
        _, writer = await roads.connect("door")
        writer.write(call("first"))
        await until(lambda: asked(roads) == ["first"])
        [caller] = callers(roads)
        writer.close()
        await until(lambda: caller._transport is None)
        assert callers(roads) == [caller]
        gate.set()
        await asyncio.wait_for(done.wait(), WAIT_S)
        await until(lambda: not callers(roads))

    @pytest.mark.parametrize("said", [b"", b"GET /mess", POST, POST + b"hel"])
    async def test_in_the_middle(self, roads: Roads, said: bytes) -> None:
        """Half a request is forgotten with its connection."""
        _, writer = await roads.connect("door")
        writer.write(said)
        await until(lambda: bool(callers(roads)))
        writer.close()
        await until(lambda: not callers(roads))
        assert not asked(roads)


class TestBegun:
    """A call that is begun, and answered without a task."""

    async def test_its_answer(self, roads: Roads) -> None:
        """It is what is told; what has come meanwhile is looked at after it."""
        begun = roads.answering.begun = []  # type: ignore[attr-defined]
        reader, writer = await roads.connect("door")
        writer.write(call("first"))
        await until(lambda: len(begun) == 1)
        [caller] = callers(roads)
        writer.write(call("other"))
        await until(lambda: caller._rest == call("other"))
        assert len(begun) == 1
        assert caller.busy
        for number, body in enumerate((b"one", b"two")):
            begun[number](Reply(200, body))
            assert await answered(reader, 1) == [body]
        assert not asked(roads)
        writer.close()

    async def test_after_all(self, roads: Roads) -> None:
        """What could only be begun is called like any other."""
        begun = roads.answering.begun = []  # type: ignore[attr-defined]
        reader, writer = await roads.connect("door")
        writer.write(call("first"))
        await until(lambda: len(begun) == 1)
        begun[0](None)
        assert b"first".hex().encode() in (await answered(reader, 1))[0]
        assert not callers(roads)[0].busy
        writer.close()

    @pytest.mark.parametrize("outcome", [None, Reply(200, b"done")])
    async def test_hanging_up(self, roads: Roads, outcome: Reply | None) -> None:
        """The door knows it until it is told, and calls nothing for nobody."""
        begun = roads.answering.begun = []  # type: ignore[attr-defined]
        _, writer = await roads.connect("door")
        writer.write(call("first"))
        await until(lambda: len(begun) == 1)
        [caller] = callers(roads)
        writer.close()
        await until(lambda: caller._transport is None)
        assert callers(roads) == [caller]
        begun[0](outcome)
        assert not callers(roads)
        assert not asked(roads)

    async def test_the_end(self, roads: Roads) -> None:
        """A door that closes waits for what is told, and hangs up after it."""
        begun = roads.answering.begun = []  # type: ignore[attr-defined]
        reader, writer = await roads.connect("door")
        writer.write(call("first"))
        await until(lambda: len(begun) == 1)
        closing = asyncio.create_task(roads.ports["door"].close(asyncio.get_running_loop().time() + WAIT_S))
        await until(lambda: roads.ports["door"]._door.closing)  # type: ignore[union-attr]
        begun[0](Reply(200, b"done"))
        [answer] = answers(await reader.read())
        assert (answer.body, answer.headers["connection"]) == (b"done", "close")
        await closing
        writer.close()


@pytest.mark.parametrize("road", ["door", "alone"])
async def test_open_files_are_not_all_for_connections(road: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes when few are left is cut at once; who was there before is served, and later comers again."""
    async with open_roads() as roads:
        first = await roads.connect(road)
        number = first[1].get_extra_info("socket").fileno()
        monkeypatch.setattr("gateway.edge.files.KEPT", 10)
        monkeypatch.setattr("gateway.edge.files.allowed_files", lambda: number + 40)
        others = [await roads.connect(road) for _ in range(20)]
        async with asyncio.timeout(WAIT_S):
            assert await others[-1][0].read() == b""
        first[1].write(LAST)
        assert (await first[0].read()).startswith(b"HTTP/1.1 200 ")
        for _, writer in (first, *others):
            writer.close()
        await until(lambda: not roads.ports[road].connections)
        assert (await roads.spoken(road, LAST)).startswith(b"HTTP/1.1 200 ")


def test_files_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has none, which it says by a number below all others, nobody is cut."""
    monkeypatch.setattr("gateway.edge.files.resource.getrlimit", lambda _: (resource.RLIM_INFINITY, 0))
    assert allowed_files() > 1 << 40
