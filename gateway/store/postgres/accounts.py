"""The part of the store port that is about users, their devices and their blocks, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.domain.drafts import Refused
from gateway.domain.errors import Kind
from gateway.domain.model import Account, Device, Profile, State, User
from gateway.store.postgres import blocks, contacts, enrolling, users
from gateway.store.postgres.blocks import unreachable as users_unreachable
from gateway.store.postgres.lane import Lanes
from gateway.store.refusals import for_all


class Accounts(Lanes):
    """What `PostgresStore` answers of users; how work gets to a connection is its own."""

    async def users(self, app: int, offset: int, limit: int) -> list[User]:
        """List users."""
        return await self._read(lambda conn: users.list_users(conn, app, offset, limit))

    async def enroll(
        self, app: int, accounts: Sequence[Account], at: int, *, claim: bool = True, literal: bool = False
    ) -> list[User] | str:
        """Make users."""
        try:
            return await self._write(
                lambda conn: enrolling.enroll(conn, app, accounts, at, claim=claim, literal=literal)
            )
        except enrolling.TakenError as taken:
            return taken.name

    async def users_after(self, app: int, after_xid: int, limit: int) -> list[User]:
        """List users after one."""
        return await self._read(lambda conn: users.list_after(conn, app, after_xid, limit))

    async def add_contact(self, user_id: int, other_id: int, at: int) -> bool:
        """Add a contact."""
        most = self._limits.contacts_max
        return await self._write(lambda conn: contacts.add_contact(conn, user_id, other_id, at, most))

    async def drop_contact(self, user_id: int, other_id: int) -> None:
        """Drop a contact."""
        await self._write(lambda conn: contacts.drop_contact(conn, user_id, other_id))

    async def contacts(self, user_id: int, after_xid: int, limit: int) -> list[int]:
        """List contacts."""
        return await self._read(lambda conn: contacts.list_contacts(conn, user_id, after_xid, limit))

    async def metadata(self, user_id: int) -> str:
        """Read metadata."""
        return await self._read(lambda conn: contacts.find_metadata(conn, user_id))

    async def set_metadata(self, user_id: int, changes: Mapping[str, str] | None) -> bool:
        """Change metadata."""
        limits = self._limits
        return await self._write(lambda conn: contacts.set_metadata(conn, user_id, changes, limits))

    async def set_state(
        self, app: int, xids: Sequence[int], state: State, at: int, *, create: bool
    ) -> list[tuple[int, int]] | Refused:
        """Freeze or unfreeze users."""
        try:
            return await self._write(lambda conn: users.set_state(conn, app, xids, state, at, create=create))
        except users.RefusedError as undone:
            return undone.refused

    async def set_password(self, user_id: int, expected: str | None, record: str, at: int) -> int | None:
        """Change a password."""
        return await self._write(lambda conn: users.set_password(conn, user_id, expected, record, at))

    async def profile(self, user_id: int) -> Profile:
        """Read a profile."""
        return await self._read(lambda conn: users.find_profile(conn, user_id))

    async def nicknames(self, user_ids: Sequence[int]) -> dict[int, str]:
        """Read nicknames."""
        return await self._read(lambda conn: users.find_nicknames(conn, user_ids))

    async def set_profile(self, user_id: int, changes: Mapping[str, str]) -> None:
        """Change a profile."""
        await self._write(lambda conn: users.set_profile(conn, user_id, changes))

    async def devices(self, user_id: int) -> list[Device]:
        """List the devices kept."""
        return await self._read(lambda conn: users.list_devices(conn, user_id))

    async def remove_device(self, user_id: int, device_sn: int) -> None:
        """Forget a device."""
        await self._write(lambda conn: users.remove_device(conn, user_id, device_sn))

    async def block(self, user_id: int, blocked_id: int, at: int) -> bool:
        """Block a user."""
        most = self._limits.blocks_max
        return await self._write(lambda conn: blocks.block(conn, user_id, blocked_id, at, most))

    async def unblock(self, user_id: int, blocked_id: int) -> None:
        """Take a block back."""
        await self._write(lambda conn: blocks.unblock(conn, user_id, blocked_id))

    async def blocked(self, user_id: int, after_xid: int, limit: int) -> list[int]:
        """List whom a user has blocked."""
        return await self._read(lambda conn: blocks.list_blocked(conn, user_id, after_xid, limit))

    async def may_message(
        self,
        app: int,
        sender_xid: int,
        target_xids: Sequence[int],
        *,
        create: bool,
        blocks: bool = True,
        frozen: bool = False,
    ) -> Refused | None:
        """Judge what is not stored."""
        judged = await self.unreachable(
            app, sender_xid, target_xids, create=create, blocks=blocks, frozen=frozen
        )
        return for_all(judged, sender_xid, target_xids)

    async def unreachable(
        self,
        app: int,
        sender_xid: int,
        target_xids: Sequence[int],
        *,
        create: bool,
        blocks: bool = True,
        frozen: bool = False,
    ) -> Refused | dict[int, Kind]:
        """Judge target by target."""
        return await self._read(
            lambda conn: users_unreachable(
                conn, app, sender_xid, target_xids, create=create, blocks=blocks, frozen=frozen
            )
        )
