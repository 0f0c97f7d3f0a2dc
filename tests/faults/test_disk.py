"""A disk that is full, as the kernel tells the real process by RLIMIT_FSIZE: no file may grow past a limit."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
import pytest

from gateway.client.device import Device
from tests.patience import WAIT_S
from tests.servers import COMMAND, Program, ServerProcess, eventually, gateway

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's")

ROOM = 1_000_000
"""So much may the largest file of a gateway grow: some rounds fit into that, in few commits or many."""

ROUND = 24
ROUNDS_MAX = 40
TARGETS = ("bob", "carol", "dave")
TEXT = "x" * 4_000


def leave_room(server: ServerProcess, size: int = resource.RLIM_INFINITY) -> None:
    """No file of the server may be larger than this from now on."""
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def leave_little(server: ServerProcess) -> None:
    """Room for some of what is sent from now on."""
    leave_room(server, max(file.stat().st_size for file in server.data.glob("gateway.db*")) + ROOM)


@dataclass(frozen=True)
class Answer:
    status: int
    code: int
    retry_after: str | None
    message: str | None


@dataclass
class Filling:
    """What was answered while the disk filled up, while it was full, and when there was room again."""

    answers: dict[int, Answer] = field(default_factory=dict)
    check: str = ""
    histories: dict[str, Counter[int]] = field(default_factory=dict)
    retries: dict[int, Answer] = field(default_factory=dict)
    histories_after: dict[str, Counter[int]] = field(default_factory=dict)
    check_after: str = ""

    @property
    def answered(self) -> set[int]:
        return {number for number, answer in self.answers.items() if answer.status == 200}

    @property
    def refused(self) -> set[int]:
        return set(self.answers) - self.answered


class Filler:
    """Alice, who sends to three users at once until nothing goes in any more."""

    def __init__(self, server: ServerProcess, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session
        self._xids = {user: server.xid(user) for user in TARGETS}
        self._token = server.token("alice")

    async def send(self, numbers: range | set[int]) -> dict[int, Answer]:
        answers = await asyncio.gather(*(self._send(number) for number in numbers))
        return dict(zip(numbers, answers, strict=True))

    async def _send(self, number: int) -> Answer:
        body = {
            "type": 1,
            "targets": list(self._xids.values()),
            "content_type": 0,
            "content": f"{number} {TEXT}",
            "transaction_id": number,
        }
        headers = {"app_id": "demo", "access-token": self._token}
        url = f"{self._server.url}/message/send"
        async with self._session.post(url, data=msgspec.json.encode(body), headers=headers) as answer:
            told = msgspec.json.decode(await answer.read())
            retry_after = answer.headers.get("Retry-After")
            return Answer(answer.status, told["code"], retry_after, told["message"])

    async def histories(self) -> dict[str, Counter[int]]:
        return {user: await asyncio.to_thread(self._history, xid) for user, xid in self._xids.items()}

    def _history(self, xid: int) -> Counter[int]:
        found: Counter[int] = Counter()
        start = 0
        while True:
            query = f"opposite_id={xid}&limit=100&msg_id_start={start}"
            page = self._server.get(f"/message/conversation?{query}", self._token)[1]["data"]
            found.update(int(item["content"].partition(" ")[0]) for item in page["messages"])
            if page["is_last"]:
                return found
            start = page["next_msg_id"]


async def fill(server: ServerProcess) -> Filling:
    filling = Filling()
    async with aiohttp.ClientSession() as session, asyncio.timeout(2 * WAIT_S):
        filler = Filler(server, session)
        leave_little(server)
        for turn in range(ROUNDS_MAX):
            answers = await filler.send(range(turn * ROUND + 1, (turn + 1) * ROUND + 1))
            filling.answers |= answers
            # What is in the log may still go into the file: some rounds are refused before all are.
            if len(filling.refused) > 4 * ROUND and all(answer.status != 200 for answer in answers.values()):
                break
        filling.check = gateway("check", "--data", server.data).stdout
        filling.histories = await filler.histories()
        leave_room(server)
        filling.retries = await filler.send(filling.refused)
        filling.histories_after = await filler.histories()
        filling.check_after = gateway("check", "--data", server.data).stdout
    return filling


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("disk") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def filling(server: ServerProcess) -> Filling:
    return asyncio.run(fill(server))


def test_a_send_that_does_not_fit_is_503_with_advice(filling: Filling) -> None:
    """HTTP 503, code 20000, Retry-After, and a sentence."""
    assert filling.refused
    for number in filling.refused:
        answer = filling.answers[number]
        assert (answer.status, answer.code, answer.retry_after) == (503, 20000, "1")
        assert answer.message


def test_every_answered_send_is_there_for_all_its_targets(filling: Filling) -> None:
    """What got its 200 before the disk was full is readable while it is."""
    assert len(filling.answered) > ROUND
    for user, found in filling.histories.items():
        assert {number: found[number] for number in filling.answered} == dict.fromkeys(filling.answered, 1), (
            user
        )


def test_nothing_is_half_written(filling: Filling) -> None:
    """What was refused is with none of its targets."""
    for user, found in filling.histories.items():
        assert not filling.refused & found.keys(), user


def test_check_is_clean_while_the_disk_is_full(filling: Filling) -> None:
    """What could not be written broke nothing."""
    assert filling.check == "the store keeps all its laws\n"


def test_the_refused_sends_go_in_when_there_is_room(filling: Filling) -> None:
    """No restart is needed, and with their transaction_ids each is there once in the end."""
    assert {answer.status for answer in filling.retries.values()} == {200}
    for user, found in filling.histories_after.items():
        assert found == dict.fromkeys(filling.answers, 1), user


def test_check_is_clean_when_there_was_room_again(filling: Filling) -> None:
    """The store keeps all its laws."""
    assert filling.check_after == "the store keeps all its laws\n"


def test_readyz_says_why_it_is_not_ready(server: ServerProcess) -> None:
    """503 and a reason while nothing can be committed, though the process is alive; 200 once there is room."""
    leave_room(server, 0)
    eventually(lambda: server.get("/readyz")[0] == 503, "503")
    reasons = ["the store cannot keep anything now; try again"]
    assert server.get("/readyz") == (503, {"ready": False, "reasons": reasons})
    assert server.get("/healthz") == (200, {"status": "ok"})
    leave_room(server)
    eventually(lambda: server.get("/readyz") == (200, {"ready": True, "reasons": []}), "ready again")


def test_a_kill_while_the_disk_is_full_loses_nothing(tmp_path: Path) -> None:
    """What was answered is there after a restart with room, once, and the store is in order."""

    async def story(server: ServerProcess) -> None:
        async with aiohttp.ClientSession() as session:
            filler = Filler(server, session)
            leave_little(server)
            answers: dict[int, Answer] = {}
            number = 1
            while all(answer.status == 200 for answer in answers.values()):
                answers |= await filler.send(range(number, number + ROUND))
                number += ROUND
            server.kill9()
            server.start()
            answered = {number for number, answer in answers.items() if answer.status == 200}
            assert answered
            for user, found in (await filler.histories()).items():
                assert found == dict.fromkeys(answered, 1), user

    with ServerProcess(tmp_path / "data") as server:
        asyncio.run(story(server))
        assert gateway("check", "--data", server.data).returncode == 0


@pytest.mark.parametrize("blocks", [0, 1, 150, 250])
def test_a_first_start_without_room_ends_with_a_sentence(tmp_path: Path, blocks: int) -> None:
    """However far it gets: exit code 2, no traceback, no process that hangs; with room the same folder will do."""
    serve = f"{' '.join(COMMAND)} serve --data {tmp_path / 'data'} --port 0"
    # Without the coverage of processes: its own file would not have the room either, and it would say so.
    bare = "env -u COVERAGE_PROCESS_CONFIG -u COVERAGE_PROCESS_START"
    with Program("sh", "-c", f"ulimit -f {blocks}; exec {bare} {serve}") as program:
        assert program.wait() == 2, program.lines
        assert program.lines[-1].startswith("gateway: cannot ")
        assert not any("Traceback" in line for line in program.lines), program.lines
    with ServerProcess(tmp_path / "data") as server:
        assert gateway("check", "--data", server.data).returncode == 0


async def test_an_ack_waits_for_room(server: ServerProcess) -> None:
    """A device that acks while the disk is full stays connected, and DELIVERED comes with the room."""
    token, erin = server.token("alice"), server.xid("erin")
    body = {"type": 1, "targets": [erin], "content_type": 0, "content": "hello"}
    assert server.post("/message/send", token, body)[0] == 200

    def status() -> str:
        page = server.get(f"/message/conversation?opposite_id={erin}", token)[1]["data"]
        return str(page["messages"][0]["status"])

    async with (
        asyncio.timeout(2 * WAIT_S),
        Device(server.url, "demo", server.token("erin"), auto_ack=False) as device,
    ):
        async for frame in device:
            if frame["op"] == "message":
                break
        leave_room(server, 0)
        await device.ack("user", 1)
        await asyncio.to_thread(server.program.expect, "acks wait for the store")
        assert status() == "UNREAD"
        leave_room(server)
        await asyncio.to_thread(eventually, lambda: status() == "DELIVERED", "DELIVERED")
        assert device.tally["connections"] == 1
