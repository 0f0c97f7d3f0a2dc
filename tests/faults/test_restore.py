"""A store that goes back in time: saved while the gateway runs, brought back, and given another epoch."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.client.device import Device
from gateway.config import Config, Server, Store
from gateway.core.operator import Ask
from gateway.core.order import Order
from gateway.domain.limits import Limits
from gateway.domain.model import Scope
from tests.patience import WAIT_S, patient
from tests.postgres import binary, database_of, drop_database
from tests.servers import gateway as command
from tests.servers import sentence

ALICE, BOB = 1001, 1002
SN = 7


class Place(ABC):
    """Where a gateway keeps everything, and what its operator does there."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder = folder
        self.copy = folder.with_name("copy")
        self.url = url

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        """A gateway that runs."""
        server, store = Server(port=0, data=str(self.folder)), Store(url=self.url)
        config = Config(server=server, store=store, limits=patient(Limits()))
        running = await Gateway.start(config)
        try:
            yield running
        finally:
            await running.stop()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What an operator types."""
        return command(*words, "--data", self.folder, env={"GATEWAY_STORE_URL": self.url})

    @abstractmethod
    async def save(self) -> None:
        """Make a copy beside the running gateway."""

    @abstractmethod
    async def bring_back(self) -> None:
        """Put the copy in the place of everything; no gateway runs."""


class OnSqlite(Place):
    """A folder; the copy is made by SQLite, which knows what is under way."""

    async def save(self) -> None:
        with closing(sqlite3.connect(self.folder / "gateway.db")) as conn:
            conn.execute("VACUUM INTO ?", (str(self.copy),))

    async def bring_back(self) -> None:
        for file in self.folder.glob("gateway.db*"):
            file.unlink()
        self.copy.rename(self.folder / "gateway.db")


class ByBackup(OnSqlite):
    """The same by `.backup`, page by page."""

    async def save(self) -> None:
        with (
            closing(sqlite3.connect(self.folder / "gateway.db")) as conn,
            closing(sqlite3.connect(self.copy)) as copy,
        ):
            conn.backup(copy)


class OnPostgres(Place):
    """A database, saved and brought back by the server's own programs."""

    async def save(self) -> None:
        await self._run("pg_dump", "--format=custom", "--no-owner", f"--file={self.copy}", self.url)

    async def bring_back(self) -> None:
        await self._run(
            "pg_restore",
            "--clean",
            "--if-exists",
            "--no-owner",
            "--single-transaction",
            f"--dbname={self.url}",
            str(self.copy),
        )

    async def _run(self, program: str, *words: str) -> None:
        done = await asyncio.to_thread(
            subprocess.run, [binary(program), *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(params=[OnSqlite, ByBackup, OnPostgres])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    folder = tmp_path / "data"
    if request.param is OnPostgres:
        yield OnPostgres(folder, await database_of(folder))
        await drop_database(folder)
    else:
        yield request.param(folder)


async def token(gateway: Gateway, xid: int) -> str:
    told = await gateway.operator.do(Ask(verb="token", app="demo", user=str(xid)))
    return str(told["token"])


async def send(gateway: Gateway, *contents: str) -> list[int]:
    """Let Alice send to Bob; return the ids."""
    alice = await gateway.directory.principal("demo", await token(gateway, ALICE), None, None)
    orders = [Order(scope=Scope.USER, targets=(BOB,), ctype=0, content=content) for content in contents]
    return [(await gateway.core.messaging.send(alice, order))[0] for order in orders]


@asynccontextmanager
async def phone(gateway: Gateway, **held: Any) -> AsyncIterator[Device]:
    """Bob's device, which acks what the test says it has."""
    told = await token(gateway, BOB)
    async with Device(gateway.url, "demo", told, device_sn=SN, auto_ack=False, **held) as device:
        yield device


async def hear(device: Device, last: str) -> list[tuple[int, str]]:
    """The seq and text of each message that comes, up to this one."""
    found: list[tuple[int, str]] = []
    async with asyncio.timeout(WAIT_S):
        async for frame in device:
            if frame["op"] == "message":
                found.append((frame["seq"], frame["message"]["content"]))
                if found[-1][1] == last:
                    break
    return found


async def acked(gateway: Gateway, device: Device, seq: int) -> None:
    """Ack, and see that the store has it."""
    await device.ack("user", seq)
    await device.ping()
    await gateway.receipts.flush()
    app = await gateway.store.app("demo")
    assert app is not None
    bob = await gateway.store.party(app.id, BOB)
    assert bob is not None
    [bearing] = await gateway.store.bearings([(bob.id, SN, bob.id)])
    assert bearing.cursor == seq


async def test_a_restore_with_a_new_epoch(place: Place) -> None:
    """Devices get again what the copy holds and they have not acked in it, whatever cursors they state.

    What was lost is never mistaken for what comes: seqs are told anew, and ids lie above all that were given.
    """
    async with place.gateway() as gateway:
        await gateway.operator.do(Ask(verb="create", app="demo"))
        async with phone(gateway) as device:
            await send(gateway, "one", "two", "three")
            await hear(device, "three")
            await acked(gateway, device, 1)
            await place.save()
            newest = (await send(gateway, "lost", "also lost"))[-1]
            await hear(device, "also lost")
            await acked(gateway, device, 5)
            before, held = device.epoch, {"user": 5}
    await place.bring_back()
    renewed = place.command("epoch", "renew")
    assert renewed.returncode == 0, renewed.stderr
    assert place.command("check").stdout == "the store keeps all its laws\n"
    async with place.gateway() as gateway, phone(gateway, epoch=before, cursors=held) as device:
        heard = await hear(device, "three")
        assert heard == [(2, "two"), (3, "three")]
        assert device.epoch == renewed.stdout.strip() != before
        [after] = await send(gateway, "after")
        assert after > newest
        assert await hear(device, "after") == [(4, "after")]
        await acked(gateway, device, 4)
    assert place.command("check").stdout == "the store keeps all its laws\n"


async def test_a_copy_of_what_is_being_written_is_whole(place: Place) -> None:
    """What is committed before it is made is in it, of what comes meanwhile any part, and it keeps the laws."""
    async with place.gateway() as gateway:
        await gateway.operator.do(Ask(verb="create", app="demo"))
        await send(gateway, *(f"before {number}" for number in range(50)))
        sending = asyncio.create_task(send(gateway, *(f"meanwhile {number}" for number in range(200))))
        await asyncio.sleep(0)
        await place.save()
        await sending
    await place.bring_back()
    assert place.command("epoch", "renew").returncode == 0
    assert place.command("check").stdout == "the store keeps all its laws\n"
    async with place.gateway() as gateway, phone(gateway) as device:
        await send(gateway, "after")
        heard = await hear(device, "after")
    seqs = [seq for seq, _ in heard]
    assert seqs == list(range(1, len(seqs) + 1))
    told = [content for _, content in heard]
    assert told[:50] == [f"before {number}" for number in range(50)]
    assert told[50:-1] == [f"meanwhile {number}" for number in range(len(told) - 51)]


async def test_the_epoch_of_a_folder_in_use_stays(tmp_path: Path) -> None:
    """The devices of the gateway that runs would go on by the old one: the command says who has the folder."""
    place = OnSqlite(tmp_path / "data")
    async with place.gateway() as gateway:
        before = gateway.store.epoch
        refused = await asyncio.to_thread(place.command, "epoch", "renew")
        assert "is in use by another gateway process" in sentence(refused, 2)
    async with place.gateway() as gateway:
        assert gateway.store.epoch == before


def test_no_store_is_made_by_renewing_an_epoch(tmp_path: Path) -> None:
    """Who names the wrong folder after a restore is told so."""
    place = OnSqlite(tmp_path / "data")
    assert "there is no store at" in sentence(place.command("epoch", "renew"), 2)
    assert not place.folder.exists()
