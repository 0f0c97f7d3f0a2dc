"""What one app may use on the device channel: connections, and its rate of sends."""

from __future__ import annotations

from gateway.core.operator import Ask
from gateway.wire.close import Close
from tests.channel.conftest import Start
from tests.channel.raw import handshake
from tests.channel.stage import ALICE, APP, BOB, CAROL, Peer, Stage, Ticks, until


async def limit(stage: Stage, **limits: int) -> None:
    """Set limits of the app as the command does, for every node."""
    await stage.near.operator.do(Ask(verb="limits", app=APP, limits=limits))
    await stage.heard()


async def connections(stage: Stage) -> int:
    """How many devices of the app are connected, as the command shows of the node they are on."""
    shown: dict[str, int] = await stage.gateway.operator.do(Ask(verb="limits", app=APP))
    return shown["connections"]


async def refused_by_token(stage: Stage, uid: int, device_sn: int = 1) -> None:
    peer = await stage.open(
        {"app_id": APP, "device_sn": str(device_sn)},
        headers={"access-token": await stage.token(uid)},
        protocols=("gateway.v1",),
    )
    await told_to_come_back(peer)


async def refused_by_hello(stage: Stage, uid: int, device_sn: int = 1) -> None:
    peer = await stage.open(protocols=("gateway.v1",))
    await peer.say(op="hello", token=await stage.token(uid), app_id=APP, device_sn=device_sn)
    await told_to_come_back(peer)


async def told_to_come_back(peer: Peer) -> None:
    ended = await peer.end()
    assert (ended.code, ended.frames) == (Close.OVERLOADED, [])
    assert "at most 2 devices of this app" in ended.bye["reason"]
    assert 5_000 <= ended.bye["retry_after_ms"] < 10_000


async def test_no_more_devices_than_the_app_may_have(stage: Stage) -> None:
    """Over the limit a new device is told when to come back, on both roads, whoever's it is."""
    await limit(stage, connections_max=2)
    await stage.live(ALICE)
    await stage.live(BOB)
    await refused_by_token(stage, CAROL)
    await refused_by_hello(stage, CAROL)
    await refused_by_token(stage, ALICE, 2)
    assert await connections(stage) == 2


async def test_replacing_ones_own_device_is_not_a_new_one(stage: Stage) -> None:
    """The device that comes back takes its own place, however often, and the count stays true."""
    await limit(stage, connections_max=2)
    await stage.live(ALICE)
    await stage.live(BOB)
    for _ in range(3):
        await stage.live(ALICE)
    assert await connections(stage) == 2


async def test_who_goes_makes_room(stage: Stage) -> None:
    """A place is free once its device is gone."""
    await limit(stage, connections_max=2)
    alice = await stage.live(ALICE)
    await stage.live(BOB)
    await alice.close()
    await until(lambda: len(stage.hub.connections) == 1, "the device being forgotten")
    await stage.live(CAROL)
    await stage.gone()
    assert await connections(stage) == 0
    assert not stage.hub.connections_by_app


async def test_a_failed_attach_holds_no_place(stage: Stage) -> None:
    """Who is refused for another reason is not counted."""
    await limit(stage, connections_max=2)
    raw = await stage.socket()
    raw.write(handshake(stage.port, f"/ws?app_id={APP}&device_sn=1", access_token="nonsense"))
    await raw.head()
    peer = await stage.open({"app_id": APP}, headers={"access-token": "nonsense"}, protocols=("gateway.v1",))
    assert (await peer.end()).code == Close.TOKEN_ILLEGAL
    assert await connections(stage) == 0


async def test_another_apps_devices_are_not_counted(stage: Stage) -> None:
    """A full app leaves the others their devices."""
    await stage.near.directory.create_app("other")
    await limit(stage, connections_max=1)
    await stage.live(ALICE)
    query = {"app_id": "other", "device_sn": "1"}
    headers = {"access-token": await stage.token(ALICE, app="other")}
    peer = await stage.open(query, headers=headers, protocols=("gateway.v1",))
    assert (await peer.hear())["op"] == "welcome"


async def test_a_lower_limit_cuts_nobody_off(stage: Stage) -> None:
    """Whoever is connected stays."""
    alice, bob = await stage.live(ALICE), await stage.live(BOB)
    await limit(stage, connections_max=1)
    for peer in (alice, bob):
        assert await peer.so_far() == []


async def test_a_send_over_the_rate(start: Start, ticks: Ticks) -> None:
    """`error` with code 60004 and when to come back; the limit holds for a device that was there before it."""
    stage = await start(rate_wait_ms=20)
    alice = await stage.live(ALICE)
    text = {"op": "send", "type": 1, "content_type": 0, "content": "hi"}
    assert (await alice.ask(ref=1, targets=[BOB], **text))["op"] == "ok"
    await limit(stage, sends_per_s=1)
    assert (await alice.ask(ref=2, targets=[BOB, CAROL, 14], **text))["op"] == "ok"
    error = await alice.ask(ref=3, targets=[BOB], **text)
    assert (error["op"], error["ref"], error["code"]) == ("error", 3, 60004)
    assert 1_000 <= error["retry_after_ms"] <= 3_000
    await limit(stage, sends_per_s=0)
    assert (await alice.ask(ref=4, targets=[BOB], **text))["op"] == "ok"


async def test_a_message_too_large_for_the_app(stage: Stage) -> None:
    """`error` with code 10002, as in REST."""
    alice = await stage.live(ALICE)
    await limit(stage, message_bytes_max=3)
    error = await alice.ask(op="send", ref=1, type=1, targets=[BOB], content_type=0, content="four")
    assert (error["op"], error["code"]) == ("error", 10002)
