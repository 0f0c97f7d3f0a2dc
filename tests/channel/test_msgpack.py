"""`gateway.v1.msgpack`: the same frames in binary, beside devices that speak JSON (design §6, §4 "Encode once")."""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec
import pytest
from aiohttp import WSMsgType

from gateway.client.device import Device
from gateway.domain.model import Entry
from gateway.wire.close import Close
from gateway.wire.encoding import ENCODINGS, JSON, MSGPACK, Encoding
from gateway.wire.frames import entry_frame
from tests.channel.conftest import Start
from tests.channel.stage import ALICE, APP, BOB, CAROL, Peer, Stage, contents, ops, seqs

pytestmark = pytest.mark.one_node("the same frames in other bytes")

pack = msgspec.msgpack.encode


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        (["gateway.v1.msgpack"], MSGPACK),
        (["gateway.v1"], JSON),
        (["gateway.v1.msgpack", "gateway.v1"], MSGPACK),
        (["gateway.v1", "gateway.v1.msgpack"], JSON),
        (["something.else", "gateway.v1.msgpack"], MSGPACK),
    ],
)
async def test_first_offer_that_is_known_is_selected(
    stage: Stage, offered: list[str], selected: Encoding
) -> None:
    """A browser offers it beside its token, which is not told back."""
    token = f"token.{await stage.token(ALICE)}"
    query = {"app_id": APP, "device_sn": "1"}
    peer = await stage.open(query, protocols=(*offered, token))
    assert peer.ws.protocol == selected.subprotocol
    assert (await peer.hear())["op"] == "welcome"


async def test_no_offer_is_json(stage: Stage) -> None:
    """Who offers no subprotocol gets text frames."""
    peer = await stage.open({"app_id": APP}, headers={"access-token": await stage.token(ALICE)})
    assert peer.ws.protocol is None
    assert (await peer.receive()).type is WSMsgType.TEXT


@pytest.mark.parametrize("offered", ["gateway.v2.msgpack", "msgpack", "gateway.v1.json"])
async def test_unknown_offer_is_refused(stage: Stage, offered: str) -> None:
    """An offer without any that is spoken here is HTTP 400."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await stage.open(protocols=(offered,))
    assert refusal.value.status == 400


async def mixed(stage: Stage, uid: int) -> tuple[Peer, Peer]:
    """Two devices of one user that speak differently."""
    return await stage.live(uid, 1), await stage.live(uid, 2, encoding=MSGPACK)


async def test_live_frames_are_the_same(stage: Stage) -> None:
    """Messages, membership, recalls, deletions and receipts: both devices hear equal frames."""
    alice = await mixed(stage, ALICE)
    bob = await mixed(stage, BOB)
    group = await stage.group(ALICE, BOB)
    await stage.send(BOB, group, "to all \U0001f600", 2)
    msg_id = await stage.send(ALICE, BOB, "\x01\u2028")
    await bob[1].until("message", timeline="user")
    await bob[1].say(op="read", ref=1, conversation_id=ALICE, msg_id=msg_id)
    await bob[1].until("ok")
    await stage.call("POST", "/message/recall", ALICE, json={"conversation_id": BOB, "msg_id": msg_id})
    query = {"conversation_id": str(BOB)}
    await stage.call("DELETE", "/message/conversation", ALICE, params=query)
    heard = [await peer.so_far() for peer in alice]
    assert sorted(heard[0], key=repr) == sorted(heard[1], key=repr)
    assert {"message", "group", "recalled", "deleted", "receipt"} == set(ops(heard[0]))
    for timeline in ("user", f"g:{group}"):
        assert seqs(heard[0], timeline) == seqs(heard[1], timeline) != []


async def test_replay_is_the_same(start: Start) -> None:
    """Both read the same pages of the store, at the same time, in their own encoding."""
    stage = await start(replay_page_max=7)
    sent = [str(number) for number in range(1, 41)]
    await stage.send_many(ALICE, BOB, len(sent))
    peers = [await stage.connect(BOB, 1), await stage.connect(BOB, 2, encoding=MSGPACK)]
    replayed = [await peer.until("live") for peer in peers]
    assert replayed[0] == replayed[1]
    assert contents(replayed[0]) == sent


async def test_page_is_read_once_for_both(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that want the same page at the same time share one reading of it."""
    stage = await start(reorder_grace_ms=50)
    peers = await mixed(stage, BOB)
    read = []
    pages = stage.gateway.store.pages

    async def counted(asked: list[tuple[int, int]], *limits: int) -> object:
        read.extend(asked)
        return await pages(asked, *limits)

    monkeypatch.setattr(stage.gateway.store, "pages", counted)
    with monkeypatch.context() as deaf:
        # The run is lost, and its hint tells both of what they miss.
        deaf.setattr(stage.hub, "dispatch", lambda timeline_id, entries: None)
        await stage.send(ALICE, BOB, "missed")
    await stage.gateway.sweep.sweep()
    for peer in peers:
        assert contents([await peer.hear()]) == ["missed"]
    assert len(read) == 1


async def test_entries_are_encoded_once_per_encoding_that_is_followed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each entry is written once for all who speak an encoding, and in none that nobody there speaks."""
    written: list[tuple[str, str]] = []

    def noted(encoding: Encoding, entry: Entry, timeline: str, owner_xid: int) -> bytes:
        written.append((encoding.subprotocol, timeline))
        return entry_frame(encoding, entry, timeline, owner_xid)

    group = await stage.group(ALICE, BOB, CAROL)
    json = [await stage.live(uid, device_sn) for uid in (ALICE, BOB) for device_sn in (1, 2)]
    binary = [await stage.live(CAROL, device_sn, encoding=MSGPACK) for device_sn in (1, 2)]
    monkeypatch.setattr("gateway.core.topics.entry_frame", noted)
    await stage.send(ALICE, group, "x", 2)
    await stage.send(BOB, CAROL, "y")
    await json[2].until("message", timeline="user")
    for peer in binary:
        await peer.until("message", timeline="user")
    assert sorted(written) == [
        (JSON.subprotocol, f"g:{group}"),
        (JSON.subprotocol, "user"),
        (MSGPACK.subprotocol, f"g:{group}"),
        (MSGPACK.subprotocol, "user"),
    ]
    # The last that speaks it leaves.
    for peer in binary:
        await peer.close()
    del written[:]
    await json[0].so_far()
    await stage.send(ALICE, group, "z", 2)
    await json[0].until("message")
    assert written == [(JSON.subprotocol, f"g:{group}")]


async def test_device_may_come_back_in_another_encoding(stage: Stage) -> None:
    """The cursor is the device's, whatever it speaks; the older connection hears its `bye` in its own."""
    older = await stage.live(BOB, 1, encoding=MSGPACK)
    await stage.send(ALICE, BOB, "one")
    await older.hear()
    await older.ack(1)
    await older.so_far()
    newer = await stage.connect(BOB, 1)
    assert (await older.end()).code == Close.REPLACED
    assert newer.welcome["cursors"] == {"user": 1}
    await stage.send(ALICE, BOB, "two")
    assert contents(await newer.until("message")) == ["two"]


async def test_hello_in_msgpack(stage: Stage) -> None:
    """The first frame may be binary too, with cursors in it."""
    await stage.send_many(ALICE, BOB, 3)
    stage.encoding = MSGPACK
    peer = await stage.hello(BOB, cursors={"user": 2})
    assert contents(await peer.until("live")) == ["3"]


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("authenticated", [True, False])
async def test_the_other_kind_of_frame_is_a_protocol_error(
    stage: Stage, encoding: Encoding, authenticated: bool
) -> None:
    """`gateway.v1` has text frames only, `gateway.v1.msgpack` binary ones; the `bye` is in what was agreed."""
    peer = await (
        stage.live(ALICE, encoding=encoding)
        if authenticated
        else stage.open(protocols=(encoding.subprotocol,))
    )
    if encoding.binary:
        await peer.ws.send_str('{"op":"ping"}')
    else:
        await peer.ws.send_bytes(pack({"op": "ping"}))
    ended = await peer.end()
    assert (ended.code, ended.bye["code"]) == (Close.PROTOCOL, Close.PROTOCOL)
    assert encoding.subprotocol in ended.bye["reason"]


BAD = {
    "nothing": b"",
    "JSON": b'{"op":"ping"}',
    "a list": pack(["op", "ping"]),
    "an unknown op": pack({"op": "jump"}),
    "a fraction as seq": pack({"op": "ack", "timeline": "user", "seq": 1.5}),
    "a binary": pack({"op": "ping", "ref": b"x"}),
    "a number as key": pack({"op": "ping", 1: 2}),
    "deep": b"\x91" * 300_000,
    "too large": pack({"op": "ping", "x": "x" * 400_000}),
}


@pytest.mark.parametrize("what", BAD)
async def test_bad_frame_ends_the_connection(stage: Stage, what: str) -> None:
    """What is no frame is told by `bye` and closed in 45xx; others go on."""
    other = await stage.live(BOB, encoding=MSGPACK)
    peer = await stage.live(ALICE, encoding=MSGPACK)
    await peer.ws.send_bytes(BAD[what])
    ended = await peer.end()
    assert (ended.code, ended.bye["code"], ended.frames) == (Close.PROTOCOL, Close.PROTOCOL, [])
    assert await other.so_far() == []


async def test_drain_says_bye_in_each_encoding(stage: Stage) -> None:
    """Whoever is connected understands the end."""
    peers = await mixed(stage, ALICE)
    stopping = asyncio.create_task(stage.gateway.stop())
    for peer in peers:
        assert (await peer.end()).bye["retry_after_ms"] > 0
    await stopping


async def test_python_client_speaks_it(stage: Stage) -> None:
    """The project's own client gets its messages, calls and acks through."""
    token = await stage.token(BOB)
    async with Device(stage.gateway.url, APP, token, device_sn=1, encoding="msgpack") as device:
        await stage.send(ALICE, BOB, "hello")
        async for frame in device:
            if frame["op"] == "message":
                break
        await device.send(type=1, targets=[ALICE], content_type=0, content="hello, too")
        await device.signal(type=1, target=ALICE, content="typing")
        await device.ack("user", 1)
        await device.ping()
    await stage.acked()
    assert await stage.cursors(BOB) == [1]
