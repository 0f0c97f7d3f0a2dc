"""Chatrooms over real sockets: whoever is connected may be in one (design §3, Chatroom; §6, `join` and `leave`)."""

from __future__ import annotations

import asyncio

import pytest

from gateway.client.device import Device
from gateway.wire.encoding import MSGPACK
from tests.channel.conftest import Start
from tests.channel.raw import text
from tests.channel.rooming import join, joined, make
from tests.channel.stage import ALICE, APP, BOB, CAROL, Stage, contents, ops, seqs, until
from tests.patience import WAIT_S

KEPT = 4


@pytest.fixture
async def stage(start: Start) -> Stage:
    """A gateway whose chatrooms keep four entries."""
    return await start(room_history_max=KEPT, rooms_per_connection_max=2, replay_page_max=3)


# -- joining ----------------------------------------------------------------------------------------------


async def test_join_is_answered_before_any_entry(stage: Stage) -> None:
    """Its `ok` names the timeline and where it starts; what is sent from then on comes live."""
    room = await make(stage)
    await stage.send_many(ALICE, room, 2, scope=2)
    peer = await stage.live(BOB)
    assert await join(peer, room) == {"op": "ok", "ref": "j", "timeline": f"r:{room}", "seq": 2}
    await stage.send(ALICE, room, "now", scope=2)
    [frame] = await peer.so_far()
    assert (frame["op"], frame["timeline"], frame["seq"]) == ("message", f"r:{room}", 3)
    assert (frame["message"]["conversation_id"], frame["message"]["content"]) == (room, "now")


async def test_everybody_in_it_gets_the_same(stage: Stage) -> None:
    """Its owner, a stranger, two devices of one user and one that speaks MessagePack; who is outside gets nothing."""
    room = await make(stage)
    peers = [
        await joined(stage, room, ALICE),
        await joined(stage, room, BOB),
        await joined(stage, room, BOB, 2),
    ]
    other = await stage.live(CAROL, encoding=MSGPACK)
    await join(other, room)
    outside = await stage.live(CAROL, 2)
    await stage.send(BOB, room, "all", scope=2)
    frames = [await peer.so_far() for peer in (*peers, other)]
    assert frames[0] == frames[1] == frames[2] == frames[3]
    assert contents(frames[0]) == ["all"]
    assert await outside.so_far() == []


async def test_sends_from_the_device(stage: Stage) -> None:
    """A device in it sends, also one that has not joined; a transaction executes once."""
    room = await make(stage)
    peer, outside = await joined(stage, room, BOB), await stage.live(CAROL)
    body = {"type": 2, "targets": [room], "content_type": 0, "content": "said", "transaction_id": 7}
    ids = [(await sender.ask(op="send", ref=1, **body))["msg_ids"] for sender in (outside, outside)]
    assert ids[0] == ids[1]
    assert contents(await peer.so_far()) == ["said"]
    assert (await peer.ask(op="send", ref=1, **body))["op"] == "ok"
    assert seqs(await peer.so_far(), f"r:{room}") == []


async def test_join_after_a_seq_replays_what_is_kept(stage: Stage) -> None:
    """The recent history comes page after page, without an ack, and then it is live."""
    room = await make(stage)
    await stage.send_many(ALICE, room, 7, scope=2)
    peer = await stage.live(BOB)
    assert (await join(peer, room, seq=1))["seq"] == 1
    frames = await peer.until("message", seq=7)
    assert seqs(frames, f"r:{room}") == [2, 3, 4, 5, 6, 7]
    await stage.send(ALICE, room, "live", scope=2)
    assert seqs(await peer.so_far(), f"r:{room}") == [8]


async def test_join_below_what_is_kept_tells_the_gap(stage: Stage) -> None:
    """What is gone is told, and the connection goes on."""
    room = await make(stage)
    await stage.send_many(ALICE, room, 3 * KEPT, scope=2)
    peer = await stage.live(BOB)
    assert (await join(peer, room, seq=0))["seq"] == 0
    frames = await peer.until("message", seq=12)
    gap = {"op": "gap", "timeline": f"r:{room}", "from": 1, "to": 8, "reason": "retention"}
    assert frames[0] == gap
    assert seqs(frames, f"r:{room}") == [9, 10, 11, 12]


async def test_join_above_the_head_starts_at_the_head(stage: Stage) -> None:
    """A seq that does not exist, as of another store, is not waited for."""
    room = await make(stage)
    await stage.send(ALICE, room, scope=2)
    peer = await stage.live(BOB)
    assert (await join(peer, str(room), seq="99"))["seq"] == 1
    await stage.send(ALICE, room, "next", scope=2)
    assert contents(await peer.so_far()) == ["next"]


async def test_joining_again_is_told_how_far_it_has_got(stage: Stage) -> None:
    """There is no second following, whatever seq is named."""
    room = await make(stage)
    peer = await joined(stage, room, BOB)
    await stage.send(ALICE, room, scope=2)
    await peer.so_far()
    assert await join(peer, room, seq=0) == {"op": "ok", "ref": "j", "timeline": f"r:{room}", "seq": 1}
    await stage.send(ALICE, room, "once", scope=2)
    assert contents(await peer.so_far()) == ["once"]


async def test_entries_committed_while_joining_are_not_missed(stage: Stage) -> None:
    """Sends that go on while a device joins: from the seq it is told on nothing is missing."""
    room = await make(stage)
    peer = await stage.live(BOB)
    sending = asyncio.create_task(stage.send_many(ALICE, room, 30, scope=2))
    await until(lambda: bool(stage.near.writer.waiting) or sending.done())
    start: int = (await join(peer, room))["seq"]
    await sending
    frames = await peer.until("message", seq=30) if start < 30 else []
    assert seqs(frames, f"r:{room}") == list(range(start + 1, 31))


@pytest.mark.parametrize(
    ("named", "code", "words"),
    [
        ("group", 10002, "not a chatroom"),
        ("user", 20001, "no group"),
        (999, 20001, "no group"),
        (None, 10002, "room_id"),
        ("x", 10002, "room_id"),
        (0, 10002, "room_id"),
    ],
)
async def test_join_refused(stage: Stage, named: object, code: int, words: str) -> None:
    """An `error` with the reason, and the connection goes on."""
    room = {"group": await stage.group(BOB), "user": BOB}.get(str(named), named)
    peer = await stage.live(BOB)
    answer = await join(peer, room)
    assert (answer["op"], answer["ref"], answer["code"]) == ("error", "j", code)
    assert words in answer["message"]
    assert await peer.so_far() == []


@pytest.mark.parametrize("seq", [-1, "x", 2**53])
async def test_a_seq_that_cannot_be(stage: Stage, seq: object) -> None:
    """It is refused by its name."""
    peer = await stage.live(BOB)
    answer = await join(peer, await make(stage), seq=seq)
    assert (answer["code"], answer["message"].startswith("seq")) == (10002, True)


async def test_who_is_kept_out(stage: Stage) -> None:
    """A user blocked from it neither joins nor sends nor reads."""
    room = await make(stage)
    peer = await stage.live(BOB)
    await stage.sql(
        "INSERT INTO grp_block SELECT g.id, u.id, 1 FROM timeline AS g, timeline AS u WHERE g.xid = ? AND u.xid = ?",
        room,
        BOB,
    )
    assert (await join(peer, room))["code"] == 20018
    body = {"type": 2, "targets": [room], "content_type": 0, "content": "no"}
    assert (await peer.ask(op="send", ref=1, **body))["code"] == 20018
    query = {"opposite_id": str(room)}
    assert (await stage.call("GET", "/message/conversation", BOB, ok=False, params=query))["code"] == 20018


async def test_a_device_is_in_so_many(stage: Stage) -> None:
    """Past the limit the next is refused; one that is left makes room."""
    rooms = [await make(stage) for _ in range(3)]
    peer = await stage.live(BOB)
    assert [(await join(peer, room))["op"] for room in rooms] == ["ok", "ok", "error"]
    assert (await join(peer, rooms[2]))["code"] == 20008
    await peer.ask(op="leave", ref=1, room_id=rooms[0])
    assert (await join(peer, rooms[2]))["op"] == "ok"


# -- leaving ----------------------------------------------------------------------------------------------


async def test_after_leaving_nothing_comes(stage: Stage) -> None:
    """`leave` is answered, again and of any chatroom; the hub forgets the timeline."""
    room = await make(stage)
    peer = await joined(stage, room, BOB)
    for _ in range(2):
        assert await peer.ask(op="leave", ref="l", room_id=room) == {"op": "ok", "ref": "l"}
    await stage.send(ALICE, room, scope=2)
    assert await peer.so_far() == []
    assert len(stage.hub._topics) == 1


async def test_leave_of_a_group_changes_nothing(stage: Stage) -> None:
    """Groups are not left by it."""
    group = await stage.group(ALICE, BOB)
    peer = await stage.live(BOB)
    assert (await peer.ask(op="leave", ref=1, room_id=group))["op"] == "ok"
    await stage.send(ALICE, group, "still", scope=2)
    assert contents(await peer.so_far()) == ["still"]


async def test_a_connection_that_ends_is_in_no_chatroom(stage: Stage) -> None:
    """Nothing is kept: the next connection of the device is not in it, and `welcome` does not name it."""
    room = await make(stage)
    peer = await joined(stage, room, BOB)
    await stage.send(ALICE, room, scope=2)
    await peer.so_far()
    await stage.gone()
    again = await stage.connect(BOB)
    assert again.welcome["cursors"] == {"user": 0}
    assert ops(await again.until("live")) == ["live"]
    await stage.send(ALICE, room, scope=2)
    assert await again.so_far() == []


# -- its end, and being put out ---------------------------------------------------------------------------


async def test_its_end_is_told_and_then_nothing(stage: Stage) -> None:
    """Whoever is in it hears `destroyed` in its timeline; the others hear nothing; nobody can join any more."""
    room = await make(stage)
    peer, owner = await joined(stage, room, BOB), await stage.live(ALICE)
    await stage.call("POST", "/group/destroy", ALICE, json={"group_id": room})
    [told] = await peer.so_far()
    want = {"op": "group", "timeline": f"r:{room}", "seq": 1, "action": "destroyed", "group_id": room}
    assert told == want | {"user_ids": []}
    assert await owner.so_far() == []
    assert (await join(peer, room))["code"] == 20001
    assert stage.hub.followers(1) == []
    assert not stage.connection(BOB).session.rooms


async def test_put_out_on_all_devices(stage: Stage) -> None:
    """`/group/kick` puts out who is in it now: told outside timelines, followed no more, free to come back."""
    room = await make(stage)
    peers = [await joined(stage, room, BOB), await joined(stage, room, BOB, 2)]
    other = await joined(stage, room, CAROL)
    body = {"group_id": room, "user_list": [BOB, 77]}
    results = (await stage.call("POST", "/group/kick", ALICE, json=body))["data"]
    assert [result["result"] for result in results] == ["success", "fail"]
    await stage.send(ALICE, room, "later", scope=2)
    for peer in peers:
        assert await peer.so_far() == [
            {"op": "group", "action": "kicked", "group_id": room, "user_ids": [BOB]}
        ]
    assert contents(await other.so_far()) == ["later"]
    assert (await join(peers[0], room))["op"] == "ok"


async def test_who_is_in_it(stage: Stage) -> None:
    """Users by rising id, each once, page by page; `count` of the group's info is their number."""
    room = await make(stage)
    for uid, sn in ((CAROL, 1), (BOB, 1), (BOB, 2)):
        await joined(stage, room, uid, sn)
    query = {"group_id": str(room)}
    info = (await stage.call("GET", "/group/info", 77, params=query))["data"]
    assert (info["type"], info["count"], info["owner_id"]) == (2, 2, ALICE)
    first = await stage.call("GET", "/group/member_list", 77, params=query | {"limit": "1"})
    assert ([member["user_id"] for member in first["data"]], first["cursor"]) == ([BOB], str(BOB))
    rest = await stage.call(
        "GET", "/group/member_list", 77, params=query | {"limit": "1", "cursor": str(BOB)}
    )
    assert ([member["user_id"] for member in rest["data"]], rest["cursor"]) == ([CAROL], "")
    assert rest["data"][0]["join_time"] > 1_700_000_000_000
    await stage.gone()
    assert (await stage.call("GET", "/group/info", 77, params=query))["data"]["count"] == 0


# -- positions: there are none ----------------------------------------------------------------------------


async def test_acks_and_reads_store_nothing(stage: Stage) -> None:
    """An ack is ignored, also one beyond what was sent; a read is answered; no cursor and no receipt comes of it."""
    room = await make(stage)
    peer, sender = await joined(stage, room, BOB), await stage.live(CAROL)
    msg_id = await stage.send(CAROL, room, scope=2)
    await peer.so_far()
    await peer.ack(0)
    for seq in (1, 99):
        await peer.ack(seq, f"r:{room}")
    assert (await peer.ask(op="read", ref=1, conversation_id=room, msg_id=msg_id))["op"] == "ok"
    await stage.acked()
    assert (
        await stage.sql("SELECT * FROM cursor WHERE t = (SELECT id FROM timeline WHERE xid = ?)", room) == []
    )
    assert await sender.so_far() == []
    assert await stage.status(CAROL, room, msg_id) == "UNREAD"


async def test_devices_are_kept_without_their_chatrooms(stage: Stage) -> None:
    """The first ack makes a device kept, with a cursor for every timeline but a chatroom's."""
    room = await make(stage)
    peer = await joined(stage, room, BOB)
    await stage.send(ALICE, BOB)
    await stage.send(ALICE, room, scope=2)
    await peer.so_far()
    await peer.ack(1)
    await peer.so_far()
    await stage.acked()
    assert await stage.cursors(BOB) == [1]


async def test_recall_is_told_in_the_chatroom(stage: Stage) -> None:
    """By its sender; a stranger may not, its owner may."""
    room = await make(stage)
    peer = await joined(stage, room, CAROL)
    first, second = [await stage.send(BOB, room, scope=2) for _ in range(2)]
    body = {"conversation_id": room, "msg_id": first}
    assert (await stage.call("POST", "/message/recall", CAROL, ok=False, json=body))["code"] == 10010
    await stage.call("POST", "/message/recall", BOB, json=body)
    await stage.call("POST", "/message/recall", ALICE, json=body | {"msg_id": second})
    told = [frame for frame in await peer.so_far() if frame["op"] == "recalled"]
    assert [(frame["seq"], frame["conversation_id"], frame["msg_id"]) for frame in told] == [
        (3, room, first),
        (4, room, second),
    ]


# -- slow peers -------------------------------------------------------------------------------------------


async def test_a_lagging_device_is_told_what_it_missed(stage: Stage) -> None:
    """It reads on from the store what is kept, and is told of the gap before it; the others are not held up."""
    room = await make(stage)
    quick, slow = await joined(stage, room, CAROL), await stage.raw(BOB, lazy=True)
    await slow.until("live")
    slow.write(text(op="join", ref="j", room_id=room))
    await slow.until("ok")
    connection, sent, large = stage.connection(BOB), 0, "x" * 60_000
    while not connection.session.lagging:
        assert sent < 1_000, "the transport never fills"
        await stage.send(ALICE, room, large, scope=2)
        sent += 1
    await stage.send_many(ALICE, room, 3 * KEPT, scope=2)
    last = sent + 3 * KEPT
    assert seqs(await quick.until("message", seq=last), f"r:{room}") == list(range(1, last + 1))
    heard = [await slow.hear()]
    while heard[-1].get("seq") != last:
        heard.append(await slow.hear())
    [gap] = [frame for frame in heard if frame["op"] == "gap"]
    assert (gap["reason"], gap["to"] > sent) == ("retention", True)
    assert seqs(heard, f"r:{room}") == [*range(1, gap["from"]), *range(gap["to"] + 1, last + 1)]
    slow.cut()


# -- the Python client ------------------------------------------------------------------------------------


async def test_the_client_comes_back_into_its_chatrooms(stage: Stage) -> None:
    """Its connection is cut; on its return it misses nothing of what is kept, and gets nothing twice."""
    room = await make(stage)
    token = await stage.token(BOB)
    async with Device(stage.gateway.url, APP, token, device_sn=5) as device, asyncio.timeout(WAIT_S):
        assert (await device.join(room))["seq"] == 0
        heard: list[int] = []

        async def hear(last: int) -> None:
            async for frame in device:
                if frame.get("timeline") == f"r:{room}":
                    heard.append(frame["seq"])
                    if heard[-1] == last:
                        return

        await stage.send_many(ALICE, room, 2, scope=2)
        await hear(2)
        await until(lambda: stage.hub.connections)
        connection = stage.connection(BOB)
        sink: object = connection.sink
        sink._transport.abort()  # type: ignore[attr-defined]
        await until(lambda: connection not in stage.hub.connections)
        await stage.send_many(ALICE, room, 3, scope=2)
        await hear(5)
        assert heard == [1, 2, 3, 4, 5]
        await device.leave(room)
