"""Joining, leaving, kicks and the end of groups, live and offline (design §3, Membership is told twice)."""

from __future__ import annotations

import pytest

from tests.channel.stage import ALICE, BOB, CAROL, Frame, Stage, contents, ops, seqs


async def invite(stage: Stage, group: int, *users: int) -> None:
    body = {"group_id": group, "user_list": list(users)}
    await stage.call("POST", "/group/invite", ALICE, json=body)


async def end_stay(stage: Stage, how: str, group: int) -> None:
    """End Bob's stay in Alice's group."""
    match how:
        case "kicked":
            await stage.call("POST", "/group/kick", ALICE, json={"group_id": group, "user_list": [BOB]})
        case "left":
            await stage.call("POST", "/group/leave", BOB, json={"group_id": group})
        case _:
            await stage.call("POST", "/group/destroy", ALICE, json={"group_id": group})


def actions(frames: list[Frame], timeline: str) -> list[str]:
    return [frame["action"] for frame in frames if frame["op"] == "group" and frame["timeline"] == timeline]


async def test_creation_is_told_live_in_both_timelines(stage: Stage) -> None:
    """Whoever is put into a new group hears `joined` in the own timeline, and then the group's."""
    peer = await stage.live(BOB)
    group = await stage.group(ALICE, BOB)
    told = await peer.until("group", timeline=f"g:{group}")
    own = {"op": "group", "timeline": "user", "seq": 1, "action": "joined", "group_id": group}
    assert told[0] == own | {"user_ids": [BOB], "from_seq": 1}
    assert (told[1]["seq"], sorted(told[1]["user_ids"])) == (1, [ALICE, BOB])


async def test_group_message_is_live_after_joining(stage: Stage) -> None:
    """What is sent after the join arrives, also what was sent before the following had begun."""
    peer = await stage.live(BOB)
    group = await stage.group(ALICE)
    await invite(stage, group, BOB)
    await stage.send(ALICE, group, "now", scope=2)
    frames = await peer.until("message")
    assert contents(frames) == ["now"]
    assert seqs(frames, f"g:{group}") == [2, 3]


async def test_history_before_the_join_is_not_owed(stage: Stage) -> None:
    """A new member starts at the entry of its join."""
    group = await stage.group(ALICE)
    await stage.send_many(ALICE, group, 3, scope=2)
    await invite(stage, group, BOB)
    frames = await (await stage.connect(BOB)).until("live")
    assert contents(frames) == []
    assert seqs(frames, f"g:{group}") == [5]


async def test_group_message_is_one_entry_for_all(stage: Stage) -> None:
    """Every member's device gets the same frame, the sender's too."""
    group = await stage.group(ALICE, BOB, CAROL)
    peers = [await stage.live(uid) for uid in (ALICE, BOB, CAROL)]
    await stage.send(ALICE, group, "all", scope=2)
    frames = [await peer.hear() for peer in peers]
    assert frames[0] == frames[1] == frames[2]
    assert frames[0]["message"]["conversation_id"] == group


@pytest.mark.parametrize("how", ["kicked", "left", "destroyed"])
async def test_end_of_a_stay_is_told_live(stage: Stage, how: str) -> None:
    """The device hears the end in one timeline or both, and nothing of the group after it."""
    group = await stage.group(ALICE, BOB, CAROL)
    peer = await stage.live(BOB)
    await end_stay(stage, how, group)
    if how != "destroyed":
        await stage.send(ALICE, group, "later", scope=2)
    frames = await peer.so_far()
    assert how in actions(frames, "user") + actions(frames, f"g:{group}")
    assert contents(frames) == []


@pytest.mark.parametrize("how", ["kicked", "left", "destroyed"])
async def test_own_timeline_tells_the_end(stage: Stage, how: str) -> None:
    """The entry in the own timeline comes, whatever the group's timeline told."""
    group = await stage.group(ALICE, BOB)
    peer = await stage.live(BOB)
    await end_stay(stage, how, group)
    assert actions(await peer.so_far(), "user") == [how]


@pytest.mark.parametrize("how", ["kicked", "left", "destroyed"])
async def test_end_of_a_stay_while_away(stage: Stage, how: str) -> None:
    """A device that was away hears the end in the user's timeline, and follows the group no more."""
    group = await stage.group(ALICE, BOB)
    await stage.send(ALICE, group, "unsent", scope=2)
    await end_stay(stage, how, group)
    peer = await stage.connect(BOB)
    frames = await peer.until("live")
    assert actions(frames, "user") == ["joined", how]
    assert list(peer.welcome["cursors"]) == ["user"]


async def test_others_hear_of_a_kick_and_stay(stage: Stage) -> None:
    """The other members hear of a kick in the group's timeline, and go on."""
    group = await stage.group(ALICE, BOB, CAROL)
    peer = await stage.live(CAROL)
    await end_stay(stage, "kicked", group)
    await stage.send(ALICE, group, "on", scope=2)
    frames = await peer.so_far()
    assert actions(frames, f"g:{group}") == ["kicked"]
    assert contents(frames) == ["on"]


async def test_kicked_and_invited_again_follows_again(stage: Stage) -> None:
    """A second stay starts at its own join; what was sent between the stays never comes."""
    group = await stage.group(ALICE, BOB)
    peer = await stage.live(BOB)
    await end_stay(stage, "kicked", group)
    await stage.send(ALICE, group, "between", scope=2)
    await invite(stage, group, BOB)
    await stage.send(ALICE, group, "after", scope=2)
    frames = await peer.until("message")
    assert contents(frames) == ["after"]
    assert seqs(frames, f"g:{group}")[-2:] == [4, 5]


async def test_second_stay_while_away(stage: Stage) -> None:
    """A kept device whose cursor is of the first stay starts at the second."""
    group = await stage.group(ALICE, BOB)
    peer = await stage.live(BOB)
    await peer.ack(1, f"g:{group}")
    await peer.ack(1)
    await peer.so_far()
    await peer.close()
    await stage.acked()
    await stage.send(ALICE, group, "first stay", scope=2)
    await end_stay(stage, "kicked", group)
    await stage.send(ALICE, group, "between", scope=2)
    await invite(stage, group, BOB)
    await stage.send(ALICE, group, "after", scope=2)
    frames = await (await stage.connect(BOB)).until("live")
    assert contents(frames) == ["after"]


async def test_kept_device_joins_a_group_while_away(stage: Stage) -> None:
    """A kept device without a cursor for a group starts at its stay."""
    peer = await stage.hello(BOB, cursors={"user": 0})
    await peer.close()
    group = await stage.group(ALICE, BOB)
    await stage.send(ALICE, group, "hi", scope=2)
    assert contents(await (await stage.connect(BOB)).until("live")) == ["hi"]


async def test_ack_of_a_group_left_is_ignored(stage: Stage) -> None:
    """An ack that comes after the end of the stay does no harm."""
    group = await stage.group(ALICE, BOB)
    peer = await stage.live(BOB)
    await end_stay(stage, "kicked", group)
    await peer.until("group", action="kicked")
    await peer.ack(1, f"g:{group}")
    assert "bye" not in ops(await peer.so_far())


async def test_leaver_acks_its_last_entry_nowhere(stage: Stage) -> None:
    """Nothing of the group's timeline is followed after the group is destroyed: the hub forgets it."""
    group = await stage.group(ALICE, BOB)
    peer = await stage.live(BOB)
    await end_stay(stage, "destroyed", group)
    await peer.so_far()
    assert [topic.name for topic in stage.hub._topics.values()] == ["user"]


async def test_device_that_missed_its_whole_stay_hears_of_it(stage: Stage) -> None:
    """A stay that began and ended while the device was away is two entries, in order."""
    peer = await stage.hello(BOB, cursors={"user": 0})
    await peer.close()
    group = await stage.group(ALICE, BOB)
    await end_stay(stage, "left", group)
    await invite(stage, group, BOB)
    frames = await (await stage.connect(BOB)).until("live")
    assert actions(frames, "user") == ["joined", "left", "joined"]
