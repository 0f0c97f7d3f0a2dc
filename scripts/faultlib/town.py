"""The people of a fault run: users who send, devices that receive and move about, groups whose members come and go.

Everything goes through one balanced address, as behind any load balancer. What is answered and what arrives is kept for
the checker.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self

import aiohttp

from gateway.client.device import Backoff, Device
from gateway.client.errors import CallError, ClosedError, LostError, RestError
from gateway.client.rest import Rest
from gateway.domain.model import Scope
from scripts.faultlib.history import Arrived, Sent, Statuses
from scripts.loadlib.server import Signer

FIRST_UID = 101
ADMIN_UID = FIRST_UID - 1
_STATUS = {"UNREAD": 0, "DELIVERED": 1, "READ": 2}
_PATIENCE_S = 180.0
_SETTLE_IN_S = 120.0
_HTTP_TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=5)
_BACKOFF = Backoff(first_s=0.1, max_s=1.0)
_LOST = (aiohttp.ClientError, OSError, TimeoutError)


class Tenant:
    """One app with its users and groups."""

    def __init__(self, app_id: str, signer: Signer, admin_token: str, users: int, groups: int) -> None:
        self.app_id = app_id
        self.signer = signer
        self.admin_token = admin_token
        self.uids = [FIRST_UID + index for index in range(users)]
        self.group_count = groups
        self.groups: list[int] = []


class Phone:
    """One device of a user, for as long as the run lasts: its app is closed, opened again, and once set up anew."""

    def __init__(self, town: Town, tenant: Tenant, uid: int, device_sn: int, encoding: str) -> None:
        self.uid = uid
        self.tenant = tenant
        self.device_sn = device_sn
        self.arrived = Arrived(tenant.app_id, uid, f"device {device_sn} of {tenant.app_id}/{uid}")
        self.epoch: str | None = None
        self.cursors: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.left: set[int] = set()
        self.connections = 0
        self.repeated = 0
        self._town = town
        self._encoding = encoding
        self._token = tenant.signer.token(uid)

    async def live(self, chance: random.Random) -> None:
        """Be open for a while, be closed for a while, until the run is over; then be open."""
        while True:
            device = self._open(self.cursors if self.connections else None)
            open_s = chance.uniform(2, 15)
            try:
                async with asyncio.timeout(None if self._town.settling.is_set() else open_s):
                    await self._receive(device)
            except TimeoutError:
                pass
            finally:
                await self._close(device)
            if self._town.settling.is_set():
                continue
            if chance.random() < self._town.anew_share:
                await self._set_up_anew()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(chance.uniform(0.05, 4)):
                    await self._town.settling.wait()

    def _open(self, cursors: dict[str, int] | None, *, auto_ack: bool = True) -> Device:
        return Device(
            self._town.url,
            self.tenant.app_id,
            self._token,
            device_sn=self.device_sn,
            cursors=cursors,
            epoch=self.epoch,
            auto_ack=auto_ack,
            encoding="msgpack" if self._encoding == "msgpack" else "json",
            backoff=_BACKOFF,
        )

    async def _receive(self, device: Device) -> None:
        try:
            async with device:
                async for frame in device:
                    self._take(frame)
        except ClosedError as why:
            # An older connection of this device may be closed late; the device itself comes back.
            self._town.closed[f"{why.code} {why.reason}"] = (
                self._town.closed.get(f"{why.code} {why.reason}", 0) + 1
            )

    async def _close(self, device: Device) -> None:
        await device.close()
        self.cursors = device.cursors
        self.connections += device.tally["connections"]
        self.repeated += device.tally["repeated"]
        for breach in ("duplicate", "gap", "malformed"):
            if device.tally[breach]:
                self.arrived.breaches.append(f"{breach} {device.tally[breach]} times on a connection")

    def _take(self, frame: dict[str, Any]) -> None:
        self._town.frames += 1
        if frame["op"] == "welcome":
            self.epoch = frame["epoch"]
            return
        message = frame.get("message") or {}
        text = message.get("content", "")
        if text and not text.startswith(f"{self.tenant.app_id}:"):
            self.arrived.foreign.append(f"got {text!r}, a text of another app")
        timeline = frame.get("timeline")
        if timeline is None:
            return
        if frame["op"] == "gap":
            if frame["reason"] != "outside a stay":
                self.arrived.breaches.append(f"was told of a gap: {frame}")
            self.held[timeline] = max(self.held.get(timeline, 0), frame["to"])
            return
        seq = frame["seq"]
        if frame["op"] == "group" and timeline == "user":
            self._note_membership(frame)
        self.arrived.take(timeline, seq, message.get("msg_id") or frame.get("msg_id") or 0)
        if seq > self.held.get(timeline, 0):
            self.held[timeline] = seq

    def _note_membership(self, frame: dict[str, Any]) -> None:
        """Note whether the user is in a group, as its own timeline tells it."""
        if frame["action"] == "joined":
            self.left.discard(frame["group_id"])
        else:
            self.left.add(frame["group_id"])

    async def _set_up_anew(self) -> None:
        """Forget everything, say so in `hello`, and come back without a word: nothing may have been acked meanwhile."""
        if self.epoch is None:
            return
        first = self._open(dict.fromkeys(self.cursors, 0), auto_ack=False)
        if await self._welcomed(first) is None:
            return
        await asyncio.sleep(self._town.anew_wait_s)
        again = self._open(None, auto_ack=False)
        cursors = await self._welcomed(again)
        if cursors is None:
            return
        if cursors.get("user"):
            self.arrived.breaches.append(
                f"stated that it holds nothing, and was put at {cursors['user']} when it came back: "
                "a connection that was replaced has acked"
            )
        self._town.set_up_anew += 1
        self.arrived.seqs.clear()
        self.held.clear()
        self.cursors = {}

    async def _welcomed(self, device: Device, within_s: float = 5.0) -> dict[str, int] | None:
        """Open it until it is welcomed, and close it at once; the cursors it was told, None where it was not."""
        cursors: dict[str, int] | None = None
        try:
            async with asyncio.timeout(within_s), device:
                async for frame in device:
                    if frame["op"] == "welcome":
                        cursors = frame["cursors"]
                        break
        except (TimeoutError, ClosedError):
            pass
        finally:
            await device.close()
        return cursors


class Town:
    """All of them, and what they have been through."""

    def __init__(self, url: str, tenants: list[Tenant], chance: random.Random) -> None:
        self.url = url
        self.tenants = tenants
        self.sent: list[Sent] = []
        self.reads: list[tuple[str, int, int, int]] = []
        self.statuses = Statuses()
        self.phones: list[Phone] = []
        self.settling = asyncio.Event()
        self.frames = 0
        self.repeats = 0
        self.retries = 0
        self.set_up_anew = 0
        self.anew_share = 0.3
        # Three times as long as acks wait for their commit.
        self.anew_wait_s = 0.6
        self.refused: dict[str, int] = {}
        self.closed: dict[str, int] = {}
        self.breaches: list[str] = []
        self._chance = chance
        self._numbers = 0
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_HTTP_TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def rest(self, tenant: Tenant, uid: int | None = None) -> Rest:
        """The calls of a user, or of the app's administrator."""
        assert self._session is not None
        token = tenant.admin_token if uid is None else tenant.signer.token(uid)
        return Rest(self.url, tenant.app_id, token, self._session)

    # -- before anything goes wrong

    async def settle_in(self, devices_per_user: int) -> None:
        """Make the groups, and open every device once until it is kept."""
        for tenant in self.tenants:
            admin = self.rest(tenant)
            for number in range(tenant.group_count):
                owner, *members = self._chance.sample(tenant.uids, k=max(3, len(tenant.uids) * 2 // 3))
                body = {"name": f"g{number}", "type": 0, "user_list": members}
                made = await admin.call("POST", "/group/create", body=body, user_id=owner)
                tenant.groups.append(made["data"]["group_id"])
            for uid in tenant.uids:
                await self._send(tenant, tenant.uids[0] if uid != tenant.uids[0] else tenant.uids[1], uid, 1)
        for tenant in self.tenants:
            for uid in tenant.uids:
                for device_sn in range(1, devices_per_user + 1):
                    encoding = "msgpack" if device_sn == 2 else "json"  # noqa: PLR2004 - every second one
                    self.phones.append(Phone(self, tenant, uid, device_sn, encoding))
        async with asyncio.TaskGroup() as opening:
            for phone in self.phones:
                opening.create_task(self._keep(phone))

    async def _keep(self, phone: Phone) -> None:
        """Have a device state that it holds nothing: from then on the store keeps it, and owes it all there is."""
        first = phone._open(None)  # noqa: SLF001 - its own town
        if await phone._welcomed(first, _SETTLE_IN_S) is None:  # noqa: SLF001 - its own town
            raise RuntimeError(f"{phone.arrived.name} could not attach")
        phone.epoch = first.epoch
        device = phone._open(dict.fromkeys(first.cursors, 0))  # noqa: SLF001 - its own town
        try:
            async with asyncio.timeout(_SETTLE_IN_S), device:
                async for frame in device:
                    phone._take(frame)  # noqa: SLF001 - its own town
                    if frame["op"] == "live" and phone.held.get("user"):
                        break
        except TimeoutError:
            told = f"it holds {phone.held}; connections {dict(device.tally)}, refused {self.refused}"
            raise RuntimeError(f"{phone.arrived.name} was not live in time: {told}") from None
        await phone._close(device)  # noqa: SLF001 - its own town

    # -- what they do meanwhile

    async def send_on(self, tenant: Tenant, pause_s: float) -> None:
        """Send to users and groups, one after the other, until the run settles."""
        while not self.settling.is_set():
            sender = self._chance.choice(tenant.uids)
            if tenant.groups and self._chance.random() < 0.4:  # noqa: PLR2004 - a good part
                await self._send(tenant, sender, self._chance.choice(tenant.groups), 2)
            else:
                await self._send(tenant, sender, self._chance.choice(tenant.uids), 1)
            await asyncio.sleep(self._chance.expovariate(1 / pause_s))

    async def _send(self, tenant: Tenant, sender: int, target: int, kind: int) -> None:
        """Send one message until it is answered, and now and then once more; every answer must be the same."""
        self._numbers += 1
        tag = f"{tenant.app_id}:{self._numbers}"
        rest = self.rest(tenant, sender)

        async def ask() -> int:
            [msg_id] = await rest.send(Scope(kind), [target], tag, transaction_id=int(tag.rpartition(":")[2]))
            return msg_id

        msg_id = await self._until_answered(ask)
        self.sent.append(Sent(tag, tenant.app_id, sender, target, msg_id or 0))
        if msg_id and self._chance.random() < 0.05:  # noqa: PLR2004 - now and then
            self.repeats += 1
            again = await self._until_answered(ask)
            if again not in {msg_id, None}:
                self.breaches.append(f"{tag} was answered with message {msg_id}, and its repeat with {again}")

    async def _until_answered(self, ask: Callable[[], Awaitable[int]]) -> int | None:
        """Ask again while no answer comes or the gateway says later; None for a refusal."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return await ask()
            except RestError as error:
                if error.http_status < 500 and error.http_status != 429:  # noqa: PLR2004 - HTTP's classes
                    self.refused[str(error)] = self.refused.get(str(error), 0) + 1
                    return None
            except _LOST:
                pass
            self.retries += 1
            if time.monotonic() > deadline:
                self.breaches.append(f"no answer within {_PATIENCE_S:.0f} s")
                return None
            await asyncio.sleep(self._chance.uniform(0.05, 0.5))

    async def change_members(self, tenant: Tenant, pause_s: float) -> None:
        """Let users leave groups, be kicked, and come back."""
        admin = self.rest(tenant)
        while not self.settling.is_set():
            group, uid = self._chance.choice(tenant.groups), self._chance.choice(tenant.uids)
            verb, path, body = self._chance.choice([
                ("POST", "/group/invite", {"group_id": group, "user_list": [uid]}),
                ("POST", "/group/invite", {"group_id": group, "user_list": [uid]}),
                ("POST", "/group/kick", {"group_id": group, "user_list": [uid]}),
            ])  # fmt: skip
            with contextlib.suppress(RestError, *_LOST):
                await admin.call(verb, path, body=body, group_id=group)
            await asyncio.sleep(self._chance.expovariate(1 / pause_s))

    async def read_on(self, tenant: Tenant, pause_s: float) -> None:
        """Read conversations as users do: look at statuses, and mark the newest message read."""
        while not self.settling.is_set():
            uid, opposite = self._chance.sample(tenant.uids, k=2)
            rest = self.rest(tenant, uid)
            try:
                page = await rest.conversation(opposite)
                for item in page["messages"]:
                    self.statuses.saw(uid, item["msg_id"], _STATUS[item["status"]])
                if page["messages"] and self._chance.random() < 0.5:  # noqa: PLR2004 - half of the time
                    newest = page["messages"][0]["msg_id"]
                    await rest.ack(opposite, newest)
                    self.reads.append((tenant.app_id, uid, opposite, newest))
            except (RestError, *_LOST):
                pass
            await asyncio.sleep(self._chance.expovariate(1 / pause_s))

    async def recall_on(self, tenant: Tenant, pause_s: float) -> None:
        """Take a message back now and then."""
        while not self.settling.is_set():
            await asyncio.sleep(self._chance.expovariate(1 / pause_s))
            mine = [sent for sent in self.sent[-50:] if sent.app == tenant.app_id and sent.msg_id]
            if mine:
                one = self._chance.choice(mine)
                with contextlib.suppress(RestError, *_LOST):
                    await self.rest(tenant, one.sender).recall(one.target, one.msg_id)

    async def say_on(self, tenant: Tenant, pause_s: float) -> None:
        """Send over the device channel too: from a device of its own, which nobody waits for."""
        uid = tenant.uids[-1]
        device = Device(self.url, tenant.app_id, tenant.signer.token(uid), device_sn=9, backoff=_BACKOFF)
        async with device, asyncio.TaskGroup() as beside:
            # What comes is nobody's business here, but a device that is not read is not answered either.
            reading = beside.create_task(self._ignore(device))
            while not self.settling.is_set():
                target = self._chance.choice(tenant.uids)
                self._numbers += 1
                tag = f"{tenant.app_id}:{self._numbers}"
                msg_id = 0
                with contextlib.suppress(CallError, LostError, ClosedError, TimeoutError):
                    async with asyncio.timeout(20):
                        told = await device.send(
                            type=1,
                            targets=[target],
                            content_type=0,
                            content=tag,
                            transaction_id=10**9 + int(tag.rpartition(":")[2]),
                        )
                        [msg_id] = told["msg_ids"]
                self.sent.append(Sent(tag, tenant.app_id, uid, target, msg_id))
                await asyncio.sleep(self._chance.expovariate(1 / pause_s))
            reading.cancel()

    async def _ignore(self, device: Device) -> None:
        with contextlib.suppress(ClosedError):
            async for _ in device:
                pass
