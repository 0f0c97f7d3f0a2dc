"""`gateway check`: does a store keep the laws? Reads only, in one snapshot, beside a running gateway or without one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.store import schema
from gateway.store.errors import StoreError
from gateway.store.files import FILES
from gateway.store.sqlite.laws import LAWS
from gateway.store.told import TOLD_MAX, tell_breaches


def check_store(path: Path) -> list[str]:
    """Check the store in a data folder (or its file itself) and return one sentence per breach; none: all is well.

    Every failure to read is such a sentence too. Nothing is changed.
    """
    path = (path / "gateway.db" if path.is_dir() else path).resolve()
    if not path.exists():
        return [f"there is no store at {path}"]
    try:
        with closing(open_for_reading(path)) as conn:
            conn.execute("BEGIN")
            return _check(conn)
    except (sqlite3.Error, UnicodeError, OSError) as error:
        return [f"{path} cannot be read: {error}"]


def list_files(path: Path) -> list[tuple[int, str, int]]:
    """List the files that there are bytes of: app, uuid and size. Raises `StoreError` where that cannot be read."""
    path = (path / "gateway.db" if path.is_dir() else path).resolve()
    try:
        with closing(open_for_reading(path)) as conn:
            return conn.execute(FILES).fetchall()
    except (sqlite3.Error, UnicodeError, OSError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the file of a store for reading, beside a running gateway or without one.

    SQLite wants to put files beside it: where it may not, only a folded log will do.
    """
    try:
        return _connect(path, "mode=ro")
    except sqlite3.OperationalError:
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise
        return _connect(path, "immutable=1")


def _connect(path: Path, how: str) -> sqlite3.Connection:
    conn = sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, isolation_level=None)
    try:
        conn.text_factory = lambda text: text.decode(errors="replace")
        conn.execute("PRAGMA busy_timeout = 5000")
        # Groupings of a large store are sorted in this much memory before they go to a file.
        conn.execute("PRAGMA cache_size = -131072")
        conn.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        conn.close()
        raise
    return conn


def _check(conn: sqlite3.Connection) -> list[str]:
    version = conn.execute("PRAGMA user_version").fetchone()[0]
    known = len(schema.SQLITE_MIGRATIONS)
    if version != known:
        return [f"the store has schema {version}, and this gateway checks schema {known} only"]
    found = [
        line for (text,) in conn.execute(f"PRAGMA integrity_check({TOLD_MAX})") for line in text.splitlines()
    ]
    told = [f"the file is damaged: {line}" for line in found if line != "ok" and not line.startswith("***")]
    del told[TOLD_MAX:]
    told += _ask(
        conn,
        """SELECT 'row ' || coalesce(rowid, '?') || ' of table ' || "table" || ' names a row of table ' || parent
        || ' that does not exist' FROM pragma_foreign_key_check""",
    )
    for law in LAWS:
        told += _ask(conn, law)
    return told


def _ask(conn: sqlite3.Connection, law: str) -> list[str]:
    """Ask for the breaches of one law. Where damage keeps it from being read, that is the one told."""
    try:
        found = conn.execute(law).fetchmany(TOLD_MAX + 1)
    except (sqlite3.Error, UnicodeError) as error:
        return [f"the file is damaged: {error}"]
    return tell_breaches([sentence for (sentence,) in found])
