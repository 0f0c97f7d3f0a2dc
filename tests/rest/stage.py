"""A whole gateway in the test's own process, and callers who speak to it over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from gateway.app import Gateway
from gateway.config import Edge
from gateway.core.passwords import Cost, Passwords
from gateway.domain.limits import Limits
from tests import shapes
from tests.patience import WAIT_S

Json = dict[str, Any]

ALICE, BOB, CAROL = 118, 119, 120


class Answer:
    """What came back for one call."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def envelope(self) -> Json:
        found: Json = json.loads(self.body)
        return found

    @property
    def code(self) -> int:
        found: int = self.envelope["code"]
        return found

    @property
    def data(self) -> Any:
        """What a success holds; whatever was refused fails the test here, with its sentence."""
        assert self.code == 200, self.envelope
        return self.envelope["data"]

    @property
    def done(self) -> bool:
        """Whether it is the plain yes of a call that is a yes or no."""
        return (self.status, self.envelope) == (200, {"code": 200, "message": None, "data": True})

    def refused(self, code: int, *words: str) -> bool:
        """Whether it is a whole refusal with this code, and its sentence has these words."""
        told = self.envelope
        assert told["code"] == code, told
        assert set(told) == {"code", "message", "data"}
        assert told["data"] is None
        for word in words:
            assert word in told["message"], told
        return True


class Caller:
    """Whoever calls with the same headers each time."""

    def __init__(self, node: Node, headers: dict[str, str], xid: int = 0) -> None:
        self.node = node
        self.headers = headers
        self.xid = xid

    async def call(self, verb: str, path: str, body: object = None, /, **query: object) -> Answer:
        """Call; a body of bytes goes as it is, any other as JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        url = URL(self.node.url + path).with_query({name: str(value) for name, value in query.items()})
        async with self.node.http.request(verb, url, data=body, headers=self.headers) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, /, **query: object) -> Answer:
        return await self.call("GET", path, **query)

    async def post(self, path: str, body: object = None, /, **query: object) -> Answer:
        return await self.call("POST", path, body, **query)

    async def ask_send(self, targets: object, content: object = "hi", /, **members: object) -> Answer:
        """Send a text, with the members given in place of the usual ones; None leaves one out."""
        return await self.post("/message/send", order(targets, content, **members))

    async def send(self, target: int, content: str = "hi", /, **members: object) -> int:
        """Send one message to a user; its id."""
        answer = await self.ask_send([target], content, **members)
        assert answer.data is True
        [msg_id] = answer.envelope["msg_ids"]
        return int(msg_id)

    async def tell(self, group: int, content: str = "hi", /, **members: object) -> int:
        """Send one message to a group; its id."""
        return await self.send(group, content, type=2, **members)

    async def notify(self, target: int, content: str = "hi", /, **members: object) -> int:
        answer = await self.post("/message/notify", order([target], content, **members))
        assert answer.data is True
        [msg_id] = answer.envelope["msg_ids"]
        return int(msg_id)

    async def recall(self, conversation: int, msg_id: int) -> Answer:
        return await self.post("/message/recall", {"conversation_id": conversation, "msg_id": msg_id})

    async def page(self, opposite: int, /, **query: object) -> Json:
        found: Json = (await self.get("/message/conversation", opposite_id=opposite, **query)).data
        return found

    async def history(self, opposite: int, /, **query: object) -> list[Any]:
        """The contents of one page."""
        return [item["content"] for item in (await self.page(opposite, **query))["messages"]]

    async def statuses(self, opposite: int) -> list[str]:
        """The statuses of the newest page."""
        return [item["status"] for item in (await self.page(opposite))["messages"]]

    async def delete(self, conversation: int) -> Answer:
        return await self.call("DELETE", "/message/conversation", conversation_id=conversation)

    async def ack(self, **query: object) -> Answer:
        return await self.get("/message/ack", **query)

    async def unread(self) -> list[tuple[int, int]]:
        """The recent list as pairs of conversation and number."""
        found = (await self.get("/message/unread")).data
        return [(item["conversation_id"]["uid"], item["num"]) for item in found]

    async def group(self, *members: int, kind: int = 0) -> int:
        """Make a group; its id."""
        answer = await self.post("/group/create", {"name": "g", "type": kind, "user_list": list(members)})
        return int(answer.data["group_id"])

    async def change(self, what: str, group: int, *users: int) -> Answer:
        """Invite, kick, leave or destroy."""
        return await self.post(
            f"/group/{what}", {"group_id": group, **({"user_list": list(users)} if users else {})}
        )

    async def members(self, group: int) -> list[int]:
        found = (await self.get("/group/member_list", group_id=group)).data
        return [member["user_id"] for member in found]

    @asynccontextmanager
    async def device(self, device_sn: int) -> AsyncIterator[Device]:
        """One device of this user, connected."""
        url = URL(f"{self.node.far.url}/ws").with_query(device_sn=str(device_sn))
        async with self.node.http.ws_connect(url, headers=self.headers) as socket:
            yield Device(self.node, socket)


class Device:
    """A device connection as its client sees it."""

    def __init__(self, node: Node, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._node = node
        self._socket = socket

    async def hear(self, op: str) -> list[Json]:
        """All frames up to the first of this kind, which is the last of them."""
        frames: list[Json] = []
        async with asyncio.timeout(WAIT_S):
            while not frames or frames[-1]["op"] != op:
                frames.append(await self._socket.receive_json())
        return frames

    async def hear_one(self) -> Json:
        """The next frame."""
        async with asyncio.timeout(WAIT_S):
            return dict(await self._socket.receive_json())

    async def ask(self, op: str, **members: object) -> Json:
        """Say something that is answered; the answer."""
        await self._socket.send_json({"op": op, "ref": "r", **members})
        async with asyncio.timeout(WAIT_S):
            while (frame := await self._socket.receive_json()).get("ref") != "r":
                pass
        return dict(frame)

    async def ack(self, timeline: str, seq: int) -> None:
        """Acknowledge, and see it committed."""
        await self._socket.send_json({"op": "ack", "timeline": timeline, "seq": seq})
        assert (await self.ask("ping"))["op"] == "pong"
        await self._node.far.receipts.flush()


class Node:
    """A running gateway with an app `demo`. Devices are on the `far` node, which may be the same."""

    def __init__(self, gateway: Gateway, far: Gateway, folder: Path, http: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.far = far
        self.folder = folder
        self.http = http
        self.url = gateway.url

    def caller(self, app_id: str | None = "demo", token: str | None = None, /, **headers: object) -> Caller:
        """Whoever shows these headers; None and absent ones are not sent."""
        named = {"app_id": app_id, "access-token": token, **headers}
        return Caller(self, {name: str(value) for name, value in named.items() if value is not None})

    async def token(self, user: int | None, app_id: str = "demo") -> str:
        grant = await self.gateway.directory.token_for(app_id, None if user is None else str(user))
        return grant.token

    async def user(self, xid: int, app_id: str = "demo", /, **headers: object) -> Caller:
        caller = self.caller(app_id, await self.token(xid, app_id), **headers)
        caller.xid = xid
        return caller

    async def users(self, *xids: int, app_id: str = "demo") -> list[Caller]:
        return [await self.user(xid, app_id) for xid in xids]

    async def admin(self, app_id: str = "demo", /, **headers: object) -> Caller:
        caller = self.caller(app_id, await self.token(None, app_id), **headers)
        app = await self.gateway.store.app(app_id)
        assert app is not None
        caller.xid = app.system_xid
        return caller

    async def greeted(self) -> None:
        """Wait until nothing is to be asked of the store about devices that have come.

        On two nodes that may meet a change of a user before the note of it comes, and then says so in its own words.
        """
        async with asyncio.timeout(WAIT_S):
            while self.far.presence._newcomers:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.001)

    def rows(self, sql: str, *values: object) -> list[Any]:
        """Ask the store's own tables, or change them behind the gateway's back."""
        if shapes.shape.two:
            return shapes.rows_of_database(self.folder, sql, *values)
        with sqlite3.connect(self.folder / "gateway.db", timeout=WAIT_S) as conn:
            found = conn.execute(sql, values).fetchall()
        conn.close()
        return found

    async def raw(self, sent: bytes | Sequence[bytes], *, until: asyncio.Event | None = None) -> bytes:
        """Write bytes to a new connection and read until the other side closes it.

        With `until` this side closes its half after that.
        """
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        async with asyncio.timeout(WAIT_S):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                for part in [sent] if isinstance(sent, bytes) else sent:
                    writer.write(part)
                    await writer.drain()
                if until is not None:
                    await until.wait()
                    writer.write_eof()
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()


def order(targets: object, content: object = "hi", /, **members: object) -> Json:
    """The body of a text to users, with the members given in place of the usual ones; None leaves one out."""
    asked = {"type": 1, "targets": targets, "content_type": 0, "content": content, **members}
    return {name: value for name, value in asked.items() if value is not None}


@asynccontextmanager
async def open_node(
    folder: Path, limits: Limits | None = None, edge: Edge | None = None, **sections: Any
) -> AsyncIterator[Node]:
    """Start a gateway on a folder, with an app `demo` where there is none."""
    async with shapes.open_gateways(folder, limits or Limits(), edge or Edge(), **sections) as (gateway, far):
        if await gateway.store.app("demo") is None:
            await gateway.directory.create_app("demo")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT_S)) as http:
            yield Node(gateway, far, folder, http)


def cheap_passwords(node: Node) -> None:
    """Let passwords cost next to nothing: what they cost is tested elsewhere."""
    node.gateway.directory._passwords.close()
    node.gateway.directory._passwords = Passwords(Limits(), os.urandom, Cost(ln=1, r=1, p=1))
