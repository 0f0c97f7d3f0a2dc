"""What the bus port promises, shown of every engine (gateway/bus/base.py)."""

from __future__ import annotations

import asyncio

import pytest

from gateway.bus.base import (
    EVERYBODY,
    Forget,
    ForgetGroup,
    Hint,
    Note,
    PutOut,
    Shut,
    Tell,
    TellFollowers,
    TheyAreIn,
    WhoIsIn,
)
from gateway.domain.model import (
    Action,
    Ctype,
    Deleted,
    Entry,
    EntryKind,
    Membership,
    Message,
    Recalled,
    Scope,
)
from tests.bus.conftest import Attach
from tests.bus.nodes import Node
from tests.patience import LATE_S

MESSAGE = Message(
    msg_id=9,
    scope=Scope.GROUP,
    sender_xid=1,
    sender_sn=2,
    target_xid=3,
    ctype=Ctype.TEXT,
    content="olá",
    attachment="",
    config="",
    ext='{"a":1}',
    at=1_700_000_000_000,
    seq=4,
)
ENTRIES = (
    Entry(seq=1, kind=EntryKind.MESSAGE, message=MESSAGE),
    Entry(seq=2, kind=EntryKind.RECALLED, recalled=Recalled(conversation_xid=3, msg_id=9)),
    Entry(
        seq=3,
        kind=EntryKind.MEMBERSHIP,
        membership=Membership(action=Action.JOINED, group_id=5, group_xid=3, user_xids=(1, 2), from_seq=3),
    ),
    Entry(seq=4, kind=EntryKind.DELETED, deleted=Deleted(conversation_xid=3, msg_id=9)),
)


async def test_hint_reaches_other_nodes_that_subscribed(nodes: list[Node]) -> None:
    """A published hint reaches every other node that follows its timeline."""
    for node in nodes[1:]:
        await node.bus.subscribe(7)
    nodes[0].bus.publish([Hint(7, 3)])
    await nodes[0].fence(*nodes[1:])
    assert [node.heard for node in nodes[1:]] == [[Hint(7, 3)], [Hint(7, 3)]]


async def test_publisher_does_not_hear_itself(nodes: list[Node]) -> None:
    """Hints and notes are for the other nodes."""
    await nodes[0].bus.subscribe(7)
    nodes[0].bus.publish([Hint(7, 3)], [Forget(app_id="demo", app=1)])
    await nodes[0].fence(nodes[1])
    await nodes[1].fence(nodes[0])
    assert (nodes[0].heard, nodes[0].noted) == ([], [])


async def test_topics_not_subscribed_are_not_heard(nodes: list[Node]) -> None:
    """Of one flush a node hears its own topics only, also where others share their partition."""
    await nodes[1].bus.subscribe(7)
    tells = [Tell(user_id=user_id, op="x", members={}) for user_id in (7, 7 + 16, 8)]
    nodes[0].bus.publish([Hint(6, 1), Hint(7, 3), Hint(7 + 16, 4), Hint(8, 1)], tells)
    await nodes[0].fence(nodes[1])
    assert (nodes[1].heard, nodes[1].noted) == ([Hint(7, 3)], tells[:1])


async def test_unsubscribed_topic_is_heard_no_more(nodes: list[Node]) -> None:
    """After `unsubscribe` a topic is silent."""
    await nodes[1].bus.subscribe(7)
    nodes[1].bus.unsubscribe(7)
    nodes[0].bus.publish([Hint(7, 3)])
    await nodes[0].fence(nodes[1])
    assert nodes[1].heard == []


async def test_topic_subscribed_again_is_heard(nodes: list[Node]) -> None:
    """Who lets a topic go and takes it back at once hears it."""
    await nodes[1].bus.subscribe(7)
    nodes[1].bus.unsubscribe(7)
    await nodes[1].bus.subscribe(7)
    nodes[0].bus.publish([Hint(7, 3)])
    await nodes[0].fence(nodes[1])
    assert nodes[1].heard == [Hint(7, 3)]


async def test_unsubscribing_leaves_other_topics(nodes: list[Node]) -> None:
    """A topic let go does not silence others, of whatever partition."""
    await asyncio.gather(*(nodes[1].bus.subscribe(topic) for topic in (7, 7 + 16, 8)))
    nodes[1].bus.unsubscribe(7)
    nodes[0].bus.publish([Hint(7, 3), Hint(7 + 16, 4), Hint(8, 5)])
    await nodes[0].fence(nodes[1])
    assert sorted(hint.head for hint in nodes[1].heard) == [4, 5]


async def test_unsubscribing_what_was_not_subscribed_is_harmless(nodes: list[Node]) -> None:
    """A topic may be let go that was never followed."""
    nodes[1].bus.unsubscribe(7)
    await nodes[1].bus.subscribe(7)
    nodes[0].bus.publish([Hint(7, 3)])
    await nodes[0].fence(nodes[1])
    assert nodes[1].heard == [Hint(7, 3)]


async def test_every_hint_comes_at_most_once(nodes: list[Node]) -> None:
    """Subscribing twice does not make a hint come twice."""
    for _ in range(2):
        await nodes[1].bus.subscribe(7)
    nodes[0].bus.publish([Hint(7, 3)])
    await nodes[0].fence(nodes[1])
    assert nodes[1].heard == [Hint(7, 3)]


async def test_many_timelines_may_be_followed_at_once(nodes: list[Node]) -> None:
    """A crowd that comes at once hears all of its timelines."""
    topics = range(1, 1001)
    await asyncio.gather(*(nodes[1].bus.subscribe(topic) for topic in topics))
    nodes[0].bus.publish([Hint(topic, topic) for topic in topics])
    await nodes[0].fence(nodes[1])
    assert sorted(hint.head for hint in nodes[1].heard) == list(topics)


@pytest.mark.parametrize(
    "note",
    [
        Tell(user_id=7, op="signal", members={"type": "typing", "n": [1, {"a": None}]}, but=3),
        TellFollowers(timeline_id=7, op="message", members={"message": {"content": "hi"}}),
        Shut(user_id=7, device_sn=1, code=4500, reason="kicked", below=9),
        PutOut(room_id=7, room_xid=70, user_xids=(1, 2)),
        Forget(app_id="demo", app=1, xid=5),
        ForgetGroup(app=1, group_xid=5),
        WhoIsIn(question=1, room_id=7, after_xid=0, limit=100),
        TheyAreIn(question=1, members=((1, 1_700_000_000_000), (2, 0)), more=True),
    ],
    ids=lambda note: type(note).__name__,
)
async def test_notes_reach_who_hears_their_topic(nodes: list[Node], note: Note) -> None:
    """A note comes as it was, to those who follow its topic; some topics everybody hears."""
    await nodes[1].bus.subscribe(7)
    nodes[0].bus.publish([], [note])
    await nodes[0].fence(*nodes[1:])
    assert nodes[1].noted == [note]
    assert nodes[2].noted == ([note] if note.topic == EVERYBODY else [])


async def test_entries_come_with_their_hint(nodes: list[Node]) -> None:
    """Entries of every kind come as they were."""
    await nodes[1].bus.subscribe(7)
    nodes[0].bus.publish([Hint(7, 4, ENTRIES)])
    await nodes[0].fence(nodes[1])
    assert nodes[1].heard == [Hint(7, 4, ENTRIES)]


async def test_flushes_of_one_node_come_in_order(nodes: list[Node]) -> None:
    """What one node says of one timeline is heard in the order it was said, all of it, joined or not."""
    await nodes[1].bus.subscribe(7)
    entries = [Entry(seq=seq, kind=EntryKind.MESSAGE, message=MESSAGE) for seq in range(1, 101)]
    for entry in entries:
        nodes[0].bus.publish([Hint(7, entry.seq, (entry,))])
    await nodes[0].fence(nodes[1])
    assert [entry for hint in nodes[1].heard for entry in hint.entries] == entries


async def test_connect_is_reported(nodes: list[Node]) -> None:
    """Every connect is reported; where nothing fails there is one."""
    assert [node.connects for node in nodes] == [1, 1, 1]
    assert [node.bus.connected for node in nodes] == [True, True, True]


async def test_who_has_company_is_not_alone(nodes: list[Node]) -> None:
    """A node that may have peers says what it has to say."""
    assert not nodes[0].bus.alone


async def test_closed_node_hears_nothing(nodes: list[Node]) -> None:
    """Who has left is not told, and the others are."""
    for node in nodes[1:]:
        await node.bus.subscribe(7)
    await nodes[1].bus.close()
    nodes[0].bus.publish([Hint(7, 3)])
    await nodes[0].fence(nodes[2])
    assert [node.heard for node in nodes[1:]] == [[], [Hint(7, 3)]]


async def test_closing_sends_what_waits(attach: Attach, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last words of a node that leaves are heard."""
    # A busy server may take longer than a node waits for it.
    monkeypatch.setattr("gateway.bus.redis._CLOSE_S", LATE_S)
    leaving, staying = Node(attach("a")), Node(attach("a"))
    for node in (leaving, staying):
        await node.begin()
    await staying.bus.subscribe(7)
    leaving.bus.publish([Hint(7, 3)])
    await leaving.bus.close()
    await staying.until(lambda: staying.heard == [Hint(7, 3)])
    await staying.bus.close()


async def test_publishing_nothing_tells_nobody(nodes: list[Node]) -> None:
    """An empty flush calls nobody."""
    await nodes[1].bus.subscribe(7)
    nodes[0].bus.publish([])
    await nodes[0].fence(nodes[1])
    assert nodes[1].heard == []


async def test_publishing_before_anybody_listens_is_harmless(attach: Attach) -> None:
    """`publish` never raises, whoever is there, and whether or not the bus was started."""
    silent, node = attach("a"), Node(attach("a"))
    await silent.subscribe(7)
    node.bus.publish([Hint(7, 3)])
    for bus in (silent, node.bus):
        await bus.start()
    node.bus.publish([Hint(7, 4)])
    assert node.heard == []
    for bus in (silent, node.bus):
        await bus.close()


async def test_gateways_do_not_hear_each_other(attach: Attach) -> None:
    """Nodes of two gateways share a server and nothing else."""
    nodes = [Node(attach("a")), Node(attach("b")), Node(attach("a"))]
    for node in nodes:
        await node.begin()
        await node.bus.subscribe(7)
    nodes[1].bus.publish([Hint(7, 5)], [Forget(app_id="demo", app=1)])
    nodes[0].bus.publish([Hint(7, 3)])
    await nodes[0].fence(nodes[2])
    await nodes[2].fence(nodes[0])
    assert [(node.heard, node.noted) for node in nodes] == [([], []), ([], []), ([Hint(7, 3)], [])]
    for node in nodes:
        await node.bus.close()
