"""Who a request speaks for (lanying.md, Principals)."""

from __future__ import annotations

import msgspec

from gateway.domain.errors import Kind, Problem
from gateway.domain.model import App, User


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """The user a request acts as, and what lets it.

    `admin` is the token's role. `as_user`: an admin token that acts for the user of the `user_id` header.
    `group_xid`: an admin token that acts as that group's owner, for that group only (0: none).
    """

    app: App
    user: User
    admin: bool = False
    as_user: bool = False
    group_xid: int = 0

    @property
    def admin_alone(self) -> bool:
        """An admin token without an acting header: it speaks for `system` and may name any sender."""
        return self.admin and not self.as_user and not self.group_xid

    def acting_for(self, user: User) -> Principal:
        """The app's administrator as it acts for a user: by that user's bans, blocks and memberships."""
        assert self.admin_alone, "nobody else may act for others"
        return Principal(app=self.app, user=user, admin=True, as_user=True)

    def confine(self, conversation_xid: int, member: str) -> None:
        """Refuse any conversation but the group's where the principal acts as a group's owner."""
        if self.group_xid and conversation_xid != self.group_xid:
            raise Problem(
                Kind.FORBIDDEN, f"{member}: with the group_id header only group {self.group_xid} is allowed"
            )
