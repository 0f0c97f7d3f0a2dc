"""Which engines a configuration means, and what a node says of a bus that is away."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.blobs.base import Blobs as BlobStore
from gateway.blobs.local import LocalBlobs
from gateway.blobs.s3 import S3Blobs
from gateway.blobstores import make_blobs
from gateway.bus.memory import MemoryBus
from gateway.buses import make_bus
from gateway.config import Blobs, Bus, Config, Server, Store
from gateway.domain.limits import Limits
from gateway.store.errors import StoreError
from tests import postgres, valkey
from tests.channel.stage import until
from tests.patience import patient

NOWHERE = "redis://127.0.0.1:9/0"
DATABASE = "postgresql://127.0.0.1/gateway"


def test_sqlite_has_no_use_for_a_bus(tmp_path: Path) -> None:
    """One process owns the folder: nobody would hear it."""
    with pytest.raises(StoreError, match="one process owns"):
        make_bus(Config(server=Server(data=str(tmp_path)), bus=Bus(url=NOWHERE)))


def test_a_url_that_the_bus_does_not_understand() -> None:
    """It is one sentence of the configuration's, before anything is opened."""
    with pytest.raises(StoreError, match=r"^\[bus\] url: "):
        make_bus(Config(store=Store(url=DATABASE), bus=Bus(url="redis://one/two/three")))


def test_postgresql_without_a_bus_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """It is allowed, and who runs several nodes so should know what it costs."""
    with caplog.at_level(logging.INFO):
        assert isinstance(make_bus(Config(store=Store(url=DATABASE))), MemoryBus)
    assert [record.message for record in caplog.records] == [
        "there is no [bus] url: what other nodes of this database commit comes to devices here every 10 s"
    ]


async def start(store: Store, bus: Bus) -> Gateway:
    return await Gateway.start(Config(server=Server(port=0), store=store, bus=bus, limits=patient(Limits())))


async def readyz(gateway: Gateway) -> tuple[int, object]:
    async with aiohttp.ClientSession() as http, http.get(gateway.url + "/readyz") as answer:
        return answer.status, await answer.json()


async def test_a_node_starts_with_a_dead_bus(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is ready, for it can commit, and says what it does without."""
    store = Store(url=await postgres.database_of(tmp_path))
    gateway = await start(store, Bus(url=NOWHERE))
    try:
        assert await readyz(gateway) == (
            200,
            {
                "ready": True,
                "reasons": [],
                "remarks": ["the bus is away: what other nodes commit comes to devices here every 1 s"],
            },
        )
    finally:
        await gateway.stop()
        await postgres.clear_database(tmp_path)
    assert len([record for record in caplog.records if "bus" in record.message.lower()]) == 1


async def test_a_node_with_its_bus_has_nothing_to_remark(tmp_path: Path) -> None:
    """Ready without reservations."""
    store = Store(url=await postgres.database_of(tmp_path))
    bus = Bus(url=valkey.server_url(), prefix=tmp_path.name)
    gateway = await start(store, bus)
    try:
        # It starts without it where that takes longer than a second.
        await until(lambda: not gateway.remarks(), "a bus that is there")
        assert await readyz(gateway) == (200, {"ready": True, "reasons": []})
        assert not (tmp_path / "control.sock").exists()
    finally:
        await gateway.stop()
        await postgres.clear_database(tmp_path)


class TestBlobs:
    """Where the bytes of files are."""

    @pytest.fixture(autouse=True)
    def keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_REGION", "us-east-1")

    def made(self, folder: Path, url: str = "", **more: Any) -> BlobStore:
        config = Config(server=Server(data=str(folder / "data")), blobs=Blobs(url=url), **more)
        blobs = make_blobs(config)
        blobs.close()
        return blobs

    def test_a_folder_beside_the_store(self, tmp_path: Path) -> None:
        """Where nothing is said."""
        assert isinstance(self.made(tmp_path), LocalBlobs)
        assert (tmp_path / "data" / "blobs").is_dir()

    def test_another_folder(self, tmp_path: Path) -> None:
        """By its path, with what a URL cannot say as it is."""
        assert isinstance(self.made(tmp_path, f"file://{tmp_path}/my%20files"), LocalBlobs)
        assert (tmp_path / "my files").is_dir()

    def test_a_bucket(self, tmp_path: Path) -> None:
        """What is on its way to it is beside the store."""
        assert isinstance(self.made(tmp_path, "s3://bucket/some/prefix"), S3Blobs)
        assert (tmp_path / "data" / "spool").is_dir()

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        """Is one sentence."""
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match=r"^cannot use the folder .*file/x for files: Not a directory$"):
            self.made(tmp_path, f"file://{tmp_path}/file/x")

    def test_nodes_that_do_not_share_it_are_told(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is allowed, and who runs several nodes so should know what it costs."""
        with caplog.at_level(logging.INFO):
            self.made(tmp_path, store=Store(url=DATABASE))
            self.made(tmp_path, f"file://{tmp_path}/files", store=Store(url=DATABASE))
        [said] = [record.message for record in caplog.records]
        assert said.startswith("there is no [blobs] url: other nodes have no way to the files")
