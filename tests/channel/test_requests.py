"""Requests of a device: send, recall, ping, and their answers by `ref`, in every encoding (design §6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.wire.encoding import ENCODINGS
from tests.channel.conftest import Start
from tests.channel.stage import ALICE, BOB, CAROL, Frame, Peer, Stage, contents, ops


@pytest.fixture(params=ENCODINGS)
async def stage(start: Start, request: pytest.FixtureRequest) -> Stage:
    """A gateway whose devices speak one encoding."""
    opened = await start()
    opened.encoding = ENCODINGS[request.param]
    return opened


def message(*targets: object, **members: Any) -> Frame:
    return {"op": "send", "type": 1, "targets": [*targets], "content_type": 0, "content": "hi"} | members


async def test_send_is_answered_with_its_ids(stage: Stage) -> None:
    """`ok` has the `ref` and the ids of the messages, one per target."""
    answer = await (await stage.live(ALICE)).ask(**message(BOB, CAROL), ref=7)
    first = answer["msg_ids"][0]
    assert answer == {"op": "ok", "ref": 7, "msg_ids": [first, first + 1]}


async def test_send_reaches_the_receiver(stage: Stage) -> None:
    """A message sent on the channel comes like one sent by REST, with the device that sent it."""
    bob = await stage.live(BOB)
    await (await stage.live(ALICE, 5)).ask(**message(BOB), ref=1)
    frame = await bob.hear()
    assert frame["message"]["content"] == "hi"
    assert frame["message"]["from_xid"] == {"uid": ALICE, "device_sn": 5}


async def test_own_copy_comes_to_the_sending_device_too(stage: Stage) -> None:
    """The sending device gets its copy as an entry, besides the answer."""
    alice = await stage.live(ALICE)
    await alice.say(**message(BOB), ref=1)
    assert sorted(ops(await alice.take(2))) == ["message", "ok"]


@pytest.mark.two_nodes_once
@pytest.mark.parametrize("ref", [0, -1, 2**53, "", "a ref", "é\u2028", None])
async def test_ref_comes_back_as_it_was(stage: Stage, ref: object) -> None:
    """A `ref` is any integer or string, and may be absent."""
    answer = await (await stage.live(ALICE)).ask(**message(BOB), ref=ref)
    assert answer["ref"] == ref


async def test_ref_does_not_deduplicate(stage: Stage) -> None:
    """Two sends with one `ref` are two messages."""
    alice = await stage.live(ALICE)
    answers = [await alice.ask(**message(BOB), ref=1) for _ in range(2)]
    assert answers[0]["msg_ids"] != answers[1]["msg_ids"]


async def test_transaction_id_does(stage: Stage) -> None:
    """One `transaction_id` executes once, whether it comes by the channel or by REST."""
    answer = await (await stage.live(ALICE)).ask(**message(BOB, transaction_id=5), ref=1)
    msg_id = await stage.send(ALICE, BOB, "hi", transaction_id=5)
    assert [msg_id] == answer["msg_ids"]


async def test_numbers_may_be_strings(stage: Stage) -> None:
    """The body of a send is that of REST: ids may come as strings."""
    body = message(str(BOB), type="1", content_type="0", transaction_id="12")
    assert (await (await stage.live(ALICE)).ask(**body, ref=1))["op"] == "ok"


@pytest.mark.two_nodes_once
@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"targets": []}, 10002),
        ({"targets": [0]}, 10002),
        ({"targets": ["x"]}, 10002),
        ({"targets": [2**53]}, 10002),
        ({"targets": "11"}, 10002),
        ({"targets": {}}, 10002),
        ({"type": 3}, 10002),
        ({"type": True}, 10002),
        ({"content": ""}, 10002),
        ({"content": 5}, 10002),
        ({"content": "a\u0000b"}, 10002),
        ({"content": "x" * 70_000}, 10002),
        ({"content_type": 99}, 10002),
        ({"online_only": "yes"}, 10002),
        ({"content_type": 8}, 10002),
        ({"content_type": 11, "related_mid": 1}, 60003),
        ({"transaction_id": 2**63}, 10002),
        ({"from_user_id": BOB}, 10010),
        ({"type": 2, "targets": [999]}, 20001),
        ({"ext": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}, 10002),
    ],
)
async def test_refused_send_is_an_error_frame(stage: Stage, members: Frame, code: int) -> None:
    """What REST refuses is refused with the same code, and the connection stays."""
    alice = await stage.live(ALICE)
    answer = await alice.ask(**message(BOB, **members), ref="r")
    assert (answer["op"], answer["ref"], answer["code"]) == ("error", "r", code)
    assert answer["message"]
    assert (await alice.ask(**message(BOB), ref=2))["op"] == "ok"


async def test_missing_members_are_named(stage: Stage) -> None:
    """A send of nothing is 10002 with the name of what is missing."""
    answer = await (await stage.live(ALICE)).ask(op="send", ref=1)
    assert answer["code"] == 10002
    assert "type" in answer["message"]


async def test_group_send_wants_membership(stage: Stage) -> None:
    """Who is not in a group cannot send to it."""
    group = await stage.group(ALICE)
    answer = await (await stage.live(BOB)).ask(**message(group, type=2), ref=1)
    assert answer["code"] == 20002


async def test_recall_is_answered_and_told(stage: Stage) -> None:
    """`ok` comes after the recall is committed; the receiver hears it."""
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    msg_id = await stage.send(ALICE, BOB)
    answer = await alice.ask(op="recall", ref="x", conversation_id=BOB, msg_id=msg_id)
    assert answer == {"op": "ok", "ref": "x"}
    assert ops(await bob.take(2)) == ["message", "recalled"]
    query = {"opposite_id": str(ALICE)}
    assert (await stage.call("GET", "/message/conversation", BOB, params=query))["data"]["messages"] == []


async def test_numbers_of_a_recall_may_be_strings(stage: Stage) -> None:
    """The members of a recall are those of REST: ids may come as strings."""
    msg_id = await stage.send(ALICE, BOB, "hi")
    answer = await (await stage.live(ALICE)).ask(
        op="recall", ref=1, conversation_id=str(BOB), msg_id=str(msg_id)
    )
    assert answer == {"op": "ok", "ref": 1}


@pytest.mark.two_nodes_once
@pytest.mark.parametrize(
    ("asked", "member"),
    [
        ({"op": "recall", "conversation_id": None, "msg_id": 1}, "conversation_id"),
        ({"op": "recall", "conversation_id": 1, "msg_id": "x"}, "msg_id"),
        ({"op": "recall", "conversation_id": 2**53, "msg_id": 1}, "conversation_id"),
        ({"op": "read", "conversation_id": -1}, "conversation_id"),
        ({"op": "read", "msg_id": 1.5}, "msg_id"),
    ],
)
async def test_bad_members_of_a_request_are_named(stage: Stage, asked: Frame, member: str) -> None:
    """A wrong member is an `error` that names it, and the connection stays."""
    alice = await stage.live(ALICE)
    answer = await alice.ask(**asked, ref="r")
    assert (answer["op"], answer["ref"], answer["code"]) == ("error", "r", 10002)
    assert member in answer["message"]
    await alice.say(op="ping", ref=1)
    assert (await alice.hear())["op"] == "pong"


async def test_recall_of_another_ones_message_is_refused(stage: Stage) -> None:
    """The receiver cannot take a message back."""
    msg_id = await stage.send(ALICE, BOB)
    answer = await (await stage.live(BOB)).ask(op="recall", ref=1, conversation_id=ALICE, msg_id=msg_id)
    assert (answer["op"], answer["code"]) == ("error", 10010)


@pytest.mark.parametrize("conversation_id", [BOB, CAROL, 999])
async def test_recall_of_an_unknown_message(stage: Stage, conversation_id: int) -> None:
    """No such message, or not in this conversation: 60003."""
    msg_id = await stage.send(ALICE, BOB)
    wrong = msg_id + 1 if conversation_id == BOB else msg_id
    answer = await (await stage.live(ALICE)).ask(
        op="recall", ref=1, conversation_id=conversation_id, msg_id=wrong
    )
    assert (answer["op"], answer["code"]) == ("error", 60003)


async def test_ping_is_answered(stage: Stage) -> None:
    """`ping` brings `pong`, with its `ref`."""
    peer = await stage.live(ALICE)
    await peer.say(op="ping", ref="p")
    assert await peer.hear() == {"op": "pong", "ref": "p"}


async def test_websocket_ping_is_answered_with_its_payload(stage: Stage) -> None:
    """A ping of the protocol brings its pong, between other frames."""
    peer = await stage.connect(ALICE, autoping=False)
    await peer.until("live")
    await peer.ws.ping(b"measure")
    assert (await peer.receive()).data == b"measure"


async def test_requests_are_answered_in_their_order(stage: Stage) -> None:
    """Requests of one connection are done one after the other."""
    alice = await stage.live(ALICE)
    for ref in range(20):
        await alice.say(**message(BOB, content=str(ref)), ref=ref)
    answers = [frame for frame in await alice.so_far() if frame["op"] == "ok"]
    assert [answer["ref"] for answer in answers] == list(range(20))
    frames = await (await stage.connect(BOB)).until("live")
    assert contents(frames) == [str(number) for number in range(20)]


async def test_sends_of_many_devices_share_batches(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many devices that send at once are committed together, each answered by itself."""
    peers: list[Peer] = [await stage.live(1000 + number) for number in range(20)]
    sizes: list[int] = []
    append = stage.gateway.store.append

    async def counting(batch: Any) -> Any:
        sizes.append(len(batch))
        return await append(batch)

    monkeypatch.setattr(stage.gateway.store, "append", counting)
    answers = await asyncio.gather(*(peer.ask(**message(BOB), ref=1) for peer in peers))
    assert len({answer["msg_ids"][0] for answer in answers}) == 20
    assert len(sizes) < 20


async def test_send_of_a_device_that_goes_is_kept(stage: Stage) -> None:
    """A caller that goes away leaves its draft in the batch."""
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    await alice.say(**message(BOB, content="last words"), ref=1)
    await alice.close()
    assert contents(await bob.take(1)) == ["last words"]


async def test_apps_do_not_reach_each_other(stage: Stage) -> None:
    """The same user id in another app is another user."""
    await stage.near.directory.create_app("other")
    headers = {"access-token": await stage.token(BOB, app="other")}
    stranger = await stage.open({"app_id": "other"}, headers=headers)
    await stranger.until("live")
    bob = await stage.live(BOB)
    await (await stage.live(ALICE)).ask(**message(BOB), ref=1)
    assert ops(await bob.so_far()) == ["message"]
    assert await stranger.so_far() == []
