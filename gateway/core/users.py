"""Accounts as their owners and administrators handle them: profiles, passwords, devices, and who may act at all.

Who may do what (lanying.md, Principals):

- a user, and an administrator's token with `user_id`: with its own account, and see what others tell of themselves;
- an administrator's token alone: with every account it names, which in an open app need not exist yet. It alone
  registers and lists users; to freeze is an administrator's in either form;
- as a group's owner (`group_id`) nobody is handled: that is about a group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from gateway.core.directory import Directory
from gateway.core.hub import Hub
from gateway.core.presence import Presence
from gateway.core.principal import Principal
from gateway.core.receipts import Receipts
from gateway.domain.drafts import Refused
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import App, Device, Profile, State, User
from gateway.store.base import Store
from gateway.wire.close import Close


class Enrolled(msgspec.Struct, frozen=True):
    """What became of one account of a batch: its user, or why there is none."""

    username: str
    xid: int = 0
    reason: str = ""


class Seen(msgspec.Struct, frozen=True):
    """A user as somebody sees it; `private`: what is private too, else that is left empty."""

    user: User
    profile: Profile
    private: bool


class Users:
    """Everything about users that is no message. `xid` 0 is whoever asks; raises `Problem` for what is refused.

    Every call raises `FORBIDDEN` where a user names another, `USER_UNKNOWN` for a deleted user and, where
    registration is required, for one that is not there, `BAD_PARAMETER` for what is no user.
    """

    def __init__(
        self,
        store: Store,
        directory: Directory,
        hub: Hub,
        presence: Presence,
        receipts: Receipts,
        limits: Limits,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._directory = directory
        self._hub = hub
        self._presence = presence
        self._receipts = receipts
        self._limits = limits
        self._now = clock_ms

    # -- whom there is ----------------------------------------------------------------------------------

    async def register(self, principal: Principal, accounts: Sequence[tuple[str, str]]) -> list[Enrolled]:
        """Make users of names and passwords, each by itself, one after the other.

        One password at a time is worked on, so that who logs in meanwhile waits for one of them and not for all.
        """
        _want_admin_alone(principal)
        done = []
        for username, password in accounts:
            try:
                user = await self._directory.enroll(principal.app, username, password)
            except Problem as problem:
                done.append(Enrolled(username, reason=problem.sentence))
            else:
                done.append(Enrolled(username, user.xid))
        return done

    async def page(self, principal: Principal, number: int, size: int) -> list[User]:
        """One page of the app's users by rising id, the first is 1; `page_max` at most.

        Pages are found by counting, so how far they reach is bounded (`Limits.user_list_max`).
        """
        _want_admin_alone(principal)
        size = min(size, self._limits.page_max)
        offset = (number - 1) * size
        if offset > self._limits.user_list_max:
            raise bad("page_num", f"pages reach to user {self._limits.user_list_max} at most")
        return await self._store.users(principal.app.id, offset, size)

    # -- what they tell of themselves -------------------------------------------------------------------

    async def profile(self, principal: Principal, xid: int) -> Seen:
        """What a user tells of itself: to itself and to administrators everything, to others what is public."""
        _want_no_group(principal)
        private = principal.admin_alone or xid in {0, principal.user.xid}
        user = await self._subject(principal, xid) if private else await self._known(principal.app, xid)
        profile = await self._store.profile(user.id)
        if not private:
            profile = msgspec.structs.replace(profile, private_info="")
        return Seen(user, profile, private)

    async def set_profile(self, principal: Principal, xid: int, changes: Mapping[str, str]) -> None:
        """Change members of a profile, by their names in `Profile`."""
        user = await self._subject(principal, xid, make=True)
        if changes:
            await self._store.set_profile(user.id, changes)

    async def change_password(self, principal: Principal, xid: int, old: str | None, new: str) -> None:
        """Change a password; an administrator need not know the old one.

        Tokens issued before are good no longer, and whoever is connected by one is told so.

        Raises:
            Problem: `FORBIDDEN` for a wrong old password, `OVERLOADED`.
        """
        user = await self._subject(principal, xid, make=True)
        self._directory.passwords.check(new, "new_password")
        expected = None
        if not principal.admin:
            if old is None:
                raise bad("old_password", "it is required")
            expected = user.password
            if not await self._directory.passwords.matches(old, expected, principal.app.id):
                raise _wrong()
        record = await self._directory.passwords.record(new, principal.app.id)
        if await self._store.set_password(user.id, expected, record, self._now()) is None:
            if expected is None:
                raise Problem(Kind.USER_UNKNOWN, f"user_id: there is no user {user.xid}")
            raise _wrong()
        self._directory.known.user_changed(principal.app, user.xid)
        await self._presence.dismiss(user.id, Close.TOKEN_ILLEGAL, "the password was changed")

    # -- devices ----------------------------------------------------------------------------------------

    async def online(self, principal: Principal, xid: int) -> bool:
        """Whether a device of the user is connected."""
        user = await self._subject(principal, xid)
        return bool(await self._presence.connected(user.id))

    async def devices(self, principal: Principal, xid: int) -> list[Device]:
        """The devices kept and those connected, by number; of these, what they said when they connected.

        Of one that is connected to another node only what it said when it was kept.
        """
        user = await self._subject(principal, xid)
        found = {device.device_sn: device for device in await self._store.devices(user.id)}
        here = self._hub.devices_of(user.id)
        for device_sn in await self._presence.connected(user.id):
            known = found.get(device_sn, Device(device_sn=device_sn))
            connection = here.get(device_sn)
            found[device_sn] = Device(
                device_sn=device_sn,
                platform=(connection and connection.platform) or known.platform,
                user_agent=(connection and connection.user_agent) or known.user_agent,
                online=True,
            )
        return [found[device_sn] for device_sn in sorted(found)]

    async def remove_device(self, principal: Principal, xid: int, device_sn: int) -> None:
        """Forget a device; where it is connected it is told to go and not to come back."""
        user = await self._subject(principal, xid)
        how = Close.KICKED, "this device was removed", device_sn
        # What it has acked to another node is lost with its cursors, unless that node comes first.
        await self._presence.end(user.id, *how)
        await self._presence.dismiss(user.id, *how)
        await self._receipts.remove(user.id, device_sn)
        # Who came meanwhile may have found what is gone now.
        await self._presence.dismiss(user.id, *how)

    async def kick(self, principal: Principal, xid: int, device_sn: int) -> None:
        """End the connection of a device, of all devices where it is 0; they stay kept, and the token good."""
        user = await self._subject(principal, xid)
        await self._presence.dismiss(user.id, Close.KICKED, "this device was kicked", device_sn)

    # -- who may act ------------------------------------------------------------------------------------

    async def freeze(self, principal: Principal, xids: Sequence[int]) -> None:
        """Let users act no more: no call, no device, no message from them. What is sent to them waits.

        All or none; with `user_id` an administrator may name that user only, or leave it unnamed.
        """
        for user_id, xid in await self._set_state(principal, xids, State.FROZEN):
            self._directory.known.user_changed(principal.app, xid)
            self._presence.end_frozen(user_id)

    async def unfreeze(self, principal: Principal, xids: Sequence[int]) -> None:
        """Let frozen users act again; otherwise as `freeze`."""
        for _, xid in await self._set_state(principal, xids, State.NORMAL):
            self._directory.known.user_changed(principal.app, xid)

    async def _set_state(
        self, principal: Principal, xids: Sequence[int], state: State
    ) -> list[tuple[int, int]]:
        app = principal.app
        if not principal.admin:
            raise Problem(Kind.FORBIDDEN, "only an admin token may do this")
        _want_no_group(principal)
        if principal.as_user:
            xids = xids or [principal.user.xid]
            if any(xid != principal.user.xid for xid in xids):
                raise Problem(
                    Kind.FORBIDDEN, f"list: with the user_id header only {principal.user.xid} is allowed"
                )
        if not xids:
            raise bad("list", "it must name at least one id")
        if app.system_xid in xids:
            raise bad("list", "the app's reserved user always may act")
        done = await self._store.set_state(app.id, xids, state, self._now(), create=not app.registered)
        if isinstance(done, Refused):
            raise Problem(done.kind, f"list: {done.sentence}")
        return done

    # -- whom a call is about ---------------------------------------------------------------------------

    async def _subject(self, principal: Principal, xid: int, *, make: bool = False) -> User:
        """The user a call is about; `make`: where it may, it comes into being by that."""
        _want_no_group(principal)
        if principal.admin_alone:
            if not xid:
                raise bad("user_id", "an administrator's token alone must name the user")
            if xid == principal.user.xid:
                raise bad("user_id", "the app's reserved user has no account")
            if make:
                return await self._directory.find(principal.app, xid)
            return await self._known(principal.app, xid)
        if xid not in {0, principal.user.xid}:
            raise Problem(Kind.FORBIDDEN, f"user_id: may only be {principal.user.xid} here")
        return principal.user

    async def _known(self, app: App, xid: int) -> User:
        """A user to look at. In an open app one that is not there yet is as good as there, and has nothing."""
        found = await self._store.user(app.id, xid)
        if found is Kind.BAD_PARAMETER:
            raise bad("user_id", f"{xid} is a group")
        if isinstance(found, User) and found.state is not State.DELETED:
            return found
        if isinstance(found, User) or app.registered:
            raise Problem(Kind.USER_UNKNOWN, f"user_id: there is no user {xid}")
        return User(id=0, xid=xid, name="", password="")


def _want_admin_alone(principal: Principal) -> None:
    if not principal.admin:
        raise Problem(Kind.FORBIDDEN, "only an admin token may do this")
    if not principal.admin_alone:
        raise bad("user_id" if principal.as_user else "group_id", "this header is not for this call")


def _want_no_group(principal: Principal) -> None:
    if principal.group_xid:
        raise bad("group_id", "this header is not for calls about users")


def _wrong() -> Problem:
    return Problem(Kind.FORBIDDEN, "old_password: it is wrong")
