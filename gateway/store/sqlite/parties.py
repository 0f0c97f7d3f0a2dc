"""The part of the store port that is about apps, and who or what their ids name, on SQLite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.domain.errors import Kind
from gateway.domain.model import App, AppLimits, Facts, Group, Member, User
from gateway.store.base import Party
from gateway.store.sqlite import directory, users
from gateway.store.sqlite.lane import Lanes
from gateway.store.sqlite.touched import Touched


class Parties(Lanes):
    """What `SqliteStore` answers of apps, users and groups; how work gets to a connection is its own."""

    async def create_app(
        self, app_id: str, kid: str, secret: bytes, *, registered: bool, at: int
    ) -> App | None:
        """Make an app."""
        return await self._write(
            lambda conn: directory.create_app(conn, app_id, (kid, secret), registered=registered, at=at)
        )

    async def add_key(self, app_id: str, kid: str, secret: bytes, at: int) -> App | None:
        """Add a token key to an app."""
        return await self._write(lambda conn: directory.add_key(conn, app_id, kid, secret, at))

    async def set_limits(self, app_id: str, changes: Mapping[str, int]) -> App | None:
        """Set limits of an app."""
        return await self._write(lambda conn: directory.set_limits(conn, app_id, changes))

    async def limits(self, app: int) -> AppLimits:
        """Look up what an app may use."""
        return await self._look(lambda conn: directory.find_limits(conn, app))

    async def stored_bytes(self, app: int) -> int:
        """Look up what an app stores."""
        return await self._read(lambda conn: directory.stored_bytes(conn, app))

    async def app(self, app_id: str) -> App | None:
        """Find an app."""
        return await self._look(lambda conn: directory.find_app(conn, app_id))

    async def apps(self) -> list[App]:
        """List all apps."""
        return await self._read(directory.list_apps)

    async def party(self, app: int, xid: int) -> Party | None:
        """Find what an xid names."""
        return await self._read(lambda conn: directory.find_party(conn, app, xid))

    async def parties(self, app: int, xids: Sequence[int]) -> list[Party | None]:
        """Find what many xids name."""
        return await self._read(lambda conn: directory.find_parties(conn, app, xids))

    async def user(self, app: int, xid: int) -> User | Kind:
        """Find a user."""
        return await self._look(lambda conn: users.find_user(conn, app, xid))

    async def find_users(self, app: int, xids: Sequence[int]) -> dict[int, User | Kind]:
        """Find users."""
        return await self._read(lambda conn: users.find_users(conn, app, xids))

    async def user_named(self, app: int, name: str) -> User | None:
        """Find a user by name."""
        return await self._look(lambda conn: users.find_user_named(conn, app, name))

    async def users_named(self, app: int, names: Sequence[str]) -> dict[str, User]:
        """Find users by their names."""
        return await self._look(lambda conn: users.find_users_named(conn, app, names))

    async def ensure_named(self, app: int, names: Sequence[str], at: int) -> dict[str, User]:
        """Find users by their names or make them."""
        found = await self.users_named(app, names)
        missing = [name for name in dict.fromkeys(names) if name not in found]
        if missing:
            found |= await self._write(lambda conn: users.make_named(conn, app, missing, at), Touched())
        return found

    async def ensure_users(self, app: int, xids: Sequence[int], at: int) -> list[User | Kind]:
        """Find users or make them."""
        found = await self._look(lambda conn: users.find_users(conn, app, xids))
        missing = [xid for xid in xids if xid not in found]
        if missing:
            found |= await self._write(lambda conn: users.make_users(conn, app, missing, at), Touched())
        return [found[xid] for xid in xids]

    async def register(self, app: int, name: str, password: str, at: int) -> User | None:
        """Make a named user."""
        return await self._write(lambda conn: directory.register(conn, app, name, password, at), Touched())

    async def group(self, app: int, xid: int) -> Group | None:
        """Find a group."""
        return await self._read(lambda conn: directory.find_group(conn, app, xid))

    async def facts(self, app: int, group_xids: Sequence[int], user_xid: int) -> list[Facts | None]:
        """Read what judging needs."""
        return await self._read(lambda conn: directory.find_facts(conn, app, group_xids, user_xid))

    async def members(self, group_id: int, after_xid: int, limit: int) -> list[Member]:
        """List members."""
        return await self._read(lambda conn: directory.list_members(conn, group_id, after_xid, limit))

    async def joined(self, user_id: int) -> list[int]:
        """List a user's groups."""
        return await self._read(lambda conn: directory.list_joined(conn, user_id))
