"""Where a configuration means the bytes of files to be."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.blobs.base import Blobs
from gateway.config import Config
from gateway.store.errors import StoreError

log = logging.getLogger(__name__)


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
