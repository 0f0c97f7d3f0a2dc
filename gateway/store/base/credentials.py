"""The part of the store port about names in dialects."""

from __future__ import annotations

from typing import Protocol

from gateway.domain.model import Credential


class Credentials(Protocol):
    """The part of the port that knows what dialects call apps, and by what their backends prove who they are."""

    async def alias(self, dialect: str, name: str) -> str | None:
        """Find the app (its `app_id`) that a dialect calls so."""

    async def aliases(self, app: int) -> dict[str, str]:
        """Return what an app is called, by dialect."""

    async def set_alias(self, app: int, dialect: str, name: str) -> bool:
        """Call an app so in a dialect, and no longer otherwise; False where another app is called so."""

    async def secrets(self, app: int, dialect: str, name: str) -> list[str]:
        """List the secrets that are good for a name, the newest first."""

    async def credentials(self, app: int) -> list[Credential]:
        """List an app's credentials, oldest first; a name is there as often as it has secrets."""

    async def add_credential(self, app: int, dialect: str, name: str, secret: str, at: int) -> bool:
        """Make a secret good for a name too; False where an app has as many as it may. Again: nothing happens."""

    async def drop_credentials(self, app: int, dialect: str, name: str) -> None:
        """Let no secret be good for a name any more."""

    async def drop_older_credentials(self, app: int, dialect: str, name: str) -> None:
        """Let no secret be good for a name any more but the one that `secrets` lists first."""
