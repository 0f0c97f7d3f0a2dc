"""Apps and users as this process last read them, and how nodes tell each other that one, or a group, has changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.bus.base import Forget, ForgetGroup
from gateway.core.cache import Cache
from gateway.core.lane import Lane, Line
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import SYSTEM_NAME, App, User
from gateway.store.base import Party, Store

USERS_MAX = 100
"""Users that the store is asked for at a time."""

Change = Forget | ForgetGroup | None
"""What is to be forgotten; None: everything."""

CALLED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+=#-]{0,127}")
"""What dialects call apps and their backends: nothing else is asked of the store."""

APP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._#-]{0,63}")


class Tenant(msgspec.Struct, frozen=True):
    """An app with its reserved user."""

    app: App
    system: User


class Known:
    """Remembers apps and users, at most `Limits.cached_principals_max` of each, and what ids name.

    Whoever changes one says so by `app_changed` or `user_changed`, and `publish` carries it to the other nodes. As that
    may be lost, what others may write is believed for `sweep_ms` at most.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        clock_ms: Callable[[], int],
        ticks_ms: Callable[[], int],
        publish: Callable[[Forget | ForgetGroup], None],
    ) -> None:
        self._store = store
        self._clock_ms = clock_ms
        self._publish = publish
        self._facts_max = limits.cached_facts_max
        self._age_max = age_max = limits.sweep_ms if store.shared else None
        self._ticks_ms = ticks_ms
        most = limits.cached_principals_max
        self._tenants: Cache[str, Tenant] = Cache(most, age_max=age_max, clock=ticks_ms)
        self._users: Cache[tuple[int, int], User] = Cache(most, age_max=age_max, clock=ticks_ms)
        # What dialects call apps, for as long as the app is known as the very one it was then; and their backends'.
        self._called: Cache[tuple[str, str], Tenant] = Cache(most)
        self._secrets: Cache[tuple[int, str, str], list[str]] = Cache(most, age_max=age_max, clock=ticks_ms)
        # What an id names it names for as long as the store is the same one.
        self._parties: Cache[tuple[int, int], Party] = self.cache()
        # How often something was forgotten: what was being read just then may be older than the change.
        self._forgotten = 0
        # Devices that come back come all at once: whoever waits at the same time is asked for together.
        self._asking: Lane[tuple[App, int], User | Kind] = Lane(self._ensure, Line(USERS_MAX), abreast=2)
        self._listeners: list[Callable[[Change], None]] = []

    def listen(self, hear: Callable[[Change], None]) -> None:
        """Say who else hears what is to be forgotten: what was built on it counts no more."""
        self._listeners.append(hear)

    def cache(self) -> Cache[Any, Any]:
        """A memory for what is built on apps, users and groups: it is believed no longer than what is known here."""
        return Cache(self._facts_max, age_max=self._age_max, clock=self._ticks_ms)

    def known_tenant(self, app_id: str) -> Tenant | None:
        """The app of this name, if it is known."""
        return self._tenants.get(app_id)

    def known_user(self, app: App, xid: int) -> User | None:
        """The user with this id, if it is known."""
        return self._users.get((app.id, xid))

    @property
    def changes(self) -> int:
        """How often something was forgotten: what was being read just then may be older than the change."""
        return self._forgotten

    def note_user(self, app: App, user: User) -> None:
        """Remember a user who was read when nothing had been forgotten since."""
        self._users.put((app.id, user.xid), user)

    async def party(self, app: App, xid: int) -> Party | None:
        """What an xid of an app names, if anything; who has been deleted and what was destroyed keep theirs."""
        known = self._parties.get((app.id, xid))
        if known is not None:
            return known
        forgotten = self._forgotten
        found = await self._store.party(app.id, xid)
        if found is not None and forgotten == self._forgotten:
            self._parties.put((app.id, xid), found)
        return found

    async def taken(self, app: App, xids: Sequence[int]) -> set[int]:
        """Which of many xids of an app name anything, as `party` says it; for whom nobody is expected to be."""
        return {party.xid for party in await self._store.parties(app.id, xids) if party is not None}

    async def tenant(self, app_id: str | None) -> Tenant:
        """The app of this name; raises `APP_UNKNOWN`, and `BAD_PARAMETER` where none is named."""
        if not app_id:
            raise bad("app_id", "the header is missing")
        known = self._tenants.get(app_id)
        if known is not None:
            return known
        forgotten = self._forgotten
        # What no app can be called is not asked of the store: a header may hold anything.
        app = await self._store.app(app_id) if APP_ID.fullmatch(app_id) else None
        if app is None:
            raise Problem(Kind.APP_UNKNOWN, "app_id: there is no such app")
        system = await self._store.user_named(app.id, SYSTEM_NAME)
        assert system is not None, "every app is made with its user system"
        tenant = Tenant(app, system)
        if forgotten == self._forgotten:
            self._tenants.put(app_id, tenant)
        return tenant

    async def tenant_by(self, dialect: str, name: str) -> Tenant:
        """The app that a dialect calls so; raises `APP_UNKNOWN`."""
        known = self._called.get((dialect, name))
        if known is not None and self._tenants.get(known.app.app_id) is known:
            return known
        forgotten = self._forgotten
        app_id = await self._store.alias(dialect, name) if CALLED.fullmatch(name) else None
        if app_id is None:
            raise Problem(Kind.APP_UNKNOWN, "there is no such app")
        tenant = await self.tenant(app_id)
        if forgotten == self._forgotten:
            self._called.put((dialect, name), tenant)
        return tenant

    async def secrets(self, app: App, dialect: str, name: str) -> Sequence[str]:
        """The secrets that are good for a name of an app's backends, the newest first."""
        known = self._secrets.get((app.id, dialect, name))
        if known is not None:
            return known
        forgotten = self._forgotten
        found = await self._store.secrets(app.id, dialect, name) if CALLED.fullmatch(name) else []
        # That there is none is not remembered: whoever tries names would push the good ones out.
        if found and forgotten == self._forgotten:
            self._secrets.put((app.id, dialect, name), found)
        return found

    async def user(self, app: App, xid: int) -> User | Kind:
        """The user with this id, made where it may be; otherwise why not."""
        known = self._users.get((app.id, xid))
        if known is not None:
            return known
        while True:
            forgotten = self._forgotten
            if app.registered:
                found = await self._store.user(app.id, xid)
            else:
                found = await self._asking.submit((app, xid))
            if forgotten == self._forgotten:
                break  # Else whom the change froze would get in.
        if isinstance(found, User):
            self._users.put((app.id, xid), found)
        return found

    async def _ensure(self, asked: list[tuple[App, int]]) -> list[User | Kind]:
        xids: dict[int, list[int]] = {}
        for app, xid in asked:
            xids.setdefault(app.id, []).append(xid)
        found = {
            app_id: dict(
                zip(named, await self._store.ensure_users(app_id, named, self._clock_ms()), strict=True)
            )
            for app_id, named in xids.items()
        }
        return [found[app.id][xid] for app, xid in asked]

    def app_changed(self, app: App) -> None:
        """Read this app anew when it is next asked for, on every node: its keys, limits or names have changed."""
        self._change(Forget(app_id=app.app_id, app=app.id))

    def user_changed(self, app: App, xid: int) -> None:
        """Read this user anew when next asked for, on every node: its state, password or blocks have changed."""
        self._change(Forget(app_id=app.app_id, app=app.id, xid=xid))

    def _change(self, forget: Forget) -> None:
        self.forget(forget)
        self._publish(forget)

    def group_changed(self, app: int, group_xid: int) -> None:
        """Have every other node judge by nothing that it remembers of this group: who may speak in it has changed."""
        self._publish(ForgetGroup(app=app, group_xid=group_xid))

    def forget_group(self, forget: ForgetGroup) -> None:
        """Judge by nothing that is remembered of a group on this node."""
        # Nothing is noted as forgotten: groups change far too often for whoever reads a user to begin again each time.
        self._tell(forget)

    def forget(self, forget: Forget) -> None:
        """Read an app or a user of it anew when next asked for on this node."""
        self._forgotten += 1
        if forget.xid:
            self._users.forget((forget.app, forget.xid))
        else:
            self._tenants.forget(forget.app_id)
            self._secrets.clear()
        self._tell(forget)

    def forget_all(self) -> None:
        """Read everything anew: the store has become another one."""
        self._forgotten += 1
        self._tenants.clear()
        self._secrets.clear()
        self._users.clear()
        self._parties.clear()
        self._tell(None)

    def _tell(self, forget: Change) -> None:
        for hear in self._listeners:
            hear(forget)
