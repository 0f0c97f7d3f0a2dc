"""Devices and what retention has removed: old cursors, slow ones, new ones; and messages whose time has come."""

from __future__ import annotations

from typing import Any

import pytest

from tests.channel.conftest import Start
from tests.channel.stage import ALICE, BOB, Frame, Stage, ops

FAR = 10**15
"""A time after all messages."""


@pytest.fixture
async def kept(start: Start) -> Stage:
    """A gateway that removes what is due when a test says so, and not by itself."""
    return await start(expiry_sweep_ms=3_600_000)


async def forget(stage: Stage, most: int = 1000) -> None:
    """Let retention remove the oldest messages."""
    left = most
    while left and (page := await stage.near.store.sweep(FAR, min(left, 100))).removed:
        left -= page.removed


def gap(last: int, timeline: str = "user", first: int = 1) -> Frame:
    return {"op": "gap", "timeline": timeline, "from": first, "to": last, "reason": "retention"}


def seqs(frames: list[Frame]) -> list[int]:
    return [frame["seq"] for frame in frames if frame["op"] == "message"]


async def test_a_device_with_an_old_cursor(stage: Stage) -> None:
    """It is told what is no more, gets the rest, and goes on from there."""
    await stage.send_many(ALICE, BOB, 3)
    peer = await stage.live(BOB)
    await peer.ack(2)
    await peer.so_far()
    await stage.acked()
    await peer.close()
    await stage.send_many(ALICE, BOB, 5)
    await forget(stage, 6)
    peer = await stage.connect(BOB)
    frames = await peer.until("live")
    assert frames[0] == gap(6, first=3)
    assert seqs(frames) == [7, 8]
    await peer.ack(8)
    await peer.so_far()
    await stage.acked()
    await peer.close()
    assert ops(await (await stage.connect(BOB)).until("live")) == ["live"]


async def test_a_new_device(stage: Stage) -> None:
    """The first of its user hears of the gap from the start; where nothing is left, of that alone."""
    await stage.send_many(ALICE, BOB, 3)
    await forget(stage, 2)
    frames = await (await stage.connect(BOB)).until("live")
    assert (frames[0], seqs(frames)) == (gap(2), [3])
    await forget(stage)
    peer = await stage.connect(ALICE)
    frames = await peer.until("live")
    assert frames[:-1] == [gap(3)]
    await stage.send(BOB, ALICE)
    assert (await peer.hear())["seq"] == 4


async def test_a_device_that_was_there_all_along(stage: Stage) -> None:
    """It has got all, and hears nothing of it; what comes next is next."""
    peer = await stage.live(BOB)
    await stage.send_many(ALICE, BOB, 3)
    assert seqs(await peer.so_far()) == [1, 2, 3]
    await forget(stage)
    await stage.send(ALICE, BOB)
    assert seqs(await peer.so_far()) == [4]


async def test_a_replay_that_waits_for_acks(start: Start) -> None:
    """What goes while it is between two pages is a gap, and what is left comes after it."""
    stage = await start(unacked_max=4, replay_page_max=2)
    await stage.send_many(ALICE, BOB, 10)
    peer = await stage.connect(BOB)
    assert seqs(await peer.take(4)) == [1, 2, 3, 4]
    await forget(stage, 7)
    await peer.ack(4)
    frames = await peer.take(3)
    assert (frames[0], seqs(frames)) == (gap(7, first=5), [8, 9])
    await peer.ack(9)
    assert seqs(await peer.until("live")) == [10]


async def test_a_connected_device_that_lags(stage: Stage) -> None:
    """What is gone before it could read it was sent while it was here: it is sent away, and back it hears the gap."""
    raw = await stage.raw(BOB, lazy=True)
    await raw.until("live")
    connection = stage.connection(BOB)
    sent = 0
    while not connection.session.lagging:
        await stage.send(ALICE, BOB, "x" * 60_000)
        sent += 1
    written = connection.session.tracks[connection.user.id].sent
    await stage.send_many(ALICE, BOB, 3)
    await forget(stage, sent + 2)
    heard = []
    while (frame := await raw.hear())["op"] != "bye":
        heard.append(frame)
    assert seqs(heard) == list(range(1, written + 1))
    assert 4000 <= frame["code"] < 4500
    peer = await stage.hello(BOB, cursors={"user": written})
    frames = await peer.until("live")
    assert (frames[0], seqs(frames)) == (gap(sent + 2, first=written + 1), [sent + 3])


async def test_groups(stage: Stage) -> None:
    """A member with an old cursor, and one that joined after all that went."""
    group = await stage.group(ALICE, BOB)
    await stage.send_many(ALICE, group, 3, scope=2)
    await forget(stage)
    name = f"g:{group}"
    frames = await (await stage.connect(BOB)).until("live")
    assert gap(4, timeline=name, first=1) in frames
    await stage.call("POST", "/group/invite", ALICE, json={"group_id": group, "user_list": [13]})
    peer = await stage.connect(13)
    frames = await peer.until("live")
    assert not [frame for frame in frames if frame["op"] == "gap"]
    await stage.send(ALICE, group, scope=2)
    assert [frame["timeline"] for frame in await peer.until("message")] == [name]


async def test_an_expired_message_is_gone(kept: Stage) -> None:
    """Its place says so to who comes later; who is here has it, and goes on."""
    stage = kept
    here = await stage.live(ALICE)
    ids = await stage.send_many(ALICE, BOB, 3)
    assert seqs(await here.so_far()) == [1, 2, 3]
    await stage.sql("UPDATE message SET expires_at = 1 WHERE msg_id = ?", ids[1])
    assert await stage.near.retention.expire() == 1
    for uid, other in ((BOB, ALICE), (ALICE, BOB)):
        frames = await (await stage.connect(uid, 2)).until("live")
        assert ops(frames) == ["message", "gone", "message", "live"]
        assert frames[1] == {
            "op": "gone",
            "timeline": "user",
            "seq": 2,
            "conversation_id": other,
            "msg_id": ids[1],
            "reason": "expired",
        }
    await stage.send(ALICE, BOB)
    assert seqs(await here.so_far()) == [4]


async def test_expire_s_end_to_end(kept: Stage) -> None:
    """A message sent with `expire_s` is pushed, kept for its time, and then gone from entries and history."""
    stage = kept
    here = await stage.live(BOB)
    stays, gone = (
        await stage.send(ALICE, BOB, "stays", expire_s=7200),
        await stage.send(ALICE, BOB, "gone", expire_s=3600),
    )
    assert seqs(await here.so_far()) == [1, 2]
    assert await stage.near.retention.expire() == 0
    # An hour goes by, for those two alone.
    await stage.sql("UPDATE message SET expires_at = expires_at - 3600000")
    assert await stage.near.retention.expire() == 1
    frames = await (await stage.connect(BOB, 2)).until("live")
    assert [(frame["op"], frame.get("msg_id")) for frame in frames[:2]] == [("message", None), ("gone", gone)]
    page = await stage.call("GET", "/message/conversation", BOB, params={"opposite_id": str(ALICE)})
    assert [item["msg_id"] for item in page["data"]["messages"]] == [stays]


@pytest.mark.parametrize("own_s", [None, 60, 7200], ids=["no time of its own", "sooner", "later"])
async def test_live_and_replayed_frames_say_the_same_time(stage: Stage, own_s: int | None) -> None:
    """`expires_at`, also of what is folded into a text and so goes with it, at the latest."""
    here = await stage.live(BOB)
    told = await stage.send(ALICE, BOB, expire_s=3600)
    own: dict[str, Any] = {} if own_s is None else {"expire_s": own_s}
    await stage.send(ALICE, BOB, content_type=11, related_mid=told, **own)
    await stage.send(ALICE, BOB, "for good")
    live = await here.take(3)
    replayed = (await (await stage.connect(BOB, 2)).until("live"))[:-1]
    assert live == replayed
    first, folded, last = (frame["message"] for frame in live)
    assert first["expires_at"] == first["timestamp"] + 3_600_000
    ends = folded["timestamp"] + (own_s or 7200) * 1000
    assert folded["expires_at"] == min(first["expires_at"], ends)
    assert "expires_at" not in last
