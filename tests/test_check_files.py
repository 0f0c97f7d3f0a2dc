"""`gateway check` looks for the bytes of files: a row without them is damage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.blobstores import check_files
from gateway.config import Blobs, Config, Server, Store
from gateway.core.files import FileOrder, key_of
from gateway.domain.files import Box, File
from gateway.store.told import TOLD_MAX
from tests.core.pictures import chunks
from tests.core.stage import open_stage
from tests.postgres import database_of, drop_database
from tests.servers import gateway
from tests.store.stage import Stage
from tests.store.test_files import a_file

COUNT = TOLD_MAX + 5


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[list[File]]:
    """Files of a store whose gateway runs."""
    async with open_stage(tmp_path) as stage:
        app = await stage.app()
        order = FileOrder(name="a", type="", restricted=False, box=lambda: Box(1, 1), uploader=0)
        files = [(await stage.files.upload(app, order, chunks(b"hello"))).file for _ in range(COUNT)]
        yield sorted(files, key=lambda file: file.uuid)


def path_of(folder: Path, file: File) -> Path:
    return folder / "blobs" / key_of(file.app, file.uuid)


async def check(config: Config) -> list[str]:
    """As the command does, which has no loop."""
    return await asyncio.to_thread(check_files, config)


async def test_all_are_there(tmp_path: Path, kept: list[File]) -> None:
    """Nothing is said."""
    assert kept
    assert await check(Config(server=Server(data=str(tmp_path)))) == []


async def test_lost_bytes_are_told(tmp_path: Path, kept: list[File]) -> None:
    """All of them, or some: by the uuids of the files; and the command fails."""
    path_of(tmp_path, kept[3]).unlink()
    path_of(tmp_path, kept[7]).write_bytes(b"hell")
    told = [f"file {kept[3].uuid} has lost its bytes", f"file {kept[7].uuid} has 4 bytes, and had 5"]
    assert await check(Config(server=Server(data=str(tmp_path)))) == told
    said = await asyncio.to_thread(gateway, "check", "--data", tmp_path)
    assert (said.returncode, said.stdout.splitlines()) == (1, told)


async def test_not_without_end(tmp_path: Path, kept: list[File]) -> None:
    """Of many that are lost some are told."""
    for file in kept:
        path_of(tmp_path, file).unlink()
    told = await check(Config(server=Server(data=str(tmp_path))))
    assert len(told) == TOLD_MAX + 1
    assert told[-1].startswith("and more like: ")


async def test_a_bucket_that_is_away_is_one_sentence(
    tmp_path: Path, kept: list[File], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows then."""
    assert kept
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr("gateway.blobs.s3.RETRIES", 0)
    blobs = Blobs(url="s3://bucket", endpoint="http://127.0.0.1:9")
    assert await check(Config(server=Server(data=str(tmp_path)), blobs=blobs)) == [
        "files cannot be looked for: files cannot be read now; try again"
    ]


async def test_on_postgresql(tmp_path: Path) -> None:
    """The rows are found there too; those of who was erased are not looked for."""
    data = tmp_path / "data"
    async with Stage("postgres", data) as stage:
        await stage.store.add_file(a_file(stage, 1))
        await stage.store.add_file(a_file(stage, 2, at=0))
        config = Config(server=Server(data=str(tmp_path)), store=Store(url=await database_of(data)))
        assert await check(config) == [f"file {a_file(stage, 1).uuid} has lost its bytes"]
    await drop_database(data)


async def test_no_store_is_one_sentence(tmp_path: Path) -> None:
    """There is nothing to look for."""
    [told] = await check(Config(server=Server(data=str(tmp_path / "none"))))
    assert "cannot be read" in told
