"""Signals: who gets them, as what, who may not send them, and that nothing of them stays (design §6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.domain.errors import Kind
from gateway.edge.facades.native.envelope import code_of
from gateway.wire.encoding import ENCODINGS, MSGPACK
from tests.channel.conftest import Start
from tests.channel.raw import text
from tests.channel.stage import ALICE, APP, BOB, CAROL, Frame, Peer, Stage, ops
from tests.channel.test_slow_peers import BURST, burst


def signal(target: object, kind: object = 1, **members: Any) -> Frame:
    return {"op": "signal", "type": kind, "target": target, "content": "typing"} | members


def heard(conversation_id: int, device_sn: int = 1, uid: int = ALICE, content: str = "typing") -> Frame:
    return {
        "op": "signal",
        "conversation_id": conversation_id,
        "uid": uid,
        "device_sn": device_sn,
        "content": content,
    }


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_user_is_told_on_all_devices(stage: Stage, encoding: str) -> None:
    """All devices of the target hear it in the conversation with the sender, those of others nothing."""
    alice = await stage.live(ALICE, encoding=ENCODINGS[encoding])
    bob = [await stage.live(BOB, 1), await stage.live(BOB, 2, encoding=MSGPACK)]
    carol = await stage.live(CAROL)
    await alice.say(**signal(BOB))
    assert await alice.so_far() == []
    for peer in bob:
        assert await peer.so_far() == [heard(ALICE)]
    assert await carol.so_far() == []


async def test_senders_other_devices_are_told(stage: Stage) -> None:
    """They see it in the conversation with the target; the sending one does not hear itself."""
    sending, other = await stage.live(ALICE, 1), await stage.live(ALICE, 2)
    await sending.say(**signal(BOB))
    assert await sending.so_far() == []
    assert await other.so_far() == [heard(BOB)]


async def test_signal_to_oneself(stage: Stage) -> None:
    """One's own other devices hear it once."""
    sending, other = await stage.live(ALICE, 1), await stage.live(ALICE, 2)
    await sending.say(**signal(ALICE))
    assert await sending.so_far() == []
    assert await other.so_far() == [heard(ALICE)]


async def test_members_of_a_group_are_told(stage: Stage) -> None:
    """Every device of every member but the sending one, whatever it speaks; nobody else."""
    group = await stage.group(ALICE, BOB)
    sending, other = await stage.live(ALICE, 1), await stage.live(ALICE, 2)
    bob = [await stage.live(BOB, 1), await stage.live(BOB, 2, encoding=MSGPACK)]
    carol = await stage.live(CAROL)
    await sending.say(**signal(group, 2))
    assert await sending.so_far() == []
    for peer in (other, *bob):
        assert await peer.so_far() == [heard(group)]
    assert await carol.so_far() == []


async def test_who_left_a_group_hears_nothing_more(stage: Stage) -> None:
    """Signals go to whoever follows the group now."""
    group = await stage.group(ALICE, BOB, CAROL)
    alice, bob, carol = [await stage.live(uid) for uid in (ALICE, BOB, CAROL)]
    await stage.call("POST", "/group/leave", BOB, json={"group_id": group})
    for peer in (alice, bob, carol):
        await peer.until("group", timeline=f"g:{group}")
    await alice.say(**signal(group, 2))
    assert await alice.so_far() == []
    assert "signal" not in ops(await bob.so_far())
    assert heard(group) in await carol.so_far()
    answer = await bob.ask(**signal(group, 2), ref=1)
    assert answer["code"] == 20002


@pytest.mark.two_nodes_once
@pytest.mark.parametrize("ref", [0, 5, "", "a ref"])
async def test_with_a_ref_it_is_answered(stage: Stage, ref: object) -> None:
    """`ok` with the `ref`, and nothing else; numbers may be strings, as in a send."""
    alice = await stage.live(ALICE)
    assert await alice.ask(**signal(str(BOB), "1"), ref=ref) == {"op": "ok", "ref": ref}


async def test_nothing_is_stored(stage: Stage) -> None:
    """Who comes later finds nothing of it: no entry, no conversation, and no user that was not there."""
    alice = await stage.live(ALICE)
    group = await stage.group(ALICE, BOB)
    await alice.until("group", timeline=f"g:{group}")
    counts = (
        "SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM message), (SELECT count(*) FROM timeline)"
    )
    before = await stage.sql(counts)
    for asked in (signal(BOB), signal(group, 2), signal(CAROL), signal(999_999)):
        assert (await alice.ask(**asked, ref=1))["op"] == "ok"
    assert await stage.sql(counts) == before
    assert "signal" not in ops(await (await stage.connect(BOB)).until("live"))


@pytest.mark.two_nodes_once
@pytest.mark.parametrize(
    ("members", "code", "named"),
    [
        ({"target": None}, 10002, "target"),
        ({"target": 0}, 10002, "target"),
        ({"target": [BOB]}, 10002, "target"),
        ({"target": 2**53}, 10002, "target"),
        ({"target": True}, 10002, "target"),
        ({"type": None}, 10002, "type"),
        ({"type": 0}, 10002, "type"),
        ({"type": 3}, 10002, "type"),
        ({"content": None}, 10002, "content"),
        ({"content": 5}, 10002, "content"),
        ({"content": {"a": 1}}, 10002, "content"),
        ({"content": "a\0b"}, 10002, "content"),
        ({"content": "é" * 2_049}, 10002, "content"),
        ({"type": 2, "target": BOB}, 20001, str(BOB)),
        ({"type": 2, "target": 999}, 20001, "999"),
    ],
)
@pytest.mark.parametrize("ref", [None, 7])
async def test_refused_signals(stage: Stage, members: Frame, code: int, named: str, ref: int | None) -> None:
    """A refusal is told with or without a `ref`, and the connection stays."""
    await stage.token(BOB)
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    answer = await alice.ask(**(signal(BOB) | members), ref=ref)
    assert (answer["op"], answer["ref"], answer["code"]) == ("error", ref, code)
    assert named in answer["message"]
    assert await bob.so_far() == []
    assert await alice.ask(**signal(BOB), ref=1) == {"op": "ok", "ref": 1}


async def test_content_at_its_bound(stage: Stage) -> None:
    """4,096 bytes go, and so does an empty string."""
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    for content in ("é" * 2_048, ""):
        assert (await alice.ask(**signal(BOB, content=content), ref=1))["op"] == "ok"
        assert await bob.so_far() == [heard(ALICE, content=content)]


async def test_group_is_no_user(stage: Stage) -> None:
    """The kind of the target must be what `type` says."""
    group = await stage.group(BOB)
    alice = await stage.live(ALICE)
    assert (await alice.ask(**signal(group), ref=1))["code"] == 10002
    assert (await alice.ask(**signal(group, 2), ref=1))["code"] == 20002


async def test_reserved_user_receives_nothing(stage: Stage) -> None:
    """As for a send, the app's reserved user is nobody's peer."""
    app = (await stage.principal(ALICE)).app
    answer = await (await stage.live(ALICE)).ask(**signal(app.system_xid), ref=1)
    assert answer["code"] == 10010


async def test_unknown_user_of_an_app_that_registers(stage: Stage) -> None:
    """Where users are registered, an unknown one is an error."""
    await stage.near.directory.create_app("closed", registered=True)
    ann = await stage.near.store.register(
        (await stage.near.store.app("closed")).id,  # type: ignore[union-attr]
        "ann",
        "",
        0,
    )
    assert ann is not None
    token = await stage.token(ann.xid, app="closed")
    peer = await stage.open({"app_id": "closed"}, headers={"access-token": token})
    await peer.until("live")
    assert (await peer.ask(**signal(999), ref=1))["code"] == 10000


@pytest.mark.parametrize(("blocker", "blocked"), [(ALICE, BOB), (BOB, ALICE)])
async def test_block_stops_signals_both_ways(stage: Stage, blocker: int, blocked: int) -> None:
    """As it stops messages, whoever has set it."""
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    await stage.near.core.roster.block(await stage.principal(blocker), blocked)
    stranger = await stage.live(CAROL)
    answer = await alice.ask(**signal(BOB), ref=1)
    assert answer["code"] == code_of(Kind.BLOCKED)
    assert answer["message"].startswith("target:")
    assert await bob.so_far() == []
    assert (await stranger.ask(**signal(BOB), ref=1))["op"] == "ok"


@pytest.mark.parametrize(
    ("path", "asked"),
    [("/group/ban", {"user_list": [BOB], "duration": 5}), ("/group/settings/ban_all", {"duration": 5})],
)
async def test_who_may_not_speak_in_a_group_may_not_signal(stage: Stage, path: str, asked: Frame) -> None:
    """A ban of one and a ban of all stop signals as they stop messages; who may speak goes on."""
    group = await stage.group(ALICE, BOB)
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    await stage.call("POST", path, ALICE, json={"group_id": group, **asked})
    answer = await bob.ask(**signal(group, 2), ref=1)
    assert (answer["op"], answer["code"]) == ("error", code_of(Kind.BANNED))
    assert "signal" not in ops(await alice.so_far())
    assert (await alice.ask(**signal(group, 2), ref=1))["op"] == "ok"


async def test_apps_do_not_hear_each_other(stage: Stage) -> None:
    """The same ids of another app are other users and groups."""
    await stage.near.directory.create_app("other")
    token = await stage.token(ALICE, app="other")
    stranger = await stage.open({"app_id": "other"}, headers={"access-token": token})
    await stranger.until("live")
    group = await stage.group(ALICE, BOB)
    bob = await stage.live(BOB)
    assert (await stranger.ask(**signal(BOB), ref=1))["op"] == "ok"
    assert (await stranger.ask(**signal(group, 2), ref=1))["code"] == 20001
    assert await bob.so_far() == []
    assert APP != "other"


async def test_nobody_hears_a_signal_before_its_welcome(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that is still attaching is not online yet."""
    group = await stage.group(ALICE, BOB)
    alice = await stage.live(ALICE)
    bearings = stage.gateway.store.bearings

    async def slow(about: Sequence[tuple[int, int, int]]) -> object:
        for asked in (signal(BOB), signal(group, 2)):
            assert (await alice.ask(**asked, ref=1))["op"] == "ok"
        monkeypatch.undo()
        return await bearings(about)

    monkeypatch.setattr(stage.gateway.store, "bearings", slow)
    assert "signal" not in ops(await (await stage.connect(BOB)).until("live"))


async def test_lagging_device_loses_signals(start: Start) -> None:
    """A full transport is not filled further; entries come all the same."""
    stage = await start()
    group = await stage.group(ALICE, BOB)
    alice = await stage.live(ALICE)
    raw = await stage.raw(BOB, lazy=True)
    await raw.until("live")
    sent = 0
    while not stage.connection(BOB).session.lagging:
        await burst(stage, group, sent)
        sent += BURST
    before = stage.connection(BOB).sink.buffered()
    for asked in (signal(BOB), signal(group, 2)):
        assert (await _answer(alice, asked))["op"] == "ok"
    assert stage.connection(BOB).sink.buffered() <= before
    entries = 0
    while entries < sent:
        told = await raw.hear()
        assert told["op"] == "message"
        entries += 1
        if entries % 50 == 0:
            raw.write(text(op="ack", timeline=f"g:{group}", seq=told["seq"]))


async def _answer(peer: Peer, asked: Frame) -> Frame:
    return await peer.ask(**asked, ref="answer")
