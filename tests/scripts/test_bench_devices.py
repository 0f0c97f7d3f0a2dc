"""The devices of the benchmark and their floors: they count what comes, ack it, and complain where they should."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest

from scripts.benchlib.dialing import dial
from scripts.benchlib.fanout import Bare, Orders, bare
from scripts.benchlib.programs import Programs, Served
from scripts.benchlib.reading import Other, Read, Run, scan
from scripts.benchlib.sockets import Device, Fleet, handshake, handshakes, plain_handshakes
from scripts.benchlib.town import pump_of, pumped, to_group, town
from scripts.floors.fanout import Fanout
from scripts.loadlib.device import masked
from tests.patience import WAIT_S
from tests.servers import ROOT, eventually, unmeasured

DEVICES = 5


def frame(payload: bytes, opcode: int = 0x81) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65_536:
        return bytes((opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + size.to_bytes(8, "big") + payload


def message(seq: int, content: str = "", timeline: str = "g:1") -> bytes:
    body = {"op": "message", "timeline": timeline, "seq": seq, "message": {"content": content}}
    return frame(msgspec.json.encode(body))


def nowhere(port: int) -> bytes:
    return handshake(port, "demo", "").replace(b"/ws", b"/nowhere", 1)


LIVE = frame(b'{"op":"live"}')
STREAM = b"".join(
    [
        LIVE,
        message(1, "bench:7:501:"),
        message(2, "bench:8:502:" + "x" * 300),
        frame(b"", 0x89),
        message(3, "x" * 70_000),
        message(1, "bench:9:503:", "user"),
    ]
)


def merged(reads: list[Read]) -> list[Run | Other]:
    """What reads held, as if it had been one."""
    items: list[Run | Other] = []
    for item in (item for read in reads for item in read.items):
        last = items[-1] if items else None
        if isinstance(item, Run) and isinstance(last, Run) and last.timeline == item.timeline:
            assert item.first == last.last + 1
            items[-1] = last._replace(last=item.last)
        else:
            items.append(item)
    return items


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(min(os.sched_getaffinity(0)), tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def served(programs: Programs) -> Iterator[Served]:
    with programs.gateway() as served:
        yield served


class Wire:
    """Takes what a device writes."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


def connected(fleet: Fleet) -> tuple[Device, Wire]:
    """A device that has been upgraded."""
    wire = Wire()
    device = Device(fleet, b"a request")
    device.connection_made(cast("asyncio.BaseTransport", wire))
    device.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    assert wire.written == [b"a request"]
    wire.written.clear()
    return device, wire


# -- what comes


def test_frames_cut_anywhere_hold_the_same() -> None:
    """However a stream of frames of every length is cut into reads, it holds the same, in its order."""
    whole = scan(STREAM, tracked=True)
    assert whole.items == [
        Other(0x81, b'{"op":"live"}'),
        Run("g:1", 1, 2),
        Other(0x89, b""),
        Run("g:1", 3, 3),
        Run("user", 1, 1),
    ]
    assert (whole.messages, whole.sent_ns, whole.used) == (4, [501, 502, 503], len(STREAM))
    assert whole.sample == message(1, "bench:9:503:", "user")
    for cut in [*range(500), *range(500, len(STREAM), 997)]:
        first = scan(STREAM[:cut], tracked=True)
        second = scan(STREAM[first.used :], tracked=True)
        assert merged([first, second]) == whole.items
        assert first.messages + second.messages == whole.messages


def test_devices_count_however_reads_are_cut() -> None:
    """Two devices that are told the same, in the same reads or in others, have counted all of it twice."""
    fleet = Fleet(0)
    for step in (1_000, 1_000, 333):
        device, _ = connected(fleet)
        for at in range(0, len(STREAM), step):
            device.data_received(STREAM[at : at + step])
    assert fleet.messages == 3 * 4
    fleet.check()


def test_a_ping_is_answered() -> None:
    """A server that pings hears a pong with the same payload."""
    device, wire = connected(Fleet(0))
    device.data_received(frame(b"at rest", 0x89))
    assert wire.written == [masked(0x8A, b"at rest")]


@pytest.mark.parametrize("second", [1, 3])
@pytest.mark.parametrize("joined", [False, True])
def test_a_gap_and_a_repeat_are_complained_about(second: int, joined: bool) -> None:
    """A tracked device that is told seq 1 and then 3, or 1 again, has something to complain about."""
    fleet = Fleet(0, tracked=True)
    device, _ = connected(fleet)
    if joined:
        device.data_received(message(1) + message(second))
    else:
        device.data_received(message(1))
        fleet.check()
        device.data_received(message(second))
    with pytest.raises(RuntimeError, match="skipped, or came twice"):
        fleet.check()


def test_acks_follow_the_rule_of_the_channel() -> None:
    """Half of the window of a timeline is acked at once, what is below it when asked, and all of it once."""
    fleet = Fleet(0, tracked=True)
    device, wire = connected(fleet)
    welcome = {"op": "welcome", "limits": {"unacked_max": 6}, "cursors": {"user": 0, "g:1": 4}}
    device.data_received(frame(msgspec.json.encode(welcome)) + message(5) + message(6))
    assert wire.written == []
    device.data_received(message(7) + message(8))
    assert wire.written == [masked(0x81, b'{"op":"ack","timeline":"g:1","seq":8}')]
    device.data_received(message(1, timeline="user"))
    fleet.ack()
    fleet.devices.append(device)
    fleet.ack()
    fleet.ack()
    assert wire.written[1:] == [masked(0x81, b'{"op":"ack","timeline":"user","seq":1}')]
    fleet.check()


# -- a gateway


async def test_counts_what_a_group_is_sent(served: Served) -> None:
    """Of three sends to a group of five each device gets three messages, and no more were owed."""
    fleet = Fleet(served.program.port)
    async with town(served, fleet, DEVICES, group_size=DEVICES, callers=2) as crowd:
        await pumped(pump_of(to_group(crowd), 3), crowd.callers)
        await fleet.reach(3 * DEVICES)
        assert b'"content":"bench:' in fleet.sample
        with pytest.raises(RuntimeError, match="1 deliveries came that nobody was owed"):
            await fleet.reach(3 * DEVICES - 1)


async def test_what_was_acked_does_not_come_again(served: Served) -> None:
    """Devices that acked two of three messages get the third again when they come back, and nothing else."""
    fleet = Fleet(served.program.port, tracked=True, ack_every=2)
    again = Fleet(served.program.port, tracked=True)
    async with town(served, fleet, DEVICES, group_size=DEVICES, callers=1) as crowd:
        # One by one: three that come in one read would be acked together.
        await pumped(pump_of(to_group(crowd), 2), crowd.callers)
        await fleet.reach(2 * DEVICES)
        group = crowd.groups[0]
        eventually(lambda: cursors(served.data, group).count(last_seq(served.data, group)) == DEVICES, "acks")
        await pumped(pump_of(to_group(crowd), 1), crowd.callers)
        await fleet.reach(3 * DEVICES)
        fleet.close()
        uids = [crowd.uid(index) for index in range(DEVICES)]
        try:
            await again.connect(handshakes(served.program.port, served.signer, uids))
            await again.reach(DEVICES)
            assert b'"seq":%d,' % last_seq(served.data, group) in again.sample
        finally:
            again.close()


def test_dialled_connections_are_live(served: Served) -> None:
    """Every dialled device has been told that it is live, and the time of the slowest is within the whole."""
    requests = handshakes(served.program.port, served.signer, range(10**9, 10**9 + DEVICES))
    dialled = dial(served.program.port, requests, b'{"op":"live"')
    assert 0 < dialled.slowest_ms <= dialled.seconds * 1_000


@pytest.mark.parametrize("request_of", [lambda port: handshake(port, "demo", "no token"), nowhere])
def test_a_refused_connection_is_told(served: Served, request_of: Callable[[int], bytes]) -> None:
    """A token that is none, and a path that is none, end the measurement rather than being counted."""
    with pytest.raises(RuntimeError, match="a connection was refused"):
        dial(served.program.port, [request_of(served.program.port)], b'"')


async def test_groups_that_overlap(served: Served) -> None:
    """Seven users, groups of two, each in two: six stand in a ring, each with either neighbour; one is in none."""
    fleet = Fleet(served.program.port)
    async with town(served, fleet, 7, group_size=2, groups_each=2, callers=6) as crowd:
        groups, uids = crowd.groups, [crowd.uid(index) for index in range(7)]
        ring = {(group, uids[(place + n) % 6]) for place, group in enumerate(groups) for n in (0, 1)}
        assert set(members(served.data, groups)) == ring
        for place, uid in enumerate(uids[:6]):
            assert {crowd.group_of(uid, number) for number in (0, 1)} == {groups[place - 1], groups[place]}
        await pumped(pump_of(to_group(crowd), 20), crowd.callers)
        await fleet.reach(20 * 2)
        assert {caller.who.uid for caller in crowd.callers} == set(uids[:6])


async def test_callers_who_were_hung_up_on(served: Served) -> None:
    """Where no connection is left to send by, that is told, and not that nothing has come."""
    fleet = Fleet(served.program.port)
    async with town(served, fleet, DEVICES, group_size=DEVICES, callers=1) as crowd:
        crowd.callers[0].connection_lost(None)
        with pytest.raises(RuntimeError, match="the connections of all callers were closed"):
            await pumped(pump_of(to_group(crowd), 1), crowd.callers)


# -- floors


def test_the_fan_out_floor_writes_each_by_itself() -> None:
    """Each of three messages to two of three devices is a write on both sockets; the first comes after the last."""
    wires = [Wire(), Wire(), Wire()]
    fanout = Fanout()
    fanout.devices += cast("list[asyncio.WriteTransport]", wires)
    fanout.order(2, 3, b"told")
    assert [wire.written for wire in wires] == [[b"told"] * 2] * 3


async def test_the_fan_out_floor_writes_the_very_bytes(programs: Programs) -> None:
    """Four messages to two of five devices each are eight deliveries of the bytes that were given."""
    async with bare(programs, DEVICES) as floor:
        told = message(9, "told")
        await floor.write(2, 4, 2, told)
        assert floor.fleet.messages == 8
        assert floor.fleet.sample == told


async def test_the_fan_out_floor_writes_to_the_next_sockets(programs: Programs) -> None:
    """Two messages to two of five devices each reach four of them; the third reaches the last and the first."""
    with programs.floor("fanout") as program:
        fleet = Fleet(program.port, bare=True, tracked=True)
        await fleet.connect(plain_handshakes(program.port, DEVICES))
        orders = await Orders.open(program.port)
        floor = Bare(program, fleet, orders)
        try:
            await floor.write(2, 2, 2, message(9))
            with pytest.raises(
                RuntimeError, match=r"^devices .* 1 of 'an entry was skipped, or came twice'$"
            ):
                await floor.write(2, 1, 1, message(9))
        finally:
            orders.close()
            fleet.close()


@pytest.mark.parametrize("name", ["upgrade", "aiohttp_ws"])
async def test_floors_of_a_connection_keep_it(programs: Programs, name: str) -> None:
    """A floor answers handshakes of both kinds of dialling, and hangs up on nobody."""
    with programs.floor(name) as floor:
        requests = plain_handshakes(floor.port, DEVICES)
        dial(floor.port, requests, b"\r\n\r\n")
        fleet = Fleet(floor.port, bare=True)
        await fleet.connect(requests)
        assert len(fleet.devices) == DEVICES
        fleet.check()
        fleet.close()


# -- the whole


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core for the server, one for the load")
def test_a_scenario_plays_at_a_small_scale(tmp_path: Path) -> None:
    """A scenario with both contenders and acks is played to its end, and tells its figures."""
    told = tmp_path / "figures.json"
    command = [sys.executable, "scripts/bench.py", "groups-500", "--rounds", "1", "--scale", "0.002"]
    command += ["--core", str(min(os.sched_getaffinity(0))), "--json", str(told)]
    played = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=2 * WAIT_S, env=unmeasured()
    )
    assert played.returncode in {0, 1}, played.stderr
    figures = msgspec.json.decode(told.read_bytes())
    assert figures["groups-500: CPU per delivery"]["floor"] > 0
    assert figures["groups-500: deliveries"]["value"] > 0


def cursors(data: Path, group: int) -> list[int]:
    """The cursors of devices in a group's timeline."""
    return [seq for (seq,) in looked(data, f"SELECT seq FROM cursor WHERE t = {timeline_of(data, group)}")]


def members(data: Path, groups: list[int]) -> list[tuple[int, ...]]:
    """Who is in which of these groups."""
    named = ",".join(map(str, groups))
    return looked(
        data,
        "SELECT g.xid, u.xid FROM stay JOIN timeline g ON g.id = stay.grp JOIN timeline u ON u.id = stay.usr"
        f" WHERE g.xid IN ({named})",
    )


def last_seq(data: Path, group: int) -> int:
    """The seq of the newest entry in a group's timeline."""
    return int(looked(data, f"SELECT head FROM timeline WHERE id = {timeline_of(data, group)}")[0][0])


def timeline_of(data: Path, group: int) -> int:
    return int(looked(data, f"SELECT id FROM timeline WHERE xid = {group}")[0][0])


def looked(data: Path, sql: str) -> list[tuple[int, ...]]:
    store = sqlite3.connect(f"file:{data / 'gateway.db'}?mode=ro", uri=True)
    try:
        return store.execute(sql).fetchall()
    finally:
        store.close()
