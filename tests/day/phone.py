"""Devices with a view: one of bare frames that is told what to say, and one that runs the gateway's own client."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec

from gateway.client.cursors import Cursors, Verdict
from gateway.client.device import Backoff, Device
from gateway.client.rooms import Rooms, is_of_room
from gateway.wire.close import COME_BACK_MAX, Close
from gateway.wire.encoding import JSON
from tests.channel.stage import Peer
from tests.day.fresh import UnansweredError, joined, members, recent, shows_history, whole
from tests.day.town import Town
from tests.day.view import USER, Frame, View
from tests.patience import WAIT_S

ANSWERS = frozenset({"ok", "error", "pong"})

ASKED_FOR = {Close.KICKED, Close.FROZEN}
"""Somebody wanted these; they come back later all the same."""


class Phone(abc.ABC):
    """One device of one user. `asks`: it reads by REST what no frame will bring; else it always states its cursors."""

    def __init__(self, town: Town, user: int, device_sn: int, *, asks: bool) -> None:
        self.town = town
        self.user = user
        self.device_sn = device_sn
        self.view = View(user, town.clock)
        self.asks = asks
        self._busy = False
        self._moved = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"device {self.device_sn} of {self.user}"

    @property
    def here(self) -> bool:
        return self._pump is not None and not self._pump.done()

    @abc.abstractmethod
    async def on(self) -> None:
        """Attach; what it held when it went away it still holds."""

    @abc.abstractmethod
    async def off(self) -> None:
        """Go away, and hold on to everything."""

    # -- what comes -------------------------------------------------------------------------------------

    def _begin(self, listening: Coroutine[None, None, None]) -> None:
        self._pump = asyncio.create_task(listening)
        # Whoever waits for something learns at once that it will not come.
        self._pump.add_done_callback(lambda _: self._moved.set())

    async def _take(self, frame: Frame) -> None:
        """Apply a frame, and read what the view then needs before the next one is applied."""
        self._busy = True
        self.view.apply(frame)
        # Whatever cannot be read while the gateway goes down is read on the next connection.
        with suppress(UnansweredError):
            if frame["op"] == "live" and self.asks:
                await self._read_behind()
            await self._read_rosters()
        self._busy = False
        self._moved.set()

    async def _read_rosters(self) -> None:
        """At the start of a stay: the members, and what the group shows of before, which no frame will bring."""
        view, caller = self.view, self.town.people[self.user]
        for group in sorted(view.unheard_of):
            found = await members(caller, group)
            if found is not None and await shows_history(caller, group):
                view.history(group, await whole(caller, group, limit=100) or [])
            view.unheard_of.discard(group)
            if found is not None:
                view.roster(group, found)

    async def _read_behind(self) -> None:
        """At `live`: the statuses of own messages, and the messages where the frames began too late."""
        view, caller = self.view, self.town.people[self.user]
        listed = [conversation for conversation, _ in await recent(caller)]
        for conversation in {*listed, *view.conversations}:
            items = await whole(caller, conversation, limit=100) or []
            if view.missing:
                view.history(conversation, items)
            for item in items:
                if item["from_xid"]["uid"] == self.user:
                    view.status(conversation, item["msg_id"], item["status"])
        view.missing.clear()

    async def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something is true of the view, frame by frame."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition():
                    if self._pump is not None and self._pump.done():
                        self._pump.result()
                        raise AssertionError(f"{self} was cut off and waits for {what}")
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise AssertionError(f"{self} waits for {what}; it holds {self.view.held}") from None

    async def caught_up(self, heads: Mapping[int, int]) -> None:
        """Wait until everything that the store owes this device has come."""
        await self.wait(lambda: self._is_at(heads), f"all up to {dict(heads)}")

    def _is_at(self, heads: Mapping[int, int]) -> bool:
        view = self.view
        if self._busy or not view.live or view.held.get(USER, 0) < heads[self.user]:
            return False
        inside = {xid: room.held for xid, room in view.rooms.items() if room.inside}
        held = {group: view.held.get(f"g:{group}", 0) for group in view.windows} | inside
        return all(seq >= heads[xid] for xid, seq in held.items())


class BarePhone(Phone):
    """A device of bare frames. It acks only when it is told to, or as a client should while `acks` is set."""

    def __init__(self, town: Town, user: int, device_sn: int, *, asks: bool, acks: bool = False) -> None:
        super().__init__(town, user, device_sn, asks=asks)
        self.acks = acks
        self.forgotten = False
        """The gateway has removed this device: it is as one that was never there, but for what it holds."""
        self._peer: Peer | None = None
        self._acked: dict[str, int] = {}
        self._pings = self._pongs = 0
        self._unacked_max = 0
        self._asked: dict[str, Frame | None] = {}

    async def on(self, stated: Mapping[str, int] | None = None) -> None:
        """Attach from the stored cursors, or from stated ones. Nothing happens where it is here already."""
        if self.here:
            return
        if self._pump is not None:
            # What was wrong with the last connection is not forgotten with it.
            self._pump.result()
        first = not self.asks and (self.forgotten or not self.view.held)
        self.forgotten = False
        while True:
            if first:
                groups = await joined(self.town.people[self.user])
                stated = {
                    USER: 0,
                    **{f"g:{group}": 0 for group in groups},
                    **self.view.held,
                    **(stated or {}),
                }
            welcome = await self._attach(stated)
            # A group joined in between would start at what another device got: come back and state it too.
            if not first or stated is None or set(welcome["cursors"]) <= set(stated):
                break
            await self.peer.close()
        marks = Cursors({}, None)
        marks.attach(welcome["epoch"], welcome["cursors"])
        self._acked = dict(welcome["cursors"])
        self._pings = self._pongs = 0
        self._unacked_max = welcome["limits"]["unacked_max"]
        if not self.asks:
            # What retention has removed was told by a gap, and is not to be read anywhere.
            self.view.missing.clear()
        self.view.apply(welcome)
        assert self.asks or USER not in self.view.missing, "it was not started at what it stated"
        self._asked.clear()
        self._begin(self._listen(self.peer, marks, Rooms()))

    async def _attach(self, stated: Mapping[str, int] | None) -> Frame:
        caller = self.town.people[self.user]
        token = caller.headers["access-token"]
        headers = {} if stated is not None else {"access-token": token}
        query = {"app_id": "demo", "device_sn": str(self.device_sn)}
        ws = await self.town.http.ws_connect(
            f"{self.town.url}/ws", params=query, headers=headers, protocols=(JSON.subprotocol,)
        )
        self._peer = Peer(ws)
        if stated is not None:
            await self._peer.say(op="hello", token=token, epoch=self.view.epoch, cursors=dict(stated))
        welcome = await self._peer.hear()
        assert welcome["op"] == "welcome", welcome
        return welcome

    @property
    def peer(self) -> Peer:
        assert self._peer is not None, "never attached"
        return self._peer

    async def _listen(self, peer: Peer, marks: Cursors, rooms: Rooms) -> None:
        while (message := await peer.ws.receive()).type is aiohttp.WSMsgType.TEXT:
            frame = msgspec.json.decode(message.data)
            if frame["op"] == "ok":
                rooms.enter(frame)
            elif frame["op"] not in ANSWERS:
                judged = (rooms if is_of_room(frame) else marks).judge(frame)
                assert judged is Verdict.NEW, f"{self} holds {self.view.held} and is sent {frame}"
            self._pongs += frame["op"] == "pong"
            if frame["op"] in ANSWERS and frame.get("ref") in self._asked:
                self._asked[frame["ref"]] = frame
            await self._take(frame)
            if self.acks:
                await self._ack_on(peer)
        self.view.live = False
        code = peer.ws.close_code or COME_BACK_MAX
        expected = {*ASKED_FOR, *([Close.TOKEN_ILLEGAL] if self.user in self.town.erased else [])}
        assert code <= COME_BACK_MAX or code in expected, f"{self} was sent away: {code}"

    async def _ack_on(self, peer: Peer) -> None:
        """Ack every `unacked_max / 2` entries, and all when live (README, device channel)."""
        for timeline, seq in self.view.held.items():
            behind = seq - self._acked.get(timeline, 0)
            if behind >= max(1, self._unacked_max // 2) or (behind and self.view.live):
                self._acked[timeline] = seq
                with suppress(aiohttp.ClientError):
                    await peer.ack(seq, timeline)

    async def ack(self, share: float) -> None:
        """Ack a share of what has come since the last ack."""
        for timeline, seq in self.view.held.items():
            acked = self._acked.get(timeline, 0)
            self._acked[timeline] = max(acked, acked + int((seq - acked) * share))
            if self.here:
                with suppress(aiohttp.ClientError):
                    await self.peer.ack(self._acked[timeline], timeline)

    async def off(self, *, cut: bool = False) -> None:
        """Go away, with or without a goodbye."""
        if self._pump is None:
            return
        if cut and self.here:
            self.peer.cut()
        else:
            await self.peer.close()
        await self._pump

    async def sent_away(self) -> int | None:
        """Wait until the gateway has closed the connection; the code."""
        assert self._pump is not None
        async with asyncio.timeout(WAIT_S):
            await self._pump
        return self.peer.ws.close_code

    async def join(self, room: int, seq: int | None) -> int:
        """Go into a chatroom at its head, or after `seq`; the code of the answer."""
        answer = await self._ask(op="join", room_id=room, **({} if seq is None else {"seq": seq}))
        return 200 if answer["op"] == "ok" else int(answer["code"])

    async def leave(self, room: int) -> None:
        """Go out of a chatroom, be it in there or not."""
        assert (await self._ask(op="leave", room_id=room))["op"] == "ok"
        if room in self.view.rooms:
            self.view.rooms[room].inside = False

    async def _ask(self, **frame: Any) -> Frame:
        ref = f"asked {len(self._asked)}"
        self._asked[ref] = None
        await self.peer.say(ref=ref, **frame)
        await self.wait(lambda: self._asked[ref] is not None, f"an answer to {frame}")
        return self._asked[ref] or {}

    async def echo(self) -> None:
        """See everything taken that was said and told before."""
        self._pings += 1
        number = self._pings
        await self.peer.say(op="ping")
        await self.wait(lambda: self._pongs >= number and not self._busy, "a pong")


class ClientPhone(Phone):
    """A device that runs the gateway's own client: it acks and comes back by itself, and remembers over night."""

    def __init__(self, town: Town, user: int, device_sn: int, *, asks: bool = True) -> None:
        super().__init__(town, user, device_sn, asks=asks)
        self.view = View(user, town.clock, again=False)
        self._device: Device | None = None

    @property
    def device(self) -> Device:
        assert self._device is not None, "never switched on"
        return self._device

    async def on(self) -> None:
        """Switch it on; it resumes from what it held when it was switched off."""
        earlier = self._device
        cursors, epoch = (earlier.cursors, earlier.epoch) if earlier is not None else (None, None)
        if not self.asks and earlier is None:
            groups = await joined(self.town.people[self.user])
            cursors, epoch = {USER: 0, **{f"g:{group}": 0 for group in groups}}, ""
        self._device = Device(
            self.town.url,
            "demo",
            self.town.people[self.user].headers["access-token"],
            device_sn=self.device_sn,
            cursors=cursors,
            epoch=epoch,
            backoff=Backoff(0.01, 0.02),
            session=self.town.http,
            sleep=_nap,
        )
        await self._device.__aenter__()
        self._begin(self._listen(self._device))

    async def _listen(self, device: Device) -> None:
        async for frame in device:
            await self._take(frame)
        self.view.live = False
        assert not {"duplicate", "gap", "malformed"} & set(device.tally), device.tally

    async def off(self) -> None:
        """Switch it off: it acks what it has, and says goodbye."""
        await self.device.close()
        if self._pump is not None:
            await self._pump
        for room in self.view.rooms.values():
            room.inside = False

    async def join(self, room: int) -> None:
        """Go into a chatroom, after what is held of it; the client goes in again by itself whenever it comes back."""
        # A first welcome clears the view.
        await self.wait(lambda: self.view.live, "being live")
        held = self.view.rooms[room].held if room in self.view.rooms else 0
        # Entries may come before the answer is known here, and the answer can only be this.
        self.view.enter(room, held)
        answer = await self.device.join(room, held)
        assert answer["seq"] == held, answer

    def cut(self) -> None:
        """Lose the network for a moment; the client notices by itself."""
        assert self.device._connection is not None
        Peer(self.device._connection.ws).cut()


async def _nap(advice_s: float) -> None:
    """Stay away for a moment, whatever is advised: a day of the test has no time for more."""
    await asyncio.sleep(min(advice_s, 0.01))
