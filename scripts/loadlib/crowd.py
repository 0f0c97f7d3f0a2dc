"""The users of a run: their tokens, groups, devices and callers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from typing import NamedTuple

from scripts.loadlib.device import DeviceLink, Plan
from scripts.loadlib.sender import Caller, Principal
from scripts.loadlib.server import Signer

_CONNECTS_AT_ONCE = 64
_LIVE_TIMEOUT_S = 30
_GROUP_PAGE = 1_000
_PORTS_PER_ADDRESS = 25_000
_ACK_SLICES = 20


class Target(NamedTuple):
    """The server: a loopback address, its process (0: not known), and who signs the tokens.

    `cores` are the ones that the server and the load are pinned to, None where they are not. `receiver` is the port and
    the process of another node that the devices connect to, None where they connect to this one.
    """

    host: str
    port: int
    pid: int
    signer: Signer
    machine: str
    cores: tuple[int, int] | None = None
    receiver: tuple[int, int] | None = None

    @property
    def device_port(self) -> int:
        """Where devices connect."""
        return self.receiver[0] if self.receiver else self.port

    @property
    def device_pid(self) -> int:
        """Whose work the deliveries are."""
        return self.receiver[1] if self.receiver else self.pid


class Crowd:
    """Users, the first `devices` of whom have one device each. They are new ones: nothing older is in the way."""

    def __init__(self, target: Target, devices: int, users: int = 0) -> None:
        self.devices = devices
        self.users = users or devices
        self.connected = 0
        self.links: list[DeviceLink] = []
        self.callers: list[Caller] = []
        self.groups: list[int] = []
        self._groups_of: dict[int, list[int]] = {}
        self._target = target
        self._uid_first = 2 * 10**9 + secrets.randbelow(10**6) * 10**5
        self._tokens: dict[int, str] = {}

    def uid(self, index: int) -> int:
        """The user of the device with this index."""
        return self._uid_first + index

    def group_of(self, uid: int, number: int = 0) -> int:
        """The group a user was put into; of several, that whose turn it is at this number."""
        groups = self._groups_of[uid]
        return groups[number % len(groups)]

    def close(self) -> None:
        """Hang up everywhere."""
        for caller in self.callers:
            caller.close()
        for link in self.links:
            link.close()

    # -- callers and groups

    async def open_callers(self, count: int, apart: int = 1) -> None:
        """Open the callers. They speak for users of this run, for those in a group where there are some.

        `apart`: for every so many-th user, such as one of each group.
        """
        users = list(self._groups_of) or [self.uid(index) for index in range(self.users)]
        for index in range(count):
            self.callers.append(await self._caller(users[index * apart % len(users)]))

    async def make_groups(self, size: int, each: int = 1) -> None:
        """Put the users into groups of `size`, each user into so many that overlap; who is left over is in none.

        Of several groups, each begins a part of `size` after the one before it, and the last ones end with the first
        users.
        """
        placed = self.devices - self.devices % size
        for first in range(0, placed, size // each):
            members = [self.uid(index % placed) for index in range(first, first + size)]
            owner = await self._caller(members[0])
            body = {"name": "load", "description": "", "avatar": "", "type": 0}
            answer = await owner.ask("/group/create", body | {"user_list": members[1:_GROUP_PAGE]})
            group_id = int(answer.data["group_id"])
            for page in range(_GROUP_PAGE, size, _GROUP_PAGE):
                more = {"group_id": group_id, "user_list": members[page : page + _GROUP_PAGE]}
                await owner.ask("/group/invite", more)
            owner.close()
            self.groups.append(group_id)
            for member in members:
                self._groups_of.setdefault(member, []).append(group_id)

    async def _caller(self, uid: int) -> Caller:
        target = self._target
        who = Principal(target.signer.app_id, uid, self._token(uid))
        caller = Caller(f"{target.host}:{target.port}", who)
        await self._dial(caller, 0, target.port)
        return caller

    def _token(self, uid: int) -> str:
        if uid not in self._tokens:
            self._tokens[uid] = self._target.signer.token(uid)
        return self._tokens[uid]

    # -- devices

    async def connect(self, plan: Plan) -> None:
        """Connect every device and wait until it is live. Raises `OSError` for the first that cannot."""
        waiting = iter(range(self.devices))
        workers = [asyncio.create_task(self._connect_from(waiting, plan)) for _ in range(_CONNECTS_AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()

    async def _connect_from(self, waiting: Iterator[int], plan: Plan) -> None:
        for index in waiting:
            uid = self.uid(index)
            link = DeviceLink(plan, uid, self._handshake(uid))
            self.links.append(link)
            await self._dial(link, index, self._target.device_port)
            try:
                await asyncio.wait_for(link.live.wait(), _LIVE_TIMEOUT_S)
            except TimeoutError:
                raise TimeoutError(f"a device was not live after {_LIVE_TIMEOUT_S} s") from None
            if link.cut:
                raise ConnectionError(link.cut)
            self.connected += 1

    def _handshake(self, uid: int) -> bytes:
        target = self._target
        lines = (
            f"GET /ws?app_id={target.signer.app_id}&device_sn=1 HTTP/1.1",
            f"Host: {target.host}:{target.device_port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: bG9hZCBsb2FkIGxvYWQgbA==",
            "Sec-WebSocket-Protocol: gateway.v1",
            f"access-token: {self._token(uid)}",
        )
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    async def _dial(self, protocol: asyncio.Protocol, index: int, port: int) -> None:
        # One source address has no more ports to one server than this.
        extra = index // _PORTS_PER_ADDRESS
        source = (f"127.0.0.{1 + extra}", 0) if extra else None
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: protocol, self._target.host, port, local_addr=source)

    async def keep_acking(self, every_ms: int) -> None:
        """Ack on all devices what has come, each of them once per `every_ms`, spread over that time."""
        turn = 0
        while True:
            await asyncio.sleep(every_ms / 1000 / _ACK_SLICES)
            for link in self.links[turn::_ACK_SLICES]:
                link.ack_all()
            turn = (turn + 1) % _ACK_SLICES
