"""The bench: figures and their reaches, a load that hides nothing, floors that do what the gateway does."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.domain.drafts import Appended, MessageDraft
from gateway.domain.limits import Limits
from gateway.domain.model import Scope
from gateway.store.sqlite.check import check_store
from gateway.store.sqlite.engine import SqliteStore
from scripts import bench
from scripts.benchlib import http
from scripts.benchlib.figures import Figure
from scripts.benchlib.http import Callers
from scripts.benchlib.listening import Arrivals, marked
from scripts.benchlib.programs import Programs
from scripts.benchlib.scenario import LeftOut, Measured, Rounds, Scenario, column
from scripts.benchlib.stuffing import settle, stuff
from tests.patience import WAIT_S
from tests.servers import unmeasured

ROOT = Path(__file__).resolve().parents[2]
SUCCESS = b'{"code":200,"message":"ok","data":null}'


# -- figures, and what a run makes of them


def contender(*values: float) -> Callable[[Programs], Awaitable[Measured]]:
    """Measures these, round by round."""
    left = iter(values)

    async def contend(_: Programs) -> Measured:
        return {"us": next(left)}

    return contend


def figures(rounds: Rounds) -> list[Figure]:
    """A program may cost twice its floor."""
    floors = column(rounds, "floor", "us")
    values = column(rounds, "program", "us")
    return [Figure(name="cost", unit="µs", values=values, floors=floors, most=200.0, reach="≤ 2 floors")]


@pytest.fixture
def scenarios(monkeypatch: pytest.MonkeyPatch) -> dict[str, Scenario]:
    found: dict[str, Scenario] = {}
    monkeypatch.setattr(bench, "SCENARIOS", found)
    monkeypatch.setattr(bench, "_take_our_place", lambda core: None)
    return found


def judged(cost: float, scenarios: dict[str, Scenario], folder: Path) -> tuple[int, dict[str, Any]]:
    """Run a scenario with one slow round, whose median is this; return the exit code and the JSON."""
    contenders = {"program": contender(cost, 9_000.0, cost - 10), "floor": contender(100.0, 90.0, 110.0)}
    scenarios["fake"] = Scenario("fake", "for a test", contenders, figures)
    told = folder / "told.json"
    code = bench.main(["--json", str(told)])
    return code, msgspec.json.decode(told.read_bytes())


def test_a_reach_is_judged_by_medians(scenarios: dict[str, Scenario], tmp_path: Path) -> None:
    """One bad round decides nothing; the JSON says what was measured, beside the floor of the same rounds."""
    code, told = judged(150.0, scenarios, tmp_path)
    assert code == 0
    assert told["cost"].pop("rounds") == [150.0, 9_000.0, 140.0]
    assert told == {
        "cost": {
            "value": 150.0, "unit": "µs", "floor": 100.0, "ratio": 1.5, "reach": "≤ 2 floors", "ok": True
        }
    }  # fmt: skip


def test_a_reach_that_is_missed_is_the_exit_code(scenarios: dict[str, Scenario], tmp_path: Path) -> None:
    """A figure beyond its bound is not ok, and the run says 1."""
    code, told = judged(201.0, scenarios, tmp_path)
    assert (code, told["cost"]["ok"]) == (1, False)


def test_what_was_measured_before_a_failure_stands(
    scenarios: dict[str, Scenario], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A scenario that cannot be measured makes the exit code 2, and the figures of those before it are told."""

    async def fail(_: Programs) -> Measured:
        raise RuntimeError("the server stalled")

    scenarios["good"] = Scenario("good", "", {"program": contender(1.0), "floor": contender(1.0)}, figures)
    scenarios["bad"] = Scenario("bad", "", {"program": fail}, figures)
    told = tmp_path / "told.json"
    assert bench.main(["--rounds", "1", "--json", str(told)]) == 2
    assert "the server stalled" in capsys.readouterr().err
    assert list(msgspec.json.decode(told.read_bytes())) == ["cost"]


def test_a_contender_may_be_left_out(scenarios: dict[str, Scenario]) -> None:
    """It has no rounds then, and the others are judged as ever."""
    seen: list[Rounds] = []

    async def leave_out(_: Programs) -> Measured:
        raise LeftOut("too large")

    def look(rounds: Rounds) -> list[Figure]:
        seen.append(rounds)
        return []

    scenarios["one"] = Scenario("one", "", {"small": contender(1.0), "large": leave_out}, look)
    assert bench.main(["--rounds", "1"]) == 0
    assert seen == [{"small": [{"us": 1.0}], "large": []}]


def test_an_unknown_scenario_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started."""
    assert bench.main(["nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


# -- the load


Answering = Callable[[asyncio.Transport], None]


def answer(body: bytes = SUCCESS, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Server(asyncio.Protocol):
    """A connection that answers each GET in this way."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            self._answering(self._transport)


@asynccontextmanager
async def callers_of(answering: Answering, callers: int = 1) -> AsyncIterator[Callers]:
    server = await asyncio.get_running_loop().create_server(lambda: Server(answering), "127.0.0.1", 0)
    async with server:
        found = Callers(server.sockets[0].getsockname()[1])
        await found.open(callers)
        yield found
        found.close()


def ask(number: int, due_ns: int) -> bytes:
    return b"GET / HTTP/1.1\r\n\r\n"


async def test_every_call_is_made_once_and_timed() -> None:
    """As many calls as were asked for, by all callers together, each with its latency."""
    asked = 0

    def count(transport: asyncio.Transport) -> None:
        nonlocal asked
        asked += 1
        transport.write(answer())

    async with callers_of(count, callers=3) as callers:
        loaded = await callers.load(20, ask)
    assert (asked, loaded.calls, loaded.latency.count) == (20, 20, 20)
    assert loaded.answer.endswith(SUCCESS)


async def test_an_answer_may_come_in_pieces() -> None:
    """However the network cuts an answer, it is taken when it is whole."""

    def drip(transport: asyncio.Transport, left: bytes = answer()) -> None:
        transport.write(left[:1])
        if left[1:]:
            asyncio.get_running_loop().call_later(0.0001, drip, transport, left[1:])

    async with callers_of(drip) as callers:
        assert (await callers.load(2, ask)).calls == 2


@pytest.mark.parametrize(
    "bad",
    [answer(b'{"code":20000}'), answer(status="503 Service Unavailable"), b""],
    ids=["code", "status", "cut"],
)
async def test_an_answer_that_is_no_success_fails_the_round(bad: bytes) -> None:
    """Another code, another status, a connection that ends: nothing that was not done is counted as done."""

    def refuse(transport: asyncio.Transport) -> None:
        transport.write(bad)
        if not bad:
            transport.close()

    async with callers_of(refuse) as callers:
        with pytest.raises(RuntimeError, match="no success"):
            await callers.load(3, ask)


async def test_no_load_goes_on_without_all_its_callers() -> None:
    """A connection that has ended between two loads is told, not waited for."""
    servers: list[asyncio.Transport] = []

    def remember(transport: asyncio.Transport) -> None:
        servers.append(transport)
        transport.write(answer())

    async with callers_of(remember) as callers:
        await callers.load(1, ask)
        servers[0].close()
        while not callers.lost:  # noqa: ASYNC110 - it is told by nothing else
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="connection was lost"):
            await callers.load(1, ask)


async def test_a_stall_counts_for_every_call_that_was_due_in_it() -> None:
    """At a rate a latency counts from when the call was due, not from when a caller was free to make it."""
    stall_s = 0.2
    stalled = False

    def stall(transport: asyncio.Transport) -> None:
        nonlocal stalled
        if not stalled:
            stalled = True
            asyncio.get_running_loop().call_later(stall_s, transport.write, answer())
        else:
            transport.write(answer())

    async with callers_of(stall) as callers:
        loaded = await callers.load(20, ask, rate=1_000.0)
    # The last of them was due 19 ms after the first.
    assert loaded.latency.quantile_ms(0.0) >= (stall_s - 0.019) * 1000 * 0.98


async def test_the_load_stays_awake_while_a_call_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a rate that leaves it time to sleep, an answer finds it awake: to be woken takes as long as the answer."""
    looks = 0

    def look() -> int:
        nonlocal looks
        looks += 1
        return time.monotonic_ns()

    hesitating = True

    def hesitate(transport: asyncio.Transport) -> None:
        say(transport, looks + 20 if hesitating else 0)

    def say(transport: asyncio.Transport, least: int) -> None:
        nonlocal hesitating
        if looks > least:
            hesitating = False
            transport.write(answer())
        else:
            # Who sleeps until the answer comes looks no more, and waits for ever.
            asyncio.get_running_loop().call_later(0.01, say, transport, least)

    monkeypatch.setattr(http, "monotonic_ns", look)
    async with callers_of(hesitate) as callers, asyncio.timeout(WAIT_S):
        await callers.load(2, ask, rate=4.0)


async def test_a_message_that_comes_twice_is_told() -> None:
    """Arrivals are counted, and one too many is as wrong as one that is missing."""
    arrivals = Arrivals()
    arrivals.take(2_000_000, [1_000_000, 1_000_000])
    with pytest.raises(RuntimeError, match="only 1"):
        await arrivals.wait(1)


def test_a_marked_text_has_the_length_asked_for() -> None:
    """What says when a send was due is part of its text."""
    assert len(marked(123_456_789, 100)) == 100


# -- the floors, and stores made in bulk


def committed(folder: Path, sends: int) -> Counter[str]:
    """Have the bare commit make so many sends in batches of 4, between 20 users; return its rows by table."""
    folder.mkdir()
    program = [sys.executable, str(ROOT / "scripts/floors/sqlite_commit.py")]
    said = subprocess.run(
        [*program, str(folder), str(sends), "4", "20", "100"],
        check=True,
        capture_output=True,
        timeout=2 * WAIT_S,
    )
    port, told = said.stdout.splitlines()
    assert port == b"0"
    assert msgspec.json.decode(told)["cpu_us"] > 0
    return rows_of(folder)


def rows_of(folder: Path) -> Counter[str]:
    with closing(sqlite3.connect(folder / "gateway.db")) as conn:
        tables = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return Counter({name: conn.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables})


async def sent(folder: Path, sends: int) -> Counter[str]:
    """Have the gateway's store take so many, each of a conversation of its own; return the rows they added by table."""
    store = await SqliteStore.open(folder, Limits())
    try:
        app = await store.create_app("floor", "k", b"x" * 64, registered=False, at=1)
        assert app is not None

        def drafts(first: int, count: int, key: str) -> list[MessageDraft]:
            return [
                MessageDraft(
                    app=app.id, sender_xid=100 + n, sender_sn=0, scope=Scope.USER, targets=(100 + n % 20 + 1,),
                    ctype=0, content="x" * 100, attachment="", config="", ext="", at=1,
                    key=f"{key}-{n}", digest="0" * 32,
                )
                for n in range(first, first + count)
            ]  # fmt: skip

        await store.append(drafts(0, 20, "first"))
        before = rows_of(folder)
        answers = await store.append(drafts(0, sends, "then"))
        assert all(isinstance(each, Appended) for each in answers)
    finally:
        await store.close()
    after = rows_of(folder)
    after.subtract(before)
    return after


async def test_the_bare_commit_writes_the_rows_of_our_sends(tmp_path: Path) -> None:
    """As many in each table as the gateway's store, and the laws of the store hold for them."""
    few, many = committed(tmp_path / "few", 4), committed(tmp_path / "many", 16)
    many.subtract(few)
    assert check_store(tmp_path / "many") == []
    ours = await sent(tmp_path / "ours", 12)
    # Whether a conversation is new is chance; its row is written either way.
    del many["conversation"], ours["conversation"]
    assert many == ours
    assert +ours


def test_a_store_made_in_bulk_keeps_all_laws(tmp_path: Path) -> None:
    """What stands in it is what sends would have left, and devices of its users are owed nothing."""
    data = tmp_path / "data"
    stuff(data, 1_300)
    settle(data)
    assert check_store(data) == []
    rows = rows_of(data)
    assert (rows["message"], rows["entry"], rows["dedup"]) == (1_300, 2_600, 1_300)
    with closing(sqlite3.connect(data / "gateway.db")) as conn:
        # Nothing is left to be told with the first sends that are measured.
        assert conn.execute("SELECT told_to = next_msg_id - 1 FROM meta").fetchone() == (1,)


# -- all of it


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the bench wants two cores")
def test_a_tiny_round_is_measured(tmp_path: Path) -> None:
    """A real gateway under a few real sends, beside the bare commit."""
    told = tmp_path / "told.json"
    core = str(min(os.sched_getaffinity(0)))
    words = ["send-1", "--rounds", "1", "--scale", "0.01", "--core", core, "--json", str(told)]
    program = [sys.executable, str(ROOT / "scripts/bench.py")]
    ran = subprocess.run(
        [*program, *words, "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=2 * WAIT_S,
        check=False,
        env=unmeasured(),
    )
    assert ran.returncode in (0, 1), ran.stderr
    found = msgspec.json.decode(told.read_bytes(), type=dict[str, dict[str, Any]])
    assert found
    assert all(figure["value"] > 0 and figure["floor"] > 0 for figure in found.values())
    assert [path.name for path in tmp_path.iterdir()] == ["told.json"]
