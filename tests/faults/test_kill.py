"""kill -9 in the middle of 5,000 sends: what was answered, what was not, and what the devices saw of it.

One storm is raised; every test looks at what it left behind.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import aiohttp
import pytest

from gateway.client.device import Backoff, Device
from gateway.client.rest import Rest
from gateway.domain.model import Scope
from tests.patience import WAIT_S
from tests.servers import ServerProcess, eventually, gateway

SENDS = 5_000
KILL_AFTER = 1_500
SOCKETS = 200
USERS = ("alice", "bob", "carol", "dave")
MEMBERS = USERS[:3]
CONNECTED = ("alice", "dave")
END = "the end"
STORM_S = 250.0

Frame = dict[str, Any]


@dataclass(frozen=True)
class Sending:
    """One of the 5,000: its number is its text and its transaction_id. `to` "" is the group."""

    number: int
    sender: str
    to: str


def plan() -> list[Sending]:
    """Every pair of users in both directions, and the group from each of its members, again and again."""
    roads = [*permutations(USERS, 2), *((member, "") for member in MEMBERS)]
    return [Sending(number, *roads[number % len(roads)]) for number in range(1, SENDS + 1)]


class Watcher:
    """A device that keeps every entry it is handed, across connections."""

    def __init__(self, name: str, device: Device, seen: Sequence[Frame] = ()) -> None:
        self.name = name
        self.device = device
        self.entries = list(seen)
        self.seen: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        async for frame in self.device:
            if "timeline" in frame:
                self.entries.append(frame)
            ends = frame["op"] == "message" and frame["message"]["content"] == END
            async with self._changed:
                self.seen[END if ends else frame["op"]] += 1
                self._changed.notify_all()

    async def wait_for(self, what: str, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.seen[what] >= count)

    def timelines(self) -> dict[str, list[Frame]]:
        """The entries by timeline, in the order they came."""
        found: dict[str, list[Frame]] = {}
        for entry in self.entries:
            found.setdefault(entry["timeline"], []).append(entry)
        return found

    def texts(self) -> Counter[str]:
        messages = (entry["message"] for entry in self.entries if entry["op"] == "message")
        return Counter(message["content"] for message in messages if message["content"] != END)


@dataclass
class Storm:
    """What was asked, what was answered, and what everybody has in the end."""

    sendings: list[Sending]
    answered: dict[int, int] = field(default_factory=dict)
    lost: list[Sending] = field(default_factory=list)
    retried: dict[int, int] = field(default_factory=dict)
    repeated: dict[int, int] = field(default_factory=dict)
    history: dict[str, list[int]] = field(default_factory=dict)
    watchers: list[Watcher] = field(default_factory=list)
    check: str = ""

    def expected(self, user: str) -> Counter[str]:
        """The texts that a device of this user is owed, each once: own ones, received ones, the group's."""
        return Counter(
            str(sending.number)
            for sending in self.sendings
            if user in (sending.sender, sending.to) or (not sending.to and user in MEMBERS)
        )


class Raising:
    """Raises the storm."""

    def __init__(self, server: ServerProcess, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._xids = {user: server.xid(user) for user in USERS}
        self._tokens = {user: server.token(user) for user in USERS}
        self._rests = {user: Rest(server.url, "demo", token, session) for user, token in self._tokens.items()}
        self._group = 0
        self._storm = Storm(plan())
        self._enough = asyncio.Event()

    async def run(self) -> Storm:
        storm = self._storm
        body = {"name": "storm", "user_list": [self._xids[user] for user in MEMBERS]}
        made = await self._rests["alice"].call("POST", "/group/create", body=body)
        self._group = made["data"]["group_id"]
        async with AsyncExitStack() as stack:
            for user in CONNECTED:
                device = await stack.enter_async_context(self._device(user))
                storm.watchers.append(Watcher(user, device))
            reading = [asyncio.create_task(watcher.run()) for watcher in storm.watchers]
            for watcher in storm.watchers:
                await watcher.wait_for("live", 1)
            # Devices that are there before and after, but not while it happens.
            resumed = [await self._away("bob", stating=True), await self._away("carol", stating=False)]
            await self._break()
            self._server.start()
            storm.retried = await self._again(storm.lost)
            storm.repeated = await self._again(
                [one for one in storm.sendings if one.number in storm.answered]
            )
            await self._finish()
            for watcher in resumed:
                await stack.enter_async_context(watcher.device)
                storm.watchers.append(watcher)
                reading.append(asyncio.create_task(watcher.run()))
            for watcher in storm.watchers:
                await watcher.wait_for(END, 2 if watcher.name in MEMBERS else 1)
            storm.history = {"".join(pair): await self._history(*pair) for pair in permutations(USERS, 2)}
            storm.history["group"] = await self._history("alice", "")
        await asyncio.gather(*reading)
        storm.check = gateway("check", "--data", self._server.data).stdout
        return storm

    def _device(self, user: str, **resume: Any) -> Device:
        return Device(
            self._server.url,
            "demo",
            self._tokens[user],
            device_sn=1,
            backoff=Backoff(0.05, 0.3),
            **resume,
        )

    async def _away(self, user: str, *, stating: bool) -> Watcher:
        """Be there until `live`, and return what comes back later: the same device, resumed.

        It states its cursors then, or leaves them to the store.
        """
        before = self._device(user)
        seen: list[Frame] = []
        async with before:
            async for frame in before:
                if frame["op"] == "live":
                    break
                seen += [frame] if "timeline" in frame else []
        eventually(lambda: self._cursors(user) == before.cursors, "the device's acks are committed")
        stated = {"cursors": before.cursors, "epoch": before.epoch} if stating else {}
        return Watcher(user, self._device(user, **stated), seen)

    def _cursors(self, user: str) -> dict[str, int]:
        """What the store has of the user's only device."""
        names = {self._xids[user]: "user", self._group: f"g:{self._group}"}
        sql = "SELECT t.xid, c.seq FROM cursor AS c JOIN timeline AS t ON t.id = c.t JOIN timeline AS u ON u.id = c.usr"
        with closing(sqlite3.connect(self._server.data / "gateway.db", timeout=WAIT_S)) as conn:
            rows = conn.execute(f"{sql} WHERE u.xid = ?", (self._xids[user],)).fetchall()
        return {names[xid]: seq for xid, seq in rows}

    async def _break(self) -> None:
        """Send all at once, and kill the server when a part of it is answered."""
        sending = [asyncio.create_task(self._try(one)) for one in self._storm.sendings]
        await self._enough.wait()
        self._server.kill9()
        await asyncio.gather(*sending)

    async def _try(self, one: Sending) -> None:
        try:
            self._storm.answered[one.number] = await self._send(one)
        except (aiohttp.ClientError, OSError):
            self._storm.lost.append(one)
        if len(self._storm.answered) >= KILL_AFTER:
            self._enough.set()

    async def _again(self, sendings: list[Sending]) -> dict[int, int]:
        ids = await asyncio.gather(*(self._send(one) for one in sendings))
        return {one.number: msg_id for one, msg_id in zip(sendings, ids, strict=True)}

    async def _send(self, one: Sending, text: str = "") -> int:
        scope = Scope.USER if one.to else Scope.GROUP
        target = self._xids[one.to] if one.to else self._group
        rest = self._rests[one.sender]
        return (
            await rest.send(
                scope, [target], text or str(one.number), transaction_id=0 if text else one.number
            )
        )[0]

    async def _finish(self) -> None:
        """The last entry of every timeline."""
        for user, other in (("alice", "bob"), ("carol", "dave")):
            await self._send(Sending(0, user, other), END)
        await self._send(Sending(0, "alice", ""), END)

    async def _history(self, user: str, opposite: str) -> list[int]:
        """The numbers in a conversation as one party sees it, newest first."""
        numbers: list[int] = []
        start = 0
        while True:
            page = await self._rests[user].conversation(
                self._xids[opposite] if opposite else self._group, msg_id_start=start, limit=100
            )
            numbers += [int(one["content"]) for one in page["messages"] if one["content"] != END]
            if page["is_last"]:
                return numbers
            start = page["next_msg_id"]


async def raise_storm(server: ServerProcess) -> Storm:
    connector = aiohttp.TCPConnector(limit=SOCKETS)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.timeout(STORM_S):
        return await Raising(server, session).run()


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storm]:
    with ServerProcess(tmp_path_factory.mktemp("kill") / "data") as server:
        yield asyncio.run(raise_storm(server))


def test_the_kill_came_in_the_middle(storm: Storm) -> None:
    """Some sends were answered before it and some were not: without both, the other tests say nothing."""
    assert len(storm.answered) >= KILL_AFTER
    assert len(storm.lost) > SOCKETS
    assert len(storm.answered) + len(storm.lost) == SENDS


def test_every_answered_send_is_there_once(storm: Storm) -> None:
    """A 200 before the kill is one message in the history after it."""
    found = Counter(number for numbers in storm.history.values() for number in set(numbers))
    listed = Counter(number for numbers in storm.history.values() for number in numbers)
    assert found == listed, "a conversation lists a message twice"
    roads = {one.number: 1 if not one.to else 2 for one in storm.sendings}
    assert {number: listed[number] for number in storm.answered} == {n: roads[n] for n in storm.answered}


def test_a_retry_of_an_unanswered_send_makes_no_second_message(storm: Storm) -> None:
    """Whether it had been committed or not: with its transaction_id it is one message in the end."""
    listed = Counter(number for numbers in storm.history.values() for number in numbers)
    assert {one.number: listed[one.number] for one in storm.lost} == {
        one.number: 2 if one.to else 1 for one in storm.lost
    }


def test_a_repeat_of_an_answered_send_gets_its_first_answer(storm: Storm) -> None:
    """The transaction_id outlives the kill as the message does."""
    assert storm.repeated == storm.answered


def test_no_id_was_given_twice(storm: Storm) -> None:
    """The counter of ids goes on where it was."""
    assert len({*storm.answered.values(), *storm.retried.values()}) == SENDS


def test_check_is_clean(storm: Storm) -> None:
    """The store keeps all its laws."""
    assert storm.check == "the store keeps all its laws\n"


def test_every_device_gets_every_entry_once_in_order_without_a_gap(storm: Storm) -> None:
    """Each timeline's seqs are 1, 2, 3 … as the devices saw them, across the kill."""
    for watcher in storm.watchers:
        for name, entries in watcher.timelines().items():
            seqs = [entry["seq"] for entry in entries]
            assert seqs == list(range(1, len(seqs) + 1)), (watcher.name, name)


def test_every_device_gets_every_message_of_its_user_once(storm: Storm) -> None:
    """Own ones, received ones and the group's: what it is owed, and nothing else."""
    for watcher in storm.watchers:
        assert watcher.texts() == storm.expected(watcher.name), watcher.name


def test_ids_rise_in_every_conversation(storm: Storm) -> None:
    """The order of the entries is the order of the ids."""
    for watcher in storm.watchers:
        last: dict[int, int] = {}
        for entry in watcher.entries:
            if entry["op"] == "message":
                message = entry["message"]
                assert last.get(message["conversation_id"], 0) < message["msg_id"]
                last[message["conversation_id"]] = message["msg_id"]


def test_the_server_broke_no_rule_of_the_channel(storm: Storm) -> None:
    """No connection brought an entry twice, left one out or said anything odd."""
    for watcher in storm.watchers:
        tally = watcher.device.tally
        assert not tally["duplicate"] + tally["gap"] + tally["malformed"], tally


def test_the_connected_devices_came_back(storm: Storm) -> None:
    """Those that were connected at the kill have had two connections."""
    assert [watcher.device.tally["connections"] for watcher in storm.watchers] == [2, 2, 1, 1]
