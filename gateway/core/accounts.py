"""Accounts of an app as its backend keeps them: made many at once, listed, and with what it notes of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from gateway.core.directory import Directory
from gateway.core.presence import Presence
from gateway.core.principal import Principal
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import Account, App, State, User
from gateway.store.base import Store

_decoder = msgspec.json.Decoder(dict[str, str])


class Accounts:
    """What only an administrator's token may do; each call raises `FORBIDDEN` for others."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        presence: Presence,
        limits: Limits,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._directory = directory
        self._presence = presence
        self._limits = limits
        self._now = clock_ms

    async def make(
        self, app: App, accounts: Sequence[Account], *, claim: bool, literal: bool = False
    ) -> list[User]:
        """Make users of names, passwords, nicknames and states, all or none.

        A name of digits is the id of its user, unless names are `literal`. With `claim`, which is for the app's
        backend, who is there by having been named only is taken for the one made: anybody else would come by what is
        another's.

        Raises:
            Problem: `USER_EXISTS`, whose sentence is the name; `BAD_PARAMETER` for a password that may not be;
                `OVERLOADED`.
        """
        for account in accounts:
            self._directory.passwords.check(account.password, "password")
        # Looked for before the costly part; the store has the last word.
        await self._refuse_taken(app, [account.name for account in accounts], claim=claim, literal=literal)
        # One password at a time is worked on, so that who logs in meanwhile waits for one of them and not for all.
        made = [
            msgspec.structs.replace(
                account, password=await self._directory.passwords.record(account.password, app.id)
            )
            for account in accounts
        ]
        done = await self._store.enroll(app.id, made, self._now(), claim=claim, literal=literal)
        if isinstance(done, str):
            raise Problem(Kind.USER_EXISTS, done)
        for user in done:
            self._directory.known.user_changed(app, user.xid)
            if user.state is State.FROZEN:
                self._presence.end_frozen(user.id)
        return done

    async def _refuse_taken(self, app: App, names: Sequence[str], *, claim: bool, literal: bool) -> None:
        """Raise `USER_EXISTS` for a name that is another's, or that is named twice."""
        found = await self._directory.named(app, names, make=False, literal=literal)
        for place, (name, holder) in enumerate(zip(names, found, strict=True)):
            if name in names[:place] or (holder is not None and (holder.password or not claim)):
                raise Problem(Kind.USER_EXISTS, name)

    async def after(self, principal: Principal, after_xid: int, limit: int) -> tuple[list[User], int]:
        """A page of the app's users by rising id, after the one given, and where the next begins (0: nowhere)."""
        _want_admin(principal)
        limit = max(1, min(limit, self._limits.page_max))
        found = await self._store.users_after(principal.app.id, after_xid, limit + 1)
        return found[:limit], found[limit - 1].xid if len(found) > limit else 0

    async def online(self, principal: Principal, users: Sequence[User]) -> list[bool]:
        """Whether each of some users has a device connected, to whichever node."""
        _want_admin(principal)
        present = await self._presence.present([user.id for user in users])
        return [user.id in present for user in users]

    async def nicknames(self, users: Sequence[User]) -> list[str]:
        """What users are called among people."""
        found = await self._store.nicknames([user.id for user in users])
        return [found.get(user.id, "") for user in users]

    async def metadata(self, principal: Principal, user: User) -> dict[str, str]:
        """What the app keeps with a user."""
        _want_admin(principal)
        return _decoder.decode(await self._store.metadata(user.id))

    async def set_metadata(
        self, principal: Principal, user: User, changes: Mapping[str, str] | None
    ) -> dict[str, str]:
        """Change members of what the app keeps with a user, or take all away (None); return what is kept then.

        Raises `BAD_PARAMETER` where it would be too much.
        """
        _want_admin(principal)
        if not await self._store.set_metadata(user.id, changes):
            raise bad("metadata", f"it must not be more than {self._limits.metadata_bytes_max} bytes in all")
        return await self.metadata(principal, user)


def _want_admin(principal: Principal) -> None:
    if not principal.admin_alone:
        raise Problem(Kind.FORBIDDEN, "only an administrator's token may do this")
