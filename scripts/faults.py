"""Breaks a cluster of three nodes in every way it can think of, and checks that nothing was lost.

    scripts/setup tests/requirements.lock      the set-up of the tests brings PostgreSQL and Redis
    .venv/bin/python scripts/faults.py [--seconds N] [--seed S]

Starts PostgreSQL, Redis and three nodes of the gateway on the loopback, users who send, devices that ack, move between
nodes and come back, and groups whose members come and go; injects faults by a schedule that follows from the seed; then
lets everything run, waits until every device has all it is owed, and compares what was answered and what arrived with
what the store holds. Prints the seed, what was injected, totals, and how long any device was behind after the last
fault. Exit code 1 on a breach of a promise, with the breaches; 2 when the run itself could not be made.

`--sabotage` breaks the gateway on purpose, to show that a breach is seen: `fetch` (a gap is skipped, not fetched),
`early` (a send is answered before its commit), `attach` (what a replaced connection writes is believed). Such a run
ends as soon as that is found out.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import asyncpg
import msgspec

from scripts.faultlib.history import judge
from scripts.faultlib.schedule import DRAIN_S, Schedule
from scripts.faultlib.services import ROOT, Chaos, Node, clean_environment
from scripts.faultlib.town import ADMIN_UID, Phone, Tenant, Town
from scripts.faultlib.truth import read_heads, read_positions, read_truth
from scripts.faultlib.wires import Wire
from scripts.loadlib.server import Signer
from scripts.loadlib.services import Postgres, Redis

NODES = 3
SETTLE_S = 90.0
SABOTAGED_S = 15.0
READY_S = 120.0
COMMAND_S = 120.0
DEVICES = 2
ACKS_LATE_MS = 2_000
"""So long acks wait for their commit where an ack of a replaced connection is to be seen: a device has to be back by
then, on a machine that may have much else to do."""

SABOTAGES = {
    "fetch": "on a connection",
    "early": "which is not stored",
    "attach": "a connection that was replaced has acked",
}
"""What is said of a gateway that is broken in this way."""


class Run:
    """One run: its services, its town, and its verdict."""

    def __init__(self, seconds: float, seed: int, sabotage: str, folder: Path, rate: float) -> None:
        self._seconds = seconds
        self._seed = seed
        self._sabotage = sabotage
        self._folder = folder
        self._rate = rate
        self._chance = random.Random(seed)
        self._started = time.monotonic()
        self._found = False

    def say(self, sentence: str) -> None:
        """Say what happens, with the time since the start."""
        print(f"{time.monotonic() - self._started:7.1f} s  {sentence}", flush=True)

    async def go(self) -> list[str]:
        """Do all of it; return the breaches."""
        async with AsyncExitStack() as stack:
            postgres = await asyncio.to_thread(Postgres)
            stack.callback(postgres.close)
            redis = Redis(self._folder)
            stack.callback(redis.close)
            to_redis = Wire(lambda: [("127.0.0.1", redis.port)])
            await to_redis.start()
            stack.push_async_callback(to_redis.close)
            # What each sabotage breaks shows where hints are lost, or devices are set up anew.
            usual = Chaos(sabotage=self._sabotage, drop=0.3 if self._sabotage == "fetch" else 0.0)
            nodes = [
                Node(
                    number,
                    self._folder,
                    {
                        "server": {"data": str(self._folder / f"data{number}")},
                        "store": {"url": postgres.url},
                        "bus": {"url": f"redis://127.0.0.1:{to_redis.port}"},
                        "limits": {"ack_flush_ms": ACKS_LATE_MS} if self._sabotage == "attach" else {},
                    },
                    usual,
                )
                for number in range(1, NODES + 1)
            ]
            front = Wire(lambda: self._addresses(nodes))
            await front.start()
            stack.push_async_callback(front.close)
            for node in nodes:
                stack.callback(node.kill)
                node.start()
            # Beside the loop, which carries what the nodes say to Redis.
            tenants = [
                await asyncio.to_thread(self._tenant, *asked) for asked in (("alpha", 12, 4), ("beta", 4, 1))
            ]
            await self._ready(nodes)
            town = await stack.enter_async_context(
                Town(f"http://127.0.0.1:{front.port}", tenants, random.Random(self._seed + 1))
            )
            if self._sabotage == "attach":
                town.anew_share = 1.0
                town.anew_wait_s = 1.5 * ACKS_LATE_MS / 1000
            await town.settle_in(DEVICES)
            self.say(f"{len(town.phones)} devices are known to the store; faults begin")
            schedule = Schedule(nodes, postgres, redis, front, to_redis, self._chance, self.say)
            behind = await self._live(town, schedule, postgres.url)
            breaches = await self._judge(town, schedule, postgres.url)
            for node in nodes:
                node.drain()
            for node in nodes:
                await asyncio.to_thread(node.wait, DRAIN_S)
            breaches += await asyncio.to_thread(self._check)
            self._report(town, schedule, behind)
            return breaches

    def _addresses(self, nodes: Sequence[Node]) -> list[tuple[str, int]]:
        """Where a balancer that probes its nodes would send a connection: to any that is not known to be away."""
        up = [node for node in nodes if node.alive and not node.stopped]
        return [("127.0.0.1", node.port) for node in self._chance.sample(up, k=len(up))]

    def _tenant(self, app_id: str, users: int, groups: int) -> Tenant:
        """Make an app by the command line, as an operator does."""
        config = ("--config", str(self._folder / "node1.toml"))
        self._command("app", "create", app_id, *config)
        told = self._command("app", "show", app_id, "--json", "--secret", *config)
        signer = msgspec.json.decode(told, type=Signer)
        return Tenant(app_id, signer, signer.token(ADMIN_UID, admin=True), users, groups)

    def _command(self, *words: str) -> str:
        said = subprocess.run(
            [sys.executable, "-m", "gateway", *words],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            timeout=COMMAND_S,
        )
        if said.returncode:
            raise RuntimeError(f"gateway {' '.join(words)}: {said.stderr.strip() or said.stdout.strip()}")
        return said.stdout

    async def _ready(self, nodes: Sequence[Node]) -> None:
        deadline = time.monotonic() + READY_S
        for node in nodes:
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", node.port)
                    writer.close()
                    break
                except OSError:
                    if not node.alive or time.monotonic() > deadline:
                        raise RuntimeError(f"node {node.number} did not start:\n{node.tail()}") from None
                    await asyncio.sleep(0.05)

    # -- the run itself

    async def _live(self, town: Town, schedule: Schedule, url: str) -> float:
        """Let the town live through the schedule, and settle; return how long any device was behind after it."""
        chance = random.Random(self._seed + 2)
        pause_s = 6 / self._rate
        async with asyncio.TaskGroup() as living:
            tasks = [living.create_task(phone.live(random.Random(chance.random()))) for phone in town.phones]
            works = []
            for tenant in town.tenants:
                works += [living.create_task(town.send_on(tenant, pause_s)) for _ in range(3)]
                works += [living.create_task(town.change_members(tenant, 0.6))]
                works += [
                    living.create_task(town.read_on(tenant, 0.2)),
                    living.create_task(town.recall_on(tenant, 2)),
                ]
            works.append(living.create_task(town.say_on(town.tenants[0], pause_s)))
            await schedule.run(self._seconds, lambda: self._found_out(town, url))
            await schedule.put_right()
            self.say("the last fault is over")
            right = time.monotonic()
            heads = await self._heads(url)
            town.settling.set()
            behind = await self._until(town, heads, right)
            await asyncio.gather(*works)
            # What was sent while it settled must arrive as well.
            await self._until(town, await self._heads(url), time.monotonic())
            self.say("every device has what it is owed" if behind is not None else "a device stays behind")
            for task in tasks:
                task.cancel()
        return SETTLE_S if behind is None else behind

    async def _found_out(self, town: Town, url: str) -> bool:
        """Whether what the sabotage breaks has shown by now."""
        if self._sabotage:
            sent = list(town.sent)
            try:
                told = judge(sent, [phone.arrived for phone in town.phones], await read_truth(url))
            except (OSError, asyncpg.PostgresError):
                return False
            # Of a run that goes on nothing else says anything: what is on its way has not come yet.
            self._found = any(SABOTAGES[self._sabotage] in breach for breach in told)
        return self._found

    async def _heads(self, url: str) -> dict[tuple[str, int], tuple[int, dict[int, int]]]:
        while True:
            try:
                return await read_heads(url)
            except OSError:
                await asyncio.sleep(0.2)

    async def _until(
        self, town: Town, heads: dict[tuple[str, int], tuple[int, dict[int, int]]], since: float
    ) -> float | None:
        """Wait until every device has these heads; return how long that took, None where it did not come to it."""
        waiting = list(town.phones)
        while waiting:
            if self._found or time.monotonic() - since > (SABOTAGED_S if self._sabotage else SETTLE_S):
                for phone in waiting[:5]:
                    owed = heads[phone.tenant.app_id, phone.uid]
                    self.say(f"{phone.arrived.name} holds {phone.held}, the store {owed}")
                return None
            await asyncio.sleep(0.02)
            waiting = [phone for phone in waiting if not _holds(phone, heads)]
        return time.monotonic() - since

    async def _judge(self, town: Town, schedule: Schedule, url: str) -> list[str]:
        truth = await read_truth(url)
        breaches = [*town.breaches, *schedule.breaches, *town.statuses.breaches]
        breaches += judge(town.sent, [phone.arrived for phone in town.phones], truth)
        positions = await read_positions(url)
        for app, uid, opposite, msg_id in town.reads:
            if positions.get((app, uid, opposite), 0) < msg_id:
                breaches.append(f"{app}/{uid} was told that {msg_id} of {opposite} is READ, and it is not")
        return breaches

    def _check(self) -> list[str]:
        config = ("--config", str(self._folder / "node1.toml"))
        said = subprocess.run(
            [sys.executable, "-m", "gateway", "check", *config],
            capture_output=True, text=True, cwd=ROOT, check=False, timeout=COMMAND_S,
        )  # fmt: skip
        return [] if said.returncode == 0 else [f"gateway check: {said.stdout}{said.stderr}"]

    def _report(self, town: Town, schedule: Schedule, behind: float) -> None:
        answered = sum(bool(sent.msg_id) for sent in town.sent)
        print(f"\nseed {self._seed}, {self._seconds:.0f} s of faults, {NODES} nodes")
        for name, count in sorted(schedule.injected.items()):
            print(f"  {count:4}  {name}")
        print(f"sends answered            {answered} of {len(town.sent)}, after {town.retries} retries")
        print(f"repeats of a transaction  {town.repeats}")
        print(f"statuses read             {town.statuses.reads}, READ answered {len(town.reads)}")
        print(f"frames received           {town.frames} by {len(town.phones)} devices")
        connections = sum(phone.connections for phone in town.phones)
        repeated = sum(phone.repeated for phone in town.phones)
        print(f"connections               {connections}, entries that came again {repeated}")
        print(f"devices set up anew       {town.set_up_anew}")
        print(
            f"refusals                  {sum(town.refused.values())}: {dict(sorted(town.refused.items())[:5])}"
        )
        print(f"closed for good           {town.closed}")
        print(f"longest behind after the last fault  {behind:.2f} s")


def _holds(phone: Phone, heads: dict[tuple[str, int], tuple[int, dict[int, int]]]) -> bool:
    head, groups = heads[phone.tenant.app_id, phone.uid]
    held = phone.held
    # A group that the user has left since is owed no more: its own timeline says so.
    left = phone.left
    return held.get("user", 0) >= head and all(
        group in left or held.get(f"g:{group}", 0) >= last for group, last in groups.items()
    )


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="how long faults are injected [default: 60]"
    )
    parser.add_argument("--seed", type=int, default=None, help="repeat the schedule of another run")
    parser.add_argument(
        "--rate", type=float, default=60.0, help="about how many sends per second [default: 60]"
    )
    parser.add_argument("--sabotage", choices=tuple(SABOTAGES), default="", help="break the gateway")
    parser.add_argument("--keep", action="store_true", help="leave logs behind, and say where")
    asked = parser.parse_args()
    clean_environment()
    seed = random.SystemRandom().randrange(1_000_000) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="gwfaults-"))
    if asked.keep:
        print(f"logs in {folder}")
    try:
        breaches = asyncio.run(Run(asked.seconds, seed, asked.sabotage, folder, asked.rate).go())
    except (RuntimeError, OSError) as error:
        print(f"the run could not be made: {error}", file=sys.stderr)
        return 2
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if breaches:
        said = SABOTAGES.get(asked.sabotage, "")
        # A sabotage leads to many; the one that it is known by is among those told.
        breaches.sort(key=lambda breach: said not in breach)
        print(f"\n{len(breaches)} breaches:")
        for breach in breaches[:50]:
            print(f"  {breach}")
        return 1
    print("\nEvery promise was kept.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
