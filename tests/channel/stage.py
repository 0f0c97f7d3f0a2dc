"""A gateway in this process, and devices that speak to it over real sockets."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import WSMsgType

from gateway.app import Gateway
from gateway.config import Edge
from gateway.core.connection import Connection
from gateway.core.principal import Principal
from gateway.domain.limits import Limits
from gateway.wire.encoding import JSON, MSGPACK, Encoding
from tests import shapes
from tests.channel.raw import Raw, handshake
from tests.patience import WAIT_S
from tests.sqlite import inside

Frame = dict[str, Any]

ALICE, BOB, CAROL, DAVE = 11, 12, 13, 14
APP = "demo"

LIMITS = Limits(
    ack_flush_ms=10,
    reorder_grace_ms=5,
    drain_ms=3_600_000,
    device_requests_per_s=1_000_000,
    device_requests_burst=1_000_000,
    signals_per_s=1_000_000,
    signals_burst=1_000_000,
)
"""Times short enough for a test to see them pass, a drain that ends when it is done, and rates that only the tests of
rates meet."""


class Ticks:
    """A clock for silence and rates that stands still until a test moves it, however slow the machine is."""

    def __init__(self) -> None:
        self.at = 1_000_000

    def __call__(self) -> int:
        return self.at

    def move(self, ms: int) -> int:
        self.at += ms
        return self.at


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait until `condition()` is true, turn by turn of the loop."""
    ends = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < ends, f"{what} did not come true"
        await asyncio.sleep(0)


async def at_once() -> None:
    """A gateway has heard what it did itself."""


@dataclasses.dataclass(frozen=True)
class End:
    """How a connection ended: the frames before its `bye`, the `bye`, and the close code."""

    frames: list[Frame]
    bye: Frame
    code: int | None


class Peer:
    """One device connection, seen from the client."""

    def __init__(
        self, ws: aiohttp.ClientWebSocketResponse, heard: Callable[[], Awaitable[None]] = at_once
    ) -> None:
        self.ws = ws
        self._heard = heard
        self.encoding = MSGPACK if ws.protocol == MSGPACK.subprotocol else JSON
        self.kind = WSMsgType.BINARY if self.encoding.binary else WSMsgType.TEXT
        self.welcome: Frame = {}
        self._pings = 0

    async def receive(self) -> aiohttp.WSMessage:
        async with asyncio.timeout(WAIT_S):
            message: aiohttp.WSMessage = await self.ws.receive()
            return message

    async def hear(self) -> Frame:
        """Return the next frame; a close is not expected."""
        message = await self.receive()
        assert message.type is self.kind, f"{message.type!r} {self.ws.close_code} {message.extra}"
        return self.told(message)

    def told(self, message: aiohttp.WSMessage) -> Frame:
        decode = msgspec.msgpack.decode if self.encoding.binary else msgspec.json.decode
        frame: Frame = decode(message.data)
        return frame

    async def until(self, op: str, **members: object) -> list[Frame]:
        """Return the frames up to the first of this `op` (with these members), which is the last of them."""
        frames = [await self.hear()]
        while frames[-1]["op"] != op or any(frames[-1].get(name) != value for name, value in members.items()):
            frames.append(await self.hear())
        return frames

    async def take(self, count: int) -> list[Frame]:
        return [await self.hear() for _ in range(count)]

    async def so_far(self) -> list[Frame]:
        """Return what there is for this device now: what is written until a ping that is sent now is answered."""
        await self._heard()
        self._pings += 1
        await self.say(op="ping", ref=f"so far {self._pings}")
        return (await self.until("pong", ref=f"so far {self._pings}"))[:-1]

    async def end(self) -> End:
        """Read until the server has closed."""
        frames: list[Frame] = []
        while (message := await self.receive()).type is self.kind:
            frames.append(self.told(message))
        assert frames, f"closed by {self.ws.close_code} without a bye"
        assert [frame["op"] for frame in frames].count("bye") == 1
        assert frames[-1]["op"] == "bye"
        return End(frames[:-1], frames[-1], self.ws.close_code)

    async def say(self, **frame: Any) -> None:
        if self.encoding.binary:
            await self.ws.send_bytes(msgspec.msgpack.encode(frame))
        else:
            await self.ws.send_str(msgspec.json.encode(frame).decode())

    async def ask(self, **frame: Any) -> Frame:
        """Say a request and return its answer; other frames before it are dropped."""
        await self.say(**frame)
        while (answer := await self.hear())["op"] not in ("ok", "error"):
            pass
        return answer

    async def ack(self, seq: int, timeline: str = "user") -> None:
        await self.say(op="ack", timeline=timeline, seq=seq)

    async def close(self) -> None:
        await self.ws.close()

    def cut(self) -> None:
        """End the connection as a broken network would."""
        transport = self.ws.get_extra_info("socket") and self.ws._conn and self.ws._conn.transport
        assert transport
        transport.abort()


class Stage:
    """A running gateway and whoever talks to it: devices to `gateway`, backends to `near`, which may be the same."""

    def __init__(self, near: Gateway, gateway: Gateway, http: aiohttp.ClientSession) -> None:
        self.near = near
        self.gateway = gateway
        self.http = http
        self.hub = gateway.hub
        self._ears = shapes.Ears(near, gateway) if near is not gateway else None
        self.encoding = JSON
        """What devices speak that are not told otherwise."""
        self.peers: list[Peer] = []
        self.raws: list[Raw] = []

    @property
    def port(self) -> int:
        return int(self.gateway.url.rpartition(":")[2])

    # -- REST -------------------------------------------------------------------------------------------

    async def token(self, uid: int | None, *, app: str = APP, ttl_s: int | None = None) -> str:
        """A token for a user, or for the app's administrator."""
        user = None if uid is None else str(uid)
        return (await self.near.directory.token_for(app, user, ttl_s)).token

    async def principal(self, uid: int) -> Principal:
        return await self.near.directory.principal(APP, await self.token(uid), None, None)

    async def call(self, verb: str, path: str, uid: int | None, *, ok: bool = True, **asked: Any) -> Frame:
        """Make a REST call as a user (None: as the administrator) and return the envelope."""
        headers = {"app_id": APP, "access-token": await self.token(uid)}
        url = self.near.url + path
        async with self.http.request(verb, url, headers=headers, **asked) as response:
            answer: Frame = await response.json()
        assert not ok or answer["code"] == 200, answer
        return answer

    async def send(
        self, sender: int, target: int, content: str = "hello", scope: int = 1, **more: Any
    ) -> int:
        """Send a message by REST and return its id."""
        body = {"type": scope, "targets": [target], "content_type": 0, "content": content, **more}
        msg_id: int = (await self.call("POST", "/message/send", sender, json=body))["msg_ids"][0]
        return msg_id

    async def send_many(self, sender: int, target: int, count: int, scope: int = 1) -> list[int]:
        return [await self.send(sender, target, str(number), scope) for number in range(1, count + 1)]

    async def status(self, asker: int, opposite: int, msg_id: int) -> str:
        """Return a message's status as REST tells it."""
        query = {"opposite_id": str(opposite), "msg_id_start": str(msg_id), "limit": "1"}
        page = (await self.call("GET", "/message/conversation", asker, params=query))["data"]
        [message] = page["messages"]
        assert message["msg_id"] == msg_id
        status: str = message["status"]
        return status

    async def group(self, owner: int, *members: int) -> int:
        answer = await self.call(
            "POST", "/group/create", owner, json={"name": "g", "user_list": list(members)}
        )
        xid: int = answer["data"]["group_id"]
        return xid

    # -- devices ----------------------------------------------------------------------------------------

    async def open(self, query: dict[str, str] | None = None, **options: Any) -> Peer:
        """Open a connection that has said nothing yet."""
        url = self.gateway.url + "/ws"
        async with asyncio.timeout(WAIT_S):
            ws = await self.http.ws_connect(url, params=query or {}, **({"max_msg_size": 0} | options))
        peer = Peer(ws, self.heard)
        self.peers.append(peer)
        return peer

    async def connect(
        self, uid: int, device_sn: int = 1, *, encoding: Encoding | None = None, **options: Any
    ) -> Peer:
        """Attach a device by its token in the handshake, and hear its `welcome`."""
        headers = {"access-token": options.pop("token", None) or await self.token(uid)}
        query = {"app_id": APP, "device_sn": str(device_sn)}
        protocols = ((encoding or self.encoding).subprotocol,)
        peer = await self.open(query, headers=headers, protocols=protocols, **options)
        peer.welcome = await peer.hear()
        assert peer.welcome["op"] == "welcome", peer.welcome
        return peer

    async def hello(self, uid: int, device_sn: int = 1, **members: Any) -> Peer:
        """Attach a device by `hello`, and hear its `welcome`."""
        peer = await self.open(protocols=(self.encoding.subprotocol,))
        token = await self.token(uid)
        await peer.say(op="hello", token=token, app_id=APP, device_sn=device_sn, **members)
        peer.welcome = await peer.hear()
        assert peer.welcome["op"] == "welcome", peer.welcome
        return peer

    async def live(self, uid: int, device_sn: int = 1, *, encoding: Encoding | None = None) -> Peer:
        """Attach a device and read on until it is live."""
        peer = await self.connect(uid, device_sn, encoding=encoding)
        await peer.until("live")
        return peer

    async def socket(self, *, lazy: bool = False) -> Raw:
        """Open a connection that has not even asked for an upgrade."""
        raw = await Raw.connect(self.port, lazy=lazy)
        self.raws.append(raw)
        return raw

    async def raw(self, uid: int, device_sn: int = 1, *, lazy: bool = False) -> Raw:
        """Attach a device of bare bytes by its token in the handshake."""
        raw = await self.socket(lazy=lazy)
        query = f"app_id={APP}&device_sn={device_sn}"
        raw.write(handshake(self.port, f"/ws?{query}", access_token=await self.token(uid)))
        assert (await raw.head()).startswith(b"HTTP/1.1 101")
        return raw

    async def gone(self) -> None:
        """End all devices and wait until the gateway has forgotten them."""
        for raw in self.raws:
            raw.cut()
        for peer in self.peers:
            await peer.close()
        await until(lambda: self.empty, "the hub being empty")

    @property
    def empty(self) -> bool:
        """Whether nothing of any connection is left."""
        hub, channel = self.hub, self.gateway.channel
        return not (
            hub.connections
            or hub._topics
            or hub._attached
            or hub._lagging
            or hub.fetches.waiting
            or channel._open
        )

    @property
    def sockets(self) -> list[Any]:
        """The sockets that the gateway's port holds, and those of devices that are about to end."""
        assert self.gateway._port is not None
        return [*self.gateway._port.connections, *self.gateway.channel._parting]

    def connection(self, uid: int) -> Connection:
        """The gateway's side of a user's only device."""
        [connection] = [found for found in self.hub.connections if found.user.xid == uid]
        return connection

    async def heard(self) -> None:
        """Wait until the gateway has heard what requests to the other one have brought about."""
        if self._ears is not None:
            await self._ears.heard()
            await until(lambda: not self.hub.fetches.waiting, "what was heard of being read")

    async def parted(self) -> None:
        """Wait until every connection that has ended is known to have, to either gateway."""
        await until(lambda: not self.hub.connections, "the end of all connections")
        await self.gateway.presence.connected(0)

    async def greeted(self) -> None:
        """Wait until nothing is to be asked of the store about those who have come.

        On two nodes that may meet a change of a user before the note of it comes, and then says so in its own words.
        """
        await until(lambda: not self.gateway.presence._newcomers, "what the store says of newcomers")

    async def acked(self) -> None:
        """Wait until every ack that was said is committed."""
        await self.gateway.receipts.flush()

    def ticked(self, uid: int) -> Connection:
        """Have the gateway look at whoever is due, now and not soon; return its side of a user's only device."""
        self.hub._wheel.turn()
        return self.connection(uid)

    # -- the store --------------------------------------------------------------------------------------

    async def sql(self, statement: str, *values: object) -> list[Any]:
        """Run a statement in the store's writer lane."""
        if shapes.shape.two:
            return shapes.rows_of_database(shapes.shape.folders[0], statement, *values)

        def work(conn: sqlite3.Connection) -> list[Any]:
            return conn.execute(statement, values).fetchall()

        return await inside(self.gateway.store)._write(work)

    async def cursors(self, uid: int, device_sn: int = 1) -> list[int]:
        """Return the stored cursors of a device, by timeline."""
        found = await self.sql(
            """SELECT c.seq FROM cursor AS c JOIN timeline AS t ON t.id = c.usr
            WHERE t.xid = ? AND c.sn = ? ORDER BY c.t""",
            uid,
            device_sn,
        )
        return [seq for (seq,) in found]


@asynccontextmanager
async def open_stage(folder: Path, limits: Limits = LIMITS, edge: Edge = Edge()) -> AsyncIterator[Stage]:  # noqa: B008 - frozen
    """A gateway on a free port with the app `demo`; at the end everything is closed, and nothing is left."""
    async with shapes.open_gateways(folder, limits, edge) as (near, gateway):
        await near.directory.create_app(APP)
        async with aiohttp.ClientSession() as http:
            stage = Stage(near, gateway, http)
            try:
                yield stage
            finally:
                await stage.gone()


def seqs(frames: list[Frame], timeline: str = "user") -> list[int]:
    """Return the seqs of one timeline's entries, in the order they came."""
    return [frame["seq"] for frame in frames if frame.get("timeline") == timeline and "seq" in frame]


def contents(frames: list[Frame]) -> list[str]:
    return [frame["message"]["content"] for frame in frames if frame["op"] == "message"]


def ops(frames: list[Frame]) -> list[str]:
    return [frame["op"] for frame in frames]
