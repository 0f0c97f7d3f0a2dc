"""What one app may use (`gateway app limits`): over it a clear code, and never a word of it in another app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import ticks_ms
from gateway.core.operator import Ask
from gateway.domain.drafts import Answer as Done
from gateway.domain.drafts import Draft
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from tests.channel.stage import until
from tests.rest.stage import ALICE, BOB, Answer, Caller, Node, open_node, order
from tests.sqlite import inside

PACED = Limits(rate_wait_ms=20)
"""Limits under which a refusal is not held back for long."""


async def limit(node: Node, app_id: str = "demo", /, **limits: int) -> dict[str, Any]:
    """Set limits as the command does, and tell what it would show."""
    return await node.gateway.operator.do(Ask(verb="limits", app=app_id, limits=limits))


@pytest.fixture
async def other(node: Node) -> Caller:
    """Alice, in another app."""
    await node.gateway.directory.create_app("other")
    return await node.user(ALICE, "other")


class TestRate:
    """`sends_per_s`."""

    async def test_who_is_too_fast(self, tmp_path: Path) -> None:
        """HTTP 429, code 60004 and when to come back; nothing of it is sent."""
        async with open_node(tmp_path, PACED) as node:
            alice = await node.user(ALICE)
            await limit(node, sends_per_s=2)
            assert (await alice.ask_send([BOB, 120, 121, 122], "first")).code == 200
            answer = await alice.ask_send([BOB], "too fast")
            assert answer.status == 429
            assert answer.refused(60004, "2 messages a second")
            assert (
                answer.headers["Retry-After"] == "2"
            )  # Four messages are two seconds, of which little has passed.
            assert await alice.history(BOB) == ["first"]

    async def test_notifications_count_too(self, tmp_path: Path) -> None:
        """All that an app sends is counted together, whoever sends it."""
        async with open_node(tmp_path, PACED) as node:
            alice, admin = await node.user(ALICE), await node.admin()
            await limit(node, sends_per_s=2)
            await alice.ask_send([BOB, 120, 121, 122])
            answer = await admin.post("/message/notify", order([BOB]))
            assert (answer.status, answer.code) == (429, 60004)

    async def test_who_is_a_little_too_fast_waits(self, node: Node, alice: Caller) -> None:
        """A call over the rate is answered 200, only later."""
        await limit(node, sends_per_s=100)
        answers = await asyncio.gather(*(alice.ask_send([BOB]) for _ in range(30)))
        assert {answer.status for answer in answers} == {200}

    async def test_a_repeat_of_what_was_refused(self, tmp_path: Path) -> None:
        """It comes again with its `transaction_id`, and is sent once; what was sent before has its first answer."""
        async with open_node(tmp_path, PACED) as node:
            alice = await node.user(ALICE)
            await limit(node, sends_per_s=2)
            first = await alice.ask_send([BOB, 120, 121, 122], transaction_id=1)
            assert first.code == 200
            assert (await alice.ask_send([BOB], transaction_id=2)).code == 60004
            await limit(node, sends_per_s=0)
            sent = await alice.send(BOB, transaction_id=2)
            assert await alice.send(BOB, transaction_id=2) == sent
            again = await alice.ask_send([BOB, 120, 121, 122], transaction_id=1)
            assert again.envelope == first.envelope

    async def test_another_app_is_not_paced(self, tmp_path: Path) -> None:
        """One app's rate is none of the other's business."""
        async with open_node(tmp_path, PACED) as node:
            await node.gateway.directory.create_app("other")
            alice, other = await node.user(ALICE), await node.user(ALICE, "other")
            await limit(node, sends_per_s=1)
            await alice.ask_send([BOB, 120, 121])
            assert (await alice.ask_send([BOB])).code == 60004
            for _ in range(20):
                assert await other.send(BOB)


class TestBytes:
    """`message_bytes_max`."""

    async def test_a_message_too_large(self, node: Node, alice: Caller) -> None:
        """The four texts together, in bytes; the refusal names them and the limit, and one byte less is sent."""
        await limit(node, message_bytes_max=10)
        texts = {"attachment": "23", "ext": "45", "config": "67"}
        assert (await alice.ask_send([BOB], "ä89x", **texts)).refused(10002, "content", "config", "11", "10")
        assert await alice.send(BOB, "ä89", **texts)

    async def test_another_app_may_send_it(self, node: Node, alice: Caller, other: Caller) -> None:
        """The bound is the app's own."""
        await limit(node, message_bytes_max=1)
        assert (await alice.ask_send([BOB], "xx")).code == 10002
        assert await other.send(BOB, "xx")


class TestStorage:
    """`storage_bytes_max`."""

    async def test_a_full_app(self, node: Node, alice: Caller, other: Caller) -> None:
        """Code 60005; a repeat still has its first answer, and the other app stores on."""
        await limit(node, storage_bytes_max=650)
        first = await alice.send(BOB, "x" * 20, transaction_id=1)
        answer = await alice.ask_send([BOB], "x" * 31)
        assert answer.status == 200
        assert answer.refused(60005, "stores as much as it may")
        assert (await alice.ask_send([BOB, 120])).code == 60005
        assert await alice.send(BOB, "x" * 20, transaction_id=1) == first
        assert await other.send(BOB, "x" * 31)
        assert await alice.send(BOB, "x" * 30)
        assert (await limit(node))["stored_bytes"] == 650

    async def test_a_recall_makes_room(self, node: Node, alice: Caller) -> None:
        """The text that is gone counts no longer."""
        await limit(node, storage_bytes_max=1_000)
        sent = await alice.send(BOB, "x" * 400)
        assert (await alice.ask_send([BOB], "x" * 100)).code == 60005
        assert (await alice.recall(BOB, sent)).done
        assert await alice.send(BOB, "x" * 100)

    async def test_a_lower_limit_removes_nothing(self, node: Node, alice: Caller) -> None:
        """What is stored stays and can be read; there is only no more of it."""
        await alice.send(BOB, "kept")
        await limit(node, storage_bytes_max=1)
        assert (await alice.ask_send([BOB], "more")).code == 60005
        assert await alice.history(BOB) == ["kept"]


class TestSetting:
    """What the operator asks for."""

    async def test_it_holds_from_the_next_call_on(self, node: Node, alice: Caller) -> None:
        """Without a restart, and back again; what is not named stays as it was."""
        await limit(node, message_bytes_max=1, connections_max=7)
        assert (await alice.ask_send([BOB], "xx")).code == 10002
        told = await limit(node, message_bytes_max=0)
        assert told["limits"] == {
            "sends_per_s": 0,
            "connections_max": 7,
            "message_bytes_max": 0,
            "storage_bytes_max": 0,
        }
        assert await alice.send(BOB, "xx")

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("wrong", [{"sends": 1}, {"sends_per_s": -1}, {"storage_bytes_max": 2**53}])
    async def test_what_is_no_limit(self, node: Node, wrong: dict[str, int]) -> None:
        """A name that is not there and a number that cannot be are refused, and nothing is changed."""
        [name] = wrong
        with pytest.raises(Exception, match=name) as caught:
            await limit(node, connections_max=5, **wrong)
        assert getattr(caught.value, "kind", None) is Kind.BAD_PARAMETER
        assert set((await limit(node))["limits"].values()) == {0}

    async def test_an_app_that_is_not_there(self, node: Node) -> None:
        """It is said so, whether limits are set or asked for."""
        for limits in ({}, {"sends_per_s": 1}):
            with pytest.raises(Exception, match="no app nowhere") as caught:
                await limit(node, "nowhere", **limits)
            assert getattr(caught.value, "kind", None) is Kind.APP_UNKNOWN


@asynccontextmanager
async def held(folder: Path, monkeypatch: pytest.MonkeyPatch, **limits: int) -> AsyncIterator[Held]:
    """A gateway whose store takes and gives nothing until it is let go."""
    async with open_node(folder, Limits(**limits)) as node:
        await node.gateway.directory.create_app("other")
        yield Held(node, monkeypatch)


class Held:
    """Stands before the store."""

    def __init__(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node = node
        self.free = asyncio.Event()
        self.batches: list[list[int]] = []
        self._patch = monkeypatch

    def hold(self, name: str) -> None:
        """Let calls of the store wait until `free`."""
        store = self.node.gateway.store
        real = getattr(store, name)

        async def wait(*asked: Any) -> Any:
            await self.free.wait()
            return await real(*asked)

        self._patch.setattr(store, name, wait)

    def hold_appends(self) -> None:
        """The same for batches, whose apps are noted."""
        store = self.node.gateway.store
        real = store.append

        async def wait(batch: Sequence[Draft]) -> list[Done]:
            self.batches.append([draft.app for draft in batch])
            await self.free.wait()
            return await real(batch)

        self._patch.setattr(store, "append", wait)


async def _refused(asked: list[asyncio.Task[Any]]) -> Any:
    """The first answer that comes."""
    done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    return done.pop().result()


class TestQueues:
    """What waits for the store is bounded, and nobody takes all the room."""

    @pytest.mark.one_node("it counts the batches of a store that takes one at a time")
    async def test_a_flood_leaves_room_for_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The app that floods gets 503, and the other one's send is in the next batch."""
        async with held(tmp_path, monkeypatch, queue_rows_max=100, batch_rows_max=21) as store:
            alice, other = await store.node.user(ALICE), await store.node.user(ALICE, "other")
            store.hold_appends()
            asked = [asyncio.create_task(alice.ask_send([BOB])) for _ in range(20)]
            assert (await _refused(asked)).status == 503
            late = asyncio.create_task(other.ask_send([BOB]))
            await until(lambda: store.node.gateway.writer.waiting.rows == 8 * 7, "the other's draft waiting")
            store.free.set()
            assert (await late).code == 200
            await asyncio.gather(*asked)
            [demo, there] = [app.id for app in await store.node.gateway.store.apps()]
            assert store.batches[1] == [demo, there, demo]

    async def test_marks_are_bounded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who marks as read while too many marks wait gets 503; those that wait are done."""
        async with held(tmp_path, monkeypatch, read_marks_queue_max=3) as store:
            alice, bob = await store.node.users(ALICE, BOB)
            await alice.send(BOB)
            store.hold("read")
            asked = [asyncio.create_task(bob.ack(conversation_id=ALICE)) for _ in range(12)]
            answer = await _refused(asked)
            assert answer.status == 503
            assert answer.refused(20000, "too many reads")
            assert int(answer.headers["Retry-After"]) >= 1
            store.free.set()
            answers = await asyncio.gather(*asked)
            assert {answer.code for answer in answers} == {200, 20000}
            assert await alice.statuses(BOB) == ["READ"]

    @pytest.mark.one_node("it holds up the reader of a store on SQLite")
    async def test_reads_are_bounded(self, tmp_path: Path) -> None:
        """Who asks while too many reads wait gets 503, sends to users go on, and it passes."""
        async with open_node(tmp_path, Limits(reads_queue_max=2, readers=1)) as small:
            alice = await small.user(ALICE)
            await alice.send(BOB)
            blocked, go = asyncio.Event(), asyncio.Event()
            loop = asyncio.get_running_loop()

            def block(_conn: Any) -> None:
                loop.call_soon_threadsafe(blocked.set)
                asyncio.run_coroutine_threadsafe(go.wait(), loop).result()

            blocking = asyncio.create_task(inside(small.gateway.store)._look(block))
            await blocked.wait()
            asked = asyncio.create_task(alice.page(BOB))
            await until(lambda: inside(small.gateway.store)._reading == 2, "two reads waiting")
            for path, query in (
                ("/message/conversation", {"opposite_id": BOB}),
                ("/message/unread", {}),
                ("/message/ack", {"conversation_id": BOB}),
                ("/group/user_joined", {}),
            ):
                answer = await alice.get(path, **query)
                assert answer.status == 503, path
                assert answer.refused(20000, "too many reads")
            assert await alice.send(BOB)
            go.set()
            await blocking
            await asked
            assert len(await alice.history(BOB)) == 2


class TestBroadcast:
    """A broadcast is the app's messages too."""

    async def ask(self, admin: Caller, content: str) -> Answer:
        return await admin.post("/message/broadcast", {"content_type": 0, "content": content})

    async def test_it_is_paced_and_never_refused(self, tmp_path: Path) -> None:
        """After each page its messages have their turns; all users get it, and sends go between."""
        async with open_node(tmp_path, Limits(job_page_max=10, rate_wait_ms=2_000)) as node:
            users = await node.users(*range(1, 21))
            await limit(node, sends_per_s=50)
            admin = await node.admin()
            started = ticks_ms()
            asked = asyncio.create_task(self.ask(admin, "all"))
            assert await users[0].send(2)
            assert (await asked).data == {"success": True, "send_num": 20}
            # Five may go at once, and fifteen of the first two pages have to wait before the last.
            assert ticks_ms() - started >= 200
            assert await users[19].history(admin.xid) == ["all"]

    async def test_a_text_too_large(self, node: Node, admin: Caller) -> None:
        """10002, as for a send."""
        await limit(node, message_bytes_max=3)
        assert (await self.ask(admin, "four")).refused(10002, "at most 3")

    async def test_in_a_full_app(self, node: Node, admin: Caller, alice: Caller) -> None:
        """60005, and nothing is begun."""
        assert await alice.send(BOB)
        await limit(node, storage_bytes_max=302)
        assert (await self.ask(admin, "all")).refused(60005)
        assert await node.gateway.store.jobs() == []

    async def test_what_has_begun_waits_for_room(self, tmp_path: Path) -> None:
        """No room for the next page: the broadcast goes on once there is some."""
        async with open_node(tmp_path, Limits(job_page_max=2, job_retry_ms=1, broadcast_wait_ms=100)) as node:
            users = await node.users(1, 2, 3, 4)
            await limit(node, storage_bytes_max=700)
            admin = await node.admin()
            told = (await self.ask(admin, "all")).data
            # Its answer waits for no more than a tenth of a second.
            assert (told["success"], told["send_num"] in {0, 2}) == (True, True)
            [job] = await node.gateway.store.jobs()
            while job.done < 2:
                await asyncio.sleep(0)
                [job] = await node.gateway.store.jobs()
            await limit(node, storage_bytes_max=0)
            await node.gateway.jobs.follow(job, 20_000)
            assert [await user.history(admin.xid) for user in users] == [["all"]] * 4


async def test_online_ones_count_too(tmp_path: Path) -> None:
    """What is handed over and not stored is paced and refused as any send."""
    async with open_node(tmp_path, PACED) as node:
        alice = await node.user(ALICE)
        await node.user(BOB)
        await limit(node, sends_per_s=1, message_bytes_max=5)
        assert (await alice.ask_send([BOB], "longer", online_only=True)).refused(10002, "at most 5")
        assert (await alice.ask_send([BOB], online_only=True)).code == 200
        answer = await alice.ask_send([BOB], online_only=True)
        assert (answer.status, answer.code) == (429, 60004)
