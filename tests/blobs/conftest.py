"""The engines of the blobs port: a folder, and an S3 that stands in for the real one and is started here."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from gateway.blobs.base import Blobs
from gateway.blobs.local import LocalBlobs
from gateway.blobs.s3 import S3Blobs, S3Options

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


class Bucket:
    """A bucket of the stand-in."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.name = name
        self.endpoint = endpoint
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
        )
        self._client.create_bucket(Bucket=name)

    def keys(self) -> list[str]:
        """What is in it, uploads that were never finished too."""
        whole = self._client.list_objects_v2(Bucket=self.name).get("Contents", ())
        parts = self._client.list_multipart_uploads(Bucket=self.name).get("Uploads", ())
        return sorted(found["Key"] for found in (*whole, *parts))

    def remove(self) -> None:
        self._client.delete_bucket(Bucket=self.name)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of the stand-in. Nothing of it goes to the network."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, request: pytest.FixtureRequest) -> Bucket:
    return Bucket(s3, f"b{abs(hash((os.getpid(), request.node.nodeid)))}")


class Place:
    """Where an engine keeps its blobs, seen from outside."""

    def __init__(self, folder: Path, bucket: Bucket | None) -> None:
        self.folder = folder
        self.bucket = bucket
        self.blobs = self.open()

    def open(self) -> Blobs:
        if self.bucket is None:
            return LocalBlobs(self.folder)
        options = S3Options(bucket=self.bucket.name, prefix="some/where", endpoint=self.bucket.endpoint)
        return S3Blobs(options, self.folder)

    def held(self) -> list[str]:
        """All that lies there, under whatever name: whole blobs, parts of them, what is on its way."""
        files = [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]
        return sorted(files + (self.bucket.keys() if self.bucket else []))


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    bucket = request.getfixturevalue("bucket") if request.param == "s3" else None
    made = Place(tmp_path / "blobs", bucket)
    yield made
    made.blobs.close()


@pytest.fixture
def blobs(place: Place) -> Blobs:
    return place.blobs
