"""What dialects call apps, and the secrets of their backends, on SQLite."""

from __future__ import annotations

import sqlite3

from gateway.domain.model import Credential
from gateway.store.sqlite.lane import Lanes, one

_ALIAS = "SELECT a.app_id FROM alias AS n JOIN app AS a ON a.id = n.app WHERE n.dialect = ? AND n.name = ?"
_ALIASES = "SELECT dialect, name FROM alias WHERE app = ? ORDER BY dialect"
_SECRETS = "SELECT secret FROM credential WHERE app = ? AND dialect = ? AND name = ? ORDER BY at DESC, secret"
_CREDENTIALS = "SELECT dialect, name, at FROM credential WHERE app = ? ORDER BY at, dialect, name"
_HELD = "SELECT 1 FROM credential WHERE app = ? AND dialect = ? AND name = ? AND secret = ?"
_ADD = """
INSERT INTO credential (app, dialect, name, secret, at) SELECT ?1, ?2, ?3, ?4, ?5
WHERE (SELECT count(*) FROM credential WHERE app = ?1) < ?6 RETURNING 1
"""
_DROP = "DELETE FROM credential WHERE app = ? AND dialect = ? AND name = ?"
_DROP_OLDER = """
DELETE FROM credential WHERE app = ?1 AND dialect = ?2 AND name = ?3 AND secret <> (
    SELECT secret FROM credential WHERE app = ?1 AND dialect = ?2 AND name = ?3 ORDER BY at DESC, secret LIMIT 1)
"""


class Credentials(Lanes):
    """What `SqliteStore` answers of aliases and credentials."""

    async def alias(self, dialect: str, name: str) -> str | None:
        """Find the app that a dialect calls so."""
        found = await self._look(lambda conn: one(conn, _ALIAS, (dialect, name)))
        return found[0] if found else None

    async def aliases(self, app: int) -> dict[str, str]:
        """Return what an app is called, by dialect."""
        return await self._read(lambda conn: dict(conn.execute(_ALIASES, (app,)).fetchall()))

    async def set_alias(self, app: int, dialect: str, name: str) -> bool:
        """Call an app so in a dialect."""
        return await self._write(lambda conn: _set_alias(conn, app, dialect, name))

    async def secrets(self, app: int, dialect: str, name: str) -> list[str]:
        """List the secrets that are good for a name."""
        return await self._look(
            lambda conn: [secret for (secret,) in conn.execute(_SECRETS, (app, dialect, name)).fetchall()]
        )

    async def credentials(self, app: int) -> list[Credential]:
        """List an app's credentials."""
        return await self._read(
            lambda conn: [
                Credential(dialect=dialect, name=name, at=at)
                for dialect, name, at in conn.execute(_CREDENTIALS, (app,)).fetchall()
            ]
        )

    async def add_credential(self, app: int, dialect: str, name: str, secret: str, at: int) -> bool:
        """Make a secret good for a name too."""
        most = self._limits.credentials_max

        def work(conn: sqlite3.Connection) -> bool:
            held = one(conn, _HELD, (app, dialect, name, secret))
            return bool(held or one(conn, _ADD, (app, dialect, name, secret, at, most)))

        return await self._write(work)

    async def drop_credentials(self, app: int, dialect: str, name: str) -> None:
        """Let no secret be good for a name any more."""
        await self._write(lambda conn: conn.execute(_DROP, (app, dialect, name)))

    async def drop_older_credentials(self, app: int, dialect: str, name: str) -> None:
        """Let no secret but the newest be good for a name any more."""
        await self._write(lambda conn: conn.execute(_DROP_OLDER, (app, dialect, name)))


def _set_alias(conn: sqlite3.Connection, app: int, dialect: str, name: str) -> bool:
    found = one(conn, "SELECT app FROM alias WHERE dialect = ? AND name = ?", (dialect, name))
    if found:
        return bool(found[0] == app)
    conn.execute("DELETE FROM alias WHERE app = ? AND dialect = ?", (app, dialect))
    conn.execute("INSERT INTO alias (dialect, name, app) VALUES (?, ?, ?)", (dialect, name, app))
    return True
