"""The part of the store port about accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.domain.drafts import Refused
from gateway.domain.errors import Kind
from gateway.domain.model import Account, Device, Profile, State, User


class Accounts(Protocol):
    """The part of the port that is about users, their devices and their blocks."""

    async def users(self, app: int, offset: int, limit: int) -> list[User]:
        """List users by rising id, after the first `offset`; not the reserved one, not the deleted."""

    async def users_after(self, app: int, after_xid: int, limit: int) -> list[User]:
        """List users by rising id, after the one given; not the reserved one, not the deleted."""

    async def enroll(
        self, app: int, accounts: Sequence[Account], at: int, *, claim: bool = True, literal: bool = False
    ) -> list[User] | str:
        """Make users that have a password, all or none: the name of one that is taken, and nothing is done.

        A name of digits that may be an id is that id, unless names are `literal`. With `claim` who is there already
        without a password, by having been named, is taken for the one that is made. The reserved user is nobody's to
        take.
        """

    async def add_contact(self, user_id: int, other_id: int, at: int) -> bool:
        """Put two users into each other's address book; False where one holds `Limits.contacts_max` others.

        Again: nothing more happens. A deleted user has none.
        """

    async def drop_contact(self, user_id: int, other_id: int) -> None:
        """Take two users out of each other's address book, if they are there."""

    async def contacts(self, user_id: int, after_xid: int, limit: int) -> list[int]:
        """List the xids of a user's contacts by rising id, after the one given; not the deleted."""

    async def metadata(self, user_id: int) -> str:
        """Read what apps keep with a user: a JSON object of strings."""

    async def set_metadata(self, user_id: int, changes: Mapping[str, str] | None) -> bool:
        """Change members of what apps keep with a user, or take all away (None).

        False where it would be more than `Limits.metadata_bytes_max`, and nothing is changed. A deleted user has none.
        """

    async def set_state(
        self, app: int, xids: Sequence[int], state: State, at: int, *, create: bool
    ) -> list[tuple[int, int]] | Refused:
        """Freeze or unfreeze users, all or none: their (id, xid), or whom it is refused for, and nothing done."""

    async def set_password(self, user_id: int, expected: str | None, record: str, at: int) -> int | None:
        """Change a password where its record is still `expected` (None: whatever it is), else None.

        Returns the new `valid_from_ms`: a whole second, above the second of `at` and above the one before. A deleted
        user has none.
        """

    async def profile(self, user_id: int) -> Profile:
        """Read what a user tells of itself."""

    async def nicknames(self, user_ids: Sequence[int]) -> dict[int, str]:
        """Read what users are called among people, by their ids; ids that are no user's are left out."""

    async def set_profile(self, user_id: int, changes: Mapping[str, str]) -> None:
        """Change members of a profile, by their names in `Profile`. A deleted user has none."""

    async def devices(self, user_id: int) -> list[Device]:
        """List the devices kept, by number; none is told to be online."""

    async def remove_device(self, user_id: int, device_sn: int) -> None:
        """Forget a kept device and its cursors, if it is there."""

    async def block(self, user_id: int, blocked_id: int, at: int) -> bool:
        """Block a user; False where as many are blocked as may be. Where either is deleted there is nothing to do."""

    async def unblock(self, user_id: int, blocked_id: int) -> None:
        """Take a block back, if it is there."""

    async def blocked(self, user_id: int, after_xid: int, limit: int) -> list[int]:
        """List the xids of those whom a user has blocked, by rising id."""

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
        """Judge what a user would send to users and nobody stores, as a batch judges a message; None: it may.

        `create`: who does not exist yet may be named. Without `blocks` none stops it, as none stops a notice. `frozen`:
        that its sender is stops it neither.
        """

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
        """Judge as `may_message` does, target by target: whom nothing reaches, and why; a sender is refused for all."""
