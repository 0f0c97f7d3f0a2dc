"""From `welcome` over the replay to `live` and on: every entry once, in order (design §3, §6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.domain.errors import Kind, Problem
from gateway.domain.model import Page
from tests.channel.conftest import Start
from tests.channel.stage import ALICE, APP, BOB, CAROL, Frame, Stage, contents, ops, seqs, until


async def raise_floor(stage: Stage, uid: int, floor: int) -> None:
    """Remove the entries of a timeline up to `floor`, as retention does."""
    await stage.sql(
        "DELETE FROM entry WHERE seq <= ? AND t = (SELECT id FROM timeline WHERE xid = ?)", floor, uid
    )
    await stage.sql("UPDATE timeline SET floor = ? WHERE xid = ?", floor, uid)


async def test_welcome_says_what_a_client_needs(stage: Stage) -> None:
    """`welcome` has the members of design §6."""
    peer = await stage.connect(BOB)
    assert set(peer.welcome) == {
        "op", "uid", "device_sn", "session", "epoch", "server_time", "heartbeat_ms", "limits", "cursors"
    }  # fmt: skip
    assert peer.welcome["epoch"] == stage.gateway.store.epoch


async def test_device_with_nothing_to_get_is_live_at_once(stage: Stage) -> None:
    """The first frame after `welcome` is `live`."""
    assert (await (await stage.connect(BOB)).hear()) == {"op": "live"}


async def test_replay_is_in_order_then_live(stage: Stage) -> None:
    """Offline messages come in the order they were sent, and `live` after the last."""
    await stage.send_many(ALICE, BOB, 25)
    peer = await stage.connect(BOB)
    frames = await peer.take(26)
    assert contents(frames) == [str(number) for number in range(1, 26)]
    assert ops(frames)[-1] == "live"


async def test_live_comes_once(stage: Stage) -> None:
    """Neither live messages nor acks bring a second `live`."""
    await stage.send(ALICE, BOB)
    peer = await stage.live(BOB)
    await peer.ack(1)
    await stage.send(ALICE, BOB)
    assert ops(await peer.so_far()) == ["message"]


async def test_live_waits_for_every_timeline(start: Start) -> None:
    """A group that cannot go on without acks holds `live` back."""
    stage = await start(unacked_max=4, replay_page_max=2)
    group = await stage.group(ALICE, BOB)
    await stage.send_many(ALICE, group, 8, scope=2)
    peer = await stage.connect(BOB)
    frames = await peer.take(5)
    assert ops(await peer.so_far()) == []
    assert seqs(frames, f"g:{group}") == [1, 2, 3, 4]
    await peer.ack(4, f"g:{group}")
    assert seqs(await peer.take(4), f"g:{group}") == [5, 6, 7, 8]
    await peer.ack(8, f"g:{group}")
    assert ops(await peer.until("live")) == ["message", "live"]


async def test_message_frame_is_the_item_of_the_conversation(stage: Stage) -> None:
    """A message on the channel has the members of the page's item that are not `set_*` or status."""
    msg_id = await stage.send(ALICE, BOB, "hi", ext='{"a":1}', config="c")
    query = {"opposite_id": str(ALICE)}
    [item] = (await stage.call("GET", "/message/conversation", BOB, params=query))["data"]["messages"]
    [frame, _] = await (await stage.connect(BOB)).until("live")
    told = {name: item[name] for name in item if not name.startswith("set_") and name != "status"}
    for xid in ("from_xid", "to_xid"):
        told[xid] = {name: item[xid][name] for name in ("uid", "device_sn")}
    assert frame["message"] == told | {"conversation_id": ALICE}
    assert frame["message"]["msg_id"] == msg_id


async def test_live_frame_is_the_replayed_frame(stage: Stage) -> None:
    """An entry yields the same frame live and from the store."""
    peer = await stage.live(BOB)
    await stage.send(ALICE, BOB, "hi")
    live = await peer.hear()
    [replayed, _] = await (await stage.connect(BOB, 2)).until("live")
    assert replayed == live


async def test_sender_gets_its_own_copy_on_all_devices(stage: Stage) -> None:
    """A message is in the sender's timeline too, with the receiver's conversation."""
    peers = [await stage.live(ALICE, device_sn) for device_sn in (1, 2)]
    await stage.send(ALICE, BOB, "hi")
    frames = [await peer.hear() for peer in peers]
    assert [frame["message"]["conversation_id"] for frame in frames] == [BOB, BOB]


async def test_message_to_oneself_is_one_entry(stage: Stage) -> None:
    """Who writes to oneself gets it once."""
    peer = await stage.live(ALICE)
    await stage.send(ALICE, ALICE)
    assert seqs(await peer.so_far()) == [1]


async def test_notice_is_marked(stage: Stage) -> None:
    """A system notification says `is_system`."""
    peer = await stage.live(BOB)
    body = {"type": 1, "targets": [BOB], "content_type": 0, "content": "n"}
    await stage.call("POST", "/message/notify", None, json=body)
    assert (await peer.hear())["message"]["is_system"] is True


async def test_messages_sent_during_the_replay_come_after_it(stage: Stage) -> None:
    """Sends while a device attaches leave no gap and no repeat."""
    await stage.send_many(ALICE, BOB, 30)
    sending = asyncio.create_task(stage.send_many(CAROL, BOB, 30))
    peers = [await stage.connect(BOB, device_sn) for device_sn in range(1, 9)]
    await sending
    for peer in peers:
        frames: list[Frame] = []
        while len(seqs(frames)) < 60:
            frames.append(await peer.hear())
        assert seqs(frames) == list(range(1, 61))
        assert ops(await peer.so_far()) == ([] if "live" in ops(frames) else ["live"])


async def test_replay_stops_at_the_window(start: Start) -> None:
    """Without acks a replay stops before `unacked_max`, and a page is never cut by it."""
    stage = await start(unacked_max=10, replay_page_max=5)
    await stage.send_many(ALICE, BOB, 30)
    peer = await stage.connect(BOB)
    frames = await peer.take(10)
    await stage.send(CAROL, BOB)
    assert await peer.so_far() == []
    assert seqs(frames) == list(range(1, 11))


async def test_acks_move_the_window(start: Start) -> None:
    """A device that acks every half window gets everything."""
    stage = await start(unacked_max=10, replay_page_max=5)
    await stage.send_many(ALICE, BOB, 32)
    peer = await stage.connect(BOB)
    frames: list[Frame] = []
    while not frames or frames[-1]["op"] != "live":
        frames.append(await peer.hear())
        if frames[-1].get("seq", 1) % 5 == 0:
            await peer.ack(frames[-1]["seq"])
    assert seqs(frames) == list(range(1, 33))


async def test_live_pushes_do_not_wait_for_acks(start: Start) -> None:
    """Only replay waits: a live device that never acks gets everything."""
    stage = await start(unacked_max=4, replay_page_max=2)
    peer = await stage.live(BOB)
    await stage.send_many(ALICE, BOB, 12)
    assert seqs(await peer.so_far()) == list(range(1, 13))


async def test_gap_where_retention_removed(stage: Stage) -> None:
    """What retention removed below the device is one `gap`; then it goes on."""
    await stage.send_many(ALICE, BOB, 6)
    await raise_floor(stage, BOB, 4)
    frames = await (await stage.connect(BOB)).until("live")
    assert frames[0] == {"op": "gap", "timeline": "user", "from": 1, "to": 4, "reason": "retention"}
    assert seqs(frames) == [5, 6]


async def test_gap_up_to_the_head(stage: Stage) -> None:
    """An emptied timeline keeps its head: the gap reaches it, and the next message follows."""
    await stage.send_many(ALICE, BOB, 3)
    await raise_floor(stage, BOB, 3)
    peer = await stage.connect(BOB)
    assert ops(await peer.until("live")) == ["gap", "live"]
    await stage.send(ALICE, BOB)
    assert (await peer.hear())["seq"] == 4


async def test_no_gap_where_the_device_has_been(stage: Stage) -> None:
    """A device above the floor hears nothing of it."""
    await stage.send_many(ALICE, BOB, 6)
    await stage.hello(BOB, cursors={"user": 4})
    await raise_floor(stage, BOB, 4)
    frames = await (await stage.connect(BOB)).until("live")
    assert ops(frames) == ["message", "message", "live"]


async def test_gap_may_be_acked(stage: Stage) -> None:
    """An ack inside a gap is one of what was sent."""
    await stage.send_many(ALICE, BOB, 6)
    await raise_floor(stage, BOB, 5)
    peer = await stage.live(BOB)
    await peer.ack(3)
    await peer.so_far()
    await stage.acked()
    assert await stage.cursors(BOB) == [3]


async def test_lost_entry_is_told_as_a_gap(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A row that is missing above the floor is told with the reason `lost`, and logged."""
    await stage.send_many(ALICE, BOB, 5)
    await stage.sql("DELETE FROM entry WHERE seq = 3 AND t = (SELECT id FROM timeline WHERE xid = ?)", BOB)
    frames = await (await stage.connect(BOB)).until("live")
    assert [frame for frame in frames if frame["op"] == "gap"] == [
        {"op": "gap", "timeline": "user", "from": 3, "to": 3, "reason": "lost"}
    ]
    assert seqs(frames) == [1, 2, 4, 5]
    assert "lost" in caplog.text
    caplog.clear()


async def test_recalled_message_is_gone_in_the_replay(stage: Stage) -> None:
    """The place of a recalled message says `gone`, and the recall has its own entry."""
    msg_id = await stage.send(ALICE, BOB, "secret")
    body = {"conversation_id": BOB, "msg_id": msg_id}
    await stage.call("POST", "/message/recall", ALICE, json=body)
    gone, recalled, _ = await (await stage.connect(BOB)).until("live")
    member = {"timeline": "user", "conversation_id": ALICE, "msg_id": msg_id}
    assert gone == {"op": "gone", "seq": 1, "reason": "recalled"} | member
    assert recalled == {"op": "recalled", "seq": 2} | member


async def test_recall_is_told_live(stage: Stage) -> None:
    """Whoever is live hears the recall as an entry."""
    peer = await stage.live(BOB)
    msg_id = await stage.send(ALICE, BOB, "secret")
    await stage.call("POST", "/message/recall", ALICE, json={"conversation_id": BOB, "msg_id": msg_id})
    assert ops(await peer.so_far()) == ["message", "recalled"]


async def test_deletion_is_told_to_the_own_devices(stage: Stage) -> None:
    """The deletion of a conversation is an entry for its deleter only."""
    bob, alice = await stage.live(BOB), await stage.live(ALICE)
    msg_id = await stage.send(ALICE, BOB)
    await stage.call("DELETE", "/message/conversation", BOB, params={"conversation_id": str(ALICE)})
    deleted = (await bob.so_far())[-1]
    assert deleted == {
        "op": "deleted", "timeline": "user", "seq": 2, "conversation_id": ALICE, "msg_id": msg_id
    }  # fmt: skip
    assert ops(await alice.so_far()) == ["message"]


async def test_devices_at_the_same_point_share_one_page(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gap is read once per timeline and point for all who wait for it."""
    await stage.send_many(ALICE, BOB, 3)
    asked, may_read = 0, asyncio.Event()
    pages = stage.gateway.store.pages

    async def slow(wanted: list[tuple[int, int]], *limits: int) -> list[Page]:
        nonlocal asked
        asked += len(wanted)
        await may_read.wait()
        return await pages(wanted, *limits)

    monkeypatch.setattr(stage.gateway.store, "pages", slow)
    peers = [await stage.connect(BOB, device_sn) for device_sn in (1, 2, 3)]
    may_read.set()
    assert [seqs(await peer.until("live")) for peer in peers] == [[1, 2, 3]] * 3
    assert asked == 1


async def test_page_that_cannot_be_read_keeps_no_other_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that are asked for at the same time are read together; what is wrong with one is not told of the others."""
    group = await stage.group(ALICE, BOB)
    await stage.send(ALICE, group, "in the group", scope=2)
    await stage.send(ALICE, BOB, "between the two")
    app, pages = (await stage.gateway.directory.known.tenant(APP)).app, stage.gateway.store.pages
    party, together = await stage.gateway.store.party(app.id, group), 0
    assert party is not None

    async def harmed(asked: list[tuple[int, int]], *limits: int) -> list[Page]:
        nonlocal together
        together = max(together, len(asked))
        if party.id in dict(asked):
            raise Problem(Kind.STORE_FAILED, "this page is damaged")
        return await pages(asked, *limits)

    monkeypatch.setattr(stage.gateway.store, "pages", harmed)
    peer = await stage.connect(BOB)
    assert seqs([await peer.hear(), await peer.hear()]) == [1, 2]
    assert together == 2
    monkeypatch.undo()
    assert seqs(await peer.until("live"), f"g:{group}") == [1, 2]


async def test_page_of_a_device_that_left_serves_the_next_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page asked for by a device that is gone before it is read is whole for whoever joins it."""
    await stage.send_many(ALICE, BOB, 3)
    may_read, asked = asyncio.Event(), asyncio.Event()
    pages = stage.gateway.store.pages
    start_fetch = stage.hub.fetches.ask

    def fetch_and_leave(*args: Any) -> None:
        # The device goes in the turn in which it asks.
        start_fetch(*args)
        monkeypatch.setattr(stage.hub.fetches, "ask", start_fetch)
        stage.hub.detach(args[0])

    async def slow(*args: Any) -> list[Page]:
        asked.set()
        await may_read.wait()
        return await pages(*args)

    monkeypatch.setattr(stage.hub.fetches, "ask", fetch_and_leave)
    monkeypatch.setattr(stage.gateway.store, "pages", slow)
    await stage.connect(BOB, 1)
    await asked.wait()
    peer = await stage.connect(BOB, 2)
    may_read.set()
    assert ops(await peer.until("live")) == ["message", "message", "message", "live"]


async def test_nothing_is_left_of_a_connection_that_went(stage: Stage) -> None:
    """A closed connection leaves no session, topic or task behind."""
    group = await stage.group(ALICE, BOB)
    await stage.send_many(ALICE, group, 3, scope=2)
    peer = await stage.connect(BOB)
    await peer.close()
    await until(lambda: stage.empty)
    assert stage.empty
