"""The folder that a store lives in: owned by one process, readable by nobody else, and of this gateway's schema."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import IO

from gateway.store import schema
from gateway.store.errors import StoreError
from gateway.store.sqlite.lane import one


def take_folder(folder: Path) -> tuple[Path, IO[str]]:
    """Own the folder by `flock` on a file of its own: the kernel lets go of it however the process ends.

    Returns the path of the database and the lock.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.fdopen(private(str(folder / "lock"), os.O_RDWR), "r+", encoding="ascii")
    except OSError as error:
        message = f"cannot use the folder {folder}: {error.strerror}"
        raise StoreError(message) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        owner = lock.read().strip()
        lock.close()
        message = f"the folder {folder} is in use by another gateway process" + (owner and f" ({owner})")
        raise StoreError(message) from error
    try:
        lock.truncate(0)
        lock.write(f"pid {os.getpid()}")
        lock.flush()
    except OSError as error:
        with suppress(OSError):
            lock.close()
        message = f"cannot use the folder {folder}: {error.strerror}"
        raise StoreError(message) from error
    return folder.resolve() / "gateway.db", lock


def private(path: str, flags: int) -> int:
    """Open a file that nobody else on the machine may read, whatever the umask."""
    return os.open(path, flags | os.O_CREAT, 0o600)


def migrate(conn: sqlite3.Connection) -> None:
    """Apply the migrations that are missing, each with its version number in one transaction."""
    version = one(conn, "PRAGMA user_version")[0]
    if version > len(schema.SQLITE_MIGRATIONS):
        message = f"the store has schema {version}, newer than this gateway's {len(schema.SQLITE_MIGRATIONS)}"
        raise StoreError(message)
    for number, script in enumerate(schema.SQLITE_MIGRATIONS[version:], version + 1):
        conn.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
    conn.execute(
        "INSERT INTO meta (one, epoch, next_msg_id, last_batch) VALUES (1, ?, 1, '') ON CONFLICT DO NOTHING",
        (secrets.token_hex(8),),
    )
