"""Whom users know and whom they want nothing of.

A contact stands both ways, and does nothing by itself. A block stops messages both ways, whoever set it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.core.directory import Directory
from gateway.core.paging import after, page_of
from gateway.core.principal import Principal
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import User
from gateway.store.base import Store


class XidsPage(msgspec.Struct, frozen=True):
    """A page of whom one knows, or has blocked. `cursor` fetches the next, empty after the last."""

    xids: list[int]
    cursor: str


class Roster:
    """Address book and block list of whoever asks: a user, or an administrator's token with `user_id`."""

    def __init__(
        self, store: Store, directory: Directory, limits: Limits, clock_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._directory = directory
        self._limits = limits
        self._now = clock_ms

    async def block(self, principal: Principal, xid: int) -> None:
        """Block a user, who need not exist yet in an open app. Again: nothing more happens.

        Raises:
            Problem: `BAD_PARAMETER` for oneself, `system` and groups, `USER_UNKNOWN`, `LIST_FULL` where as many
                are blocked as may be.
        """
        me = _owner(principal)
        if xid == me.xid:
            raise bad("user_id", "nobody can block themselves")
        if xid == principal.app.system_xid:
            raise bad("user_id", "the app's reserved user cannot be blocked")
        other = await self._directory.find(principal.app, xid)
        if not await self._store.block(me.id, other.id, self._now()):
            raise Problem(Kind.LIST_FULL, f"user_id: at most {self._limits.blocks_max} users can be blocked")
        self._directory.known.user_changed(principal.app, me.xid)

    async def unblock(self, principal: Principal, xid: int) -> None:
        """Take a block back, where there is one; the other's own block stays."""
        me = _owner(principal)
        other = await self._store.user(principal.app.id, xid)
        if isinstance(other, User):
            await self._store.unblock(me.id, other.id)
            self._directory.known.user_changed(principal.app, me.xid)

    async def blocked(self, principal: Principal, cursor: str) -> XidsPage:
        """Whom one has blocked, by rising id, from where `cursor` of the page before left off."""
        me, most = _owner(principal), self._limits.member_page_max
        found = await self._store.blocked(me.id, after(cursor), most + 1)
        return XidsPage(*page_of(found, most, int))

    async def add_contact(self, principal: Principal, xid: int) -> None:
        """Put oneself and a user into each other's address book. Again: nothing more happens.

        Raises:
            Problem: `BAD_PARAMETER` for oneself, `system` and groups, `USER_UNKNOWN`, `LIST_FULL` where either knows
                as many as may be.
        """
        me = _owner(principal)
        if xid in {me.xid, principal.app.system_xid}:
            raise bad("user_id", "neither oneself nor the app's reserved user can be a contact")
        other = await self._directory.find(principal.app, xid)
        if not await self._store.add_contact(me.id, other.id, self._now()):
            raise Problem(
                Kind.LIST_FULL, f"user_id: at most {self._limits.contacts_max} users can be contacts"
            )

    async def drop_contact(self, principal: Principal, xid: int) -> None:
        """Take oneself and a user out of each other's address book, where they are there."""
        me = _owner(principal)
        other = await self._store.user(principal.app.id, xid)
        if isinstance(other, User):
            await self._store.drop_contact(me.id, other.id)

    async def contacts(self, principal: Principal, cursor: str) -> XidsPage:
        """Whom one knows, by rising id, from where `cursor` of the page before left off."""
        me, most = _owner(principal), self._limits.member_page_max
        found = await self._store.contacts(me.id, after(cursor), most + 1)
        return XidsPage(*page_of(found, most, int))

    async def may_message(self, principal: Principal, xid: int, other_xid: int) -> bool:
        """Whether a message of user `xid` (0: whoever asks) to `other_xid` would be taken.

        An administrator's token alone may ask of anybody, others of themselves.
        """
        app = principal.app
        if principal.admin_alone:
            if not xid:
                raise bad("user_id", "an administrator's token alone must name the user")
        elif _owner(principal).xid != (xid or principal.user.xid):
            raise Problem(Kind.FORBIDDEN, f"user_id: may only be {principal.user.xid} here")
        if other_xid == app.system_xid:
            return False
        refused = await self._store.may_message(
            app.id, xid or principal.user.xid, [other_xid], create=not app.registered
        )
        if refused is not None and refused.kind is Kind.BAD_PARAMETER:
            # In a send's words, where the sender is `from_user_id`.
            member, _, why = refused.sentence.partition(": ")
            raise bad("roster_id" if member == "targets" else "user_id", why)
        return refused is None


def _owner(principal: Principal) -> User:
    """Whose block list it is."""
    if principal.group_xid:
        raise bad("group_id", "this header is not for calls about users")
    if principal.admin_alone:
        raise bad("user_id", "this header names whose list it is: an administrator's token alone has none")
    return principal.user
