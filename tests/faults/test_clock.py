"""A wall clock that jumps, as clocks do on machines that wake up or are set right: a whole node under it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.app import Gateway
from gateway.client.device import Device
from gateway.client.errors import ClosedError, RestError
from gateway.client.rest import Rest
from gateway.config import Config, Retention, Server
from gateway.core.operator import Ask
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import Scope
from gateway.wire.close import Close
from tests.channel.stage import Ticks, until
from tests.patience import patient

NOW_MS = 1_790_000_000_000
DAY_S = 24 * 3600
YEAR_S = 365 * DAY_S


class Clock:
    """The wall clock of the node; it stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms

    def jump(self, *, s: float) -> None:
        self.now_ms += int(s * 1000)


class Node:
    """A gateway in this process, with alice and bob. `clock` is on its wall, `ticks` is the one that does not jump."""

    def __init__(self, gateway: Gateway, clock: Clock, ticks: Ticks, session: aiohttp.ClientSession) -> None:
        self.url = gateway.url
        self.clock = clock
        self.ticks = ticks
        self.session = session
        self.gateway = gateway

    async def grant(self, user: str, ttl_s: int | None = None) -> dict[str, Any]:
        return await self.gateway.operator.do(Ask(verb="token", app="demo", user=user, ttl_s=ttl_s))

    async def rest(self, user: str) -> Rest:
        return Rest(self.url, "demo", (await self.grant(user))["token"], self.session)

    async def device(self, user: str) -> Device:
        return Device(self.url, "demo", (await self.grant(user))["token"], device_sn=1)

    def wait(self, ms: int) -> None:
        """Let time pass, and the gateway look at who is due."""
        self.ticks.move(ms)
        self.gateway.hub._wheel.turn()

    async def ready(self) -> int:
        async with self.session.get(f"{self.url}/readyz") as answer:
            return answer.status


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    clock, ticks = Clock(), Ticks()
    monkeypatch.setattr("gateway.app.now_ms", clock)
    monkeypatch.setattr("gateway.app.ticks_ms", ticks)
    config = Config(
        server=Server(port=0, data=str(tmp_path / "data")),
        retention=Retention(days=30),
        limits=patient(Limits()),
    )
    gateway = await Gateway.start(config)
    try:
        await gateway.operator.do(Ask(verb="create", app="demo"))
        async with aiohttp.ClientSession() as session:
            yield Node(gateway, clock, ticks, session)
    finally:
        await gateway.stop()


async def send_through_jumps(node: Node) -> list[int]:
    """Alice sends to Bob before and after each of three jumps; the ids in the order of the answers."""
    alice, bob = await node.rest("alice"), (await node.grant("bob"))["xid"]
    ids = []
    for jump_s in (0, -DAY_S, 3 * DAY_S, -YEAR_S):
        node.clock.jump(s=jump_s)
        ids += await alice.send(Scope.USER, [bob], str(jump_s))
    return ids


async def test_sends_go_on_and_their_ids_rise(node: Node) -> None:
    """Ids come from a counter, not from a clock."""
    ids = await send_through_jumps(node)
    assert ids == sorted(set(ids))
    assert len(ids) == 4


async def test_history_is_in_the_order_of_the_commits(node: Node) -> None:
    """The newest is the one that was sent last, whatever its timestamp says; the timestamps are the clock's."""
    ids = await send_through_jumps(node)
    page = await (await node.rest("bob")).conversation((await node.grant("alice"))["xid"])
    assert [message["msg_id"] for message in page["messages"]] == ids[::-1]
    days = [(message["timestamp"] - NOW_MS) // (DAY_S * 1000) for message in page["messages"]]
    assert days == [2 - 365, 2, -1, 0]


async def test_devices_see_dense_seqs(node: Node) -> None:
    """A device that is connected through all of it gets every entry, in the order of the commits."""
    async with await node.device("bob") as device:
        ids = await send_through_jumps(node)
        seen: list[dict[str, Any]] = []
        async for frame in device:
            seen += [frame] if frame["op"] == "message" else []
            if len(seen) == len(ids):
                break
    assert [(frame["seq"], frame["message"]["msg_id"]) for frame in seen] == list(enumerate(ids, 1))


async def heartbeats(node: Node, ws: aiohttp.ClientWebSocketResponse, count: int) -> None:
    """Let so many heartbeats pass, and answer each; anything that ends the connection fails."""
    [connection] = node.gateway.hub.connections
    for _ in range(count):
        # A look comes a little later than the answer to the last ping would have it.
        node.wait(Limits().heartbeat_ms * 5 // 4)
        message = await ws.receive()
        assert message.type is aiohttp.WSMsgType.PING, message
        await ws.pong(message.data)
        await until(lambda: connection.session.heard_at == node.ticks.at, "the pong")


@pytest.mark.parametrize("jump_s", [YEAR_S, -YEAR_S])
async def test_a_jump_disconnects_nobody(node: Node, jump_s: int) -> None:
    """Neither as silent nor as expired: a connection's time runs on a clock that does not jump."""
    token = (await node.grant("bob"))["token"]
    url = f"{node.url}/ws?app_id=demo&device_sn=1"
    async with node.session.ws_connect(url, headers={"access-token": token}, autoping=False) as ws:
        assert [msgspec.json.decode((await ws.receive()).data)["op"] for _ in range(2)] == ["welcome", "live"]
        await heartbeats(node, ws, 1)
        node.clock.jump(s=jump_s)
        await heartbeats(node, ws, 4)


async def end_of(device: Device, on_live: Callable[[], object]) -> int:
    """The code with which the server sends a device away for good."""
    try:
        async with device:
            async for frame in device:
                if frame["op"] == "live":
                    on_live()
    except ClosedError as closed:
        return closed.code
    return 0


async def test_a_token_ends_on_time_though_the_clock_was_set_back(node: Node) -> None:
    """What was left of a token's life at attach is all that its connection has."""
    token = (await node.grant("bob", ttl_s=60))["token"]
    node.clock.jump(s=59.8)
    device = Device(node.url, "demo", token, device_sn=1)

    def on_live() -> None:
        node.clock.jump(s=-YEAR_S)
        node.wait(200)

    assert await end_of(device, on_live) == Close.TOKEN_EXPIRED


async def test_a_new_connection_judges_the_token_by_the_clock(node: Node) -> None:
    """A device that comes after the jump is refused."""
    device = await node.device("bob")
    node.clock.jump(s=YEAR_S)
    assert await end_of(device, on_live=pytest.fail) == Close.TOKEN_EXPIRED


async def test_a_token_is_expired_while_the_clock_says_so(node: Node) -> None:
    """Refused after a jump forward, and good again when the clock was set right, though it was remembered."""
    alice = await node.rest("alice")
    assert await alice.unread() == []
    node.clock.jump(s=YEAR_S)
    with pytest.raises(RestError) as refused:
        await alice.unread()
    assert refused.value.code == 402
    node.clock.jump(s=-YEAR_S)
    assert await alice.unread() == []


async def test_a_token_from_the_future_is_good(node: Node) -> None:
    """One that was issued before the clock was set back is no forgery."""
    alice = await node.rest("alice")
    node.clock.jump(s=-YEAR_S)
    assert await alice.unread() == []


async def test_a_repeat_after_a_jump_is_a_repeat(node: Node) -> None:
    """A transaction_id is remembered for as long as its message is there, not for a time."""
    bob = (await node.grant("bob"))["xid"]
    first = await (await node.rest("alice")).send(Scope.USER, [bob], "pay", transaction_id=7)
    node.clock.jump(s=YEAR_S)
    assert await (await node.rest("alice")).send(Scope.USER, [bob], "pay", transaction_id=7) == first


@pytest.mark.parametrize("jump_s", [YEAR_S, -YEAR_S])
async def test_readiness_is_proved_anew(node: Node, monkeypatch: pytest.MonkeyPatch, jump_s: int) -> None:
    """A proof of health that is very old, or seems to be from the future, does not hide a store that broke since."""
    assert await node.ready() == HTTPStatus.OK

    async def broken() -> None:
        raise Problem(Kind.STORE_FAILED, "the store is broken")

    monkeypatch.setattr(node.gateway.store, "probe", broken)
    node.clock.jump(s=jump_s)
    assert await node.ready() == HTTPStatus.SERVICE_UNAVAILABLE


async def test_a_jump_ahead_removes_nothing(node: Node) -> None:
    """Retention halts and says so; the node is ready all the same, and goes on when an operator says so."""
    bob = (await node.grant("bob"))["xid"]
    await node.gateway.retention.sweep()
    await (await node.rest("alice")).send(Scope.USER, [bob], "kept")
    node.clock.jump(s=YEAR_S)
    assert await node.gateway.retention.sweep() == 0
    alice = await node.rest("alice")
    assert len((await alice.conversation(bob))["messages"]) == 1
    assert await node.ready() == HTTPStatus.OK
    order = node.gateway.operator.do
    assert (await order(Ask(verb="retention")))["halted_at"] == node.clock.now_ms
    assert (await order(Ask(verb="resume-retention")))["halted_at"] == 0
    assert await node.gateway.retention.sweep() == 1
    assert (await alice.conversation(bob))["messages"] == []
