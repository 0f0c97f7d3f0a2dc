"""What the bus port promises, shown of the embedded engine (gateway/bus/base.py)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.bus.base import Hint, Note
from gateway.bus.memory import MemoryBus, MemoryHub


class Node:
    """One node's end of the bus, and what it heard."""

    def __init__(self, shared: MemoryHub | None) -> None:
        self.bus = MemoryBus(shared)
        self.heard: list[Hint] = []
        self.connects = 0
        self.noted: list[Note] = []
        self.bus.listen(self._hear, self.noted.extend, self._connected)

    def _hear(self, hints: Sequence[Hint]) -> None:
        self.heard += hints

    def _connected(self) -> None:
        self.connects += 1


@pytest.fixture
def nodes() -> list[Node]:
    shared = MemoryHub()
    return [Node(shared) for _ in range(3)]


async def test_hint_reaches_other_nodes_that_subscribed(nodes: list[Node]) -> None:
    """A published hint reaches every other node that follows its timeline."""
    for node in nodes[1:]:
        await node.bus.subscribe(7)
    nodes[0].bus.publish([Hint(7, 3)])
    assert [node.heard for node in nodes[1:]] == [[Hint(7, 3)], [Hint(7, 3)]]


async def test_publisher_does_not_hear_itself(nodes: list[Node]) -> None:
    """Hints are for the other nodes."""
    await nodes[0].bus.subscribe(7)
    nodes[0].bus.publish([Hint(7, 3)])
    assert nodes[0].heard == []


async def test_topics_not_subscribed_are_not_heard(nodes: list[Node]) -> None:
    """Of one flush a node hears its own topics only."""
    await nodes[1].bus.subscribe(7)
    nodes[0].bus.publish([Hint(6, 1), Hint(7, 3), Hint(8, 1)])
    assert nodes[1].heard == [Hint(7, 3)]


async def test_unsubscribed_topic_is_heard_no_more(nodes: list[Node]) -> None:
    """After `unsubscribe` a topic is silent."""
    await nodes[1].bus.subscribe(7)
    nodes[1].bus.unsubscribe(7)
    nodes[0].bus.publish([Hint(7, 3)])
    assert nodes[1].heard == []


async def test_unsubscribing_what_was_not_subscribed_is_harmless(nodes: list[Node]) -> None:
    """A topic may be let go that was never followed."""
    nodes[1].bus.unsubscribe(7)
    await nodes[1].bus.subscribe(7)
    nodes[0].bus.publish([Hint(7, 3)])
    assert nodes[1].heard == [Hint(7, 3)]


async def test_every_hint_comes_at_most_once(nodes: list[Node]) -> None:
    """Subscribing twice does not make a hint come twice."""
    for _ in range(2):
        await nodes[1].bus.subscribe(7)
    nodes[0].bus.publish([Hint(7, 3)])
    assert nodes[1].heard == [Hint(7, 3)]


async def test_connect_is_reported(nodes: list[Node]) -> None:
    """Every connect is reported; memory connects once."""
    assert [node.connects for node in nodes] == [1, 1, 1]


async def test_closed_node_hears_nothing(nodes: list[Node]) -> None:
    """Who has left is not told, and the others are."""
    for node in nodes[1:]:
        await node.bus.subscribe(7)
    await nodes[1].bus.close()
    nodes[0].bus.publish([Hint(7, 3)])
    assert [node.heard for node in nodes[1:]] == [[], [Hint(7, 3)]]


async def test_publishing_nothing_tells_nobody(nodes: list[Node]) -> None:
    """An empty flush calls nobody."""
    await nodes[1].bus.subscribe(7)
    nodes[0].bus.publish([])
    assert nodes[1].heard == []


async def test_publishing_before_anybody_listens_is_harmless() -> None:
    """`publish` never raises, whoever is there."""
    shared = MemoryHub()
    silent = MemoryBus(shared)
    await silent.subscribe(7)
    node = Node(shared)
    node.bus.publish([Hint(7, 3)])
    assert node.heard == []


async def test_buses_of_their_own_do_not_hear_each_other() -> None:
    """Without a shared hub a node is alone."""
    nodes = [Node(None), Node(None)]
    await nodes[1].bus.subscribe(7)
    nodes[0].bus.publish([Hint(7, 3)])
    assert nodes[1].heard == []
