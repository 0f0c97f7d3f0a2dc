"""Messages to some members of a group on the device channel, and online ones to all of it."""

from __future__ import annotations

from gateway.core.order import Order
from gateway.domain.model import Scope
from tests.channel.stage import ALICE, BOB, CAROL, Frame, Stage, contents, ops, seqs, until


async def whisper(stage: Stage, sender: int, group: int, *only: int, content: str = "psst") -> int:
    order = Order(scope=Scope.GROUP, targets=(group,), ctype=0, content=content, only=only)
    first, _ = await stage.near.core.messaging.send(await stage.principal(sender), order)
    return first


def placed(frames: list[Frame]) -> list[tuple[str, int, int]]:
    """Timeline, conversation and receiver of each message."""
    return [
        (frame["timeline"], frame["message"]["conversation_id"], frame["message"]["to_xid"]["uid"])
        for frame in frames
        if frame["op"] == "message"
    ]


async def test_it_comes_in_the_user_timeline(stage: Stage) -> None:
    """Live to its receiver and its sender, with the group's conversation id; others hear nothing."""
    group = await stage.group(ALICE, BOB, CAROL)
    alice, bob, carol = [await stage.live(uid) for uid in (ALICE, BOB, CAROL)]
    await whisper(stage, ALICE, group, BOB)
    for peer in (alice, bob):
        assert placed(await peer.take(1)) == [("user", group, group)]
    assert await carol.so_far() == []


async def test_it_is_replayed_like_it_was_told(stage: Stage) -> None:
    """A device that comes later gets the same frame, in its place."""
    group = await stage.group(ALICE, BOB)
    live = await stage.live(BOB, 1)
    await stage.send(ALICE, BOB, "before")
    await whisper(stage, ALICE, group, BOB)
    await stage.send(ALICE, BOB, "after")
    told = await live.take(3)
    later = [frame for frame in await (await stage.connect(BOB, 2)).until("live") if frame["op"] == "message"]
    assert told == later
    assert contents(later) == ["before", "psst", "after"]
    assert seqs(later) == list(range(seqs(later)[0], seqs(later)[0] + 3))


async def test_receipts_name_the_group(stage: Stage) -> None:
    """DELIVERED by the ack of the user timeline, READ by that of the group's conversation."""
    group = await stage.group(ALICE, BOB)
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    msg_id = await whisper(stage, ALICE, group, BOB)
    [told] = await bob.take(1)
    await bob.ack(told["seq"])
    receipt = (await alice.until("receipt"))[-1]
    assert (receipt["conversation_id"], receipt["msg_id"], receipt["status"]) == (group, msg_id, "DELIVERED")
    await bob.ask(op="read", ref=1, conversation_id=group, msg_id=msg_id)
    receipt = (await alice.until("receipt"))[-1]
    assert (receipt["conversation_id"], receipt["msg_id"], receipt["status"]) == (group, msg_id, "READ")


async def test_a_recall_is_told_where_it_came(stage: Stage) -> None:
    """In the user timelines of both, by the group's id."""
    group = await stage.group(ALICE, BOB)
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    msg_id = await whisper(stage, ALICE, group, BOB)
    answer = await alice.ask(op="recall", ref=1, conversation_id=group, msg_id=msg_id)
    assert answer["op"] == "ok"
    told = (await bob.until("recalled"))[-1]
    assert (told["timeline"], told["conversation_id"], told["msg_id"]) == ("user", group, msg_id)


async def test_online_ones_pass_by_who_is_behind(stage: Stage) -> None:
    """A device that has not read all of a group may not know yet that it is out of it; it gets none of them."""
    group = await stage.group(ALICE, BOB)
    bob = await stage.live(BOB)
    [track] = [track for track in stage.connection(BOB).session.tracks.values() if track.name == f"g:{group}"]
    track.settled = False
    online = {"online_only": True, "scope": 2}
    await stage.send(ALICE, group, "lost", **online)
    assert await bob.so_far() == []
    await stage.send(ALICE, group, "stored", scope=2)
    await until(lambda: track.settled, "the track being settled")
    await stage.send(ALICE, group, "heard", **online)
    frames = await bob.so_far()
    assert contents(frames) == ["stored", "heard"]
    assert ops(frames) == ["message", "message"]
    assert "timeline" not in frames[-1]
