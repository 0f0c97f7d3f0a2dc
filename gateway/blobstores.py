"""Where a configuration means the bytes of files to be."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.blobs.base import Blobs
from gateway.config import Config
from gateway.core.files import key_of
from gateway.domain.errors import Problem
from gateway.store.errors import StoreError
from gateway.store.told import TOLD_MAX, tell_breaches
from gateway.stores import list_files

_AT_ONCE = 32

log = logging.getLogger(__name__)


def check_files(config: Config) -> list[str]:
    """Look for the bytes of all files: one sentence for each that has lost them, beside a running gateway or without.

    Every failure to read is such a sentence too. Nothing is changed.
    """
    try:
        files = list_files(config)
        lost = asyncio.run(_lost(config, files)) if files else []
        # What was removed meanwhile is none the worse for it.
        there = {uuid for _, uuid, _ in list_files(config)} if lost else set()
        return tell_breaches([sentence for uuid, sentence in lost if uuid in there])
    except StoreError as error:
        return [str(error)]
    except Problem as problem:
        return [f"files cannot be looked for: {problem.sentence}"]


async def _lost(config: Config, files: list[tuple[int, str, int]]) -> list[tuple[str, str]]:
    """Find files whose bytes are not there, or not so many."""
    blobs = make_blobs(config)
    lost: list[tuple[str, str]] = []
    for at in range(0, len(files), _AT_ONCE):
        some = files[at : at + _AT_ONCE]
        sizes = await asyncio.gather(*(blobs.size(key_of(app, uuid)) for app, uuid, _ in some))
        for (_, uuid, size), found in zip(some, sizes, strict=True):
            if found is None:
                lost.append((uuid, f"file {uuid} has lost its bytes"))
            elif found != size:
                lost.append((uuid, f"file {uuid} has {found} bytes, and had {size}"))
        if len(lost) > TOLD_MAX:
            break
    blobs.close()
    return lost


def make_blobs(config: Config) -> Blobs:
    """The blobs that the configuration names. Raises `StoreError` where they cannot be used."""
    # The driver is imported by who needs it.
    from gateway.blobs.local import LocalBlobs
    from gateway.blobs.s3 import S3Blobs, S3Options

    data = Path(config.server.data)
    url = urlsplit(config.blobs.url)
    try:
        if url.scheme == "s3":
            options = S3Options(bucket=url.netloc, prefix=url.path.strip("/"), endpoint=config.blobs.endpoint)
            return S3Blobs(options, data / "spool")
        folder = Path(unquote(url.path)) if url.scheme else data / "blobs"
        if config.store.url and not url.scheme:
            log.info(
                "there is no [blobs] url: other nodes have no way to the files that are kept in %s", folder
            )
        return LocalBlobs(folder)
    except OSError as error:
        raise StoreError(f"cannot use the folder {error.filename} for files: {error.strerror}") from error
