"""The part of the store port that knows apps, and who or what is called how in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from gateway.domain.errors import Kind
from gateway.domain.model import App, AppLimits, Facts, Group, Member, Scope, User


class Party(msgspec.Struct, frozen=True):
    """Who or what an xid of an app names."""

    id: int
    xid: int
    scope: Scope


class Parties(Protocol):
    """Finds and makes apps, users and groups."""

    async def create_app(
        self, app_id: str, kid: str, secret: bytes, *, registered: bool, at: int
    ) -> App | None:
        """Make an app with its reserved user `system`; None where the name is taken."""

    async def add_key(self, app_id: str, kid: str, secret: bytes, at: int) -> App | None:
        """Add a token key and sign with it from now on; older keys stay good. None where there is no such app."""

    async def set_limits(self, app_id: str, changes: Mapping[str, int]) -> App | None:
        """Set limits of an app by their names in `AppLimits`, the others stay. None where there is no such app."""

    async def limits(self, app: int) -> AppLimits:
        """Look up what an app may use."""

    async def stored_bytes(self, app: int) -> int:
        """Return what an app stores: its texts, and a bit for each message."""

    async def app(self, app_id: str) -> App | None:
        """Find an app by its name."""

    async def apps(self) -> list[App]:
        """List all apps, oldest first."""

    async def party(self, app: int, xid: int) -> Party | None:
        """Find what an xid names, if anything."""

    async def parties(self, app: int, xids: Sequence[int]) -> list[Party | None]:
        """Find what each of many xids names, if anything."""

    async def user(self, app: int, xid: int) -> User | Kind:
        """Find a user; `USER_UNKNOWN` where nothing has this id, `BAD_PARAMETER` where a group has it."""

    async def find_users(self, app: int, xids: Sequence[int]) -> dict[int, User | Kind]:
        """Find users by their xids; `BAD_PARAMETER` where a group has one, and nothing where nothing has it."""

    async def user_named(self, app: int, name: str) -> User | None:
        """Find a user by its unique name."""

    async def users_named(self, app: int, names: Sequence[str]) -> dict[str, User]:
        """Find users by their unique names; nothing where nobody is called so."""

    async def ensure_named(self, app: int, names: Sequence[str], at: int) -> dict[str, User]:
        """Find users by their unique names or make them, all in one transaction, with ids of the server's."""

    async def ensure_users(self, app: int, xids: Sequence[int], at: int) -> list[User | Kind]:
        """Find users or make them; `BAD_PARAMETER` where a group has this id."""

    async def register(self, app: int, name: str, password: str, at: int) -> User | None:
        """Make a user with a name, a password record (may be empty) and an id of the server's; None: name taken."""

    async def group(self, app: int, xid: int) -> Group | None:
        """Find a group that has not been destroyed."""

    async def facts(self, app: int, group_xids: Sequence[int], user_xid: int) -> list[Facts | None]:
        """Read what judging needs, per group; None where there is no such group (or it was destroyed)."""

    async def members(self, group_id: int, after_xid: int, limit: int) -> list[Member]:
        """List members in the order of their ids, after the one given."""

    async def joined(self, user_id: int) -> list[int]:
        """List the xids of the groups a user is in."""
