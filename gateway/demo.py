"""`gateway demo`: a real server, two users with two devices each, and the promises seen with one's own eyes.

It is also a tour of the client: `Rest` is what a backend has, `Device` what an app has. Everything happens in a
temporary folder, which goes away with the server's process, however the demo ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.text import Text

from gateway.client.cursors import Frame
from gateway.client.device import Backoff, Device
from gateway.client.errors import CallError, ClosedError, LostError, RestError
from gateway.client.rest import Rest
from gateway.control import ask_running
from gateway.core.operator import Ask
from gateway.domain.errors import Problem
from gateway.domain.model import Scope

APP = "demo"
STEP_TIMEOUT_S = 60.0
CONFLICT = 60001
GATEWAY = (sys.executable, "-m", "gateway")


class MissedError(Exception):
    """A step was not seen; the sentence says what was there instead."""


FAILURES = (MissedError, RestError, CallError, ClosedError, LostError, aiohttp.ClientError, TimeoutError)


class Server:
    """`gateway serve` as a process of its own, on one folder and, once it has one, on one port."""

    def __init__(self, folder: Path, config: Path | None) -> None:
        self.url = ""
        self._config = () if config is None else ("--config", str(config))
        self._data = folder / "data"
        self._log = folder / "log"
        self._process: Process | None = None

    async def start(self) -> None:
        """Start it, and learn over its control socket when and where it answers."""
        port = self.url.rpartition(":")[2] or "0"
        args = ("serve", "--data", str(self._data), "--port", port, *self._config)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*GATEWAY, *args, stdout=log, stderr=log)
        while not (told := self.token("")):
            if self._process.returncode is not None:
                raise MissedError(self._log.read_text().strip())
            await asyncio.sleep(0.01)
        self.url = told["url"]

    def token(self, user: str) -> dict[str, Any]:
        """Get a token and what belongs to it; empty while the server does not run."""
        with contextlib.suppress(Problem, OSError):
            return ask_running(self._data, Ask(verb="token", app=APP, user=user)) or {}
        return {}

    async def kill(self) -> None:
        """Kill it the hard way: it gets no chance to say or save anything."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def check(self) -> str:
        """Return what `gateway check` says of the store, where it finds nothing wrong."""
        args = ("check", "--data", str(self._data))
        process = await asyncio.create_subprocess_exec(*GATEWAY, *args, stdout=PIPE, stderr=STDOUT)
        said = (await process.communicate())[0].decode().strip()
        if process.returncode:
            raise MissedError(said)
        return said


class Screen:
    """One device, and every frame it has shown since it was switched on."""

    def __init__(self, server: Server, token: str, device_sn: int) -> None:
        self.shown: list[Frame] = []
        self._server, self._token = server, token
        self._came = asyncio.Condition()
        self._resume: dict[str, Any] = {"device_sn": device_sn}

    async def connect(self) -> None:
        """Switch it on: it connects, from where it got to, and is level with the server when this returns."""
        self.shown.clear()
        self._network = aiohttp.ClientSession()  # Its own, so that it can be cut.
        options = {"session": self._network, "backoff": Backoff(0.05, 0.3), **self._resume}
        self.device = Device(self._server.url, APP, self._token, **options)
        await self.device.__aenter__()
        self._reading = asyncio.create_task(self._read(self.device))
        await self.see("live")

    async def _read(self, device: Device) -> None:
        async for frame in device:
            async with self._came:
                self.shown.append(frame | frame.get("message", {}))
                self._came.notify_all()

    async def cut(self) -> None:
        """Lose the network: no goodbye. What an app has to keep to come back is three things."""
        await self._network.close()
        self._resume |= {"cursors": self.device.cursors, "epoch": self.device.epoch}
        await self.close()

    async def close(self) -> None:
        """Switch the device off."""
        await self.device.close()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._network.close()

    async def see(self, op: str, **members: object) -> None:
        """Wait until a frame with these members has been shown."""
        async with self._came:
            await self._came.wait_for(
                lambda: any(frame["op"] == op and members.items() <= frame.items() for frame in self.shown)
            )

    def texts(self) -> list[str]:
        """Return the texts of the messages shown, in their order."""
        return [frame["content"] for frame in self.shown if frame["op"] == "message"]


class Demo:
    """The steps, in their order. Each waits for what its docstring promises and returns what it saw."""

    def __init__(self, server: Server, backend: aiohttp.ClientSession) -> None:
        self._server, self._backend = server, backend
        self.screens: list[Screen] = []

    async def start(self) -> str:
        """A real server starts in an empty folder."""
        await self._server.start()
        url = self._server.url
        alice, bob = self._server.token("alice"), self._server.token("bob")
        self._alice, self._bob = alice["xid"], bob["xid"]
        self._as_alice = Rest(url, APP, alice["token"], self._backend)
        for number, owner in enumerate((alice, alice, bob, bob), 1):
            self.screens.append(Screen(self._server, owner["token"], number))
        return f"A gateway listens on {url}, with SQLite in an empty folder."

    async def connect(self) -> str:
        """Four devices connect over WebSocket."""
        for screen in self.screens:
            await screen.connect()
        return "Alice's phone and laptop and Bob's phone and tablet are connected and live."

    async def send(self) -> str:
        """A message to Bob is shown on all four devices."""
        self._first = await self._send("Hello, Bob!")
        await self._all_see("message", content="Hello, Bob!")
        return "Alice sends by REST: the message is on disk, and on all four devices."

    async def delivered(self) -> str:
        """Bob's devices ack the message, Alice's are told, and her history says DELIVERED."""
        await self._status("DELIVERED")
        return "Bob's devices acked it: Alice's got a receipt, and her history says DELIVERED."

    async def read(self) -> str:
        """Bob reads the message, Alice's devices are told, and her history says READ."""
        await self.screens[2].device.read(self._alice, self._first)
        await self._status("READ")
        return "Bob reads it on his phone: another receipt, and her history says READ."

    async def group(self) -> str:
        """A group message is shown on all devices of all members."""
        body = {"name": "lunch", "user_list": [self._bob]}
        group_id = (await self._as_alice.call("POST", "/group/create", body=body))["data"]["group_id"]
        await self._all_see("group", action="joined", group_id=group_id)
        await self.screens[3].device.send(type=2, targets=[group_id], content_type=0, content="Pizza?")
        await self._all_see("message", content="Pizza?")
        return "Alice makes a group, Bob sends to it through his tablet's socket: all four devices show it."

    async def resume(self) -> str:
        """A device that was cut off gets exactly what it missed, in order."""
        await (phone := self.screens[2]).cut()
        missed = [f"while you were away, {number} of 20" for number in range(1, 21)]
        for text in missed:
            await self._send(text)
        await phone.connect()
        _same("the phone", phone.texts(), missed)
        return "Bob's phone loses its network for 20 messages and comes back: exactly those 20, in order."

    async def recall(self) -> str:
        """A recalled message is taken back on all devices and gone from the history."""
        msg_id = await self._send("a secret")
        await self._all_see("message", content="a secret")
        await self._as_alice.recall(self._bob, msg_id)
        await self._all_see("recalled", msg_id=msg_id)
        _same("the history", (await self._history()).count("a secret"), 0)
        return "Alice recalls a message: all four devices are told, and its text is gone from the history."

    async def repeat(self) -> str:
        """A send repeated with its transaction_id is one message; another text under it is refused."""
        ids = {await self._send("Pay 10", transaction_id=7) for _ in range(3)}
        _same("the number of ids", len(ids), 1)
        _same("the history", (await self._history()).count("Pay 10"), 1)
        try:
            await self._send("Pay 1000", transaction_id=7)
        except RestError as refusal:
            _same("the code", refusal.code, CONFLICT)
            return (
                f"Three sends with one transaction_id are one message; another text is refused: {CONFLICT}."
            )
        raise MissedError("the other text was taken")

    async def crash(self) -> str:
        """After kill -9 and a restart everything is there, and every device goes on where it was."""
        await (tablet := self.screens[3]).cut()
        await self._send("the last words")
        await self._server.kill()
        await self._server.start()
        history = await self._history()
        _same("the newest message", history[0], "the last words")
        await tablet.connect()
        _same("the tablet", tablet.texts(), ["the last words"])
        await self._send("Still here?")
        await self._all_see("message", content="Still here?")
        for screen in self.screens:
            _same("what a device showed twice", len(screen.texts()) - len(set(screen.texts())), 0)
        return f"kill -9 and a restart: all {len(history)} messages are there, and the devices go on."

    async def check(self) -> str:
        """`gateway check` finds nothing wrong."""
        return f"gateway check: {await self._server.check()}."

    async def _send(self, text: str, transaction_id: int = 0) -> int:
        return (await self._as_alice.send(Scope.USER, [self._bob], text, transaction_id=transaction_id))[0]

    async def _history(self) -> list[str]:
        page = await self._as_alice.conversation(self._bob, limit=100)
        return [message["content"] for message in page["messages"]]

    async def _all_see(self, op: str, **members: object) -> None:
        for screen in self.screens:
            await screen.see(op, **members)

    async def _status(self, status: str) -> None:
        for screen in self.screens[:2]:
            await screen.see("receipt", msg_id=self._first, status=status)
        page = await self._as_alice.conversation(self._bob, msg_id_start=self._first, limit=1)
        _same("the history", page["messages"][0]["status"], status)

    async def run(self, console: Console) -> bool:
        """Take the steps and tell each as it is seen; stop at the first that is not."""
        began = time.monotonic()
        steps = [self.start, self.connect, self.send, self.delivered, self.read, self.group, self.resume]
        steps += [self.recall, self.repeat, self.crash, self.check]
        for step in steps:
            try:
                async with asyncio.timeout(STEP_TIMEOUT_S):
                    console.print(Text.assemble(("✓ ", "bold green"), await step()))
            except FAILURES as error:
                why = str(error) or f"not seen within {STEP_TIMEOUT_S:.0f} s"
                console.print(Text.assemble(("✗ ", "bold red"), f"Expected: {step.__doc__} But: {why}"))
                return False
        console.print(f"\nAll {len(steps)} steps seen in {time.monotonic() - began:.1f} s.")
        return True


def _same(what: str, seen: object, expected: object) -> None:
    if seen != expected:
        raise MissedError(f"{what}: {seen!r} instead of {expected!r}")


async def _demo(console: Console, config: Path | None, parent: Path | None) -> bool:
    task = asyncio.current_task()
    assert task is not None
    # Asked to stop, it still has to clean up.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with tempfile.TemporaryDirectory(prefix="gateway-demo-", dir=parent) as folder:
        server = Server(Path(folder), config)
        async with aiohttp.ClientSession() as backend:
            demo = Demo(server, backend)
            try:
                return await demo.run(console)
            finally:
                await asyncio.gather(*(screen.close() for screen in demo.screens), return_exceptions=True)
                await server.kill()


def run_demo(config: Path | None = None, parent: Path | None = None) -> int:
    """Run the demo, in a temporary folder inside `parent`; return 0 if every step was seen, and 1 otherwise."""
    try:
        return 0 if asyncio.run(_demo(Console(soft_wrap=True, highlight=False), config, parent)) else 1
    except asyncio.CancelledError:
        return 1
