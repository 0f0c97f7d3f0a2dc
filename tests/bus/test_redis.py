"""The bus over Redis when things go wrong: killed, paused, half-open, slow, full of garbage."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
from redis import Redis

from gateway.bus.base import Forget, Hint, Tell
from gateway.bus.options import BusOptions
from gateway.bus.redis import RedisBus
from gateway.bus.waiting import Channels
from gateway.domain.limits import Limits
from gateway.domain.model import Deleted, Entry, EntryKind
from scripts.loadlib.services import free_port
from tests.bus.nodes import PATIENT, Node, until
from tests.bus.proxy import Proxy
from tests.patience import LATE_S, WAIT_S
from tests.valkey import Valkey

HASTY: dict[str, Any] = {"beat_ms": 200, "connect_timeout_ms": 1000}
"""Times of a bus that soon finds out that nothing comes back."""


class RedisNode(Node):
    """A node whose bus is Redis."""

    def __init__(self, url: str, limits: Limits | None = None, **options: Any) -> None:
        self.redis = RedisBus(
            BusOptions(url=url, retry_ms_max=100, **{**PATIENT, **options}),
            limits or Limits(),
            random.Random(),
        )
        super().__init__(self.redis)


@pytest.fixture
def server() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture
async def pair(server: Valkey) -> AsyncIterator[list[RedisNode]]:
    nodes = [RedisNode(server.url) for _ in range(2)]
    for node in nodes:
        await node.begin()
    yield nodes
    for node in nodes:
        await node.bus.close()


async def test_making_a_bus_does_no_io() -> None:
    """Where nobody listens a bus can be made and closed, and takes what is published."""
    node = RedisNode(f"redis://127.0.0.1:{free_port()}")
    node.bus.publish([Hint(7, 1)])
    await node.bus.subscribe(7)
    node.bus.unsubscribe(7)
    assert not node.bus.connected
    await node.bus.close()


async def test_dead_server_keeps_no_node_from_starting(caplog: pytest.LogCaptureFixture) -> None:
    """`start` returns, subscribing does not wait, and when the server comes the bus is there without being asked."""
    server = Valkey()
    node = RedisNode(f"redis://:secret@127.0.0.1:{server.port}")
    with caplog.at_level(logging.INFO, "gateway"):
        await node.bus.start()
        await node.bus.subscribe(7)
        assert not node.bus.connected
        await asyncio.to_thread(server.start)
        server.ask("CONFIG", "SET", "requirepass", "secret")
        await node.until(lambda: node.bus.connected)
    assert node.connects == 1
    await node.bus.close()
    server.close()
    away, back = [record.getMessage() for record in caplog.records]
    assert away.startswith(f"the bus redis://127.0.0.1:{server.port} is away: ")
    assert back == f"the bus redis://127.0.0.1:{server.port} is back"
    assert "secret" not in caplog.text


async def test_bus_survives_its_server(
    pair: list[RedisNode], server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """A server killed and started again is a reconnect, told to the node and once to the log; topics are kept."""
    await pair[1].bus.subscribe(7)
    with caplog.at_level(logging.INFO, "gateway"):
        server.kill()
        for node in pair:
            await until(lambda bus=node.bus: not bus.connected)  # type: ignore[misc]
        await pair[1].bus.subscribe(8)
        await asyncio.to_thread(server.start)
        for node in pair:
            await node.until(lambda node=node: node.connects == 2)  # type: ignore[misc]
    pair[0].bus.publish([Hint(7, 3), Hint(8, 4)])
    await pair[0].fence(pair[1])
    assert {Hint(7, 3), Hint(8, 4)} <= set(pair[1].heard)
    assert [record.getMessage().split()[-1] == "back" for record in caplog.records].count(True) == 2
    assert len(caplog.records) == 4


async def test_heads_published_while_away_are_told_afterwards(server: Valkey) -> None:
    """A node cut off alone tells the others afterwards how far timelines have grown, without entries or notes."""
    entry = Entry(seq=3, kind=EntryKind.DELETED, deleted=Deleted(conversation_xid=1, msg_id=1))
    listener = RedisNode(server.url)
    await listener.begin()
    await listener.bus.subscribe(7)
    async with Proxy(server.port) as proxy:
        speaker = RedisNode(f"redis://127.0.0.1:{proxy.port}")
        await speaker.begin()
        proxy.swallowing = True
        proxy.cut()
        await until(lambda: not speaker.bus.connected)
        speaker.bus.publish([Hint(7, 3, (entry,))], [Tell(user_id=7, op="x", members={})])
        proxy.swallowing = False
        # Also a connection that was made meanwhile, over which nothing was heard.
        proxy.cut()
        await listener.until(lambda: listener.heard == [Hint(7, 3)])
        await speaker.until(lambda: speaker.bus.connected)
        await speaker.fence(listener)
        await speaker.bus.close()
    assert (listener.noted, listener.connects) == ([], 1)
    assert speaker.redis.counts.notes_dropped == 1
    await listener.bus.close()


async def test_what_a_dying_link_had_taken_is_told_as_heads(server: Valkey) -> None:
    """Hints that may have got out or not, and those behind them, are told again bare; their notes are not."""
    entry = Entry(seq=1, kind=EntryKind.DELETED, deleted=Deleted(conversation_xid=1, msg_id=1))
    listener = RedisNode(server.url)
    await listener.begin()
    for topic in (7, 8):
        await listener.bus.subscribe(topic)
    async with Proxy(server.port) as proxy:
        speaker = RedisNode(f"redis://127.0.0.1:{proxy.port}")
        await speaker.begin()
        # No beat is under way when the first of the two goes.
        await speaker.redis._link.said()  # type: ignore[union-attr]
        proxy.swallowing = True
        for topic in (7, 8):
            taken = speaker.redis.counts.payloads_published
            speaker.bus.publish([Hint(topic, 1, (entry,))], [Tell(user_id=topic, op="x", members={})])
            if topic == 7:
                await until(lambda taken=taken: speaker.redis.counts.payloads_published > taken)  # type: ignore[misc]
        assert speaker.bus.connected
        proxy.swallowing = False
        proxy.cut()
        await listener.until(lambda: len(listener.heard) == 2)
        await speaker.until(lambda: speaker.bus.connected)
        await speaker.fence(listener)
        await speaker.bus.close()
    assert sorted(listener.heard, key=lambda hint: hint.timeline_id) == [Hint(7, 1), Hint(8, 1)]
    assert listener.noted == []
    await listener.bus.close()


async def test_paused_server_is_noticed(server: Valkey) -> None:
    """A server that holds its connections and says nothing misses the beat; when it goes on so does the bus."""
    pair = [RedisNode(server.url, **HASTY) for _ in range(2)]
    for node in pair:
        await node.begin()
    server.pause()
    try:
        for node in pair:
            await until(lambda bus=node.bus: not bus.connected)  # type: ignore[misc]
        await asyncio.wait_for(pair[1].bus.subscribe(7), WAIT_S)
    finally:
        server.resume()
    for node in pair:
        await node.until(lambda node=node: node.bus.connected)  # type: ignore[misc]
        assert node.connects == node.redis.counts.connects >= 2
        assert node.redis.counts.beats_missed
        await node.bus.close()


async def test_half_open_connection_is_noticed(server: Valkey) -> None:
    """A connection over which nothing comes any more, and that nobody has closed, is given up."""
    async with Proxy(server.port) as proxy:
        node = RedisNode(f"redis://127.0.0.1:{proxy.port}", **HASTY)
        await node.begin()
        assert node.bus.connected
        proxy.swallowing = True
        await until(lambda: not node.bus.connected)
        proxy.swallowing = False
        await node.until(lambda: node.connects == 2)
        await node.bus.close()


async def test_cut_connections_are_made_again(server: Valkey) -> None:
    """A connection that ends is made again, and the node is told."""
    async with Proxy(server.port) as proxy:
        node = RedisNode(f"redis://127.0.0.1:{proxy.port}")
        await node.begin()
        for connects in (2, 3):
            proxy.cut()
            await node.until(lambda connects=connects: node.connects == connects)  # type: ignore[misc]
        await node.bus.close()


async def test_subscribing_while_the_link_dies_returns(server: Valkey) -> None:
    """Who waits for a confirmation that cannot come any more waits no longer than the link lives."""
    async with Proxy(server.port) as proxy:
        node = RedisNode(f"redis://127.0.0.1:{proxy.port}", **HASTY)
        await node.begin()
        proxy.swallowing = True
        await asyncio.wait_for(node.bus.subscribe(7), WAIT_S)
        assert not node.bus.connected
        await node.bus.close()


async def test_node_that_cannot_keep_up_is_cut_off_and_returns(server: Valkey) -> None:
    """A server that closes a connection whose output has piled up costs the bus a reconnect, and no more."""
    server.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 200000 0 0")

    def cut_off() -> bool:
        return bool(server.ask("INFO", "stats")["client_output_buffer_limit_disconnections"])

    speaker = RedisNode(server.url)
    await speaker.begin()
    async with Proxy(server.port, room_bytes=1 << 16) as proxy:
        slow = RedisNode(f"redis://127.0.0.1:{proxy.port}")
        await slow.begin()
        await slow.bus.subscribe(7)
        proxy.reading.clear()
        said = 0
        # How much the kernel holds before the server must is the kernel's affair. What is larger, some servers do not
        # count as output as long as others are sent it too.
        while not cut_off() and said < 20_000:
            for _ in range(100):
                speaker.bus.publish([], [Tell(user_id=7, op="x", members={"n": said, "a": "x" * 10_000})])
                await speaker.redis._link.said()  # type: ignore[union-attr]
                said += 1
        assert speaker.redis.counts.notes_published == said
        proxy.reading.set()
        await slow.until(lambda: slow.connects == 2)
        assert slow.redis.counts.beats_missed == 0
        await slow.bus.close()
    await speaker.bus.close()


async def test_crowd_of_subscribers_shares_commands(pair: list[RedisNode]) -> None:
    """Many timelines at once are one SUBSCRIBE of as many partitions as there are, and none when followed already."""
    before = pair[1].redis.counts.commands
    beats = pair[1].redis.counts.payloads_published
    await asyncio.gather(*(pair[1].bus.subscribe(topic) for topic in range(1, 1001)))
    await asyncio.gather(*(pair[1].bus.subscribe(topic) for topic in range(1001, 2001)))
    counts = pair[1].redis.counts
    assert counts.commands - before - (counts.payloads_published - beats) == 1


async def test_last_follower_of_a_partition_lets_it_go(pair: list[RedisNode], server: Valkey) -> None:
    """The server keeps no subscription that nobody on the node wants."""
    channel = Channels(pair[1].redis._options, 0).of(7)

    def subscribers() -> int:
        return int(server.ask("PUBSUB", "NUMSUB", channel)[1])

    for topic in (7, 7 + 8):
        await pair[1].bus.subscribe(topic)
    pair[1].bus.unsubscribe(7)
    await pair[1].bus.subscribe(8)
    assert subscribers() == 1
    pair[1].bus.unsubscribe(7 + 8)
    await until(lambda: subscribers() == 0)


async def test_publishes_merge_while_one_is_under_way(pair: list[RedisNode]) -> None:
    """However many flushes come at once, they are a command per partition."""
    before = pair[0].redis.counts.payloads_published
    await asyncio.gather(*(pair[1].bus.subscribe(topic) for topic in range(1, 101)))
    for head in range(1, 51):
        pair[0].bus.publish([Hint(topic, head) for topic in range(1, 101)])
    await pair[1].until(lambda: len(pair[1].heard) >= 100)
    assert {hint.head for hint in pair[1].heard} == {50}
    assert pair[0].redis.counts.payloads_published - before <= 8


async def test_garbage_is_counted_and_dropped(
    pair: list[RedisNode], server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody of us has published is counted, said to the log once in a while, and disturbs nothing."""
    everybody = Channels(pair[1].redis._options, 0).everybody
    with Redis(host="127.0.0.1", port=server.port) as stranger:
        for garbage in (b"", b"hello", b"\xc1", b"\x93\x01\x02\x91\x07", b"\xa1\xff", b"\x91" * 100_000):
            stranger.publish(everybody, garbage)
        stranger.publish(pair[1].redis._channels.beat, b"no beat")
    # The first of the two hears it as well, and by itself.
    await pair[0].fence(pair[1])
    await pair[1].fence(pair[0])
    assert pair[1].redis.counts.refused == 6
    assert pair[1].connects == 1
    assert sum("of no use" in record.getMessage() for record in caplog.records) == len(pair)


async def test_two_gateways_that_share_a_prefix_do_not_hear_each_other(
    server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """Nodes of two stores by one Redis, as by a forgotten setting: nobody gets what is another's; the log says why."""
    ours, theirs, ours_too = (RedisNode(server.url) for _ in range(3))
    for node, epoch in ((ours, "ours"), (theirs, "theirs"), (ours_too, "ours")):
        node.listen(partial(str, epoch))
        await node.begin()
        await node.bus.subscribe(7)
    theirs.bus.publish([Hint(7, 3)], [Forget(app_id="demo", app=1)])
    ours.bus.publish([Hint(7, 1)])
    await ours.fence(ours_too)
    await until(lambda: ours_too.redis.counts.refused == 2)
    assert (ours_too.heard, ours_too.noted) == ([Hint(7, 1)], [])
    assert (theirs.heard, theirs.noted) == ([], [])
    assert "a [bus] prefix of its own" in caplog.text
    for node in (ours, theirs, ours_too):
        await node.bus.close()


async def test_handler_that_fails_disturbs_nobody(
    pair: list[RedisNode], caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of who hears is logged; the bus goes on with the next."""
    heard: list[Hint] = []

    def fail(hints: object) -> None:
        if not heard:
            heard.append(Hint(0, 0))
            raise ZeroDivisionError

    pair[1].bus.listen(fail, pair[1]._note, pair[1]._connected)
    await pair[1].bus.subscribe(7)
    pair[0].bus.publish([Hint(7, 3)])
    await pair[0].fence(pair[1])
    assert heard
    assert pair[1].connects == 1
    assert "could not be taken in" in caplog.text


async def test_slow_handler_leaves_others_their_turn(pair: list[RedisNode]) -> None:
    """Many hints are handed on in bounded pieces, between which the loop goes on."""
    loop = asyncio.get_running_loop()
    turns = 0
    pieces: list[int] = []

    def tick() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(tick)

    def slow(hints: list[Hint]) -> None:
        pieces.append(len(hints))
        until_then = loop.time() + 0.006
        while loop.time() < until_then:
            pass
        seen.append(turns)

    seen: list[int] = []
    pair[1].bus.listen(slow, pair[1]._note, pair[1]._connected)  # type: ignore[arg-type]
    await asyncio.gather(*(pair[1].bus.subscribe(topic) for topic in range(1, 1001)))
    tick()
    pair[0].bus.publish([Hint(topic, 1) for topic in range(1, 1001)])
    await pair[0].fence(pair[1])
    assert sum(pieces) == 1000
    assert max(pieces) <= 64
    assert len(set(seen)) == len(seen)


async def test_closing_while_away_takes_no_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node leaves at once where nobody is there to be told."""
    monkeypatch.setattr("gateway.bus.redis._CLOSE_S", 3600)
    node = RedisNode(f"redis://127.0.0.1:{free_port()}")
    await node.bus.start()
    node.bus.publish([Hint(7, 1)], [Forget(app_id="a", app=1)])
    async with asyncio.timeout(WAIT_S):
        await node.bus.close()


async def test_closing_waits_for_what_is_under_way(server: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits until the server has answered what was said before is said too."""
    monkeypatch.setattr("gateway.bus.redis._CLOSE_S", LATE_S)
    leaving, staying = RedisNode(server.url), RedisNode(server.url)
    for node in (leaving, staying):
        await node.begin()
    await staying.bus.subscribe(7)
    server.pause()
    try:
        taken = leaving.redis.counts.payloads_published
        leaving.bus.publish([Hint(7, 3)])
        await until(lambda: leaving.redis.counts.payloads_published > taken)
        leaving.bus.publish([Hint(7, 4)])
        closing = asyncio.create_task(leaving.bus.close())
        await asyncio.sleep(0)
    finally:
        server.resume()
    await closing
    await staying.until(lambda: staying.heard == [Hint(7, 3), Hint(7, 4)])
    await staying.bus.close()


async def test_closing_waits_for_no_server_that_says_nothing(
    server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node leaves after its second, though what it has said last may not have been heard."""
    monkeypatch.setattr("gateway.bus.redis._CLOSE_S", 0.05)
    node = RedisNode(server.url)
    await node.begin()
    server.pause()
    try:
        node.bus.publish([Hint(7, 1)])
        async with asyncio.timeout(WAIT_S):
            await node.bus.close()
    finally:
        server.resume()
