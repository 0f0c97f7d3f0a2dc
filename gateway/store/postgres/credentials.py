"""What dialects call apps, and the secrets of their backends, on PostgreSQL."""

from __future__ import annotations

from gateway.domain.model import Credential
from gateway.store.postgres.lane import Conn, Lanes, OvertakenError

_ALIAS = "SELECT a.app_id FROM alias AS n JOIN app AS a ON a.id = n.app WHERE n.dialect = $1 AND n.name = $2"
_ALIASES = "SELECT dialect, name FROM alias WHERE app = $1 ORDER BY dialect"
# Whoever changes an app's comes one after the other, by the lock on its row.
_LOCK = "SELECT 1 FROM app WHERE id = $1 FOR UPDATE"
_FREE = "DELETE FROM alias WHERE app = $1 AND dialect = $2 AND name <> $3"
_OTHERS = "SELECT 1 FROM alias WHERE dialect = $2 AND name = $3 AND app <> $1"
_CALL = """
INSERT INTO alias (dialect, name, app) VALUES ($2, $3, $1)
ON CONFLICT (dialect, name) DO UPDATE SET app = excluded.app WHERE alias.app = excluded.app RETURNING 1
"""
_SECRETS = (
    "SELECT secret FROM credential WHERE app = $1 AND dialect = $2 AND name = $3 ORDER BY at DESC, secret"
)
_CREDENTIALS = "SELECT dialect, name, at FROM credential WHERE app = $1 ORDER BY at, dialect, name"
_HELD = "SELECT 1 FROM credential WHERE app = $1 AND dialect = $2 AND name = $3 AND secret = $4"
_ADD = """
INSERT INTO credential (app, dialect, name, secret, at) SELECT $1, $2, $3, $4, $5
WHERE (SELECT count(*) FROM credential WHERE app = $1) < $6 RETURNING 1
"""
_DROP = "DELETE FROM credential WHERE app = $1 AND dialect = $2 AND name = $3"
_DROP_OLDER = """
DELETE FROM credential WHERE app = $1 AND dialect = $2 AND name = $3 AND secret <> (
    SELECT secret FROM credential WHERE app = $1 AND dialect = $2 AND name = $3 ORDER BY at DESC, secret LIMIT 1)
"""


class Credentials(Lanes):
    """What `PostgresStore` answers of aliases and credentials."""

    async def alias(self, dialect: str, name: str) -> str | None:
        """Find the app that a dialect calls so."""
        found: str | None = await self._look(lambda conn: conn.fetchval(_ALIAS, dialect, name))
        return found

    async def aliases(self, app: int) -> dict[str, str]:
        """Return what an app is called, by dialect."""
        found: dict[str, str] = dict(await self._read(lambda conn: conn.fetch(_ALIASES, app)))
        return found

    async def set_alias(self, app: int, dialect: str, name: str) -> bool:
        """Call an app so in a dialect."""
        return await self._write(lambda conn: _set_alias(conn, app, dialect, name))

    async def secrets(self, app: int, dialect: str, name: str) -> list[str]:
        """List the secrets that are good for a name."""
        found = await self._look(lambda conn: conn.fetch(_SECRETS, app, dialect, name))
        return [secret for (secret,) in found]

    async def credentials(self, app: int) -> list[Credential]:
        """List an app's credentials."""
        found = await self._read(lambda conn: conn.fetch(_CREDENTIALS, app))
        return [Credential(dialect=dialect, name=name, at=at) for dialect, name, at in found]

    async def add_credential(self, app: int, dialect: str, name: str, secret: str, at: int) -> bool:
        """Make a secret good for a name too."""
        most = self._limits.credentials_max

        async def work(conn: Conn) -> bool:
            await conn.execute(_LOCK, app)
            held = await conn.fetchval(_HELD, app, dialect, name, secret)
            return bool(held or await conn.fetchval(_ADD, app, dialect, name, secret, at, most))

        return await self._write(work)

    async def drop_credentials(self, app: int, dialect: str, name: str) -> None:
        """Let no secret be good for a name any more."""
        await self._write(lambda conn: conn.execute(_DROP, app, dialect, name))

    async def drop_older_credentials(self, app: int, dialect: str, name: str) -> None:
        """Let no secret but the newest be good for a name any more."""

        async def work(conn: Conn) -> None:
            await conn.execute(_LOCK, app)
            await conn.execute(_DROP_OLDER, app, dialect, name)

        await self._write(work)


async def _set_alias(conn: Conn, app: int, dialect: str, name: str) -> bool:
    await conn.execute(_LOCK, app)
    if await conn.fetchval(_OTHERS, app, dialect, name):
        return False
    await conn.execute(_FREE, app, dialect, name)
    if not await conn.fetchval(_CALL, app, dialect, name):
        # Another app has come to be called so just now: judge by what it has committed.
        raise OvertakenError
    return True
