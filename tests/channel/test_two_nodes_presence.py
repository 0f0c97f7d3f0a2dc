"""Which device is connected where: replaced and told to go across nodes (design §5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from gateway.bus.base import Shut
from gateway.clock import now_ms
from gateway.core.attaching import Claim, EndedError
from gateway.domain.errors import Problem
from gateway.domain.positions import Attachment
from gateway.wire.close import Close
from tests.channel.nodes import Node, Nodes, Sink, cursors, end_of, fails, told
from tests.channel.stage import ALICE, BOB, contents, until

pytestmark = pytest.mark.one_node("it has nodes of its own")

End = Callable[[Node], Awaitable[None]]


class TestReplaced:
    """A device connects to another node while its older connection seems to live."""

    async def test_at_once(self, nodes: Nodes) -> None:
        """By the bus; and what is newer stays."""
        here, there = nodes
        _, older = await there.attach(BOB)
        _, other = await there.attach(BOB, 2)
        _, newer = await here.attach(BOB)
        assert older.ended == Close.REPLACED
        assert (newer.ended, other.ended) == (None, None)
        _, newest = await there.attach(BOB)
        assert newer.ended == Close.REPLACED
        assert newest.ended is None

    async def test_before_the_node_hears_of_the_user(self, nodes: Nodes) -> None:
        """Who came first is the older one, however long its node waits for the bus; it is asked for soon, by itself."""
        here, there = nodes
        subscribe = there.bus.subscribe
        sinks: list[Sink] = []

        async def slow(timeline_id: int) -> None:
            sinks.append((await here.attach(BOB))[1])
            await subscribe(timeline_id)

        there.bus.subscribe = slow  # type: ignore[method-assign]
        _, older = await there.begin(BOB)
        assert await end_of(older) == Close.REPLACED
        [newer] = sinks
        assert newer.ended is None
        [connection] = here.hub.connections
        assert not connection.detached

    async def test_what_the_older_one_states_meanwhile(self, nodes: Nodes) -> None:
        """Counts no more: a device that was set up anew holds nothing, whatever it said before on another node."""
        here, there = nodes
        for text in ("one", "two"):
            await here.send(ALICE, BOB, text)
        subscribe = there.bus.subscribe

        async def slow(timeline_id: int) -> None:
            there.bus.subscribe = subscribe  # type: ignore[method-assign]
            connection, _ = await here.attach(BOB, cursors={"user": 0})
            here.hub.close(connection, Close.DRAINING, "")
            await subscribe(timeline_id)

        there.bus.subscribe = slow  # type: ignore[method-assign]
        with suppress(EndedError):
            await there.begin(BOB, cursors={"user": 2})
        _, sink = await here.attach(BOB)
        await told(sink, "one", "two")

    async def test_who_is_gone_replaces_nobody(self, nodes: Nodes) -> None:
        """A node that was stopped hears of a device long after that has come back elsewhere."""
        here, there = nodes
        _, sink = await here.attach(BOB)
        principal, gone = await there.principal(BOB), Sink()
        gone.gone = True
        claim = Claim(device_sn=1, cursors={"user": 0})
        with pytest.raises(EndedError):
            await there.attaching.attach(principal.app, principal.user, claim, gone, now_ms() + 60_000)
        await here.sweep.sweep()
        assert sink.ended is None
        assert gone.frames == []
        assert there.hub.connections == []

    async def test_who_goes_while_it_attaches_states_nothing(self, nodes: Nodes) -> None:
        """It may have said something else elsewhere since."""
        here, there = nodes
        await here.send(ALICE, BOB, "one")
        await here.attach(BOB, cursors={"user": 0})
        principal, goes = await there.principal(BOB), Sink()
        standings = there.view.standings

        async def slow(asked: Any) -> Any:
            goes.gone = True
            return await standings(asked)

        there.view.standings = slow
        claim = Claim(device_sn=1, cursors={"user": 1})
        with pytest.raises(EndedError):
            await there.attaching.attach(principal.app, principal.user, claim, goes, now_ms() + 60_000)
        _, sink = await here.attach(BOB)
        await told(sink, "one")

    async def test_while_it_attaches(self, nodes: Nodes) -> None:
        """A newcomer whose note was lost meanwhile is asked for soon, by itself."""
        here, there = nodes
        standings = there.view.standings

        async def slow(asked: Any) -> Any:
            there.view.standings = standings
            there.bus.deaf = True
            await here.attach(BOB)
            there.bus.deaf = False
            return await standings(asked)

        there.view.standings = slow
        _, older = await there.begin(BOB)
        assert await end_of(older) == Close.REPLACED
        [newer] = here.hub.connections
        assert not newer.detached

    async def test_by_the_sweep(self, nodes: Nodes) -> None:
        """Where the note was lost."""
        here, there = nodes
        there.bus.deaf = True
        _, older = await there.attach(BOB)
        _, newer = await here.attach(BOB)
        assert [older.ended, newer.ended] == [None, None]
        for node in nodes:
            await node.sweep.sweep()
        assert [older.ended, newer.ended] == [Close.REPLACED, None]

    @pytest.mark.parametrize("kept", [True, False])
    async def test_by_its_own_ack(self, nodes: Nodes, *, kept: bool) -> None:
        """Which is not kept: the device has not got it on the connection that is its own now."""
        here, there = nodes
        there.bus.deaf = True
        older, sink = await there.attach(BOB, cursors={"user": 0} if kept else None)
        await here.send(ALICE, BOB, "hi")
        await told(sink, "hi")
        await here.attach(BOB)
        cursor = cursors(here, older.user.id)
        before = await cursor()
        there.ack(older, 1)
        assert await end_of(sink) == Close.REPLACED
        assert await cursor() == before

    async def test_a_newcomer_is_not_taken_for_an_older_one(self, nodes: Nodes) -> None:
        """One that has no number yet when it hears of a replacement is newer than that."""
        here, there = nodes
        # So that the node hears what is told of this user.
        await there.attach(BOB, 2)
        asked, go_on = asyncio.Event(), asyncio.Event()
        real = there.view.attach

        async def slow(*args: Any) -> Any:
            asked.set()
            await go_on.wait()
            return await real(*args)

        there.view.attach = slow
        coming = asyncio.create_task(there.begin(BOB))
        await asked.wait()
        await here.attach(BOB)
        go_on.set()
        connection, sink = await coming
        assert sink.ended is None
        assert await here.view.replaced([Attachment(connection.user.id, 1, connection.attach_no)]) == []

    async def test_acks_that_waited_for_the_store(self, nodes: Nodes) -> None:
        """An older connection's, kept by nobody, set no cursor back that the newer one has stated since."""
        here, there = nodes
        for node in nodes:
            node.bus.deaf = True
        older, sink = await there.attach(BOB)
        there.view.keep = fails
        for content in ("one", "two", "three"):
            await here.send(ALICE, BOB, content)
        await told(sink, "one", "two", "three")
        there.ack(older, 1)
        await until(lambda: there.receipts._stuck)
        newer, _ = await here.attach(BOB, cursors={"user": 3})
        cursor = cursors(here, newer.user.id)
        assert await cursor() == 3
        del there.view.keep
        await there.receipts.flush()
        assert await end_of(sink) == Close.REPLACED
        assert await cursor() == 3


async def kick(node: Node) -> None:
    await node.users.kick(await node.principal(BOB), 0, 0)


async def remove(node: Node) -> None:
    await node.users.remove_device(await node.principal(BOB), 0, 1)


async def freeze(node: Node) -> None:
    await node.users.freeze(await node.admin(), [BOB])


async def change_password(node: Node) -> None:
    await node.users.change_password(await node.admin(), BOB, None, "n3w")


async def erase(node: Node) -> None:
    await node.erasing.delete(await node.principal(BOB), 0)


ENDS = [
    (kick, Close.KICKED, Close.KICKED),
    (remove, Close.KICKED, Close.KICKED),
    (freeze, Close.FROZEN, Close.FROZEN),
    (change_password, Close.TOKEN_ILLEGAL, Close.KICKED),
    (erase, Close.TOKEN_ILLEGAL, Close.TOKEN_ILLEGAL),
]


class TestEnded:
    """Somebody ends a device's connections on another node."""

    @pytest.mark.parametrize(("end", "code"), [(end, code) for end, code, _ in ENDS])
    async def test_at_once(self, nodes: Nodes, end: End, code: Close) -> None:
        """By the bus, with the code that says why; nobody else's."""
        here, there = nodes
        sinks = [(await node.attach(BOB))[1] for node in nodes[1:]]
        _, alice = await there.attach(ALICE)
        await end(here)
        assert [sink.ended for sink in sinks] == [code]
        assert alice.ended is None

    @pytest.mark.parametrize(("end", "code"), [(end, code) for end, _, code in ENDS])
    async def test_by_the_sweep(
        self, nodes: Nodes, monkeypatch: pytest.MonkeyPatch, end: End, code: Close
    ) -> None:
        """Where the note was lost: with a code that keeps the device away, too."""
        monkeypatch.setattr("gateway.core.presence.GO_MS", 20)
        here, there = nodes
        there.bus.deaf = True
        _, sink = await there.attach(BOB)
        _, alice = await there.attach(ALICE)
        await end(here)
        assert [sink.ended, alice.ended] == [None, None]
        await there.sweep.sweep()
        assert [sink.ended, alice.ended] == [code, None]

    @pytest.mark.parametrize("end", [kick, remove, change_password])
    async def test_a_late_note_is_not_about_who_came_after(self, nodes: Nodes, end: End) -> None:
        """Who is back by the time the note comes has done as it was told, and stays."""
        here, there = nodes
        await end(here)
        connection, sink = await there.attach(BOB)
        [shut] = [note for note in here.bus.published[-1][1] if isinstance(note, Shut)]
        there.bus.hear((), [shut])
        assert sink.ended is None
        there.bus.hear((), [msgspec.structs.replace(shut, below=connection.attach_no + 1)])
        assert sink.ended is not None

    async def test_an_old_token_that_a_lost_note_has_let_in(self, nodes: Nodes) -> None:
        """Is found out soon: the node has asked its memory, which it drops, and the device is to say it anew."""
        here, there = nodes
        there.bus.deaf = True
        await there.principal(BOB)
        await change_password(here)
        _, sink = await there.begin(BOB)
        assert await end_of(sink) == Close.STORE_FAILED
        assert (await there.principal(BOB)).user.valid_from_ms

    async def test_one_device(self, nodes: Nodes) -> None:
        """The user's others stay."""
        here, there = nodes
        sinks = [(await there.attach(BOB, device_sn))[1] for device_sn in (1, 2)]
        await here.users.kick(await here.principal(BOB), 0, 2)
        assert [sink.ended for sink in sinks] == [None, Close.KICKED]

    async def test_where_the_store_fails(self, nodes: Nodes) -> None:
        """Who asks is told so; those whom the note reaches go all the same."""
        here, there = nodes
        sinks = [(await node.attach(BOB, number))[1] for number, node in enumerate(nodes, 1)]
        here.view.dismiss = fails
        with pytest.raises(Problem, match="gone"):
            await kick(here)
        assert [sink.ended for sink in sinks] == [Close.KICKED, Close.KICKED]
        assert there.hub.connections == []

    async def test_what_was_acked_before_counts(self, nodes: Nodes) -> None:
        """A kicked device stays kept, with all that it said it has."""
        here, _ = nodes
        connection, sink = await here.attach(BOB)
        await here.send(ALICE, BOB, "hi")
        await told(sink, "hi")
        here.ack(connection, 1)
        await kick(here)
        assert await cursors(here, connection.user.id)() == 1

    async def test_what_a_removed_device_has_acked(self, nodes: Nodes) -> None:
        """On another node, just before: it counts for its user, so that no other device gets it again."""
        here, there = nodes
        connection, sink = await there.attach(BOB)
        await here.send(ALICE, BOB, "hi")
        await told(sink, "hi")
        principal = await here.principal(BOB)
        there.ack(connection, 1)
        await here.users.remove_device(principal, 0, 1)
        assert sink.ended == Close.KICKED
        assert await here.view.devices(connection.user.id) == []
        _, other = await there.attach(BOB, 2)
        assert contents(other.frames) == []
