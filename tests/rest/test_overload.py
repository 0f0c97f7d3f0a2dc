"""More than can be done, callers who go away, and the end of the process (design promises 1 and 6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.domain.drafts import Answer as Done
from gateway.domain.drafts import Draft
from gateway.domain.limits import Limits
from tests.rest.stage import ALICE, BOB, Answer, Caller, Node, open_node, order

pytestmark = pytest.mark.one_node("a queue is its own node's")


class Gate:
    """Stands before the store: appends wait until it is opened."""

    def __init__(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        self._append = node.gateway.store.append
        self.opened = asyncio.Event()
        self.reached = asyncio.Event()
        monkeypatch.setattr(node.gateway.store, "append", self._wait)

    async def _wait(self, batch: Sequence[Draft]) -> list[Done]:
        self.reached.set()
        await self.opened.wait()
        return await self._append(batch)


@asynccontextmanager
async def tiny(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Caller, Gate]]:
    """A gateway in which very few sends may wait, and a store that takes none yet."""
    async with open_node(folder, Limits(queue_rows_max=30)) as node:
        alice = await node.user(ALICE)
        yield alice, Gate(node, monkeypatch)


class TestOverload:
    """Past what may wait the caller is told to come back."""

    async def test_what_is_accepted_is_committed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some are refused, the others are there, and nothing else is."""
        async with tiny(tmp_path, monkeypatch) as (alice, gate):
            asked = [asyncio.create_task(alice.ask_send([BOB], str(number))) for number in range(60)]
            refused = await _first(asked, 40)
            gate.opened.set()
            answers = await asyncio.gather(*asked)
            sent = {str(number) for number, answer in enumerate(answers) if answer.code == 200}
            assert set(await alice.history(BOB, limit=100)) == sent
        assert {answer.status for answer in refused} == {503}
        assert 0 < len(sent) <= 20

    async def test_who_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """HTTP 503, code 20000, and when to come back."""
        async with tiny(tmp_path, monkeypatch) as (alice, gate):
            asked = [asyncio.create_task(alice.ask_send([BOB])) for _ in range(20)]
            [answer, *_] = await _first(asked, 1)
            assert answer.status == 503
            assert answer.refused(20000)
            assert int(answer.headers["Retry-After"]) >= 1
            gate.opened.set()
            await asyncio.gather(*asked)

    async def test_it_passes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once the queue has drained, sends are taken as before; the room they took is given back."""
        async with tiny(tmp_path, monkeypatch) as (alice, gate):
            asked = [asyncio.create_task(alice.ask_send([BOB])) for _ in range(20)]
            await _first(asked, 1)
            gate.opened.set()
            await asyncio.gather(*asked)
            for _ in range(20):
                assert await alice.send(BOB)

    async def test_reads_go_on(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What does not write is answered while writers wait."""
        async with tiny(tmp_path, monkeypatch) as (alice, gate):
            waiting = asyncio.create_task(alice.ask_send([BOB]))
            await gate.reached.wait()
            assert await alice.unread() == []
            gate.opened.set()
            assert (await waiting).data is True

    async def test_one_large_send_is_taken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A send larger than the whole queue is no send that can never be made."""
        async with tiny(tmp_path, monkeypatch) as (alice, gate):
            gate.opened.set()
            assert (await alice.ask_send([*range(1000, 2000)])).done

    async def test_a_repeat_after_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who is refused comes back with the same `transaction_id` and sends once."""
        async with tiny(tmp_path, monkeypatch) as (alice, gate):
            asked = [asyncio.create_task(alice.ask_send([BOB], transaction_id=n)) for n in range(1, 21)]
            await _first(asked, 1)
            gate.opened.set()
            await asyncio.gather(*asked)
            for number in range(1, 21):
                await alice.send(BOB, transaction_id=number)
            assert len(await alice.history(BOB, limit=100)) == 20


async def _first(asked: list[asyncio.Task[Answer]], count: int) -> list[Answer]:
    """The first answers that come, at least so many."""
    done: set[asyncio.Task[Answer]] = set()
    while len(done) < count:
        more, _ = await asyncio.wait(set(asked) - done, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    return [task.result() for task in done]


class TestGone:
    """A caller that goes away."""

    async def test_leaves_its_send_in_the_batch(
        self, node: Node, alice: Caller, bob: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What it asked for is done, and its neighbours' too."""
        gate = Gate(node, monkeypatch)
        host, _, port = node.url.removeprefix("http://").rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(_request(alice, json.dumps(order([BOB], "of who left", transaction_id=7)).encode()))
        await gate.reached.wait()
        neighbour = asyncio.create_task(alice.ask_send([BOB], "neighbour"))
        writer.transport.abort()
        gate.opened.set()
        assert (await neighbour).data is True
        assert await bob.history(ALICE) == ["neighbour", "of who left"]
        first = await alice.send(BOB, "of who left", transaction_id=7)
        assert first < (await neighbour).envelope["msg_ids"][0]

    async def test_in_the_middle_of_its_body(
        self, node: Node, alice: Caller, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Half a request is none: nothing is sent, and the log has no traceback."""
        body = json.dumps(order([BOB])).encode()
        whole = _request(alice, body)
        for cut in (10, len(whole) - len(body), len(whole) - 1):
            begun = asyncio.Event()
            cut_off = asyncio.create_task(node.raw(whole[:cut], until=begun))
            # An answer to somebody else shows that the server has read what came before.
            await alice.unread()
            begun.set()
            await cut_off
        assert await alice.history(BOB) == []
        assert [record for record in caplog.records if record.exc_info] == []


def _request(caller: Caller, body: bytes) -> bytes:
    named = [f"{name}: {value}" for name, value in caller.headers.items()]
    head = ["POST /message/send HTTP/1.1", "Host: x", *named, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


class TestTheEnd:
    """Draining."""

    async def test_what_was_taken_is_answered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A send under way when the process is told to stop is committed and answered 200."""
        async with open_node(tmp_path) as node:
            alice = await node.user(ALICE)
            gate = Gate(node, monkeypatch)
            waiting = asyncio.create_task(alice.ask_send([BOB], "last"))
            await gate.reached.wait()
            stopping = asyncio.create_task(node.gateway.stop())
            gate.opened.set()
            assert (await waiting).data is True
            await stopping
        async with open_node(tmp_path) as node:
            assert await (await node.user(ALICE)).history(BOB) == ["last"]

    async def test_new_calls_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a connection that is still open they are 503, code 20000, with the time to come back."""
        async with open_node(tmp_path) as node:
            alice = await node.user(ALICE)
            # Three connections are open from here on: one waits for its answer, the others ask again, once each.
            gate = Gate(node, monkeypatch)
            waiting = asyncio.create_task(alice.ask_send([BOB]))
            await gate.reached.wait()
            await asyncio.gather(alice.unread(), alice.unread())
            stopping = asyncio.create_task(node.gateway.stop())
            # One turn of the loop, in which the stopping begins.
            await asyncio.sleep(0)
            for path in ("/message/unread", "/message/ack"):
                answer = await alice.get(path)
                assert answer.status == 503
                assert answer.refused(20000)
                assert int(answer.headers["Retry-After"]) >= 1
            gate.opened.set()
            assert (await waiting).data is True
            await stopping
